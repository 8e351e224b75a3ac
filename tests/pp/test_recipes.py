import json
import time

import numpy as np
import pytest
import scipy.sparse as sp
from sklearn.base import clone
from sklearn.exceptions import NotFittedError

from omicsbal.pp import RECIPES, choose_recipe, match_features, matrix_of, take_features

NAMES = list(RECIPES)
COUNTS = [n for n in NAMES if RECIPES[n].counts]


def _raw(name: str, n: int = 80, p: int = 40, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    state = rng.integers(0, 3, n)
    rate = rng.gamma(0.7, 2.0, (3, p))[state]
    if name == "dense":
        X = rng.normal(rate)
        X[rng.random(X.shape) < 0.05] = np.nan
        return X.astype(np.float32)
    return rng.poisson(rate).astype(np.float32)


@pytest.fixture(params=NAMES)
def name(request) -> str:
    return request.param


def test_output_is_contiguous_float32_of_unit_power(name):
    Z = RECIPES[name]().fit(_raw(name)).transform(_raw(name))
    assert Z.dtype == np.float32
    assert Z.flags.c_contiguous
    assert np.isfinite(Z).all()
    assert (Z**2).sum(1).mean() == pytest.approx(Z.shape[1], rel=1e-4)


def test_fit_does_not_see_other_rows_and_rows_do_not_see_each_other(name):
    X = _raw(name)
    changed = np.vstack([X[:60], X[60:][::-1] * 3 + 1])
    a, b = (RECIPES[name]().fit(M[:60]) for M in (X, changed))
    for key, value in a.state().items():
        np.testing.assert_array_equal(value, b.state()[key], err_msg=key)
    np.testing.assert_allclose(a.transform(X)[70:], a.transform(X[70:]), atol=1e-4)


def test_state_round_trip_is_bit_identical_and_params_are_json(name):
    recipe = RECIPES[name](n_components=7).fit(_raw(name))
    params = json.loads(json.dumps(recipe.get_params()))
    state = {k: v.copy(order="C") for k, v in recipe.state().items()}
    assert all(v.dtype.kind in "fi" for v in state.values())
    assert {k for k in vars(recipe) if k.endswith("_")} == set(state)
    again = RECIPES[name].from_state(params, state)
    query = _raw(name, seed=5)
    assert again.transform(query).tobytes() == recipe.transform(query).tobytes()
    assert again.transform(query).shape == (80, 7)
    assert again.n_out == 7


def test_a_sparse_matrix_with_unsorted_duplicates_is_read_right_and_left_alone():
    X = sp.csr_matrix((np.ones(5, np.float32), np.array([2, 0, 0, 1, 1]), np.array([0, 3, 4, 5])), shape=(3, 3))
    RECIPES["dense"]().fit(X)
    assert X.indices.tolist() == [2, 0, 0, 1, 1]
    summed = RECIPES["dense"]().fit(X.toarray())
    np.testing.assert_allclose(RECIPES["dense"]().fit(X).transform(X), summed.transform(X.toarray()), atol=1e-6)


def test_sparse_equals_dense(name):
    X = np.nan_to_num(_raw(name))
    a, b = RECIPES[name]().fit(X), RECIPES[name]().fit(sp.csr_matrix(X))
    np.testing.assert_allclose(a.transform(X), b.transform(sp.csc_matrix(X)), atol=1e-4)


def test_permuted_and_surplus_query_features_give_identical_output(name):
    X = _raw(name)
    genes = [f"g{j}" for j in range(X.shape[1])]
    recipe = RECIPES[name]().fit(X)
    order = np.random.default_rng(3).permutation(len(genes))
    query = np.hstack([X[:, order], np.ones((len(X), 2), np.float32)])
    positions, coverage = match_features(genes, [genes[j] for j in order] + ["new1", "new2"])
    assert coverage == 1
    for given in (query, sp.csr_matrix(query)):
        taken = take_features(given, positions, fill=recipe.fill)
        assert recipe.transform(taken).tobytes() == recipe.transform(X).tobytes()


def test_clone_keeps_parameters_and_forgets_the_fit(name):
    fresh = clone(RECIPES[name](n_components=3).fit(_raw(name)))
    assert fresh.get_params()["n_components"] == 3
    with pytest.raises(NotFittedError, match="Call fit first"):
        fresh.transform(_raw(name))


def test_wrong_number_of_columns_is_refused(name):
    with pytest.raises(ValueError, match="expected 40 columns; found 39"):
        RECIPES[name]().fit(_raw(name)).transform(_raw(name)[:, 1:])


def test_infinite_values_and_flat_features_are_refused(name):
    X = _raw(name)
    X[0, 0] = np.inf
    with pytest.raises(ValueError, match="finite values"):
        RECIPES[name]().fit(X)
    with pytest.raises(ValueError, match="vary"):
        RECIPES[name]().fit(np.ones((20, 4)))


@pytest.mark.parametrize("name", COUNTS)
@pytest.mark.parametrize(("bad", "found"), [(np.nan, "NaN"), (-1.0, "negative"), (0.5, "values such as 0.5")])
def test_counts_recipes_refuse_what_is_no_count(name, bad, found):
    X = _raw(name)
    X[:, :3] = bad
    with pytest.raises(ValueError, match=found) as error:
        RECIPES[name]().fit(X)
    assert '"dense"' in str(error.value)
    assert "layer" in str(error.value)


@pytest.mark.parametrize("name", ["rna", "protein", "dense"])  # atac is 50 components at any size
def test_few_rows_keep_every_direction_and_a_linear_kernel(name):
    X = _raw(name, n=30, p=60)
    whole = RECIPES[name](n_components=60).fit(X).transform(X)
    auto = RECIPES[name]().fit(X).transform(X)
    assert auto.shape[1] <= 29
    K, L = whole @ whole.T / whole.shape[1], auto @ auto.T / auto.shape[1]
    np.testing.assert_allclose(K, L, atol=1e-3)


def test_rna_matches_the_formula_by_hand():
    X = _raw("rna", n=50, p=12)
    L = np.log1p(X / np.maximum(X.sum(1, keepdims=True), 1) * 1e4)
    keep = np.sort(np.argsort(-L.std(0), kind="stable")[:8])
    Z = np.minimum((L[:, keep] - L[:, keep].mean(0)) / L[:, keep].std(0), 10)
    Z = Z - Z.mean(0)
    got = RECIPES["rna"](n_top=8).fit(X).transform(X)
    np.testing.assert_allclose(got @ got.T, Z @ Z.T * (got**2).sum() / (Z**2).sum(), atol=2e-3)


def test_protein_is_centred_within_the_cell_and_deaf_to_depth():
    X = _raw("protein", p=6) * 50 + 100
    recipe = RECIPES["protein"]().fit(X)
    L = np.log1p(X)
    C = L - L.mean(1, keepdims=True)
    Z = (C - C.mean(0)) / C.std(0)
    found = recipe.transform(X)
    assert found.shape == (len(X), 5)  # centring within the cell takes one direction of six
    np.testing.assert_allclose(found @ found.T / recipe.gain_**2, Z @ Z.T, atol=2e-3)  # a rotation keeps inner products


def test_atac_reads_open_or_closed_only_and_drops_the_depth_component():
    rng = np.random.default_rng(0)
    depth = rng.uniform(0.05, 0.9, (200, 1))
    X = rng.binomial(1, depth * rng.uniform(0.2, 1, 60)).astype(np.float32)
    X[:100, :15] *= rng.integers(0, 2, (100, 15))
    recipe = RECIPES["atac"](n_components=5).fit(X)
    Z = recipe.transform(X)
    np.testing.assert_array_equal(recipe.transform(X * 7), Z)
    np.testing.assert_allclose(Z.std(0), 1, atol=1e-4)


def test_dense_takes_training_medians_and_drops_dead_columns():
    X = np.array([[1, 5, np.nan, 2], [2, 5, np.nan, 4], [9, 5, np.nan, np.nan], [np.nan, 5, np.nan, 7.0]])
    recipe = RECIPES["dense"]().fit(X)
    assert recipe.columns_.tolist() == [0, 3]
    assert recipe.note == "2 features without variance or values dropped"
    filled = np.array([[2.0, 4.0]])
    hole = np.array([[np.nan, 1, 1, np.nan]])
    np.testing.assert_allclose(recipe.transform(hole), recipe.transform(np.array([[filled[0, 0], 0, 0, filled[0, 1]]])))


def test_many_rows_of_a_wide_block_become_a_hundred_components():
    X = np.random.default_rng(0).normal(size=(1001, 201))
    assert RECIPES["dense"]().fit(X).transform(X[:2]).shape == (2, 100)
    assert RECIPES["dense"]().fit(X[:, :200]).transform(X[:2, :200]).shape == (2, 200)


@pytest.mark.parametrize("name", ["rna", "protein", "dense"])
def test_a_missing_feature_says_nothing_about_the_cell(name):
    X = _raw(name, n=200, p=30)
    recipe = RECIPES[name]().fit(X)
    truth = recipe.transform(X)
    lost = np.zeros(30, bool)
    lost[::3] = True
    positions = np.where(lost, -1, np.arange(30))
    taken = take_features(X, positions, fill=recipe.fill)
    informed = recipe.transform(taken, missing=lost)
    naive = recipe.transform(take_features(X, positions, fill=0))
    assert np.isfinite(informed).all()
    assert ((informed - truth) ** 2).mean() < 0.8 * ((naive - truth) ** 2).mean()
    assert np.abs(informed.mean(0)).mean() < np.abs(naive.mean(0)).mean()


def test_a_wide_sparse_matrix_is_never_made_dense(monkeypatch):
    rng = np.random.default_rng(0)
    cell, feature = rng.integers(0, 5000, 250_000), rng.integers(0, 10_000, 250_000)
    X = sp.coo_matrix((np.ones(250_000, np.float32), (cell, feature)), shape=(5000, 10_000)).tocsr()
    seen = []
    original = sp.csr_matrix.toarray

    def _watch(self, *args, **kwargs):
        seen.append(self.shape[0] * self.shape[1])
        return original(self, *args, **kwargs)

    for kind in (sp.csr_matrix, sp.csc_matrix, sp.coo_matrix):
        for method in ("toarray", "todense"):
            monkeypatch.setattr(kind, method, _watch)
    for name in ("rna", "atac"):
        Z = RECIPES[name]().fit(X).transform(X)
        assert Z.shape == (5000, 50)
    # Blocks of at most 1,000 rows and the 2,000 variable genes.
    assert max(seen, default=0) <= 1000 * 2000


@pytest.mark.parametrize(
    ("name", "types", "expected"),
    [
        ("rna", None, "rna"),
        ("prot", None, "protein"),
        ("ADT", None, "protein"),
        ("scRNA_pbmc", None, "rna"),
        ("atac", None, "atac"),
        ("x", ["Gene Expression"] * 3, "rna"),
        ("x", ["Peaks"] * 3, "atac"),
        ("rna", ["Antibody Capture"] * 3, "protein"),
        ("rna", ["Gene Expression", "Peaks", "Peaks"], "rna"),
        ("mirna", None, "dense"),
        ("cnv", None, "dense"),
    ],
)
def test_recipe_for_counts_goes_by_type_then_name(name, types, expected):
    assert choose_recipe(name, np.array([[1, 0, 2], [0, 4, 1]]), feature_types=types)[0] == expected


@pytest.mark.parametrize("X", [[[0.5, 1.2]], [[-1.0, 2.0]], [[np.nan, 2.0]], [[0.0, 0.0]]])
def test_what_is_no_count_is_dense_and_says_why(X):
    assert choose_recipe("rna", np.array(X)) == ("dense", "named 'rna', but its values are no counts")


REAL = {
    "cite_pbmc10k": {"rna": ("rna", 50), "protein": ("protein", 14)},
    "snare_mouse_cortex": {"rna": ("rna", 50), "atac": ("atac", 50)},
    "tcga_brca_incomplete": {"cnv": ("dense", 515), "protein": ("dense", 159), "rna": ("dense", 344)},
    "cite_pbmc_mosaic": {"rna": ("rna", 50), "protein": ("protein", 100)},
}


@pytest.mark.parametrize("data", REAL)
def test_real_data_get_the_right_recipe_shape_and_speed(read, data):
    mdata = read(data)
    for m, (expected, d) in REAL[data].items():
        X, rows, names = matrix_of(mdata, m)
        assert X.shape == (mdata[m].n_obs, mdata[m].n_vars) == (len(rows), len(names))
        recipe_name, _ = choose_recipe(m, X)
        assert recipe_name == expected
        start = time.process_time()
        recipe = RECIPES[recipe_name]().fit(X)
        assert time.process_time() - start < 10  # about 1 s; the bound is for loaded machines
        assert recipe.width(*X.shape) == d
        assert 0.9 * d <= recipe.transform(X[:3]).shape[1] <= d  # features that depend on others add no direction


@pytest.mark.parametrize("rotated", [True, False])
def test_the_linear_step_gives_the_output_back(name, rotated):
    options = {} if rotated or name not in ("dense", "protein") else {"n_components": None}
    recipe, query = RECIPES[name](**options).fit(_raw(name)), _raw(name, seed=5)
    missing = np.arange(40) < 4
    if name in COUNTS:
        query[:, missing] = recipe.fill
    for lacking in (None, missing):
        step = recipe.linear(query, missing=lacking)
        values = step.values.toarray() if sp.issparse(step.values) else step.values
        assert sp.issparse(step.values) == (name in ("rna", "atac")) and values.shape == (80, len(step.columns)) and step.unit
        again = step.gain * (values if step.axes is None else values @ step.axes)
        shift = again - recipe.transform(query, missing=lacking)
        np.testing.assert_allclose(shift, np.broadcast_to(shift[:1], shift.shape), atol=2e-4, err_msg="one vector for all rows")
    assert (step.axes is None) == bool(options)
    with pytest.raises(ValueError, match="40 columns"):
        recipe.linear(query[:, 1:])
