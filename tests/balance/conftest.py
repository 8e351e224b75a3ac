"""A strategy at work on a few rows, without the loop."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest
import torch

from omicsbal._types import Arrays, Batch, FitState, Term
from omicsbal.balance import Strategy, fresh
from omicsbal.config import FitConfig, NetConfig
from omicsbal.nn.net import MultiOmicsNet
from omicsbal.objectives.supervised import supervised_terms
from omicsbal.objectives.tasks import Classification, Regression, Task
from omicsbal.train.batches import pick
from omicsbal.train.trainer import Run, make_optimizer, step

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

WIDTHS = {"a": 4, "b": 3, "c": 5, "d": 2, "e": 3}


def rows(sizes: dict[str, int], n: int, task: Task) -> Arrays:
    """Random rows, each modality absent in about a third of them but the first in none."""
    draw, x, present = {m: torch.Generator().manual_seed(ord(m)) for m in sizes}, {}, {}  # a modality's rows are its own
    for m, d in sizes.items():
        x[m] = torch.randn(n, d, generator=draw[m])
        present[m] = (torch.rand(n, generator=draw[m]) > 0.33) | (m == "a")
    y = torch.arange(n) % task.n_out if isinstance(task, Classification) else torch.linspace(-1, 1, n)
    return Arrays(x, present, y, torch.ones(n))


@dataclass
class Bench:
    """Net, strategy and rows; `advance` makes optimiser steps on the rows as one batch."""

    run: Run
    state: FitState
    terms: dict[str, Term]
    batch: Batch

    def advance(self, steps: int = 1, batch: Batch | None = None) -> "dict[str, Tensor]":
        losses: dict[str, Tensor] = {}
        for _ in range(steps):
            self.run.strategy.start_epoch(self.state)
            losses = step(self.run, self.state, batch or self.batch, self.terms)
            self.state.epoch += 1
        return losses

    def weights(self) -> "dict[str, Tensor]":
        return {name: p.detach().clone() for name, p in self.run.net.named_parameters()}


@pytest.fixture
def bench() -> "Callable[..., Bench]":
    """Maker: ``bench("late", modalities="ab", n=12)``; `own` takes the instance as it is, without making a fresh one."""

    def _make(
        strategy: str | Strategy, *, modalities: str = "abc", n: int = 12, classes: int = 3, own: bool = False, seed: int = 0
    ) -> Bench:
        sizes = {m: WIDTHS[m] for m in modalities}
        task: Any = Classification(classes) if classes else Regression()
        data, generator = rows(sizes, n, task), torch.Generator().manual_seed(seed)
        config = NetConfig(width=6, depth=1, latent=4, dropout=0.0)
        net = MultiOmicsNet(sizes, task.n_out, members=2, config=config, generator=generator).train()
        scored = torch.ones(2, n)
        scored[0, ::3] = 0
        state = FitState(net=net, data=data, scored=scored, task=task, generator=generator, n_epochs=8)
        balancer = strategy if own else fresh(strategy)  # type: ignore[assignment]
        balancer.setup(state)
        run = Run(net, balancer, make_optimizer(net, balancer, FitConfig(learning_rate=0.01)), generator)
        return Bench(run, state, supervised_terms(balancer.heads(list(sizes)), task), pick(data, scored, torch.arange(n)))

    return _make
