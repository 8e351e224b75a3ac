"""The rows that information about a label is read from: sorted, their rare classes merged, in folds that keep groups whole."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn.model_selection import StratifiedGroupKFold

from omicsbal._validate import listed, problem
from omicsbal.mi._rows import codes

N_FOLDS = 5
PER_FOLD = 5  # rows a fold below which a class is rare: so few cannot calibrate its probability
RARE = 0.05  # share of all rows below which it is: where all rows are few, merging would leave nothing to be told
MERGED = "rare (merged)"


@dataclass(frozen=True)
class Design:
    """Rows, sorted by content so that nothing depends on their order, with their classes, folds and groups as codes.

    `order` sorts the caller's rows; `y`, `folds` and `groups` are in that order, `groups` one a row where none were given.
    """

    order: np.ndarray
    y: np.ndarray
    folds: np.ndarray
    groups: np.ndarray
    classes: tuple[str, ...]
    notes: tuple[str, ...]

    @property
    def counts(self) -> np.ndarray:
        """Rows of each class."""
        return np.bincount(self.y, minlength=len(self.classes))

    @property
    def entropy(self) -> float:
        """H(Y), nats."""
        share = self.counts / len(self.y)
        return float(-(share * np.log(share)).sum())

    def gain(self, log_proba: np.ndarray) -> np.ndarray:
        """(n,) ``log p(y_i | z_i) - log p(y_i)``, nats."""
        return log_proba[np.arange(len(self.y)), self.y] - np.log(self.counts / len(self.y))[self.y]

    def error(self, terms: np.ndarray) -> float:
        """Standard error of the mean of `terms` (n,), rows of a group taken as one draw."""
        sums = np.bincount(self.groups, weights=terms - terms.mean())
        return float(np.sqrt((sums**2).sum() * len(sums) / max(len(sums) - 1, 1)) / len(terms))

    def back(self, values: np.ndarray) -> np.ndarray:
        """From sorted rows to the caller's order."""
        out = np.empty_like(values)
        out[self.order] = values
        return out


def design(z: np.ndarray, y: Any, *, folds: Any, groups: Any, random_state: int) -> Design:
    """Sort the rows, merge rare classes, make or check the folds."""
    n = len(z)
    label = codes("y", y, rows=n)
    first = np.unique(label, return_index=True)[1]
    classes = tuple(str(name) for name in np.asarray(y)[first])
    group = None if groups is None else _coded("groups", groups, n)
    fold = None if folds is None else _coded("folds", folds, n)
    order = np.lexsort([*z.T[:32], *(c for c in (group, label, fold) if c is not None)])
    n_folds = min(N_FOLDS, n if group is None else int(group.max()) + 1) if fold is None else int(fold.max()) + 1
    if n_folds < 2:
        what = "groups" if fold is None else "folds"
        raise ValueError(problem(what, expected="at least two", found="one", do="Predictions are made for rows left out."))
    label, classes, notes = _merge(label[order], classes, n_folds)
    group = None if group is None else group[order]
    fold = _make_folds(label, group, n_folds, random_state) if fold is None else fold[order]
    group = np.arange(n) if group is None else group
    if len(np.unique(group * (fold.max() + 1) + fold)) > int(group.max()) + 1:
        do = "Make folds from whole groups, or leave folds out."
        raise ValueError(problem("folds", expected="groups that lie in one fold", found="a group in several", do=do))
    return Design(order, label, fold, group, classes, notes)


def _coded(name: str, values: Any, n: int) -> np.ndarray:
    """Codes (n,) of folds or groups, none of them missing."""
    found = np.asarray(values)
    if found.shape != (n,):
        raise ValueError(problem(name, expected=f"shape ({n},)", found=f"shape {found.shape}", do="Pass one a row."))
    missing = sum(v is None or v != v or type(v).__name__ == "NAType" for v in found.tolist())
    missing += int((found < 0).sum()) if name == "folds" and found.dtype.kind == "i" else 0  # -1 is a row without a fold
    if missing:
        raise ValueError(problem(name, expected="one for every row", found=f"{missing} missing", do="Leave those rows out."))
    return np.unique(found.astype(str) if found.dtype.kind == "O" else found, return_inverse=True)[1].astype(np.int64)


def _merge(label: np.ndarray, classes: tuple[str, ...], n_folds: int) -> tuple[np.ndarray, tuple[str, ...], tuple[str, ...]]:
    """Make classes with few rows one; join that one to the smallest class if it cannot be in every fold."""
    size = np.bincount(label)
    rare = size < max(n_folds, min(PER_FOLD * n_folds, RARE * len(label)))
    if rare.any() and not rare.all() and size[rare].sum() < n_folds:
        rare |= size == size[~rare].min()
    if rare.sum() < 2:
        return label, classes, ()
    new = np.where(rare, (~rare).sum(), np.cumsum(~rare) - 1)
    kept = tuple(c for c, r in zip(classes, rare, strict=True) if not r)
    told = listed([c for c, r in zip(classes, rare, strict=True) if r])
    note = f"Classes with too few rows a fold count as one, so the value is a lower bound: {told}."
    return new[label], (*kept, MERGED), (note,)


def _make_folds(label: np.ndarray, group: np.ndarray | None, n_folds: int, random_state: int) -> np.ndarray:
    """Stratified folds; whole groups where there are groups."""
    fold = np.empty(len(label), dtype=np.int64)
    if group is None:
        shuffled = np.random.default_rng(random_state).permutation(len(label))
        fold[shuffled[np.argsort(label[shuffled], kind="stable")]] = np.arange(len(label)) % n_folds
        return fold
    splitter = StratifiedGroupKFold(n_splits=n_folds, shuffle=True, random_state=random_state)
    strata = label if np.bincount(label).min() >= n_folds else np.zeros_like(label)
    for k, (_, held) in enumerate(splitter.split(strata, strata, group)):
        fold[held] = k
    return np.unique(fold, return_inverse=True)[1].astype(np.int64)
