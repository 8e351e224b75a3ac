"""Fusion of any subset of the modalities."""

import torch
from torch import Tensor, nn

from omicsbal.config import NetConfig
from omicsbal.nn.layers import Dropout, MemberLinear, MemberNorm


def mean_over_present(values: dict[str, Tensor], present: dict[str, Tensor]) -> Tensor:
    """Mean (K, n, k) of values {m: (K, n, k)} over the modalities a row has; 0 where it has none."""
    masks = [present[m].to(v.dtype).unsqueeze(-1) for m, v in values.items()]
    total = torch.stack([v * mask for v, mask in zip(values.values(), masks, strict=True)]).sum(0)
    return total / torch.stack(masks).sum(0).clamp(min=1)


class MeanFusion(nn.Module):
    """Masked mean of projected embeddings, ``h = mean over present m of z_m P_m``.

    The mean keeps the scale of h whatever is missing. There is no normalisation after it: that was seen to hurt subsets not met
    in training (reference/related-systems.md 1.2).
    """

    def __init__(self, modalities: list[str], members: int, width: int, generator: torch.Generator) -> None:
        super().__init__()
        self.project = nn.ModuleList(MemberLinear(members, width, width, generator) for _ in modalities)
        self.modalities = modalities

    def forward(self, z: dict[str, Tensor], present: dict[str, Tensor]) -> Tensor:
        return mean_over_present({m: p(z[m]) for m, p in zip(self.modalities, self.project, strict=True)}, present)


class JointHead(nn.Module):
    """Linear map beside a hidden layer: the hidden layer can learn synergy (XOR), the linear map keeps the rest simple."""

    def __init__(self, members: int, n_out: int, config: NetConfig, generator: torch.Generator) -> None:
        super().__init__()
        k = config.latent
        self.linear = MemberLinear(members, k, n_out, generator)
        self.hidden = nn.Sequential(
            MemberLinear(members, k, config.width, generator),
            MemberNorm(members, config.width),
            nn.GELU(),
            Dropout(config.dropout, generator),
            MemberLinear(members, config.width, n_out, generator, zero=True),
        )

    def forward(self, h: Tensor) -> Tensor:
        return self.linear(h) + self.hidden(h)
