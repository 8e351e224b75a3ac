"""New cells: features by name, any subset of the modalities, never over a fit's own results."""

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from mudata import MuData

import omicsbal as ob


@pytest.fixture(scope="module")
def _fitted():
    mdata = ob.datasets.simulate(n_obs=110, n_truth=200, preset="redundant", n_classes=3, n_features=40, random_state=0)
    config, net = ob.FitConfig(max_epochs=3, n_members=2), ob.NetConfig(width=8, depth=1, latent=4)
    options = {"n_folds": 2, "config": config, "net": net, "device": "cpu", "progress": False}
    return ob.tl.fit(mdata[:80].copy(), label_key="cell_type", **options), mdata[80:].copy()


@pytest.fixture
def model(_fitted):
    return _fitted[0]


@pytest.fixture
def query(_fitted):
    return _fitted[1].copy()


def _proba(model, mdata, **options):
    ob.tl.predict(model, mdata, **options)
    return mdata.obsm["omicsbal_proba_cell_type"]


def _with(query, **changed):
    return MuData({m: changed.get(m, a) for m, a in query.mod.items() if changed.get(m, a) is not None})


def test_what_is_returned_and_written(model, query):
    table = ob.tl.predict(model, query)
    assert table.columns.tolist() == ["prediction", "confidence"] and table.index.equals(query.obs_names)
    assert query.obs["omicsbal_cell_type"].tolist() == table["prediction"].tolist()
    proba = query.obsm["omicsbal_proba_cell_type"]
    np.testing.assert_allclose(proba.sum(axis=1), 1, atol=1e-6)
    assert proba.idxmax(axis=1).tolist() == table["prediction"].astype(str).tolist()
    coverage = query.uns["omicsbal"]["coverage"]
    assert coverage["modality"].tolist() == ["rna", "atac", "protein"] and (coverage["coverage"] == 1).all()
    ob.tl.predict(model, query, modalities=["rna"])  # its own results may be replaced
    assert "folds" not in query.uns["omicsbal"]


def test_every_head(model, query):
    for head in model.predictor.head_names:
        np.testing.assert_allclose(_proba(model, query, head=head).sum(axis=1), 1, atol=1e-6)
    with pytest.raises(ValueError, match=r"`head`: expected one of .*; found 'rnaa'. Did you mean 'rna'\?"):
        ob.tl.predict(model, query, head="rnaa")


@pytest.mark.parametrize("as_", [sp.csr_matrix, sp.csc_matrix, sp.csr_array, lambda X: sp.csr_matrix(X).toarray()])
def test_dense_and_sparse_are_one(model, query, as_):
    expected = _proba(model, query.copy())
    for a in query.mod.values():
        a.X = as_(a.X)
    np.testing.assert_allclose(_proba(model, query), expected, atol=1e-6)


def test_order_of_features_modalities_and_cells_does_not_matter(model, query):
    expected, rng = _proba(model, query.copy()), np.random.default_rng(0)
    cells = rng.permutation(query.n_obs)
    shuffled = MuData({m: a[cells, rng.permutation(a.n_vars)].copy() for m, a in reversed(query.mod.items())})
    found = _proba(model, shuffled).loc[expected.index]
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_further_features_and_modalities_are_ignored(model, query):
    import anndata

    expected = _proba(model, query.copy())
    more = anndata.AnnData(
        np.full((query.n_obs, 5), 7, np.float32), obs=pd.DataFrame(index=query.obs_names), var=pd.DataFrame(index=list("abcde"))
    )
    atac = anndata.concat([more, query["atac"]], axis=1)
    np.testing.assert_array_equal(_proba(model, MuData({"lipids": more, **_with(query, atac=atac).mod})), expected)


def test_rows_do_not_depend_on_each_other(model, query):
    whole, alone = _proba(model, query.copy()), query[3:4].copy()
    np.testing.assert_allclose(_proba(model, alone), whole.iloc[3:4], atol=1e-5)


def test_a_few_missing_features_do_and_many_are_named(model, query):
    some, few = query["protein"][:, 6:].copy(), query["protein"][:, 12:].copy()
    near = _with(query, protein=some)
    ob.tl.predict(model, near)
    found = near.uns["omicsbal"]["coverage"].set_index("modality")["coverage"]
    assert found["protein"] == 0.85 and found["rna"] == 1
    far, absent = _with(query, protein=few), query["protein"].var_names[0]
    words = rf"`protein`: expected at least 80% of the model's 40 features; found 70%; missing are '{absent}', .* and 4 more; "
    for call in (ob.tl.predict, ob.tl.embed):
        with pytest.raises(ValueError, match=words + r".*min_coverage\."):
            call(model, far)
    assert not far.uns and "omicsbal_cell_type" not in far.obs
    ob.tl.predict(model, far, min_coverage=0.7)
    ob.tl.predict(model, far, modalities=["rna", "atac"])
    with pytest.raises(ValueError, match="`min_coverage`: expected a number of at least 0 and at most 1"):
        ob.tl.predict(model, far, min_coverage=80)


