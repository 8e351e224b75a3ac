"""Optimiser steps of which parts are scaled, parts stand still, and parts begin anew: the same under SGD and under Adam."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from omicsbal.train.adamw import AdamW


@torch.no_grad()
def scaled_step(
    optimizer: torch.optim.Optimizer | AdamW, groups: Mapping[str, list[nn.Parameter]], scales: Mapping[str, Tensor | float]
) -> None:
    """One step whose update of each named group is multiplied by its scale, a number or one a member (K,).

    A scaled gradient would do nothing under an adaptive optimiser, whose second moment divides the factor out again; so what
    scales is the step itself, ``p + scale (p' - p)``, decay and momentum included. A plain 0 takes the gradients away, so that
    moments stand still too: a zero gradient is no freeze.
    """
    held: list[tuple[nn.Parameter, Tensor, Tensor]] = []
    for name, scale in scales.items():
        for p in groups.get(name, []):
            if isinstance(scale, Tensor):
                held.append((p, p.clone(), scale.to(p.dtype).reshape(-1, *[1] * (p.dim() - 1))))
            elif scale == 0:
                p.grad = None
            elif scale != 1:
                held.append((p, p.clone(), p.new_full((1,) * p.dim(), scale)))
    optimizer.step()
    for p, before, factor in held:
        p.copy_(torch.where(factor == 1, p, before + factor * (p - before)))  # where: a factor of 1 is exact


def forget(optimizer: torch.optim.Optimizer | AdamW, groups: Mapping[str, list[nn.Parameter]], names: set[str]) -> None:
    """Drop the moments of the named groups, and empty the set that names them."""
    for name in names:
        for p in groups.get(name, []):
            optimizer.state.pop(p, None)
    names.clear()
