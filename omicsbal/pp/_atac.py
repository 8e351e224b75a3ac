"""Recipe for chromatin-accessibility counts."""

from typing import ClassVar, Literal

import numpy as np
import scipy.sparse as sp

from omicsbal._validate import check_number

from ._linear import Matrix, principal_axes
from ._recipe import LinearStep, Recipe

_SCALE = 1e4  # makes log1p bend at the frequencies that peaks have
_COMPONENTS = 50


class AtacRecipe(Recipe):
    """Counts per peak: open or not, TF-IDF, log1p, latent semantic indexing without its first component, unit variance.

    The first component follows sequencing depth. The matrix stays sparse.

    Parameters
    ----------
    n_components
        Components after the first was dropped; "auto" is 50 or what rows and peaks allow.

    Notes
    -----
    a_ij = log(1 + 10^4 b_ij / sum_j b_ij * n / sum_i b_ij) with b = (x > 0); sums over i are those of the training rows.

    References
    ----------
    Cusanovich et al. 2015, doi:10.1126/science.aab1601; Stuart et al. 2021, doi:10.1038/s41592-021-01282-5.

    Examples
    --------
    >>> X = np.random.default_rng(0).poisson(0.3, (30, 40))
    >>> AtacRecipe(n_components=5).fit_transform(X).shape
    (30, 5)
    """

    name: ClassVar[str] = "atac"
    counts: ClassVar[bool] = True
    fill: ClassVar[float] = 0.0

    def __init__(self, n_components: int | Literal["auto"] = "auto") -> None:
        self.n_components = n_components

    def _learn(self, X: Matrix) -> None:
        X = sp.csr_matrix(X)
        n, p = X.shape
        opened = np.bincount(X.indices[X.data > 0], minlength=p)
        self.idf_ = (np.where(opened > 0, n / np.maximum(opened, 1), 0)).astype(np.float32)
        A = self._tfidf(X)
        axes = principal_axes(A, np.zeros(p), self.width(n, p) + 1)
        # A lone component is all there is: better depth than nothing.
        axes = axes[:, 1:] if axes.shape[1] > 1 else axes
        Z = A @ axes
        sd = Z.std(0, dtype=np.float64)
        kept = sd > 1e-6 * sd.max(initial=0)
        self.components_ = np.ascontiguousarray(axes[:, kept] / sd[kept], dtype=np.float32)
        self.offset_ = (Z.mean(0, dtype=np.float64)[kept] / sd[kept]).astype(np.float32)

    def width(self, n: int, p: int) -> int:
        d = _COMPONENTS if self.n_components == "auto" else check_number("n_components", self.n_components, low=1, integer=True)
        return min(d, max(min(n, p) - 2, 1))

    def _apply(self, X: Matrix, missing: np.ndarray) -> np.ndarray:
        return (self._tfidf(sp.csr_matrix(X)) @ self.components_ - self.offset_) * np.float32(self.gain_)

    def _linear(self, X: Matrix, missing: np.ndarray) -> LinearStep:
        values = self._tfidf(sp.csr_matrix(X))
        return LinearStep(values, np.arange(values.shape[1]), self.components_, self.gain_, "log1p of TF-IDF")

    def _tfidf(self, X: sp.csr_matrix) -> sp.csr_matrix:
        """log1p of scaled term frequency times inverse document frequency."""
        is_open = (X.data > 0).astype(np.float32)
        binary = sp.csr_matrix((is_open, X.indices, X.indptr), shape=X.shape)
        depth = np.asarray(binary.sum(1, dtype=np.float64)).ravel()
        tf = is_open * np.repeat((_SCALE / np.maximum(depth, 1)).astype(np.float32), np.diff(X.indptr))
        return sp.csr_matrix((np.log1p(tf * self.idf_[X.indices]), X.indices, X.indptr), shape=X.shape)
