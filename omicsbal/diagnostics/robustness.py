"""How good predictions are, with intervals, and how much of that is left along a line of growing damage."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from omicsbal.diagnostics.damage import DAMAGES
from omicsbal.diagnostics.resampling import draw_weights, interval, note_on_groups
from omicsbal.train.classes import FLOOR
from omicsbal.train.outcome import Outcome
from omicsbal.train.predictor import POOL

Row = dict[str, Any]
Measured = dict[str, tuple[float, np.ndarray]]  # value and draws of each measure
COLUMNS = ["kind", "modality", "level", "pattern", "head", "measure", "class", "value", "low", "high", "n", "rows", "note"]
BINS = 15  # of the calibration error, of equal mass, as in the scores of a fit
FEW = 30  # rows


def _class_measures(outcome: Any, y: np.ndarray, prediction: np.ndarray, weights: np.ndarray) -> dict[str, np.ndarray]:
    """Macro-F1 over the classes that occur, log-loss (nats) and calibration error of each line of weights (B, n).

    A row without a prediction is told by the prior: as guesses go, every class in its share.
    """
    eye, mass = np.eye(len(outcome.names)), weights.sum(axis=1)
    silent = np.isnan(prediction[:, 0])
    logs = np.where(silent[:, None], outcome.log_prior, prediction)
    guess = np.where(silent[:, None], np.exp(outcome.log_prior), eye[logs.argmax(axis=1)])
    hit = weights @ (eye[y] * guess).astype(weights.dtype)
    size, guessed = weights @ eye[y].astype(weights.dtype), weights @ guess.astype(weights.dtype)
    occurs = size > 0
    f1 = (2 * hit / np.maximum(size + guessed, 1e-12) * occurs).sum(axis=1) / occurs.sum(axis=1)
    loss = -np.maximum(logs, FLOOR)[np.arange(len(y)), y]
    confidence = np.exp(logs.max(axis=1))
    gap = confidence - (logs.argmax(axis=1) == y)
    order, bins = np.argsort(confidence, kind="stable"), np.zeros((len(y), BINS + 1))
    parts = np.array_split(order[~silent[order]], BINS)
    for b, rows in enumerate([*parts, np.flatnonzero(silent)]):  # the prior is one confidence, hence one bin
        bins[rows, b] = gap[rows]
    ece = np.abs(weights @ bins.astype(weights.dtype)).sum(axis=1) / mass
    return {"macro_f1": f1, "log_loss": weights @ loss.astype(weights.dtype) / mass, "ece": ece}


def _value_measures(outcome: Any, y: np.ndarray, prediction: np.ndarray, weights: np.ndarray) -> dict[str, np.ndarray]:
    """R squared, and root mean squared error in the label's unit; a row without a prediction is told by the training mean."""
    mass = weights.sum(axis=1)
    squared = (np.nan_to_num(prediction[:, 0]) - y) ** 2
    error = weights @ squared.astype(weights.dtype) / mass
    mean = weights @ y.astype(weights.dtype) / mass
    spread = np.maximum(weights @ (y.astype(weights.dtype) ** 2) / mass - mean**2, 1e-12)
    return {"r2": 1 - error / spread, "rmse": outcome.sd * np.sqrt(error)}


MEASURES = {"classification": _class_measures, "regression": _value_measures}


