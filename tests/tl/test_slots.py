"""What a fit writes where, and that it survives a file."""

import json

import mudata
import numpy as np
import pandas as pd
import pytest

import omicsbal as ob

SETTINGS = {"label_key", "task", "metric", "classes", "modalities", "strategy", "random_state", "versions", "params", "folds"}
TABLES = {"history", "heads", "fold_scores", "calibration", "recipes", "pools"}


def _reread(mdata, folder):
    mdata.write(folder / "data.h5mu")
    return mudata.read_h5mu(folder / "data.h5mu")


def _check_written(mdata, label="cell_type", key="omicsbal"):
    """The slots of a classification, against each other."""
    proba, said = mdata.obsm[f"{key}_proba_{label}"], mdata.uns[key]
    assert {*SETTINGS, *TABLES} <= set(said)
    some = np.logical_or.reduce([np.asarray(mdata.obsmap[m]).reshape(-1) > 0 for m in said["modalities"]])
    np.testing.assert_allclose(proba[some].sum(axis=1), 1, atol=1e-6)
    assert proba[~some].isna().all(axis=None)
    assert proba.columns.tolist() == list(said["classes"]) and proba.index.equals(mdata.obs_names)
    guess = mdata.obs[f"{key}_{label}"]
    assert isinstance(guess.dtype, pd.CategoricalDtype)
    assert guess[some].astype(str).tolist() == proba[some].idxmax(axis=1).tolist()
    np.testing.assert_allclose(mdata.obs[f"{key}_confidence"][some], proba[some].max(axis=1))
    z = mdata.obsm[f"X_{key}"]
    assert z.dtype == np.float32 and np.array_equal(~np.isnan(z).any(axis=1), some)
    for m in said["modalities"]:
        assert mdata[m].obsm[f"X_{key}"].shape == (mdata[m].n_obs, z.shape[1])
        assert not np.isnan(mdata[m].obsm[f"X_{key}"]).any()
    assert json.loads(said["params"])["label_key"] == said["label_key"] == label


def _check_same(a, b, key="omicsbal"):
    """All of a fit's results in `b` are those in `a`, cell by cell."""
    cells = a.obs_names
    assert set(cells) == set(b.obs_names)
    place = b.obs_names.get_indexer(cells)
    for column in [c for c in a.obs if c.startswith(key)]:
        assert b.obs[column].loc[cells].astype(str).tolist() == a.obs[column].astype(str).tolist()
    for slot in [s for s in a.obsm if key in s]:
        np.testing.assert_array_equal(np.asarray(b.obsm[slot])[place], np.asarray(a.obsm[slot]))
    for m in a.mod:
        if f"X_{key}" in a[m].obsm:
            there = b[m].obs_names.get_indexer(a[m].obs_names)
            np.testing.assert_array_equal(b[m].obsm[f"X_{key}"][there], a[m].obsm[f"X_{key}"])
    ours, theirs = a.uns[key], b.uns[key]
    assert set(ours) == set(theirs)
    np.testing.assert_array_equal(theirs["folds"][place], ours["folds"])
    for name, value in ours.items():
        if isinstance(value, pd.DataFrame):
            pd.testing.assert_frame_equal(theirs[name].reset_index(drop=True), value, check_dtype=False, check_categorical=False)
        elif name != "folds":
            assert np.array_equal(theirs[name], value), name


@pytest.mark.parametrize("data", ["tri", "holed"])
def test_slots_and_file(request, quick, tmp_path, data):
    mdata = request.getfixturevalue(data)
    model = quick(mdata, experts=True)
    _check_written(mdata)
    assert (mdata.uns["omicsbal"]["folds"] >= 0).all()
    again = _reread(mdata, tmp_path)
    _check_written(again)
    _check_same(mdata, again)
    assert json.loads(again.uns["omicsbal"]["params"]) == model.params


def test_a_mosaic_survives_a_file(simulated, quick, tmp_path):
    mdata = simulated(
        n_obs=90, n_truth=200, preset="redundant", n_classes=3, mosaic={"batch_1": ["atac", "protein"]}, random_state=0
    )
    quick(mdata)
    _check_written(mdata)
    _check_same(mdata, _reread(mdata, tmp_path))


def test_a_reordered_subset_with_missing_modalities_survives_a_file(holed, quick, tmp_path):
    for slot in [s for s in holed.obsm if s.startswith("oracle")]:
        del holed.obsm[slot]  # mudata 0.3 cannot reorder a DataFrame
    mdata = holed[np.random.default_rng(0).permutation(90)[:70]].copy()
    quick(mdata)
    _check_written(mdata)
    _check_same(mdata, _reread(mdata, tmp_path))


