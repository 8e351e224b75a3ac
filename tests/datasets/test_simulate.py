"""What `simulate` returns: shapes, names, presence, determinism, files, and its complaints."""

import json

import numpy as np
import pandas as pd
import pytest
from scipy.sparse import issparse
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import cross_val_predict

from omicsbal import datasets
from omicsbal.datasets import simulate
from omicsbal.datasets._presets import PRESETS

QUICK = {"n_truth": 100}


def dense(mod):
    """Values of one modality as an array."""
    return mod.X.toarray() if issparse(mod.X) else np.asarray(mod.X)


def same(one, two):
    """Whether two draws agree in every bit."""
    pd.testing.assert_frame_equal(one.obs, two.obs, check_exact=True)
    for m in one.mod:
        np.testing.assert_array_equal(dense(one[m]), dense(two[m]))
        pd.testing.assert_frame_equal(one[m].var, two[m].var)
    for key in [k for k in one.obsm if k.startswith("oracle_")]:
        pd.testing.assert_frame_equal(one.obsm[key], two.obsm[key], check_exact=True)
    for key, value in one.uns["truth"].items():
        if isinstance(value, pd.DataFrame):
            pd.testing.assert_frame_equal(value, two.uns["truth"][key], check_exact=True)
        else:
            assert value == two.uns["truth"][key]
    return True


@pytest.mark.parametrize("preset", PRESETS)
def test_presets_small_draw(preset):
    mdata = simulate(n_obs=60, preset=preset, **QUICK)
    small = preset == "small"
    assert list(mdata.mod) == (["rna", "meth", "mirna"] if small else ["rna", "atac", "protein"])
    assert mdata.n_obs == 60
    assert mdata.obs["cell_type"].nunique() == len(mdata.obs["cell_type"].cat.categories)
    for column in ("cell_type", "batch", "donor"):
        assert isinstance(mdata.obs[column].dtype, pd.CategoricalDtype)
    for name, mod in mdata.mod.items():
        values = dense(mod)
        assert mod.n_obs == 60
        assert mod.X.dtype == np.float32
        assert mod.var_names.is_unique
        assert np.isfinite(values).all()
        assert "marker" in mod.var
        if not small:
            assert issparse(mod.X) == (name != "protein")
            assert (values == np.round(values)).all()
            assert values.min() >= 0
    keys = [key for key in mdata.obsm if key.startswith("oracle_")]
    assert len(keys) == 7
    for key in keys:
        frame = mdata.obsm[key]
        assert list(frame.columns) == list(mdata.obs["cell_type"].cat.categories)
        assert frame.index.equals(mdata.obs_names)
        np.testing.assert_allclose(np.exp(frame).sum(axis=1), 1, atol=1e-9)


def test_defaults():
    mdata = simulate()
    assert mdata.n_obs == 600
    detected = (mdata["atac"].X > 0).mean()
    assert 0.02 < detected < 0.2
    assert mdata["rna"].var["feature_types"].unique() == ["Gene Expression"]
    assert (mdata["rna"].var_names[0], mdata["atac"].var_names[0]) == ("gene_0001", "peak_0001")
    assert mdata["protein"].var_names[0] == "prot_0001"
    assert mdata.obs.groupby("donor", observed=True)["batch"].nunique().max() == 1
    assert simulate(preset="small", **QUICK).n_obs == 150


@pytest.mark.parametrize("random_state", range(3))
def test_every_class_has_cells(random_state):
    sizes = simulate(n_obs=100, random_state=random_state, **QUICK).obs["cell_type"].value_counts()
    assert len(sizes) == 8
    assert sizes.min() >= 5
    expected = np.arange(1, 9) ** -0.5
    assert np.abs(sizes.sort_index() - 100 * expected / expected.sum()).max() < 1


def test_learnable_but_not_trivial():
    mdata = simulate(random_state=0)
    label = mdata.obs["cell_type"].to_numpy()
    scores, blocks = {}, []
    for name, mod in mdata.mod.items():
        values = dense(mod)
        values = np.log1p(values / values.sum(axis=1, keepdims=True) * np.median(values.sum(axis=1)))
        blocks.append((values - values.mean(axis=0)) / (values.std(axis=0) + 1e-9))
        scores[name] = accuracy(blocks[-1], label)
    scores["all"] = accuracy(np.hstack(blocks), label)
    bayes = mdata.uns["truth"]["subsets"].set_index("subset")["bayes_accuracy"]
    assert scores["rna"] > bayes["none"] + 0.15
    assert scores["rna"] < bayes["rna"] + 0.06 < 1
    assert max(scores["rna"], scores["protein"]) + 0.05 < scores["all"] < bayes["rna+atac+protein"]


def accuracy(values, label):
    """Cross-validated accuracy of a logistic regression."""
    return np.mean(cross_val_predict(LogisticRegression(C=0.01, max_iter=200), values, label, cv=5) == label)


