"""The loop. It knows nets, terms and hooks; it does not know which strategy it runs."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from omicsbal._types import FUSED, Arrays, Batch, FitState, Outputs, References, Term
from omicsbal.balance._base import Strategy
from omicsbal.config import FitConfig
from omicsbal.nn.net import MultiOmicsNet
from omicsbal.train.adamw import AdamW
from omicsbal.train.batches import shuffled
from omicsbal.train.forward import decoded, out_of_fold
from omicsbal.train.members import Members
from omicsbal.train.updates import forget, scaled_step

# Of the learning rate, for what is pretrained. At the full rate unimodal heads, already at their best, only get worse, and the
# epoch that suits them is over before the fused head has learned.
FINE_TUNING = 0.1
Judge = Callable[[Outputs], tuple[float, dict[str, float]]]  # out-of-fold outputs -> value to minimise, metrics by name


@dataclass
class Run:
    """All that changes while a loop runs, and so all that a checkpoint must hold."""

    net: MultiOmicsNet
    strategy: Strategy
    optimizer: AdamW
    generator: torch.Generator
    epoch: int = 0  # epochs finished
    rows: list[dict[str, float]] = field(default_factory=list)  # history, a row an epoch
    oof: dict[str, float] = field(default_factory=dict)
    best_value: float = math.inf
    best_epoch: int = 0
    best: list[Tensor] = field(default_factory=list)  # `tensors` at the best epoch

    def tensors(self) -> list[Tensor]:
        """Parameters and buffers, the net's first, then the strategy's own."""
        return [*self.net.state_dict().values(), *self.strategy.state_dict().values()]

    def keep(self, value: float) -> None:
        """Remember the tensors as they are."""
        self.best_value, self.best_epoch = value, self.epoch
        self.best = [tensor.clone() for tensor in self.tensors()]

    @torch.no_grad()
    def restore_best(self) -> None:
        """Go back to the epoch that was kept."""
        for tensor, kept in zip(self.tensors(), self.best, strict=True):
            tensor.copy_(kept)


def make_optimizer(net: MultiOmicsNet, strategy: Strategy, config: FitConfig, *, pretrained: bool = False) -> AdamW:
    """AdamW over the net and the strategy's own parameters; the linear routes decay at their own rate.

    What an earlier stage has trained moves at `FINE_TUNING` of the rate of the rest.
    """
    decay = {True: config.route_decay, False: config.weight_decay}
    groups: list[dict[str, Any]] = [
        {
            "params": parameters,
            "weight_decay": decay[name.startswith("route/")],
            "share": FINE_TUNING if pretrained and name != FUSED else 1.0,
        }
        for name, parameters in net.groups().items()
    ]
    groups.append({"params": list(strategy.parameters()), "weight_decay": 0.0, "share": 1.0})
    return AdamW([g for g in groups if g["params"]], lr=config.learning_rate)


def check_finite(losses: Mapping[str, Tensor], epoch: int) -> None:
    """Stop at the first loss that is not a number, and say which."""
    for name, loss in losses.items():
        if not torch.isfinite(loss).all():
            msg = (
                f"loss term {name!r} became {loss.detach().flatten().tolist()} in epoch {epoch + 1}. Nothing was written. "
                "Lower FitConfig(learning_rate=...), or look at the modality's values with ob.pp.describe(mdata)."
            )
            raise FloatingPointError(msg)


def step(run: Run, state: FitState, batch: Batch, terms: Mapping[str, Term]) -> dict[str, Tensor]:
    """All optimiser steps of one batch; returns the last value of each loss, (K,)."""
    seen: dict[str, Tensor] = {}
    batch = run.strategy.rows(state, batch)
    for names in run.strategy.passes(state, list(terms)):
        z, visible = run.strategy.features(state, run.net.encode(batch.x, batch.present, batch.index), batch)
        outputs = decoded(run.net, run.strategy, z, visible)
        losses = {name: terms[name](outputs, batch)[0] for name in names}
        losses |= {name: mean for name, (mean, _) in run.strategy.terms(state, outputs, batch).items()}
        check_finite(losses, state.epoch)
        run.optimizer.zero_grad()
        state.scales = {}
        run.strategy.backward(state, losses, run.strategy.weights(state, losses, outputs, batch))
        scaled_step(run.optimizer, run.net.groups() if state.scales else {}, state.scales)
        run.strategy.stepped(state)
        seen |= {name: loss.detach() for name, loss in losses.items()}
    return seen


def train(
    net: MultiOmicsNet,
    strategy: Strategy,
    data: Arrays,
    members: Members,
    *,
    task: object,
    terms: Mapping[str, Term],
    judge: Judge,
    config: FitConfig,
    generator: torch.Generator,
    metric: str = "score",
    chance: float = 0.0,
    references: References | None = None,
    pretrained: bool = False,
    checkpoint: Any = None,
    progress: Callable[[int, int, Mapping[str, float]], None] | None = None,
) -> Run:
    """Train all members at once and keep the epoch whose out-of-fold predictions `judge` likes best.

    Parameters
    ----------
    net, strategy
        Freshly made; both are changed in place.
    data
        Training rows, on the net's device.
    members
        Which member learns from which rows.
    task
        Handed to the strategy.
    terms
        Named losses; the strategy weighs them.
    judge
        Maps out-of-fold outputs (leading axis 1) to a value to minimise and metrics for the history.
    config
        Batch size, epochs, optimiser.
    generator
        Source of all randomness, on the net's device.
    metric, chance, references
        Handed to the strategy, see `FitState`.
    pretrained
        Whether an earlier stage has trained encoders and unimodal heads.
    checkpoint
        Object with ``restore(run)`` and ``save(run, last=...)``; None for none.
    progress
        Called after each epoch with epochs done, epochs in all and the newest metrics.
    """
    size, epochs = config.schedule(len(data))
    scored = members.scored(data.y.device)
    state = FitState(
        net=net, data=data, scored=scored, task=task, generator=generator, n_epochs=epochs,
        folds=members.fold_of(data.y.device), metric=metric, chance=chance, references=references,
    )  # fmt: skip
    strategy.setup(state)
    strategy.to(data.y.device)
    run = Run(net, strategy, make_optimizer(net, strategy, config, pretrained=pretrained), generator)
    if checkpoint is not None:
        checkpoint.restore(run)
    every = -(-epochs // config.evaluations)
    if run.epoch and run.epoch % every == 0:  # a run that goes on: the strategy is owed what it would have seen
        state.held_out = out_of_fold(net, strategy, data, members)
    while run.epoch < epochs:
        state.epoch, state.oof, state.signals = run.epoch, run.oof, {}
        # Cosine to nearly zero: late epochs settle, so the chosen one is not a lucky jump.
        for group in run.optimizer.param_groups:
            group["lr"] = group["share"] * config.learning_rate * 0.5 * (1 + math.cos(math.pi * run.epoch / epochs))
        strategy.start_epoch(state)
        forget(run.optimizer, net.groups(), state.forget)
        net.train()
        seen = [step(run, state, batch, terms) for batch in shuffled(data, scored, size=size, generator=generator)]
        run.epoch += 1
        state.held_out = None
        row = {"epoch": float(run.epoch)}
        named = list(dict.fromkeys(name for losses in seen for name in losses))
        row |= {f"loss:{n}": float(torch.stack([s[n].mean() for s in seen if n in s]).mean()) for n in named}
        if run.epoch % every == 0 or run.epoch == epochs:
            state.held_out = out_of_fold(net, strategy, data, members)
            value, run.oof = judge(state.held_out)
            row |= run.oof
            if not run.best or value < run.best_value:
                run.keep(value)
        run.rows.append(row | {f"signal:{name}": value for name, value in state.signals.items()})
        if checkpoint is not None:
            checkpoint.save(run, last=run.epoch == epochs)
        if progress is not None:
            progress(run.epoch, epochs, run.oof)
    run.restore_best()
    return run
