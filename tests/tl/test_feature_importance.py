"""What feature_importance finds, writes and refuses; its arithmetic is tested in tests/diagnostics."""

import re
import sys

import mudata
import numpy as np
import pandas as pd
import pytest
import torch

import omicsbal as ob
from omicsbal._keys import IMPORTANCE, STABILITY
from omicsbal.pp.recipes import RECIPES
from omicsbal.tl._importance_rows import asked_of, rows_to_ask
from omicsbal.tl._labelled import labelled_rows
from omicsbal.tl._named_features import named_features

SIZES = {"rna": 80, "atac": 100, "protein": 16}
WORLD = {"n_truth": 200, "preset": "redundant", "n_classes": 3, "n_features": SIZES, "strength": 1.5, "random_state": 0}
FIT = {"config": ob.FitConfig(max_epochs=12, n_members=2), "net": ob.NetConfig(width=16, depth=1, latent=4), "n_folds": 3}
ASK = {"device": "cpu", "progress": False, "max_cells_per_class": 40}
SLOT = "omicsbal_importance_part"


def fit(mdata, **options):
    return ob.tl.fit(mdata, label_key="part", experts=False, device="cpu", progress=False, **{**FIT, **options})


def made(n, missing=0):
    """Cells with the label "part", the first `missing` without ATAC."""
    mdata = ob.datasets.simulate(n_obs=n, **WORLD)
    obs = mdata.obs.copy()
    mdata = mudata.MuData({m: a[missing if m == "atac" else 0 :].copy() for m, a in mdata.mod.items()})
    mdata.obs["part"] = obs["cell_type"].loc[mdata.obs_names].astype(object).to_numpy()
    return mdata


def taken_for_new(mdata):
    """The same cells by other names, without the results of a fit: the model does not know them again."""
    mods = {m: a.copy() for m, a in mdata.mod.items()}
    for a in mods.values():
        a.obsm.clear()
        a.obs_names = [f"new_{name}" for name in a.obs_names]
    made = mudata.MuData(mods)
    made.obs["cell_type"] = mdata.obs["cell_type"].loc[[name.removeprefix("new_") for name in made.obs_names]].to_numpy()
    return made


@pytest.fixture(scope="module")
def learnt():
    """200 cells, 10 of them without ATAC, and 20 more without a label; model, table."""
    mdata = made(220, missing=10)
    mdata.obs.loc[mdata.obs_names[-20:], "part"] = None
    model = fit(mdata)
    return mdata, model, ob.tl.feature_importance(model, mdata, n_top=10, **ASK)


def asked(model, mdata, head="fused"):
    options = {"group_key": None, "min_coverage": 0.8, "device": "cpu", "key_added": "omicsbal", "do": ""}
    found = labelled_rows(model, mdata, **options)
    named = named_features(model, mdata, found, min_coverage=0.8)
    return asked_of(model, found, named, head=head, n_steps=8, n_top=5)


def test_planted_markers_come_first(learnt):
    mdata, _, table = learnt
    for m, share in (("rna", 0.9), ("atac", 0.6), ("protein", 0.6)):
        mine = table[table["modality"] == m]
        hits = mdata[m].var["marker"].loc[mine["feature"]].mean()
        assert hits >= share > mdata[m].var["marker"].mean(), (m, hits)
    assert (table.groupby(["class", "modality"])["importance"].apply(lambda v: v.abs().is_monotonic_decreasing)).all()


def test_parts_sum_to_the_log_odds_gained(learnt):
    mdata, _, _ = learnt
    whole = mdata["atac"].obs_names
    complete = mdata[whole].copy()
    del complete.uns["omicsbal"], complete.obsm["X_omicsbal"]
    model = fit(complete)
    ob.tl.feature_importance(model, complete, n_steps=128, **ASK)
    said = complete.uns["omicsbal"][STABILITY]
    parts = said.groupby("class").agg(sum=("sum", "sum"), total=("total", "first"), error=("error", "first"))
    assert (np.abs(parts["sum"] - parts["total"]) <= parts["error"] + 1e-4).all() and (parts["error"] < 0.1).all()
    for m in SIZES:
        scores = complete[m].varm[SLOT].sum()
        np.testing.assert_allclose(scores, said[said["modality"] == m].set_index("class")["sum"].loc[scores.index], atol=1e-4)


