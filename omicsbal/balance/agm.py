"""AGM: adaptive gradient modulation by Shapley responses."""

from typing import Any

import torch
from torch import Tensor

from omicsbal._types import Batch, FitState, Outputs
from omicsbal._validate import check_number, problem
from omicsbal.balance._base import Strategy
from omicsbal.balance._coalitions import MOST, coalitions, fused_of, shapley
from omicsbal.balance._scores import masked, note
from omicsbal.balance._updates import scale_update
from omicsbal.objectives.supervised import masked_mean

WORST = 18.42  # nats, -ln 1e-8: the probability floor of the paper's code


class Agm(Strategy):
    """Shapley values say what each modality adds to the prediction; one that adds more than it used to learns more slowly.

    Parameters
    ----------
    alpha
        How strongly learning is modulated, >= 0; at 0 this is `Joint`.
    limit
        Largest ``R* - R``, > 0: no modality learns more than ``exp(alpha limit)`` times as fast.

    Raises
    ------
    ValueError, TypeError
        A number outside its range; more than six modalities, whose coalitions are too many.

    Notes
    -----
    ``Phi_m = sum over S without m of |S|! (M - |S| - 1)! / M! (l(S + m) - l(S)) + l(none) / M``, l(S) the fused output when only
    S is shown, so that ``sum_m Phi_m = l(all)``. With ``e_m`` the mean loss of Phi_m over rows that have m and e its mean over
    m, ``R_m = exp(M / (M - 1) (e - e_m))``, above 1 for a modality ahead of the others; R*_m the same of the means of e_m over
    all batches so far. ``kappa_m = exp(alpha min(R*_m - R_m, limit))`` multiplies the gradient into Phi_m. The loss is that of
    ``sum_m Phi_m``.

    Departures. (1) Modalities are hidden after the encoder, so only the head is repeated (the code repeats everything); hidden
    passes run without dropout, as there. (2) kappa_m scales the update of encoder m, and its gradient is divided by kappa_m:
    under SGD that is the paper's gradient, and under Adam the scale survives. (3) Scaling updates needs a tighter limit than the
    paper's 10 (two modalities) or 7, which has gradient clipping, and kappa is at least 0.001: both our choice. (4) A modality
    that a row lacks is hidden throughout; one that no row of the batch has, and a single one, has kappa 1. (5) For numbers e_m
    is the squared error, cut at 18. The port in BalanceBenchmark has the sign of R reversed.

    Examples
    --------
    >>> Agm(alpha=1.0).kappa(torch.tensor([[0.5, 1.5]]), torch.tensor([[1.0, 1.0]]))  # the first is ahead, more than it was
    tensor([[0.1794, 1.8816]])
    """

    unimodal = False
    paper, confidence = "Li et al. 2023, arXiv:2308.07686", "faithful"
    needs, cost = "2^M passes of the fused head", 1.7
    past: Tensor  # (K, M) mean of e_m over all batches
    count: Tensor  # (K, M) batches behind it
    factor: Tensor  # (K, M) kappa of the batch

    def __init__(self, alpha: float = 0.5, limit: float = 2.0) -> None:
        super().__init__()
        self.alpha, self.limit = check_number("alpha", alpha, low=0), check_number("limit", limit, low=0, open_low=True)

    def setup(self, state: FitState) -> None:
        size = len(state.data.x)
        if size > MOST:
            raise ValueError(problem("strategy", expected=f"at most {MOST} modalities", found=size, do="Take 'ogm_ge' instead."))
        for name, value in {"past": 0.0, "count": 0.0, "factor": 1.0}.items():
            self.register_buffer(name, torch.full((len(state.scored), size), value, device=state.scored.device))

    def kappa(self, now: Tensor, past: Tensor) -> Tensor:
        """Factors (K, M) of losses e_m (K, M) of this batch and of all; NaN: no row has m."""
        known, count = ~now.isnan(), (~now.isnan()).sum(-1, keepdim=True)

        def ratio(e: Tensor) -> Tensor:
            mean = torch.where(known, e, 0.0).sum(-1, keepdim=True) / count.clamp(min=1)
            return torch.exp(count / (count - 1).clamp(min=1) * (mean - e))

        kappa = torch.exp(self.alpha * (ratio(past) - ratio(now)).clamp(max=self.limit)).clamp(min=1e-3)
        return torch.where(known & (count > 1), kappa, 1.0)

    def responses(self, state: FitState, outputs: Outputs, batch: Batch) -> dict[str, Tensor]:
        """Phi_m (K, n, c); they sum to the fused output."""
        names, whole = list(outputs.z), frozenset(outputs.z)
        values = {s: fused_of(state.net, outputs.z, batch.present, s) for s in coalitions(names) if s != whole}
        values[whole] = outputs.fused
        return {m: phi + values[frozenset()] / len(names) for m, phi in shapley(values, names).items()}

    def terms(self, state: FitState, outputs: Outputs, batch: Batch) -> dict[str, tuple[Tensor, Tensor]]:
        if self.alpha == 0 or len(outputs.z) == 1:
            return {}
        task: Any = state.task
        phi = self.responses(state, outputs, batch)
        with torch.no_grad():
            losses = {m: task.loss(p, batch.y).clamp(max=WORST) for m, p in phi.items()}
            now = torch.stack([masked(e, batch.scored * batch.present[m], batch.weight) for m, e in losses.items()], -1)
            self.count = self.count + ~now.isnan()
            self.past = self.past + (now - self.past).nan_to_num(nan=0.0) / self.count.clamp(min=1)
            self.factor = self.kappa(now, self.past)
        total: Any = 0.0
        for i, (m, p) in enumerate(phi.items()):
            factor = self.factor[:, i].reshape(-1, 1, 1)
            total = total + p.detach() + factor * (p - p.detach())
            if outputs.z[m].requires_grad:  # the update is multiplied by it again
                outputs.z[m].register_hook(lambda g, factor=factor: g / factor)
        return {"shapley": masked_mean(task.loss(total, batch.y), batch.scored, batch.weight)}

    def weights(self, state: FitState, losses: dict[str, Tensor], outputs: Outputs, batch: Batch) -> dict[str, Tensor | float]:
        if self.alpha == 0 or len(outputs.z) == 1:
            return {}
        for i, m in enumerate(outputs.z):
            scale_update(state, m, self.factor[:, i])
        note(state, "kappa", self.factor)
        return {"fused": 0.0}

    def finish(self) -> None:
        del self.past, self.count, self.factor
