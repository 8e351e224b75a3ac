"""A fit from raw data: what decides it, and what does not."""

import warnings

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from mudata import MuData

import omicsbal as ob


def _weights(model):
    """Every number that a prediction depends on."""
    p = model.predictor
    found = {f"net/{k}": v.numpy() for k, v in p.net.state_dict().items()}
    for name, e in p.experts.items():
        found |= {f"{name}/coef": e.coef, f"{name}/intercept": e.intercept}
    for pattern, pool in p.pools.items():
        found |= {f"{sorted(pattern)}/weights": pool.weights, f"{sorted(pattern)}/temperatures": pool.temperatures}
    for m, s in model.sources.items():
        found |= {f"{m}/{k}": v for k, v in s.recipe.state().items()}
    return found | {"temperatures": np.array(list(p.temperatures.values()))}


def _check_equal(a, b):
    ours, theirs = _weights(a), _weights(b)
    assert list(ours) == list(theirs)
    for name, value in ours.items():
        np.testing.assert_array_equal(theirs[name], value, err_msg=name)


@pytest.mark.parametrize("data", ["tri", "holed"])
def test_one_seed_settles_everything(request, quick, data):
    mdata = request.getfixturevalue(data)
    one, two, other = mdata.copy(), mdata.copy(), mdata.copy()
    a, b, c = quick(one, experts=True), quick(two, experts=True), quick(other, experts=True, random_state=1)
    _check_equal(a, b)
    pd.testing.assert_frame_equal(one.obsm["omicsbal_proba_cell_type"], two.obsm["omicsbal_proba_cell_type"], check_exact=True)
    np.testing.assert_array_equal(one.obsm["X_omicsbal"], two.obsm["X_omicsbal"])
    assert not np.array_equal(one.obsm["X_omicsbal"], other.obsm["X_omicsbal"], equal_nan=True)
    assert not np.array_equal(one.uns["omicsbal"]["folds"], other.uns["omicsbal"]["folds"])
    assert _weights(c).keys() == _weights(a).keys()


def test_the_global_generators_are_neither_read_nor_moved(tri, quick):
    import torch

    np.random.seed(3)  # noqa: NPY002, TID251 (the very thing that must not matter)
    before, torch_before = np.random.get_state()[1].copy(), torch.get_rng_state()  # noqa: NPY002
    quick(tri)
    np.testing.assert_array_equal(np.random.get_state()[1], before)  # noqa: NPY002
    assert torch.equal(torch.get_rng_state(), torch_before)


def test_rows_without_a_label_change_no_parameter_and_are_predicted(tri, quick):
    tri.obs["cell_type"] = tri.obs["cell_type"].astype(object)
    tri.obs.loc[tri.obs_names[60:], "cell_type"] = np.nan
    changed, fewer = tri.copy(), tri[:60].copy()
    for a in changed.mod.values():
        X = a.X.toarray() if sp.issparse(a.X) else a.X.copy()
        X[60:] = np.random.default_rng(0).permuted(X[60:], axis=1) * 3
        a.X = sp.csr_matrix(X) if sp.issparse(a.X) else X
    models = [quick(m, experts=True) for m in (tri, changed, fewer)]
    _check_equal(models[0], models[1])
    _check_equal(models[0], models[2])
    proba = [m.obsm["omicsbal_proba_cell_type"] for m in (tri, changed, fewer)]
    for other in proba[1:]:
        np.testing.assert_array_equal(other[:60], proba[0][:60])
    assert not np.allclose(proba[1][60:], proba[0][60:])
    assert (tri.uns["omicsbal"]["folds"][60:] == -1).all() and (tri.uns["omicsbal"]["folds"][:60] >= 0).all()
    assert tri.obs["omicsbal_cell_type"].notna().all()
    raw = fewer.copy()
    query = MuData({m: a[60:].copy() for m, a in tri.mod.items()})
    ob.tl.predict(models[2], query)
    np.testing.assert_allclose(query.obsm["omicsbal_proba_cell_type"], proba[0][60:], atol=1e-6)
    assert raw.n_obs == 60