@pytest.mark.parametrize("preset", ["mixed", "small"])
def test_same_seed_same_bits(preset):
    options = {"preset": preset, "n_obs": 40, "missing": 0.2, "mosaic": True, **QUICK}
    assert same(simulate(**options), simulate(**options))
    other = simulate(**options, random_state=1)
    assert not np.array_equal(dense(other["rna"])[:5], dense(simulate(**options)["rna"])[:5])


def test_purposes_draw_apart():
    base = simulate(n_obs=40, **QUICK)
    changed = simulate(n_obs=40, n_features={"atac": 90}, missing={"protein": 0.5}, n_truth=150)
    pd.testing.assert_frame_equal(base.obs, changed.obs.loc[base.obs_names])
    np.testing.assert_array_equal(dense(base["rna"]), dense(changed["rna"]))
    longer = simulate(n_obs=80, **QUICK)
    np.testing.assert_array_equal(base["rna"].var["marker"], longer["rna"].var["marker"])
    pd.testing.assert_frame_equal(base.uns["truth"]["subsets"], longer.uns["truth"]["subsets"])


def test_global_generator_is_left_alone():
    before = np.random.get_state()[1].copy()  # noqa: NPY002
    simulate(n_obs=20, **QUICK)
    np.testing.assert_array_equal(before, np.random.get_state()[1])  # noqa: NPY002


def test_missing():
    mdata = simulate(n_obs=400, missing={"atac": 0.5, "protein": 0.9, "rna": 0.9}, **QUICK)
    held = np.stack([mdata.obs_names.isin(mod.obs_names) for mod in mdata.mod.values()])
    assert sorted(mdata.obs_names) == [f"cell_{i:03d}" for i in range(1, 401)]
    assert held.any(axis=0).all()
    assert 0.5 <= held[1].mean() < 0.75  # half, and part of those that would have none
    for name, mod in mdata.mod.items():
        rows = np.asarray(mdata.obsmap[name]).ravel()
        assert (mod.obs_names[rows[rows > 0] - 1] == mdata.obs_names[rows > 0]).all()
    full = simulate(n_obs=400, **QUICK)
    pd.testing.assert_frame_equal(full.obs, mdata.obs.loc[full.obs_names])
    where = full.obs_names.get_indexer(mdata["atac"].obs_names)
    np.testing.assert_array_equal(dense(mdata["atac"]), dense(full["atac"])[where])
    lone = held[1] & ~held[0]
    names = mdata.obs_names[lone]
    np.testing.assert_array_equal(mdata.obsm["oracle_rna+atac"].loc[names], full.obsm["oracle_atac"].loc[names])
    nothing = ~held[0]
    prior = json.loads(mdata.uns["truth"]["parameters"])["prior"]
    np.testing.assert_allclose(mdata.obsm["oracle_rna"][nothing], np.tile(np.log(prior), (nothing.sum(), 1)))


def test_mosaic():
    mdata = simulate(n_obs=90, n_batches=3, mosaic=True, **QUICK)
    batch = mdata.obs["batch"]
    held = {m: batch[mod.obs_names].unique().tolist() for m, mod in mdata.mod.items()}
    assert sorted(held["rna"]) == ["batch_0", "batch_1", "batch_2"]
    assert sorted(held["protein"]) == ["batch_0", "batch_2"]
    assert sorted(held["atac"]) == ["batch_0", "batch_1"]
    named = simulate(n_obs=60, mosaic={"batch_0": "rna", "batch_1": ["atac", "protein"]}, missing=0.8, **QUICK)
    assert set(named.obs["batch"][named["rna"].obs_names]) == {"batch_1"}
    assert set(named.obs["batch"][named["atac"].obs_names]) == {"batch_0"}
    assert named.n_obs == 60


@pytest.mark.parametrize("options", [{}, {"preset": "small"}, {"missing": 0.3, "mosaic": True}], ids=["mixed", "small", "gappy"])
def test_file_round_trip(tmp_path, options):
    import mudata

    mdata = simulate(n_obs=40, **options, **QUICK)
    mdata.write_h5mu(tmp_path / "s.h5mu")
    back = mudata.read_h5mu(tmp_path / "s.h5mu")
    assert list(back.mod) == list(mdata.mod)
    for column in ("cell_type", "batch", "donor"):
        assert back.obs[column].tolist() == mdata.obs[column].tolist()
    for m in mdata.mod:
        np.testing.assert_array_equal(dense(back[m]), dense(mdata[m]))
    for key in [k for k in mdata.obsm if k.startswith("oracle_")]:
        pd.testing.assert_frame_equal(back.obsm[key], mdata.obsm[key], check_names=False)
    for key, value in mdata.uns["truth"].items():
        if isinstance(value, pd.DataFrame):
            pd.testing.assert_frame_equal(back.uns["truth"][key], value)
        else:
            assert back.uns["truth"][key] == value
    assert json.loads(back.uns["truth"]["parameters"])["n_obs"] == 40


