"""The named worlds: what each modality reads of the label, how well, and how it is measured."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial

import numpy as np

from omicsbal.datasets._world import Table, see


@dataclass(frozen=True)
class Space:
    """Classes, nuisance values and modalities that a layout may speak of; the label's binary digits count from 0, the lowest."""

    n_classes: int
    n_nuisance: int
    modalities: tuple[str, ...]

    @property
    def n_digits(self) -> int:
        """Binary digits needed to write every class."""
        return (self.n_classes - 1).bit_length()

    def groups(self, levels: np.ndarray) -> Table:
        """Read a partition of the classes."""
        return see(levels, int(levels.max()) + 1, self.n_nuisance)

    def digit(self, place: int, trust: float = 1.0) -> Table:
        """Read one binary digit of the label."""
        return see(np.arange(self.n_classes) >> place & 1, 2, self.n_nuisance, trust)

    def key(self, trust: float = 1.0) -> Table:
        """Read the nuisance, which says nothing about the label."""
        return see(np.tile(np.arange(self.n_nuisance), (self.n_classes, 1)), self.n_nuisance, self.n_nuisance, trust)

    def cipher(self, trust: float = 1.0) -> Table:
        """Read (label + nuisance) modulo the nuisance values: nothing alone, with the key the label's remainder."""
        levels = np.add.outer(np.arange(self.n_classes), np.arange(self.n_nuisance)) % self.n_nuisance
        return see(levels, self.n_nuisance, self.n_nuisance, trust)


Layout = Callable[[Space], dict[str, list[Table]]]


def spread(space: Space, *, shared: float) -> dict[str, list[Table]]:
    """Deal the digits out, highest first, one owner each; every other modality reads them with trust `shared`."""
    n = len(space.modalities)
    places = range(space.n_digits - 1, -1, -1)
    reads: dict[str, list[Table]] = {}
    for i, name in enumerate(space.modalities):
        trusts = [1.0 if turn % n == i else shared for turn, _ in enumerate(places)]
        reads[name] = [space.digit(place, trust) for place, trust in zip(places, trusts, strict=True) if trust > 0]
    return reads


def _nothing(space: Space) -> dict[str, list[Table]]:
    """No modality reads the label."""
    return {}


def _mixed(space: Space) -> dict[str, list[Table]]:
    """Redundant high digits, a low digit that protein reads and RNA with ATAC hold as a secret."""
    top = space.n_digits - 1
    return {
        "rna": [space.digit(place) for place in range(top, 0, -1) or (0,)],
        "atac": [space.digit(top)] if top else [],
        "protein": [space.digit(place) for place in sorted({min(1, top), 0}, reverse=True)],
    }


def _dominant(space: Space) -> dict[str, list[Table]]:
    """RNA reads nearly everything, ATAC alone the lowest digit, protein repeats the highest."""
    top = space.n_digits - 1
    return {
        "rna": [space.digit(place) for place in range(top, 0, -1) or (0,)],
        "atac": [space.digit(0)],
        "protein": [space.digit(top)],
    }


def _useless(space: Space) -> dict[str, list[Table]]:
    """RNA and ATAC share the label; protein reads nothing."""
    reads = _dominant(space)
    return {"rna": reads["rna"], "atac": [*reads["atac"], space.digit(space.n_digits - 1)]}


def _celltype(space: Space) -> dict[str, list[Table]]:
    """RNA and protein take the last two types for one; ATAC tells them apart, and from the rest, but not the rest."""
    types = np.arange(space.n_classes)
    merged = np.minimum(types, space.n_classes - 2)
    alone = np.maximum(types - (space.n_classes - 3), 0)
    return {"rna": [space.groups(merged)], "protein": [space.groups(merged)], "atac": [space.groups(alone - alone.min())]}


def _nuisance(space: Space) -> dict[str, list[Table]]:
    """Every modality reads the same nuisance besides its part of the label."""
    return {name: [*reads, space.key()] for name, reads in spread(space, shared=0.4).items()}


CELL = {"rna": "counts", "atac": "peaks", "protein": "antibodies"}
BULK = {"rna": "expression", "meth": "methylation", "mirna": "mirna"}


@dataclass(frozen=True)
class Preset:
    """Defaults of one named world; `n_classes` None means 2 ** modalities, `n_nuisance` None means as many as classes."""

    says: str
    layout: Layout
    error: Mapping[str, float]
    kinds: Mapping[str, str] = field(default_factory=lambda: CELL)
    strength: Mapping[str, float] = field(default_factory=dict)
    n_obs: int = 600
    n_classes: int | None = 8
    prior: tuple[float, ...] = ()
    imbalance: float = 0.0
    synergy: float = 0.0
    n_nuisance: int | None = 2
    batch_effect: float = 0.1
    depth_shared: float = 0.0
    factors: int = 0


# Priors, maps and errors of RNA and ATAC in the first four are the worlds with golden numbers in tests/datasets/test_truth.py.
PRESETS: dict[str, Preset] = {
    "redundant": Preset(
        "every modality reads the whole label, RNA best",
        partial(spread, shared=1.0),
        {"rna": 0.1, "atac": 0.3, "protein": 0.2},
        n_classes=4,
        prior=(0.4, 0.3, 0.2, 0.1),
    ),
    "unique": Preset(
        "each modality reads a part that no other reads",
        partial(spread, shared=0.0),
        {"rna": 0.1, "atac": 0.2, "protein": 0.15},
        n_classes=None,
    ),
    "xor": Preset(
        "RNA and ATAC say nothing alone and all of it together; protein is noise",
        _nothing,
        {"rna": 0.1, "atac": 0.1, "protein": 1.0},
        n_classes=2,
        prior=(0.6, 0.4),
        synergy=1.0,
        n_nuisance=None,
    ),
    "mixed": Preset(
        "redundant, unique and synergistic parts at once",
        _mixed,
        {"rna": 0.05, "atac": 0.1, "protein": 0.2},
        imbalance=0.5,
        synergy=1.0,
    ),
    "dominant": Preset(
        "RNA is strong and quickly learnt; ATAC is faint but holds what no other has",
        _dominant,
        {"rna": 0.05, "atac": 0.1, "protein": 0.4},
        strength={"rna": 1.5, "atac": 0.5, "protein": 0.7},
        imbalance=0.5,
    ),
    "useless": Preset(
        "protein is pure noise",
        _useless,
        {"rna": 0.1, "atac": 0.15, "protein": 1.0},
        imbalance=0.5,
    ),
    "celltype": Preset(
        "the last two types differ in ATAC only",
        _celltype,
        {"rna": 0.1, "atac": 0.1, "protein": 0.2},
        n_classes=6,
    ),
    "nuisance": Preset(
        "a shared nuisance, depth and batch tie the modalities together without saying anything about the label",
        _nuisance,
        {"rna": 0.1, "atac": 0.15, "protein": 0.15},
        n_classes=4,
        batch_effect=0.4,
        depth_shared=0.9,
    ),
    "small": Preset(
        "a bulk cohort: few samples, three dense blocks, shared factors",
        partial(spread, shared=0.6),
        {"rna": 0.1, "meth": 0.15, "mirna": 0.25},
        kinds=BULK,
        n_obs=150,
        n_classes=4,
        imbalance=0.5,
        factors=2,
    ),
}
