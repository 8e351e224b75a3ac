"""MSLR: modality-specific learning rates."""

import torch
from torch import Tensor

from omicsbal._types import Batch, FitState, Outputs
from omicsbal._validate import check_choice, check_number
from omicsbal.balance._base import Strategy
from omicsbal.balance._scores import ratios
from omicsbal.balance._updates import scale_update
from omicsbal.balance._weighting import headroom

LEAST = 0.01  # of the way from chance to perfect: below it, scores say nothing about how much weaker one modality is


class Mslr(Strategy):
    """Each modality learns at a pace of its own: one that you set, or faster the worse it predicts held-out rows.

    Parameters
    ----------
    rates
        ``{modality: factor}`` of the learning rate, >= 0, for the whole fit; others have 1; 0 never moves an encoder. None: from
        held-out scores.
    limit
        With ``rates=None``, the largest factor, >= 1, and one over the smallest. At 1 the training of the fused head is that of
        `Joint`.

    Raises
    ------
    ValueError, TypeError
        A number outside its range; at the start of a fit, a modality that the data do not have.

    Notes
    -----
    Encoder m moves by f_m times the optimiser's step. By default ``f_m = 1 / rho_m`` cut to [1 / limit, limit], rho_m the
    out-of-fold metric of m, scaled so that chance is 0 and perfect 1 and at least 0.01, over the mean of the others'; 1 before
    the first evaluation. The metric is that of a unimodal head on embeddings without gradient.

    A control: the paper fine-tunes unimodal models in late fusion, with rates that were best for each alone or follow its
    validation loss. The rule by scores is our choice, and the updates are scaled rather than given an own learning rate, so
    weight decay is scaled too.

    Examples
    --------
    >>> Mslr(rates={"rna": 0.3}).rates
    {'rna': 0.3}
    """

    probes = True
    paper, confidence = "Yao & Mihalcea 2022, doi:10.18653/v1/2022.findings-acl.143", "our reconstruction"
    needs, cost = "held-out scores", 1.4

    def __init__(self, rates: dict[str, float] | None = None, limit: float = 3.0) -> None:
        super().__init__()
        self.rates = rates if rates is None else {m: check_number(f"rates[{m!r}]", f, low=0) for m, f in dict(rates).items()}
        self.limit = check_number("limit", limit, low=1)
        self.factors: dict[str, float] = {}

    def setup(self, state: FitState) -> None:
        for m in self.rates or {}:
            check_choice("rates", m, state.data.x)

    def by_scores(self, scores: Tensor, chance: float) -> Tensor:
        """Factors (M,) of out-of-fold metrics (M,); 1 where one is NaN."""
        above = torch.where(scores.isnan(), torch.nan, headroom(scores, chance).clamp(min=LEAST))
        return (1 / ratios(above)).clamp(1 / self.limit, self.limit)

    def start_epoch(self, state: FitState) -> None:
        self.factors = dict.fromkeys(state.data.x, 1.0) | (self.rates or {})
        if self.rates is None:
            scores = torch.tensor([state.oof.get(f"oof_{state.metric}:{m}", torch.nan) for m in state.data.x])
            self.factors = dict(zip(state.data.x, self.by_scores(scores, state.chance).tolist(), strict=True))
        state.signals |= {f"rate:{m}": factor for m, factor in self.factors.items()}

    def weights(self, state: FitState, losses: dict[str, Tensor], outputs: Outputs, batch: Batch) -> dict[str, Tensor | float]:
        for m, factor in self.factors.items():
            scale_update(state, m, factor)
        return {}
