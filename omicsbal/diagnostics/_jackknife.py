"""Intervals of statistics that are functions of sums over cells: leave out one block of cells, or one donor, at a time."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp
from scipy import stats

BLOCKS = 40  # of cells where there are no donors: the standard error is then known to about 11 %


@dataclass(frozen=True)
class Estimate:
    """A number with its interval; NaN where it cannot be had."""

    value: float
    low: float
    high: float
    n: int  # cells behind it
    p: float = np.nan


def make_blocks(n: int, *, groups: np.ndarray | None, strata: np.ndarray | None = None, random_state: int = 0) -> np.ndarray:
    """(n,) codes of what is left out together: the groups, else random blocks with about equal shares of each stratum."""
    if groups is not None:
        return np.unique(groups, return_inverse=True)[1]
    shuffled = np.random.default_rng(random_state).permutation(n)
    order = shuffled if strata is None else shuffled[np.argsort(strata[shuffled], kind="stable")]
    blocks = np.empty(n, dtype=np.int64)
    blocks[order] = np.arange(n) % min(BLOCKS, n)
    return blocks


def make_folds(n: int, *, groups: np.ndarray | None, n_folds: int, random_state: int = 0) -> np.ndarray:
    """(n,) fold of each cell, at random; groups stay whole, the largest dealt out first to the emptiest fold."""
    rng = np.random.default_rng(random_state)
    codes = rng.permutation(n) if groups is None else np.unique(groups, return_inverse=True)[1]
    if groups is None:
        return np.asarray(codes % n_folds)
    size = np.bincount(codes)
    filled, fold_of = np.zeros(n_folds), np.zeros(len(size), dtype=np.int64)
    shuffled = rng.permutation(len(size))
    for group in shuffled[np.argsort(-size[shuffled], kind="stable")]:
        fold_of[group] = filled.argmin()
        filled[fold_of[group]] += size[group]
    return np.asarray(fold_of[codes])


def block_sums(values: np.ndarray, blocks: np.ndarray) -> np.ndarray:
    """Sums (G, ...) over the cells of each block of values (n, ...)."""
    n = len(blocks)
    chosen = sp.csr_matrix((np.ones(n), (blocks, np.arange(n))), shape=(int(blocks.max()) + 1, n))
    return np.asarray(chosen @ values.reshape(n, -1)).reshape(-1, *values.shape[1:])


def jackknife(
    sums: np.ndarray, statistic: Callable[[np.ndarray], np.ndarray], *, n: int, level: float, ratio: bool = True
) -> Estimate:
    """`statistic` of the total of `sums` (G, ...), with an interval from leaving out one block at a time.

    With ``z = log(1 + value)`` for a ratio, else the value itself: ``z +- t_{G-1} sqrt((G - 1) / G sum_g (z_(g) - mean)^2)``. For
    a correlation between two halves that z is twice Fisher's. Miller 1974, doi:10.1093/biomet/61.1.1.

    Our choice over the bootstrap: cells drawn twice look like signal between classes, so resampled ratios are shifted upwards by
    about one over the size of a class; leaving out has no such shift, and t allows for few donors.

    Parameters
    ----------
    sums
        (G, ...), by block.
    statistic
        Takes (k, ...) totals and gives (k,) numbers.
    n
        Cells.
    level
        Of the interval, as 0.95.
    ratio
        Whether the number is one that cannot fall to -1.

    Returns
    -------
    The estimate; NaN ends where there are fewer than two blocks, or where the number does not exist without one of them.

    Examples
    --------
    >>> x = np.arange(20.0)
    >>> found = jackknife(np.stack([x, np.ones(20)], 1), lambda s: s[:, 0] / s[:, 1], n=20, level=0.95, ratio=False)
    >>> found.value, bool(np.isclose(found.high - found.value, stats.t.ppf(0.975, 19) * stats.sem(x)))
    (9.5, True)
    """
    total = sums.sum(axis=0)
    value = float(statistic(total[None])[0])
    size = len(sums)
    if size < 2 or not np.isfinite(value):
        return Estimate(value, np.nan, np.nan, n)
    into, back = (_log1p, np.expm1) if ratio else (np.asarray, np.asarray)
    without, centre = into(statistic(total - sums)), into(np.array(value))
    wide = stats.t.ppf((1 + level) / 2, size - 1) * np.sqrt((size - 1) / size * ((without - without.mean()) ** 2).sum())
    return Estimate(value, float(back(centre - wide)), float(back(centre + wide)), n)


def _log1p(x: np.ndarray) -> np.ndarray:
    """log(1 + x) that stays finite where noise takes a ratio to -1."""
    return np.asarray(np.log(np.maximum(1 + x, 1e-3)))
