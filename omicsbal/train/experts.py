"""Linear experts: what a tuned linear model says, per modality and on all of them, cross-fitted on the members' folds."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from omicsbal.train.outcome import Outcome

CONCAT = "concat"


@dataclass(frozen=True)
class Expert:
    """One linear model: raw outputs are ``x @ coef + intercept`` with x the blocks of `modalities` side by side."""

    modalities: tuple[str, ...]
    coef: np.ndarray  # (d, c)
    intercept: np.ndarray  # (c,)
    strength: float

    def raw(self, blocks: Mapping[str, np.ndarray]) -> np.ndarray:
        """Raw outputs (n, c) for rows that have every modality needed."""
        return np.hstack([blocks[m] for m in self.modalities]) @ self.coef + self.intercept


def rotated(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Scores of x on an orthonormal basis of its rows, and that basis (d, r).

    An L2-penalised linear model only uses the span of its rows, so with more features than rows this changes the time and not the
    model.
    """
    if x.shape[1] <= len(x):
        return x, np.eye(x.shape[1])
    basis = np.linalg.qr(x.T.astype(np.float64))[0]
    return x @ basis, basis


def fit_expert(
    modalities: tuple[str, ...], x: np.ndarray, y: np.ndarray, folds: np.ndarray, outcome: Outcome
) -> tuple[Expert, np.ndarray] | None:
    """The expert at its best penalty, and its out-of-fold predictions (n, c); None where a training part has a single class.

    The path runs from strong to weak penalties and ends at the first that is worse out-of-fold.
    """
    parts = [np.flatnonzero(folds != k) for k in range(int(folds.max()) + 1)]
    if any(len(part) < 2 or len(np.unique(y[part])) < 2 for part in parts):
        return None
    z, basis = rotated(x)
    fitted: list[Any] = [None] * len(parts)
    best, strength, kept = np.inf, outcome.strengths[0], np.empty((len(y), outcome.task.n_out))
    for candidate in outcome.strengths:
        raw = np.empty_like(kept)
        for k, part in enumerate(parts):
            fitted[k] = outcome.expert(candidate, fitted[k]).fit(z[part], y[part])
            coef, intercept = outcome.linear(fitted[k])
            raw[folds == k] = z[folds == k] @ coef + intercept
        prediction = outcome.link(raw)
        value = outcome.criterion(y, prediction)
        if value >= best:
            break
        best, strength, kept = value, candidate, prediction
    coef, intercept = outcome.linear(outcome.expert(strength).fit(z, y))
    return Expert(modalities, basis @ coef, intercept, strength), kept


def fit_experts(
    blocks: Mapping[str, np.ndarray], present: Mapping[str, np.ndarray], y: np.ndarray, folds: np.ndarray, outcome: Outcome
) -> tuple[dict[str, Expert], dict[str, np.ndarray]]:
    """One expert a modality and one on all; and out-of-fold predictions ``{name: (n, c)}``, NaN where rows lack what it needs."""
    groups = {m: (m,) for m in blocks} | ({CONCAT: tuple(blocks)} if len(blocks) > 1 else {})
    experts, held_out = {}, {}
    for suffix, modalities in groups.items():
        rows = np.logical_and.reduce([present[m] for m in modalities])
        found = (
            fit_expert(modalities, np.hstack([blocks[m][rows] for m in modalities]), y[rows], folds[rows], outcome)
            if rows.any()
            else None
        )
        if found is None:
            continue
        name = f"{outcome.expert_prefix}:{suffix}"
        experts[name] = found[0]
        held_out[name] = np.full((len(y), outcome.task.n_out), np.nan)
        held_out[name][rows] = found[1]
    return experts, held_out
