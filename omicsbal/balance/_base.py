"""The strategy contract: what may be decided while a fit runs, and when."""

import inspect
from typing import Any

import torch
from torch import Tensor, nn

from omicsbal._types import FUSED, Batch, FitState, Outputs, References
from omicsbal._validate import problem


def is_nothing(weight: Tensor | float) -> bool:
    """Whether a term is switched off by a plain 0; tensors are never looked into, which would wait for the device."""
    return not isinstance(weight, Tensor) and weight == 0


class Strategy(nn.Module):
    """Base of all balancing strategies; every hook is optional and does nothing by default.

    A strategy weighs named loss terms and edits gradients. It never steps the optimiser and never loops over epochs. It does not
    know the member axis: tensors have shape ``(..., n, k)``, losses ``(...)``. Being a module, parameters it makes in `setup` are
    trained with the net's. What it must remember between epochs belongs in buffers, so that a checkpoint holds it. Each
    constructor argument is kept as an attribute of the same name, so that a saved model can make it again. What it decides goes
    to ``state.signals["name:modality"]`` and from there into the history, once an epoch: of a signal that is set for each batch,
    the history has that of the epoch's last batch.

    Attributes
    ----------
    fused, unimodal
        Which heads get a loss. Heads without one are neither trained nor reported.
    references
        Whether each modality is to be trained alone first, so that ``state.references`` is there in `setup`.
    tables
        What the strategy found out before training and the user should see: ``{name: records}``, filled in `setup`.
    probes
        Whether unimodal heads see embeddings without sending a gradient back: they then tell what an encoder knows and change
        nothing about it. The epoch that is kept is then chosen by the fused head alone.
    hides
        Whether the fused head is trained with modalities hidden, so that it may be asked for a part of them.
    tasks
        Kinds of label it supports.
    paper, confidence, needs, cost
        For the table of `strategies`: source with its id; "faithful", "our reconstruction" or "own"; what it asks for beyond one
        pass; time of a fit relative to `joint` in benchmarks/results/strategies.md, teachers not counted.
    """

    fused: bool = True
    unimodal: bool = True
    references: bool = False
    tables: dict[str, list[dict[str, Any]]]
    probes: bool = False
    hides: bool = False
    tasks: tuple[str, ...] = ("classification", "regression")
    paper: str = ""
    confidence: str = "own"
    needs: str = ""
    cost: float = 1.0

    def __init__(self) -> None:
        super().__init__()
        self.tables = {}

    def pretraining(self) -> "Strategy | None":
        """The strategy of a stage that trains the same net first; None for none."""
        return None

    def pilots(self, references: References) -> "list[tuple[dict[str, str], Strategy]]":
        """Teachers to try out before `setup`, ``({student: teacher}, strategy of a run with them)``, some at a time.

        What each pair gained is then in ``references.pilots``.
        """
        return []

    def check_task(self, kind: str) -> None:
        """Refuse a label of a kind the method has no form for.

        Raises
        ------
        ValueError
            The kind is not among `tasks`.
        """
        if kind not in self.tasks:
            do = "Take another strategy (ob.balance.strategies() says what each supports), or make a categorical label."
            raise ValueError(problem("strategy", expected=f"one that supports {kind}", found=type(self).__name__, do=do))

    def setup(self, state: FitState) -> None:
        """Once, before the optimiser is built: make parameters, keep snapshots of the initial weights."""

    def start_epoch(self, state: FitState) -> None:
        """Before each epoch: read ``state.oof`` (newest out-of-fold metrics), set weights, freeze, re-initialise."""

    def rows(self, state: FitState, batch: Batch) -> Batch:
        """Before the encoders: weigh rows anew (``weight`` may become (..., n)) or hide modalities of some; training only."""
        return batch

    def passes(self, state: FitState, names: list[str]) -> list[list[str]]:
        """The terms of each optimiser step of a batch; one step with all of them unless an alternating method says otherwise."""
        return [names]

    def features(self, state: FitState, z: dict[str, Tensor], batch: Batch) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """Edit embeddings in training; returns them and the presence that the fusion is to see."""
        return z, batch.present

    def modulate(self, z: dict[str, Tensor], present: dict[str, Tensor]) -> dict[str, Tensor]:
        """What the fusion is to see of the embeddings, in training and at prediction; neither labels nor other rows."""
        return z

    def own_heads(self, z: dict[str, Tensor]) -> dict[str, Tensor] | None:
        """Own unimodal outputs, in training and at prediction; neither labels nor other rows. None keeps the net's."""
        return None

    def terms(self, state: FitState, outputs: Outputs, batch: Batch) -> dict[str, tuple[Tensor, Tensor]]:
        """Further named terms: ``{name: (mean loss, rows)}``, both of shape ``(...)``."""
        return {}

    def weights(self, state: FitState, losses: dict[str, Tensor], outputs: Outputs, batch: Batch) -> dict[str, Tensor | float]:
        """One weight a term, a number or a tensor of shape ``(...)``; a term that is not named weighs 1."""
        return {}

    def backward(self, state: FitState, losses: dict[str, Tensor], weights: dict[str, Tensor | float]) -> None:
        """Fill ``.grad``: by default one backward pass through the weighted sum.

        Summing over members keeps their gradients apart, since no parameter is shared.
        """
        parts = [(weights.get(name, 1.0) * loss).sum() for name, loss in losses.items() if not is_nothing(weights.get(name, 1.0))]
        torch.stack(parts).sum().backward()

    def stepped(self, state: FitState) -> None:
        """After each optimiser step: constrain where it went, such as by a projection, which Adam undoes on a gradient."""

    def fuse(self, outputs: Outputs, present: dict[str, Tensor]) -> Tensor | None:
        """Own fused prediction, in training and at prediction; it sees neither labels nor other rows. None keeps the net's."""
        return None

    def finish(self) -> None:
        """After training: let go of what only training needed."""

    def settings(self) -> dict[str, Any]:
        """Constructor arguments by name."""
        return {name: getattr(self, name) for name in inspect.signature(type(self)).parameters}

    def heads(self, modalities: list[str]) -> list[str]:
        """Names of the heads that are trained."""
        return [FUSED] * self.fused + list(modalities) * self.unimodal
