"""Joint training whose encoders stay near those that were trained alone."""

import torch
from torch import Tensor

from omicsbal._types import Batch, FitState, Outputs
from omicsbal._validate import check_number, problem
from omicsbal.balance._base import Strategy
from omicsbal.objectives.supervised import masked_mean

SPREAD = 1e-6  # below this a teacher's embeddings do not vary, and their variance is no unit to measure in


class Umt(Strategy):
    """The fused loss, and each encoder held near the embeddings of a teacher that saw its modality alone.

    Parameters
    ----------
    weight
        lambda >= 0. At 0 this is `Joint`.
    normalise
        Whether distances are in units of the teacher's variance, so that lambda means the same for all modalities; False is the
        plain squared distance of the paper, for which released code takes lambda = 10.

    Raises
    ------
    ValueError, TypeError
        `weight` is below 0 or no number; `normalise` is no bool.

    Notes
    -----
    ``L = L_0 + lambda sum_m mean (z_m - t_m)^2 / Var(t_m)``, the mean over rows that have m and over dimensions, the variance too
    is the mean of those of the dimensions, over the member's own training rows. Like the paper's, teacher and student share an
    architecture but not their coordinates, and nothing maps one onto the other. Departures: the variance and the default of
    lambda are our choice; the net's own fusion in place of the mean of linear heads; teachers are cross-fitted, so that a row is
    to them as a new one. It holds back what only several modalities together could teach an encoder.

    Examples
    --------
    >>> Umt(weight=10, normalise=False).heads(["rna", "cnv"])
    ['fused']
    """

    unimodal, references, cost = False, True, 1.1
    paper, confidence = "Du et al. 2023, arXiv:2305.01233", "faithful"
    spaces: dict[str, Tensor]  # {m: (K, n, k)} the teachers' embeddings
    units: dict[str, Tensor]  # {m: (K,)} their variances

    def __init__(self, weight: float = 1.0, *, normalise: bool = True) -> None:
        super().__init__()
        self.weight, self.normalise = check_number("weight", weight, low=0), normalise
        if not isinstance(normalise, bool):
            raise TypeError(problem("normalise", expected="True or False", found=repr(normalise), do="Pass one of them."))
        self.finish()

    def setup(self, state: FitState) -> None:
        if self.weight:
            self.spaces = {m: state.references.features(m) for m in state.data.x}  # type: ignore[union-attr]
        for m, space in self.spaces.items():
            rows = (state.scored * state.data.present[m]).unsqueeze(-1)
            count = rows.sum(1, keepdim=True).clamp(min=1)
            centred = (space - (space * rows).sum(1, keepdim=True) / count) * rows
            variance = (centred.square().sum(1) / count.squeeze(1)).mean(-1)
            self.units[m] = torch.where(variance > SPREAD, variance, 1.0) if self.normalise else torch.ones_like(variance)

    def terms(self, state: FitState, outputs: Outputs, batch: Batch) -> dict[str, tuple[Tensor, Tensor]]:
        found = {}
        for m, space in self.spaces.items():
            apart = (outputs.z[m] - space[:, batch.index]).square().mean(-1) / self.units[m].unsqueeze(-1)
            found[f"feature:{m}"] = masked_mean(apart, batch.scored * batch.present[m], batch.weight)
        return found

    def weights(self, state: FitState, losses: dict[str, Tensor], outputs: Outputs, batch: Batch) -> dict[str, Tensor | float]:
        return {f"feature:{m}": self.weight for m in self.spaces}

    def finish(self) -> None:
        self.spaces, self.units = {}, {}
