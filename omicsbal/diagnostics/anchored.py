"""Partial information decomposition of held-out predictions: BROJA on tables that are anchored in calibrated posteriors."""

import numpy as np
import pandas as pd
from sklearn.cluster import KMeans

from omicsbal._validate import problem
from omicsbal.diagnostics.broja import information_of, least_informative, union_information
from omicsbal.diagnostics.information import entropy_of, usable_of
from omicsbal.diagnostics.resampling import DRAWS, draw_weights, interval

PARTS = ("redundant", "unique_1", "unique_2", "synergistic", "total", "information_1", "information_2")
PROTOTYPES = 8  # a modality, or as many as there are classes
FEWEST = 30  # rows
LEARN_ROWS = 10_000  # rows beyond which prototypes gain nothing
STEEPEST = 32.0  # power of a posterior beyond which it is as good as certain
HALVINGS = 30  # of the interval of the power, which is then known to 3e-8
FITS = 25  # rounds of proportional fitting of a small table
FEW_ROUNDS = 40  # of the minimisation where it starts from the answer for all rows
CELLS = 1_000_000  # of the tables that are solved at once: 8 MB an array
FLOOR = 1e-9  # probability, so that every table can be fitted to its margins
TINY = 1e-300  # in place of a zero that is divided by


def anchored_pid(
    log_proba_1: np.ndarray,
    log_proba_2: np.ndarray,
    log_proba_both: np.ndarray,
    y: np.ndarray,
    *,
    groups: np.ndarray | None = None,
    n_prototypes: int | None = None,
    n_draws: int = DRAWS,
    random_state: int = 0,
) -> pd.DataFrame:
    """Redundant, unique and synergistic information of two sources about a label, from what predictors say of held-out rows.

    1. ``I_m = clip(H(Y) - CE_m, 0, H(Y))`` of each source, and of both, where it is at least the larger of the two.
    2. The root posteriors of each source are put into K prototypes (k-means); a table of prototypes and labels has their mean
       posteriors.
    3. A prototype's posterior is raised to a power, the same for all, and fitted to the margins (prototypes, labels), such that
       the table holds I_m: averaging had lost some of it.
    4. BROJA of the two tables (`omicsbal.diagnostics.broja`) gives the union information I_u, redundancy R = I_1 + I_2 - I_u and
       the unique parts U_1 = I_u - I_2, U_2 = I_u - I_1; synergy is S = max(0, I_12 - I_u).

    The recipe is our own (posterior-anchored BROJA), the definition of the parts that of Bertschinger et al. 2014,
    doi:10.3390/e16042161. R, U_1 and U_2 need the posteriors of each source alone; S alone needs those of both, and is no more
    than what the predictor of both made of an interaction.

    Parameters
    ----------
    log_proba_1, log_proba_2, log_proba_both
        (n, c) calibrated log-probabilities in nats of the same held-out rows, at least 30: from the first source, the second,
        both.
    y
        (n,) codes of the classes, 0 ... c - 1.
    groups
        (n,) donors, drawn whole.
    n_prototypes
        K; by default 8, or as many as there are classes.
    n_draws
        Bootstrap draws over rows, or groups. Prototypes and predictions are re-used: neither is learnt again.
    random_state
        Seeds k-means and the draws.

    Returns
    -------
    DataFrame, a row each for ``redundant``, ``unique_1``, ``unique_2``, ``synergistic``, ``total`` (the sum of these four: I_12,
    or I_u where that is larger), ``information_1`` and ``information_2`` (R + U_1 and R + U_2): ``value``, ``low`` and ``high``
    (95 % interval within 0 and H(Y), see `omicsbal.diagnostics.resampling.interval`; NaN with a single group) in nats, ``n``, and
    ``lower_bound``, 1 for the synergy and the total unless the interval of the total reaches H(Y), beyond which there is nothing
    to find.

    Raises
    ------
    ValueError
        Fewer than 30 rows; a single class; posteriors of different shape, or not finite.

    Examples
    --------
    >>> a, b = np.random.default_rng(0).integers(2, size=(2, 400))  # y = a XOR b
    >>> nothing, all_ = np.log(np.full((400, 2), 0.5)), np.log(np.where(np.eye(2)[a ^ b] > 0, 0.999, 0.001))
    >>> anchored_pid(nothing, nothing, all_, a ^ b, n_draws=20).set_index("part")["value"].round(2).to_dict()["synergistic"]
    0.69
    """
    logs = _checked(log_proba_1, log_proba_2, log_proba_both, y)
    n, c = logs[0].shape
    k = min(n_prototypes or max(PROTOTYPES, c), n // 3)
    sources = [(log, _prototypes(np.exp(log / 2), k, random_state)) for log in logs[:2]]
    whole = np.ones((1, n), dtype=np.float32)
    found, answer = _parts(sources, logs[2], y, whole, start=None)
    weights = draw_weights(n, groups=groups, n_draws=n_draws, random_state=random_state)
    step = max(1, CELLS // answer.size)
    draws = np.concatenate([_parts(sources, logs[2], y, weights[i : i + step], start=answer)[0] for i in range(0, n_draws, step)])
    most = entropy_of(y, whole, n_classes=c)[0]
    limits = (0.0, float(most))
    ends = [interval(value, column, groups=groups, limits=limits) for value, column in zip(found[0], draws.T, strict=True)]
    table = pd.DataFrame({"part": PARTS, "value": found[0], "low": [e[0] for e in ends], "high": [e[1] for e in ends], "n": n})
    reach = found[0, PARTS.index("total")] if np.isnan(ends[4][1]) else ends[4][1]
    table["lower_bound"] = (table["part"].isin(["synergistic", "total"]) & (reach < 0.99 * most)).astype(int)
    return table


def _checked(one: np.ndarray, two: np.ndarray, both: np.ndarray, y: np.ndarray) -> list[np.ndarray]:
    """The three as float64, if a decomposition of them is possible."""
    logs = [np.asarray(log, dtype=np.float64) for log in (one, two, both)]
    if not all(log.shape == logs[0].shape and len(log) == len(y) and np.isfinite(log).all() for log in logs):
        found = f"shapes {[log.shape for log in logs]} for {len(y)} labels, or values that are not finite"
        do = "Leave out rows that lack a source."
        raise ValueError(problem("log_proba", expected="three finite tables of the same rows and classes", found=found, do=do))
    if len(y) < FEWEST or len(np.unique(y)) < 2:
        found, do = f"{len(y)} of {len(np.unique(y))}", "Nothing can be said of fewer."
        raise ValueError(problem("y", expected=f"at least {FEWEST} rows of at least two classes", found=found, do=do))
    return logs


def _prototypes(root: np.ndarray, k: int, seed: int) -> np.ndarray:
    """(n,) cluster of each root posterior (n, c): Euclidean distance of roots is Hellinger's of posteriors."""
    distinct = len(np.unique(np.round(root, 6), axis=0))
    some = root[:: -(-len(root) // LEARN_ROWS)]
    means = KMeans(min(k, distinct, len(some)), n_init=3, random_state=seed).fit(some)
    return np.asarray(means.predict(root))


def _parts(
    sources: list[tuple[np.ndarray, np.ndarray]],
    both: np.ndarray,
    y: np.ndarray,
    weights: np.ndarray,
    *,
    start: np.ndarray | None,
) -> tuple[np.ndarray, np.ndarray]:
    """`PARTS` (B, 7) under row weights (B, n), and the least informative tables (B, c, k_1, k_2)."""
    prior = weights @ np.eye(both.shape[1])[y]
    prior /= prior.sum(axis=1, keepdims=True)
    tables = [_anchored(log, cluster, prior, weights, usable_of(log, y, weights)) for log, cluster in sources]
    q = least_informative(*tables, start=start, rounds=None if start is None else FEW_ROUNDS)
    one, two = (information_of(table) for table in tables)
    union = np.clip(union_information(q), np.maximum(one, two), one + two)
    total = np.maximum(usable_of(both, y, weights), union)
    parts = np.stack([one + two - union, union - two, union - one, total - union, total, one, two], axis=1)
    return np.maximum(parts, 0), q  # rounding


def _anchored(
    log_proba: np.ndarray, cluster: np.ndarray, prior: np.ndarray, weights: np.ndarray, information: np.ndarray
) -> np.ndarray:
    """Joint tables (B, k, c) of prototypes and labels that hold `information` (B,) nats, or as much as they can."""
    proba, k = np.exp(log_proba), int(cluster.max()) + 1
    sums = np.stack([weights[:, cluster == j] @ proba[cluster == j] for j in range(k)], axis=1)
    size = sums.sum(axis=2)
    size /= size.sum(axis=1, keepdims=True)
    log_mean = np.log(np.maximum(sums / np.maximum(sums.sum(axis=2, keepdims=True), FLOOR), FLOOR))
    low, high = np.zeros(len(weights)), np.full(len(weights), STEEPEST)
    for _ in range(HALVINGS):
        power = (low + high) / 2
        less = information_of(_with_margins(log_mean, power, size, prior)) < information
        low, high = np.where(less, power, low), np.where(less, high, power)
    return _with_margins(log_mean, (low + high) / 2, size, prior)


def _with_margins(log_mean: np.ndarray, power: np.ndarray, size: np.ndarray, prior: np.ndarray) -> np.ndarray:
    """Tables (B, k, c) proportional to ``mean ** power``, fitted to margins of clusters (B, k) and, exactly, of labels (B, c)."""
    table = np.maximum(np.exp(power[:, None, None] * (log_mean - log_mean.max(axis=2, keepdims=True))), TINY**0.5)
    for _ in range(FITS):
        table = table * (size / np.maximum(table.sum(axis=2), TINY))[:, :, None]  # a prototype may lack rows in a draw
        table = table * (prior / np.maximum(table.sum(axis=1), TINY))[:, None, :]
    return table
