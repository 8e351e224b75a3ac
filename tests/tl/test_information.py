"""What information writes, on which rows, and all that it refuses; its numbers are tested in tests/diagnostics."""

import re

import mudata
import numpy as np
import pandas as pd
import pytest

import omicsbal as ob
from omicsbal._keys import INFORMATION, PID
from omicsbal.diagnostics.posteriors import calibrated, out_of_fold_raw
from omicsbal.train.predictor import subset

PARTS = ["redundant", "unique_1", "unique_2", "synergistic"]
COLUMNS = ["kind", "source_1", "source_2", "value", "low", "high", "n", "lower_bound", "rows", "method", "note"]


def value(table, kind, one, two=""):
    (found,) = table.loc[(table["kind"] == kind) & (table["source_1"] == one) & (table["source_2"] == two), "value"]
    return found


@pytest.fixture(scope="module")
def learnt():
    """A fit that learns something: 200 cells, two modalities, 20 of the cells new and 10 without protein; with its table."""
    sizes = {"rna": 60, "protein": 12}
    mdata = ob.datasets.simulate(
        n_obs=220, n_truth=200, preset="redundant", n_classes=3, n_features=sizes, modalities=["rna", "protein"], random_state=0
    )
    lacking = mdata["protein"][10:].copy()
    obs = mdata.obs.copy()
    mdata = mudata.MuData({"rna": mdata["rna"].copy(), "protein": lacking})
    for column in ("cell_type", "donor"):
        mdata.obs[column] = obs[column].loc[mdata.obs_names].to_numpy()
    mdata.obs["part"] = mdata.obs["cell_type"].astype(object)
    mdata.obs.loc[mdata.obs_names[200:], "part"] = None
    options = {"config": ob.FitConfig(max_epochs=20, n_members=1), "net": ob.NetConfig(width=16, depth=1, latent=4)}
    model = ob.tl.fit(mdata, label_key="part", n_folds=3, device="cpu", progress=False, **options)
    return mdata, model, ob.tl.information(model, mdata, device="cpu")


def test_what_it_returns_is_what_it_writes_and_survives_a_file(learnt, tmp_path):
    mdata, _, table = learnt
    said = mdata.uns["omicsbal"]
    assert list(table.columns) == COLUMNS
    assert list(table["kind"]) == ["entropy", *["label"] * 3, "between", *PARTS[:3], "synergistic", "total", "synergy_kmeans"]
    assert table["lower_bound"].iloc[8] == 1 and table["value"].iloc[-1] < table["value"].iloc[0], (
        "a second opinion of a lower bound"
    )
    pd.testing.assert_frame_equal(table, pd.concat([said[INFORMATION], said[PID]], ignore_index=True))
    assert {"folds", "history", "heads"} <= set(said), "beside the fit"
    mdata.write(tmp_path / "data.h5mu")
    again = mudata.read_h5mu(tmp_path / "data.h5mu")
    for name in (INFORMATION, PID):
        read = again.uns["omicsbal"][name].reset_index(drop=True)
        pd.testing.assert_frame_equal(read, said[name], check_dtype=False, check_categorical=False)
    assert len(ob.pl.information(again)) == 2


def test_the_page_of_slots_names_all_there_is(learnt, repository):
    _, _, table = learnt
    page = (repository / "docs" / "slots.md").read_text().split("after `information`")[1].split("\n## ")[0]
    words = set(re.findall(r"`([^`]+)`", page))
    assert {*table.columns, *table["kind"], *table["rows"], INFORMATION, PID} <= words


def test_the_rows_are_the_labelled_ones_that_have_it(learnt):
    _, _, table = learnt
    n = {(k, one): size for k, one, size in zip(table["kind"], table["source_1"], table["n"], strict=True)}
    assert n["entropy", ""] == n["label", "rna"] == 200
    assert n["label", "protein"] == n["label", "rna+protein"] == n["between", "rna"] == n["redundant", "rna"] == 190
    assert set(table["rows"]) == {"out-of-fold"} and (table["note"] == "").all()


