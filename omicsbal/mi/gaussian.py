"""Mutual information of Gaussians and of what ranks can make Gaussian: unbiased, with an error from a formula.

Digamma sums give the mean of a log-determinant of Gaussian rows exactly, so nothing is left to correct by simulation. The copula
idea is that of Ince et al. 2017, doi:10.1002/hbm.23471; standard errors and conditional forms are our choice.
"""

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import ndtri
from scipy.stats import rankdata

from omicsbal._validate import problem
from omicsbal.mi._rows import codes, matrix
from omicsbal.mi.chance import degrees_of_freedom, null_moments

SAME = 1e-12  # 1 - rho^2 counts as no smaller: copies of a column give 13.8 nats, not infinity
COLLINEAR = 1e-6  # a direction with less than this share of the largest standard deviation is float32 rounding, not a dimension


def copula_normalise(x: ArrayLike) -> np.ndarray:
    """Each column as normal scores, ``ndtri(rank / (n + 1))``; ties share their average rank, a constant column becomes 0.

    Parameters
    ----------
    x
        (n, d), or (n,) for one column.

    Returns
    -------
    (n, d) float64; unchanged by any increasing map of a column.

    Raises
    ------
    ValueError, TypeError
        Not a finite numeric array, or fewer than 20 rows.

    Examples
    --------
    >>> import numpy as np
    >>> scores = copula_normalise(np.exp(np.arange(21.0)))
    >>> scores.shape, float(scores[10, 0]), bool(np.isclose(scores[0, 0], -scores[20, 0]))
    ((21, 1), 0.0, True)
    """
    x = matrix("x", x)
    return ndtri(rankdata(x, axis=0) / (len(x) + 1))


def orthonormal(x: np.ndarray) -> np.ndarray:
    """Orthonormal basis (n, rank) of the centred columns of x (n, d); constant and repeated directions are left out."""
    centred = x - x.mean(axis=0)
    scale = np.sqrt((centred**2).mean(axis=0))
    centred = centred[:, scale > 1e-12 * np.abs(x).max(axis=0, initial=0.0)]
    if centred.shape[1] == 0:
        return centred
    left, size, _ = np.linalg.svd(centred / np.sqrt((centred**2).mean(axis=0)), full_matrices=False)
    return left[:, size > COLLINEAR * size[0]]


def gaussian_mi(a: ArrayLike, b: ArrayLike, *, spent: int = 0) -> tuple[float, float]:
    """I(A;B) of jointly Gaussian columns, free of bias, with its standard error.

    ``-1/2 sum_j ln(1 - r_j^2)`` over the canonical correlations r_j, minus its mean for independent sides,
    ``1/2 sum_{i=1..d_b} [psi((f + 1 - i) / 2) - psi((f + 1 - d_a - i) / 2)]`` with f = n - 1 - spent degrees of freedom: exact
    for Gaussian rows, dependent or not. The squared error is the exact variance for independent sides plus ``sum rho_j^2 / n``.
    Our choice for that sum: the trace of the squared correlations, adjusted for chance as R^2 is.

    Parameters
    ----------
    a, b
        (n, d_a) and (n, d_b), the same rows.
    spent
        Degrees of freedom that the columns lost beyond their mean: C - 1 by centring C classes, q by regression on q columns.

    Returns
    -------
    Nats, and the standard error in nats. Columns that are constant or combinations of others count for nothing; a side without
    any other has (0, 0).

    Raises
    ------
    ValueError, TypeError
        Rows that differ in number, are not finite, or are too few for the columns.

    Examples
    --------
    >>> import numpy as np
    >>> x, e = np.random.default_rng(0).normal(size=(2, 2000))
    >>> value, se = gaussian_mi(x, 0.6 * x + 0.8 * e)  # rho = 0.6: 0.223 nats
    >>> abs(value + np.log(0.64) / 2) < 2 * se < 0.06
    True
    """
    a = matrix("a", a)
    b = matrix("b", b, rows=len(a))
    return from_bases(orthonormal(a), orthonormal(b), spent=spent)


def from_bases(a: np.ndarray, b: np.ndarray, *, spent: int = 0) -> tuple[float, float]:
    """`gaussian_mi` of orthonormal centred columns."""
    dims = (a.shape[1], b.shape[1])
    if not min(dims):
        return 0.0, 0.0
    freedom = degrees_of_freedom(len(a), spent, dims)
    squared = np.linalg.svd(a.T @ b, compute_uv=False) ** 2
    bias, null_se = null_moments(freedom, dims)
    value = -0.5 * np.log(np.maximum(1 - squared, SAME)).sum() - bias
    wide, narrow = max(dims), min(dims)
    shared = narrow - (narrow - squared.sum()) * freedom / (freedom - wide)  # adjusted R^2, summed over the narrower side
    return float(value), float(np.sqrt(null_se**2 + max(shared, 0.0) / (freedom + 1)))


