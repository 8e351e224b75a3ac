"""From what the modalities score and share to the weights of their losses."""

from collections.abc import Callable

import torch
from torch import Tensor

BOUNDS = (0.25, 3.0)  # no modality is switched off, and none drowns the others

# deficit d (M,) and dependence i (M,), both in [0, 1], to a score that is larger where a modality should weigh more
WEIGHTINGS: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "f1_mi_softmax": lambda d, i: d * i,
    "f1_only": lambda d, i: d,
    "mi_only": lambda d, i: i,
    "static": lambda d, i: torch.zeros_like(d),
}


def headroom(metric: Tensor, chance: float) -> Tensor:
    """A metric scaled so that chance is 0 and 1 stays 1, cut off below; unknown (NaN) counts as chance."""
    return ((metric.nan_to_num(nan=chance) - chance) / (1 - chance)).clamp(0, 1)


def balanced(kappa: Tensor, dependence: Tensor, *, weighting: str, sharpness: float) -> Tensor:
    """Weights (M,) of headroom-scaled metrics and dependence (M,): ``M softmax(score / tau)`` cut to `BOUNDS`, then of sum M."""
    score = WEIGHTINGS[weighting](kappa.max() - kappa, dependence)
    weight = (len(score) * (score / sharpness).softmax(0)).clamp(*BOUNDS)
    return len(weight) * weight / weight.sum()


def averaged(old: Tensor, new: Tensor, memory: float) -> Tensor:
    """Moving average (M,); what one side does not know (NaN) is taken from the other."""
    mixed = memory * old + (1 - memory) * new
    return torch.where(old.isnan(), new, torch.where(new.isnan(), old, mixed))
