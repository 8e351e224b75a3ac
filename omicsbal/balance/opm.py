"""OPM: on-the-fly prediction modulation."""

from typing import Any

import torch
from torch import Tensor

from omicsbal._types import Batch, FitState
from omicsbal._validate import check_number
from omicsbal.balance._base import Strategy
from omicsbal.balance._scores import masked, note, ratios


class Opm(Strategy):
    """The modality that is ahead is hidden from some rows in training, so that the prediction cannot lean on it alone.

    Parameters
    ----------
    drop_rate
        Chance, in [0, 0.99], that a row loses a modality that is hardly ahead. At 0 the training of the fused head is that of
        `Joint`.
    slope
        How much faster a modality further ahead is dropped, >= 0: up to ``drop_rate (1 + slope)``.
    chance
        Chance, in [0, 1], that a batch is modulated at all.
    warm_up
        Share of the epochs, in [0, 1], of joint training at the start.

    Raises
    ------
    ValueError, TypeError
        A number outside its range.

    Notes
    -----
    ``q_m = min(1, drop_rate (1 + slope t_m))`` where ``t_m = tanh(max(0, rho_m - 1)) > 0``, else 0; rho_m is the batch's mean
    score of m (probability of the true class, for numbers ``exp(-squared error)``) over the mean of the others' scores. A row
    keeps the embedding of m with chance ``1 - q_m``; members share draws but not q. Fused loss alone.

    Departures. (1) Scores come from unimodal heads on the same batch's embeddings without gradient: our fused head is not linear.
    (2) The paper sets embeddings to 0 and divides the fused features by ``1 - theta``, the expected share kept (theta the mean
    of q). Here a dropped modality counts as absent, and the fusion, a mean over what a row has, divides by the share that was
    kept: the same rescaling, row by row, and the one that missing modalities meet at prediction. (3) A row that lost all keeps
    all; the paper leaves it out of the batch. (4) Released code for three modalities compares with the sum of the others, which
    is hardly ever exceeded, or overwrites scores in place.

    Examples
    --------
    >>> Opm(drop_rate=0.4, slope=0.5).drop(torch.tensor([0.5, 1.0, 1.5]))
    tensor([0.0000, 0.0000, 0.4924])
    """

    probes = True
    paper, confidence, cost, hides = "Wei et al. 2024, arXiv:2410.11582", "faithful", 1.4, True

    def __init__(self, drop_rate: float = 0.5, slope: float = 0.5, chance: float = 0.7, warm_up: float = 0.05) -> None:
        super().__init__()
        self.drop_rate = check_number("drop_rate", drop_rate, low=0, high=0.99)
        self.slope, self.chance = check_number("slope", slope, low=0), check_number("chance", chance, low=0, high=1)
        self.warm_up = check_number("warm_up", warm_up, low=0, high=1)

    def drop(self, rho: Tensor) -> Tensor:
        """Chance that a row loses a modality, in [0, 1]."""
        ahead = torch.tanh((rho - 1).clamp(min=0))
        return torch.where(ahead > 0, (self.drop_rate * (1 + self.slope * ahead)).clamp(max=1), 0.0)

    @torch.no_grad()
    def ahead(self, state: FitState, z: dict[str, Tensor], batch: Batch) -> Tensor:
        """rho (K, M) by the unimodal heads as they are now."""
        task: Any = state.task
        heads: Any = state.net.heads
        scores = [
            masked(task.score(head(z[m]), batch.y), batch.scored * batch.present[m], batch.weight)
            for m, head in zip(z, heads, strict=True)
        ]
        return ratios(torch.stack(scores, -1))

    def features(self, state: FitState, z: dict[str, Tensor], batch: Batch) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        off = self.drop_rate == 0 or self.chance == 0 or state.epoch < self.warm_up * state.n_epochs or len(z) == 1
        if off:
            return z, batch.present
        device = batch.y.device
        skipped = torch.empty(1, device=device).uniform_(generator=state.generator) >= self.chance
        q = torch.where(skipped, 0.0, self.drop(self.ahead(state, z, batch)))  # (K, M)
        note(state, "drop", q)
        draw = torch.empty(len(z), len(batch.y), device=device).uniform_(generator=state.generator)
        here = torch.stack([batch.present[m].expand(q.shape[0], -1) for m in z])  # (M, K, n)
        keep = here & (draw.unsqueeze(1) >= q.T.unsqueeze(-1))
        keep = torch.where(keep.any(0), keep, here)
        return z, dict(zip(z, keep, strict=True))
