"""The stages of a fit: references, pilots, pretraining, and the training proper, each a call of the same loop."""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch

from omicsbal._keys import KD_GATE, REFERENCES
from omicsbal._types import FUSED, Arrays, Outputs, References
from omicsbal.balance._base import Strategy
from omicsbal.config import FitConfig, NetConfig
from omicsbal.graph.patients import PatientGraph
from omicsbal.nn.net import MultiOmicsNet
from omicsbal.objectives.supervised import supervised_terms
from omicsbal.train.forward import head_arrays, out_of_fold
from omicsbal.train.graphs import member_graph, schedule_for
from omicsbal.train.intervals import paired_gain
from omicsbal.train.members import Members
from omicsbal.train.outcome import Outcome
from omicsbal.train.references import Alone, check_folds, reference_table, references_of
from omicsbal.train.trainer import Judge, Run, train

Records = list[dict[str, Any]]
REFERENCE, PILOT, PRETRAINING, MAIN = "reference", "pilot", "distil", "joint"  # names in the history


def judge_by(
    outcome: Outcome, heads: list[str], y: np.ndarray, present: Mapping[str, np.ndarray], *, deciding: Collection[str] = ()
) -> Judge:
    """Criterion: the outcome's, averaged over the deciding heads, by default all that are trained.

    Metrics: the first one and the log-loss of each head.
    """

    def judge(outputs: Outputs) -> tuple[float, dict[str, float]]:
        values: list[float] = []
        metrics: dict[str, float] = {}
        for head, raw in head_arrays(outputs, heads).items():
            rows = present.get(head, np.ones(len(y), dtype=bool))
            prediction = outcome.link(raw[0][rows])
            if head in (deciding or heads):
                values.append(outcome.criterion(y[rows], prediction))
            scores = outcome.scores(y[rows], prediction)
            metrics |= {f"oof_{name}:{head}": scores[name] for name in (outcome.metric, outcome.loss)}
        return float(np.mean(values)), metrics

    return judge


