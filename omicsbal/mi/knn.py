"""Mutual information from distances to neighbours.

Neighbours see dependence of any shape, but run out of rows beyond a handful of columns: `omicsbal.mi.axes` finds few columns.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike
from scipy.spatial import cKDTree
from scipy.special import digamma

from omicsbal._validate import check_number
from omicsbal.mi._rows import codes, matrix, thinned

MOST = 5000  # rows; more cost n d and sharpen little
BLOCKS = 8  # disjoint blocks of rows whose scatter gives a standard error
BLOCK = 50  # rows that a block needs for three neighbours to be near


def ksg(a: ArrayLike, b: ArrayLike, *, k: int = 3) -> float:
    """I(A;B) from k nearest neighbours, the first estimator of Kraskov et al. 2004, doi:10.1103/PhysRevE.69.066138.

    ``psi(k) + psi(n) - <psi(n_a + 1) + psi(n_b + 1)>`` with n_a, n_b the rows nearer on one side than the k-th neighbour is on
    both, in the maximum norm. For a few columns of similar scale; far too low beyond about four. Copies of rows count as
    information.

    Parameters
    ----------
    a, b
        (n, d_a) and (n, d_b), the same rows; beyond 5000 an even selection of them is used.
    k
        Neighbours: fewer have less bias, more have less scatter.

    Returns
    -------
    Nats; slightly negative by chance.

    Raises
    ------
    ValueError, TypeError
        Rows that differ in number or are not finite numbers, or k not from 1 to n - 1.

    Examples
    --------
    >>> import numpy as np
    >>> turn = np.random.default_rng(0).uniform(0, 2 * np.pi, 500)  # a ring has no trend
    >>> ksg(np.cos(turn), np.sin(turn)) > 1
    True
    """
    a = matrix("a", a)
    b = matrix("b", b, rows=len(a))
    check_number("k", k, low=1, high=len(a) - 1, integer=True)
    rows = thinned(len(a), MOST)
    return neighbour_mi(a[rows], b[rows], k)


def neighbour_mi(a: np.ndarray, b: np.ndarray, k: int = 3) -> float:
    """`ksg` of checked rows."""
    joint = np.hstack([a, b])
    radius = np.nextafter(cKDTree(joint).query(joint, k + 1, p=np.inf)[0][:, k], 0)  # just inside the k-th neighbour
    counts = [cKDTree(x).query_ball_point(x, radius, p=np.inf, return_length=True) for x in (a, b)]  # the row itself included
    return float(digamma(k) + digamma(len(a)) - sum(digamma(count).mean() for count in counts))


def ross(z: ArrayLike, y: ArrayLike, *, k: int = 3) -> float:
    """I(Z;Y) of several columns and a class from k nearest neighbours: Ross 2014, doi:10.1371/journal.pone.0087357.

    ``psi(k) + psi(n) - <psi(n_y)> - <psi(m)>`` with n_y the rows of the class and m those, of any class, as near as the k-th
    neighbour of the own class, in the maximum norm. A class of at most k rows uses all its rows; a class of one is left out.

    Parameters
    ----------
    z
        (n, d), few columns; beyond 5000 rows an even selection of them is used.
    y
        (n,) classes.
    k
        Neighbours.

    Returns
    -------
    Nats; slightly negative by chance.

    Raises
    ------
    ValueError, TypeError
        Rows that are not finite numbers, labels that are missing or not classes, or k not from 1 to n - 1.

    Examples
    --------
    >>> import numpy as np
    >>> y = np.repeat([0, 1], 100)
    >>> z = np.random.default_rng(0).normal(size=(200, 2)) + 20 * y[:, None]
    >>> bool(abs(ross(z, y) - np.log(2)) < 0.01)
    True
    """
    z = matrix("z", z)
    y = codes("y", y, rows=len(z))
    check_number("k", k, low=1, high=len(z) - 1, integer=True)
    rows = thinned(len(z), MOST)
    return _ross(z[rows], y[rows], k)


def _ross(z: np.ndarray, y: np.ndarray, k: int = 3) -> float:
    """`ross` of checked rows and class codes."""
    size = np.bincount(y)[y]
    z, y, size = z[size > 1], y[size > 1], size[size > 1]
    near, radius = np.minimum(k, size - 1), np.empty(len(z))
    for label in np.unique(y):
        mine = y == label
        within = int(near[mine][0])
        radius[mine] = cKDTree(z[mine]).query(z[mine], within + 1, p=np.inf)[0][:, within]
    count = cKDTree(z).query_ball_point(z, np.nextafter(radius, 0), p=np.inf, return_length=True)
    return float(digamma(near).mean() + digamma(len(z)) - digamma(size).mean() - digamma(count).mean())


def scatter(estimate: Callable[[np.ndarray], float], n: int, *, random_state: int = 0) -> float:
    """Standard error of an estimate from n rows: its scatter over disjoint blocks of rows, times ``sqrt(block / n)``.

    Blocks are drawn without replacement, because neighbours take the copies in a bootstrap sample for information; the idea is
    that of Holmes and Nemenman 2019, doi:10.1103/PhysRevE.100.022404. NaN for fewer than 100 rows.

    Parameters
    ----------
    estimate
        Takes positions of rows, gives nats.
    n
        Rows.
    random_state
        Seed of the blocks.

    Returns
    -------
    Nats.

    Examples
    --------
    >>> import numpy as np
    >>> x = np.random.default_rng(0).normal(size=4000)
    >>> bool(0.5 < scatter(lambda rows: x[rows].mean(), 4000) * np.sqrt(4000) < 1.5)
    True
    """
    blocks = min(BLOCKS, n // BLOCK)
    if blocks < 2:
        return float("nan")
    order = np.random.default_rng(random_state).permutation(n)
    values = [estimate(np.sort(rows)) for rows in np.array_split(order, blocks)]
    return float(np.std(values, ddof=1) / np.sqrt(blocks))
