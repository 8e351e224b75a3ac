"""How much of a modality is signal: what two halves of its counts agree on, and what another modality shares.

Signal-to-noise ratios are of power (SNR^2, no unit): 1 is as much signal as noise. Huang et al. 2024 (arXiv:2411.02837) tie them
to what contrastive learning can do; here they describe, and its thresholds, for few cells of many features, are not used.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import scipy.sparse as sp
from sklearn.base import clone

from omicsbal.diagnostics._jackknife import Estimate, block_sums, jackknife, make_blocks

LEVEL = 0.95  # of all intervals here
PAIRS = 10  # canonical pairs that are read


def thin(counts: Any, *, random_state: int = 0) -> tuple[Any, Any]:
    """Deal each count out to one of two halves at random.

    Halves of Poisson counts are independent given the expected counts, so what they agree on is no counting noise.

    Parameters
    ----------
    counts
        (n, p) sparse matrix or array of counts; fractions are rounded.
    random_state
        Seed.

    Returns
    -------
    Two matrices of the same kind that sum to the counts.

    Examples
    --------
    >>> one, other = thin(np.array([[10, 0], [3, 7]]))
    >>> (one + other).tolist()
    [[10.0, 0.0], [3.0, 7.0]]
    """
    rng = np.random.default_rng(random_state)
    if not sp.issparse(counts):
        whole = np.rint(np.asarray(counts)).astype(np.int64)
        half = rng.binomial(whole, 0.5)
        return half.astype(np.float32), (whole - half).astype(np.float32)
    counts = sp.csr_matrix(counts)
    whole = np.rint(counts.data).astype(np.int64)
    half = rng.binomial(whole, 0.5)
    parts = []
    for values in (half, whole - half):  # eliminate_zeros works in place, hence the copies
        part = sp.csr_matrix((values.astype(np.float32), counts.indices.copy(), counts.indptr.copy()), shape=counts.shape)
        part.eliminate_zeros()
        parts.append(part)
    return parts[0], parts[1]


def fragments(counts: Any) -> tuple[Any, bool]:
    """Peak counts as fragments, and whether they had been cut sites: pairs of ends, so that 2 is commoner than 1.

    Both ends of a fragment could else end up in different halves, which would then agree without any signal. ``ceil(x / 2)``:
    Martens et al. 2024, doi:10.1038/s41592-023-02112-6.

    Examples
    --------
    >>> fragments(np.array([[2, 4], [2, 1]]))
    (array([[1., 2.],
           [1., 1.]]), True)
    """
    values = counts.data if sp.issparse(counts) else np.asarray(counts)
    if (values == 2).sum() <= (values == 1).sum():
        return counts, False
    if not sp.issparse(counts):
        return np.ceil(values / 2), True
    halved = sp.csr_matrix(counts, copy=True)
    halved.data = np.ceil(halved.data / 2)
    return halved, True


def split_snr(
    counts: Any, recipe: Any, *, folds: np.ndarray, groups: np.ndarray | None = None, random_state: int = 0
) -> Estimate:
    """SNR^2 at full depth from two halves of the counts, without labels.

    ``r = sum cov(a_j, b_j) / sqrt(sum var a_j sum var b_j)`` between the halves a and b of held-out cells, over all columns j of
    a recipe fitted on the first halves of the other cells; ``SNR^2 = 2 r / (1 - r)`` (Spearman 1910; Brown 1910).

    Parameters
    ----------
    counts
        (n, p) sparse matrix or array of counts.
    recipe
        scikit-learn transformer; a clone is fitted in each fold.
    folds
        (n,) int, the fold in which a cell is held out.
    groups
        (n,) donors, left out one at a time for the interval; None: blocks of cells.
    random_state
        Seed of the thinning and of the blocks.

    Returns
    -------
    The estimate with its 95 % interval (jackknife over donors or blocks of cells, on the scale of Fisher's z).

    Notes
    -----
    Noise that both halves share (ambient RNA, doublets, staining, batch) counts as signal.

    Examples
    --------
    >>> from sklearn.preprocessing import StandardScaler
    >>> counts = np.random.default_rng(0).poisson(5.0, (400, 30))  # no signal
    >>> found = split_snr(counts, StandardScaler(), folds=np.arange(400) % 3)
    >>> found.low < 0 < found.high
    True
    """
    first, second = thin(counts, random_state=random_state)
    moments = np.zeros((len(folds), 3))
    for k in np.unique(folds):
        held = folds == k
        learnt = clone(recipe).fit(first[~held])
        a, b = (_centred(learnt.transform(half[held])) for half in (first, second))
        moments[held] = np.stack([(a * b).sum(1), (a * a).sum(1), (b * b).sum(1)], axis=1)
    sums = block_sums(moments, make_blocks(len(folds), groups=groups, random_state=random_state))
    return jackknife(sums, _full_depth, n=len(folds), level=LEVEL)


def _full_depth(totals: np.ndarray) -> np.ndarray:
    """2 r / (1 - r) from sums (k, 3) of products and squares."""
    r = totals[:, 0] / np.sqrt(np.maximum(totals[:, 1] * totals[:, 2], 1e-300))
    return np.asarray(2 * r / np.maximum(1 - r, 1e-9))


def cross_snr(
    a: Sequence[np.ndarray],
    b: Sequence[np.ndarray],
    *,
    folds: np.ndarray,
    groups: np.ndarray | None = None,
    random_state: int = 0,
) -> tuple[Estimate, Estimate]:
    """What two modalities share in the same cells: held-out canonical correlations as signal and as Gaussian information.

    Ridge canonical correlation analysis on the cells outside a fold, penalty d / n times the mean variance (our choice); rho_l is
    the correlation of the l-th of ten pairs over held-out cells of all folds. ``SNR^2 = sum s_l / (1 - s_l)`` and
    ``-1/2 sum log(1 - s_l)`` nats, ``s_l = rho_l |rho_l|``: a pair whose sign turns in held-out cells counts against (our choice:
    without it chance alone would add up). Linear, and from pairs that had to be learnt: a lower bound in practice.

    Parameters
    ----------
    a, b
        For each fold k, (n, d_a) and (n, d_b) of the same cells, made without the cells of fold k.
    folds
        (n,) int in 0, 1, ...
    groups
        (n,) donors, left out one at a time for the interval; None: blocks of cells.
    random_state
        Seed of the blocks.

    Returns
    -------
    Shared SNR^2, and nats; 95 % intervals by the jackknife over donors or blocks of cells.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> u, v = rng.normal(size=(2, 1000, 3))
    >>> v[:, 0] = 0.6 * u[:, 0] + 0.8 * v[:, 0]  # 0.223 nats, SNR^2 0.5625
    >>> signal, nats = cross_snr([u] * 2, [v] * 2, folds=np.arange(1000) % 2)
    >>> nats.low < 0.223 < nats.high, signal.low < 0.5625 < signal.high
    (True, True)
    """
    n_pairs = min(PAIRS, *(x.shape[1] for x in (*a, *b)))
    moments = np.zeros((len(folds), n_pairs, 3))
    for k in np.unique(folds):
        held = folds == k
        left, right = _canonical(a[k][~held], b[k][~held], n_pairs)
        u, v = _centred(a[k][held]) @ left, _centred(b[k][held]) @ right
        moments[held] = np.stack([u * v, u * u, v * v], axis=2)
    sums = block_sums(moments, make_blocks(len(folds), groups=groups, random_state=random_state))
    signal = jackknife(sums, lambda s: (_signed(s) / (1 - _signed(s))).sum(-1), n=len(folds), level=LEVEL)
    nats = jackknife(sums, lambda s: -0.5 * np.log1p(-_signed(s)).sum(-1), n=len(folds), level=LEVEL, ratio=False)
    return signal, nats


def _signed(totals: np.ndarray) -> np.ndarray:
    """rho |rho| (k, L) from sums (k, L, 3) of products and squares."""
    rho = totals[..., 0] / np.sqrt(np.maximum(totals[..., 1] * totals[..., 2], 1e-300))
    return np.asarray(np.clip(rho * np.abs(rho), None, 1 - 1e-9))


def _canonical(a: np.ndarray, b: np.ndarray, n_pairs: int) -> tuple[np.ndarray, np.ndarray]:
    """Directions (d_a, L) and (d_b, L) of the leading pairs."""
    a, b = _centred(a), _centred(b)
    roots = []
    for x in (a, b):
        cov = x.T @ x / len(x)
        value, axes = np.linalg.eigh(cov + np.eye(len(cov)) * (len(cov) / len(x) * np.trace(cov) / len(cov) + 1e-12))
        roots.append(axes / np.sqrt(value) @ axes.T)
    left, _, right = np.linalg.svd(roots[0] @ (a.T @ b / len(a)) @ roots[1])
    return roots[0] @ left[:, :n_pairs], roots[1] @ right[:n_pairs].T


def _centred(x: Any) -> np.ndarray:
    """Columns less their means, float64."""
    dense = np.asarray(x, dtype=np.float64)
    return np.asarray(dense - dense.mean(axis=0))
