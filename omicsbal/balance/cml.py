"""CML: the net may not become surer when a modality is taken away."""

import torch
from torch import Tensor

from omicsbal._types import FUSED, Batch, FitState, Outputs
from omicsbal._validate import check_number
from omicsbal.balance._base import Strategy
from omicsbal.balance._coalitions import fused_of
from omicsbal.objectives.supervised import masked_mean


class Cml(Strategy):
    """The net also learns from fewer modalities, and pays where it is surer of a class with fewer of them than with more.

    Parameters
    ----------
    strength
        lambda >= 0 of the penalty.
    subsets
        Weight >= 0 of the loss of each smaller set of modalities relative to that of all. 1 is the mean over the chain; with both
        at 0 this is `Joint`, and nothing is drawn.

    Raises
    ------
    ValueError, TypeError
        A number outside its range. When a fit begins: a numeric label, of which no confidence is predicted.

    Notes
    -----
    A chain S_0 = all, S_1, ..., S_(M-1), each one modality smaller at random, is drawn once a batch and shared by the members.
    ``L = (L(S_0) + v sum_(j>0) L(S_j)) / (1 + v (M - 1)) + lambda sum_(j>0) mean_i max(0, conf(S_j) - conf(S_(j-1)))``, L(S) the
    cross-entropy of the fused head that is shown S alone, conf its largest class probability, v = `subsets`. A row whose
    modalities are all outside S is left out of what asks for S; what the chain takes away and a row never had costs nothing.

    Sets are made by hiding embeddings from the fusion, not by dropping parts of the logits, since our fused head is not linear.
    Released code takes max(0, .) of the batch's sum, so that one surer row is paid for by another; here, as in the paper, each
    row pays for itself. Losses of smaller sets and all confidences are without dropout in the fused head, L(S_0) with it. Ma et
    al. (2023).

    Examples
    --------
    >>> Cml(strength=0.2).heads(["rna", "atac"])
    ['fused']
    """

    unimodal = False
    tasks = ("classification",)
    paper, confidence, needs = "Ma et al. 2023, arXiv:2306.01265", "faithful", "M calls of the fused head a batch"
    cost, hides = 1.5, True

    def __init__(self, strength: float = 0.1, subsets: float = 1.0) -> None:
        super().__init__()
        self.strength = check_number("strength", strength, low=0)
        self.subsets = check_number("subsets", subsets, low=0)

    def terms(self, state: FitState, outputs: Outputs, batch: Batch) -> dict[str, tuple[Tensor, Tensor]]:
        size = len(batch.present)
        if size == 1 or (self.strength == 0 and self.subsets == 0):
            return {}
        draw = torch.empty(size, device=batch.y.device).uniform_(generator=state.generator)
        place = dict(zip(sorted(batch.present), draw.argsort(), strict=True))  # by name: the order in the MuData plays no part
        losses, rises = [], []
        larger = self._sureness(fused_of(state.net, outputs.z, batch.present, batch.present))
        rows = batch.scored.sum(-1)
        for left in range(size - 1, 0, -1):
            visible = {m: here & (place[m] < left) for m, here in batch.present.items()}
            shown = fused_of(state.net, outputs.z, visible, visible)
            mask = batch.scored * torch.stack(list(visible.values())).any(0)
            smaller = self._sureness(shown)
            losses.append(masked_mean(state.task.loss(shown, batch.y), mask, batch.weight)[0])
            rises.append(masked_mean((smaller - larger).clamp(min=0) * mask, batch.scored, batch.weight)[0])
            larger = smaller
        return {"subsets:fused": (torch.stack(losses).mean(0), rows), "surer:fused": (torch.stack(rises).sum(0), rows)}

    @staticmethod
    def _sureness(logits: Tensor) -> Tensor:
        """Largest class probability (..., n)."""
        return logits.softmax(-1).amax(-1)

    def weights(self, state: FitState, losses: dict[str, Tensor], outputs: Outputs, batch: Batch) -> dict[str, Tensor | float]:
        others = self.subsets * (len(batch.present) - 1)
        return {FUSED: 1 / (1 + others), "subsets:fused": others / (1 + others), "surer:fused": self.strength}
