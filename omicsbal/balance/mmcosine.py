"""MMCosine: late fusion by angles, so that no modality wins by the length of its embedding or of its weights."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from omicsbal._types import FitState, Outputs
from omicsbal._validate import check_number
from omicsbal.balance._base import Strategy
from omicsbal.nn.fusion import mean_over_present

TINY = 1e-6  # below this length an embedding has no direction


class Mmcosine(Strategy):
    """Fused prediction from angles between embeddings and class vectors: no modality wins by being louder.

    Parameters
    ----------
    scale
        s > 0, logits of two modalities of cosine 1 being 2 s. Too small a scale caps the confidence; 10 in the paper.

    Raises
    ------
    ValueError, TypeError
        `scale` is not a number above 0; a label that is a number, in a fit.

    Notes
    -----
    ``l_c = s min(M, 2) (1 / |A|) sum over m in A of cos(z_m, W_mc)``, A the modalities that a row has, ``L = L_0(l)``. The class
    vectors W start as copies of the unimodal heads' weights; no bias. Unimodal heads are probes and change no encoder. No setting
    is without effect, as the head is the method; the lengths of z and W never matter.

    Xu et al. (2023, arXiv:2303.05338), for two modalities ``s (cos_1 + cos_2)``. Ours: for more, the range of the logits stays
    that of two; with modalities missing, too (the mean over the present ones, where the sum would make such rows unsure).

    Examples
    --------
    >>> Mmcosine(scale=15).tasks
    ('classification',)
    """

    paper = "Xu et al. 2023, arXiv:2303.05338"
    cost = 1.3
    confidence = "faithful"
    tasks = ("classification",)
    probes = True
    vectors: Tensor  # (K, M, k, c), in the order of the net's modalities

    def __init__(self, scale: float = 10.0) -> None:
        super().__init__()
        self.scale = check_number("scale", scale, low=0, open_low=True)

    def setup(self, state: FitState) -> None:
        heads: Any = state.net.heads
        self.vectors = nn.Parameter(torch.stack([head.weight.detach() for head in heads], 1))

    def fuse(self, outputs: Outputs, present: dict[str, Tensor]) -> Tensor:
        directions = functional.normalize(self.vectors, dim=2, eps=TINY).unbind(1)
        cosines = {
            m: functional.normalize(z, dim=-1, eps=TINY) @ w for (m, z), w in zip(outputs.z.items(), directions, strict=True)
        }
        return self.scale * min(len(cosines), 2) * mean_over_present(cosines, present)
