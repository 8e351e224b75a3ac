"""How each modality of a MuData becomes a block of numbers, learnt once and applied to any other MuData."""

import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from omicsbal._validate import OmicsbalWarning, check_choice, listed, problem

from ._recipe import LinearStep, Recipe
from .align import match_features, matrix_of, take_features
from .checks import check_matrix
from .options import per_modality
from .recipes import RECIPES, check_not_spoilt, choose_recipe

if TYPE_CHECKING:
    from mudata import MuData

FEW_ROWS = 20  # below this, four or fewer held-out rows a fold of five: a score is a matter of luck


@dataclass(frozen=True)
class Source:
    """One modality: where its matrix is, which features, and the fitted recipe."""

    name: str
    recipe: Recipe
    features: tuple[str, ...]
    layer: str = ""
    use_rep: str = ""
    why: str = ""

    def block(self, mdata: "MuData", *, min_coverage: float = 1.0) -> tuple[np.ndarray, np.ndarray, float]:
        """The modality as (n, d) float32, zero where absent; presence (n,); and the share of the model's features found.

        Raises
        ------
        ValueError
            Fewer of the features are there than `min_coverage`.
        """
        present = np.zeros(mdata.n_obs, dtype=bool)
        if self.name not in mdata.mod:
            return np.zeros((mdata.n_obs, self.recipe.n_out), np.float32), present, np.nan
        X, rows, missing, coverage = self._matched(mdata, min_coverage)
        Z = self.recipe.transform(X, missing=missing)
        block = np.zeros((mdata.n_obs, Z.shape[1]), np.float32)
        block[rows], present[rows] = Z, True
        return block, present, coverage

    def linear(self, mdata: "MuData", *, min_coverage: float = 1.0) -> tuple[LinearStep | None, np.ndarray, np.ndarray]:
        """The recipe's last step (`Recipe.linear`), the rows of the MuData it is of, and which features they lack (p,) bool.

        Raises
        ------
        ValueError
            As in `block`.
        """
        X, rows, missing, _ = self._matched(mdata, min_coverage)
        return self.recipe.linear(X, missing=missing), rows, missing

    def _matched(self, mdata: "MuData", min_coverage: float) -> tuple[Any, np.ndarray, np.ndarray, float]:
        """The matrix with the model's features, its rows in the MuData, features that are missing, the share found."""
        X, rows, names = matrix_of(mdata, self.name, layer=self.layer or None, use_rep=self.use_rep or None)
        positions, coverage = match_features(self.features, names)
        if coverage < min_coverage:
            absent = [f for f, p in zip(self.features, positions, strict=True) if p < 0]
            expected = f"at least {min_coverage:.0%} of the model's {len(self.features)} features"
            found = f"{coverage:.0%}; missing are {listed(absent)}; the query has {listed(names, 4)}"
            do = "Match the feature names to the model's, leave the modality out with modalities=[...], or lower min_coverage."
            raise ValueError(problem(self.name, expected=expected, found=found, do=do))
        return take_features(X, positions, fill=self.recipe.fill), rows, positions < 0, coverage


@dataclass(frozen=True)
class Plan:
    """A modality before its recipe is fitted."""

    name: str
    recipe: Recipe
    why: str
    X: Any  # (n_present, p)
    rows: np.ndarray  # (n_present,) positions in the MuData
    features: tuple[str, ...]
    layer: str
    use_rep: str

    def learn(self, training: np.ndarray) -> Source:
        """Fit the recipe on the training rows (n,) bool of the MuData."""
        here = training[self.rows]
        recipe = self.recipe.fit(self.X if here.all() else self.X[here])
        return Source(self.name, recipe, self.features, self.layer, self.use_rep, self.why)


@dataclass(frozen=True)
class Options:
    """What the user said about how to read modalities; each by modality or one value for all."""

    recipe: Mapping[str, Any] | str | None = None
    use_rep: Mapping[str, str] | str | None = None
    layer: Mapping[str, str] | str | None = None
    modalities: list[str] = field(default_factory=list)


def plan(mdata: "MuData", options: Options, training: np.ndarray) -> list[Plan]:
    """Choose a recipe for each modality and check everything that can be checked before it is fitted.

    Parameters
    ----------
    mdata
        Left as it is.
    options
        Modalities wanted, in this order, and overrides.
    training
        (n,) bool, rows that will be trained on.

    Raises
    ------
    KeyError, ValueError
        Unknown names; a modality absent from all training rows; a matrix its recipe cannot learn from; counts spoilt by a few
        NaN or negative values, unless a recipe is given.

    Warns
    -----
    OmicsbalWarning
        A modality is present in fewer than `FEW_ROWS` training rows; points to the line that calls `fit`.
    """
    wanted = {k: per_modality(k, getattr(options, k), list(mdata.mod)) for k in ("recipe", "use_rep", "layer")}
    plans = []
    for m in options.modalities:
        layer, rep = wanted["layer"][m], wanted["use_rep"][m]
        X, rows, names = matrix_of(mdata, m, layer=layer, use_rep=rep)
        recipe, why = _recipe(m, wanted["recipe"][m], X, None if rep else mdata.mod[m].var.get("feature_types"), rep)
        here = training[rows]
        leave = f"modalities={[k for k in options.modalities if k != m]}."
        if not here.any():
            expected = "cells that have it among the training rows"
            raise ValueError(problem(m, expected=expected, found="none", do=f"Leave it out: {leave}"))
        if not pd.Index(names).is_unique:
            raise ValueError(problem(m, expected="unique feature names", found="repeated names", do="Make them unique."))
        check_matrix(m, X if here.all() else X[here], recipe.name)
        if here.sum() < FEW_ROWS:
            do = f"Its scores will mean little; to leave it out: {leave}"
            text = problem(m, expected=f"at least {FEW_ROWS} training rows that have it", found=int(here.sum()), do=do)
            warnings.warn(text, OmicsbalWarning, stacklevel=3)
        plans.append(Plan(m, recipe, why, X, rows, tuple(names), layer or "", rep or ""))
    return plans


def _recipe(name: str, asked: Any, X: Any, feature_types: Any, rep: str | None) -> tuple[Recipe, str]:
    """The unfitted recipe and why it was chosen."""
    if isinstance(asked, Recipe):
        from sklearn.base import clone

        return clone(asked), "as asked"
    if asked is not None:
        return RECIPES[check_choice("recipe", asked, RECIPES)](), "as asked"
    if rep:
        return RECIPES["dense"](), f"from obsm[{rep!r}]"
    check_not_spoilt(name, X, feature_types=feature_types)
    chosen, why = choose_recipe(name, X, feature_types=feature_types)
    return RECIPES[chosen](), why
