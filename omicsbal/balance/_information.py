"""What predictions tell of the label, in nats, and how loud a modality should be that tells this much."""

import torch
from torch import Tensor

from omicsbal._types import Batch, FitState
from omicsbal.balance._coalitions import fused_of
from omicsbal.balance._scores import masked


def blank_loss(y: Tensor, share: Tensor) -> Tensor:
    """Loss (K,) of the best constant under row weights share (K, n): entropy of class codes in nats, variance of numbers."""
    share = share / share.sum(-1, keepdim=True).clamp(min=1e-12)
    if y.is_floating_point():
        return (share * (y - (share * y).sum(-1, keepdim=True)) ** 2).sum(-1)
    p = share @ torch.nn.functional.one_hot(y).to(share.dtype)
    return -torch.xlogy(p, p).sum(-1)


def information(loss: Tensor, blank: Tensor, *, numeric: bool) -> Tensor:
    """Nats that a predictor with this loss tells at least: ``H(y) - loss``, or ``log(Var(y) / loss) / 2``; at least 0.

    A variational lower bound of the mutual information (Barber & Agakov 2003). NaN stays NaN.
    """
    told = (blank.clamp(min=1e-12) / loss.clamp(min=1e-12)).log() / 2 if numeric else blank - loss
    return told.clamp(min=0)


def mean_of_others(values: Tensor) -> Tensor:
    """Mean (..., M) of all other known values (..., M); 0 where none is known."""
    known = ~values.isnan()
    filled = values.nan_to_num(nan=0.0)
    return (filled.sum(-1, keepdim=True) - filled) / (known.sum(-1, keepdim=True) - known.long()).clamp(min=1)


def gap(means: Tensor) -> Tensor:
    """Largest minus smallest loss (K,) of (K, M), the smallest a constant; NaN is left out, 0 where nothing else is there."""
    unknown = means.isnan()
    apart = means.masked_fill(unknown, -torch.inf).amax(-1) - means.detach().masked_fill(unknown, torch.inf).amin(-1)
    return torch.where(unknown.all(-1), 0.0, apart)


def louder(scores: Tensor, able: Tensor, most: float = 3.0) -> Tensor:
    """Mean score over the score (..., M) among those that are able, within [1/most, most]; 1 for the others."""
    mean = (scores * able).nan_to_num(nan=0.0).sum(-1, keepdim=True) / able.sum(-1, keepdim=True).clamp(min=1)
    return torch.where(able, (mean / scores.clamp(min=1e-6)).clamp(1 / most, most), 1.0)


def marginal_and_joint(
    state: FitState, z: dict[str, Tensor], alone: Tensor, rows: Tensor, batch: Batch, blank: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """``I(m)`` and ``I(all) - I(all but m)``, (K, M), and the mean score (K, 1) of the fused head.

    `alone` (K, M, n) are losses with m alone, `rows` (K, M, n) where they count; NaN where no row does. The second is measured on
    rows that have m and another, 0 where there is none.
    """
    company = rows * (torch.stack(list(batch.present.values())).sum(0) > 1)
    whole = fused_of(state.net, z, batch.present, batch.present)
    rest = torch.stack([fused_of(state.net, z, batch.present, batch.present.keys() - {m}) for m in batch.present], 1)
    without = state.task.loss(rest.flatten(0, 1), batch.y).unflatten(0, rest.shape[:2])

    def told(loss: Tensor, mask: Tensor) -> Tensor:
        numeric = batch.y.is_floating_point()
        return information(masked(loss, mask, batch.weight), blank.unsqueeze(-1), numeric=numeric)

    joint = told(state.task.loss(whole, batch.y).unsqueeze(1), company) - told(without, company)
    sure = masked(state.task.score(whole, batch.y), batch.scored, batch.weight)
    return told(alone, rows), joint.nan_to_num(nan=0.0), sure.unsqueeze(-1)
