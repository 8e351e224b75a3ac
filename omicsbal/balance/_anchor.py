"""One modality that guides the others: which it is, how far its followers are from it, and what they have in common with it."""

import torch
from torch import Tensor

from omicsbal._types import References

LN2 = 0.6931471805599453
TIE = 0.01  # reference scores no further apart than this are equal, and the surer modality is the anchor


def anchor_of(known: References, present: dict[str, Tensor]) -> str:
    """Best out-of-fold score; among ties the lowest mean entropy (nats), then the better score."""
    near = [m for m, score in known.scores.items() if score >= max(known.scores.values()) - TIE]
    doubt = {m: -float((known.held_out[m].exp() * known.held_out[m]).sum(-1)[present[m]].mean()) for m in near}
    numbers = known.held_out[near[0]].shape[-1] == 1  # these have no entropy
    return min(near, key=lambda m: (0.0 if numbers else doubt[m], -known.scores[m]))


def disagreement(s: Tensor, log_q: Tensor) -> Tensor:
    """Jensen-Shannon divergence (K, n) in [0, ln 2] nats of outputs and log-probabilities; of numbers the squared difference."""
    if s.shape[-1] == 1:
        return (s - log_q).square().squeeze(-1)
    log_p = s.log_softmax(-1)
    log_mix = torch.logaddexp(log_p, log_q) - LN2
    return 0.5 * (log_p.exp() * (log_p - log_mix) + log_q.exp() * (log_q - log_mix)).sum(-1)


def residual(v: Tensor, basis: Tensor, mask: Tensor) -> Tensor:
    """What v (K, n, k) has beyond its least-squares fit on basis (n, b), over the rows of mask (K, n); 0 elsewhere."""
    rows = mask.unsqueeze(-1)
    gram = basis.mT @ (rows * basis) + 1e-6 * torch.eye(basis.shape[-1], device=v.device)  # a class may have no row
    return (v - basis @ torch.linalg.solve(gram, basis.mT @ (rows * v))) * rows


def overlap(z: Tensor, other: Tensor) -> Tensor:
    """``k mean_jl C_jl^2`` (K,), C the correlations of the centred columns of z and other, (K, n, k)."""
    scale = [(v.square().sum(1) + 1e-6).sqrt() for v in (z, other)]  # 1e-6: columns that do not vary
    correlation = z.mT @ other / (scale[0].unsqueeze(-1) * scale[1].unsqueeze(-2))
    return z.shape[-1] * correlation.square().mean((-1, -2))
