"""Distances between a student's embeddings and its teacher's."""

import torch
from torch import Tensor
from torch.nn import functional


def feature_distance(z: Tensor, teacher: Tensor) -> Tensor:
    """Squared distance (K, n) of the unit vectors along z and along the teacher's embedding, both (K, n, k); in [0, 4]."""
    return ((functional.normalize(z, dim=-1) - functional.normalize(teacher, dim=-1)) ** 2).sum(-1)


def _distances(z: Tensor, pairs: Tensor) -> Tensor:
    """Euclidean distances (K, n, n) in units of their mean over `pairs` (K, n, n)."""
    square = (z.unsqueeze(-2) - z.unsqueeze(-3)).square().sum(-1)
    apart = torch.where(square > 0, square.clamp(min=1e-12).sqrt(), square)  # a zero distance has no gradient
    return apart / ((apart * pairs).sum((-1, -2), keepdim=True) / pairs.sum((-1, -2), keepdim=True).clamp(min=1)).clamp(min=1e-12)


def relation_distance(z: Tensor, teacher: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
    """How differently rows lie to each other: mean (K,) and number of rows (K,).

    The Huber loss of the pairwise distances, each side in units of its own mean distance, over the pairs of rows that the mask
    (K, n) counts (distance-wise relational KD, Park et al. 2019, arXiv:1904.05068). It needs no common space and no projection.
    """
    pairs = mask.unsqueeze(-1) * mask.unsqueeze(-2)
    pairs = pairs * (1 - torch.eye(pairs.shape[-1], device=pairs.device))
    with torch.no_grad():
        target = _distances(teacher, pairs)
    loss = functional.smooth_l1_loss(_distances(z, pairs), target, reduction="none")
    return (loss * pairs).sum((-1, -2)) / pairs.sum((-1, -2)).clamp(min=1), mask.sum(-1)
