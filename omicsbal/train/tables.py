"""Out-of-fold predictions as tables: every head and expert, with intervals over folds."""

from typing import Any

import numpy as np
import pandas as pd

from omicsbal.train.fitting import Fit
from omicsbal.train.intervals import half_width
from omicsbal.train.outcome import Outcome
from omicsbal.train.predictor import POOL, PRODUCT, Predictor


def kind_of(head: str, predictor: Predictor) -> str:
    """Say what a head is: "network", "expert", "product" or "pool"."""
    return "expert" if head in predictor.experts else "network" if head in predictor.trained else head


def fold_scores(fit: Fit, y: np.ndarray, outcome: Outcome) -> pd.DataFrame:
    """Scores of every head in every fold, on the rows where it speaks."""
    folds, rows = fit.predictor.members.folds, []
    for head, prediction in fit.predictions.items():
        spoken = ~np.isnan(prediction[:, 0])
        for k in range(fit.predictor.members.n_folds):
            mine = spoken & (folds == k)
            if mine.any():
                rows.append({"head": head, "fold": k, **outcome.scores(y[mine], prediction[mine])})
    return pd.DataFrame(rows)


def head_table(fit: Fit, y: np.ndarray, outcome: Outcome, by_fold: pd.DataFrame) -> pd.DataFrame:
    """One row a head: what it is, its scores on all rows where it speaks, its temperature and its weight in the pool."""
    predictor, rows = fit.predictor, []
    full = predictor.pools.get(frozenset(predictor.modalities))
    weights = dict(zip(full.heads, full.weights, strict=False)) if full else {}
    for head, prediction in fit.predictions.items():
        spoken = ~np.isnan(prediction[:, 0])
        if not spoken.any():
            continue
        needs = predictor.needs(head) if head not in (POOL, PRODUCT) else frozenset()
        row: dict[str, Any] = {
            "head": head,
            "kind": kind_of(head, predictor),
            "modality": next(iter(needs)) if len(needs) == 1 else "",
            "n": int(spoken.sum()),
        }
        row |= outcome.scores(y[spoken], prediction[spoken])
        row |= {"temperature": predictor.temperatures.get(head, np.nan), "weight": weights.get(head, np.nan)}
        for metric in (outcome.metric, outcome.loss):
            half = half_width(by_fold.loc[by_fold["head"] == head, metric].to_numpy())
            low, high = outcome.ranges[metric]
            row |= {f"{metric}_low": max(row[metric] - half, low), f"{metric}_high": min(row[metric] + half, high)}
        rows.append(row)
    return pd.DataFrame(rows)


def calibration_table(fit: Fit, y: np.ndarray, outcome: Outcome) -> pd.DataFrame:
    """Reliability of every head on the rows where it speaks."""
    parts = []
    for head, prediction in fit.predictions.items():
        spoken = ~np.isnan(prediction[:, 0])
        if spoken.any():
            table = outcome.reliability(y[spoken], prediction[spoken])
            table.insert(0, "head", np.full(len(table), head, dtype=object))
            parts.append(table)
    return pd.concat(parts, ignore_index=True)


def pool_table(predictor: Predictor) -> pd.DataFrame:
    """Which heads speak for which availability pattern, with what weight."""
    rows = []
    for pattern, pool in predictor.pools.items():
        name = "+".join(m for m in predictor.modalities if m in pattern)
        heads = [*pool.heads, *["prior"] * (len(pool.weights) - len(pool.heads))]  # classes: the log-prior has a weight too
        rows += [(name, h, w, pool.n, "pooled") for h, w in zip(heads, pool.weights, strict=True)]
    whole = frozenset(predictor.modalities)
    if whole not in predictor.pools:
        rows += [("+".join(predictor.modalities), h, 1.0, 0, PRODUCT) for h in predictor.witnesses(whole)]
    return pd.DataFrame(rows, columns=["pattern", "head", "weight", "n", "method"])
