"""Calibration and pools, fitted on out-of-fold predictions, and reported cross-fitted."""

from collections.abc import Callable, Iterable, Mapping

import numpy as np

from omicsbal.train.outcome import Outcome
from omicsbal.train.predictor import POOL, PRODUCT, Pattern, Pool, Predictor, row_patterns, wanted_patterns

ENOUGH = 30  # rows that must contain a pattern before weights are fitted for it; fewer get the product
PLENTY = 5000  # rows beyond which a handful of weights gains nothing: an even sample of that many is used
Raw = dict[str, np.ndarray]  # uncalibrated out-of-fold predictions of all rows, {head: (n, c)}, NaN where a head is silent


def sample(rows: np.ndarray) -> np.ndarray:
    """Positions of True in rows (n,), evenly thinned to at most `PLENTY`."""
    positions = np.flatnonzero(rows)
    return positions[:: -(-len(positions) // PLENTY)] if len(positions) > PLENTY else positions


def fit_temperatures(raw: Raw, y: np.ndarray, rows: np.ndarray, outcome: Outcome) -> dict[str, float]:
    """One temperature a head, from the rows (bool mask) where it speaks; 1 where it never does."""
    temperatures = {}
    for head, prediction in raw.items():
        spoken = sample(rows & ~np.isnan(prediction[:, 0]))
        temperatures[head] = outcome.temperature(y[spoken], prediction[spoken]) if len(spoken) else 1.0
    return temperatures


def fit_pool(heads: list[str], raw: Raw, y: np.ndarray, rows: np.ndarray, outcome: Outcome) -> Pool:
    """Weights of `heads` from the rows (bool mask), on all of which they speak."""
    temperatures = fit_temperatures({h: raw[h] for h in heads}, y, rows, outcome)
    used = sample(rows)
    stack = np.stack([outcome.soften(raw[h][used], temperatures[h]) for h in heads])
    weights = outcome.pool_weights(y[used], stack)
    error = outcome.error(y[used], outcome.pool(stack, weights))
    return Pool(tuple(heads), np.array(list(temperatures.values())), weights, int(rows.sum()), error)


class Pooler:
    """Fits a predictor's temperatures and pools from its raw out-of-fold predictions.

    Parameters
    ----------
    predictor
        Its temperatures and pools are set by `settle`.
    raw_for
        Gives the raw out-of-fold predictions of all rows when only a pattern's modalities may be seen.
    y, present, folds
        Of the training rows.
    """

    def __init__(
        self,
        predictor: Predictor,
        raw_for: Callable[[Pattern], Raw],
        y: np.ndarray,
        present: Mapping[str, np.ndarray],
        folds: np.ndarray,
    ) -> None:
        self.predictor, self.y, self.present, self.folds = predictor, y, present, folds
        self.native = {p: rows for p, rows in row_patterns(present).items() if p}
        self.raw = {p: raw_for(p) for p in wanted_patterns(predictor.modalities, self.native)}

    def containing(self, pattern: Pattern) -> np.ndarray:
        """Rows that have at least the pattern: with the rest hidden they are examples of it."""
        return np.logical_and.reduce([self.present[m] for m in pattern])

    def natural(self) -> dict[str, np.ndarray]:
        """Raw out-of-fold predictions of all rows, each with what it has."""
        shape = (len(self.y), self.predictor.outcome.task.n_out)
        found = {h: np.full(shape, np.nan) for h in (*self.predictor.trained, *self.predictor.experts)}
        for pattern, rows in self.native.items():
            for head in self.predictor.able(pattern):
                found[head][rows] = self.raw[pattern][head][rows]
        return found

    def settle(self, rows: np.ndarray | None = None, patterns: Iterable[Pattern] | None = None) -> None:
        """Set temperatures and pools: from all rows or from some (bool mask), for all patterns or for some."""
        rows = np.ones(len(self.y), dtype=bool) if rows is None else rows
        outcome = self.predictor.outcome
        self.predictor.temperatures = fit_temperatures(self.natural(), self.y, rows, outcome)
        self.predictor.pools = {}
        for pattern in self.raw if patterns is None else patterns:
            heads, examples = self.predictor.able(pattern), self.containing(pattern)
            if heads and examples.sum() >= ENOUGH and (examples & rows).any():
                self.predictor.pools[pattern] = fit_pool(heads, self.raw[pattern], self.y, examples & rows, outcome)

    def cross_fitted(self) -> dict[str, np.ndarray]:
        """Calibrated predictions ``{head: (n, c)}`` of all heads, pool and product.

        Temperatures and weights for fold k come from the other folds' rows. The predictions behind them are those of members that
        trained on fold k, as in any stacking; epoch, penalties and class frequencies were settled on all training rows.
        """
        shape = (len(self.y), self.predictor.outcome.task.n_out)
        result = {h: np.full(shape, np.nan) for h in self.predictor.head_names}
        for k in range(int(self.folds.max()) + 1):
            self.settle(self.folds != k, self.native)
            for pattern, rows in self.native.items():
                mine = rows[self.folds[rows] == k]
                raw = {h: v[mine] for h, v in self.raw[pattern].items()}
                for head in (h for h in result if len(mine) and (h in (POOL, PRODUCT) or h in raw)):
                    values = self.predictor.combine(head, raw, pattern)
                    if values is not None:
                        result[head][mine] = values
        return result
