"""Posteriors of a fitted predictor for any subset of the modalities, on held-out rows, calibrated for counting nats.

A subset's posterior is a log-linear pool of every head that can speak for it: the fused network with the rest hidden, the
networks and the linear experts of its modalities. Weights and temperatures are fitted as in `omicsbal.train.pooling`, but for the
plain log-loss.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from omicsbal._types import FUSED, Arrays
from omicsbal.diagnostics._jackknife import make_folds
from omicsbal.train.classes import Classes
from omicsbal.train.experts import Expert, rotated
from omicsbal.train.forward import head_arrays, out_of_fold
from omicsbal.train.outcome import Outcome
from omicsbal.train.pooling import Raw, fit_pool
from omicsbal.train.predictor import Pattern, Pool, Predictor, subset
from omicsbal.train.values import Values

CALIBRATION_FOLDS = 5


@dataclass(frozen=True)
class Counted(Classes):
    """Classes as they occur: rows weigh the same, where predictions for use weigh rare classes more."""

    power = 0.0


FoldExperts = Mapping[str, Mapping[int, Expert]]


def out_of_fold_raw(
    predictor: Predictor, data: Arrays, y: np.ndarray, patterns: Iterable[Pattern], *, experts: FoldExperts | None = None
) -> dict[Pattern, Raw]:
    """Uncalibrated predictions ``{pattern: {head: (n, c)}}`` of the training rows by members that never saw them.

    Linear experts, of which a model keeps only the one of all rows, are fitted again on the other folds at its penalty, unless
    given as `experts`, by `fold_experts`.
    """
    outcome, net = predictor.outcome, predictor.net

    def seen(heads: list[str], only: Pattern | None) -> Raw:
        raw = head_arrays(out_of_fold(net, predictor.strategy, data, predictor.members, only=only), heads)
        return {head: outcome.link(values[0]) for head, values in raw.items()}

    # What else is visible matters to the fused head and, on a graph, to whose neighbours a row looks at.
    sensitive = {FUSED} if net.graph is None else set(predictor.trained)
    fixed = seen([h for h in predictor.trained if h not in sensitive], None)
    fixed |= experts_say(fold_experts(predictor, data, y) if experts is None else experts, predictor, data)
    found = {}
    for pattern in patterns:
        able = predictor.able(pattern)
        again = [h for h in able if h in sensitive]
        found[pattern] = {h: fixed[h] for h in able if h in fixed} | (seen(again, pattern) if again else {})
    return found


def fold_experts(predictor: Predictor, data: Arrays, y: np.ndarray) -> dict[str, dict[int, Expert]]:
    """The linear experts fitted again at their penalty, once for each fold, on the other folds' rows."""
    outcome, folds = predictor.outcome, predictor.members.folds
    found: dict[str, dict[int, Expert]] = {}
    for name, expert in predictor.experts.items():
        rows = np.flatnonzero(having(data, frozenset(expert.modalities)))
        x, basis = rotated(np.hstack([data.x[m].cpu().numpy()[rows] for m in expert.modalities]))
        for k in range(predictor.members.n_folds):
            held = folds[rows] == k
            if held.any() and not held.all() and len(np.unique(y[rows][~held])) > 1:
                coef, intercept = outcome.linear(outcome.expert(expert.strength).fit(x[~held], y[rows][~held]))
                found.setdefault(name, {})[k] = Expert(expert.modalities, basis @ coef, intercept, expert.strength)
    return found


def experts_say(again: FoldExperts, predictor: Predictor, data: Arrays) -> Raw:
    """What `fold_experts` say of the rows of their folds, log-probabilities or values; NaN where a row lacks what they need."""
    folds, found = predictor.members.folds, {}
    for name, experts in again.items():
        rows = np.flatnonzero(having(data, frozenset(predictor.experts[name].modalities)))
        found[name] = np.full((len(folds), predictor.outcome.task.n_out), np.nan)
        for k, expert in experts.items():
            held = rows[folds[rows] == k]
            blocks = {m: data.x[m].cpu().numpy()[held] for m in expert.modalities}
            found[name][held] = predictor.outcome.link(expert.raw(blocks))
    return found


def new_rows_raw(predictor: Predictor, data: Arrays, patterns: Iterable[Pattern]) -> dict[Pattern, Raw]:
    """The same of rows that the fit never saw, by the members that predict new rows; NaN where a row lacks a modality."""
    found: dict[Pattern, Raw] = {}
    for pattern in patterns:
        rows = np.flatnonzero(having(data, pattern))
        raw = predictor.raw_heads(subset(data, rows), pattern) if len(rows) else {}
        found[pattern] = {h: np.full((len(data), predictor.outcome.task.n_out), np.nan) for h in raw}
        for head, values in raw.items():
            found[pattern][head][rows] = values
    return found


def having(data: Arrays, pattern: Pattern) -> np.ndarray:
    """(n,) bool: rows that have at least these modalities."""
    return np.asarray(np.logical_and.reduce([data.present[m].cpu().numpy() for m in pattern]))


def calibration_folds(n: int, groups: np.ndarray | None, seed: int) -> np.ndarray:
    """(n,) folds of new rows, for calibration alone; groups stay whole."""
    count = 2 if groups is None else len(np.unique(groups))
    whole = groups if count > 1 else None  # a single donor is split: its interval is missing anyhow
    return make_folds(n, groups=whole, n_folds=min(CALIBRATION_FOLDS, n if whole is None else count), random_state=seed)


def fold_pools(
    raw: Mapping[str, np.ndarray], y: np.ndarray, rows: np.ndarray, folds: np.ndarray, outcome: Outcome
) -> dict[int, Pool]:
    """For each fold the pool of all heads, fitted on the `rows` (bool) of the other folds; empty where no head speaks."""
    heads = [h for h, values in raw.items() if not np.isnan(values[rows]).any()]
    others = {int(k): rows & (folds != k) for k in np.unique(folds[rows])} if heads else {}
    counted = counting(outcome)
    return {k: fit_pool(heads, dict(raw), y, other, counted) for k, other in others.items() if other.any()}


def pooled(
    pools: Mapping[int, Pool], raw: Mapping[str, np.ndarray], rows: np.ndarray, folds: np.ndarray, outcome: Outcome
) -> np.ndarray:
    """One prediction (n, c) of each row by the pool of its fold; NaN outside `rows` (bool)."""
    counted = counting(outcome)
    result = np.full((len(folds), outcome.task.n_out), np.nan)
    for k, pool in pools.items():
        here = rows & (folds == k)
        soft = [counted.soften(raw[h][here], t) for h, t in zip(pool.heads, pool.temperatures, strict=True)]
        result[here] = counted.pool(np.stack(soft), pool.weights)
    return result


def counting(outcome: Outcome) -> Outcome:
    """The same outcome with rows that weigh the same."""
    kinds: dict[str, Any] = {"classification": Counted, "regression": Values}
    counted: Outcome = kinds[outcome.kind].from_state(outcome.state())
    return counted


def calibrated(raw: Mapping[str, np.ndarray], y: np.ndarray, rows: np.ndarray, folds: np.ndarray, outcome: Outcome) -> np.ndarray:
    """One calibrated log-posterior, or value, (n, c) of heads, cross-fitted on `folds`; NaN outside `rows` and where none speaks.

    The weights that a fold is pooled by are fitted on the other folds. As in any stacking, the predictions behind those weights
    come from members that trained on that fold.
    """
    return pooled(fold_pools(raw, y, rows, folds, outcome), raw, rows, folds, outcome)