def test_each_cell_is_explained_by_the_member_that_never_saw_it(learnt):
    mdata, model, table = learnt
    said, folds = asked(model, mdata), model.predictor.members.folds
    rows, valid = rows_to_ask(said, 1, 30, np.random.default_rng(0))
    assert rows.shape[0] == valid.shape[0] == 5 and not valid[3:].any() and valid.sum() == 30
    for k in range(3):
        assert (folds[rows[k, valid[k]]] == k).all() and (said.found.y[rows[k, valid[k]]] == 1).all()
        others = (folds != k) & said.present["atac"]
        x = said.found.data.x["atac"].numpy()
        expected = np.mean([x[others & (said.found.y == c)].mean(0) for c in range(3)], axis=0)
        np.testing.assert_allclose(said.columns["atac"][k], expected, atol=1e-5)
        named = said.named["atac"]
        moved = named.gain * (named.values[20:40].toarray() - said.features["atac"][k]) @ named.axes
        np.testing.assert_allclose(moved, x[20:40] - expected, atol=1e-3, err_msg="the same baseline, in features")
    assert set(mdata.uns["omicsbal"][STABILITY]["rows"]) == {"out-of-fold"}
    counts = table.groupby("modality")["n"].max()
    assert counts["rna"] == counts["protein"] == 40 and counts["atac"] <= 40


def test_what_it_returns_is_what_it_writes_and_survives_a_file(learnt, tmp_path):
    mdata, model, table = learnt
    pd.testing.assert_frame_equal(table, mdata.uns["omicsbal"][IMPORTANCE])
    assert (table["low"] <= table["importance"]).all() and (table["importance"] <= table["high"]).all()
    assert table["stability"].between(0, 1).all() and {"folds", "heads"} <= set(mdata.uns["omicsbal"])
    one = table[(table["modality"] == "rna") & (table["class"] == model.classes[2])].set_index("feature")["importance"]
    scores = mdata["rna"].varm[SLOT]
    assert list(scores.columns) == model.classes and scores.dtypes.eq(np.float32).all()
    np.testing.assert_allclose(scores.loc[one.index, model.classes[2]], one, rtol=1e-5)
    mdata.write(tmp_path / "data.h5mu")
    again = mudata.read_h5mu(tmp_path / "data.h5mu")
    for name in (IMPORTANCE, STABILITY):
        read = again.uns["omicsbal"][name].reset_index(drop=True)
        pd.testing.assert_frame_equal(read, mdata.uns["omicsbal"][name], check_dtype=False, check_categorical=False)
    pd.testing.assert_frame_equal(again["atac"].varm[SLOT], mdata["atac"].varm[SLOT], check_names=False)


def test_the_page_of_slots_names_all_there_is(learnt, repository):
    mdata, _, table = learnt
    page = (repository / "docs" / "slots.md").read_text().split("after `feature_importance`")[1].split("\n## ")[0]
    words = set(re.findall(r"`([^`]+)`", page))
    assert {*table.columns, *mdata.uns["omicsbal"][STABILITY].columns} <= words
    assert 'mod[m].varm["omicsbal_importance_<label>"]' in words


def test_another_order_of_features_changes_nothing_but_the_order(learnt):
    _, model, _ = learnt
    query = made(60)
    table = ob.tl.feature_importance(model, query, n_top=8, **ASK)
    assert set(query.uns["omicsbal"][STABILITY]["rows"]) == {"held-out"}
    assert set(query.uns["omicsbal"][STABILITY]["members"]) == {2}
    assert table["n"].max() <= query.obs["part"].value_counts().max(), "cells, however many members are asked"
    order = np.random.default_rng(0).permutation(SIZES["rna"])
    turned = mudata.MuData({"rna": query["rna"][:, order].copy(), "atac": query["atac"], "protein": query["protein"]})
    turned.obs["part"] = query.obs["part"]
    again = ob.tl.feature_importance(model, turned, n_top=8, **ASK)
    pd.testing.assert_frame_equal(again, table, atol=1e-4)
    before, after = query["rna"].varm[SLOT], turned["rna"].varm[SLOT]
    assert list(after.index) == list(turned["rna"].var_names)
    pd.testing.assert_frame_equal(after.loc[before.index], before, atol=1e-4)


