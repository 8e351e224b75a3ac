"""Column moments and principal axes of matrices that may be sparse and stay so."""

from typing import Any, TypeAlias

import numpy as np
import scipy.linalg
import scipy.sparse as sp

Matrix: TypeAlias = Any  # np.ndarray or sp.csr_matrix; scipy ships no types

_EXACT = 2500  # side up to which an eigendecomposition is exact and takes at most about a second
_BLOCK = 1000  # rows made dense at a time
_EXTRA, _PASSES = 30, 6  # directions carried beyond those wanted, and passes there and back


def as_float32(X: Matrix) -> Matrix:
    """A CSR matrix or C-contiguous array of float32, without a copy where it is one already."""
    if sp.issparse(X):
        X = sp.csr_matrix(X, dtype=np.float32)
        if not X.has_canonical_format:
            X = X.copy()  # the arrays may be the user's
            X.sum_duplicates()
        return X
    return np.ascontiguousarray(X, dtype=np.float32)


def moments(X: Matrix) -> tuple[np.ndarray, np.ndarray]:
    """Mean and population standard deviation (p,) float64 of each column, NaN ignored; NaN where nothing is measured."""
    if sp.issparse(X):
        n, p = X.shape
        known = ~np.isnan(X.data)
        column, value, count = X.indices, X.data, np.full(p, n)
        if not known.all():  # copies of everything
            column, value, count = X.indices[known], X.data[known], n - np.bincount(X.indices[~known], minlength=p)
        with np.errstate(invalid="ignore", divide="ignore"):
            mean = np.bincount(column, value, minlength=p) / count
            stored = np.bincount(column, (value - mean[column]) ** 2, minlength=p)
            zeros = count - np.bincount(column, minlength=p)
            return mean, np.sqrt((stored + zeros * mean**2) / count)
    known = ~np.isnan(X)
    count = known.sum(0)
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = np.where(known, X, 0).sum(0, dtype=np.float64) / count
        return mean, np.sqrt((np.where(known, X - mean, 0.0) ** 2).sum(0) / count)


def varies(mean: np.ndarray, sd: np.ndarray) -> np.ndarray:
    """Which columns vary by more than float32 rounding (p,) bool; False where nothing is measured."""
    with np.errstate(invalid="ignore"):
        return (sd > 0) & (sd > 1e-6 * np.abs(mean))


def most_variable(sd: np.ndarray, allowed: np.ndarray, n_top: int) -> np.ndarray:
    """Positions, ascending, of the `n_top` allowed columns with the largest `sd`; ties go to the earlier column."""
    candidates = np.flatnonzero(allowed)
    order = np.argsort(-sd[candidates], kind="stable")[:n_top]
    return np.sort(candidates[order])


def principal_axes(Z: Matrix, mean: np.ndarray, n_axes: int) -> np.ndarray:
    """Orthonormal axes (p, <= n_axes) float32 of largest variance of Z - mean, without forming Z - mean.

    Exact when the shorter side is at most 2,500, else by block power iteration from a fixed start. Directions without
    variance are left out; signs are fixed (largest loading positive), so that solvers and machines agree on them.
    """
    n_axes = min(n_axes, *Z.shape)
    mean = np.asarray(mean, np.float64)
    solver = _by_subspace if min(Z.shape) > _EXACT else _by_gram if Z.shape[0] < Z.shape[1] else _by_covariance
    variance, axes = solver(Z, mean, n_axes)
    order = np.argsort(-variance, kind="stable")
    order = order[variance[order] > 1e-7 * max(variance.max(initial=0), 0)]
    axes = axes[:, order]
    if not len(order):
        return np.zeros((Z.shape[1], 0), np.float32)
    top = np.abs(axes).argmax(0)
    return np.ascontiguousarray(axes * np.sign(axes[top, np.arange(len(order))]), dtype=np.float32)


def _by_gram(Z: Matrix, mean: np.ndarray, n_axes: int) -> tuple[np.ndarray, np.ndarray]:
    """Eigenvectors of the (n, n) inner products; for few rows and many columns."""
    Z, n = Z.astype(np.float64), Z.shape[0]
    G = Z @ Z.T
    G = G.toarray() if sp.issparse(G) else G
    along = Z @ mean
    G = G - along[:, None] - along[None, :] + mean @ mean
    value, U = scipy.linalg.eigh(G, subset_by_index=[n - n_axes, n - 1])
    axes = Z.T @ U - np.outer(mean, U.sum(0))
    return value, axes / np.sqrt(np.maximum(value, np.finfo(float).tiny))


def _by_covariance(Z: Matrix, mean: np.ndarray, n_axes: int) -> tuple[np.ndarray, np.ndarray]:
    """Eigenvectors of the (p, p) scatter, summed over blocks of rows: faster than sparse products at the density of counts."""
    n, p = Z.shape
    scatter = np.zeros((p, p))
    for start in range(0, n, _BLOCK):
        block = Z[start : start + _BLOCK]
        block = (block.toarray() if sp.issparse(block) else block) - mean.astype(np.float32)
        scatter += block.T @ block
    return scipy.linalg.eigh(scatter, subset_by_index=[p - n_axes, p - 1])


def _by_subspace(Z: Matrix, mean: np.ndarray, n_axes: int) -> tuple[np.ndarray, np.ndarray]:
    """Leading singular directions by block power iteration (Halko et al. 2011, doi:10.1137/090771806), from a fixed start.

    The number of passes is fixed: Lanczos converges slowly on the flat spectra that sparse peaks can have.
    """
    n, p = Z.shape
    Zt, centre = Z.T.tocsr() if sp.issparse(Z) else Z.T, mean.astype(np.float32)
    Q = np.random.default_rng(0).standard_normal((p, min(n_axes + _EXTRA, n, p)), dtype=np.float32)
    for _ in range(_PASSES):
        Y = np.linalg.qr(Z @ Q - centre @ Q)[0]
        Q = np.linalg.qr(Zt @ Y - np.outer(centre, Y.sum(0)))[0]
    Y = (Z @ Q - centre @ Q).astype(np.float64)
    value, rotation = scipy.linalg.eigh(Y.T @ Y)
    return value[-n_axes:], Q @ rotation[:, -n_axes:]
