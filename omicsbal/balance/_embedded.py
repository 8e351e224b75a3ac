"""A pass over all training rows with the net as it is at prediction."""

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from omicsbal._types import FitState

CHUNK = 4096  # rows a forward pass, which bounds memory


@torch.no_grad()
def embedded(state: FitState) -> Iterator[tuple[Tensor, dict[str, Tensor], dict[str, Tensor]]]:
    """Positions, presence and embeddings {m: (K, n, k)} of all training rows without dropout, some rows at a time."""
    net: Any = state.net
    training = net.training
    net.eval()
    try:
        for index in torch.arange(len(state.data), device=state.scored.device).split(CHUNK):
            present = {m: p[index] for m, p in state.data.present.items()}
            yield index, present, net.encode({m: x[index] for m, x in state.data.x.items()}, present, index)
    finally:
        net.train(training)
