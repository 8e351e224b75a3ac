"""MMPareto: an encoder goes where neither the fused nor its own loss is harmed, and a little faster."""

import torch
from torch import Tensor

from omicsbal._types import FUSED, FitState
from omicsbal._validate import check_number
from omicsbal.balance._base import Strategy
from omicsbal.balance._grads import cosine, encoder_parameters, gradient, plain_gradient, set_gradient
from omicsbal.balance._scores import note
from omicsbal.balance._updates import scale_update

LEAST = 0.001  # of a weight, as in the released code


def fused_share(fused: Tensor, own: Tensor, strength: float = 1.0) -> Tensor:
    """Weight (K, 1) of the fused gradient (K, P) beside 1 - it of the own one: 1/2 where they agree, else that of least norm."""
    dot = (fused * own).sum(-1, keepdim=True)
    far = ((fused - own) ** 2).sum(-1, keepdim=True)
    least = (((own * own).sum(-1, keepdim=True) - dot) / far.clamp(min=1e-24)).clamp(LEAST, 1 - LEAST)
    agree = (dot > 0) | (far == 0)  # far = 0: both are 0
    return torch.where(agree, 0.5, 0.5 + strength * (least - 0.5))


def pareto(fused: Tensor, own: Tensor, strength: float = 1.0) -> Tensor:
    """Twice the weighted mean (K, P) of both, at least as long as their plain sum."""
    w = fused_share(fused, own, strength)
    new, plain = 2 * w * fused + 2 * (1 - w) * own, (fused + own).norm(dim=-1, keepdim=True)
    size = new.norm(dim=-1, keepdim=True)
    return torch.where(plain > size, new * plain / size.clamp(min=1e-12), new)


class Mmpareto(Strategy):
    """Where fused and own loss of a modality disagree, its encoder takes the shortest mean of both, which harms neither.

    Parameters
    ----------
    gamma
        Factor on the updates of all encoders, above 0; 1.5 in the paper.
    strength
        Share in [0, 1] of the way from equal weights to those of least norm; 1 in the paper. With 0 and ``gamma=1``: `Uniform`.

    Raises
    ------
    ValueError, TypeError
        An argument is not a number in its range.

    Notes
    -----
    Encoder m has ``g_0 = dL_0`` and ``g_m = dL_m``, per member and over the whole encoder. With ``g_0 . g_m > 0`` it receives
    ``g_0 + g_m``. Else ``N = 2 w g_0 + 2 (1 - w) g_m`` with ``w = (|g_m|^2 - g_0 . g_m) / |g_0 - g_m|^2`` (0.001 to 0.999),
    stretched to ``|g_0 + g_m|`` where it is shorter. Heads receive the plain sum.

    Wei & Hu (2024, MMPareto, arXiv:2405.17730). Departures: N is stretched as a whole, not tensor by tensor, which would turn its
    direction; gamma multiplies the update and not the gradient, where Adam would cancel it. `strength` is our addition.

    Examples
    --------
    >>> Mmpareto(gamma=1.0).heads(["rna", "cnv"])
    ['fused', 'rna', 'cnv']
    """

    paper = "Wei & Hu 2024, arXiv:2405.17730"
    confidence = "faithful"
    needs = "two more backward passes through each encoder"
    cost = 2.7

    def __init__(self, gamma: float = 1.5, strength: float = 1.0) -> None:
        super().__init__()
        self.gamma = check_number("gamma", gamma, low=0, open_low=True)
        self.strength = check_number("strength", strength, low=0, high=1)

    def backward(self, state: FitState, losses: dict[str, Tensor], weights: dict[str, Tensor | float]) -> None:
        parts = {m: encoder_parameters(state.net, m) for m in state.data.x} if self.strength > 0 else {}
        pulls = {m: (gradient(losses[FUSED], own), gradient(losses[m], own)) for m, own in parts.items()}
        super().backward(state, losses, weights)
        for m, pull in pulls.items():
            agree = fused_share(*pull, self.strength) == 0.5
            set_gradient(parts[m], torch.where(agree, plain_gradient(parts[m]), pareto(*pull, self.strength)))
        for m in state.data.x:
            scale_update(state, m, self.gamma)
        if pulls:
            note(state, "cosine", torch.stack([cosine(*pull) for pull in pulls.values()], -1))
            note(state, "share", torch.cat([fused_share(*pull, self.strength) for pull in pulls.values()], -1))
