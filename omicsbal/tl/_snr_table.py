"""Rows of the table of signal-to-noise ratios: a number and its note, or the reason why there is none."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
import scipy.sparse as sp
from sklearn.base import clone

from omicsbal.diagnostics._jackknife import Estimate
from omicsbal.diagnostics.snr import cross_snr, fragments, split_snr
from omicsbal.diagnostics.snr_classes import label_snr
from omicsbal.pp._recipe import Recipe
from omicsbal.pp.labels import likely_task
from omicsbal.pp.sources import Plan
from omicsbal.tl._snr_words import class_words, cross_words, label_words, split_words

COLUMNS = ["modality", "method", "measure", "partner", "class", "value", "low", "high", "p", "n", "note", "recipe"]
FEW_CELLS = 30  # below this ten cells are held out: no correlation is worth a number
NO_COUNTS = "no raw counts, so there are no halves to compare"
BINARY = "binarised, so halves would exclude each other: give the counts"


@dataclass
class Measured:
    """One modality: matrix (n, p), its rows in the MuData, recipe cut to a few components; and what was derived from them."""

    name: str
    X: Any
    rows: np.ndarray
    recipe: Recipe
    folds: np.ndarray  # of its rows
    groups: np.ndarray | None  # of its rows
    random_state: int
    cut_sites: bool = False
    _held_out: list[np.ndarray] = field(default_factory=list)
    _crossed: dict[str, tuple[Estimate, Estimate]] = field(default_factory=dict)

    @classmethod
    def of(cls, plan: Plan, n_components: int, folds: np.ndarray, groups: np.ndarray | None, random_state: int) -> "Measured":
        """From a plan, with the folds and groups of all rows of the MuData."""
        recipe = clone(plan.recipe)
        if "n_components" in recipe.get_params():
            recipe.set_params(n_components=n_components)
        X, cut_sites = fragments(plan.X) if recipe.name == "atac" else (plan.X, False)
        mine = None if groups is None else groups[plan.rows]
        return cls(plan.name, X, plan.rows, recipe, folds[plan.rows], mine, random_state, cut_sites)

    @property
    def said(self) -> str:
        """The recipe and its settings."""
        settings = ", ".join(f"{k}={v}" for k, v in sorted(self.recipe.get_params().items()))
        return f"{self.recipe.name}({settings})" + (" of fragments" if self.cut_sites else "")

    def held_out(self) -> list[np.ndarray]:
        """Components (n, d) of all its rows, learnt without each fold in turn."""
        if not self._held_out:
            for k in range(int(self.folds.max()) + 1):
                self._held_out.append(clone(self.recipe).fit(self.X[self.folds != k]).transform(self.X))
        return self._held_out


def _row(block: Measured, method: str, found: Estimate, note: str, **more: str) -> dict[str, Any]:
    """One row."""
    known = {"modality": block.name, "method": method, "measure": "snr2", "partner": "", "class": "", "recipe": block.said}
    numbers = {"value": found.value, "low": found.low, "high": found.high, "p": found.p, "n": found.n}
    return known | numbers | {"note": note} | more


def _nothing(n: int) -> Estimate:
    """No number."""
    return Estimate(np.nan, np.nan, np.nan, n)


def split_rows(block: Measured) -> tuple[dict[str, Any], Estimate | None]:
    """The row of the split form, and its estimate if there is one."""
    why = _no_split(block)
    if not why:
        try:
            options: dict[str, Any] = {"folds": block.folds, "groups": block.groups, "random_state": block.random_state}
            found = split_snr(block.X, block.recipe, **options)
        except ValueError as error:  # of the recipe: half of so few counts does not vary
            why = f"too shallow to be split: {error}"
    if why:
        return _row(block, "split", _nothing(len(block.rows)), why), None
    return _row(block, "split", found, split_words(found)), found


def _no_split(block: Measured) -> str:
    """Why there are no halves to compare; empty if there are."""
    if not getattr(block.recipe, "counts", False):
        return NO_COUNTS
    values = block.X.data if sp.issparse(block.X) else block.X
    if values.max(initial=0) <= 1 and not block.cut_sites:
        return BINARY
    return _few(len(block.rows), block.folds)


def _few(n: int, folds: np.ndarray) -> str:
    """Whether too few cells are there to be held out."""
    if n < FEW_CELLS:
        return f"too few cells ({n}; {FEW_CELLS} are needed)"
    sizes = np.bincount(folds)
    return f"too few cells in a fold ({sizes.min()})" if len(sizes) < 2 or sizes.min() < 5 else ""


def label_rows(block: Measured, labels: pd.Series | None, split: Estimate | None) -> tuple[list[dict[str, Any]], Estimate | None]:
    """The rows of the label form: all classes, then each; and the estimate of all if there is one."""
    if labels is None:
        return [_row(block, "label", _nothing(len(block.rows)), "no label_key given")], None
    mine = labels.iloc[block.rows]
    known = mine.notna().to_numpy()
    told = mine[known].astype(object).astype(str)
    counts = told.value_counts()
    if likely_task(labels)[0] == "regression":
        why = "the label is a quantity: classes are needed"
    elif len(counts) < 2:
        why = f"cells of {len(counts)} class: two are needed"
    else:
        why = f"too few cells ({len(told)} in {len(counts)} classes)" if len(told) < 2 * len(counts) else ""
    if why:
        return [_row(block, "label", _nothing(len(told)), why)], None
    names, y = np.unique(told.to_numpy(dtype=str), return_inverse=True)
    x = clone(block.recipe).fit_transform(block.X)[known]
    groups = None if block.groups is None else block.groups[known]
    overall, each = label_snr(x, y, groups=groups, random_state=block.random_state)
    rows = [_row(block, "label", overall, label_words(overall, split))]
    rows += [_row(block, "label", e, class_words(e), **{"class": str(c)}) for c, e in zip(names, each, strict=True)]
    return rows, overall


def cross_rows(block: Measured, other: Measured, label: Estimate | None) -> list[dict[str, Any]]:
    """The two rows of the cross form: nats, and signal-to-noise ratio."""
    _, here, there = np.intersect1d(block.rows, other.rows, assume_unique=True, return_indices=True)
    why = _few(len(here), block.folds[here])
    if why:
        return [_row(block, "cross", _nothing(len(here)), why, measure="nats", partner=other.name)]
    if block.name not in other._crossed:
        a, b = ([x[mine] for x in m.held_out()] for m, mine in ((block, here), (other, there)))
        groups = None if block.groups is None else block.groups[here]
        found = cross_snr(a, b, folds=block.folds[here], groups=groups, random_state=block.random_state)
        block._crossed[other.name] = found
    signal, nats = block._crossed[other.name] if other.name in block._crossed else other._crossed[block.name]
    note = cross_words(nats, label)
    return [
        _row(block, "cross", nats, note, measure="nats", partner=other.name),
        _row(block, "cross", signal, note, partner=other.name),
    ]