@dataclass
class Stages:
    """All that the stages of one fit share, and what they leave behind.

    Parameters
    ----------
    data, folds, outcome, net, config, random_state, checkpoint, progress
        See `omicsbal.train.fitting.fit_predictor`.
    references
        Of an earlier stage 0 on the same data, folds and members; None: made when they are asked for.
    unlabelled
        Rows that a transductive graph takes in.
    """

    data: Arrays
    folds: np.ndarray
    outcome: Outcome
    net: NetConfig
    config: FitConfig
    random_state: int
    checkpoint: Any = None
    progress: Callable[..., None] | None = None
    references: References | None = None
    unlabelled: Arrays | None = None
    history: Records = field(default_factory=list)
    tables: dict[str, Records] = field(default_factory=dict)
    planned: int = 1  # stages that are certain to come, for the progress bar
    finished: int = 0
    graph: PatientGraph | None = None  # of the latest net

    def __post_init__(self) -> None:
        self.config = schedule_for(self.net, self.config, len(self.data))
        self.y = self.data.y.cpu().numpy()
        self.present = {m: p.cpu().numpy() for m, p in self.data.present.items()}

    def new_net(self, members: Members) -> tuple[MultiOmicsNet, torch.Generator]:
        """Freshly drawn from the seed, on the data's device, and the generator that goes on from there."""
        generator, device = torch.Generator().manual_seed(self.random_state), self.data.y.device
        sizes = {m: x.shape[1] for m, x in self.data.x.items()}
        self.graph = member_graph(self.data, members, self.net, unlabelled=self.unlabelled, known=self.graph)
        module = MultiOmicsNet(
            sizes, self.outcome.task.n_out, members=members.total, config=self.net, generator=generator, graph=self.graph
        )
        module.to(device)
        if device.type != "cpu":  # weights are drawn on the CPU, the rest where the data are
            generator = torch.Generator(device=device).manual_seed(self.random_state)
            module.draw_from(generator)
        module.set_tilt(self.data.x, self.data.present, self.net.tilt)
        return module, generator

    def run(
        self, name: str, module: MultiOmicsNet, strategy: Strategy, members: Members, generator: torch.Generator,
        *, pretrained: bool = False,
    ) -> Run:  # fmt: skip
        """One stage."""
        heads = strategy.heads(list(self.data.x))
        done = train(
            module,
            strategy,
            self.data,
            members,
            task=self.outcome.task,
            terms=supervised_terms(heads, self.outcome.task),
            judge=judge_by(self.outcome, heads, self.y, self.present, deciding=[FUSED] if strategy.probes else heads),
            config=self.config,
            generator=generator,
            metric=self.outcome.metric,
            chance=self.outcome.chance,
            references=self.references,
            pretrained=pretrained,
            checkpoint=None if self.checkpoint is None else self.checkpoint.stage(name if name != MAIN else ""),
            progress=self._report if self.progress else None,
        )
        self.finished += 1
        self.tables |= strategy.tables
        self.history += [
            {"stage": name, **row, "chosen": int(row["epoch"] == done.best_epoch and name == MAIN)} for row in done.rows
        ]
        return done

    def _report(self, done: int, total: int, metrics: Mapping[str, float]) -> None:
        """Progress of this stage as progress of all."""
        if self.progress:
            self.progress(self.finished * total + done, max(self.planned, self.finished + 1) * total, metrics)

    def make_references(self) -> References:
        """Stage 0: each modality alone, with members enough to teach every member of the fit."""
        check_folds(int(self.folds.max()) + 1)
        members, alone = Members(self.folds, 0, in_pairs=True), Alone()
        module, generator = self.new_net(members)
        self.run(REFERENCE, module, alone, members, generator)
        n_students = members.n_folds + self.config.n_members
        return references_of(module, alone, self.data, members, self.outcome, n_students=n_students)

    def try_out(self, rounds: list[tuple[dict[str, str], Strategy]], references: References) -> None:
        """Pilots: students with their teachers, against the same run without any."""
        members, told = Members(self.folds, 0), []
        for i, strategy in enumerate([Alone(), *(strategy for _, strategy in rounds)]):
            module, generator = self.new_net(members)  # the same weights and minibatches in every round
            self.run(f"{PILOT} {i}", module, strategy, members, generator)
            told.append(head_arrays(out_of_fold(module, strategy, self.data, members), list(self.data.x)))
        for (teachers, _), found in zip(rounds, told[1:], strict=True):
            for student, teacher in teachers.items():
                references.pilots[teacher, student] = self.gain(student, told[0][student][0], found[student][0])

    def gain(self, m: str, before: np.ndarray, after: np.ndarray) -> dict[str, float]:
        """What a modality's metric gained between two raw out-of-fold outputs (n, c)."""
        rows = self.present[m]
        calm = []
        for raw in (before, after):
            prediction = self.outcome.link(raw[rows])
            calm.append(self.outcome.soften(prediction, self.outcome.temperature(self.y[rows], prediction)))
        return paired_gain(self.y[rows], calm[0], calm[1], self.outcome)

    def all(self, strategy: Strategy) -> tuple[MultiOmicsNet, Members, Run]:
        """Every stage that the strategy asks for, in order; returns the net, its members and the last run."""
        strategy.check_task(self.outcome.kind)
        first = strategy.pretraining()
        self.planned = 1 + (first is not None) + (strategy.references and self.references is None)
        if strategy.references:
            self.references = replace(self.references or self.make_references(), pilots={})  # those of another fit are its own
            rounds = strategy.pilots(self.references)
            if rounds:
                self.planned += 1 + len(rounds)
                self.try_out(rounds, self.references)
            self.tables = {REFERENCES: reference_table(self.references, self.data, self.outcome)}
        members = Members(self.folds, self.config.n_members)
        module, generator = self.new_net(members)
        if first is not None:
            self.run(PRETRAINING, module, first, members, generator)
            self.note_gains(module, first, members)
        run = self.run(MAIN, module, strategy, members, generator, pretrained=first is not None)
        if first is None:
            self.note_gains(module, strategy, members)
        strategy.finish()
        return module, members, run

    def note_gains(self, module: MultiOmicsNet, strategy: Strategy, members: Members) -> None:
        """What teaching brought: the students after it against the references, out-of-fold."""
        taught = [r for r in self.tables.get(KD_GATE, []) if r["chosen"] and r["weight"] and np.isnan(r["gain"])]
        if not taught or self.references is None:
            return
        after = head_arrays(out_of_fold(module, strategy, self.data, members), list(self.data.x))
        for record in taught:
            m = record["student"]
            before = self.references.held_out[m].cpu().double().numpy()
            record |= self.gain(m, before, after[m][0])
