"""LFM: first the modalities agree, then they classify."""

from itertools import combinations

import torch
from torch import Tensor

from omicsbal._types import FUSED, Batch, FitState, Outputs
from omicsbal._validate import check_number, problem
from omicsbal.balance._base import Strategy
from omicsbal.nn.fusion import mean_over_present
from omicsbal.objectives.supervised import masked_mean


def disagreement(p: Tensor, q: Tensor) -> Tensor:
    """``(KL(mid || p) + KL(mid || q)) / 2`` (..., n) of two outputs (..., n, c), mid the mean of their probabilities, in nats.

    For numbers, c = 1, the squared difference.
    """
    if p.shape[-1] == 1:
        return (p - q).square().squeeze(-1)
    log_p, log_q = p.log_softmax(-1), q.log_softmax(-1)
    mid = (log_p.exp() + log_q.exp()) / 2
    return (mid * (mid.clamp(min=1e-12).log() - (log_p + log_q) / 2)).sum(-1)


class Lfm(Strategy):
    """Late fusion in which the modalities first learn to agree with each other, then more and more to classify.

    Parameters
    ----------
    first, last
        a1 in [0, 1] in the first and in the last epoch, `first` not above `last`; in between it rises linearly. At 1 and 1 there
        is no agreement, and this is `Late`.

    Raises
    ------
    ValueError, TypeError
        A number outside its range, or a falling schedule.

    Notes
    -----
    Prediction ``l = mean of s_m`` over the modalities present; ``L = 2 (a1 L_0(l) + (1 - a1) A)``, A the mean over pairs of
    ``(KL(mid || p) + KL(mid || q)) / 2`` between their class probabilities p and q, mid their mean, on rows that have both;
    0 for a pair that no row of the batch has. Numbers: A is the squared difference of the predictions.

    Yang et al. (2024, NeurIPS; compared with others in arXiv:2502.10816). KL has its arguments swapped against Jensen-Shannon, as
    in the released code. Departure: the schedule is a line; the code fits a polynomial of the epoch, or learns a1 by steps of
    about 1e-4 from second derivatives of one parameter, which hardly moves it. Without agreement the factor of 2 is left out, so
    that nothing else differs from `Late`.

    Examples
    --------
    >>> Lfm(first=0.2).heads(["rna", "atac"])
    ['fused']
    """

    unimodal = False
    paper = "Yang et al. 2024, NeurIPS; see arXiv:2502.10816"
    cost = 1.1
    confidence = "faithful"

    def __init__(self, first: float = 0.05, last: float = 0.95) -> None:
        super().__init__()
        self.first = check_number("first", first, low=0, high=1)
        self.last = check_number("last", last, low=0, high=1)
        if first > last:
            do = "The modalities first agree, then classify: pass a larger last."
            raise ValueError(problem("last", expected=f"a number of at least first ({first:g})", found=last, do=do))

    def share(self, state: FitState) -> float:
        """a1 of this epoch."""
        done = min(1.0, state.epoch / max(1, state.n_epochs - 1))
        return self.first + (self.last - self.first) * done

    def terms(self, state: FitState, outputs: Outputs, batch: Batch) -> dict[str, tuple[Tensor, Tensor]]:
        pairs = list(combinations(outputs.unimodal, 2))
        if self.first == 1 or not pairs:
            return {}
        apart, rows = [], []
        for a, b in pairs:
            both = batch.scored * (batch.present[a] & batch.present[b])
            mean, n = masked_mean(disagreement(outputs.unimodal[a], outputs.unimodal[b]), both, batch.weight)
            apart.append(mean)
            rows.append(n)
        return {"agreement": (torch.stack(apart).mean(0), torch.stack(rows).sum(0))}

    def weights(self, state: FitState, losses: dict[str, Tensor], outputs: Outputs, batch: Batch) -> dict[str, Tensor | float]:
        if "agreement" not in losses:
            return {}
        share = self.share(state)
        state.signals["share:label"] = share
        return {FUSED: 2 * share, "agreement": 2 * (1 - share)}

    def fuse(self, outputs: Outputs, present: dict[str, Tensor]) -> Tensor:
        return mean_over_present(outputs.unimodal, present)