def copula_mi(a: ArrayLike, b: ArrayLike) -> tuple[float, float]:
    """I(A;B) by ranks: `gaussian_mi` of normal scores. Sees monotone dependence, however the columns are scaled or bent.

    Blind to dependence without a trend (a ring, a spiral), and too low where separate clusters carry it: `omicsbal.mi.between`
    sets other forms beside it. Ince et al. 2017, doi:10.1002/hbm.23471.

    Parameters
    ----------
    a, b
        (n, d_a) and (n, d_b), the same rows.

    Returns
    -------
    Nats, and the standard error in nats.

    Raises
    ------
    ValueError, TypeError
        As `gaussian_mi`.

    Examples
    --------
    >>> import numpy as np
    >>> x = np.random.default_rng(0).normal(size=(500, 2))
    >>> noise = np.random.default_rng(1).normal(size=(500, 2))
    >>> copula_mi(x, x + noise) == copula_mi(np.exp(x), (x + noise) ** 3)
    True
    """
    return gaussian_mi(copula_normalise(a), copula_normalise(b))


def within_class_mi(a: ArrayLike, b: ArrayLike, y: ArrayLike) -> tuple[float, float]:
    """I(A;B|Y) given classes: `gaussian_mi` of normal scores taken within each class, one covariance for all, n - C for n - 1.

    Scores within classes are our choice over plain class-centred columns: classes that differ in spread (0.3 to 3 times the
    average) make independent columns look dependent, at 1,000 rows and 16 columns by 0.4 nats if centred, by 0.00 in scores. The
    price is 0.01 to 0.03 nats too few at 500 to 1,000 Gaussian rows in 8 classes, and up to 0.1 at 150 in 12.

    Parameters
    ----------
    a, b
        (n, d_a) and (n, d_b), the same rows.
    y
        (n,) classes.

    Returns
    -------
    Nats, and the standard error in nats.

    Raises
    ------
    ValueError, TypeError
        As `gaussian_mi`; labels that are missing, or not classes.

    Examples
    --------
    >>> import numpy as np
    >>> y = np.repeat([0, 1], 300)
    >>> a, b = np.random.default_rng(0).normal(size=(2, 600, 2)) + 5 * y[:, None]
    >>> copula_mi(a, b)[0] > 0.4 > 0.02 > abs(within_class_mi(a, b, y)[0])
    True
    """
    a = matrix("a", a)
    b = matrix("b", b, rows=len(a))
    y = codes("y", y, rows=len(a))
    left, right = (centred_by_class(_scores_by_class(x, y), y) for x in (a, b))
    return gaussian_mi(left, right, spent=int(y.max()))


def _scores_by_class(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Normal scores (n, d) of x (n, d), ranked among the rows of the same class, codes y (n,)."""
    found = np.empty_like(x)
    for k in range(int(y.max()) + 1):
        mine = y == k
        found[mine] = ndtri(rankdata(x[mine], axis=0) / (mine.sum() + 1))
    return found


def centred_by_class(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """x (n, d) less the mean of each row's class, codes y (n,)."""
    member = np.eye(int(y.max()) + 1)[y]
    return x - (member.T @ x / np.maximum(member.sum(axis=0), 1)[:, None])[y]


def partial_mi(a: ArrayLike, b: ArrayLike, y: ArrayLike) -> tuple[float, float]:
    """I(A;B|Y) given numbers: `gaussian_mi` of what normal scores of a and b keep after regression on those of y.

    Parameters
    ----------
    a, b
        (n, d_a) and (n, d_b), the same rows.
    y
        (n,) or (n, q) numbers.

    Returns
    -------
    Nats, and the standard error in nats.

    Raises
    ------
    ValueError, TypeError
        As `gaussian_mi`.

    Examples
    --------
    >>> import numpy as np
    >>> y, a, b = np.random.default_rng(0).normal(size=(3, 1000))
    >>> a, b = y + a, y + b  # independent given y
    >>> copula_mi(a, b)[0] > 0.1 > 0.01 > abs(partial_mi(a, b, y)[0])
    True
    """
    a, b = copula_normalise(a), copula_normalise(b)
    basis = orthonormal(copula_normalise(y))
    if not len(a) == len(b) == len(basis):
        found = f"{len(a)}, {len(b)} and {len(basis)} rows"
        raise ValueError(problem("a, b, y", expected="the same rows", found=found, do="Pass the same rows in the same order."))
    left, right = (_unexplained(x, x - x.mean(axis=0) - basis @ (basis.T @ x)) for x in (a, b))
    return gaussian_mi(left, right, spent=basis.shape[1])


def _unexplained(x: np.ndarray, residual: np.ndarray) -> np.ndarray:
    """Residuals, with 0 for columns that were explained but for rounding."""
    return np.where(residual.std(axis=0) > COLLINEAR * x.std(axis=0), residual, 0.0)
