"""A strategy at work on a few rows, without the loop."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest
import torch

from omicsbal._types import Arrays, Batch, FitState, References, Term
from omicsbal.balance import Distill, Mutual, Strategy, fresh
from omicsbal.config import FitConfig, NetConfig
from omicsbal.nn.net import MultiOmicsNet
from omicsbal.objectives.supervised import supervised_terms
from omicsbal.objectives.tasks import Classification, Regression, Task
from omicsbal.train.batches import pick
from omicsbal.train.trainer import Run, make_optimizer, step
from omicsbal.train.updates import forget

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

    from omicsbal.train.adamw import AdamW

WIDTHS = {"a": 4, "b": 3, "c": 5, "d": 2, "e": 3}


def rows(sizes: dict[str, int], n: int, task: Task) -> Arrays:
    """Random rows, each modality absent in about a third of them but the first in none."""
    draw, x, present = {m: torch.Generator().manual_seed(ord(m)) for m in sizes}, {}, {}  # a modality's rows are its own
    for m, d in sizes.items():
        x[m] = torch.randn(n, d, generator=draw[m])
        present[m] = (torch.rand(n, generator=draw[m]) > 0.33) | (m == "a")
    y = torch.arange(n) % task.n_out if isinstance(task, Classification) else torch.linspace(-1, 1, n)
    return Arrays(x, present, y, torch.ones(n))


def references(data: Arrays, task: Task, members: int) -> References:
    """Made-up teachers: the later the modality in the alphabet, the worse; three folds."""
    n, said, spaces = len(data), {}, {}
    places = {m: list(WIDTHS).index(m) for m in data.x}
    for m, i in places.items():
        draw = torch.Generator().manual_seed(ord(m) + 7)  # a modality's teacher is its own, whatever the order
        noise = torch.randn(members, n, task.n_out, generator=draw)
        if isinstance(task, Classification):
            told = torch.nn.functional.one_hot(data.y, task.n_out) * (3.0 - 0.5 * i) + noise
            said[m] = told.log_softmax(-1)
        else:
            said[m] = data.y.unsqueeze(-1) + (0.2 + 0.1 * i) * noise
        spaces[m] = torch.randn(members, n, 4, generator=draw)  # as wide as the embeddings of the bench
    scores = {m: 0.9 - 0.1 * i for m, i in places.items()}
    held_out, inside = {m: v[0] for m, v in said.items()}, {m: v[0] for m, v in spaces.items()}
    sure = {m: 0.8 - 0.1 * i for m, i in places.items()}
    return References(torch.arange(n) % 3, scores, held_out, said, inside, spaces.__getitem__, sure, dict(sure))


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
            forget(self.run.optimizer, self.run.net.groups(), self.state.forget)
            losses = step(self.run, self.state, batch or self.batch, self.terms)
            self.state.epoch += 1
        return losses

    def parameters(self, *groups: str) -> "list[Tensor]":
        """Copies of all parameters of some groups of the net, such as "encoder/a"."""
        return [p.detach().clone() for g in groups for p in self.run.net.groups()[g]]

    def weights(self) -> "dict[str, Tensor]":
        return {name: p.detach().clone() for name, p in self.run.net.named_parameters()}


def take_weights(net: MultiOmicsNet, other: MultiOmicsNet) -> None:
    """The weights of a net of the same modalities, in whatever order."""
    for mine, theirs in ((net.encoders, other.encoders), (net.heads, other.heads), (net.fusion.project, other.fusion.project)):
        for i, m in enumerate(net.modalities):
            mine[i].load_state_dict(theirs[other.modalities.index(m)].state_dict())
    net.joint_head.load_state_dict(other.joint_head.state_dict())


@pytest.fixture
def bench() -> "Callable[..., Bench]":
    """Maker: ``bench("late", modalities="ab", n=12)``; `own` takes the instance as it is, without making a fresh one.

    Strategies that ask for references get made-up ones, all but the two that gate teachers by mutual information, for which
    twelve rows are too few. `sgd` takes plain gradient descent in place of AdamW, `dropout` switches that on, `like` starts from
    the weights of another bench, modality by modality.
    """

    def _make(
        strategy: str | Strategy,
        *,
        modalities: str = "abc",
        n: int = 12,
        classes: int = 3,
        own: bool = False,
        seed: int = 0,
        sgd: bool = False,
        dropout: float = 0.0,
        like: Bench | None = None,
    ) -> Bench:
        sizes = {m: WIDTHS[m] for m in modalities}
        task: Any = Classification(classes) if classes else Regression()
        data, generator = rows(sizes, n, task), torch.Generator().manual_seed(seed)
        config = NetConfig(width=6, depth=1, latent=4, dropout=dropout)
        net = MultiOmicsNet(sizes, task.n_out, members=2, config=config, generator=generator).train()
        if like is not None:
            take_weights(net, like.run.net)
        scored = torch.ones(2, n)
        scored[0, ::3] = 0
        state = FitState(net=net, data=data, scored=scored, task=task, generator=generator, n_epochs=8)
        balancer = strategy if own else fresh(strategy)  # type: ignore[assignment]
        if balancer.references and not isinstance(balancer, Distill | Mutual):
            state.references = references(data, task, members=2)
        balancer.setup(state)
        optimizer: torch.optim.Optimizer | AdamW = make_optimizer(net, balancer, FitConfig(learning_rate=0.01))
        if sgd:
            optimizer = torch.optim.SGD([*net.parameters(), *balancer.parameters()], lr=0.1)
        run = Run(net, balancer, optimizer, generator)
        return Bench(run, state, supervised_terms(balancer.heads(list(sizes)), task), pick(data, scored, torch.arange(n)))

    return _make


@pytest.fixture
def same_training(bench: "Callable[..., Bench]") -> "Callable[..., None]":
    """Check that two strategies train what they share bit for bit alike: encoders, and the fused part where both use it."""

    def _check(first: str | Strategy, second: str | Strategy, *, steps: int = 6, **options: Any) -> None:
        groups = ("encoder", "route", "fused") if options.pop("fused", True) else ("encoder", "route")
        for sgd in (False, True):
            one, two = (bench(s, sgd=sgd, dropout=0.3, **options) for s in (first, second))
            one.advance(steps)
            two.advance(steps)
            for name, parameters in one.run.net.groups().items():
                if name.split("/")[0] in groups:
                    for a, b in zip(parameters, two.run.net.groups()[name], strict=True):
                        assert torch.equal(a, b), f"{name} differs under {'SGD' if sgd else 'AdamW'}"

    return _check


@pytest.fixture
def moves(bench: "Callable[..., Bench]") -> "Callable[..., None]":
    """Check that a strategy trains the encoders otherwise than another one, under SGD and under AdamW."""

    def _check(first: str | Strategy, second: str | Strategy, *, steps: int = 5, **options: Any) -> None:
        for sgd in (False, True):
            one, two = (bench(s, sgd=sgd, **options) for s in (first, second))
            one.advance(steps)
            two.advance(steps)
            pairs = [
                (a, b)
                for m in one.run.net.modalities
                for a, b in zip(one.parameters(f"encoder/{m}"), two.parameters(f"encoder/{m}"), strict=True)
            ]
            largest = max(float((a - b).abs().max()) for a, b in pairs)
            assert largest > 1e-5, f"no effect under {'SGD' if sgd else 'AdamW'}: {largest}"

    return _check
