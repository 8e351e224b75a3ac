"""Intervals of scores: over folds, and of a difference on the same rows."""

import numpy as np
from scipy import stats

from omicsbal.train.outcome import Outcome

DRAWS = 200  # bootstrap draws: the ends of a 95 % interval are then known to about a tenth of its width


def corrected(values: np.ndarray, ratio: float, level: float = 0.95) -> tuple[float, float, float]:
    """Mean of fold scores, or of their paired differences, half its interval, and two-sided p of a mean of zero.

    The variance is multiplied by 1/n + `ratio` in place of 1/n, with `ratio` the test rows over the training rows (Nadeau &
    Bengio 2003, doi:10.1023/A:1024068626366): folds share most of their training rows, so their scores are not independent draws.
    NaN where there are too few.

    Examples
    --------
    >>> [round(v, 3) for v in corrected(np.array([0.1, 0.2, 0.3]), 0.5)]
    [0.2, 0.393, 0.16]
    """
    n = len(values)
    mean = float(values.mean()) if n else np.nan
    if n < 2:
        return mean, np.nan, np.nan
    error = float(values.std(ddof=1) * np.sqrt(1 / n + ratio))
    p = 2 * float(stats.t.sf(abs(mean) / error, n - 1)) if error > 0 else float(mean == 0)
    return mean, float(stats.t.ppf((1 + level) / 2, n - 1)) * error, p


def half_width(values: np.ndarray, level: float = 0.95) -> float:
    """Half the interval that the scatter of the scores of K folds gives, `corrected` for a ratio of 1/(K - 1)."""
    k = len(values)
    return corrected(values, 1 / (k - 1), level)[1] if k > 1 else np.nan


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
