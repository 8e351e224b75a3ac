"""What predictions tell of the label, in nats, and how loud a modality should be that tells this much."""

from collections.abc import Callable

import torch
from torch import Tensor

from omicsbal._types import FitState
from omicsbal.balance._coalitions import fused_of
from omicsbal.balance._embedded import embedded
from omicsbal.balance._scores import masked

Modulate = Callable[[dict[str, Tensor], dict[str, Tensor]], dict[str, Tensor]]  # `Strategy.modulate`


def blank_loss(y: Tensor, share: Tensor) -> Tensor:
    """Loss (...) of the best constant under row weights share (..., n): entropy of class codes in nats, variance of numbers."""
    share = share / share.sum(-1, keepdim=True).clamp(min=1e-12)
    if y.is_floating_point():
        return (share * (y - (share * y).sum(-1, keepdim=True)) ** 2).sum(-1)
    p = share @ torch.nn.functional.one_hot(y).to(share.dtype)
    return -torch.xlogy(p, p).sum(-1)


def information(loss: Tensor, blank: Tensor, *, numeric: bool) -> Tensor:
    """Nats that a predictor with this loss tells at least: ``H(y) - loss``, or ``log(Var(y) / loss) / 2``; at least 0.

    On rows that the predictor did not learn from, a variational lower bound of the mutual information (Barber & Agakov 2003). NaN
    stays NaN.
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
    scores = scores.clamp(min=1e-6)  # what others make up for may be less than nothing
    mean = (scores * able).nan_to_num(nan=0.0).sum(-1, keepdim=True) / able.sum(-1, keepdim=True).clamp(min=1)
    return torch.where(able, (mean / scores).clamp(1 / most, most), 1.0)


@torch.no_grad()
def unseen(state: FitState, modulate: Modulate) -> dict[frozenset[str], tuple[Tensor, Tensor]]:
    """Loss and score, (n,) each, of the fused head shown some modalities: all, each alone, all but each.

    In row i they are those of fold member ``state.folds[i]``, which never trained on it, without dropout.
    """
    names = frozenset(state.data.x)
    sets = {names} | {frozenset({m}) for m in names} | {names - {m} for m in names}
    parts: dict[frozenset[str], list[tuple[Tensor, Tensor]]] = {s: [] for s in sets}
    for index, present, z in embedded(state):
        member, place, y = state.folds[index], torch.arange(len(index), device=index.device), state.data.y[index]  # type: ignore[index]
        z = modulate(z, present)
        for shown, found in parts.items():
            said = fused_of(state.net, z, present, shown)[member, place]
            found.append((state.task.loss(said, y), state.task.score(said, y)))
    return {s: (torch.cat([loss for loss, _ in found]), torch.cat([score for _, score in found])) for s, found in parts.items()}


def measured(state: FitState, modulate: Modulate) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """``I(m)``, ``I(all) - I(all but m)`` and the mean score of m alone, (M,), and that of the fused head, (), out-of-fold.

    Information and score of m alone are means over the rows that have it, NaN where there is none. The second is measured on
    rows that have m and another, 0 where there is none.
    """
    data, told, names = state.data, unseen(state, modulate), frozenset(state.data.x)
    rows = torch.stack(list(data.present.values()))
    company, blank = rows & (rows.sum(0) > 1), blank_loss(data.y, data.weight)
    alone, rest = ([told[s] for s in sets] for sets in ([frozenset({m}) for m in data.x], [names - {m} for m in data.x]))

    def nats(losses: list[Tensor], mask: Tensor) -> Tensor:
        return information(masked(torch.stack(losses), mask, data.weight), blank, numeric=data.y.is_floating_point())

    joint = nats([told[names][0]] * len(rows), company) - nats([loss for loss, _ in rest], company)
    score = masked(torch.stack([score for _, score in alone]), rows, data.weight)
    whole = masked(told[names][1], rows.any(0), data.weight)
    return nats([loss for loss, _ in alone], rows), joint.nan_to_num(nan=0.0), score, whole