def test_a_subset_after_the_fit_keeps_the_results(holed, quick, tmp_path):
    """In their order: mudata 0.3 fails on reordered rows where cells lack modalities and obsm holds a DataFrame."""
    quick(holed)
    rows = np.sort(np.random.default_rng(0).permutation(90)[:70])
    part = holed[rows].copy()
    np.testing.assert_array_equal(part.obsm["X_omicsbal"], holed.obsm["X_omicsbal"][holed.obs_names.get_indexer(part.obs_names)])
    assert part.obs["omicsbal_cell_type"].tolist() == holed.obs["omicsbal_cell_type"].loc[part.obs_names].tolist()
    part.update()
    part.write(tmp_path / "part.h5mu")
    again = mudata.read_h5mu(tmp_path / "part.h5mu")
    assert again.obsm["omicsbal_proba_cell_type"].equals(part.obsm["omicsbal_proba_cell_type"])


def test_a_view_is_refused_before_training(tri, quick, monkeypatch):
    model = quick(tri.copy())
    monkeypatch.setattr("omicsbal.tl._fit.fit_predictor", None)
    words = r"`mdata`: expected a MuData to write to; found a view of 50 cells .* mdata\[\.\.\.\]\.copy"
    for call in (quick, lambda view: ob.tl.predict(model, view), lambda view: ob.tl.embed(model, view)):
        with pytest.raises(ValueError, match=words):
            call(tri[:50])


def test_regression_slots_and_file(tri, quick, tmp_path):
    tri.obs["age"] = np.random.default_rng(0).normal(60, 10, tri.n_obs)
    tri.obs.loc[tri.obs_names[:7], "age"] = np.nan
    model = quick(tri, label_key="age", experts=True)
    assert model.task == "regression" and model.classes == [] and tri.uns["omicsbal"]["metric"] == "r2"
    value, interval = tri.obs["omicsbal_age"], tri.obsm["omicsbal_interval_age"]
    assert value.dtype == float and value.notna().all() and 30 < value.mean() < 90
    assert interval.columns.tolist() == ["low", "high"]
    np.testing.assert_allclose(interval.mean(axis=1), value)
    assert "omicsbal_confidence" not in tri.obs
    assert (tri.uns["omicsbal"]["folds"][:7] == -1).all() and (tri.uns["omicsbal"]["folds"][7:] >= 0).all()
    _check_same(tri, _reread(tri, tmp_path))


def test_two_keys_beside_each_other_and_a_label_with_a_slash(tri, quick, tmp_path):
    tri.obs["a/b"] = tri.obs["cell_type"].to_numpy()
    quick(tri, key_added="one", strategy="late")
    quick(tri, key_added="two", label_key="a/b", modalities=["rna", "protein"])
    _check_written(tri, key="one")
    assert {"two_a_b", "two_confidence"} <= set(tri.obs) and "two_proba_a_b" in tri.obsm
    assert "X_two" not in tri["atac"].obsm and list(tri.uns["two"]["modalities"]) == ["rna", "protein"]
    del tri.obs["a/b"]  # a slash cannot be a column of a file
    again = _reread(tri, tmp_path)
    _check_same(tri, again, key="one")
    _check_same(tri, again, key="two")


def test_a_second_fit_replaces_the_first_whole(tri, quick):
    quick(tri, strategy="late")
    first = set(tri.uns["omicsbal"])
    quick(tri)
    assert tri.uns["omicsbal"]["strategy"] == "uniform" and set(tri.uns["omicsbal"]) == first
    _check_written(tri)


@pytest.mark.filterwarnings("ignore:.*in-sample")
def test_nothing_else_changes(holed, quick, frozen):
    holed.obs["mine"], holed.obsm["mine"], holed.uns["mine"] = 1, np.ones((90, 2)), {"a": np.arange(3)}
    holed["rna"].layers["raw"], holed["rna"].uns["x"] = holed["rna"].X.copy(), {"y": 1}
    before = frozen(holed)
    model = quick(holed)
    ob.tl.predict(model, holed, key_added="query")
    for key in ("omicsbal", "query"):
        for where in (holed, *holed.mod.values()):
            for slot in [c for c in where.obs if key in c]:
                del where.obs[slot]
            for slot in [s for s in where.obsm if key in s]:
                del where.obsm[slot]
            where.uns.pop(key, None)
    assert frozen(holed) == before
