"""A few axes of a representation, found on other rows than those that an estimate is then made from."""

import numpy as np
from numpy.typing import ArrayLike

from omicsbal._validate import check_number
from omicsbal.mi._rows import codes, matrix
from omicsbal.mi.gaussian import centred_by_class


def shrunk_covariance(x: np.ndarray) -> np.ndarray:
    """Covariance (d, d) of centred columns x (n, d), drawn towards one variance for all: Ledoit and Wolf 2004.

    doi:10.1016/S0047-259X(03)00096-4. As that of scikit-learn, whose checks of its input take longer than the sums.
    """
    n, d = x.shape
    covariance = x.T @ x / n
    target = np.trace(covariance) / d
    distance = (covariance**2).sum() - d * target**2
    noise = ((x**2).sum(axis=1) ** 2).sum() / n**2 - (covariance**2).sum() / n
    weight = min(noise / distance, 1.0) if distance > 0 else 0.0
    return (1 - weight) * covariance + weight * target * np.eye(d)


def _whitener(x: np.ndarray) -> np.ndarray:
    """Matrix (d, d) that whitens the centred columns x, their covariance shrunk where rows are few."""
    size, axes = np.linalg.eigh(shrunk_covariance(x))
    return axes / np.sqrt(np.maximum(size, 1e-12 * max(size[-1], 1e-300)))


def canonical_scores(
    a: ArrayLike, b: ArrayLike, *, n_axes: int = 3, random_state: int = 0
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Cross-fitted canonical axes: either random half of the rows on the axes of the other half, strongest first.

    Axes of the two halves need not agree in sign or order: estimate within each half and average. Covariances are shrunk (our
    choice), so that many columns on few rows do not give axes of noise.

    Parameters
    ----------
    a, b
        (n, d_a) and (n, d_b), the same rows, columns of similar scale.
    n_axes
        Axes a side, at most its columns. A side with more columns than the other gets axes beyond the canonical ones, too.
    random_state
        Seed of the halves.

    Returns
    -------
    Scores of a and of b, (n, axes) each, and the half (n,) of each row, 0 or 1.

    Raises
    ------
    ValueError, TypeError
        Rows that differ in number or are not finite numbers, or n_axes below 1.

    Examples
    --------
    >>> import numpy as np
    >>> a, noise = np.random.default_rng(0).normal(size=(2, 400, 9))
    >>> left, right, half = canonical_scores(a, a + noise)
    >>> left.shape, right.shape, np.bincount(half).tolist()
    ((400, 3), (400, 3), [200, 200])
    """
    a = matrix("a", a)
    b = matrix("b", b, rows=len(a))
    check_number("n_axes", n_axes, low=1, integer=True)
    half = np.random.default_rng(random_state).permutation(len(a)) % 2
    scores = [np.empty((len(x), min(n_axes, x.shape[1]))) for x in (a, b)]
    for k in (0, 1):
        learn, use = half != k, half == k
        means = [x[learn].mean(axis=0) for x in (a, b)]
        white = [_whitener(x[learn] - mean) for x, mean in zip((a, b), means, strict=True)]
        left, right = ((x[learn] - mean) @ w for x, mean, w in zip((a, b), means, white, strict=True))
        u, _, v = np.linalg.svd(left.T @ right)  # square u and v: axes beyond the shorter side complete the longer one
        for score, x, mean, w, turn in zip(scores, (a, b), means, white, (u, v.T), strict=True):
            score[use] = (x[use] - mean) @ w @ turn[:, : score.shape[1]]
    return scores[0], scores[1], half


def principal_scores(z: ArrayLike, n_axes: int = 4) -> np.ndarray:
    """The first principal components (n, at most n_axes) of the centred columns of z (n, d); columns keep their scale.

    Parameters
    ----------
    z
        (n, d).
    n_axes
        Components, at most as many as there are directions.

    Returns
    -------
    (n, axes), the largest variance first.

    Raises
    ------
    ValueError, TypeError
        Not finite numbers, or n_axes below 1.

    Examples
    --------
    >>> import numpy as np
    >>> principal_scores(np.random.default_rng(0).normal(size=(50, 9))).shape
    (50, 4)
    """
    z = matrix("z", z)
    check_number("n_axes", n_axes, low=1, integer=True)
    z -= z.mean(axis=0)
    if len(z) < z.shape[1]:  # the smaller of the two products
        size, left = np.linalg.eigh(z @ z.T)
        return (left * np.sqrt(np.maximum(size, 0)))[:, ::-1][:, : min(n_axes, len(z) - 1)]
    return z @ np.linalg.eigh(z.T @ z)[1][:, ::-1][:, :n_axes]


def discriminant_scores(z: ArrayLike, y: ArrayLike, *, n_axes: int = 3, folds: ArrayLike) -> np.ndarray:
    """Cross-fitted axes that separate classes: the rows of each fold on the discriminant axes of the other folds.

    Linear discriminant axes with a shrunk covariance within classes (Ledoit and Wolf 2004). The axes of each fold are turned
    (orthogonally, learnt from rows outside the fold) onto those of the first, so that all rows share one space: our choice.

    Parameters
    ----------
    z
        (n, d).
    y
        (n,) classes.
    n_axes
        Axes, at most C - 1 and d.
    folds
        (n,) fold of each row, two or more.

    Returns
    -------
    (n, axes) scores, the best separating first.

    Raises
    ------
    ValueError, TypeError
        Rows that are not finite numbers, labels that are missing or not classes, n_axes below 1, or a single fold.

    Examples
    --------
    >>> import numpy as np
    >>> y = np.arange(300) % 3
    >>> z = np.random.default_rng(0).normal(size=(300, 10)) + 3 * np.eye(3, 10)[y]
    >>> discriminant_scores(z, y, folds=np.arange(300) // 3 % 5).shape
    (300, 2)
    """
    z = matrix("z", z)
    y, folds = codes("y", y, rows=len(z)), codes("folds", folds, rows=len(z))
    check_number("n_axes", n_axes, low=1, integer=True)
    if z.shape[1] >= len(z):  # nothing is lost, and the covariance becomes n by n
        z = principal_scores(z, n_axes=len(z) - 1)
    n_axes = min(n_axes, z.shape[1], int(y.max()))
    z -= z.mean(axis=0)  # one origin for all folds
    scores, first = np.empty((len(z), n_axes)), np.empty(0)
    for fold in range(int(folds.max()) + 1):
        learn = folds != fold
        axes = _discriminant(z[learn], y[learn], n_axes)
        first = axes if fold == 0 else first
        u, _, v = np.linalg.svd((z[learn] @ axes).T @ (z[learn] @ first))
        scores[~learn] = z[~learn] @ axes @ (u @ v)
    return scores


def _discriminant(z: np.ndarray, y: np.ndarray, n_axes: int) -> np.ndarray:
    """Axes (d, n_axes) along which class means differ most, in units of the scatter within classes."""
    white = _whitener(centred_by_class(z, y))
    member = np.eye(int(y.max()) + 1)[y]
    size = np.maximum(member.sum(axis=0), 1)[:, None]
    means = (member.T @ z / size - z.mean(axis=0)) * np.sqrt(size * (member.any(axis=0)[:, None])) @ white
    return white @ np.linalg.svd(means, full_matrices=True)[2][:n_axes].T
