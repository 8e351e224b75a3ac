"""What each modality is worth in each row, and how many more times a row is to be shown with it alone."""

import torch
from torch import Tensor

from omicsbal._types import FitState
from omicsbal.balance._coalitions import coalitions, fused_of, shapley
from omicsbal.balance._embedded import embedded
from omicsbal.balance._scores import masked

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
def row_values(state: FitState, *, relative: bool = False) -> Tensor:
    """Shapley values phi (K, M, n) of ``v(S) = |S| [right]`` in the training rows, ``|S| exp(-squared error)`` for numbers.

    `relative` divides those of numbers by v(all) / |all|, so that a fair share is 1, as it is where a class is right.
    """
    parts = []
    for index, present, z in embedded(state):
        worth, y = {}, state.data.y[index]
        for shown in coalitions(present):
            told = fused_of(state.net, z, present, shown)
            numeric = told.shape[-1] == 1
            right = state.task.score(told, y) if numeric else (told.argmax(-1) == y).to(told.dtype)
            worth[shown] = right * sum(present[m].to(told.dtype) for m in shown)
        fair = right.clamp(min=1e-6).unsqueeze(1) if relative and numeric else 1.0  # the last to be shown are all
        parts.append(torch.stack(list(shapley(worth, present).values()), 1) / fair)
    return torch.cat(parts, -1)
