"""Damage to a modality, step by step; what a mild step has hurt a harsher one hurts too."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.sparse as sp


@dataclass(frozen=True)
class Damage:
    """One way to damage a modality."""

    levels: tuple[float, ...]  # usual ones, from none to most
    none: float  # the level at which nothing is damaged
    low: float
    high: float
    axis: Callable[[np.ndarray], np.ndarray]  # how far along a level is, growing with damage

    def ordered(self, levels: Sequence[float]) -> list[float]:
        """The levels from none, which is added, to most."""
        return sorted({self.none, *map(float, levels)}, key=lambda level: float(self.axis(np.array(level))))


DAMAGES = {
    # share of the cells that lose the modality
    "removed": Damage((0.0, 0.1, 0.25, 0.5, 0.75, 1.0), 0.0, 0.0, 1.0, lambda share: share),
    # probability with which a count is kept; the axis is in halvings of the depth
    "thinned": Damage((1.0, 0.5, 0.25, 0.1, 0.05, 0.02), 1.0, 1e-6, 1.0, lambda kept: -np.log2(kept)),
    # standard deviation of noise in those of the column; the axis is the share of the variance that is noise
    "noised": Damage((0.0, 0.25, 0.5, 1.0, 2.0, 4.0), 0.0, 0.0, 1e3, lambda sd: sd**2 / (1 + sd**2)),
}


def removals(present: np.ndarray, shares: Sequence[float], *, random_state: int = 0) -> Iterator[np.ndarray]:
    """Presence (n,) of a modality after each share of the cells that have it has lost it.

    Examples
    --------
    >>> [int(p.sum()) for p in removals(np.ones(8, dtype=bool), [0, 0.25, 1])]
    [8, 6, 0]
    """
    order = np.random.default_rng(random_state).permutation(np.flatnonzero(present))
    for share in shares:
        left = present.copy()
        left[order[: round(share * len(order))]] = False
        yield left


def thinnings(counts: Any, kept: Sequence[float], *, random_state: int = 0) -> Iterator[Any]:
    """Counts of which each one is kept with the given probabilities, in falling order: each is thinned from the one before.

    Parameters
    ----------
    counts
        (n, p) sparse matrix or array; NaN stays NaN, fractions are rounded where anything is thinned.
    kept
        Probabilities in (0, 1].
    random_state
        Seed.

    Yields
    ------
    (n, p) of the same kind, float32; the given matrix at probability 1.

    Examples
    --------
    >>> [int(x.sum()) for x in thinnings(np.full((50, 2), 100), [1, 0.5, 0.1])]
    [10000, 4937, 974]
    """
    rng = np.random.default_rng(random_state)
    sparse = sp.issparse(counts)
    known = counts.data if sparse else np.asarray(counts)
    blank = np.isnan(known)
    whole, before = np.rint(np.where(blank, 0, known)).astype(np.int64), 1.0
    for share in kept:
        if share == 1:
            yield counts
            continue
        whole, before = rng.binomial(whole, share / before), share
        values = np.where(blank, np.nan, whole).astype(np.float32)
        yield sp.csr_matrix((values, counts.indices, counts.indptr), shape=counts.shape) if sparse else values


def noisings(x: np.ndarray, sds: Sequence[float], *, random_state: int = 0) -> Iterator[np.ndarray]:
    """Columns (n, d) with Gaussian noise of so many of their standard deviations; the same draw, scaled, at every step.

    Examples
    --------
    >>> x = np.random.default_rng(1).normal(size=(4000, 1))
    >>> [round(float(y.std()), 1) for y in noisings(x, [0, 2])]
    [1.0, 2.2]
    """
    noise = np.random.default_rng(random_state).standard_normal(x.shape, dtype=np.float32) * x.std(axis=0)
    for sd in sds:
        yield x + np.float32(sd) * noise if sd else x
