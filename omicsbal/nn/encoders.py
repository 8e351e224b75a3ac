"""Encoder of one modality: an MLP with a linear route beside it."""

import torch
from torch import Tensor, nn

from omicsbal.config import NetConfig
from omicsbal.nn.layers import Dropout, MemberLinear, MemberNorm


class Encoder(nn.Module):
    """(n, d) to (K, n, k): ``MLP(x) + x L``.

    With linear heads the route L makes multinomial logistic regression a member of the family; it starts at zero.
    """

    def __init__(self, members: int, d_in: int, config: NetConfig, generator: torch.Generator) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        width = d_in
        for _ in range(config.depth):
            layers += [
                MemberLinear(members, width, config.width, generator),
                MemberNorm(members, config.width),
                nn.GELU(),
                Dropout(config.dropout, generator),
            ]
            width = config.width
        self.mlp = nn.Sequential(*layers, MemberLinear(members, width, config.latent, generator))
        self.route = MemberLinear(members, d_in, config.latent, generator, zero=True) if config.linear_route else None

    def forward(self, x: Tensor) -> Tensor:
        z = self.mlp(x)
        return z if self.route is None else z + self.route(x)