def test_what_a_query_lacks_is_not_listed_and_one_head_sees_one_modality(learnt):
    _, model, _ = learnt
    query = made(60)
    gone = query["rna"].var_names[:8]
    query = mudata.MuData({"rna": query["rna"][:, 8:].copy(), "protein": query["protein"]})
    query.obs["part"] = made(60).obs["part"]
    table = ob.tl.feature_importance(model, query, n_top=80, head="rna", **ASK)
    assert set(table["modality"]) == {"rna"} and not set(gone) & set(table["feature"])
    assert table.groupby("class").size().max() <= 72 and SLOT not in query["protein"].varm
    with pytest.raises(ValueError, match="`head`"):
        ob.tl.feature_importance(model, query, head="atac", **ASK)


def test_labels_without_a_meaning_have_no_stable_features(learnt):
    mdata, _, _ = learnt
    noise = mdata.copy()
    rows = np.flatnonzero(noise.obs["part"].notna())
    values = noise.obs["part"].to_numpy(dtype=object, copy=True)
    values[rows] = np.random.default_rng(1).permutation(values[rows])
    noise.obs["part"] = values
    ob.tl.feature_importance(fit(noise), noise, n_top=10, **ASK)
    told, known = noise.uns["omicsbal"][STABILITY], mdata.uns["omicsbal"][STABILITY]
    assert abs(told["spearman"].mean()) < 0.2 and told["overlap"].mean() < known["overlap"].mean() - 0.1
    assert known["spearman"].mean() > told["spearman"].mean() + 0.1


def test_what_little_is_known_is_said(tri, quick):
    model = quick(tri, config=ob.FitConfig(max_epochs=2, n_members=1))
    query = taken_for_new(tri[np.arange(0, 90, 2)])
    table = ob.tl.feature_importance(model, query, n_top=2, **{**ASK, "max_cells_per_class": 7})
    said = query.uns["omicsbal"][STABILITY]
    assert set(said["n"]) == {7} and set(said["members"]) == {1} and set(said["rows"]) == {"held-out"}
    assert said["note"].str.startswith("Fewer than 20 cells. One member only: nothing is known of stability.").all()
    assert table[["sd", "stability"]].isna().all(axis=None) and said[["spearman", "overlap"]].isna().all(axis=None)
    assert (table["low"] == table["importance"]).all() and (table["note"] != "").all()
    query = query[query.obs["cell_type"] == model.classes[1]].copy()
    notes = ob.tl.feature_importance(model, query, n_top=2, key_added="one", **ASK)["note"]
    assert notes.str.startswith(f"No cells of {model.classes[0]!r}, {model.classes[2]!r}: the baseline is without them.").all()


def test_a_head_that_tells_nothing_has_no_features(tri, quick, tmp_path):
    model = quick(tri, config=ob.FitConfig(max_epochs=1, n_members=1))
    with torch.no_grad():
        model.predictor.net.heads[model.modalities.index("rna")].weight.zero_()
    table = ob.tl.feature_importance(model, tri, head="rna", **ASK)
    said = tri.uns["omicsbal"][STABILITY]
    assert table.empty and said["note"].str.contains("This head does not depend on it.").all() and (said["sum"] == 0).all()
    assert said[["spearman", "overlap"]].isna().all(axis=None) and (said["n"] > 0).all()
    tri.write(tmp_path / "data.h5mu")
    assert mudata.read_h5mu(tmp_path / "data.h5mu").uns["omicsbal"][IMPORTANCE].empty
    query = taken_for_new(tri[:40])
    labels = query.obs["cell_type"]
    query = mudata.MuData({"rna": query["rna"][:0].copy(), "atac": query["atac"], "protein": query["protein"]})
    query.obs["cell_type"] = labels.loc[query.obs_names]
    with pytest.raises(ValueError, match="`head`: expected one of 'fused', 'atac', 'protein'"):
        ob.tl.feature_importance(model, query, head="rna", **ASK)


