"""The recipes by name, and which one a modality gets."""

import re

import numpy as np
import scipy.sparse as sp

from ._atac import AtacRecipe
from ._dense import DenseRecipe
from ._linear import Matrix
from ._protein import ProteinRecipe
from ._recipe import Recipe
from ._rna import RnaRecipe
from .checks import are_counts, check_values, nearly_counts

RECIPES: dict[str, type[Recipe]] = {r.name: r for r in (RnaRecipe, AtacRecipe, ProteinRecipe, DenseRecipe)}

# Words that stand alone in a modality's name or make up its feature type (10x: "Gene Expression", "Peaks", ...).
_WORDS = {
    "rna": {"rna", "mrna", "scrna", "snrna", "gex", "gene expression", "genes", "transcriptome", "transcriptomics"},
    "atac": {"atac", "scatac", "snatac", "peaks", "chromatin accessibility", "chromatin"},
    "protein": {"protein", "proteins", "prot", "adt", "antibody", "antibody capture", "cite", "surface protein"},
}


def choose_recipe(name: str, X: Matrix, *, feature_types: object = None) -> tuple[str, str]:
    """Choose the recipe for a modality from its feature types, its name and its values.

    Parameters
    ----------
    name
        Of the modality.
    X
        (n, p) sparse matrix or array.
    feature_types
        What 10x calls each feature, from ``var["feature_types"]``; used when all features agree. It outranks the name.

    Returns
    -------
    Name of the recipe, and the reason as one phrase.

    Examples
    --------
    >>> choose_recipe("rna", np.array([[3.0, 0.0], [1.0, 2.0]]))
    ('rna', "counts, named 'rna'")
    >>> choose_recipe("rna", np.array([[0.5, 0.0], [1.2, 2.0]]))
    ('dense', "named 'rna', but its values are no counts")
    """
    kinds = _kinds(feature_types)
    typed = _from_kinds(kinds)
    recipe = typed or _from_name(name)
    source = f"of type {', '.join(sorted(kinds))}" if typed else f"named {name!r}"
    counts = are_counts(X)
    if recipe and counts:
        return recipe, f"counts, {source}"
    if recipe:
        return "dense", f"{source}, but its values are no counts"
    return "dense", f"{'whole' if counts else 'real'} numbers, and {name!r} is no name of a counts modality"


def check_not_spoilt(name: str, X: Matrix, *, feature_types: object = None) -> None:
    """Refuse counts, by name or type, that a few values keep from being counts: they would be scaled and not normalised.

    Raises
    ------
    ValueError
        The wording of `check_values`. Values that plainly are no counts (log-normalised, z-scored) pass.
    """
    if (_from_kinds(_kinds(feature_types)) or _from_name(name)) and nearly_counts(X):
        check_values(name, X, counts=True)


def _kinds(feature_types: object) -> set[str]:
    """The feature types in lower case, each once."""
    return set() if feature_types is None else {str(t).lower() for t in np.unique(np.asarray(feature_types, dtype=str))}


def _from_kinds(kinds: set[str]) -> str | None:
    """The counts recipe that all feature types point to."""
    return next((recipe for recipe, words in _WORDS.items() if kinds and kinds <= words), None)


def _from_name(name: str) -> str | None:
    """The counts recipe that the name's words point to."""
    words = set(re.split(r"[^a-z]+", str(name).lower())) | {str(name).lower()}
    return next((recipe for recipe, known in _WORDS.items() if words & known), None)


def looks_logged(X: Matrix) -> bool:
    """Whether the values could be log-transformed counts: real, not negative, at most 25, and with exact zeros."""
    values = X.data if sp.issparse(X) else np.asarray(X).ravel()
    if not values.size or are_counts(X) or np.isnan(values).any() or values.min() < 0 or values.max() > 25:
        return False
    stored = np.count_nonzero(values)
    return stored < 0.9 * X.shape[0] * X.shape[1]
