"""What `describe` says about one modality."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
import scipy.sparse as sp

from omicsbal._validate import check_choice, listed

from ._linear import Matrix
from .align import matrix_of
from .checks import are_counts, check_matrix
from .recipes import RECIPES, check_not_spoilt, choose_recipe, looks_logged

if TYPE_CHECKING:
    from mudata import MuData

_FEW_CELLS = 50  # below this a modality's own model rests on a handful of cells a class


def facts(mdata: "MuData", m: str, *, recipe: str | None, layer: str | None, use_rep: str | None) -> dict[str, Any]:
    """One row of the table for modality `m`."""
    try:
        X, _, names = matrix_of(mdata, m, layer=layer, use_rep=use_rep)
    except ValueError as error:
        return {"cells": mdata.mod[m].n_obs, "features": mdata.mod[m].n_vars, "kind": "unreadable", "warnings": str(error)}
    spoilt: list[str] = []
    if recipe is not None:
        chosen, why = check_choice("recipe", recipe, RECIPES), "asked for"
    elif use_rep:
        chosen, why = "dense", f"obsm entry {use_rep!r}"
    else:
        types = mdata.mod[m].var.get("feature_types")
        chosen, why = choose_recipe(m, X, feature_types=types)
        spoilt = _complaint(lambda: check_not_spoilt(m, X, feature_types=types))
    n, p = X.shape
    present = n / max(mdata.n_obs, 1)
    # Infinite values are complained of twice in the same words.
    said = [*dict.fromkeys([*spoilt, *_faults(m, X, chosen, names)]), *_hints(mdata, m, X, chosen, why)]
    if n < _FEW_CELLS or present < 0.1:
        said.append(f"present in only {n} of {mdata.n_obs} cells")
    return {
        "cells": n,
        "present": present,
        "features": p,
        **_numbers(X),
        "recipe": chosen,
        "why": why,
        "components": RECIPES[chosen]().width(n, p) if n > 1 and p > 0 else 0,
        "warnings": "; ".join(said),
    }


def _numbers(X: Matrix) -> dict[str, Any]:
    """Summary of the values: shares of zeros and of NaN, kind, range, and median depth of counts."""
    values = X.data if sp.issparse(X) else X.ravel()
    size = max(X.shape[0] * X.shape[1], 1)
    known = values[~np.isnan(values)] if values.dtype.kind == "f" else values
    zeros = size - len(values) + int((known == 0).sum())
    bare = not known.size
    counts = are_counts(X)
    # Zeros that a sparse matrix does not store are values too.
    low, high = (np.nan, np.nan) if bare else (known.min(), known.max())
    if zeros:
        low, high = np.nanmin([low, 0]), np.nanmax([high, 0])
    return {
        "sparsity": zeros / size,
        "missing": (len(values) - len(known)) / size,
        "kind": _kind(X, known, counts=counts),
        "min": float(low),
        "max": float(high),
        "depth": float(np.median(np.asarray(X.sum(1)))) if counts and X.shape[0] else np.nan,
    }


def _kind(X: Matrix, known: np.ndarray, *, counts: bool) -> str:
    """One word for the values."""
    if not known.size or not known.any():
        return "empty"
    if counts:
        return "binary" if known.max() == 1 else "counts"
    if known.min() < 0:
        return "continuous"
    return "log counts?" if looks_logged(X) else "fractions" if known.max() <= 1 else "continuous"


def _complaint(check: Callable[[], None]) -> list[str]:
    """What a check says, in place of raising it."""
    try:
        check()
    except ValueError as error:
        return [str(error)]
    return []


def _faults(m: str, X: Matrix, recipe: str, names: list[str]) -> list[str]:
    """What would stop a fit."""
    said = _complaint(lambda: check_matrix(m, X, recipe))
    if len(set(names)) < len(names):
        twice = sorted({v for v, count in zip(*np.unique(names, return_counts=True), strict=True) if count > 1})
        said.append(f"repeated feature names: {listed(twice, 3)}")
    return said


def _hints(mdata: "MuData", m: str, X: Matrix, recipe: str, why: str) -> list[str]:
    """What the user may want to decide otherwise."""
    if recipe != "dense" or why == "asked for":
        return []
    if are_counts(X):
        return [f'whole numbers taken as they are: for sequencing counts pass recipe={{{m!r}: "rna"}}']
    if looks_logged(X) and "no counts" in why:
        layers = [k for k, v in mdata.mod[m].layers.items() if are_counts(v)]
        fix = f'pass layer={{{m!r}: "{layers[0]}"}}' if layers else "give the raw counts if you have them"
        return [f"values look log-transformed: {fix}"]
    return []