def test_dials_change_the_data():
    plain = simulate(n_obs=200, **QUICK)
    deep = simulate(n_obs=200, depth={"rna": 4.0}, **QUICK)
    assert dense(deep["rna"]).mean() == pytest.approx(4 * dense(plain["rna"]).mean(), rel=0.05)
    calm, rough = (simulate(n_obs=200, batch_effect=s, **QUICK) for s in (0.0, 1.0))
    assert batch_gap(rough) > 3 * batch_gap(calm)
    sizes = simulate(n_obs=200, n_classes=5, imbalance=2.0, **QUICK).obs["cell_type"].value_counts().to_numpy()
    assert len(sizes) == 5
    assert sizes[0] / sizes[1] == pytest.approx(4, rel=0.1)
    assert list(simulate(n_obs=20, modalities=["protein", "rna"], **QUICK).mod) == ["rna", "protein"]
    assert list(simulate(n_obs=20, modalities="atac", preset="celltype", mosaic=True, **QUICK).mod) == ["atac"]


def batch_gap(mdata):
    """Mean absolute log ratio of the batches' mean RNA counts, over genes."""
    values, late = dense(mdata["rna"]), (mdata.obs["batch"] == "batch_1").to_numpy()
    return np.abs(np.log((values[late].mean(axis=0) + 0.1) / (values[~late].mean(axis=0) + 0.1))).mean()


@pytest.mark.parametrize("n_classes", [2, 3, 5, 16])
@pytest.mark.parametrize("preset", ["mixed", "celltype", "dominant", "useless", "unique", "small"])
def test_any_number_of_classes(preset, n_classes):
    mdata = simulate(n_obs=64, preset=preset, n_classes=n_classes, **QUICK)
    assert mdata.obs["cell_type"].nunique() == n_classes


@pytest.mark.parametrize(
    ("options", "error", "says"),
    [
        ({"preset": "mxed"}, ValueError, "Did you mean 'mixed'"),
        ({"n_obs": 3}, ValueError, "`n_obs`"),
        ({"n_obs": 60.5}, TypeError, "integer"),
        ({"error": 1.5}, ValueError, "`error`"),
        ({"error": {"rma": 0.1}}, KeyError, "Did you mean 'rna'"),
        ({"strength": -1}, ValueError, "`strength`"),
        ({"depth": 0}, ValueError, "above 0"),
        ({"missing": 1.0}, ValueError, "`missing`"),
        ({"shared": 2}, ValueError, "`shared`"),
        ({"synergy": "much"}, TypeError, "`synergy`"),
        ({"synergy": 1.0, "modalities": ["rna"]}, ValueError, "two modalities"),
        ({"n_classes": 1}, ValueError, "`n_classes`"),
        ({"imbalance": -1}, ValueError, "`imbalance`"),
        ({"modalities": ["adt"]}, ValueError, "protein"),
        ({"modalities": []}, ValueError, "at least one"),
        ({"n_features": {"rna": 1}}, ValueError, "`n_features`"),
        ({"n_donors": 1}, ValueError, "`n_donors`"),
        ({"n_truth": 5}, ValueError, "`n_truth`"),
        ({"random_state": -1}, ValueError, "`random_state`"),
        ({"factors": 2}, ValueError, "preset='small'"),
        ({"mosaic": {"batch_9": "rna"}}, KeyError, "batch_1"),
        ({"mosaic": {"batch_0": "adt"}}, KeyError, "protein"),
        ({"mosaic": {"batch_0": ["rna", "atac", "protein"]}}, ValueError, "left in"),
        ({"mosaic": "batch_0"}, TypeError, "mapping"),
    ],
)
def test_complaints(options, error, says):
    with pytest.raises(error, match=says):
        simulate(**options)


def test_arguments_are_named():
    with pytest.raises(TypeError):
        simulate(100)


def test_package_names():
    assert set(datasets.__all__) <= set(dir(datasets))
    assert callable(datasets.load)
    with pytest.raises(AttributeError, match="nothing"):
        datasets.nothing  # noqa: B018


def test_without_the_options_of_mudata_0_3(monkeypatch):
    import mudata

    monkeypatch.delattr(mudata, "set_options", raising=False)
    assert simulate(n_obs=20, missing=0.3, **QUICK).n_obs == 20


def test_options_of_mudata_are_put_back():
    import mudata

    if not hasattr(mudata, "set_options"):
        pytest.skip("mudata 0.4 has no such options")
    from mudata._core.config import OPTIONS

    before = dict(OPTIONS)
    simulate(n_obs=20, **QUICK)
    assert before == OPTIONS
