"""Uncertainty weighting: each loss is divided by a noise level that is learned with the net."""

import torch
from torch import Tensor, nn

from omicsbal._types import FUSED, Batch, FitState, Outputs
from omicsbal._validate import check_number
from omicsbal.balance._base import Strategy

LIMIT = 5.0  # of |s|: weights stay within exp(-5) and exp(5)


class Uncertainty(Strategy):
    """A loss that stays high counts less: each head learns how noisy it is. It starves weak modalities, so a negative control.

    Parameters
    ----------
    rate
        Learning rate of the noise levels over that of the net, at least 0. At 0 all weights stay 1: `Uniform`. Adam moves a
        parameter by about the learning rate a step, which adds up to about 0.45 over a fit with the defaults of `FitConfig`. At
        1, |s| would get no further than that, and no weight below 0.6; at 5 it gets to 2.25, weights of 0.1.

    Raises
    ------
    ValueError, TypeError
        `rate` is not a number of at least 0.

    Notes
    -----
    ``L = sum_k (exp(-s_k) L_k + s_k / 2)`` over the fused head and all modalities; for numbers ``exp(-s_k) / 2`` in place of
    ``exp(-s_k)``. One s = ln(sigma^2) a head and member, 0 at first, kept within -5 and 5. The minimum over s is at ``exp(s_k) =
    2 L_k`` (numbers: ``L_k``), so the weight is inverse to the loss. A head without any row in the batch adds no ``s_k / 2``.

    Kendall, Gal & Cipolla (2018, arXiv:1705.07115). Departures, our choice: the bounds; ``s = rate * t`` with t the trained
    parameter, since a larger gradient alone would not speed up Adam; its default. At rate 0 numbers have weight 1 and not 1/2.

    Examples
    --------
    >>> Uncertainty().heads(["rna", "cnv"])
    ['fused', 'rna', 'cnv']
    """

    paper = "Kendall, Gal & Cipolla 2018, arXiv:1705.07115"
    cost = 1.4
    confidence = "faithful"
    noise: Tensor  # (K, 1 + M), t: s over the rate; the fused head first

    def __init__(self, rate: float = 5.0) -> None:
        super().__init__()
        self.rate = check_number("rate", rate, low=0)

    def setup(self, state: FitState) -> None:
        if self.rate > 0:
            self.noise = nn.Parameter(torch.zeros(len(state.scored), 1 + len(state.data.x), device=state.scored.device))

    def terms(self, state: FitState, outputs: Outputs, batch: Batch) -> dict[str, tuple[Tensor, Tensor]]:
        if self.rate == 0:
            return {}
        with torch.no_grad():  # outside the bounds no gradient would lead back
            self.noise.clamp_(-LIMIT / self.rate, LIMIT / self.rate)
        counts = {FUSED: batch.scored} | {m: batch.scored * batch.present[m] for m in outputs.unimodal}
        rows = {head: mask.sum(-1) for head, mask in counts.items()}
        s = dict(zip(rows, (self.rate * self.noise).unbind(-1), strict=True))
        return {f"spread:{head}": (s[head] / 2 * (there > 0), there) for head, there in rows.items()}

    def weights(self, state: FitState, losses: dict[str, Tensor], outputs: Outputs, batch: Batch) -> dict[str, Tensor | float]:
        if self.rate == 0:
            return {}
        factor = 0.5 if batch.y.is_floating_point() else 1.0
        weight = factor * torch.exp(-self.rate * self.noise)
        heads = [FUSED, *outputs.unimodal]
        state.signals |= {f"weight:{head}": float(w) for head, w in zip(heads, weight.detach().mean(0), strict=True)}
        return dict(zip(heads, weight.unbind(-1), strict=True))

    def finish(self) -> None:
        if self.rate > 0:
            del self.noise
