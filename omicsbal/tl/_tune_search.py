"""One search: successive halving over trials, each judged on held-out rows of the rows it is given."""

import copy
import json
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from omicsbal._types import FUSED, Arrays
from omicsbal.pp.sources import Options, Source
from omicsbal.tl._blocks import read_blocks
from omicsbal.tl._design import Design
from omicsbal.tl._tune_space import COMPONENTS, Base, Range, resized
from omicsbal.train.experts import fit_experts
from omicsbal.train.fitting import Fit, fit_predictor
from omicsbal.train.predictor import POOL, subset

if TYPE_CHECKING:
    import torch
    from mudata import MuData

HALVING = 3  # of the trials that reach a rung, one in so many goes on
RUNGS = 5  # the first rung is at this part of the evaluations, the second at three times that
RANDOM = 5  # trials before the sampler models what the earlier ones gave
DONE, STOPPED, LATE, FAILED = "done", "stopped", "out of time", "failed"


def optuna_module() -> Any:
    """The library of the search.

    Raises
    ------
    ImportError
        It is not installed.
    """
    try:
        import optuna
    except ImportError as error:
        msg = "Tuning needs optuna: pip install 'omicsbal[tune]'."
        raise ImportError(msg) from error
    return optuna


@contextmanager
def quiet() -> Iterator[None]:
    """Optuna says a line about each study and trial; its setting is put back."""
    logs = optuna_module().logging
    before = logs.get_verbosity()
    logs.set_verbosity(logs.WARNING)
    try:
        yield
    finally:
        logs.set_verbosity(before)


class _StopTrialError(Exception):
    """Raised from within a fit, which it ends."""


class _Rungs:
    """Told the metrics after each epoch; ends the fit of a trial that is behind others at a rung, or when time is up.

    What is compared is the best loss so far of the fused head, since a fit keeps its best epoch. Strategies without that head,
    and stages before the last, are never behind.
    """

    def __init__(self, trial: Any, loss: str, until: float, *, first: bool) -> None:
        self.trial, self.until, self.first, self.metric = trial, until, first, f"oof_{loss}:{FUSED}"
        self.seen: Mapping[str, float] | None = None
        self.best, self.step = np.inf, 0

    def __call__(self, done: int, total: int, metrics: Mapping[str, float]) -> None:
        """After an epoch; `metrics` are a new object after each evaluation."""
        if not self.first and time.monotonic() > self.until:
            raise _StopTrialError(LATE)
        if metrics is self.seen or self.metric not in metrics:
            return
        self.seen, self.step = metrics, self.step + 1
        self.best = min(self.best, metrics[self.metric])
        self.trial.report(self.best, self.step)
        if self.trial.should_prune() and not self.first:
            raise _StopTrialError(STOPPED)


