"""Late fusion: the mean of the unimodal logits, trained as one model."""

import torch
from torch import Tensor

from omicsbal._types import Outputs
from omicsbal.balance._base import Strategy


class Late(Strategy):
    """Fused prediction = mean of the unimodal outputs of the modalities present; the fused loss alone is trained.

    Notes
    -----
    ``l = (1 / |A|) sum over m in A of s_m``, ``L = L_0(l)``, A the modalities that a row has.

    Examples
    --------
    >>> Late().heads(["rna", "atac"])
    ['fused']
    """

    unimodal = False

    def fuse(self, outputs: Outputs, present: dict[str, Tensor]) -> Tensor:
        masks = {m: present[m].to(s.dtype).unsqueeze(-1) for m, s in outputs.unimodal.items()}
        total = torch.stack([s * masks[m] for m, s in outputs.unimodal.items()]).sum(0)
        return total / torch.stack(list(masks.values())).sum(0).clamp(min=1)
