"""Stratified, grouped folds, and what becomes of classes too small for them."""

import warnings
from collections.abc import Iterator
from typing import Any, Literal

import numpy as np
import pandas as pd
from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold

from omicsbal._validate import check_choice, check_number, listed, problem

_TRIES = 20  # grouped folds are greedy: another shuffle may find folds where one fails
MERGED = "rare (merged)"


def make_folds(y: Any, *, n_folds: int = 5, groups: Any = None, random_state: int = 0) -> np.ndarray:
    """Assign rows to folds, stratified by the label.

    Parameters
    ----------
    y
        (n,) labels: strings, categories, booleans or integer codes, -1 or missing where unknown. Floats are a continuous
        target, stratified on quantile bins.
    n_folds
        At least 2. Five leave four fifths of the rows for training.
    groups
        (n,) donors or patients that must not be split over folds.
    random_state
        Seed of the shuffle.

    Returns
    -------
    (n,) int64: the fold a row is held out in, 0 ... n_folds - 1; -1 where `y` is missing.

    Raises
    ------
    ValueError
        Fewer labelled rows or groups than folds; a missing group; or a class that would be absent from a training part.

    Examples
    --------
    >>> make_folds(["a", "b"] * 4, n_folds=2).tolist().count(0)
    4
    """
    check_number("n_folds", n_folds, low=2, integer=True)
    codes, names = _strata(y, n_folds)
    rows = np.flatnonzero(codes >= 0)
    if len(rows) < n_folds:
        found = f"{len(rows)} labelled rows"
        raise ValueError(problem("n_folds", expected="at most as many folds as rows", found=found, do="Lower n_folds."))
    group = None if groups is None else _groups(groups, rows, len(codes), n_folds)
    problem_found = ""
    for fold in _candidates(codes[rows], group, n_folds, random_state):
        problem_found = _fault(fold, codes[rows], names, n_folds)
        if not problem_found:
            out = np.full(len(codes), -1, dtype=np.int64)
            out[rows] = fold
            return out
    fix = "Lower n_folds, drop or merge that class" + (", or leave out group_key." if groups is not None else ".")
    raise ValueError(problem("n_folds", expected="every class in every training part", found=problem_found, do=fix))


