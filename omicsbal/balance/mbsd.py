"""MBSD: row by row, the modality that is right about it teaches the one that is not."""

from itertools import combinations

import torch
from torch import Tensor

from omicsbal._types import Batch, FitState, Outputs
from omicsbal._validate import check_number
from omicsbal.balance._base import Strategy
from omicsbal.objectives.supervised import masked_mean

TERM = "agreement"


class Mbsd(Strategy):
    """Self-distillation without teachers: for each row, the modality surer of its label teaches the others.

    Parameters
    ----------
    strength
        Weight of the term that ties the modalities, at least 0; 1 is the paper, 0 is `Uniform`.

    Raises
    ------
    ValueError, TypeError
        `strength` is not a number of at least 0.

    Notes
    -----
    ``L = L_0 + sum_m L_m + strength * mean_i mean_(pairs) w (RS + KL)``. For a row and a pair of its modalities, ``w`` is
    how much more the strong one gives to the true class, without gradient, and 0 where both heads predict another class;
    ``RS`` is the mean over classes of the squared difference of their outputs, which moves both; ``KL = KL(stop p_strong ||
    p_weak)``, nats, moves the weak one. Numbers: ``w`` is the difference of ``exp(-squared error)``, in (0, 1], and there
    is no KL. One modality alone in a row has no pair; rows without pair do not count in the mean.

    Liu et al. (Multi-modal pre-training with self-distillation for product understanding in e-commerce, WSDM 2023,
    doi:10.1145/3539597.3570423), read from a port, which takes the KL of single probabilities; this is that of
    distributions. Outputs are those of unimodal heads, the fused head having no parts. More than two modalities, numbers:
    our choice. Where w mistakes noise for knowledge a good modality follows a bad one.

    Examples
    --------
    >>> Mbsd(strength=0.5).heads(["rna", "cnv"])
    ['fused', 'rna', 'cnv']
    """

    paper = "Liu et al. 2023, doi:10.1145/3539597.3570423"
    cost = 1.5
    confidence = "our reconstruction"

    def __init__(self, strength: float = 1.0) -> None:
        super().__init__()
        self.strength = check_number("strength", strength, low=0)

    def terms(self, state: FitState, outputs: Outputs, batch: Batch) -> dict[str, tuple[Tensor, Tensor]]:
        pairs = list(combinations(outputs.unimodal, 2))
        if self.strength == 0 or not pairs:
            return {}
        here = torch.stack([(batch.present[a] & batch.present[b]).expand_as(batch.scored) for a, b in pairs])  # (pairs, K, n)
        values = torch.stack([lesson(state, outputs.unimodal[a], outputs.unimodal[b], batch.y) for a, b in pairs])
        count = here.sum(0)
        mean = torch.where(here, values, 0.0).sum(0) / count.clamp(min=1)
        return {TERM: masked_mean(mean, batch.scored * (count > 0), batch.weight)}

    def weights(self, state: FitState, losses: dict[str, Tensor], outputs: Outputs, batch: Batch) -> dict[str, Tensor | float]:
        return {TERM: self.strength} if TERM in losses else {}


def lesson(state: FitState, a: Tensor, b: Tensor, y: Tensor) -> Tensor:
    """``w (RS + KL)`` (..., n) of two unimodal outputs (..., n, c)."""
    with torch.no_grad():
        lead = state.task.score(a, y) - state.task.score(b, y)
        classes = a.shape[-1] > 1
        right = (a.argmax(-1) == y) | (b.argmax(-1) == y) if classes else torch.ones_like(lead, dtype=torch.bool)
        weight = torch.where(right, lead.abs(), 0.0)
    distance = ((a - b) ** 2).mean(-1)
    if classes:
        distance = distance + torch.where(lead > 0, state.task.distance(b, a.detach()), state.task.distance(a, b.detach()))
    return weight * distance