def test_columns_keep_their_names_where_there_are_no_features(tri, quick):
    class Opaque(RECIPES["dense"]):
        def _linear(self, X, missing):
            return None

    tri["rna"].obsm["X_ours"] = tri["rna"].to_df().to_numpy()[:, :5]
    model = quick(tri, use_rep={"rna": "X_ours"}, recipe={"protein": Opaque()})
    table = ob.tl.feature_importance(model, tri, n_top=3, **ASK)
    notes = table.groupby("modality")["note"].first()
    assert "Columns of obsm['X_ours'], not features." in notes["rna"] and "no linear last step" in notes["protein"]
    assert table.loc[table["modality"] == "rna", "feature"].str.match(r"X_ours_\d$").all()
    assert table.loc[table["modality"] == "protein", "feature"].str.match(r"protein_\d+$").all()
    held = {m: "omicsbal_importance_cell_type" in tri[m].varm for m in tri.mod}
    assert held == {"rna": False, "atac": True, "protein": False}
    quick(tri)
    assert "omicsbal_importance_cell_type" not in tri["atac"].varm and IMPORTANCE not in tri.uns["omicsbal"]


def test_what_is_refused_leaves_all_as_it_was(learnt, frozen, tri, quick, monkeypatch):
    mdata, model, _ = learnt
    before = frozen(mdata)
    for error, match, options in (
        (ValueError, "`head`", {"head": "pool"}),
        (ValueError, "`n_top`", {"n_top": 0}),
        (ValueError, "`n_steps`", {"n_steps": 1}),
        (ValueError, "`max_cells_per_class`", {"max_cells_per_class": 0}),
        (ValueError, "`key_added`", {"key_added": "rna"}),
        (ValueError, "`random_state`", {"random_state": -1}),
    ):
        with pytest.raises(error, match=match):
            ob.tl.feature_importance(model, mdata, **{**ASK, **options})
    tri.obs["size"] = np.asarray(tri["rna"].X.sum(axis=1)).ravel() / 7
    with pytest.raises(ValueError, match="`model`: expected a model of classes"):
        ob.tl.feature_importance(quick(tri, label_key="size"), tri, **ASK)
    graph = quick(tri, net=ob.NetConfig(width=8, depth=1, latent=4, encoder="graph"), key_added="graph")
    with pytest.raises(ValueError, match="without a graph"):
        ob.tl.feature_importance(graph, tri, key_added="graph", **ASK)
    for name in ("captum", "captum.attr"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(ImportError, match=r"need captum: pip install 'omicsbal\[attributions\]'"):
        ob.tl.feature_importance(model, mdata, **ASK)
    assert frozen(mdata) == before


PROTEINS = {"CD3": "T cells", "CD4": "CD4+ T", "CD8a": "CD8+ T", "CD14": "CD14+"}
PROTEINS |= {"CD16": "CD16+|NK", "CD19": "B cells", "CD56": "NK"}
GENES = {
    ("CD3D", "CD3E", "CD3G"): "T cells",
    ("CD4", "IL7R"): "CD4+ T",
    ("CD8A", "CD8B"): "CD8+ T",
    ("CD14", "LYZ"): "CD14+",
    ("FCGR3A",): "CD16+|NK",
    ("CD19", "MS4A1", "CD79A"): "B cells",
    ("NCAM1", "NKG7", "GNLY"): "NK",
}


@pytest.mark.slow
def test_known_markers_of_blood_are_found(read):
    """Of seven proteins six are among the first five of a class they mark, of seven sets of genes six among the first 50."""
    mdata = read("cite_pbmc10k")
    types = mdata.obs["cell_type"].astype(str).to_numpy()
    rng = np.random.default_rng(0)
    rows = np.sort(np.concatenate([rng.permutation(np.flatnonzero(types == c))[:150] for c in np.unique(types)]))
    mdata = mdata[rows].copy()
    config = ob.FitConfig(max_epochs=20, n_members=0)
    model = ob.tl.fit(mdata, label_key="cell_type", n_folds=3, experts=False, config=config, device="cpu", progress=False)
    table = ob.tl.feature_importance(model, mdata, **ASK)
    high = table[(table["importance"] > 0) & (table["mean_class"] > table["mean_rest"])]

    def first(modality, names, classes):
        here = (high["modality"] == modality) & high["feature"].str.replace("_TotalSeqB", "").isin(names)
        return high[here & high["class"].str.contains(re.escape(classes).replace(r"\|", "|"))]["rank"].min()

    proteins = {name: first("protein", [name], classes) for name, classes in PROTEINS.items()}
    genes = {names: first("rna", names, classes) for names, classes in GENES.items()}
    assert sum(rank <= 5 for rank in proteins.values()) >= 6, proteins
    assert sum(rank <= 50 for rank in genes.values()) >= 6, genes
