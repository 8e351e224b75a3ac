"""GradNorm: losses are weighed so that each pulls on the encoders as hard as its progress asks for."""

import torch
from torch import Tensor, nn

from omicsbal._types import FUSED, FitState
from omicsbal._validate import check_number
from omicsbal.balance._base import Strategy
from omicsbal.balance._grads import gradient

LEAST = 0.01  # of a weight: a step may take it below 0


def relative(now: Tensor, start: Tensor) -> Tensor:
    """Share left of each loss (K, 1 + M) over the mean share left; 1 where there is no loss (0, no row had it)."""
    known = (now > 0) & (start > 0)
    left = torch.where(known, now / start.clamp(min=1e-12), 0.0)
    mean = left.sum(-1, keepdim=True) / known.sum(-1, keepdim=True).clamp(min=1)
    return torch.where(known, left / mean.clamp(min=1e-12), 1.0)


def slope(pulls: Tensor, weight: Tensor, target: Tensor) -> Tensor:
    """Derivative (K, 1 + M) of the mean over encoders of ``|w_0 p_0m - t_0m| + |w_m p_mm - t_mm|``, all over the mean pull.

    `pulls` (K, M, 2): gradient norms of fused and own loss at the last layer of each encoder; `target`, r^alpha, (K, 1 + M).
    """
    pair = torch.stack([torch.stack([v[:, :1].expand_as(v[:, 1:]), v[:, 1:]], -1) for v in (weight, target)])  # (2, K, M, 2)
    scaled = pulls * pair[0]
    mean = scaled.mean(-1, keepdim=True)
    there = (pulls > 0).all(-1, keepdim=True)  # an encoder that one of the two does not reach says nothing
    by_pull = torch.where(there, pulls / mean.clamp(min=1e-12) * torch.sign(scaled - mean * pair[1]), 0.0)
    return torch.cat([by_pull[..., 0].mean(-1, keepdim=True), by_pull[..., 1] / pulls.shape[1]], -1)


class Gradnorm(Strategy):
    """Loss weights follow progress: a head that lags behind is made to pull harder on its encoder, one that is ahead less.

    Parameters
    ----------
    alpha
        At least 0: how much a head that lags may pull harder; 0 asks for equal pulls. The paper takes 0.5 to 1.5.
    rate
        Step size of the weights, at least 0; 0.025 in the paper. At 0 all weights stay 1: `Uniform`.
    first_steps
        Steps, at least 1, over which the initial losses are averaged.

    Raises
    ------
    ValueError, TypeError
        An argument is not a number in its range.

    Notes
    -----
    With ``p_km = |dL_k / dW_m|``, W_m the last layer of the MLP of encoder m (its linear route is left out), ``P_m = (w_0 p_0m +
    w_m p_mm) / 2`` and ``r_k`` the share ``L_k / L_k(0)`` left of a loss over the mean share, w takes one step a batch down the
    slope of ``(1 / M) sum_m sum_(k = 0, m) |w_k p_km - stop(P_m r_k^alpha)| / stop(P_m)``, is kept above 0.01 and scaled to sum
    to 1 + M. Per member.

    Chen et al. (2018, arXiv:1711.02257). Departures: no layer here serves all losses, so that only fused and own loss are
    compared, in each encoder; division by P_m, so that the step size does not depend on the unit of a loss (ours); plain steps.

    Examples
    --------
    >>> Gradnorm(alpha=0.5).heads(["rna", "cnv"])
    ['fused', 'rna', 'cnv']
    """

    paper = "Chen et al. 2018, arXiv:1711.02257"
    confidence = "our reconstruction"
    needs = "gradients of each loss at the encoders' last layers"
    cost = 1.7
    weight: Tensor  # (K, 1 + M), the fused head first
    start: Tensor  # (K, 1 + M), mean of the first losses
    counted: Tensor  # (K, 1 + M), how many of them

    def __init__(self, alpha: float = 1.0, rate: float = 0.025, first_steps: int = 20) -> None:
        super().__init__()
        self.alpha, self.rate = check_number("alpha", alpha, low=0), check_number("rate", rate, low=0)
        self.first_steps = check_number("first_steps", first_steps, low=1, integer=True)

    def setup(self, state: FitState) -> None:
        ones = torch.ones(len(state.scored), 1 + len(state.data.x), device=state.scored.device)
        for name, value in (("weight", ones), ("start", 0 * ones), ("counted", 0 * ones)):
            self.register_buffer(name, value)

    def backward(self, state: FitState, losses: dict[str, Tensor], weights: dict[str, Tensor | float]) -> None:
        heads = [FUSED, *state.data.x]
        state.signals |= {f"weight:{head}": float(w) for head, w in zip(heads, self.weight.mean(0), strict=True)}
        pulls = self.pulls(state.net, losses) if self.rate > 0 else None
        super().backward(state, losses, weights | dict(zip(heads, self.weight.clone().unbind(-1), strict=True)))
        if pulls is not None:
            self.follow(pulls, torch.stack([losses[head].detach() for head in heads], -1))

    def pulls(self, net: nn.Module, losses: dict[str, Tensor]) -> Tensor:
        """Norms (K, M, 2) of the gradients of fused and own loss with respect to the last layer of each encoder's MLP."""
        names: list[str] = net.modalities  # type: ignore[assignment]
        last = [[encoder.mlp[-1].weight] for encoder in net.encoders]  # type: ignore[union-attr]
        pairs = [(gradient(losses[FUSED], layer), gradient(losses[m], layer)) for m, layer in zip(names, last, strict=True)]
        return torch.stack([torch.stack([g.norm(dim=-1) for g in pair], -1) for pair in pairs], 1)

    @torch.no_grad()
    def follow(self, pulls: Tensor, now: Tensor) -> None:
        """One step of the weights, after the first losses (K, 1 + M) are counted."""
        early = (self.counted < self.first_steps) & (now > 0)
        self.counted += early
        self.start += torch.where(early, (now - self.start) / self.counted.clamp(min=1), 0.0)
        target = relative(now, self.start) ** self.alpha
        moved = (self.weight - self.rate * slope(pulls, self.weight, target)).clamp(min=LEAST)
        self.weight.copy_(moved * moved.shape[-1] / moved.sum(-1, keepdim=True))

    def finish(self) -> None:
        del self.weight, self.start, self.counted
