import numpy as np
import pytest
import scipy.sparse as sp

from omicsbal.pp._linear import _by_covariance, _by_gram, _by_subspace, moments, most_variable, principal_axes


@pytest.fixture
def sparse() -> sp.csr_matrix:
    rng = np.random.default_rng(1)
    X = rng.poisson(0.4, (60, 25)).astype(np.float32)
    return sp.csr_matrix(X * rng.uniform(0.5, 3, 25).astype(np.float32))


def test_moments_of_sparse_and_dense_are_numpys(sparse):
    X = sparse.toarray()
    for given in (sparse, X):
        mean, sd = moments(given)
        np.testing.assert_allclose(mean, X.mean(0, dtype=float), rtol=1e-6)
        np.testing.assert_allclose(sd, X.std(0, dtype=float), rtol=1e-6)


def test_moments_leave_out_nan_in_sparse_and_dense():
    X = np.array([[1, np.nan, 0], [3, np.nan, np.nan], [0, np.nan, 4]], dtype=np.float32)
    for given in (X, sp.csr_matrix(X)):
        mean, sd = moments(given)
        np.testing.assert_allclose(mean, [4 / 3, np.nan, 2])
        np.testing.assert_allclose(sd, [np.std([1, 3, 0]), np.nan, 2])


def test_ties_go_to_the_earlier_column_and_forbidden_columns_stay_out():
    sd = np.array([1.0, 2.0, 1.0, 2.0, 9.0])
    assert most_variable(sd, sd < 5, 3).tolist() == [0, 1, 3]


@pytest.mark.parametrize("solver", [_by_gram, _by_covariance, _by_subspace])
def test_every_solver_finds_numpys_singular_vectors(sparse, solver):
    X = sparse.toarray().astype(float)
    mean = X.mean(0)
    _, s, Vt = np.linalg.svd(X - mean, full_matrices=False)
    for given in (sparse, sparse.toarray()):
        variance, axes = solver(given, mean, 6)
        order = np.argsort(-variance)
        np.testing.assert_allclose(variance[order], s[:6] ** 2, rtol=1e-4)
        np.testing.assert_allclose(np.abs((Vt[:6] * axes[:, order].T).sum(1)), 1, atol=1e-3)


def test_axes_are_orthonormal_sign_fixed_and_as_many_as_there_is_variance():
    rng = np.random.default_rng(0)
    Z = (rng.normal(size=(30, 3)) @ rng.normal(size=(3, 50))).astype(np.float32)
    axes = principal_axes(Z, Z.mean(0, dtype=float), 10)
    assert axes.shape == (50, 3)
    np.testing.assert_allclose(axes.T @ axes, np.eye(3), atol=1e-4)
    assert (axes[np.abs(axes).argmax(0), range(3)] > 0).all()
