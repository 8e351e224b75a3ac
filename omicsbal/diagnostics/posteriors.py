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
from omicsbal.train.experts import rotated
from omicsbal.train.forward import head_arrays, out_of_fold
from omicsbal.train.outcome import Outcome
from omicsbal.train.pooling import Raw, fit_pool
from omicsbal.train.predictor import Pattern, Predictor, subset

CALIBRATION_FOLDS = 5


@dataclass(frozen=True)
class Counted(Classes):
    """Classes as they occur: rows weigh the same, where predictions for use weigh rare classes more."""

    power = 0.0


def out_of_fold_raw(predictor: Predictor, data: Arrays, y: np.ndarray, patterns: Iterable[Pattern]) -> dict[Pattern, Raw]:
    """Uncalibrated log-probabilities ``{pattern: {head: (n, c)}}`` of the training rows by members that never saw them.

    Linear experts, of which a model keeps only the one of all rows, are fitted again on the other folds at its penalty.
    """
    outcome, net = predictor.outcome, predictor.net

    def seen(heads: list[str], only: Pattern | None) -> Raw:
        raw = head_arrays(out_of_fold(net, predictor.strategy, data, predictor.members, only=only), heads)
        return {head: outcome.link(values[0]) for head, values in raw.items()}

    # What else is visible matters to the fused head and, on a graph, to whose neighbours a row looks at.
    sensitive = {FUSED} if net.graph is None else set(predictor.trained)
    fixed = seen([h for h in predictor.trained if h not in sensitive], None) | _experts_again(predictor, data, y)
    found = {}
    for pattern in patterns:
        able = predictor.able(pattern)
        again = [h for h in able if h in sensitive]
        found[pattern] = {h: fixed[h] for h in able if h in fixed} | (seen(again, pattern) if again else {})
    return found


def _experts_again(predictor: Predictor, data: Arrays, y: np.ndarray) -> Raw:
    """Out-of-fold log-probabilities of the linear experts, NaN where a row lacks what they need."""
    outcome, folds, found = predictor.outcome, predictor.members.folds, {}
    for name, expert in predictor.experts.items():
        rows = np.flatnonzero(np.logical_and.reduce([data.present[m].cpu().numpy() for m in expert.modalities]))
        x, _ = rotated(np.hstack([data.x[m].cpu().numpy()[rows] for m in expert.modalities]))
        found[name] = np.full((len(y), outcome.task.n_out), np.nan)
        for k in range(predictor.members.n_folds):
            held = folds[rows] == k
            if held.any() and not held.all() and len(np.unique(y[rows][~held])) > 1:
                coef, intercept = outcome.linear(outcome.expert(expert.strength).fit(x[~held], y[rows][~held]))
                found[name][rows[held]] = outcome.link(x[held] @ coef + intercept)
    return {name: values for name, values in found.items() if not np.isnan(values).all()}


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


def calibrated(raw: Mapping[str, np.ndarray], y: np.ndarray, rows: np.ndarray, folds: np.ndarray, outcome: Outcome) -> np.ndarray:
    """One calibrated log-posterior (n, c) of heads, cross-fitted on `folds`; NaN outside `rows` (bool) and where no head speaks.

    The weights that a fold is pooled by are fitted on the other folds. As in any stacking, the predictions behind those weights
    come from members that trained on that fold.
    """
    counted: Any = Counted.from_state(outcome.state())
    result = np.full((len(y), outcome.task.n_out), np.nan)
    heads = [h for h, values in raw.items() if not np.isnan(values[rows]).any()]
    for k in np.unique(folds[rows]) if heads else []:
        here, other = rows & (folds == k), rows & (folds != k)
        if other.any():
            pool = fit_pool(heads, dict(raw), y, other, counted)
            soft = [counted.soften(raw[h][here], t) for h, t in zip(heads, pool.temperatures, strict=True)]
            result[here] = counted.pool(np.stack(soft), pool.weights)
    return result
