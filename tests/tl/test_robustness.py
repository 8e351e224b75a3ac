"""What robustness writes, on which rows, against the fit's own scores, and what it refuses."""

import re

import mudata
import numpy as np
import pandas as pd
import pytest

import omicsbal as ob
from omicsbal._keys import ROBUSTNESS
from omicsbal.diagnostics.robustness import COLUMNS

OPTIONS = {"config": ob.FitConfig(max_epochs=10, n_members=1), "net": ob.NetConfig(width=16, depth=1, latent=4)}
BRIEF = OPTIONS | {"config": ob.FitConfig(max_epochs=1, n_members=1), "experts": False}
QUIET = {"device": "cpu", "progress": False}
SCORES = ["macro_f1", "log_loss", "ece"]


def pick(table, **where):
    for column, value in where.items():
        table = table[table[column] == value]
    return table


@pytest.fixture(scope="module")
def learnt():
    """220 cells, 20 of them without a label; ATAC missing in some, protein pure noise and binarised; model, table."""
    sizes = {"rna": 60, "atac": 80, "protein": 12}
    mdata = ob.datasets.simulate(
        n_obs=220, n_truth=200, preset="useless", n_classes=3, n_features=sizes, missing={"atac": 0.2}, random_state=0
    )
    mdata.obs["part"] = mdata.obs["cell_type"].astype(object)
    mdata.obs.loc[mdata.obs_names[200:], "part"] = None
    model = ob.tl.fit(mdata, label_key="part", n_folds=3, device="cpu", progress=False, **OPTIONS)
    return mdata, model, ob.tl.robustness(model, mdata, **QUIET)


def test_what_it_returns_is_what_it_writes_and_survives_a_file(learnt, tmp_path, repository):
    mdata, _, table = learnt
    assert list(table.columns) == COLUMNS and set(table["rows"]) == {"out-of-fold"}
    pd.testing.assert_frame_equal(table, mdata.uns["omicsbal"][ROBUSTNESS])
    assert {"folds", "history", "heads"} <= set(mdata.uns["omicsbal"]), "beside the fit"
    mdata.write(tmp_path / "data.h5mu")
    read = mudata.read_h5mu(tmp_path / "data.h5mu").uns["omicsbal"][ROBUSTNESS].reset_index(drop=True)
    pd.testing.assert_frame_equal(read, table, check_dtype=False, check_categorical=False)
    page = (repository / "docs" / "slots.md").read_text().split("after `robustness`")[1].split("\n## ")[0]
    words = set(re.findall(r"`([^`]+)`", page))
    assert {*table.columns, *table["kind"], *table["head"], *table["measure"], *table["rows"]} <= words | {"r2", "rmse"}


def test_without_damage_it_is_the_fit(learnt):
    _, model, table = learnt
    for head in ("pool", "fused"):
        for m in model.modalities:
            for kind, none in (("removed", 0), ("thinned", 1), ("noised", 0)):
                row = pick(table, kind=kind, modality=m, level=none, head=head, **{"class": ""}).set_index("measure")["value"]
                np.testing.assert_allclose(row[SCORES], model.heads.loc[head, SCORES].astype(float), atol=0.01)
    assert (pick(table, kind="removed")["n"] == 200).sum() > 50


def test_all_removed_is_the_pattern_without_it(learnt):
    _, _, table = learnt
    for head in ("pool", "fused"):
        gone = pick(table, kind="removed", modality="atac", level=1, head=head, **{"class": ""}).set_index("measure")["value"]
        left = pick(table, kind="pattern", pattern="rna+protein", head=head).set_index("measure")["value"]
        np.testing.assert_allclose(gone[SCORES], left[SCORES], atol=1e-9)


