"""What each modality is worth in each row, and how many more times a row is to be shown with it alone."""

from typing import Any

import torch
from torch import Tensor

from omicsbal._types import FitState
from omicsbal.balance._coalitions import coalitions, fused_of, shapley
from omicsbal.balance._scores import masked

CHUNK = 4096  # rows valued at once: bounds memory
BOUNDS = (1.0, 0.4, -0.1)  # a copy for each of these that phi stays below, as in the released code
ROUNDING = 1e-4  # phi is a sum of thirds and the like; a modality that gives its fair share of 1 must not look worse


def copies_by_row(phi: Tensor, here: Tensor, mask: Tensor, weight: Tensor) -> Tensor:
    """Copies (K, M, n) by the value of a modality in the row itself: 0 to 3."""
    return torch.stack([phi < bound - ROUNDING for bound in BOUNDS]).sum(0).to(phi.dtype) * here


def copies_by_modality(phi: Tensor, here: Tensor, mask: Tensor, weight: Tensor) -> Tensor:
    """Copies (K, M, n), the same for all rows: 2/3 of how much less than the mean of the others a modality is worth."""
    mean = masked(phi, mask, weight)
    known = ~mean.isnan()
    count, total = known.sum(-1, keepdim=True), mean.nan_to_num(nan=0.0).sum(-1, keepdim=True)
    behind = (total - mean) / (count - 1).clamp(min=1) - mean
    behind = torch.where(known & (count > 1), behind, 0.0)
    return 2 / 3 * behind.clamp(min=0).unsqueeze(-1) * here


@torch.no_grad()
def row_values(state: FitState) -> Tensor:
    """Shapley values phi (K, M, n) of ``v(S) = |S| [right]`` in the training rows, ``|S| exp(-squared error)`` for numbers."""
    net: Any = state.net
    training = net.training
    net.eval()
    parts = []
    for index in torch.arange(len(state.data), device=state.scored.device).split(CHUNK):
        present = {m: p[index] for m, p in state.data.present.items()}
        z, y = net.encode({m: x[index] for m, x in state.data.x.items()}, present, index), state.data.y[index]
        worth = {}
        for shown in coalitions(present):
            told = fused_of(net, z, present, shown)
            right = (told.argmax(-1) == y).to(told.dtype) if told.shape[-1] > 1 else state.task.score(told, y)
            worth[shown] = right * sum(present[m].to(told.dtype) for m in shown)
        parts.append(torch.stack(list(shapley(worth, present).values()), 1))
    net.train(training)
    return torch.cat(parts, -1)
