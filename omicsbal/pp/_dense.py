"""Recipe for anything that is not counts: copy number, methylation, microRNA, mass spectrometry, electrophysiology."""

from typing import ClassVar, Literal

import numpy as np
import scipy.sparse as sp

from omicsbal._validate import check_number

from ._block import block_axes, block_width, project, standardise
from ._linear import Matrix, moments, most_variable, varies
from ._recipe import LinearStep, Recipe

_CLIP = 10.0  # standard deviations


class DenseRecipe(Recipe):
    """Real numbers, NaN allowed: impute training medians, z-score, principal components.

    Parameters
    ----------
    n_top
        Features kept, those of largest variance over the training rows, where there are more. 2,000 is the custom for genes,
        and what the baselines of the project's protocol keep.
    n_components
        "auto": all of them, a rotation that loses nothing, except on more than 1,000 rows with over 200 columns (100 of them).
        An integer asks for that many; None keeps the features as columns.

    Notes
    -----
    z = (x - mean) / sd clipped to ±10, of the measured training values; what is not measured takes the training median.
    Columns that are nowhere measured or that do not vary are dropped; `note` says how many.

    Examples
    --------
    >>> X = np.random.default_rng(0).normal(size=(30, 6))
    >>> X[0, 0] = np.nan
    >>> DenseRecipe().fit_transform(X).shape
    (30, 6)
    """

    name: ClassVar[str] = "dense"
    counts: ClassVar[bool] = False
    fill: ClassVar[float] = float("nan")

    def __init__(self, n_top: int = 2000, n_components: int | Literal["auto"] | None = "auto") -> None:
        self.n_top = n_top
        self.n_components = n_components

    def _learn(self, X: Matrix) -> None:
        check_number("n_top", self.n_top, low=1, integer=True)
        mean, sd = moments(X)
        usable = varies(mean, sd)
        self.n_flat_ = int((~usable).sum())
        self.columns_ = most_variable(sd, usable, self.n_top)
        kept = self._kept(X)
        # Columns without a gap need no median; nanmedian is slow.
        self.median_ = np.zeros(kept.shape[1], np.float32)
        gaps = np.isnan(kept).any(0)
        if gaps.any():
            self.median_[gaps] = np.nanmedian(kept[:, gaps], 0)
        self.median_[~gaps] = np.median(kept[:, ~gaps], 0) if (~gaps).any() else 0
        filled = np.where(np.isnan(kept), self.median_, kept)
        mean, sd = moments(filled)
        self.mean_, self.scale_ = mean.astype(np.float32), sd.astype(np.float32)
        self.components_ = block_axes(standardise(filled, self.mean_, self.scale_, _CLIP), self.n_components)

    def width(self, n: int, p: int) -> int:
        return block_width(n, min(p, self.n_top), self.n_components)

    def _apply(self, X: Matrix, missing: np.ndarray) -> np.ndarray:
        return project(self._scaled(X, missing), self.components_) * np.float32(self.gain_)

    def _linear(self, X: Matrix, missing: np.ndarray) -> LinearStep:
        axes = self.components_ if self.components_.shape[1] else None
        return LinearStep(self._scaled(X, missing), self.columns_, axes, self.gain_, "z-score")

    def _scaled(self, X: Matrix, missing: np.ndarray) -> np.ndarray:
        """z-scores of the kept columns, imputed."""
        kept = self._kept(X)
        filled = np.where(np.isnan(kept) | missing[self.columns_], self.median_, kept)
        return standardise(filled, self.mean_, self.scale_, _CLIP)

    def _kept(self, X: Matrix) -> np.ndarray:
        """The kept columns as an array."""
        kept = X[:, self.columns_]
        return kept.toarray() if sp.issparse(kept) else kept

    @property
    def note(self) -> str:
        """What was left out of the input, in words; empty if nothing."""
        flat = f"{self.n_flat_} features without variance or values dropped" if self.n_flat_ else ""
        cut = self.n_features_in_ - self.n_flat_ - len(self.columns_)
        return "; ".join(filter(None, [flat, f"{cut} features of low variance dropped" if cut else ""]))
