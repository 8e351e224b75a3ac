"""Gates between modalities, and when one of them is held; per member."""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn.functional import one_hot

from omicsbal.nn.fusion import mean_over_present


def gates(z: dict[str, Tensor], present: dict[str, Tensor], squeeze: Tensor, gate: Tensor, shift: Tensor) -> dict[str, Tensor]:
    """``2 sigmoid(s G_m + b_m)`` (K, n, k) a modality, in (0, 2), with ``s = relu(mean over present m of z_m S_m)``.

    S and G are (K, M, k, k), b is (K, M, 1, k).
    """
    shared = mean_over_present({m: v @ squeeze[:, i] for i, (m, v) in enumerate(z.items())}, present).relu()
    return {m: 2 * torch.sigmoid(shared @ gate[:, i] + shift[:, i]) for i, m in enumerate(z)}


def energy(pairs: Sequence[tuple[Tensor, Tensor | None]]) -> Tensor:
    """``sum |g|^2 / sum |w|^2`` (K,) of weights (K, ...) and their gradients; 0 without gradients."""
    size = torch.stack([w.detach().flatten(1).square().sum(1) for w, _ in pairs]).sum(0)
    moved = torch.stack([torch.zeros_like(size) if g is None else g.flatten(1).square().sum(1) for _, g in pairs]).sum(0)
    return moved / size.clamp(min=1e-12)


def running(average: Tensor, count: Tensor, values: Tensor, mask: Tensor, open_: Tensor) -> tuple[Tensor, Tensor]:
    """Running mean (K, M, k) over steps, and steps (K, M), after one more: values (K, M, n, k), weights of rows (K, M, n).

    A step counts for a modality where `open_` (K, M) says so and there is a row.
    """
    total = mask.sum(-1)
    counts = (total > 0) & open_
    count = count + counts
    mean = (values * mask.unsqueeze(-1)).sum(-2) / total.clamp(min=1e-12).unsqueeze(-1)
    return average + (counts / count.clamp(min=1)).unsqueeze(-1) * (mean - average), count


def held_next(energies: Tensor, held: Tensor, left: Tensor, threshold: float, window: int) -> tuple[Tensor, Tensor, Tensor]:
    """Speeds (K, M), which gates are held in the next step (K, M) and for how many steps (K,), of summed energies (K, M, 2).

    The speed is log10 of the gate's energy over that of the encoder, 0 where one of them is 0, which takes no part. Only a member
    that holds no gate may begin to.
    """
    known = (energies > 0).all(-1)
    speed = torch.where(known, energies[..., 0] / energies[..., 1].clamp(min=1e-30), 1.0).log10()
    fast, slow = speed.masked_fill(~known, -torch.inf).max(-1), speed.masked_fill(~known, torch.inf).amin(-1)
    begins = (left == 0) & (fast.values - slow > threshold) & (window > 0)
    left = torch.where(begins, float(window), (left - 1).clamp(min=0))
    chosen = one_hot(fast.indices, held.shape[1]).to(held.dtype)
    return speed, torch.where(begins.unsqueeze(-1), chosen, held * (left > 0).unsqueeze(-1)), left