@pytest.mark.parametrize("kept", [["rna"], ["protein"], ["rna", "protein"], ["protein", "atac"]])
def test_a_modality_that_is_missing_hidden_or_absent_in_the_cells(model, query, kept):
    hidden = _proba(model, query.copy(), modalities=kept)
    missing = _proba(model, MuData({m: query[m] for m in kept}))
    np.testing.assert_array_equal(hidden, missing)
    few = MuData({m: a if m in kept else a[:9].copy() for m, a in query.mod.items()})
    absent = _proba(model, few).loc[hidden.index]
    np.testing.assert_allclose(absent.iloc[9:], hidden.iloc[9:], atol=1e-5)
    whole = _proba(model, query.copy())
    np.testing.assert_allclose(absent.iloc[:9], whole.iloc[:9], atol=1e-5)


def test_a_head_that_cannot_speak_says_nothing(model, query):
    few = MuData({"rna": query["rna"].copy(), "protein": query["protein"][:9].copy()})
    table = ob.tl.predict(model, few, head="protein")
    bare = ~few.obs_names.isin(query.obs_names[:9])
    assert table["prediction"].isna().tolist() == bare.tolist() == table["confidence"].isna().tolist()


def test_embeddings(model, query):
    table = ob.tl.embed(model, query)
    np.testing.assert_array_equal(table.to_numpy(), query.obsm["X_omicsbal"])
    assert table.shape == (30, 4) and query["atac"].obsm["X_omicsbal"].shape == (30, 4)
    part = MuData({"rna": query["rna"][:, ::-1].copy(), "protein": query["protein"][:9].copy()})
    ob.tl.embed(model, part)
    np.testing.assert_allclose(part["rna"].obsm["X_omicsbal"], query["rna"].obsm["X_omicsbal"], atol=1e-5)
    np.testing.assert_allclose(part["protein"].obsm["X_omicsbal"], query["protein"].obsm["X_omicsbal"][:9], atol=1e-5)


def test_no_prediction_over_the_results_of_a_fit(tri, quick, frozen):
    model = quick(tri)
    before = frozen(tri)
    for call in (ob.tl.predict, ob.tl.embed):
        with pytest.raises(
            ValueError, match=r"`key_added`: expected a MuData that was not fitted .*; found the out-of-fold .*'query'"
        ):
            call(model, tri)
    assert frozen(tri) == before
    with pytest.warns(UserWarning, match="found 90 of 90 that it was trained on. Predictions of these are in-sample"):
        ob.tl.predict(model, tri, key_added="query")
    assert {"omicsbal_cell_type", "query_cell_type"} <= set(tri.obs)


def test_what_is_no_query(model, query, frozen):
    with pytest.raises(TypeError, match=r"`model`: expected a FittedModel or its folder; found MuData. Call"):
        ob.tl.predict(query, model)
    with pytest.raises(TypeError, match="`mdata`: expected a MuData; found DataFrame"):
        ob.tl.predict(model, query["rna"].to_df())
    with pytest.raises(ValueError, match="`mdata`: expected cells and modalities; found no cells"):
        ob.tl.predict(model, query[:0].copy())
    other = MuData({"lipids": query["rna"].copy()})
    with pytest.raises(
        KeyError, match=r"`mdata`: expected at least one of \['rna', 'atac', 'protein'\]; found \['lipids'\]. Rename"
    ):
        ob.tl.predict(model, other)
    with pytest.raises(
        KeyError, match=r"`modalities`: expected a modality of the model; found 'protien'. Did you mean 'protein'"
    ):
        ob.tl.predict(model, query, modalities=["protien"])
    with pytest.raises(KeyError, match="`modalities`: expected a modality of the query; found 'atac'"):
        ob.tl.predict(model, MuData({"rna": query["rna"]}), modalities=["atac"])
    with pytest.raises(ValueError, match="`modalities`: expected at least one"):
        ob.tl.predict(model, query, modalities=[])
    with pytest.raises(FileNotFoundError, match=r"`path`: expected a folder written by model.save; found no folder nowhere"):
        ob.tl.predict("nowhere", query)
    for value, words in [(-3, "negative values"), (np.inf, "1 infinite"), (0.3, "values such as 0.3")]:
        bad = query.copy()
        bad["protein"].X = bad["protein"].X.copy()
        bad["protein"].X[0, :] = value if value != np.inf else bad["protein"].X[0, :]
        bad["protein"].X[0, 0] = value
        before = frozen(bad)
        with pytest.raises(ValueError, match=f"`protein`: expected .*; found {words}"):
            ob.tl.predict(model, bad)
        assert frozen(bad) == before


def test_regression(tri, quick, tmp_path):
    tri.obs["age"] = np.random.default_rng(0).normal(60, 10, tri.n_obs)
    train, query = tri[:70].copy(), tri[70:].copy()
    model = quick(train, label_key="age", experts=True)
    table = ob.tl.predict(model, query)
    assert table.columns.tolist() == ["prediction", "low", "high"]
    again = ob.tl.predict(model.save(tmp_path / "model"), query)
    pd.testing.assert_frame_equal(again, table)
    np.testing.assert_allclose(query.obsm["omicsbal_interval_age"].mean(axis=1), query.obs["omicsbal_age"])
