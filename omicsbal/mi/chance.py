"""What Gaussian information is when there is none: its exact mean and variance, its band, and the columns that rows allow."""

from bisect import bisect_right

import numpy as np
from scipy.special import digamma, polygamma
from scipy.stats import gamma
from scipy.stats.distributions import rv_frozen

from omicsbal._validate import problem

NULL_SE = 0.1  # nats: largest standard error of independent sides that the dimension rule allows


def null_moments(freedom: int, dims: tuple[int, int]) -> tuple[float, float]:
    """Mean and standard deviation (nats) of the plug-in Gaussian information of independent sides.

    Twice the plug-in is -ln of Wilks' Lambda, a product of independent Beta((f - d_a - i + 1) / 2, d_a / 2), i = 1..d_b.
    """
    wide, narrow = max(dims), min(dims)
    top = freedom + 1 - np.arange(1, narrow + 1)
    mean = (digamma(top / 2) - digamma((top - wide) / 2)).sum() / 2
    variance = (polygamma(1, (top - wide) / 2) - polygamma(1, top / 2)).sum() / 4
    return float(mean), float(np.sqrt(variance))


def degrees_of_freedom(n: int, spent: int, dims: tuple[int, int]) -> int:
    """Degrees of freedom that n rows leave to the covariance; too few for the columns is an error."""
    freedom = n - 1 - spent
    if freedom <= sum(dims):
        do = "Reduce the columns by PCA (omicsbal.mi.between does), or bring more rows."
        found = f"{n} rows for {dims[0]} and {dims[1]} columns" + (f", {spent} degrees of freedom spent" if spent else "")
        raise ValueError(problem("a, b", expected="more rows than columns on both sides together", found=found, do=do))
    return freedom


def null_distribution(n: int, dims: tuple[int, int], *, spent: int = 0) -> rv_frozen:
    """Distribution of `gaussian_mi` for independent sides: a shifted gamma with the exact mean (0) and variance.

    Parameters
    ----------
    n
        Rows.
    dims
        Columns on either side.
    spent
        As for `gaussian_mi`.

    Returns
    -------
    A frozen scipy distribution, in nats: ``.ppf([0.025, 0.975])`` is the null band, ``.sf(value)`` the p-value (Wilks' Lambda).

    Raises
    ------
    ValueError
        Too few rows for the columns.

    Examples
    --------
    >>> chance = null_distribution(500, (16, 16))
    >>> chance.ppf([0.025, 0.975]).round(3).tolist(), bool(chance.sf(0.2) < 1e-9)
    ([-0.044, 0.048], True)
    """
    mean, sd = null_moments(degrees_of_freedom(n, spent, dims), dims)
    return gamma((mean / sd) ** 2, loc=-mean, scale=sd**2 / mean)


def largest_dimension(n: int, *, spent: int = 0) -> int:
    """Most columns on either side for which independent sides have a standard error of at most 0.1 nats: 36 for 300 rows.

    Parameters
    ----------
    n
        Rows.
    spent
        As for `gaussian_mi`.

    Returns
    -------
    Columns a side, at least 1.

    Examples
    --------
    >>> [largest_dimension(n) for n in (100, 150, 300, 500, 1000)]
    [12, 18, 36, 61, 123]
    """
    freedom = n - 1 - spent
    fits = range(1, max((freedom - 1) // 2, 1) + 1)  # the error grows with every column
    return max(bisect_right(fits, NULL_SE, key=lambda d: null_moments(freedom, (d, d))[1]), 1)
