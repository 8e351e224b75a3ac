"""What a user would take instead of a network: linear, tree and neighbour models on the features of one outer fold."""

import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
from scipy.optimize import minimize
from scipy.special import softmax
from sklearn.base import clone
from sklearn.decomposition import PCA
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import f1_score

from omicsbal.diagnostics.weighted_neighbours import neighbour_votes
from omicsbal.train.experts import CONCAT, rotated

STRENGTHS = (1e-3, 1e-2, 1e-1, 1.0)  # C, on blocks whose mean squared row norm is their width
FLOOR, SOFT = 1e-6, 1e-3  # probabilities of a pool and of a stack are raised to these before the log
LEADING = 50  # components of a modality that other models than linear ones get
RIDGE = 0.02  # pulls the weights of a pool of H members towards 1 / H


def clock() -> np.ndarray:
    """Seconds on the wall and of the processors, this process and its children: take the difference of two."""
    return np.array([time.perf_counter(), time.process_time() + sum(os.times()[2:4])])


@dataclass(frozen=True)
class Member:
    """One tuned logistic regression; NaN where a row lacks the modality, and everywhere if a part to learn from has one class."""

    proba: np.ndarray  # (n_test, c)
    held_out: np.ndarray  # (n_train, c), by inner folds
    cost: np.ndarray  # seconds on the wall, of the processors


@dataclass
class Fold:
    """One outer fold as the baselines see it. A member is fitted when first asked for; all that share it pay for it."""

    train: Mapping[str, np.ndarray]  # {m: (n_train, d)}, zero where absent
    test: Mapping[str, np.ndarray]  # {m: (n_test, d)}
    present: Mapping[str, np.ndarray]  # {m: (n_train,) bool}
    present_test: Mapping[str, np.ndarray]
    y: np.ndarray  # (n_train,) codes
    n_classes: int
    inner: np.ndarray  # (n_train,) inner fold of a row
    reading: Mapping[str, np.ndarray]  # {m: cost} of the recipe
    seed: int = 0
    fitted: dict[str, Member] = field(default_factory=dict)
    narrow: dict[str, list[np.ndarray]] = field(default_factory=dict)
    narrowing: np.ndarray = field(default_factory=lambda: np.zeros(2))  # what that cost

    @property
    def modalities(self) -> list[str]:
        """Names, in order."""
        return list(self.train)

    def joined(self) -> tuple[np.ndarray, np.ndarray]:
        """All features side by side, of training rows and of test rows."""
        return np.hstack(list(self.train.values())), np.hstack(list(self.test.values()))

    def member(self, name: str) -> Member:
        """The logistic regression of a modality, or of all together (`CONCAT`)."""
        if name not in self.fitted:
            begin = clock()
            whole = name == CONCAT
            x, new = self.joined() if whole else (self.train[name], self.test[name])
            here = np.ones(len(x), bool) if whole else self.present[name]
            there = np.ones(len(new), bool) if whole else self.present_test[name]
            proba, held_out = np.full((len(new), self.n_classes), np.nan), np.full((len(x), self.n_classes), np.nan)
            y, inner = self.y[here], self.inner[here]
            if len(y) and all(len(np.unique(y[inner != k])) > 1 for k in np.unique(inner)):
                scores, basis = rotated(x[here])
                model, held_out[here] = tuned(scores, y, inner, self.n_classes)
                if there.any():
                    proba[there] = class_probabilities(model, new[there] @ basis, self.n_classes)
            self.fitted[name] = Member(proba, held_out, clock() - begin)
        return self.fitted[name]

    def leading(self) -> dict[str, list[np.ndarray]]:
        """The `LEADING` principal components of each modality, of training rows and of test rows.

        Trees drown in hundreds of components that hold noise: on ROSMAP (three modalities of 200 features, three folds) a forest
        got a macro-F1 of 0.57 from all components, 0.71 from the features and 0.73 from the leading 50.
        """
        if not self.narrow:
            begin = clock()
            for m, x in self.train.items():
                self.narrow[m] = [x, self.test[m]]
                if x.shape[1] > LEADING:
                    axes = PCA(min(LEADING, len(x) - 1), random_state=self.seed).fit(x)
                    self.narrow[m] = [axes.transform(x), axes.transform(self.test[m])]
            self.narrowing = clock() - begin
        return self.narrow

    def classify(self, estimator: Any) -> tuple[np.ndarray, np.ndarray]:
        """Probabilities (n_test, c) by a fresh copy of any classifier, from the leading components; and the whole cost."""
        parts = list(self.leading().values())
        begin = clock()
        x, new = (np.hstack([part[i] for part in parts]) for i in range(2))
        proba = class_probabilities(clone(estimator).fit(x, self.y), new, self.n_classes)
        return proba, clock() - begin + self.narrowing + sum(self.reading.values())


def class_probabilities(model: Any, x: np.ndarray, n_classes: int) -> np.ndarray:
    """(n, c) probabilities; 0 for classes that the model has not met."""
    proba = np.zeros((len(x), n_classes))
    proba[:, np.asarray(model.classes_, dtype=int)] = model.predict_proba(x)
    return proba


def tuned(x: np.ndarray, y: np.ndarray, inner: np.ndarray, n_classes: int) -> tuple[LogisticRegression, np.ndarray]:
    """Class-balanced logistic regression at the C with the best macro-F1 over inner folds, and its predictions there (n, c)."""
    best, strength, kept = -1.0, STRENGTHS[0], np.empty((len(y), n_classes))
    for candidate in STRENGTHS:
        held_out = np.empty((len(y), n_classes))
        for k in np.unique(inner):
            part = inner != k
            model = LogisticRegression(C=candidate, max_iter=500, class_weight="balanced").fit(x[part], y[part])
            held_out[~part] = class_probabilities(model, x[~part], n_classes)
        score = f1_score(y, held_out.argmax(1), average="macro")
        if score > best + 1e-9:
            best, strength, kept = score, candidate, held_out
    return LogisticRegression(C=strength, max_iter=1000, class_weight="balanced").fit(x, y), kept


