"""What contribution writes, on which rows, and what it refuses; its numbers are tested in tests/diagnostics."""

import re

import mudata
import numpy as np
import pandas as pd
import pytest

import omicsbal as ob
from omicsbal._keys import CONFUSIONS, CONTRIBUTION

COLUMNS = ["kind", "measure", "modality", "class", "value", "low", "high", "n", "p", "q", "rows", "note"]
OPTIONS = {"config": ob.FitConfig(max_epochs=15, n_members=1), "net": ob.NetConfig(width=16, depth=1, latent=4)}
SIZES = {"rna": 60, "atac": 80, "protein": 12}
SHARES = "omicsbal_contribution_part"


def pick(table, kind, measure="information"):
    rows = table[(table["kind"] == kind) & (table["measure"] == measure) & (table["class"] == "")]
    return rows.set_index("modality")


@pytest.fixture(scope="module")
def learnt():
    """200 cells, ATAC missing in 10 of them, protein pure noise; 20 more without a label; model, table."""
    mdata = ob.datasets.simulate(n_obs=220, n_truth=200, preset="useless", n_classes=3, n_features=SIZES, random_state=0)
    obs = mdata.obs.copy()
    mdata = mudata.MuData({"rna": mdata["rna"].copy(), "atac": mdata["atac"][10:].copy(), "protein": mdata["protein"].copy()})
    for column in ("cell_type", "donor"):
        mdata.obs[column] = obs[column].loc[mdata.obs_names].to_numpy()
    mdata.obs["part"] = mdata.obs["cell_type"].astype(object)
    mdata.obs.loc[mdata.obs_names[200:], "part"] = None
    model = ob.tl.fit(mdata, label_key="part", n_folds=3, device="cpu", progress=False, **OPTIONS)
    return mdata, model, ob.tl.contribution(model, mdata, device="cpu")


def test_what_it_returns_is_what_it_writes_and_survives_a_file(learnt, tmp_path):
    mdata, _, table = learnt
    said = mdata.uns["omicsbal"]
    assert list(table.columns) == COLUMNS
    pd.testing.assert_frame_equal(table, said[CONTRIBUTION])
    assert {"folds", "history", "heads"} <= set(said), "beside the fit"
    mdata.write(tmp_path / "data.h5mu")
    again = mudata.read_h5mu(tmp_path / "data.h5mu")
    for name in (CONTRIBUTION, CONFUSIONS):
        read = again.uns["omicsbal"][name].reset_index(drop=True)
        pd.testing.assert_frame_equal(read, said[name], check_dtype=False, check_categorical=False)
    pd.testing.assert_frame_equal(again.obsm[SHARES], mdata.obsm[SHARES], check_names=False)


def test_the_page_of_slots_names_all_there_is(learnt, repository):
    mdata, _, table = learnt
    page = (repository / "docs" / "slots.md").read_text().split("after `contribution`")[1].split("\n## ")[0]
    words = set(re.findall(r"`([^`]+)`", page))
    told = {*table.columns, *table["kind"], *table["measure"], *table["rows"], *mdata.uns["omicsbal"][CONFUSIONS].columns}
    assert told <= words | {"note", "rows"}


def test_shares_by_cell_are_the_mean_and_missing_elsewhere(learnt):
    mdata, _, table = learnt
    shares = mdata.obsm[SHARES]
    used = np.ravel(mdata.obsmap["atac"]).astype(int) > 0
    used &= mdata.obs["part"].notna().to_numpy()
    assert used.sum() == 190 and (table.loc[table["class"] == "", "n"] == 190).all()
    assert list(shares.columns) == ["rna", "atac", "protein"] and shares.index.equals(mdata.obs_names)
    np.testing.assert_array_equal(shares.notna().all(axis=1), used)
    np.testing.assert_allclose(shares.mean(), pick(table, "shapley").loc[shares.columns, "value"], atol=1e-10)
    note = pick(table, "total")["note"].iloc[0]
    assert note.startswith("Left out: 10 rows with rna+protein. The fused head was not trained with rna or protein missing:")
    assert set(table["rows"]) == {"out-of-fold"}


