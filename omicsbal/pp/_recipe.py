"""What all recipes share: input checks, the final scale, and a state of plain arrays."""

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.exceptions import NotFittedError

from omicsbal._validate import problem

from ._linear import Matrix, as_float32
from .checks import check_values


@dataclass(frozen=True)
class LinearStep:
    """Where a recipe turns linear: ``transform`` is ``gain * values @ axes`` less a vector that all rows share."""

    values: Matrix  # (n, q) float32, sparse where the recipe is: features after every step that is not linear
    columns: np.ndarray  # (q,) positions of these features among those of the recipe
    axes: np.ndarray | None  # (q, d); None where the features are the columns
    gain: float
    unit: str  # of the values


class Recipe(TransformerMixin, BaseEstimator):
    """Turns one modality's raw matrix into a small dense one, learning from the rows given to `fit` alone.

    Fitted state is the attributes that end in ``_``: arrays and numbers only, so a model is saved without pickle.

    Notes
    -----
    The output is divided by one scalar so that the mean squared norm of the training rows equals the number of columns d.
    Relative variances of components are kept, while learning rates and penalties mean the same for every modality.
    """

    name: ClassVar[str]  # key in RECIPES
    counts: ClassVar[bool]  # whether the input must be counts
    fill: ClassVar[float]  # what `take_features` should put where the query lacks a feature

    n_features_in_: int
    gain_: float

    def fit(self, X: Matrix, y: object = None) -> Self:
        """Learn from X (n, p), a sparse matrix or array.

        Parameters
        ----------
        X
            Training rows; counts for a counts recipe, else real numbers where NaN means not measured.
        y
            Ignored; here for scikit-learn.

        Returns
        -------
        The fitted recipe.

        Raises
        ------
        ValueError
            Infinite values; NaN, negative or non-integer values in a counts recipe; no variance; fewer than two rows.
        """
        X = check_values(self.name, as_float32(X), counts=self.counts)
        if X.shape[0] < 2:
            raise ValueError(problem(self.name, expected="at least two training rows", found=X.shape[0], do="Give more rows."))
        self.n_features_in_ = X.shape[1]
        self._learn(X)
        self.gain_ = 1.0
        Z = self._apply(X, np.zeros(X.shape[1], bool))
        power = float((Z.astype(np.float64) ** 2).sum(1).mean()) if Z.size else 0.0
        if not power > 0:
            raise ValueError(
                problem(self.name, expected="features that vary over the training rows", found="none", do="Leave it out.")
            )
        self.gain_ = float(np.sqrt(Z.shape[1] / power))
        return self

    def transform(self, X: Matrix, *, missing: np.ndarray | None = None) -> np.ndarray:
        """Apply to any rows.

        Parameters
        ----------
        X
            (n, p) with the columns of the training matrix, in that order.
        missing
            (p,) bool, features that the query does not have at all; they contribute their training mean instead of a zero.

        Returns
        -------
        (n, d) float32, C-contiguous.

        Raises
        ------
        ValueError
            Another number of columns than in training, or infinite values.
        """
        return np.ascontiguousarray(self._apply(*self._checked(X, missing)), dtype=np.float32)

    def linear(self, X: Matrix, *, missing: np.ndarray | None = None) -> LinearStep | None:
        """The last step of `transform`, taken apart, so that what is said of its columns can be carried back to features.

        Parameters
        ----------
        X, missing
            As in `transform`.

        Returns
        -------
        The step; None where a recipe does not end in a linear one.

        Raises
        ------
        ValueError
            As in `transform`.
        """
        return self._linear(*self._checked(X, missing))

    def _checked(self, X: Matrix, missing: np.ndarray | None) -> tuple[Matrix, np.ndarray]:
        """Rows fit to be transformed, and which features they lack."""
        if not hasattr(self, "gain_"):
            raise NotFittedError(problem(self.name, expected="a fitted recipe", found="none", do="Call fit first."))
        X = as_float32(X)
        if X.shape[1] != self.n_features_in_:
            todo = "Reorder the columns with match_features and take_features."
            raise ValueError(problem(self.name, expected=f"{self.n_features_in_} columns", found=X.shape[1], do=todo))
        # A counts recipe whose fill is NaN reads NaN as a feature that the query lacks.
        check_values(self.name, X, counts=self.counts, nan=bool(np.isnan(self.fill)))
        return X, np.zeros(X.shape[1], bool) if missing is None else np.asarray(missing, bool)

    @property
    def n_out(self) -> int:
        """Columns of the output; known once fitted."""
        return int(self.transform(np.zeros((1, self.n_features_in_), np.float32)).shape[1])

    @property
    def note(self) -> str:
        """What was left out of the input, in words; empty if nothing."""
        return ""

    def state(self) -> dict[str, np.ndarray]:
        """Everything learnt, as arrays; numbers are 0-dimensional.

        Returns
        -------
        One entry a fitted attribute.
        """
        return {k: np.asarray(v) for k, v in sorted(vars(self).items()) if k.endswith("_") and not k.startswith("_")}

    @classmethod
    def from_state(cls, params: Mapping[str, Any], state: Mapping[str, np.ndarray]) -> Self:
        """Rebuild a fitted recipe; its `transform` is bit-identical to that of the original.

        Parameters
        ----------
        params
            What ``get_params()`` gave.
        state
            What `state` gave.

        Returns
        -------
        The fitted recipe.
        """
        recipe = cls(**params)
        for key, value in state.items():
            array = np.asarray(value)
            setattr(recipe, key, array.item() if array.ndim == 0 else np.ascontiguousarray(array))
        return recipe

    @abstractmethod
    def width(self, n: int, p: int) -> int:
        """Columns to expect from n training rows with p varying features; fewer where the features depend on each other.

        Parameters
        ----------
        n
            Training rows, at least 2.
        p
            Features that vary.

        Returns
        -------
        The most columns that `transform` can give.
        """

    @abstractmethod
    def _learn(self, X: Matrix) -> None:
        """Set the fitted attributes from checked training rows."""

    @abstractmethod
    def _apply(self, X: Matrix, missing: np.ndarray) -> np.ndarray:
        """Transform checked rows, multiplied by `gain_`."""

    def _linear(self, X: Matrix, missing: np.ndarray) -> LinearStep | None:
        """`linear` of checked rows; recipes that end in a linear step say so."""
        return None
