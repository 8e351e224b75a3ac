"""How hard rows are, how modalities get on, and a gate that starts as none: the parts of a curriculum."""

from math import log
from typing import Any

import torch
from torch import Tensor

from omicsbal._types import Batch, Outputs
from omicsbal.balance._scores import masked
from omicsbal.nn.fusion import mean_over_present

MEMORY = 0.9  # share of the old in running means of difficulty and progress
LEAST = 1e-3  # losses and rates below this are not told apart: their ratios would explode


def ranks_within(values: Tensor, groups: Tensor, n_groups: int) -> Tensor:
    """Rank of values (..., n) among those of the same group (..., n), from 0 to 1; 0 for one alone. Ties go by position."""
    by_value = values.argsort(dim=-1, stable=True)
    order = by_value.gather(-1, groups.gather(-1, by_value).argsort(dim=-1, stable=True))  # by group, then by value
    ordered = groups.gather(-1, order)
    count = values.new_zeros(*values.shape[:-1], n_groups).scatter_add_(-1, groups, torch.ones_like(values))
    start = count.cumsum(-1) - count
    place = torch.arange(values.shape[-1], device=values.device) - start.gather(-1, ordered)
    return torch.zeros_like(values).scatter_(-1, order, place / (count.gather(-1, ordered) - 1).clamp(min=1))


def _apart(a: Tensor, b: Tensor) -> Tensor:
    """How far two outputs (..., c) are apart: total variation of class probabilities, absolute difference of numbers."""
    return (a.softmax(-1) - b.softmax(-1)).abs().sum(-1) / 2 if a.shape[-1] > 1 else (a - b).abs().squeeze(-1)


def _unsteady(said: Tensor, here: Tensor) -> Tensor:
    """Entropy of class probabilities (K, M, n, c) over log c; of numbers, the distance from the mean of those that are here."""
    if said.shape[-1] == 1:
        return (said.squeeze(-1) - (said.squeeze(-1) * here).sum(1, keepdim=True) / here.sum(0).clamp(min=1)).abs()
    log_p = said.log_softmax(-1)
    return -(log_p.exp() * log_p).sum(-1) / log(said.shape[-1])


@torch.no_grad()
def difficulties(task: Any, outputs: Outputs, batch: Batch) -> Tensor:
    """Deviation, disagreement and instability (K, 3, n) of each row, means over the modalities it has."""
    said = torch.stack(list(outputs.unimodal.values()), 1)  # (K, M, n, c)
    here = torch.stack([batch.present[m] for m in outputs.unimodal]).to(said.dtype)  # (M, n)
    losses = torch.stack([task.loss(s, batch.y) for s in outputs.unimodal.values()], 1)
    parts = torch.stack([losses, _apart(said, outputs.fused.unsqueeze(1)), _unsteady(said, here)], 1)  # (K, 3, M, n)
    mean = (parts * here).sum(-2) / here.sum(-2).clamp(min=1)
    mean[:, 0] += task.loss(outputs.fused, batch.y)
    return mean


def hardness(difficulty: Tensor, volatility: Tensor, y: Tensor, scored: Tensor) -> Tensor:
    """Mean rank (K, n) of rows among those of their class that the member learns from; steady difficulties (K, 3) count more.

    Volatilities, a few percent each, count by their ratio to their mean: a softmax of the values as they are would be flat.
    """
    group = torch.zeros_like(y).long() if y.is_floating_point() else y
    last = int(group.max()) + 1  # the group of the rows that teach nothing
    group = torch.where(scored > 0, group, last).unsqueeze(1).expand_as(difficulty)
    alpha = (-volatility / volatility.mean(-1, keepdim=True).clamp(min=1e-12)).softmax(-1)
    return (alpha.unsqueeze(-1) * ranks_within(difficulty, group, last + 1)).sum(1)


def mean_losses(task: Any, outputs: Outputs, batch: Batch) -> tuple[Tensor, Tensor]:
    """Losses of the modalities (K, M), NaN where there is no row, and of the fused head (K,)."""
    losses = {m: task.loss(s, batch.y) for m, s in outputs.unimodal.items()}
    own = [masked(loss, batch.scored * batch.present[m], batch.weight) for m, loss in losses.items()]
    return torch.stack(own, -1), masked(task.loss(outputs.fused, batch.y), batch.scored, batch.weight)


def progress(own: Tensor, whole: Tensor, before: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """``log GMR``, ``HMIR`` and the improvement (K,) of the modality that improves least, softly.

    From losses of the modalities own (K, M), NaN where there is no row, of the fused head whole (K,), and running ones before
    (K, M). In GMR the modalities' losses are constants, else raising them would pay.
    """
    known = ~own.isnan()
    count = known.sum(-1).clamp(min=1)
    own, whole = torch.where(known, own, 1.0), torch.where(whole.isnan(), 1.0, whole)
    level = torch.where(known, own.detach().clamp(min=LEAST).log(), 0.0).sum(-1) / count
    gmr = torch.where(known.any(-1), level - whole.clamp(min=LEAST).log(), 0.0)
    delta = torch.where(known, (before - own) / before.clamp(min=LEAST), 0.0)
    rate = count / torch.where(known, 1 / delta.detach().clamp(min=10 * LEAST), 0.0).sum(-1).clamp(min=LEAST)
    slow = torch.where(known, -delta.detach(), torch.finfo(own.dtype).min).softmax(-1)
    return gmr, rate, (delta * slow).sum(-1)


def lagging(own: Tensor, whole: Tensor, before: Tensor, pace: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Minus R (K,), the share of log GMR in it, and the new running means: losses (K, M), and log GMR with HMIR (K, 2)."""
    known = ~own.isnan()
    before = torch.where(before.isnan(), own.detach(), before)
    gmr, rate, slowest = progress(own, whole, before)
    pace = MEMORY * pace + (1 - MEMORY) * torch.stack([gmr.detach(), rate], -1)
    share = torch.sigmoid(5 * (pace[:, 1] - pace[:, 0]))  # a fused head that gains little gets the larger share
    return -share * gmr - (1 - share) * slowest, share, torch.where(known, 0.99 * before + 0.01 * own.detach(), before), pace


def gates(z: dict[str, Tensor], present: dict[str, Tensor], key: Tensor, query: Tensor, floor: float) -> Tensor:
    """Factors (K, n, M) with mean 1 over the modalities of a row, none below floor; all exactly 1 where the query is 0.

    A softmax of ``q^T tanh([z_m; mean z] U)``, times the number of modalities; key U (K, 2k, k), query q (K, k, 1).
    """
    centre = mean_over_present(z, present)
    here = torch.stack([present[m].expand(v.shape[:-1]) for m, v in z.items()], -1)
    logits = torch.cat([(torch.cat([v, centre], -1) @ key).tanh() @ query for v in z.values()], -1)
    logits = logits.masked_fill(~here, torch.finfo(logits.dtype).min)
    e = (logits - logits.detach().amax(-1, keepdim=True)).exp() * here
    mean = e.sum(-1, keepdim=True) / here.sum(-1, keepdim=True).clamp(min=1)
    return 1 + (1 - floor) * (e / mean.clamp(min=1e-12) - 1)
