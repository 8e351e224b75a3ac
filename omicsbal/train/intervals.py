"""Intervals of scores: over folds, and of a difference on the same rows."""

import numpy as np
from scipy import stats

from omicsbal.train.outcome import Outcome

DRAWS = 200  # bootstrap draws: the ends of a 95 % interval are then known to about a tenth of its width


def half_width(values: np.ndarray, level: float = 0.95) -> float:
    """Half the interval that the scatter of fold scores gives, corrected for the rows that training sets share.

    The variance is multiplied by 1/K + 1/(K - 1) in place of 1/K (Nadeau & Bengio 2003, doi:10.1023/A:1024068626366): folds share
    most of their training rows, so their scores are not independent draws.
    """
    k = len(values)
    if k < 2:
        return np.nan
    return float(stats.t.ppf((1 + level) / 2, k - 1) * values.std(ddof=1) * np.sqrt(1 / k + 1 / (k - 1)))


def paired_gain(
    y: np.ndarray, before: np.ndarray, after: np.ndarray, outcome: Outcome, *, level: float = 0.95, seed: int = 0
) -> dict[str, float]:
    """Change of the first metric between two predictions (n, c) of the same rows, with a bootstrap interval over rows.

    It says what other rows could have given; what another initialisation of the two networks could have given it leaves out.
    """
    rng = np.random.default_rng(seed)

    def gain(rows: np.ndarray) -> float:
        return outcome.scores(y[rows], after[rows])[outcome.metric] - outcome.scores(y[rows], before[rows])[outcome.metric]

    draws = [gain(rng.integers(0, len(y), len(y))) for _ in range(DRAWS)]
    low, high = np.quantile(draws, [(1 - level) / 2, (1 + level) / 2])
    return {"gain": gain(np.arange(len(y))), "gain_low": float(low), "gain_high": float(high)}