def test_numbers_hang_together(learnt):
    _, _, table = learnt
    entropy, low, high = table[["value", "low", "high"]].to_numpy().T[:, 0][[0, 1, 2]]
    assert 1.0 < entropy < np.log(3) + 1e-9 and low <= entropy <= high
    assert ((table["low"] <= table["value"]) & (table["value"] <= table["high"])).all()
    assert value(table, "label", "rna") > 0.3 and value(table, "label", "protein") > 0.1, "something was learnt"
    parts = [value(table, part, "rna", "protein") for part in PARTS]
    assert sum(parts) == pytest.approx(value(table, "total", "rna", "protein"))
    assert parts[0] > 0.1, "both read the same label"
    together = value(table, "label", "rna+protein")
    assert value(table, "total", "rna", "protein") >= together - 1e-9 and together <= entropy


def test_no_training_row_is_judged_by_what_saw_it(learnt):
    """Labels changed at random: what the model says of a fold comes from members that never saw it, so nothing is told."""
    mdata, _, _ = learnt
    shuffled = mdata.copy()
    labels = mdata.obs["part"].to_numpy()[:200]
    shuffled.obs["part"] = pd.Series([*np.random.default_rng(0).permutation(labels), *[None] * 20], index=mdata.obs_names)
    options = {"config": ob.FitConfig(max_epochs=10, n_members=1), "net": ob.NetConfig(width=16, depth=1, latent=4)}
    model = ob.tl.fit(shuffled, label_key="part", n_folds=3, device="cpu", progress=False, **options)
    table = ob.tl.information(model, shuffled, device="cpu")
    assert table.loc[table["kind"] == "label", "value"].max() < 0.05


def test_new_rows_are_held_out(learnt, tmp_path):
    _, model, _ = learnt
    query = ob.datasets.simulate(
        n_obs=150, n_truth=200, preset="redundant", n_classes=3, n_features={"rna": 60, "protein": 12},
        modalities=["rna", "protein"], random_state=0,
    )  # fmt: skip
    query.obs["part"] = query.obs["cell_type"].astype(object)
    query.obs.loc[query.obs_names[:30], "part"] = "a type the model does not know"
    table = ob.tl.information(model, query, group_key="donor", device="cpu")
    assert set(table["rows"]) == {"held-out"} and set(table["n"]) == {120}
    assert table["note"].str.contains("Only 6 groups").all()
    assert value(table, "label", "rna") > 0.3
    assert set(query.uns["omicsbal"]) == {"label_key", "task", "modalities", "versions", INFORMATION, PID}
    one = mudata.MuData({"rna": query["rna"].copy()})
    one.obs["part"] = query.obs["part"].to_numpy()
    assert list(ob.tl.information(model, one, device="cpu")["kind"]) == ["entropy", "label"]
    one.write(tmp_path / "one.h5mu")
    parts = mudata.read_h5mu(tmp_path / "one.h5mu").uns["omicsbal"][PID]
    assert len(parts) == 0 and list(parts.columns) == COLUMNS
    with pytest.raises(ValueError, match="at least one pair of modalities"):
        ob.pl.information(one)


def test_another_key_does_not_make_training_rows_new(learnt):
    mdata, model, table = learnt
    again = ob.tl.information(model, mdata, key_added="other", device="cpu")
    pd.testing.assert_frame_equal(again, table)
    del mdata.uns["other"]


def test_nothing_but_the_slot_is_written(learnt, frozen):
    mdata, model, _ = learnt
    before = frozen(mdata)
    ob.tl.information(model, mdata, key_added="told", device="cpu")
    del mdata.uns["told"]
    assert frozen(mdata) == before


def test_a_model_from_disk_says_the_same(learnt, tmp_path):
    mdata, model, table = learnt
    again = ob.tl.information(model.save(tmp_path / "model"), mdata, key_added="other", device="cpu")
    del mdata.uns["other"]
    pd.testing.assert_frame_equal(again, table, atol=1e-4)


def test_three_modalities_and_each_against_the_rest(holed, quick):
    model = quick(holed, group_key="donor", n_folds=3)
    table = ob.tl.information(model, holed, device="cpu")
    pairs = table.loc[table["kind"] == "redundant", ["source_1", "source_2"]].to_records(index=False).tolist()
    assert pairs == [
        ("rna", "atac"), ("rna", "protein"), ("atac", "protein"),
        ("rna", "atac+protein"), ("atac", "rna+protein"), ("protein", "rna+atac"),
    ]  # fmt: skip
    assert table["note"].str.contains("Only 6 groups").all(), "the donors of the fit"


