"""How a standardised dense block becomes principal components: all of them, or the leading ones."""

from typing import Literal

import numpy as np

from omicsbal._validate import check_number

from ._linear import principal_axes

_FEW_ROWS = 1000  # up to here nothing is cut: tuned linear models lose accuracy on 50 components (design, section 2.2)
_WIDE = 200  # columns that many rows train on without trouble
_MANY_ROWS_COMPONENTS = 100


def block_width(n: int, p: int, n_components: int | Literal["auto"] | None) -> int:
    """Columns that a block of n rows and p columns is narrowed to; p itself where it is kept as it is."""
    if n_components is None or (n_components == "auto" and n > _FEW_ROWS and p <= _WIDE):
        return p
    if n_components == "auto":
        d = n - 1 if n <= _FEW_ROWS else _MANY_ROWS_COMPONENTS
    else:
        d = check_number("n_components", n_components, low=1, integer=True)
    return p if d >= p else min(d, n - 1)


def block_axes(Z: np.ndarray, n_components: int | Literal["auto"] | None) -> np.ndarray:
    """Principal axes (p, d) float32 of the block Z (n, p); (p, 0) means keep the columns as they are.

    A block that is not cut is rotated all the same: no linear model changes by that, and a net can then be told which directions
    carry the variance (`omicsbal.nn.encoders.Encoder`).
    """
    n, p = Z.shape
    if n_components is None:
        return np.zeros((p, 0), np.float32)
    return principal_axes(Z, Z.mean(0, dtype=np.float64), block_width(n, p, n_components))


def project(Z: np.ndarray, axes: np.ndarray) -> np.ndarray:
    """Z on the axes; Z itself where there are none. The memory order is fixed first: products differ in the last bit by it."""
    return np.ascontiguousarray(Z) @ axes if axes.shape[1] else Z


def standardise(X: np.ndarray, mean: np.ndarray, scale: np.ndarray, clip: float) -> np.ndarray:
    """z-scores within ±clip, 0 where not measured."""
    return np.nan_to_num(np.clip((X - mean) / scale, -clip, clip), nan=0.0, copy=False)
