"""The label-decomposed form of `between`: what labels explain by classifiers and neighbours, the rest Gaussian within classes."""

from dataclasses import dataclass, replace

import numpy as np

from omicsbal.mi._forms import NULL_ROWS, Form, predictive
from omicsbal.mi._result import Information
from omicsbal.mi._rows import thinned
from omicsbal.mi.axes import discriminant_scores, principal_scores
from omicsbal.mi.gaussian import within_class_mi
from omicsbal.mi.knn import ross
from omicsbal.mi.labels import with_labels

N_FOLDS = 5


@dataclass(frozen=True)
class Chain:
    """The terms of the chain rule from some rows: columns that weigh alike, class codes (n,) and folds (n,)."""

    a: np.ndarray
    b: np.ndarray
    y: np.ndarray
    folds: np.ndarray
    random_state: int

    def told(self, z: np.ndarray) -> Information:
        """I(Z;Y), all terms on the same folds, so that what the folds do cancels."""
        return with_labels(z, self.y, folds=self.folds, n_null=2, random_state=self.random_state)

    def moved(self, order: np.ndarray) -> "Chain":
        """The same with the rows of b in another order."""
        return replace(self, b=self.b[order])

    @property
    def both(self) -> np.ndarray:
        """A and B side by side."""
        return np.hstack([self.a, self.b])

    def estimate(self) -> tuple[float, float]:
        """I(A;B) = I(A;Y) + I(B;Y) - I(AB;Y) + I(A;B|Y), and its error as if the terms erred independently: an upper bound."""
        alone, other, both = (self.told(z) for z in (self.a, self.b, self.both))
        within, within_se = within_class_mi(self.a, self.b, self.y)
        se = np.sqrt(within_se**2 + alone.se**2 + other.se**2 + both.se**2)
        return alone.value + other.value - both.value + within, float(se)

    def by_neighbours(self) -> float:
        """The same sum from the neighbour forms of `with_labels`, which cost a hundredth of its classifiers."""
        alone, other, both = (self.near(z) for z in (self.a, self.b, self.both))
        return alone + other - both + within_class_mi(self.a, self.b, self.y)[0]

    def near(self, z: np.ndarray) -> float:
        """I(Z;Y) by neighbours."""
        axes = principal_scores(z), discriminant_scores(z, self.y, folds=self.folds)
        return max(0.0, *(ross(scores, self.y) for scores in axes))


def chain(a: np.ndarray, b: np.ndarray, y: np.ndarray, *, random_state: int) -> Chain:
    """From columns of any scale."""
    a, b = (x / np.sqrt(((x - x.mean(axis=0)) ** 2).mean()) for x in (a, b))
    shuffled = np.random.default_rng(random_state).permutation(len(y))
    folds = np.empty(len(y), dtype=int)
    folds[shuffled[np.argsort(y[shuffled], kind="stable")]] = np.arange(len(y)) % N_FOLDS  # equal shares of every class
    return Chain(a, b, y, folds, random_state)


def by_labels(a: np.ndarray, b: np.ndarray, y: np.ndarray, *, n_null: int, random_state: int) -> Form:
    """By the chain rule, from columns and class codes (n,).

    Chance from permutations of the rows of b by the neighbour forms, shifted to what the classifiers give in the first of them
    (columns that know nothing cost either some of what it knew); wider by sqrt(2), for the shift is as uncertain as the spread.
    """
    terms = chain(a, b, y, random_state=random_state)
    value, se = terms.estimate()
    few = np.sort(np.argsort(y, kind="stable")[thinned(len(y), NULL_ROWS)])
    terms = Chain(terms.a[few], terms.b[few], y[few], terms.folds[few], random_state)
    rng = np.random.default_rng(random_state)
    moved = [terms.moved(rng.permutation(len(few))) for _ in range(n_null)]
    found = np.array([other.by_neighbours() for other in moved])
    first = moved[0]
    told = first.told(first.a).value - first.told(first.both).value
    found += told - first.near(first.a) + first.near(first.both)  # I(B;Y) is chance, by neighbours as by classifiers
    return Form(value, se, predictive(found * np.sqrt(len(few) / len(y)), seed=2, wider=np.sqrt(2)))