def test_out_of_fold_means_by_the_member_that_did_not_see_it(learnt):
    """The unimodal head of a row is that of its fold's member, and experts are fitted without it."""
    mdata, model, _ = learnt
    data = subset(model.arrays(mdata, device="cpu")[0], np.arange(200))
    y = model.outcome.encode(mdata.obs["part"].iloc[:200])
    predictor, rna = model.predictor, frozenset({"rna"})
    raw = out_of_fold_raw(predictor, data, y, [rna])[rna]
    assert set(raw) == {"fused", "rna", "lr:rna"}
    folds = predictor.members.folds
    moved = y.copy()
    moved[folds == 0] = (moved[folds == 0] + 1) % 3
    other = out_of_fold_raw(predictor, data, moved, [rna])[rna]
    np.testing.assert_array_equal(raw["lr:rna"][folds == 0], other["lr:rna"][folds == 0])
    assert (raw["lr:rna"][folds == 1] != other["lr:rna"][folds == 1]).any()
    rows = np.ones(200, dtype=bool)
    one, two = (calibrated(raw, labels, rows, folds, model.outcome) for labels in (y, moved))
    np.testing.assert_array_equal(one[folds == 0], two[folds == 0])
    assert np.exp(one).sum(axis=1) == pytest.approx(1)
    assert np.isnan(calibrated(raw, y, np.arange(200) < 150, folds, model.outcome)[150:]).all()


def refused(model, mdata, error, match, **options):
    with pytest.raises(error, match=match):
        ob.tl.information(model, mdata, **{"device": "cpu", **options})


def test_what_is_refused(learnt, tri, quick, frozen):
    mdata, model, _ = learnt
    before = frozen(mdata)
    refused("nowhere", mdata, FileNotFoundError, "nowhere")
    refused(3, mdata, TypeError, "`model`: expected a FittedModel")
    refused(model, mdata, ValueError, "`random_state`", random_state=-1)
    refused(model, mdata, KeyError, "`group_key`.*Did you mean 'donor'", group_key="doner")
    refused(model, mdata, ValueError, "`key_added`", key_added="rna")
    refused(model, mdata[:50], ValueError, "a view")
    part = mdata[:50].copy()
    refused(model, part, ValueError, r"expected those of this model, which trained on 200.*whole MuData")
    other = mdata.copy()
    other.uns["omicsbal"]["folds"][:200] = (other.uns["omicsbal"]["folds"][:200] + 1) % 3
    refused(model, other, ValueError, r"folds.*expected those of this model")
    swapped = mdata.copy()
    swapped["rna"].X = swapped["rna"].X[::-1].copy()
    refused(
        model, swapped, ValueError, "`mdata`: expected training rows as they were at the fit; found 200 of 200 in another place"
    )
    unlabelled = mdata.copy()
    del unlabelled.uns["omicsbal"]
    unlabelled.obs["part"] = None
    refused(model, unlabelled, ValueError, "expected rows with a label that the model knows; found none")
    unlabelled = mdata.copy()
    unlabelled.obs.loc[unlabelled.obs_names[:3], "part"] = None
    refused(model, unlabelled, ValueError, "found 3 training rows without one")
    assert frozen(mdata) == before
    tri.obs["size"] = np.asarray(tri["rna"].X.sum(axis=1)).ravel() / 7
    number = quick(tri, label_key="size")
    refused(number, tri, ValueError, "`model`: expected a model of classes; found one of 'size', a number")
    quick(tri)
    refused(model, tri, ValueError, "`key_added`: expected a free slot or one for 'part'")


@pytest.mark.filterwarnings("ignore:.*found an AnnData")
def test_training_rows_of_an_anndata_are_not_taken_for_new(tri, quick):
    """A fit of an AnnData leaves its folds in a MuData that nobody holds: the same again is refused, others are welcome."""
    adata = tri["rna"].copy()
    adata.obs["cell_type"] = tri.obs["cell_type"].to_numpy()
    other = adata.copy()
    model = quick(adata)
    with pytest.raises(ValueError, match="expected rows that the model never saw; found 90 of 90 that it was trained on"):
        ob.tl.information(model, adata, device="cpu")
    other.obs_names = [f"new_{name}" for name in other.obs_names]
    ob.tl.embed(model, other, device="cpu")
    assert set(ob.tl.information(model, other, device="cpu")["rows"]) == {"held-out"}
