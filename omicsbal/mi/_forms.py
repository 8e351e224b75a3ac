"""The forms that `between` sets side by side, each with its error and its chance, and the choice among them."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.stats import t as student

from omicsbal.mi._rows import thinned
from omicsbal.mi.axes import canonical_scores
from omicsbal.mi.chance import null_distribution
from omicsbal.mi.gaussian import from_bases
from omicsbal.mi.knn import MOST, neighbour_mi, scatter

N_AXES = 3  # a side, for neighbours
NULL_ROWS = 1000  # chance of neighbours is measured on so many rows, and shrunk by sqrt(rows) beyond
DRAWS = 4000  # of each form's chance, from which that of the chosen value follows


@dataclass(frozen=True)
class Form:
    """An estimate: nats, standard error, and draws (`DRAWS`,) of what independent sides would give."""

    value: float
    se: float
    chance: np.ndarray


def choose(forms: dict[str, Form]) -> tuple[str, tuple[float, float]]:
    """Name of the form to report, and the central 95 % of what the same choice gives by chance.

    The first form is the most exact: another takes its place if it is larger by more than its own standard error.
    """
    allowance = np.array([0.0, *(form.se for form in list(forms.values())[1:])])
    values = np.array([form.value for form in forms.values()])
    chance = np.stack([form.chance for form in forms.values()])  # of independent forms: wider than the truth, if anything
    best = (values - allowance).argmax()
    chosen = np.take_along_axis(chance, (chance - allowance[:, None]).argmax(axis=0)[None], axis=0)[0]
    low, high = np.quantile(chosen, [0.025, 0.975])
    return list(forms)[best], (float(low), float(high))


def draws(levels_to_nats: Callable[[np.ndarray], np.ndarray], seed: int) -> np.ndarray:
    """`DRAWS` evenly spaced quantiles of a distribution, in an order of their own."""
    return levels_to_nats(np.random.default_rng(seed).permutation((np.arange(DRAWS) + 0.5) / DRAWS))


def predictive(values: np.ndarray, seed: int, wider: float = 1.0) -> np.ndarray:
    """Draws of one more value like these: Student's t about their mean, as wide as so few of them demand."""
    m = len(values)
    return draws(student(m - 1, loc=values.mean(), scale=values.std(ddof=1) * np.sqrt(1 + 1 / m) * wider).ppf, seed)


def by_copula(a: np.ndarray, b: np.ndarray) -> Form:
    """From orthonormal bases of normal scores; chance is known exactly for Gaussian rows."""
    value, se = from_bases(a, b)
    return Form(value, se, draws(null_distribution(len(a), (a.shape[1], b.shape[1])).ppf, seed=0))


def _on_axes(a: np.ndarray, b: np.ndarray, random_state: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Few columns a side, and the part (n,) that each row is to be compared within."""
    if max(a.shape[1], b.shape[1]) <= N_AXES:  # nothing to choose, so no rows are spent on choosing
        return a, b, np.zeros(len(a), dtype=int)
    return canonical_scores(a, b, n_axes=N_AXES, random_state=random_state)


def _within_parts(a: np.ndarray, b: np.ndarray, part: np.ndarray) -> float:
    """Neighbour information, averaged over parts."""
    masks = [part == k for k in range(int(part.max()) + 1)]
    return float(np.mean([neighbour_mi(a[mask], b[mask]) for mask in masks]))


def by_neighbours(a: np.ndarray, b: np.ndarray, *, n_null: int, random_state: int) -> Form:
    """From normal scores, on few axes; chance from permutations of the rows of b."""
    rows = thinned(len(a), MOST)
    a, b = a[rows], b[rows]
    left, right, part = _on_axes(a, b, random_state)
    value = _within_parts(left, right, part)
    error = scatter(lambda rows: _within_parts(left[rows], right[rows], part[rows]), len(a), random_state=random_state)

    rng = np.random.default_rng(random_state)
    few = thinned(len(a), NULL_ROWS)
    found = [_within_parts(*_on_axes(a[few], b[rng.permutation(few)], random_state)) for _ in range(n_null)]
    chance = np.array(found) * np.sqrt(len(few) / len(a))
    error = error if np.isfinite(error) else float(chance.std(ddof=1))  # too few rows for blocks
    return Form(value, error, predictive(chance, seed=1))