def neutral(members: Sequence[np.ndarray]) -> np.ndarray:
    """(H, n, c) with the same probability for all classes where a member is silent."""
    stack = np.stack(list(members))
    return np.where(np.isnan(stack), 1 / stack.shape[-1], stack)


def log_linear_weights(held_out: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Weights w (H,) >= 0 of the pool ``softmax(sum_h w_h log p_h)`` from held-out probabilities (H, n, c).

    They minimise the class-balanced log-loss (nats) plus ``RIDGE * sum_h (w_h - 1 / H)^2``, a convex problem.
    """
    logs, rows = np.log(np.maximum(held_out, FLOOR)), np.arange(len(y))
    count = np.bincount(y, minlength=held_out.shape[-1])
    share = 1 / (np.count_nonzero(count) * count[y])
    start = np.full(len(logs), 1 / len(logs))

    def objective(w: np.ndarray) -> tuple[float, np.ndarray]:
        mixed = softmax(np.tensordot(w, logs, 1), axis=1)
        gradient = np.einsum("hnc,nc,n->h", logs, mixed, share) - logs[:, rows, y] @ share
        value = -(share * np.log(np.maximum(mixed[rows, y], 1e-300))).sum() + RIDGE * ((w - start) ** 2).sum()
        return value, gradient + 2 * RIDGE * (w - start)

    return minimize(objective, start, jac=True, method="L-BFGS-B", bounds=[(0.0, None)] * len(logs)).x


def _single(fold: Fold, members: list[Member]) -> np.ndarray:
    return members[0].proba


def _late(fold: Fold, members: list[Member]) -> np.ndarray:
    """Mean of the probabilities of the modalities that a row has; NaN if none of them speaks."""
    stack = np.stack([m.proba for m in members])
    spoken = ~np.isnan(stack[..., :1])
    total = np.where(spoken, stack, 0).sum(0)
    return np.divide(total, spoken.sum(0), out=np.full_like(total, np.nan), where=spoken.any(0))


def _stack(fold: Fold, members: list[Member]) -> np.ndarray:
    """Logistic regression on the logs of held-out probabilities."""
    told = [np.log(np.hstack(list(neutral(p))) + SOFT) for p in ([m.held_out for m in members], [m.proba for m in members])]
    model = LogisticRegression(C=1.0, max_iter=1000, class_weight="balanced").fit(told[0], fold.y)
    return class_probabilities(model, told[1], fold.n_classes)


def _pool(fold: Fold, members: list[Member]) -> np.ndarray:
    """Log-linear pool."""
    weights = log_linear_weights(neutral([m.held_out for m in members]), fold.y)
    logs = np.log(np.maximum(neutral([m.proba for m in members]), FLOOR))
    return softmax(np.tensordot(weights, logs, 1), axis=1)


def _forest(fold: Fold, members: list[Member]) -> np.ndarray:
    return fold.classify(RandomForestClassifier(300, class_weight="balanced_subsample", random_state=fold.seed))[0]


def _boosting(fold: Fold, members: list[Member]) -> np.ndarray:
    return fold.classify(HistGradientBoostingClassifier(class_weight="balanced", random_state=fold.seed))[0]


def _neighbours(fold: Fold, members: list[Member]) -> np.ndarray:
    complete = all(p.all() for where in (fold.present, fold.present_test) for p in where.values())
    if not complete or len(fold.modalities) < 2:
        message = "Weighted neighbours need two modalities or more, and every one of them in each row."
        raise ValueError(message)
    train, test = ({m: part[i] for m, part in fold.leading().items()} for i in range(2))
    return neighbour_votes(train, test, fold.y, fold.n_classes, random_state=fold.seed)


@dataclass(frozen=True)
class Baseline:
    """What it combines, and how."""

    needs: Callable[[list[str]], list[str]]  # the members, given the modalities
    tell: Callable[[Fold, list[Member]], np.ndarray]


BASELINES = {
    "lr:concat": Baseline(lambda modalities: [CONCAT], _single),
    "lr:late": Baseline(lambda modalities: modalities, _late),
    "lr:stack": Baseline(lambda modalities: modalities, _stack),
    "lr:pool": Baseline(lambda modalities: [*modalities, CONCAT], _pool),
    "rf:concat": Baseline(lambda modalities: [], _forest),
    "gb:concat": Baseline(lambda modalities: [], _boosting),
    "knn:wnn": Baseline(lambda modalities: [], _neighbours),
}


def baselines_of(modalities: Sequence[str]) -> dict[str, Baseline]:
    """All baselines by name, those of single modalities first."""
    return {f"lr:{m}": Baseline(partial(_alone, name=m), _single) for m in modalities} | BASELINES


def _alone(modalities: list[str], name: str) -> list[str]:
    return [name]


def run_baseline(fold: Fold, system: Baseline) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities (n_test, c), NaN where it cannot speak, and its cost: recipes, members and what it adds."""
    names = system.needs(fold.modalities)
    members = [fold.member(name) for name in names]
    if not names:
        fold.leading()
    begin = clock()
    proba = system.tell(fold, members)
    read = fold.modalities if CONCAT in names or not names else names
    shared = sum(m.cost for m in members) + sum(fold.reading[m] for m in read)
    return proba, clock() - begin + shared + (0 if names else fold.narrowing)
