"""CGGM: classifier-guided gradient modulation."""

import torch
from torch import Tensor
from torch.nn.functional import one_hot

from omicsbal._types import Batch, FitState, Outputs
from omicsbal._validate import check_number
from omicsbal.balance._base import Strategy
from omicsbal.balance._scores import confidence, note
from omicsbal.balance._updates import scale_update
from omicsbal.balance._weighting import averaged


def residual(pred: Tensor, y: Tensor) -> Tensor:
    """Slope (K, n, c) of the loss in the outputs: ``p - onehot(y)``, for numbers (c = 1) ``pred - y``."""
    return pred.softmax(-1) - one_hot(y, pred.shape[-1]) if pred.shape[-1] > 1 else pred - y.unsqueeze(-1)


def alignment(one: Tensor, other: Tensor, mask: Tensor) -> Tensor:
    """Cosine (K,) of two residuals (K, n, c), each one long vector over the rows in mask (K, n); 0 where one is 0."""
    dot = lambda a, b: (mask.unsqueeze(-1) * a * b).sum((-2, -1))  # noqa: E731
    return dot(one, other) / (dot(one, one) * dot(other, other)).clamp(min=1e-12).sqrt()


class Cggm(Strategy):
    """Modalities that improve quickly learn more slowly, and the prediction is pulled to err the way the slow ones do.

    Parameters
    ----------
    rho
        Factor of the update, > 0, of modalities that improve equally.
    direction
        Weight of the direction term, >= 0; 0 leaves it out.
    memory
        Share in (0, 0.999] of the old value in the moving averages of the scores.
    until
        Share of the epochs, in [0, 1], in which it acts; at 0 the training of the fused head is that of `Joint`.

    Raises
    ------
    ValueError, TypeError
        A number outside its range.

    Notes
    -----
    c_m: moving average of the batch's mean score of modality m (probability of the true class, for numbers
    ``exp(-squared error)``); D_m how far it is above its own moving average, fast minus slow average, at least 0 (its gain over
    one batch is that batch's noise); ``B_m = sum_(k != m) D_k / sum_k D_k``.
    ``kappa_m = rho M / (M - 1) B_m``, cut to [0, 2], multiplies the update of encoder m;
    ``L = L_0 + (direction / M) sum_m B_m (1 - cos(g_m, g_0))`` with g the slopes of the losses in the outputs of the unimodal
    (no gradient) and the fused head, over the rows of the batch.

    Departures, all from "Guo et al." to something that is defined everywhere. (1) The released cosine compares weights of
    classifiers, not gradients, and enters one step late. (2) Its gains have either sign, so their sum may be near 0 and kappa
    anything: hence the averages, the floor and the cut. Where nobody gains kappa is 1 and there is no direction term. (3) The
    factor M / (M - 1) makes rho = 1 a plain step for equal gains; the paper's rho is ours times M / (M - 1). (4) kappa scales
    the update, since Adam undoes a scaled gradient. (5) The classifiers share the optimiser, without the paper's own learning
    rate and clipping. (6) `until` is ours. A modality that no row has, and a single one, is left alone.

    Examples
    --------
    >>> Cggm().shares(torch.tensor([[0.3, 0.1, 0.0]]))
    tensor([[0.2500, 0.7500, 1.0000]])
    """

    probes = True
    paper, confidence, cost = "Guo et al. 2024, arXiv:2411.01409", "our reconstruction", 1.6
    level: Tensor  # (K, M) averaged scores; NaN before the first
    trail: Tensor  # (K, M) averaged `level`
    share: Tensor  # (K, M) B of the batch; NaN where there is none

    def __init__(self, rho: float = 1.0, direction: float = 0.1, memory: float = 0.9, until: float = 1.0) -> None:
        super().__init__()
        self.rho, self.direction = check_number("rho", rho, low=0, open_low=True), check_number("direction", direction, low=0)
        self.memory = check_number("memory", memory, low=0, high=0.999, open_low=True)
        self.until = check_number("until", until, low=0, high=1)

    def setup(self, state: FitState) -> None:
        for name in ("level", "trail", "share"):
            self.register_buffer(name, torch.full((len(state.scored), len(state.data.x)), torch.nan, device=state.scored.device))

    def shares(self, gain: Tensor) -> Tensor:
        """The others' share (K, M) in all gains (K, M), NaN where unknown, alone or where nobody gained."""
        known = ~gain.isnan()
        total = gain.nansum(-1, keepdim=True)
        some = known & (known.sum(-1, keepdim=True) > 1) & (total > 0)
        return torch.where(some, (total - gain) / total.clamp(min=1e-12), torch.nan)

    def kappa(self, share: Tensor) -> Tensor:
        """Factors (K, M) of the updates, in [0, 2]."""
        count = (~share.isnan()).sum(-1, keepdim=True)
        return (self.rho * count / (count - 1).clamp(min=1) * share).clamp(0, 2).nan_to_num(nan=1.0)

    def terms(self, state: FitState, outputs: Outputs, batch: Batch) -> dict[str, tuple[Tensor, Tensor]]:
        if state.epoch >= self.until * state.n_epochs:
            return {}
        self.level = averaged(self.level, now := confidence(state, outputs, batch), self.memory)
        fast = torch.where(now.isnan(), torch.nan, self.level)
        self.trail = averaged(self.trail, fast, self.memory)
        self.share = self.shares((fast - self.trail).clamp(min=0))
        if self.direction == 0:
            return {}
        errs, share, pull = residual(outputs.fused, batch.y), self.share.nan_to_num(nan=0.0), []
        for i, (m, said) in enumerate(outputs.unimodal.items()):
            cosine = alignment(residual(said, batch.y).detach(), errs, batch.scored * batch.present[m] * batch.weight)
            pull.append(share[:, i] * (1 - cosine))
        return {"direction": (torch.stack(pull).mean(0), batch.scored.sum(-1))}

    def weights(self, state: FitState, losses: dict[str, Tensor], outputs: Outputs, batch: Batch) -> dict[str, Tensor | float]:
        if state.epoch < self.until * state.n_epochs:
            kappa = self.kappa(self.share)
            for i, m in enumerate(outputs.unimodal):
                scale_update(state, m, kappa[:, i])
            note(state, "confidence", self.level)
            note(state, "kappa", kappa)
        return {"direction": self.direction}

    def finish(self) -> None:
        del self.level, self.trail, self.share
