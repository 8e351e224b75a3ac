"""How well each modality is doing on a batch, and compared with the others; per member, without gradients."""

from typing import Any

import torch
from torch import Tensor

from omicsbal._types import Batch, FitState, Outputs


def masked(values: Tensor, mask: Tensor, weight: Tensor) -> Tensor:
    """Weighted mean (...,) of values (..., n) over mask (..., n); NaN where there is no row."""
    share = mask * weight
    total = share.sum(-1)
    return torch.where(total > 0, (values * share).sum(-1) / total.clamp(min=1e-12), torch.nan)


@torch.no_grad()
def confidence(state: FitState, outputs: Outputs, batch: Batch) -> Tensor:
    """Mean score (..., M) of each unimodal head on the scored rows that have its modality, in the order of the net.

    The score is the probability of the true class, for numbers ``exp(-squared error)`` of standardised values, in (0, 1]. A
    masked mean and not a sum, which would mix how good a modality is with how often it is there. NaN where no row has it.
    """
    task: Any = state.task
    return torch.stack(
        [masked(task.score(s, batch.y), batch.scored * batch.present[m], batch.weight) for m, s in outputs.unimodal.items()], -1
    )


def ratios(scores: Tensor) -> Tensor:
    """Each score (..., M) over the mean of the others: c_m / mean_(k != m) c_k; 1 where it or all others are unknown (NaN).

    For two modalities this is the c_1 / c_2 of the papers. The sum of the others, which released code puts in the denominator,
    is hardly ever exceeded by any of three.
    """
    known = ~scores.isnan()
    filled = scores.nan_to_num(nan=0.0)
    count = known.sum(-1, keepdim=True) - 1
    others = (filled.sum(-1, keepdim=True) - filled) / count.clamp(min=1)
    return torch.where(known & (count > 0), filled / others.clamp(min=1e-12), 1.0)


def note(state: FitState, name: str, values: Tensor) -> None:
    """Keep the members' mean of something (..., M) for the history, one column a modality.

    Members where it is NaN do not count; NaN where it is so for all. A later batch overwrites it: the history has the value of
    the epoch's last batch, not of the epoch.
    """
    means = values.detach().reshape(-1, values.shape[-1]).nanmean(0).tolist()
    state.signals |= {f"{name}:{m}": value for m, value in zip(state.data.x, means, strict=True)}
