"""Late fusion: the mean of the unimodal logits, trained as one model."""

from torch import Tensor

from omicsbal._types import Outputs
from omicsbal.balance._base import Strategy
from omicsbal.nn.fusion import mean_over_present


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
        return mean_over_present(outputs.unimodal, present)