def test_noise_contributes_nothing_and_the_rest_something(learnt):
    _, _, table = learnt
    share, need = pick(table, "shapley"), pick(table, "need")
    assert share.loc["protein", "low"] <= 0 <= share.loc["protein", "high"]
    assert abs(share.loc["protein", "value"]) < 0.05 and abs(need.loc["protein", "value"]) < 0.05
    assert share.loc["rna", "low"] > 0.1
    assert share["value"].sum() == pytest.approx(pick(table, "total")["value"].iloc[0], abs=1e-10)
    assert pick(table, "shapley", "macro_f1").loc["rna", "low"] > 0.05
    noise = table[(table["kind"] == "need") & (table["modality"] == "protein") & table["p"].notna()]
    assert len(noise) == 3 and (noise["q"] > 0.01).all()


def test_permuted_labels_cover_nothing(learnt):
    mdata, _, _ = learnt
    shuffled = mdata.copy()
    labels = mdata.obs["part"].to_numpy()[:200]
    shuffled.obs["part"] = pd.Series([*np.random.default_rng(0).permutation(labels), *[None] * 20], index=mdata.obs_names)
    model = ob.tl.fit(shuffled, label_key="part", n_folds=3, device="cpu", progress=False, **OPTIONS)
    assert SHARES not in shuffled.obsm and CONTRIBUTION not in shuffled.uns["omicsbal"], "of another model"
    table = ob.tl.contribution(model, shuffled, device="cpu")
    for measure in ("information", "macro_f1"):
        share = pick(table, "shapley", measure)
        assert (share["low"] <= 0).all(), "no gain is claimed"
    assert pick(table, "shapley")["value"].abs().max() < 0.05
    assert pick(table, "imbalance")["note"].iloc[0].startswith("All together tell nothing for sure")


def test_new_rows_from_disk_with_donors(learnt, tmp_path):
    _, model, _ = learnt
    query = ob.datasets.simulate(
        n_obs=150, n_truth=200, preset="useless", n_classes=3, n_features={"rna": 60, "atac": 80}, modalities=["rna", "atac"],
        random_state=0,
    )  # fmt: skip
    query.obs["part"] = query.obs["cell_type"].astype(object)
    options = {"value": "accuracy", "group_key": "donor", "device": "cpu"}
    table = ob.tl.contribution(model.save(tmp_path / "model"), query, **options)
    assert set(table["rows"]) == {"held-out"} and set(table["measure"]) == {"accuracy", "information", "recall"}
    total = pick(table, "total", "accuracy")
    assert list(total.index) == ["rna+atac"] and "Not in this MuData: protein." in total["note"].iloc[0]
    assert table["note"].str.contains("Only 6 groups").all()
    assert set(query.uns["omicsbal"]) == {"label_key", "task", "modalities", "versions", CONTRIBUTION, CONFUSIONS}
    again = ob.tl.contribution(model, query, **options)
    pd.testing.assert_frame_equal(again, table, atol=1e-4)


def test_nothing_but_the_slots_is_written_and_what_is_refused(learnt, frozen, tri, quick):
    mdata, model, table = learnt
    before = frozen(mdata)
    pd.testing.assert_frame_equal(ob.tl.contribution(model, mdata, key_added="other", device="cpu"), table)
    del mdata.uns["other"], mdata.obsm["other_contribution_part"]
    for error, match, options in (
        (ValueError, "`value`.*Did you mean 'macro_f1'", {"value": "macro-f1"}),
        (ValueError, "`value`: expected some of", {"value": ()}),
        (ValueError, "`random_state`", {"random_state": -1}),
        (KeyError, "`group_key`.*Did you mean 'donor'", {"group_key": "doner"}),
        (ValueError, "`key_added`", {"key_added": "rna"}),
    ):
        with pytest.raises(error, match=match):
            ob.tl.contribution(model, mdata, device="cpu", **options)
    assert frozen(mdata) == before
    tri.obs["size"] = np.asarray(tri["rna"].X.sum(axis=1)).ravel() / 7
    number = quick(tri, label_key="size")
    with pytest.raises(ValueError, match=r"`value`.*'macro_f1'"):
        ob.tl.contribution(number, tri, value="macro_f1", device="cpu")
    tri.obs["size"] = [f"{size:.0f} counts" for size in tri.obs["size"]]
    with pytest.raises(ValueError, match="expected numbers"):
        ob.tl.contribution(number, tri, device="cpu", key_added="new")


