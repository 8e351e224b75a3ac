"""PCGrad: where fused and unimodal gradients pull an encoder opposite ways, each gives up what harms the other."""

import torch
from torch import Tensor

from omicsbal._types import FUSED, FitState
from omicsbal._validate import check_number
from omicsbal.balance._base import Strategy
from omicsbal.balance._grads import cosine, encoder_parameters, gradient, plain_gradient, set_gradient
from omicsbal.balance._scores import note


def projected(g: Tensor, other: Tensor, strength: float) -> Tensor:
    """Gradients (K, P) without the share `strength` of their part along the other."""
    along = (g * other).sum(-1, keepdim=True) / (other * other).sum(-1, keepdim=True).clamp(min=1e-24)
    return g - strength * along * other


class Pcgrad(Strategy):
    """Fused and own loss of a modality may pull its encoder apart; the part of each that undoes the other is cut out.

    Parameters
    ----------
    strength
        Share in [0, 1] of the conflicting part that is cut out; 1 in the paper, 0 is `Uniform`.

    Raises
    ------
    ValueError, TypeError
        `strength` is not a number in this range.

    Notes
    -----
    Encoder m receives ``g_0 = dL_0`` and ``g_m = dL_m``. Where ``g_0 . g_m < 0``, per member and over the whole encoder, it gets
    ``(g_0 - (g_0 . g_m / |g_m|^2) g_m) + (g_m - (g_0 . g_m / |g_0|^2) g_0)``: each is projected on the normal plane of the other
    as it was. Elsewhere, and in all heads, it is the plain sum. For any number of modalities two losses meet in an encoder, so
    the random order of tasks of the paper does not come up. `strength` is our addition.

    Yu et al. (2020, arXiv:2001.06782); there between tasks, here between the heads of one label.

    Examples
    --------
    >>> Pcgrad(strength=0.5).heads(["rna", "cnv"])
    ['fused', 'rna', 'cnv']
    """

    paper = "Yu et al. 2020, arXiv:2001.06782"
    confidence = "faithful"
    needs = "two more backward passes through each encoder"
    cost = 2.2

    def __init__(self, strength: float = 1.0) -> None:
        super().__init__()
        self.strength = check_number("strength", strength, low=0, high=1)

    def backward(self, state: FitState, losses: dict[str, Tensor], weights: dict[str, Tensor | float]) -> None:
        parts = {m: encoder_parameters(state.net, m) for m in state.data.x} if self.strength > 0 else {}
        pulls = {m: (gradient(losses[FUSED], own), gradient(losses[m], own)) for m, own in parts.items()}
        super().backward(state, losses, weights)
        for m, (fused, own) in pulls.items():
            edited = projected(fused, own, self.strength) + projected(own, fused, self.strength)
            conflict = (fused * own).sum(-1, keepdim=True) < 0
            set_gradient(parts[m], torch.where(conflict, edited, plain_gradient(parts[m])))
        if pulls:
            note(state, "cosine", torch.stack([cosine(*pull) for pull in pulls.values()], -1))
