"""Worlds whose verdicts are known by how they were made, for `diagnostics.py verdicts`."""

from dataclasses import dataclass, field

from torch import Tensor

import omicsbal as ob
from omicsbal._types import Batch, FitState
from omicsbal.balance import Strategy

DOMINANT, FAIR, UNDER_USED, UNINFORMATIVE = "dominant", "fair", "under-used", "uninformative"
SIZES = {"rna": 100, "atac": 200, "protein": 40}


class Starved(Strategy):
    """Joint training, a single fused loss, in which one encoder never gets a gradient: starved on purpose."""

    unimodal = False

    def __init__(self, modality: str = "atac") -> None:
        super().__init__()
        self.modality = modality

    def features(self, state: FitState, z: dict[str, Tensor], batch: Batch) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """Cut the gradient of the starved."""
        return {m: v.detach() if m == self.modality else v for m, v in z.items()}, batch.present


@dataclass(frozen=True)
class Kind:
    """How a world is made, and which verdicts are right for each modality; none: not scored."""

    dials: dict
    truth: dict[str, tuple[str, ...]]
    strategy: str = "uniform"  # every encoder has a loss of its own: nothing is starved
    cells: tuple[int, int] = field(default=(400, 900))


EVERY = dict.fromkeys(SIZES, (FAIR,))
# Chances that a modality's state is random say what it holds. What dominates holds four fifths of the label and more, beside
# others that hold little and are used as far as they go; where rna leads by less, both words are right for it.
KINDS = {
    "starved": Kind({"shared": 0.6, "error": {"rna": 0.1, "atac": 0.15, "protein": 0.3}}, {"atac": (UNDER_USED,)}),
    "balanced": Kind({"shared": 0.3, "error": 0.15}, EVERY),
    "noise": Kind(
        {"preset": "useless", "error": {"rna": 0.1, "atac": 0.15, "protein": 1.0}},
        {"rna": (FAIR, DOMINANT), "atac": (FAIR,), "protein": (UNINFORMATIVE,)},
    ),
    "redundant": Kind({"shared": 1.0, "error": 0.15}, EVERY),
    "dominant": Kind(
        {"shared": 1.0, "error": {"rna": 0.03, "atac": 0.55, "protein": 0.55}},
        {"rna": (DOMINANT,), "atac": (FAIR,), "protein": (FAIR,)},
    ),
}


def verdict_world(kind: str, seed: int):
    """A MuData of 400 to 900 cells, and the verdicts that are right for each modality."""
    chosen = KINDS[kind]
    n = chosen.cells[0] + (seed * 37) % (chosen.cells[1] - chosen.cells[0])
    dials = {"preset": "redundant", "n_classes": 4, "strength": 1.5} | chosen.dials
    mdata = ob.datasets.simulate(n_obs=n, n_truth=200, n_features=SIZES, random_state=seed, **dials)
    return mdata, {m: chosen.truth.get(m, ()) for m in SIZES}
