"""Sequential prioritisation: who moves when, from a ranking that was settled once."""

from math import floor

import torch
from torch import Tensor

from omicsbal._types import Batch, FitState, Outputs
from omicsbal.balance._scores import confidence, ratios

LAST = 0.75  # share of the epochs by which all phases are over, so that all encoders have a quarter of them together


def phase_of(epoch: int, n_epochs: int, *, share: float, n_phases: int, begun: int = 0) -> int:
    """Phase 0, 1, ... of an epoch; `n_phases` once all are over.

    Each lasts `share` of the epochs, or less where `n_phases` of them would not be over by `LAST`; but an epoch at least, where
    there are enough of them.
    """
    length = min(share, max(LAST - begun / n_epochs, 0) / max(n_phases, 1)) * n_epochs
    if length and begun + n_phases < n_epochs:
        length = max(length, 1.0)
    # 1e-9: in floats, three epochs are a little less than 0.1 of 30
    return min(floor((epoch - begun) / length + 1e-9), n_phases) if length else n_phases


def weakest_first(scores: Tensor) -> Tensor:
    """Place (M,) of each modality when sorted by score (M,), the lowest first."""
    return scores.argsort(stable=True).argsort(stable=True)


def multipliers(rank: Tensor, phase: int, still: Tensor) -> list[float]:
    """What each update is multiplied by: 1 for who is active, `still` (M,) for the rest.

    All are active after the last phase, and where the rank is -1, not settled.
    """
    active = (rank == phase) | (rank < 0) | (phase >= len(rank) - 1)
    return torch.where(active, 1.0, still).tolist()


def out_of_fold_confidence(state: FitState, held_out: Outputs) -> Tensor:
    """Mean score (M,) of the unimodal heads on all rows, each seen by the member that did not train on it."""
    data, everyone = state.data, torch.ones_like(state.scored[:1])
    rows = torch.arange(len(data), device=everyone.device)
    return confidence(state, held_out, Batch({}, data.present, data.y, rows, everyone, data.weight))[0]


def _partly(scores: Tensor, strength: float) -> Tensor:
    """``1 - tanh(strength relu(r - 1))`` (M,), r the score over the mean of the others': unlike OGM's it has no jump at r = 1."""
    return 1 - torch.tanh(strength * (ratios(scores) - 1).clamp(min=0))


# What the update of an encoder that is not active is multiplied by (M,), from scores (M,) and a strength.
SUPPRESSION = {
    "complete": lambda scores, strength: torch.zeros_like(scores),
    "partial": _partly,
    "none": lambda scores, strength: torch.ones_like(scores),
}
