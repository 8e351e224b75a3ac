"""Small nets and the rows to feed them."""

from typing import TYPE_CHECKING, Any

import pytest
import torch

from omicsbal.config import NetConfig
from omicsbal.nn.net import MultiOmicsNet

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

SIZES = {"rna": 5, "atac": 4, "protein": 3}


@pytest.fixture
def make() -> "Callable[..., MultiOmicsNet]":
    """Maker of a small net whose every parameter is random, those that start at zero too: ``make(members=3)``."""

    def _make(sizes: dict[str, int] = SIZES, *, members: int = 3, seed: int = 0, **options: Any) -> MultiOmicsNet:
        config = NetConfig(**{"width": 6, "depth": 2, "latent": 4, "dropout": 0.0, **options})
        generator = torch.Generator().manual_seed(seed)
        net = MultiOmicsNet(sizes, 3, members=members, config=config, generator=generator)
        with torch.no_grad():
            for parameter in net.parameters():
                parameter.add_(0.3 * torch.randn(parameter.shape, generator=generator))
        return net

    return _make


@pytest.fixture
def rows() -> "Callable[..., tuple[dict[str, Tensor], dict[str, Tensor]]]":
    """Maker of n rows, of which about a third lack each modality: ``x, present = rows(8)``."""

    def _rows(n: int, sizes: dict[str, int] = SIZES, *, seed: int = 1) -> "tuple[dict[str, Tensor], dict[str, Tensor]]":
        generator = torch.Generator().manual_seed(seed)
        x = {m: torch.randn(n, d, generator=generator) for m, d in sizes.items()}
        return x, {m: torch.rand(n, generator=generator) > 0.33 for m in sizes}

    return _rows
