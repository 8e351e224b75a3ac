"""Modality dropout: the fusion learns to do with what is there."""

import torch
from torch import Tensor

from omicsbal._types import Batch, FitState
from omicsbal._validate import check_number
from omicsbal.balance._base import Strategy


class ModalityDropout(Strategy):
    """Fused and unimodal losses; in training the fusion sees a random subset of each row's modalities.

    Parameters
    ----------
    rate
        Chance in [0, 1) that a present modality is hidden from the fusion; a row always keeps one. At 0 this is `Uniform`.

    Notes
    -----
    ``L = L_0(h(z_S)) + sum_m L_m`` with S drawn per row and step, shared by the members. Dropped before fusion (ModDrop, Neverova
    et al. 2016, arXiv:1501.00102); a row whose modalities were all drawn keeps one of them, picked uniformly.

    Examples
    --------
    >>> ModalityDropout(rate=0.5).rate
    0.5
    """

    paper = "Neverova et al. 2016, arXiv:1501.00102"
    cost = 1.3
    confidence = "faithful"

    def __init__(self, rate: float = 0.3) -> None:
        super().__init__()
        self.rate = check_number("rate", rate, low=0, high=0.99)
        self.hides = self.rate > 0

    def features(self, state: FitState, z: dict[str, Tensor], batch: Batch) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        if self.rate == 0:
            return z, batch.present
        names = list(z)
        here = torch.stack([batch.present[m] for m in names])  # (M, n)
        draw = torch.empty(here.shape, device=here.device).uniform_(generator=state.generator)
        keep = here & (draw >= self.rate)
        rescue = (draw * here).argmax(0)  # the draws of a row without any survivor are uniform, so their largest is a fair pick
        keep[rescue, torch.arange(here.shape[1], device=here.device)] |= ~keep.any(0) & here.any(0)
        return z, dict(zip(names, keep, strict=True))
