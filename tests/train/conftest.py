"""Small arrays with something to learn, and the loop around them."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch

from omicsbal._types import Arrays
from omicsbal.balance import fresh
from omicsbal.config import FitConfig, NetConfig
from omicsbal.loader import to_arrays
from omicsbal.nn.net import MultiOmicsNet
from omicsbal.objectives.supervised import supervised_terms
from omicsbal.train.fitting import Fit, fit_predictor
from omicsbal.train.members import Members
from omicsbal.train.stages import judge_by
from omicsbal.train.trainer import Run, train

if TYPE_CHECKING:
    from collections.abc import Callable

    from omicsbal.train.outcome import Outcome

SIZES = {"rna": 6, "atac": 4, "protein": 3}
TINY = NetConfig(width=6, depth=1, latent=4, dropout=0.2)


@dataclass(frozen=True)
class Toy:
    """Training rows, their labels as pandas would give them, and folds."""

    data: Arrays
    outcome: "Outcome"
    folds: np.ndarray

    @property
    def net(self) -> NetConfig:
        return TINY

    @property
    def y(self) -> np.ndarray:
        return self.data.y.numpy()

    @property
    def present(self) -> dict[str, np.ndarray]:
        return {m: p.numpy() for m, p in self.data.present.items()}

    @property
    def blocks(self) -> dict[str, np.ndarray]:
        return {m: x.numpy() for m, x in self.data.x.items()}


@pytest.fixture(scope="session")
def toy() -> "Callable[..., Toy]":
    """Maker of arrays: ``toy(n=60, classes=3, absent=0.2)``; classes=0 gives a number to predict."""
    import pandas as pd

    from omicsbal.train.classes import Classes
    from omicsbal.train.values import Values

    def _make(n: int = 60, *, sizes: dict[str, int] = SIZES, classes: int = 3, absent: float = 0.0, seed: int = 0) -> Toy:
        rng = np.random.default_rng(seed)
        code = rng.permutation(np.arange(n) % (classes or n))
        labels = pd.Series(code / n if not classes else [f"c{i}" for i in code])
        outcome: Any = (Classes if classes else Values).learn(labels)
        target = code[:, None] / n * 3 if not classes else np.eye(classes)[code]
        blocks = {m: rng.normal(size=(n, d)) + target @ rng.normal(size=(target.shape[1], d)) for m, d in sizes.items()}
        present = {m: rng.random(n) >= absent for m in sizes}
        present[next(iter(sizes))] |= ~np.any(list(present.values()), axis=0)
        y = outcome.encode(labels)
        data = to_arrays(blocks, present, y=y, weight=outcome.weights(y), device=torch.device("cpu"))
        return Toy(data, outcome, rng.permutation(np.arange(n) % 3))

    return _make


@pytest.fixture(scope="session")
def loop() -> "Callable[..., Run]":
    """`train` on a toy: ``loop(toy(), strategy="late", config=FitConfig(max_epochs=3))``."""

    def _loop(
        toy: Toy,
        *,
        strategy: Any = "uniform",
        config: FitConfig | None = None,
        net: NetConfig = TINY,
        n_full: int = 1,
        seed: int = 0,
        **options: Any,
    ) -> Run:
        generator = torch.Generator().manual_seed(seed)
        members, task, balancer = Members(toy.folds, n_full), toy.outcome.task, fresh(strategy)
        sizes = {m: x.shape[1] for m, x in toy.data.x.items()}
        module = MultiOmicsNet(sizes, task.n_out, members=members.total, config=net, generator=generator)
        heads = balancer.heads(list(sizes))
        options.setdefault("terms", supervised_terms(heads, task))
        options = {"metric": toy.outcome.metric, "chance": toy.outcome.chance} | options
        options.setdefault("judge", judge_by(toy.outcome, heads, toy.y, toy.present))
        config = config or FitConfig(max_epochs=3, batch_size=20)
        return train(module, balancer, toy.data, members, task=task, config=config, generator=generator, **options)

    return _loop


@pytest.fixture(scope="session")
def fit() -> "Callable[..., Fit]":
    """`fit_predictor` on a toy: ``fit(toy(absent=0.3), strategy="late")``."""

    def _fit(toy: Toy, *, strategy: Any = "uniform", n_full: int = 1, seed: int = 0, **options: Any) -> "Fit":
        config = FitConfig(max_epochs=options.pop("max_epochs", 3), batch_size=20, n_members=n_full)
        return fit_predictor(
            toy.data, toy.folds, toy.outcome, fresh(strategy), net=TINY, config=config, random_state=seed, **options
        )

    return _fit