def _strata(y: Any, n_folds: int) -> tuple[np.ndarray, list[str]]:
    """Codes to stratify by (-1: missing) and the names of the classes; names are empty for a continuous target."""
    y = pd.Series(y).reset_index(drop=True)
    if y.dtype.kind == "f":
        n_bins = int(np.clip(y.notna().sum() // (2 * n_folds), 1, 10))
        bins = pd.qcut(y.rank(method="first"), n_bins, labels=False)
        return bins.fillna(-1).to_numpy().astype(np.int64), []
    if y.dtype.kind in "iu":
        y = y.where(y >= 0)
    codes, classes = pd.factorize(y, sort=False)
    return codes.astype(np.int64), [str(c) for c in classes]


def _groups(groups: Any, rows: np.ndarray, n: int, n_folds: int) -> np.ndarray:
    """Group codes of the labelled rows."""
    groups = pd.Series(groups).reset_index(drop=True)
    if len(groups) != n:
        raise ValueError(problem("groups", expected=f"{n} values", found=len(groups), do="Give one group a row."))
    codes = pd.factorize(groups.iloc[rows])[0]
    if (codes < 0).any():
        found = f"{int((codes < 0).sum())} labelled rows without one"
        raise ValueError(problem("groups", expected="a group for every labelled row", found=found, do="Fill them in."))
    if (k := len(np.unique(codes))) < n_folds:
        raise ValueError(problem("n_folds", expected=f"at most the {k} groups", found=n_folds, do=f"Pass n_folds={max(k, 2)}."))
    return codes


def _candidates(codes: np.ndarray, group: np.ndarray | None, n_folds: int, random_state: int) -> Iterator[np.ndarray]:
    """Fold ids, for grouped rows a few shuffles of them."""
    splitter = StratifiedKFold if group is None else StratifiedGroupKFold
    for shift in range(1 if group is None else _TRIES):
        fold = np.full(len(codes), -1, dtype=np.int64)
        with warnings.catch_warnings():
            # Classes smaller than n_folds are allowed here as long as each training part has them; _fault looks.
            warnings.filterwarnings("ignore", message="The least populated class", category=UserWarning)
            cv = splitter(n_splits=n_folds, shuffle=True, random_state=random_state + shift)
            for k, (_, held) in enumerate(cv.split(codes, _splittable(codes, n_folds, group), group)):
                fold[held] = k
        yield fold


def _splittable(codes: np.ndarray, n_folds: int, group: np.ndarray | None) -> np.ndarray:
    """The codes, or one stratum for all where every class is smaller than n_folds: scikit-learn refuses that."""
    return codes if np.bincount(codes).max() >= n_folds else np.zeros_like(codes)


def _fault(fold: np.ndarray, codes: np.ndarray, names: list[str], n_folds: int) -> str:
    """What is wrong with the folds, in words; empty if nothing."""
    empty = [k for k in range(n_folds) if not (fold == k).any()]
    if empty:
        return f"{len(empty)} empty folds"
    for k in range(n_folds):
        seen = np.bincount(codes[fold != k], minlength=len(names))
        absent = [names[c] for c in np.flatnonzero(seen == 0)] if names else []
        if absent:
            return f"class {listed(absent, 3)} only in fold {k}"
    return ""


def rare_classes(
    y: pd.Series, *, n_folds: int = 5, rare: Literal["drop", "merge", "fewer_folds", "error"] = "drop"
) -> tuple[pd.Series, int, str]:
    """Deal with classes that have fewer rows than there are folds.

    Parameters
    ----------
    y
        Labels over rows, NaN where unknown.
    n_folds
        Folds wanted, at least 2.
    rare
        "drop": their rows become unlabelled. "merge": they become one class, dropped if that is still too small.
        "fewer_folds": as many folds as the smallest class has rows, at least 2; a class with one row is dropped.
        "error": raise.

    Returns
    -------
    New labels, the number of folds, and a sentence that says what was done; empty if nothing.

    Raises
    ------
    ValueError
        Fewer than two classes are left, or `rare` is "error" and there is a rare class.

    Examples
    --------
    >>> y = pd.Series(["a"] * 5 + ["b"] * 5 + ["c"])
    >>> rare_classes(y, n_folds=5)[2]
    "Dropped 1 class with fewer than 5 rows, 1 row in all: 'c' (1)."
    """
    check_number("n_folds", n_folds, low=2, integer=True)
    check_choice("rare", rare, _WAYS)
    counts = y.value_counts()
    counts = counts[counts > 0].sort_index()
    small = counts[counts < n_folds]
    said = ""
    if len(small):
        y, n_folds, said = _WAYS[rare](y, counts, small, n_folds)
    left = y.dropna().astype(object).unique()
    if len(left) < 2:
        found = (f"{len(left)} ({listed(left)})" if len(left) else "none") + (f": {said}" if said else "")
        do = "Lower n_folds, or give more rows."
        raise ValueError(problem("label_key", expected="at least two classes", found=found, do=do))
    if isinstance(y.dtype, pd.CategoricalDtype):
        y = y.cat.remove_unused_categories()
    return y, n_folds, said


def _told(small: pd.Series, n_folds: int) -> str:
    """The rare classes with their sizes."""
    sizes = ", ".join(f"{str(c)!r} ({int(k)})" for c, k in small.head(8).items()) + (", ..." if len(small) > 8 else "")
    classes, rows = "class" if len(small) == 1 else "classes", int(small.sum())
    return f"{len(small)} {classes} with fewer than {n_folds} rows, {rows} row{'' if rows == 1 else 's'} in all: {sizes}."


def _drop(y: pd.Series, counts: pd.Series, small: pd.Series, n_folds: int) -> tuple[pd.Series, int, str]:
    """Make the rows of rare classes unlabelled."""
    return y.where(~y.isin(small.index)), n_folds, f"Dropped {_told(small, n_folds)}"


def _merge(y: pd.Series, counts: pd.Series, small: pd.Series, n_folds: int) -> tuple[pd.Series, int, str]:
    """Make the rare classes one; drop them where that is still too small."""
    if small.sum() < n_folds:
        y, n_folds, said = _drop(y, counts, small, n_folds)
        return y, n_folds, f"Too few rows to merge. {said}"
    merged = y.astype(object).where(~y.isin(small.index), MERGED)
    if isinstance(y.dtype, pd.CategoricalDtype):
        merged = merged.astype(pd.CategoricalDtype([*(c for c in y.cat.categories if c not in small.index), MERGED]))
    return merged, n_folds, f"Merged into {MERGED!r}: {_told(small, n_folds)}"


def _fewer_folds(y: pd.Series, counts: pd.Series, small: pd.Series, n_folds: int) -> tuple[pd.Series, int, str]:
    """Lower the number of folds to the smallest class; drop classes of one row."""
    single = small[small < 2]
    fewer = int(max(2, counts[counts >= 2].min())) if (counts >= 2).any() else 2
    fewer = min(fewer, n_folds)
    said = [f"Folds lowered from {n_folds} to {fewer}, the size of the smallest class."] if fewer < n_folds else []
    if len(single):
        y, _, dropped = _drop(y, counts, single, 2)
        said.append(dropped)
    return y, fewer, " ".join(said)


def _error(y: pd.Series, counts: pd.Series, small: pd.Series, n_folds: int) -> tuple[pd.Series, int, str]:
    """Refuse."""
    fix = 'Pass rare="drop", "merge" or "fewer_folds".'
    raise ValueError(problem("label_key", expected=f"at least {n_folds} rows a class", found=_told(small, n_folds), do=fix))


_WAYS = {"drop": _drop, "merge": _merge, "fewer_folds": _fewer_folds, "error": _error}