class _Halving:
    """Optuna's successive halving, deaf to trials that a kill ended: these are run again, and would count twice at a rung."""

    def __init__(self, evaluations: int) -> None:
        pruners = optuna_module().pruners
        self.inner = pruners.SuccessiveHalvingPruner(min_resource=max(evaluations // RUNGS, 1), reduction_factor=HALVING)

    def prune(self, study: Any, trial: Any) -> bool:
        """Whether the trial is behind."""
        heard, killed = copy.copy(study), optuna_module().trial.TrialState.FAIL
        kept = [t for t in study.get_trials(deepcopy=False) if t.state != killed or "state" in t.user_attrs]
        heard.get_trials = lambda **_: kept
        return bool(self.inner.prune(heard, trial))


@dataclass(frozen=True)
class Blocks:
    """Rows through recipes of one size."""

    sources: dict[str, Source]
    everything: Arrays  # all rows of the MuData
    data: Arrays  # training rows
    linear: Any  # linear experts of the training rows; None: not wanted


@dataclass
class Rows:
    """The rows that a search may learn from, read once a size of recipe."""

    mdata: "MuData"
    design: Design
    options: Options
    device: "torch.device"
    unlabelled: np.ndarray  # positions of rows without a label, which a graph may hold
    experts: bool
    random_state: int
    sizes: dict[float, Blocks] = field(default_factory=dict)

    def blocks(self, factor: float) -> Blocks:
        """All rows through recipes with `factor` times the components of the default, learnt from the training rows."""
        if factor not in self.sizes:
            asked = self.options if factor == 1 else replace(self.options, recipe=resized(self.blocks(1.0).sources, factor))
            sources, everything = read_blocks(self.mdata, asked, self.design, self.device)
            data = subset(everything, np.flatnonzero(self.design.training))
            parts = {m: x.cpu().numpy() for m, x in data.x.items()}, {m: p.cpu().numpy() for m, p in data.present.items()}
            linear = fit_experts(*parts, data.y.cpu().numpy(), self.design.folds, self.design.outcome) if self.experts else None
            self.sizes[factor] = Blocks(sources, everything, data, linear)
        return self.sizes[factor]

    def fit(self, base: Base, values: Mapping[str, Any], *, whole: bool, progress: Callable[..., None] | None = None) -> Fit:
        """With these settings; `whole`: with members that predict new rows, else with those that judge alone."""
        chosen, blocks = base.changed(values), self.blocks(float(values.get(COMPONENTS, 1.0)))
        return fit_predictor(
            blocks.data, self.design.folds, self.design.outcome, chosen.strategy, net=chosen.net,
            config=chosen.config if whole else replace(chosen.config, n_members=0), random_state=self.random_state,
            experts=self.experts, linear=blocks.linear, progress=progress, unlabelled=subset(blocks.everything, self.unlabelled),
        )  # fmt: skip

    def loss(self, fitted: Fit) -> float:
        """Out-of-fold criterion of the pool, on the rows that it speaks for."""
        y, told = self.blocks(1.0).data.y.cpu().numpy(), fitted.predictions[POOL]
        known = ~np.isnan(told).any(axis=1)
        return self.design.outcome.criterion(y[known], told[known])


def open_study(name: str, mark: str, path: Path | None, evaluations: int) -> Any:
    """A study in memory, or of that name in a file; `mark` tells whether it is the same search."""
    optuna = optuna_module()
    storage = None
    if path is not None:
        with path.open("a+b") as file:
            file.seek(0)
            head = file.readline()
        if head and "op_code" not in json.loads(head):  # optuna would write behind whatever stands there
            raise ValueError("no journal")
        journal = optuna.storages.journal
        storage = optuna.storages.JournalStorage(journal.JournalFileBackend(str(path)))
    study = optuna.create_study(storage=storage, study_name=name, pruner=_Halving(evaluations), load_if_exists=True)
    if study.user_attrs.get("mark", mark) != mark:
        raise ValueError("another search")
    study.set_user_attr("mark", mark)
    return study


def records_of(study: Any, default: Mapping[str, Any]) -> list[dict[str, Any]]:
    """A record a finished trial, in order."""
    kept = [t for t in study.get_trials(deepcopy=False) if "state" in t.user_attrs]
    return [
        {**{k: t.params[k] for k in default}, **{k: t.user_attrs[k] for k in ("state", "loss", "evaluations", "seconds")}}
        for t in kept
    ]


def search(
    study: Any, rows: Rows, base: Base, space: Mapping[str, Range], *, n_trials: int | None, seconds: float,
    tick: Callable[[list[dict[str, Any]]], None],
) -> list[dict[str, Any]]:  # fmt: skip
    """Trials until `n_trials`, if given, are finished, else until `seconds` are over; the first is the default, and always done.

    The sampler is seeded anew for each trial, so that a search which goes on after a kill proposes what it would have.
    """
    optuna, state = optuna_module(), optuna_module().trial.TrialState
    default = base.values(list(space))
    for trial in study.get_trials(deepcopy=False, states=(state.RUNNING,)):  # a kill ended it
        study.tell(trial.number, state=state.FAIL)
    found = records_of(study, default)
    if not found and not study.get_trials(deepcopy=False, states=(state.WAITING,)):
        study.enqueue_trial(default)
    until = np.inf if n_trials is not None else time.monotonic() + seconds - sum(r["seconds"] for r in found)
    while not found or (len(found) < n_trials if n_trials is not None else time.monotonic() < until):
        seed = int(np.random.SeedSequence([rows.random_state, len(found)]).generate_state(1)[0])
        study.sampler = optuna.samplers.TPESampler(seed=seed, n_startup_trials=RANDOM)
        _try(study, rows, base, space, until, first=not found)
        found = records_of(study, default)
        tick(found)
    return found[:n_trials]


def _try(study: Any, rows: Rows, base: Base, space: Mapping[str, Range], until: float, *, first: bool) -> None:
    """One trial, told to the study."""
    state = optuna_module().trial.TrialState
    begin, trial = time.monotonic(), study.ask()
    values = {name: place.suggest(trial, name) for name, place in space.items()}
    rungs, loss, how, ended = _Rungs(trial, rows.design.outcome.loss, until, first=first), None, DONE, state.COMPLETE
    try:
        loss = rows.loss(rows.fit(base, values, whole=False, progress=rungs))
    except _StopTrialError as stop:
        how, ended = str(stop), state.PRUNED
    except FloatingPointError:
        if first:
            raise
        how, ended = FAILED, state.FAIL
    facts = {"state": how, "loss": loss, "evaluations": rungs.step, "seconds": time.monotonic() - begin}
    for name, fact in facts.items():
        trial.set_user_attr(name, fact)
    study.tell(trial, loss, state=ended)


def best_of(records: list[dict[str, Any]]) -> int:
    """Position of the finished trial of least loss; the first of equals."""
    losses = [np.inf if r["loss"] is None else r["loss"] for r in records]
    return int(np.argmin(losses))
