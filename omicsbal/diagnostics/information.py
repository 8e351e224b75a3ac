"""What calibrated posteriors tell of a label, and what two representations share: nats with intervals."""

import numpy as np
from scipy.special import xlogy

from omicsbal import mi
from omicsbal.diagnostics.resampling import draw_weights, interval
from omicsbal.mi.gaussian import copula_mi

Estimate = tuple[float, float, float]  # value and the ends of its 95 % interval
MOST_GROUPS = 30  # left out one at a time; more are first put together


def entropy_of(y: np.ndarray, weights: np.ndarray, *, n_classes: int) -> np.ndarray:
    """Plug-in H(Y) in nats of codes y (n,) under row weights (B, n), shape (B,)."""
    share = weights @ np.eye(n_classes)[y]
    share /= share.sum(axis=1, keepdims=True)
    return np.asarray(0.0 - xlogy(share, share).sum(axis=1))  # of a single class 0, not -0


def usable_of(log_proba: np.ndarray, y: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """``clip(H(Y) - CE, 0, H(Y))`` in nats of log-posteriors (n, c) under row weights (B, n), shape (B,)."""
    entropy = entropy_of(y, weights, n_classes=log_proba.shape[1])
    loss = -(weights @ log_proba[np.arange(len(y)), y]) / weights.sum(axis=1)
    return np.clip(entropy - loss, 0, entropy)


def usable_information(
    log_proba: np.ndarray, y: np.ndarray, *, groups: np.ndarray | None = None, random_state: int = 0
) -> Estimate:
    """Information about the label that held-out posteriors make usable, with a 95 % interval over rows or groups.

    ``I = clip(H(Y) - CE, 0, H(Y))``, nats: at most the mutual information in expectation, and equal to it for exact posteriors
    (Xu et al. 2020, arXiv:2002.10689). The interval (200 bootstrap draws, within 0 and H(Y), see
    `omicsbal.diagnostics.resampling.interval`) says what other rows, or other donors, could have given; what training on them
    could have given it leaves out.

    Parameters
    ----------
    log_proba
        (n, c) calibrated log-probabilities in nats of rows that were not trained on.
    y
        (n,) codes of the classes.
    groups
        (n,) donors, drawn whole.
    random_state
        Seed of the draws.

    Returns
    -------
    Value, low and high; the ends are NaN where there is a single group.

    Examples
    --------
    >>> y = np.arange(100) % 2
    >>> value, low, high = usable_information(np.log(np.where(np.eye(2)[y] > 0, 0.9, 0.1)), y)
    >>> round(value, 3)  # ln 2 - h(0.1) would be 0.368 if one in ten were wrong; none is
    0.588
    """
    every = np.ones((1, len(y)))
    value, most = usable_of(log_proba, y, every)[0], entropy_of(y, every, n_classes=log_proba.shape[1])[0]
    draws = usable_of(log_proba, y, draw_weights(len(y), groups=groups, random_state=random_state))
    return float(value), *interval(value, draws, groups=groups, limits=(0.0, float(most)))


def shared_information(
    a: np.ndarray, b: np.ndarray, *, groups: np.ndarray | None = None, random_state: int = 0
) -> tuple[Estimate, str]:
    """I(A;B) in nats of two embeddings of the same rows by `omicsbal.mi.between` without labels, with a 95 % normal interval.

    Parameters
    ----------
    a, b
        (n, d_a) and (n, d_b), at least 20 rows.
    groups
        (n,) donors. The standard error is then the larger of the estimate's own and that of leaving out one donor at a time (of
        the copula form, which is closed; above 30 donors they are put together). With a single one, or fewer than three rows a
        column without the largest, there is no interval.
    random_state
        Seed of the estimate.

    Returns
    -------
    Value (at least 0), low, high; and the form that was used.

    Examples
    --------
    >>> x, noise = np.random.default_rng(0).normal(size=(2, 400, 3))
    >>> (value, low, high), form = shared_information(x, x + 2 * noise)  # 3/2 ln(1 + 1/4): 0.33 nats
    >>> low < 0.33 < high, form
    (True, 'copula')
    """
    found = mi.between(a, b, random_state=random_state)
    error = found.se
    if groups is not None:
        code = np.unique(groups, return_inverse=True)[1].ravel() % MOST_GROUPS
        error = float(np.maximum(error, _left_out(a, b, code)))  # NaN stays
    value, low, high = np.maximum([found.value, found.value - 1.96 * error, found.value + 1.96 * error], 0)
    return (float(value), float(low), float(high)), found.method


def _left_out(a: np.ndarray, b: np.ndarray, code: np.ndarray) -> float:
    """Jackknife standard error of the copula form over groups; NaN if there is but one, or too few rows without one."""
    count = int(code.max()) + 1
    left = len(a) - np.bincount(code).max()
    if count < 2 or left < 3 * (a.shape[1] + b.shape[1]):
        return np.nan
    values = [copula_mi(a[code != g], b[code != g])[0] for g in range(count)]
    return float(np.sqrt((count - 1) * np.var(values)))