def test_noise_costs_nothing_and_the_rest_something(learnt):
    _, _, table = learnt
    area = pick(table, measure="area", head="pool").set_index(["kind", "modality"])
    for kind in ("removed", "thinned", "noised"):
        assert area.loc[(kind, "rna"), "high"] < 1, kind
        assert area.loc[(kind, "protein"), "value"] > 0.95, kind
        assert area.loc[(kind, "rna"), "value"] < area.loc[(kind, "protein"), "value"]
    assert (area["low"] <= area["value"]).all() and (area["value"] <= area["high"]).all()
    assert area.loc[("removed", "atac"), "note"].endswith("rows lack atac anyhow.")


def test_patterns_and_recalls(learnt):
    _, model, table = learnt
    patterns = pick(table, kind="pattern", head="pool", measure="macro_f1").set_index("pattern")
    assert len(patterns) == 7 and patterns.loc["rna", "n"] == 200 and patterns.loc["rna+atac", "n"] < 200
    recall = pick(table, measure="recall")
    assert set(recall["level"]) == {0, 1} and set(recall["class"]) == set(model.classes) and set(recall["kind"]) == {"removed"}
    assert (recall.groupby(["modality", "level"])["n"].sum() == 200).all()
    floor = pick(table, kind="floor").set_index("measure")["value"]
    assert floor["macro_f1"] == pytest.approx(1 / 3)


def test_one_modality_that_is_everything_ends_at_the_prior(simulated):
    mdata = simulated(n_obs=150, n_truth=200, preset="redundant", n_classes=3, modalities=["rna"], random_state=0)
    model = ob.tl.fit(mdata, label_key="cell_type", n_folds=3, device="cpu", progress=False, **OPTIONS)
    table = ob.tl.robustness(model, mdata, kinds="removed", levels={"removed": [1]}, **QUIET)
    end, floor = pick(table, kind="removed", level=1, head="pool", **{"class": ""}), pick(table, kind="floor")
    assert len(end) == 3
    np.testing.assert_allclose(end["value"], floor["value"])
    assert pick(table, kind="removed", level=0, head="pool", measure="macro_f1")["value"].iloc[0] > 0.6


@pytest.mark.filterwarnings("ignore:.*in-sample")  # simulated from one seed, some cells have the same peaks
def test_new_rows_are_told_as_predict_does(learnt, tmp_path):
    _, model, _ = learnt
    query = ob.datasets.simulate(
        n_obs=120, n_truth=200, preset="useless", n_classes=3, n_features={"rna": 60, "atac": 80, "protein": 12}, random_state=0
    )
    query.obs["part"] = query.obs["cell_type"].astype(object)
    table = ob.tl.robustness(
        model.save(tmp_path / "model"), query, kinds=["removed", "noised"], group_key="donor", levels={"noised": [1]}, **QUIET
    )
    assert set(table["rows"]) == {"held-out"} and set(table["kind"]) == {"removed", "noised", "pattern", "floor"}
    assert table.loc[table["value"].notna(), "note"].str.contains("Only 6 groups").all()
    for modalities, where in (
        (None, {"kind": "removed", "modality": "rna", "level": 0}),
        (["atac", "protein"], {"kind": "removed", "modality": "rna", "level": 1}),
        (["atac"], {"kind": "pattern", "pattern": "atac"}),
    ):
        said = query.copy()
        del said.uns["omicsbal"]
        ob.tl.predict(model, said, modalities=modalities, device="cpu")
        logs = np.log(said.obsm["omicsbal_proba_part"][model.classes].to_numpy())
        scores = model.outcome.scores(model.outcome.encode(query.obs["part"]), logs)
        row = pick(table, head="pool", **where, **{"class": ""}).set_index("measure")["value"]
        np.testing.assert_allclose(row[SCORES], [scores[s] for s in SCORES], atol=1e-5)
    assert {ROBUSTNESS, "label_key", "task", "modalities", "versions"} == set(query.uns["omicsbal"])