def test_the_member_behind_a_row_never_saw_its_label(tri, quick):
    one_epoch = ob.FitConfig(max_epochs=1, n_members=1)  # the choice of an epoch may look at every label, and says so
    model = quick(tri, config=one_epoch)
    folds, names = tri.uns["omicsbal"]["folds"], tri.obs["cell_type"].astype(str).to_numpy()
    # two neighbours of one fold change labels: no class changes its size or the order of its other rows, so the folds stay
    i = next(i for i in range(20, 89) if folds[i] == folds[i + 1] and names[i] != names[i + 1])
    names[[i, i + 1]] = names[[i + 1, i]]
    tri.obs["cell_type"] = pd.Categorical(names)
    swapped = quick(tri, config=one_epoch)
    np.testing.assert_array_equal(tri.uns["omicsbal"]["folds"], folds)
    pairs = list(zip(model.predictor.net.parameters(), swapped.predictor.net.parameters(), strict=True))
    for member in range(3):
        same = all(bool((a[member] == b[member]).all()) for a, b in pairs)
        assert same == (member == folds[i])


def test_groups_are_not_split(tri, quick):
    tri.obs["patient"] = pd.Categorical([f"p{i % 9}" for i in range(90)])
    model = quick(tri, group_key="patient", n_folds=3)
    folds = pd.Series(tri.uns["omicsbal"]["folds"], index=tri.obs_names)
    assert folds.groupby(tri.obs["patient"], observed=True).nunique().eq(1).all() and folds.nunique() == 3
    assert model.params["group_key"] == "patient"


@pytest.mark.parametrize("strategy", ob.balance.strategies()["name"])
def test_every_strategy(holed, quick, strategy):
    quick(holed, strategy=strategy, n_folds=3)  # teachers need three
    assert holed.uns["omicsbal"]["strategy"] == strategy
    assert np.isfinite(holed.obsm["omicsbal_proba_cell_type"].to_numpy()).all()
    assert np.isfinite(holed.uns["omicsbal"]["heads"]["macro_f1"]).all()


def test_an_instance_with_settings_stays_as_it_is(tri, quick):
    asked = ob.balance.ModalityDropout(rate=0.7)
    model = quick(tri, strategy=asked)
    assert model.params["strategy_settings"]["rate"] == 0.7 and model.predictor.strategy is not asked
    assert not list(asked.parameters())


AS = {"dense": lambda X: sp.csr_matrix(X).toarray(), "csc": sp.csc_matrix, "integers": lambda X: sp.csr_matrix(X, dtype=np.int64)}


@pytest.mark.parametrize("kind", AS)
def test_how_values_are_stored_does_not_matter(tri, quick, kind):
    other = tri.copy()
    for a in other.mod.values():
        a.X = AS[kind](a.X)
    quick(tri), quick(other)
    a, b = (m.obsm["omicsbal_proba_cell_type"] for m in (tri, other))
    np.testing.assert_allclose(b, a, atol=1e-4)
    assert type(other["rna"].X) is type(AS[kind](tri["rna"].X))


@pytest.mark.filterwarnings("ignore:.*in-sample")
def test_layers_and_representations(tri, quick):
    rng = np.random.default_rng(0)
    plain = tri.copy()
    tri["rna"].layers["counts"], tri["rna"].X = tri["rna"].X.copy(), tri["rna"].X * 0.37
    tri["protein"].obsm["X_mine"] = rng.normal(size=(90, 5))
    model = quick(tri, layer={"rna": "counts"}, use_rep={"protein": "X_mine"}, modalities=["rna", "protein"])
    assert model.sources["protein"].features == tuple(f"X_mine_{j}" for j in range(5))
    assert (model.sources["rna"].recipe.name, model.sources["protein"].recipe.name) == ("rna", "dense")
    np.testing.assert_array_equal(
        _weights(quick(plain, modalities=["rna"]))["rna/" + next(iter(model.sources["rna"].recipe.state()))],
        _weights(model)["rna/" + next(iter(model.sources["rna"].recipe.state()))],
    )
    query = tri[:20].copy()
    query.uns.clear()
    ob.tl.predict(model, query)
    with pytest.raises(KeyError, match=r"`layer`: expected an entry of mdata\['rna'\].layers; found 'counts'"):
        ob.tl.predict(model, plain[:5].copy(), key_added="query")


