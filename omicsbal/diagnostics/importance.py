"""From gradients at a recipe's columns to named features, and how far members agree on them."""

from itertools import combinations
from typing import Any, TypeAlias

import numpy as np
import scipy.sparse as sp
from scipy.stats import rankdata

Matrix: TypeAlias = Any  # np.ndarray or sp.csr_matrix


def balanced_weights(y: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Weights (K, n) of the class-balanced mean: classes weigh the same, and so do a class's cells.

    Parameters
    ----------
    y
        (n,) codes.
    rows
        (K, n) bool, rows that each mean is over, some in each.

    Examples
    --------
    >>> balanced_weights(np.array([0, 0, 1, 1]), np.array([[True, True, True, False]])).tolist()
    [[0.25, 0.25, 0.5, 0.0]]
    """
    one_hot = (y[:, None] == np.unique(y)).astype(float)
    sizes = rows @ one_hot
    weights = rows * (np.divide(1, sizes, out=np.zeros_like(sizes), where=sizes > 0) @ one_hot.T)
    return weights / np.maximum((sizes > 0).sum(1, keepdims=True), 1)


def carried_back(
    values: Matrix, baseline: np.ndarray, gradients: np.ndarray, *, axes: np.ndarray | None, gain: float
) -> np.ndarray:
    """Mean attribution (q,) of features whose linear map are the columns that gradients are known for.

    With columns ``gain * v W`` the gradient by feature j is ``gain * sum_k W_jk g_k``, and its attribution ``(v_j - v'_j)`` times
    that. Over features attributions sum to what they sum to over columns. No (n, q) block is made dense.

    Parameters
    ----------
    values
        (n, q) array or sparse matrix of features.
    baseline
        (q,) where the path begins.
    gradients
        (n, d) mean gradients at the columns.
    axes, gain
        The map, (q, d) or None where features are columns.

    Examples
    --------
    >>> v, W, g = np.eye(2), np.array([[1.0], [3.0]]), np.array([[2.0], [4.0]])
    >>> carried_back(v, np.zeros(2), g, axes=W, gain=1.0).tolist()  # means of 1 * 1 * 2 and 0, of 0 and 1 * 3 * 4
    [1.0, 6.0]
    """
    total = gradients.sum(0)
    if axes is None:
        moved = values.multiply(gradients).sum(0) if sp.issparse(values) else (values * gradients).sum(0)
        found = np.asarray(moved).ravel() - baseline * total
    else:
        found = (axes * (values.T @ gradients)).sum(1) - baseline * (axes @ total)
    return gain * found / len(gradients)


def top(importance: np.ndarray, n: int) -> np.ndarray:
    """Positions of the n largest by size, the largest first; ties go to the earlier, and zeros are left out."""
    return np.argsort(-np.abs(importance), kind="stable")[: min(n, np.count_nonzero(importance))]


def depth_of(n_features: int, n_top: int) -> int:
    """How far down a list goes by which members are compared: `n_top`, but no more than half of the features."""
    return min(n_top, max(n_features // 2, 1))


def top_shares(by_member: np.ndarray, n: int) -> np.ndarray:
    """Share (q,) of members (K, q) that have a feature among their n largest.

    Examples
    --------
    >>> top_shares(np.array([[3.0, -2.0, 0.0], [0.0, -2.0, 1.0]]), 1).tolist()
    [0.5, 0.5, 0.0]
    """
    hits = np.zeros(by_member.shape)
    for member, importance in enumerate(by_member):
        hits[member, top(importance, n)] = 1
    return hits.mean(0)


def agreement(by_member: np.ndarray, n: int) -> tuple[float, float]:
    """Mean over pairs of members (K, q) of Spearman's correlation, and of the Jaccard overlap of their n largest by size.

    NaN with one member; the correlation also where a member tells no feature from another, the overlap where two have none.

    Examples
    --------
    >>> agreement(np.array([[3.0, 2.0, 1.0], [6.0, 4.0, 2.0]]), 1)
    (1.0, 1.0)
    """
    pairs = list(combinations(range(len(by_member)), 2))
    if not pairs:
        return np.nan, np.nan
    ranks = rankdata(by_member, axis=1)
    ranks = ranks - ranks.mean(1, keepdims=True)
    length = np.sqrt((ranks**2).sum(1))
    told = [float(ranks[i] @ ranks[j] / (length[i] * length[j])) if length[i] * length[j] > 0 else np.nan for i, j in pairs]
    tops = [set(top(importance, n).tolist()) for importance in by_member]
    overlaps = [len(tops[i] & tops[j]) / len(tops[i] | tops[j]) if tops[i] | tops[j] else np.nan for i, j in pairs]
    return round(float(np.mean(told)), 12), float(np.mean(overlaps))
