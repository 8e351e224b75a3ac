"""Minibatches over arrays that already lie on the device; every member reads the same rows."""

from collections.abc import Iterator

import torch
from torch import Tensor

from omicsbal._types import Arrays, Batch


def pick(data: Arrays, scored: Tensor, index: Tensor) -> Batch:
    """The rows `index` as a batch."""
    return Batch(
        x={m: v[index] for m, v in data.x.items()},
        present={m: v[index] for m, v in data.present.items()},
        y=data.y[index],
        index=index,
        scored=scored[:, index],
        weight=data.weight[index],
    )


def shuffled(data: Arrays, scored: Tensor, *, size: int, generator: torch.Generator) -> Iterator[Batch]:
    """One epoch: every row once, in batches of about `size` that differ by at most one row."""
    order = torch.randperm(len(data), generator=generator, device=generator.device)
    for index in order.tensor_split(max(1, round(len(data) / size))):
        yield pick(data, scored, index)
