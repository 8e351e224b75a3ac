"""Layers over a leading member axis: K small nets side by side, each with its own parameters, in one batched product."""

import math

import torch
from torch import Tensor, nn


class MemberLinear(nn.Module):
    """K affine maps: (n, d) shared rows, or (K, n, d), to (K, n, out)."""

    def __init__(self, members: int, d_in: int, d_out: int, generator: torch.Generator, *, zero: bool = False) -> None:
        super().__init__()
        bound = 0.0 if zero else 1 / math.sqrt(d_in)  # uniform +-1/sqrt(d), as torch.nn.Linear
        weight = (
            torch.empty(members, d_in, d_out).uniform_(-bound, bound, generator=generator)
            if bound
            else torch.zeros(members, d_in, d_out)
        )
        self.weight = nn.Parameter(weight)
        self.bias = nn.Parameter(torch.zeros(members, 1, d_out))

    def forward(self, x: Tensor) -> Tensor:
        if x.dim() == 3:
            return torch.baddbmm(self.bias, x, self.weight)
        members, d_in, d_out = self.weight.shape
        wide = x @ self.weight.transpose(0, 1).reshape(d_in, members * d_out)  # one large product beats K small ones
        return wide.view(len(x), members, d_out).transpose(0, 1) + self.bias


class MemberNorm(nn.Module):
    """Layer normalisation with an affine map per member; per row, so a prediction never depends on its batch."""

    def __init__(self, members: int, width: int) -> None:
        super().__init__()
        self.gain = nn.Parameter(torch.ones(members, 1, width))
        self.shift = nn.Parameter(torch.zeros(members, 1, width))

    def forward(self, x: Tensor) -> Tensor:
        return nn.functional.layer_norm(x, x.shape[-1:]) * self.gain + self.shift


class Dropout(nn.Module):
    """Dropout that draws from a generator of its own, so that one seed settles everything."""

    def __init__(self, rate: float, generator: torch.Generator) -> None:
        super().__init__()
        self.rate, self.generator = rate, generator

    def forward(self, x: Tensor) -> Tensor:
        if not self.training or self.rate == 0:
            return x
        keep = torch.empty(x.shape, device=x.device).uniform_(generator=self.generator) >= self.rate
        return x * keep / (1 - self.rate)