def test_the_model_leans_on_what_it_learnt_from(learnt):
    mdata, model, table = learnt
    leans = pick(table, "permutation", "macro_f1")
    assert list(leans.index) == ["rna", "atac", "protein"] and set(table.loc[table["kind"] == "permutation", "measure"]) == {
        "macro_f1"
    }
    assert leans.loc["rna", "low"] > 0.05 and leans.loc["protein", "low"] <= 0.02
    assert (leans["low"] <= leans["value"]).all() and (leans["value"] <= leans["high"]).all()
    without = ob.tl.contribution(
        model, mdata, value=("accuracy", "information"), n_permutations=0, device="cpu", key_added="other"
    )
    assert "permutation" not in set(without["kind"])
    del mdata.uns["other"], mdata.obsm["other_contribution_part"]


def test_the_total_says_whether_absence_was_trained(tri, holed, quick):
    said = {}
    for name, data, strategy in (
        ("complete", tri, "uniform"),
        ("holed", holed, "uniform"),
        ("late", tri, "late"),
        ("dropout", tri, "modality_dropout"),
    ):
        model = quick(data, strategy=strategy)
        said[name] = pick(ob.tl.contribution(model, data, value="information", device="cpu"), "total")["note"].iloc[0]
    assert "not trained with rna or atac or protein missing:" in said["complete"]
    assert "not trained with rna missing:" in said["holed"]
    assert "not trained" not in said["late"] + said["dropout"]


def test_a_number_is_shared_out_in_nats_and_r2(simulated, tmp_path):
    """A number made of what two modalities hold, and a third that is noise; R squared is that of the predictions written."""
    mdata = ob.datasets.simulate(n_obs=260, n_truth=200, preset="useless", n_classes=4, n_features=SIZES, random_state=0)
    code = mdata.obs["cell_type"].cat.codes.to_numpy(float)
    mdata.obs["age"] = 50 + 10 * code + np.random.default_rng(0).normal(0, 4, 260)
    model = ob.tl.fit(mdata, label_key="age", n_folds=3, device="cpu", progress=False, **OPTIONS)
    table = ob.tl.contribution(model, mdata, device="cpu")
    assert set(table["measure"]) == {"information", "r2"} and set(table["class"]) == {""}
    assert set(table["kind"]) == {"total", "shapley", "solo", "need", "interaction", "imbalance"}
    for measure in ("information", "r2"):
        share, total = pick(table, "shapley", measure), pick(table, "total", measure)["value"].iloc[0]
        assert share["value"].sum() == pytest.approx(total, abs=1e-6)
        assert share.loc["rna", "low"] > 0.05 and share.loc["protein", "low"] <= 0.01
    off = (mdata.obs["omicsbal_age"] - mdata.obs["age"]).var() / mdata.obs["age"].var()
    total = pick(table, "total", "r2")["value"].iloc[0]
    assert total == pytest.approx(1 - off, abs=0.03)
    assert pick(table, "total")["value"].iloc[0] == pytest.approx(-np.log(1 - total) / 2, abs=0.06)
    shares = mdata.obsm["omicsbal_contribution_age"]
    np.testing.assert_allclose(shares.mean(), pick(table, "shapley").loc[shares.columns, "value"], atol=1e-6)
    assert len(mdata.uns["omicsbal"][CONFUSIONS]) == 0
    mdata.write(tmp_path / "data.h5mu")
    ob.pl.contribution(mdata)
    query = ob.datasets.simulate(n_obs=80, n_truth=200, preset="useless", n_classes=4, n_features=SIZES, random_state=0)
    query.obs["age"] = 50 + 10 * query.obs["cell_type"].cat.codes.to_numpy(float)
    query.obs.loc[query.obs_names[:5], "age"] = np.nan
    held = ob.tl.contribution(model, query, value="r2", device="cpu")
    assert set(held["rows"]) == {"held-out"} and (held["n"] == 75).all() and pick(held, "total", "r2")["value"].iloc[0] > 0.3


def test_experts_are_fitted_once(tri, quick, monkeypatch):
    """The subsets and the permutations ask the same linear experts of the folds, which take the longest to make."""
    from omicsbal.diagnostics import posteriors
    from omicsbal.tl import _contribution

    model, calls = quick(tri), []

    def counted(*args):
        calls.append(args)
        return found(*args)

    found = posteriors.fold_experts
    for module in (posteriors, _contribution):
        monkeypatch.setattr(module, "fold_experts", counted)
    table = ob.tl.contribution(model, tri, value="macro_f1", n_permutations=2, device="cpu")
    assert len(calls) == 1 and "permutation" in set(table["kind"])
