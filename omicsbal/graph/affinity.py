"""How alike the rows of one modality are."""

import numpy as np
from sklearn.metrics import euclidean_distances

from omicsbal._validate import check_number, problem

NEIGHBOURS = 20  # K of similarity network fusion, which sets the local scale and the width of the sparse kernel
MU = 0.5  # width of the kernel in local scales


def distances(x: np.ndarray) -> np.ndarray:
    """Euclidean distances (n, n) float64 between the rows of x (n, d), zero on the diagonal.

    Raises
    ------
    ValueError
        x is no table, or holds NaN or infinity.
    """
    x = np.asarray(x, dtype=np.float64)
    if x.ndim != 2 or not np.isfinite(x).all():
        found = f"shape {x.shape}" if x.ndim != 2 else "NaN or infinite values"
        do = "Impute or drop them; rows without the modality are left out."
        raise ValueError(problem("x", expected="a finite table (n, d)", found=found, do=do))
    distance = euclidean_distances(x)
    return (distance + distance.T) / 2  # rounding may differ between the two triangles of x @ x.T


def local_scale(distance: np.ndarray, *, neighbours: int = NEIGHBOURS) -> np.ndarray:
    """Mean distance (n,) of each row to the K others that are nearest to it; all others where there are fewer, 0 where none.

    Examples
    --------
    >>> local_scale(distances(np.array([[0.0], [1.0], [3.0]])), neighbours=1)
    array([1., 1., 2.])
    """
    k = min(check_number("neighbours", neighbours, low=1, integer=True), len(distance) - 1)
    if k < 1:
        return np.zeros(len(distance))
    return np.partition(distance, k, axis=1)[:, : k + 1].sum(1) / k  # the row itself is among the k + 1 nearest, at distance 0


def kernel(distance: np.ndarray, scale: np.ndarray, *, mu: float = MU) -> np.ndarray:
    """Affinities (n, n) in [0, 1] from distances and local scales (n,): see `affinity`."""
    sigma = (scale[:, None] + scale[None, :] + distance) / 3
    ratio = np.divide(distance, sigma, out=np.zeros_like(distance), where=sigma > 0)  # sigma is 0 between copies: ratio 0
    return np.exp(-0.5 * (ratio / mu) ** 2)


def affinity(x: np.ndarray, *, neighbours: int = NEIGHBOURS, mu: float = MU) -> np.ndarray:
    """Affinity of rows by a Gaussian kernel whose width follows the local density.

    ``W_ij = exp(-rho_ij^2 / (2 mu^2 sigma_ij^2))`` with ``sigma_ij = (rho_i + rho_j + rho_ij) / 3``, where rho_ij is the
    Euclidean distance and rho_i the mean distance of row i to its K nearest others.

    Parameters
    ----------
    x
        (n, d) finite values of the rows that have the modality.
    neighbours
        K, at least 1; where there are fewer others, all of them count.
    mu
        Width of the kernel in local scales, above 0.

    Returns
    -------
    (n, n) float64 in [0, 1], symmetric, 1 on the diagonal. Without units: x times a constant gives the same affinities.

    Raises
    ------
    ValueError, TypeError
        x is no finite table; a number outside its range.

    Notes
    -----
    Wang et al. 2014 (doi:10.1038/nmeth.2810), with its K and mu. Programs in use differ from one another in whether the
    distance is squared and in a factor ``1 / (mu sigma_ij)``, that of a normal density; both are left out, which also keeps W
    free of units (our choice). Columns are not z-scored: the recipes have scaled the features, and what they hand over may be
    principal components, which z-scores would whiten.

    Examples
    --------
    >>> affinity(np.array([[0.0], [1.0], [3.0]]), neighbours=1).round(3)
    array([[1.   , 0.135, 0.011],
           [0.135, 1.   , 0.056],
           [0.011, 0.056, 1.   ]])
    """
    check_number("mu", mu, low=0, open_low=True)
    distance = distances(x)
    return kernel(distance, local_scale(distance, neighbours=neighbours), mu=mu)