def test_recipes_as_asked(tri, quick):
    model = quick(tri, recipe={"atac": "dense", "protein": ob.pp.RECIPES["dense"]()})
    assert [s.recipe.name for s in model.sources.values()] == ["rna", "dense", "dense"]
    assert model.tables["recipes"]["why"].tolist()[1:] == ["as asked", "as asked"]


def test_one_modality(tri, quick):
    mdata = MuData({"rna": tri["rna"]})
    mdata.obs["cell_type"] = tri.obs["cell_type"]
    model = quick(mdata, experts=True)
    assert model.modalities == ["rna"] and set(model.heads.index) == {"pool", "fused", "rna", "product", "lr:rna"}
    assert "X_omicsbal" in mdata.obsm and "X_omicsbal" in mdata["rna"].obsm


def test_labels_may_be_in_a_modality_be_numbers_or_booleans(tri, quick):
    values = {"code": np.arange(90) % 3, "flag": np.arange(90) % 2 == 0}
    for name, value in values.items():
        tri["rna"].obs[name] = value
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            model = quick(tri, label_key=name, key_added=name)
        assert model.task == "classification" and model.classes == sorted({str(v) for v in value})


def test_no_all_row_members(tri, quick, tmp_path):
    config = ob.FitConfig(max_epochs=2, n_members=0)
    model = quick(tri[:70].copy(), config=config)
    query = tri[70:].copy()
    a = ob.tl.predict(model, query)
    b = ob.tl.predict(model.save(tmp_path / "m"), query)
    pd.testing.assert_frame_equal(a, b)


def test_a_checkpointed_fit_is_the_same_and_goes_on_from_its_end(tri, quick, tmp_path, monkeypatch):
    plain = quick(tri.copy())
    path = tmp_path / "run"
    kept = quick(tri.copy(), checkpoint=path)
    _check_equal(plain, kept)
    size = path.stat().st_size
    _check_equal(plain, quick(tri.copy(), checkpoint=path))
    assert path.stat().st_size == size and [p.name for p in tmp_path.iterdir()] == ["run"]
    mdata = tri.copy()
    with pytest.raises(
        ValueError, match=r"`checkpoint`: expected a checkpoint of this fit; found one of other data or settings. Delete .*run"
    ):
        quick(mdata, checkpoint=path, random_state=1)
    path.write_bytes(path.read_bytes()[:500])
    with pytest.raises(ValueError, match=r"`checkpoint`: .*; found .*run, which cannot be read. Delete .*run, or choose"):
        quick(mdata, checkpoint=path)
    assert "omicsbal" not in mdata.uns


@pytest.mark.parametrize("label", ["cell_type", "weight"])
def test_it_learns(simulated, quick, label):
    """With a net of default size and enough epochs, redundant modalities are read almost without error."""
    mdata = simulated(n_obs=150, n_truth=200, preset="redundant", n_classes=3, random_state=0)
    mdata.obs["weight"] = mdata.obs["cell_type"].cat.codes + np.random.default_rng(0).normal(0, 0.1, 150)
    model = quick(mdata, label_key=label, experts=True, config=ob.FitConfig(max_epochs=25, n_members=1), net=ob.NetConfig())
    assert model.heads.loc["pool", model.outcome.metric] > 0.5  # chance: 0.33 and 0
