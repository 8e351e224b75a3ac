"""Similarity network fusion: one network of rows from one affinity a modality."""

from collections.abc import Mapping

import numpy as np
import scipy.sparse as sp

from omicsbal._validate import check_number, listed, problem
from omicsbal.graph.affinity import NEIGHBOURS

ROUNDS = 20
MOST_ROWS = 5000  # a handful of dense (n, n) arrays: 100 MB each there
LARGE = 2000  # rows from which single precision halves memory and time


def full_kernel(affinity: np.ndarray) -> np.ndarray:
    """P of Wang et al. 2014: half of a row's mass on itself, half on the others by affinity; symmetrised.

    A row without any affinity to others keeps all its mass.
    """
    kernel = affinity.copy()
    np.fill_diagonal(kernel, 0)
    mass = kernel.sum(1, keepdims=True)
    np.divide(kernel, 2 * mass, out=kernel, where=mass > 0)
    np.fill_diagonal(kernel, np.where(mass[:, 0] > 0, 0.5, 1.0))
    return (kernel + kernel.T) / 2


def sparse_kernel(affinity: np.ndarray, *, neighbours: int = NEIGHBOURS) -> sp.csr_array:
    """S of Wang et al. 2014: the K largest affinities of each row, its own among them, scaled to sum to 1."""
    n = len(affinity)
    k = min(check_number("neighbours", neighbours, low=1, integer=True), n)
    index = np.argpartition(-affinity, k - 1, axis=1)[:, :k]
    value = np.take_along_axis(affinity, index, axis=1)
    value = value / value.sum(1, keepdims=True)
    return sp.csr_array((value.ravel(), index.ravel(), np.arange(0, n * k + 1, k)), shape=(n, n))


def check_rows(n: int) -> None:
    """Refuse more rows than dense affinities are meant for.

    Raises
    ------
    ValueError
        More than 5,000.
    """
    if n > MOST_ROWS:
        do = "Use the MLP encoder, encoder='mlp': with that many rows a graph of patients has little to add."
        raise ValueError(problem("rows of the graph", expected=f"at most {MOST_ROWS}", found=n, do=do))


def fuse(
    affinities: Mapping[str, np.ndarray],
    present: Mapping[str, np.ndarray] | None = None,
    *,
    neighbours: int = NEIGHBOURS,
    rounds: int = ROUNDS,
    alpha: float = 1.0,
) -> np.ndarray:
    """Fuse affinities by cross-diffusion: pairs that are close in several modalities, or have close neighbours, come out close.

    From ``P_v``, the full kernel of modality v, and ``S_v``, its sparse kernel, each round makes
    ``P_v <- S_v mean_{k != v}(P_k) S_v^T + alpha I``, symmetrised, all v at once. After the last, the mean over v is divided by
    its row sums and symmetrised.

    Parameters
    ----------
    affinities
        ``{m: (n, n)}`` symmetric, at least 0, the largest of each row on the diagonal, as `affinity` gives them; anything in rows
        and columns where the modality is absent.
    present
        ``{m: (n,) bool}``: rows that have the modality; None: all.
    neighbours
        K of the sparse kernel, the row itself included.
    rounds
        t, at least 0.
    alpha
        Weight of the identity, at least 0, which keeps a row most similar to itself.

    Returns
    -------
    (n, n), symmetric, at least 0; zero for rows that have nothing. float64, float32 from 2,000 rows on. Of one modality it is the
    full kernel itself, with its row sums and symmetry, without diffusion.

    Raises
    ------
    ValueError, TypeError
        Above 5,000 rows; no modality; affinities that are not square, are negative or not finite; a number outside its range.

    Notes
    -----
    Wang et al. 2014 (doi:10.1038/nmeth.2810). The identity with weight 1 and the final normalisation are those of the programs in
    use, where the paper scales P again after each round. The paper speaks of complete data; for missing modalities this is our
    choice: a modality's kernels are over the rows that have it; the mean at a pair is over the modalities, other than v, that
    both rows have; where there are none, v's own kernel takes its place; a pair that shares no modality ends at zero. Entries are
    averaged as they stand, however many rows a modality has, since most mass lies on the K neighbours.

    A round costs 2 n^2 K multiplications a modality, because S is sparse. Memory: M + 5 dense arrays (n, n).

    Examples
    --------
    >>> from omicsbal.graph.affinity import affinity
    >>> x = np.array([[0.0], [0.1], [5.0], [5.2]])
    >>> fused = fuse({"a": affinity(x), "b": affinity(-x)})
    >>> nearest(fused, k=1)[0].ravel()
    array([1, 0, 3, 2])
    """
    check_number("rounds", rounds, low=0, integer=True)
    check_number("alpha", alpha, low=0)
    n = _check(affinities)
    have = {m: np.ones(n, dtype=bool) if present is None else np.asarray(present[m], dtype=bool) for m in affinities}
    dtype = np.float64 if n < LARGE else np.float32
    here, wide, sparse = {}, {}, {}
    shared = np.zeros((n, n), dtype=dtype)  # modalities that both rows of a pair have
    for m, values in affinities.items():
        rows = np.flatnonzero(have[m])
        here[m] = np.s_[:, :] if len(rows) == n else np.ix_(rows, rows)
        own = _checked_values(m, values[here[m]]).astype(dtype)
        wide[m] = np.zeros((n, n), dtype=dtype)
        wide[m][here[m]] = full_kernel(own)
        shared[here[m]] += 1
        if len(rows):
            sparse[m] = sparse_kernel(own, neighbours=neighbours)
    for _ in range(rounds if len(affinities) > 1 else 0):
        total = np.sum(list(wide.values()), axis=0)
        for m, kernel in sparse.items():
            own, others = wide[m][here[m]], shared[here[m]] - 1
            mean = np.where(others > 0, np.maximum(total[here[m]] - own, 0) / np.maximum(others, 1), own)
            mixed = kernel @ (kernel @ mean).T  # S A S^T, A being symmetric
            mixed[np.diag_indices(len(mixed))] += alpha
            wide[m][here[m]] = (mixed + mixed.T) / 2
    mean = np.sum(list(wide.values()), axis=0) / np.maximum(shared, 1)
    mass = mean.sum(1, keepdims=True)
    fused = np.divide(mean, mass, out=np.zeros_like(mean), where=mass > 0)
    return (fused + fused.T) / 2


