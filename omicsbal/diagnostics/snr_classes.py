"""How much of a modality the label explains: signal-to-noise ratio between classes, free of the bias of small ones."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import scipy.sparse as sp

from omicsbal._validate import problem
from omicsbal.diagnostics._jackknife import Estimate, block_sums, jackknife, make_blocks

LEVEL = 0.95  # of all intervals here
FEW_OF_A_CLASS = 5  # cells below which a class has no number of its own
PERMUTATIONS = 199  # p-values are then multiples of 0.005


def label_snr(
    x: np.ndarray, y: np.ndarray, *, groups: np.ndarray | None = None, random_state: int = 0
) -> tuple[Estimate, list[Estimate]]:
    """SNR^2 of classes: variance between them over variance within, free of the bias of small classes.

    One-way random effects, summed over columns and not cut off at zero: ``SNR^2 = (MSB - MSW) / n0 / MSW`` with
    ``n0 = (n - sum n_k^2 / n) / (K - 1)``. Of one class: ``(|m_k - m|^2 - E_k) / tr W_k`` with m_k its mean, W_k its covariance
    and E_k what sampling alone makes of the distance, ``tr W_k (1/n_k - 2/n) + sum_c n_c tr W_c / n^2``.

    Parameters
    ----------
    x
        (n, d); must not have been made with the labels.
    y
        (n,) class codes 0, 1, ...
    groups
        (n,) donors. They are left out one at a time for the interval. Labels are permuted within them, or between them where each
        donor has one label. None: blocks of cells, and all permutations.
    random_state
        Seed of blocks and permutations.

    Returns
    -------
    All classes together, and each class; 95 % intervals by the jackknife on the scale of log(1 + SNR^2), p-values by 199
    permutations (one-sided). NaN for a class of fewer than five cells, which still counts in the first.

    Raises
    ------
    ValueError
        Fewer than two classes.

    Examples
    --------
    >>> rng, y = np.random.default_rng(0), np.repeat([0, 1], 100)
    >>> overall, each = label_snr(rng.normal(size=(200, 5)) + 2 * y[:, None], y)
    >>> overall.low < 2 < overall.high, overall.p, len(each)
    (True, 0.005, 2)
    """
    n_classes = int(y.max()) + 1
    if len(np.unique(y)) < 2:
        raise ValueError(problem("y", expected="at least two classes", found=len(np.unique(y)), do="Leave out the label form."))
    x = x - x.mean(axis=0, dtype=np.float64)
    members = np.eye(n_classes)[y]
    content = np.concatenate([np.ones((len(x), 1)), (x**2).sum(1, keepdims=True), x], axis=1)  # count, square, sum
    blocks = make_blocks(len(y), groups=groups, strata=y, random_state=random_state)
    sums = np.stack([block_sums(content * members[:, [k]], blocks) for k in range(n_classes)], axis=1)
    draws = [_anova(_tally(content, z, n_classes)[None]) for z in _permuted(y, groups, random_state)]
    found = jackknife(sums, lambda s: _anova(s)[0], n=len(y), level=LEVEL)
    overall = replace(found, p=_p_value(found.value, np.array([d[0][0] for d in draws])))
    each = []
    for k, size in enumerate(members.sum(axis=0).astype(int)):
        if size < FEW_OF_A_CLASS:
            each.append(Estimate(np.nan, np.nan, np.nan, int(size)))
            continue
        found = jackknife(sums, lambda s, k=k: _anova(s)[1][:, k], n=int(size), level=LEVEL)  # type: ignore[misc]
        each.append(replace(found, p=_p_value(found.value, np.array([d[1][0, k] for d in draws]))))
    return overall, each


def _tally(content: np.ndarray, y: np.ndarray, n_classes: int) -> np.ndarray:
    """Sums (K, 2 + d) of content (n, 2 + d) by class."""
    chosen = sp.csr_matrix((np.ones(len(y)), (y, np.arange(len(y)))), shape=(n_classes, len(y)))
    return np.asarray(chosen @ content)


def _anova(sums: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """SNR^2 (k,) of all classes and (k, K) of each, from count, square and sum by class (k, K, 2 + d)."""
    size, square, total = sums[..., 0], sums[..., 1], sums[..., 2:]
    n = size.sum(-1, keepdims=True)
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = total / np.maximum(size, 1)[..., None]
        within = square - size * (mean**2).sum(-1)  # sums of squares
        centre = total.sum(-2, keepdims=True) / n[..., None]
        apart = ((mean - centre) ** 2).sum(-1)
        spare = (size > 0).sum(-1) - 1
        msb = (size * apart).sum(-1) / spare
        msw = within.sum(-1) / (n[..., 0] - spare - 1)
        n0 = (n[..., 0] - (size**2).sum(-1) / n[..., 0]) / spare
        trace = np.where(size > 1, within / (size - 1), np.nan)
        chance = trace * (1 / size - 2 / n) + np.nansum(size * trace, axis=-1, keepdims=True) / n**2
        return (msb - msw) / n0 / msw, (apart - chance) / trace


def _permuted(y: np.ndarray, groups: np.ndarray | None, random_state: int) -> Sequence[np.ndarray]:
    """Labels under the null hypothesis."""
    rng = np.random.default_rng(random_state)
    if groups is None:
        return [rng.permutation(y) for _ in range(PERMUTATIONS)]
    names, code = np.unique(groups, return_inverse=True)
    members = [np.flatnonzero(code == g) for g in range(len(names))]
    if all((y[rows] == y[rows[0]]).all() for rows in members):
        told = np.array([y[rows[0]] for rows in members])
        return [rng.permutation(told)[code] for _ in range(PERMUTATIONS)]
    drawn = [y.copy() for _ in range(PERMUTATIONS)]
    for z in drawn:
        for rows in members:
            z[rows] = rng.permutation(y[rows])
    return drawn


def _p_value(value: float, null: np.ndarray) -> float:
    """Share of draws at least as large, the observed one among them; rounding does not make a tie smaller."""
    return float((1 + (null >= value - 1e-12 * abs(value)).sum()) / (1 + len(null)))