@dataclass(frozen=True)
class Scorer:
    """Scores of predictions of the same n rows, with 95 % intervals from 200 bootstrap draws of rows, donors whole."""

    outcome: Outcome
    y: np.ndarray  # (n,) codes or standardised values
    groups: np.ndarray | None  # (n,) donors
    rows: str  # "out-of-fold" or "held-out"
    seed: int = 0

    @cached_property
    def draws(self) -> np.ndarray:
        """(200, n) how often each row is drawn."""
        return draw_weights(len(self.y), groups=self.groups, random_state=self.seed)

    def measured(self, prediction: np.ndarray, among: np.ndarray | None = None) -> Measured:
        """Each measure on all rows or those of a mask."""
        keep = np.ones(len(self.y), dtype=bool) if among is None else among
        measure, y = MEASURES[self.outcome.kind], self.y[keep]
        found = measure(self.outcome, y, prediction[keep], np.ones((1, len(y))))
        draws = self.draws[:, keep]
        drawn = measure(self.outcome, y, prediction[keep], draws[draws.sum(axis=1) > 0])
        return {name: (float(value[0]), drawn[name]) for name, value in found.items()}

    def row(self, value: float, drawn: np.ndarray, *, groups: np.ndarray | None = None, n: int | None = None, **more: Any) -> Row:
        """A row of the table; intervals end where the measure does."""
        groups = self.groups if groups is None else groups
        drawn = drawn[np.isfinite(drawn)]
        known = np.isfinite(value) and len(drawn) > 0
        low, high = interval(value, drawn, groups=groups) if known else (np.nan, np.nan)
        n = len(self.y) if n is None else n
        words = [more.pop("note", ""), f"Fewer than {FEW} rows." if n < FEW else "", note_on_groups(groups) if known else ""]
        numbers = {"level": np.nan, "value": value, "low": low, "high": high, "n": n}
        return dict.fromkeys(COLUMNS, "") | numbers | {"rows": self.rows, "note": " ".join(filter(None, words))} | more

    def remark(self, among: np.ndarray | None = None) -> str:
        """What keeps all or some rows from being judged; empty if nothing."""
        y = self.y if among is None else self.y[among]
        if not len(y):
            return "No such row."
        return "A single class." if self.outcome.kind == "classification" and len(np.unique(y)) < 2 else ""

    def scores(self, prediction: np.ndarray, *, among: np.ndarray | None = None, **where: Any) -> Iterator[Row]:
        """A row a measure."""
        if among is None:
            yield from self.listed(self.measured(prediction), **where)
        elif not among.any():
            yield self.row(np.nan, np.empty(0), n=0, measure=self.outcome.metric, note=self.remark(among), **where)
        else:
            groups = None if self.groups is None else self.groups[among]
            more = {"groups": groups, "n": int(among.sum()), "note": self.remark(among)}
            yield from self.listed(self.measured(prediction, among), **more, **where)

    def listed(self, told: Measured, **where: Any) -> Iterator[Row]:
        """A row a measure, of `measured`."""
        for measure, (value, drawn) in told.items():
            yield self.row(value, drawn, measure=measure, **where)

    def recalls(self, prediction: np.ndarray, **where: Any) -> Iterator[Row]:
        """A row a class: share of its rows that are told right; by the prior where there is no prediction."""
        outcome: Any = self.outcome
        right = (np.nan_to_num(prediction, nan=-np.inf).argmax(axis=1) == self.y).astype(float)
        silent = np.isnan(prediction[:, 0])
        right[silent] = np.exp(outcome.log_prior)[self.y[silent]]
        for k, name in enumerate(self.outcome.names):
            mine = self.y == k
            if mine.any():
                draws = self.draws[:, mine]
                mass = draws.sum(axis=1)
                drawn = (draws @ right[mine].astype(np.float32))[mass > 0] / mass[mass > 0]
                groups = None if self.groups is None else self.groups[mine]
                more = {"groups": groups, "n": int(mine.sum()), "measure": "recall", "class": name}
                yield self.row(float(right[mine].mean()), drawn, **where | more)

    def floor(self) -> Iterator[Row]:
        """What is left of each measure when every row is told by the prior."""
        nothing = np.full((len(self.y), self.outcome.task.n_out), np.nan)
        yield from self.scores(nothing, kind="floor", head="prior")


def curve_rows(
    scorer: Scorer, kind: str, modality: str, steps: Sequence[tuple[float, dict[str, np.ndarray]]], *, note: str = ""
) -> Iterator[Row]:
    """Scores at every level, and the area under the curve of the metric.

    Parameters
    ----------
    scorer
        Of the rows.
    kind
        Of `DAMAGES`.
    modality
        The one that is damaged.
    steps
        Level and predictions ``{head: (n, c)}``, from no damage to most.
    note
        For every row.

    Yields
    ------
    Rows. "area": ``integral of score(x) / score(0) dx / (x_last - x_0)`` by trapezoids along the axis of the damage, our choice;
    1 where nothing is lost.
    """
    where = {"kind": kind, "modality": modality}
    note = " ".join(filter(None, [note, scorer.remark()]))
    recall = kind == "removed" and scorer.outcome.kind == "classification"
    x = DAMAGES[kind].axis(np.array([level for level, _ in steps], dtype=float))
    for head in steps[0][1]:
        curve: list[tuple[float, np.ndarray]] = []
        for level, predictions in steps:
            told = scorer.measured(predictions[head])
            yield from scorer.listed(told, level=level, head=head, note=note, **where)
            curve.append(told[scorer.outcome.metric])
            if recall and head == POOL and level in (0.0, 1.0):
                yield from scorer.recalls(predictions[head], level=level, head=head, note=note, **where)
        value, drawn = np.array([v for v, _ in curve]), np.stack([d for _, d in curve])
        more: dict[str, Any] = {"head": head, "measure": "area", **where}
        if len(steps) < 2:
            yield scorer.row(np.nan, np.empty(0), note="A single level.", **more)
        elif value[0] <= 0:
            yield scorer.row(np.nan, np.empty(0), note="Nothing is predicted without damage.", **more)
        else:
            with np.errstate(divide="ignore", invalid="ignore"):
                left, all_left = value / value[0], drawn / np.where(drawn[0] > 0, drawn[0], np.nan)
            width = x[-1] - x[0]
            yield scorer.row(float(np.trapezoid(left, x) / width), np.trapezoid(all_left, x, axis=0) / width, note=note, **more)
