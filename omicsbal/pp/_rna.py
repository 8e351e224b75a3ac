"""Recipe for gene-expression counts."""

from typing import ClassVar, Literal

import numpy as np
import scipy.sparse as sp

from omicsbal._validate import check_number

from ._linear import Matrix, moments, most_variable, principal_axes, varies
from ._recipe import LinearStep, Recipe

_DEPTH = 1e4  # counts a cell is scaled to, scanpy's custom
_CLIP = 10.0  # standard deviations above the mean; more is one outlier ruling a component
_FEW_ROWS = 1000  # up to here all directions are kept: with few rows whitening or cutting costs accuracy
_MANY_ROWS_COMPONENTS = 50


class RnaRecipe(Recipe):
    """Counts per gene: to 10,000 a cell, log1p, variable genes, divide by standard deviation, principal components.

    Sparse input stays sparse up to the projection; centring is implicit.

    Parameters
    ----------
    n_top
        Genes kept, those of largest variance of log1p values over the training rows; 2,000 is the custom of the field.
    n_components
        Components, or "auto": all n - 1 (a rotation, nothing lost) when fitted on at most 1,000 rows, else 50.

    Notes
    -----
    z = min((log(1 + 10^4 x_g / sum x) - mean_g) / sd_g, 10), output = gain * z W with W orthonormal, not whitened.
    Where a query lacks genes, the 10,000 shrinks to the training share of the genes it has, and the others contribute z = 0.

    Examples
    --------
    >>> X = np.random.default_rng(0).poisson(1.0, (30, 12))
    >>> RnaRecipe(n_components=4).fit_transform(X).shape
    (30, 4)
    """

    name: ClassVar[str] = "rna"
    counts: ClassVar[bool] = True
    fill: ClassVar[float] = 0.0

    def __init__(self, n_top: int = 2000, n_components: int | Literal["auto"] = "auto") -> None:
        self.n_top = n_top
        self.n_components = n_components

    def _learn(self, X: Matrix) -> None:
        check_number("n_top", self.n_top, low=1, integer=True)
        X, n = sp.csr_matrix(X), X.shape[0]
        total = np.asarray(X.sum(0, dtype=np.float64)).ravel()
        self.share_ = total / max(total.sum(), 1.0)
        L = self._log(X, self._factors(X, _DEPTH))
        mean, sd = moments(L)
        self.columns_ = most_variable(sd, varies(mean, sd), self.n_top)
        self.mean_ = (mean[self.columns_] / sd[self.columns_]).astype(np.float32)
        self.scale_ = sd[self.columns_].astype(np.float32)
        Z = self._scale(L[:, self.columns_])
        # Clipping moves the means a little; the axes are those of what is projected.
        self.components_ = principal_axes(Z, moments(Z)[0], self.width(n, len(self.columns_)))

    def width(self, n: int, p: int) -> int:
        if self.n_components == "auto":
            d = n - 1 if n <= _FEW_ROWS else _MANY_ROWS_COMPONENTS
        else:
            d = check_number("n_components", self.n_components, low=1, integer=True)
        return min(d, n - 1, p, self.n_top)

    def _apply(self, X: Matrix, missing: np.ndarray) -> np.ndarray:
        centre = np.where(missing[self.columns_], np.float32(0), self.mean_)
        Z = self._scaled(X, missing) @ self.components_ - centre @ self.components_
        return Z * np.float32(self.gain_)

    def _linear(self, X: Matrix, missing: np.ndarray) -> LinearStep:
        unit = "log1p of counts per 10,000, over its standard deviation"
        return LinearStep(self._scaled(X, missing), self.columns_, self.components_, self.gain_, unit)

    def _scaled(self, X: Matrix, missing: np.ndarray) -> sp.csr_matrix:
        """Kept genes of any rows, not centred."""
        X = sp.csr_matrix(X)
        factors = self._factors(X, _DEPTH * self.share_[~missing].sum() if missing.any() else _DEPTH)
        return self._scale(self._log(X[:, self.columns_], factors))  # of all genes only the kept ones need their logarithm

    @staticmethod
    def _factors(X: sp.csr_matrix, depth: float) -> np.ndarray:
        """(n,) what brings each row to `depth` counts."""
        total = np.asarray(X.sum(1, dtype=np.float64)).ravel()
        return (depth / np.maximum(total, 1)).astype(np.float32)

    @staticmethod
    def _log(X: sp.csr_matrix, factors: np.ndarray) -> sp.csr_matrix:
        """log1p of scaled counts."""
        data = np.log1p(X.data * np.repeat(factors, np.diff(X.indptr)))
        return sp.csr_matrix((data, X.indices, X.indptr), shape=X.shape)

    def _scale(self, Z: sp.csr_matrix) -> sp.csr_matrix:
        """Kept genes over their standard deviation, capped at 10 of them above the mean; changes Z."""
        Z.data = np.minimum(Z.data / self.scale_[Z.indices], self.mean_[Z.indices] + np.float32(_CLIP))
        return Z
