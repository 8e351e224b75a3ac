"""Encoder of one modality: an MLP with a linear route beside it."""

import torch
from torch import Tensor, nn

from omicsbal.config import NetConfig
from omicsbal.nn.layers import Dropout, MemberLinear, MemberNorm


class Encoder(nn.Module):
    """(n, d) to (K, n, k): ``MLP(x) + x L``.

    With linear heads the route L makes multinomial logistic regression a member of the family; it starts at zero.

    Each column of x is first multiplied by its standard deviation to the power `NetConfig.tilt`. Inputs are principal components
    whose variances differ by orders of magnitude. A ridge penalty prefers the leading ones; Adam moves every weight at the same
    rate and so forgets that preference, as whitening would. The tilt gives it back.
    """

    tilt: Tensor  # (d,)

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
        self.register_buffer("tilt", torch.ones(d_in))

    def set_tilt(self, x: Tensor, power: float) -> None:
        """Learn the column factors from training rows x (n, d); the mean squared row norm stays d."""
        spread = x.std(0, unbiased=False)
        factor = (spread / spread.max().clamp(min=1e-12)) ** power
        norm = ((x * factor) ** 2).sum(1).mean().clamp(min=1e-12)
        self.tilt = factor * (x.shape[1] / norm).sqrt()

    def forward(self, x: Tensor) -> Tensor:
        x = x * self.tilt
        z = self.mlp(x)
        return z if self.route is None else z + self.route(x)