def _check(affinities: Mapping[str, np.ndarray]) -> int:
    """Number of rows, once the shapes are found to fit."""
    shapes = {np.shape(w) for w in affinities.values()}
    if len(shapes) != 1 or any(len(s) != 2 or s[0] != s[1] for s in shapes):
        do = "Compute each with omicsbal.graph.affinity.affinity on the same rows."
        raise ValueError(problem("affinities", expected="square arrays of one shape", found=listed(sorted(shapes)), do=do))
    n = next(iter(shapes))[0]
    check_rows(n)
    return n


def _checked_values(name: str, values: np.ndarray) -> np.ndarray:
    """The values, once they are found to be affinities."""
    if not np.isfinite(values).all() or (values < 0).any():
        do = "Compute it with omicsbal.graph.affinity.affinity."
        raise ValueError(problem(f"affinities[{name!r}]", expected="finite values of at least 0", found="others", do=do))
    return values


def nearest(fused: np.ndarray, *, k: int) -> tuple[np.ndarray, np.ndarray]:
    """Keep the k neighbours of each row with the largest affinity.

    Parameters
    ----------
    fused
        (n, n) affinities, at least 0; the diagonal counts as 0.
    k
        At least 1; at most n - 1 are kept.

    Returns
    -------
    Positions (n, k') int64, nearest first, and weights (n, k') that sum to 1 over each row. A row with fewer than k' neighbours
    of positive affinity is padded with itself at weight 0.

    Raises
    ------
    ValueError, TypeError
        k below 1.

    Examples
    --------
    >>> index, weight = nearest(np.array([[9.0, 1.0, 3.0], [1.0, 9.0, 0.0], [3.0, 0.0, 9.0]]), k=2)
    >>> index
    array([[2, 1],
           [0, 1],
           [0, 2]])
    >>> weight
    array([[0.75, 0.25],
           [1.  , 0.  ],
           [1.  , 0.  ]])
    """
    n = len(fused)
    k = max(min(check_number("k", k, low=1, integer=True), n - 1), 1)
    values = np.array(fused)
    np.fill_diagonal(values, 0)
    index = np.sort(np.argpartition(-values, k - 1, axis=1)[:, :k], axis=1)  # sorted, so that ties go to the first row
    found = np.take_along_axis(values, index, axis=1)
    order = np.argsort(-found, axis=1, kind="stable")
    index, found = np.take_along_axis(index, order, axis=1), np.take_along_axis(found, order, axis=1)
    mass = found.sum(1, keepdims=True)
    weight = np.divide(found, mass, out=np.zeros_like(found), where=mass > 0)
    return np.where(weight > 0, index, np.arange(n)[:, None]), weight
