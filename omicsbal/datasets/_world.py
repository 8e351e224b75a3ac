"""The hidden world: label, nuisance, and a noisy discrete state for each modality.

A *table* is p(state | class, nuisance), an array (n_classes, n_nuisance, n_states). Modalities are independent given class and
nuisance, so every probability among states and label is a finite sum.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import ArrayLike, NDArray

Table = NDArray[np.float64]


def power_prior(n_classes: int, imbalance: float) -> NDArray[np.float64]:
    """Class probabilities proportional to c ** -imbalance, c = 1..n_classes."""
    prior = np.arange(1, n_classes + 1, dtype=float) ** -imbalance
    return prior / prior.sum()


def see(levels: ArrayLike, n_levels: int, n_nuisance: int, trust: float = 1.0) -> Table:
    """Return the table of a reader of `levels` (by class, or class by nuisance): right with probability `trust`, else uniform."""
    levels = np.asarray(levels)
    if levels.ndim == 1:
        levels = np.repeat(levels[:, None], n_nuisance, axis=1)
    return trust * np.eye(n_levels)[levels] + (1 - trust) / n_levels


def channel(readings: Sequence[Table], error: float) -> Table:
    """Return the table of all readings together, the last running fastest; with probability `error` the state is uniform."""
    table = np.ones((*readings[0].shape[:2], 1))
    for reading in readings:
        table = (table[..., :, None] * reading[..., None, :]).reshape(*table.shape[:2], -1)
    return (1 - error) * table + error / table.shape[-1]


@dataclass(frozen=True)
class World:
    """Class prior (n_classes,) and one table per modality; `sizes` are the level numbers of the readings that make up a state."""

    prior: NDArray[np.float64]
    tables: dict[str, Table]
    sizes: dict[str, tuple[int, ...]]

    @property
    def n_nuisance(self) -> int:
        """Number of equally likely nuisance values."""
        return next(iter(self.tables.values())).shape[1]

    def joint(self, subset: Iterable[str]) -> NDArray[np.float64]:
        """p(states of the subset, class), shape (product of their state numbers, n_classes); the last modality runs fastest."""
        states = np.ones((len(self.prior), self.n_nuisance, 1))
        for name in subset:
            states = (states[..., :, None] * self.tables[name][..., None, :]).reshape(*states.shape[:2], -1)
        return (states.mean(axis=1) * self.prior[:, None]).T


def subsets(names: Iterable[str]) -> list[tuple[str, ...]]:
    """All subsets, the empty one first, then by size and in the order of the names."""
    names = tuple(names)
    return [s for size in range(len(names) + 1) for s in combinations(names, size)]


def subset_name(subset: Iterable[str]) -> str:
    """Name of a subset as written in the tables: 'rna+atac', or 'none'."""
    return "+".join(subset) or "none"
