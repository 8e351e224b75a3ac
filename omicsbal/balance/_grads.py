"""Gradients of single terms with respect to one part of the net, members apart: all calls of autograd.grad live here."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from omicsbal.balance._updates import encoder_groups


def encoder_parameters(net: nn.Module, modality: str) -> list[nn.Parameter]:
    """All parameters of one encoder, linear route included; each has the member axis in front."""
    groups = net.groups()  # type: ignore[operator]
    return [p for name in encoder_groups(modality) for p in groups.get(name, [])]


def gradient(loss: Tensor, inputs: Sequence[Tensor]) -> Tensor:
    """Gradient (K, P) of a loss (K,) with respect to tensors (K, ...), flattened and joined; 0 where it does not depend on one.

    Members share no parameter, so the gradient of the sum over members keeps them apart. The graph is kept for further calls.
    """
    found = torch.autograd.grad(loss.sum(), list(inputs), retain_graph=True, allow_unused=True)
    return torch.cat(
        [torch.zeros_like(x).flatten(1) if g is None else g.flatten(1) for g, x in zip(found, inputs, strict=True)], 1
    )


def set_gradient(parameters: Sequence[nn.Parameter], flat: Tensor) -> None:
    """Put a flat gradient (K, P) into ``.grad``, in the order of `gradient`."""
    for p, part in zip(parameters, flat.split([p[0].numel() for p in parameters], 1), strict=True):
        p.grad = part.reshape(p.shape).clone()


def plain_gradient(parameters: Sequence[nn.Parameter]) -> Tensor:
    """What the backward pass left in ``.grad``, flat (K, P); 0 where it left nothing."""
    return torch.cat([(torch.zeros_like(p) if p.grad is None else p.grad).flatten(1) for p in parameters], 1)


def cosine(a: Tensor, b: Tensor) -> Tensor:
    """Cosine (K,) of flat gradients (K, P); 0 where one of them is 0."""
    return (a * b).sum(-1) / (a.norm(dim=-1) * b.norm(dim=-1)).clamp(min=1e-12)
