"""What the estimators take: rows that are numbers, labels that are classes, and fewer rows where all of them cost too much."""

import numpy as np
from numpy.typing import ArrayLike

from omicsbal._validate import problem

FEWEST = 20  # rows below which no estimate here means anything


def matrix(name: str, values: ArrayLike, *, rows: int | None = None) -> np.ndarray:
    """A finite float64 array (n, d), d at least 1; a vector becomes one column. `rows`: how many there must be."""
    found = np.asarray(values)
    if found.dtype.kind not in "biuf":
        do = "Pass a dense numeric array, for example mdata.obsm['X_omicsbal'] or mod.X.toarray()."
        raise TypeError(problem(name, expected="an array of numbers (rows, columns)", found=f"dtype {found.dtype}", do=do))
    found = found[:, None] if found.ndim == 1 else found
    if found.ndim != 2 or found.shape[1] == 0:
        do = "Pass rows by columns, with at least one column."
        raise ValueError(problem(name, expected="an array (rows, columns)", found=f"shape {found.shape}", do=do))
    if rows is not None and len(found) != rows:
        do = "Pass the same rows in the same order on both sides."
        raise ValueError(problem(name, expected=f"{rows} rows", found=f"{len(found)} rows", do=do))
    if len(found) < FEWEST:
        do = "Mutual information cannot be estimated from so few; leave it out."
        raise ValueError(problem(name, expected=f"at least {FEWEST} rows", found=f"{len(found)} rows", do=do))
    found = found.astype(np.float64)
    bad = ~np.isfinite(found).all(axis=1)
    if bad.any():
        do = "Leave these rows out on both sides, or impute them."
        raise ValueError(problem(name, expected="finite numbers", found=f"NaN or infinity in {bad.sum()} rows", do=do))
    return found


def codes(name: str, labels: ArrayLike, *, rows: int) -> np.ndarray:
    """Class codes (n,) 0..C-1, by sorted name, of labels that are all there and that repeat."""
    found = np.asarray(labels)
    if found.shape != (rows,):
        do = "Pass one label a row."
        raise ValueError(problem(name, expected=f"shape ({rows},)", found=f"shape {found.shape}", do=do))
    missing = np.array([v is None or v != v for v in found.tolist()])  # NaN, NaT and None; NA of pandas is caught below
    missing |= np.array([type(v).__name__ == "NAType" for v in found.tolist()])
    if missing.any():
        do = "Leave the unlabelled rows out on every side, or pass no labels."
        raise ValueError(problem(name, expected="a label in every row", found=f"{missing.sum()} missing", do=do))
    if found.dtype.kind == "f" and not np.array_equal(found, np.round(found)):
        do = "Pass classes (text or whole numbers), or bin the numbers first."
        raise ValueError(problem(name, expected="classes", found="numbers with decimals", do=do))
    names, y = np.unique(found.astype(str) if found.dtype.kind == "O" else found, return_inverse=True)
    if not 2 <= len(names) <= rows // 2:
        do = "Pass labels of two or more classes, each with several rows."
        raise ValueError(
            problem(name, expected="2 classes or more, with several rows each", found=f"{len(names)} classes", do=do)
        )
    return y.reshape(-1)


def thinned(n: int, most: int) -> np.ndarray:
    """Positions of at most `most` of n rows, evenly spread and without repeats."""
    return np.arange(n) if n <= most else np.linspace(0, n - 1, most).astype(int)


def _kinds(x: np.ndarray) -> np.ndarray:
    """Positions of the first of each kind of row, in order; rows are compared bit by bit."""
    whole = np.ascontiguousarray(x).view(np.dtype((np.void, x.itemsize * x.shape[1])))[:, 0]
    return np.sort(np.unique(whole, return_index=True)[1])


def distinct(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Positions of the rows to count: all, or the first of each where rows were copied.

    Copies (a bootstrap sample, a cell listed twice) repeat on both sides at once; values that repeat on one side alone, or in
    more than half of the rows, are taken for discrete data, and stay. Our choice.
    """
    first = _kinds(np.hstack([a, b]))
    copied = len(first) == len(_kinds(a)) == len(_kinds(b))
    return first if copied and 2 * len(first) > len(a) and len(first) >= FEWEST else np.arange(len(a))


def repeats(a: np.ndarray, b: np.ndarray) -> bool:
    """Whether more than half of the rows of a side repeat others: too many for distances to neighbours."""
    return any(2 * len(_kinds(x)) < len(x) for x in (a, b))
