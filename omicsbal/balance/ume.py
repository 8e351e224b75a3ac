"""The ensemble of models of one modality each."""

import torch
from torch import Tensor

from omicsbal._types import FUSED, Batch, FitState, Outputs
from omicsbal.balance._base import Strategy
from omicsbal.nn.fusion import mean_over_present


class Ume(Strategy):
    """Each modality trained alone, their predictions averaged: what every way of training them together has to beat.

    Notes
    -----
    ``L = sum_m L_m`` and ``p = (1 / |A|) sum over m in A of p_m``, A the modalities that a row has; the fused output is ``ln p``,
    for numbers the mean of the predictions. The fused loss is reported and not trained. Unlike `Late`, no head knows of another.

    Examples
    --------
    >>> Ume().heads(["rna", "atac"])
    ['fused', 'rna', 'atac']
    """

    paper, confidence = "Du et al. 2023, arXiv:2305.01233", "faithful"
    cost = 1.2

    def weights(self, state: FitState, losses: dict[str, Tensor], outputs: Outputs, batch: Batch) -> dict[str, Tensor | float]:
        return {FUSED: 0.0}

    def fuse(self, outputs: Outputs, present: dict[str, Tensor]) -> Tensor:
        if outputs.fused.shape[-1] == 1:
            return mean_over_present(outputs.unimodal, present)
        mean = mean_over_present({m: s.softmax(-1) for m, s in outputs.unimodal.items()}, present)
        return mean.clamp(min=torch.finfo(mean.dtype).tiny).log()