def test_what_has_no_counts_is_not_thinned(simulated):
    mdata = simulated(n_obs=80, n_truth=100, preset="small", n_features=20, random_state=0)
    model = ob.tl.fit(mdata, label_key="cell_type", n_folds=2, device="cpu", progress=False, **BRIEF)
    table = ob.tl.robustness(model, mdata, kinds="thinned", **QUIET)
    dense = pick(table, kind="thinned")
    assert dense["value"].isna().all() and dense["note"].str.startswith("No raw counts").all()
    assert set(dense["modality"]) == set(model.modalities) and dense["level"].isna().all()
    assert pick(table, kind="pattern")["value"].notna().all()


def test_binarised_peaks_are_not_thinned(simulated):
    sizes = {"rna": 40, "atac": 80}
    mdata = simulated(n_obs=80, n_truth=100, n_classes=2, modalities=["rna", "atac"], n_features=sizes, random_state=0)
    mdata["atac"].X = (mdata["atac"].X > 0).astype("float32")
    model = ob.tl.fit(mdata, label_key="cell_type", n_folds=2, device="cpu", progress=False, recipe={"atac": "atac"}, **BRIEF)
    told = pick(ob.tl.robustness(model, mdata, kinds="thinned", levels={"thinned": [0.5]}, **QUIET), kind="thinned")
    assert pick(told, modality="atac")["note"].str.startswith("Binarised").all()
    assert pick(told, modality="rna", level=0.5)["value"].notna().all()


def test_a_number_has_its_own_scores(tri, quick):
    tri.obs["size"] = np.log(np.asarray(tri["rna"].X.sum(axis=1)).ravel() + 1)
    model = quick(tri, label_key="size", experts=True)
    table = ob.tl.robustness(model, tri, kinds="removed", levels={"removed": [0.5]}, **QUIET)
    none = pick(table, kind="removed", modality="rna", level=0, head="pool").set_index("measure")["value"]
    np.testing.assert_allclose(none[["r2", "rmse"]], model.heads.loc["pool", ["r2", "rmse"]].astype(float), atol=0.01)
    assert pick(table, kind="floor", measure="r2")["value"].iloc[0] == pytest.approx(0, abs=0.02)
    assert set(table["measure"]) == {"r2", "rmse", "area"}


def test_nothing_but_the_slot_is_written_and_what_is_refused(learnt, frozen, tri, quick):
    mdata, model, table = learnt
    before = frozen(mdata)
    few = {"kinds": "thinned", "levels": {"thinned": [0.5]}}
    again = ob.tl.robustness(model, mdata, key_added="other", **few, **QUIET)
    del mdata.uns["other"]
    assert frozen(mdata) == before, "counts bit for bit"
    same = pick(table, kind="thinned", level=0.5).reset_index(drop=True)
    pd.testing.assert_frame_equal(pick(again, kind="thinned", level=0.5).reset_index(drop=True), same)
    for error, match, options in (
        (ValueError, "`kinds`.*Did you mean 'removed'", {"kinds": "remove"}),
        (ValueError, "`kinds`: expected some of", {"kinds": ()}),
        (ValueError, "`levels`", {"kinds": "removed", "levels": {"thinned": [0.5]}}),
        (TypeError, "`levels`: expected levels by kind", {"levels": [0.5]}),
        (ValueError, r"levels\['removed'\]", {"levels": {"removed": [0.5, 1.5]}}),
        (ValueError, r"levels\['thinned'\]", {"levels": {"thinned": [0]}}),
        (TypeError, r"levels\['noised'\]", {"levels": {"noised": ["much"]}}),
        (ValueError, "`random_state`", {"random_state": -1}),
        (KeyError, "`group_key`.*Did you mean 'donor'", {"group_key": "doner"}),
        (ValueError, "`key_added`", {"key_added": "rna"}),
    ):
        with pytest.raises(error, match=match):
            ob.tl.robustness(model, mdata, **QUIET, **options)
    assert frozen(mdata) == before
    graph = quick(tri, encoder="graph")
    with pytest.raises(ValueError, match="the training rows of a graph encoder"):
        ob.tl.robustness(graph, tri, **QUIET)
