"""What a model says of labelled rows when it sees each coalition of modalities, and what that is worth."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

import numpy as np

from omicsbal.diagnostics.resampling import draw_weights, interval
from omicsbal.diagnostics.shapley import Game, Pattern

DRAWS = 500  # bootstrap draws: linear, so they cost one matrix product
FEWEST = 30  # rows
LEAST_ERROR = 1e-6  # of the label's variance: 7 nats are as good as certain


@dataclass(frozen=True)
class Answers:
    """What a model says of n labelled rows when it sees each coalition of a game."""

    game: Game
    log_truth: np.ndarray  # (n, C) log p(y | x_S), nats; the prior's for the empty coalition
    guess: np.ndarray  # (n, C) codes of the most probable class, or predicted values
    y: np.ndarray  # (n,) codes, or values
    groups: np.ndarray | None  # (n,) codes of donors
    classes: tuple[str, ...]  # empty: the label is a number
    rows: str  # "out-of-fold" or "held-out"
    seed: int = 0
    permuted: dict[str, np.ndarray] = field(default_factory=dict)  # {m: (n, R)} codes that are told when m is permuted

    def draws(self) -> np.ndarray:
        """(500, n) bootstrap weights of rows; donors are drawn whole."""
        return draw_weights(len(self.y), groups=self.groups, n_draws=DRAWS, random_state=self.seed)

    def by_row(self) -> np.ndarray:
        """(n, M) Shapley values of each row's log p(y | x_S), nats: their mean is the contribution."""
        return np.asarray(self.log_truth @ self.game.shapley.T)

    def some(self, rows: np.ndarray | None) -> np.ndarray | None:
        """Donors of some rows (bool); None: of all."""
        return self.groups if self.groups is None or rows is None else self.groups[rows]

    def number(
        self, value: float, drawn: np.ndarray, *, rows: np.ndarray | None = None, limits: tuple[float, float] | None = None
    ) -> dict[str, float]:
        """Value and interval from draws; those without a number do not count. `rows` (bool): those that it is about."""
        drawn = drawn[np.isfinite(drawn)]
        known = len(drawn) and np.isfinite(value)
        low, high = interval(value, drawn, groups=self.some(rows), limits=limits) if known else (np.nan, np.nan)
        return {"value": value, "low": low, "high": high}

    def refusal(self) -> str:
        """Why nothing can be measured; empty if something can."""
        if len(self.y) < FEWEST:
            return f"Fewer than {FEWEST} rows have every modality."
        if len(np.unique(self.y)) < 2:
            return f"A single {'class' if self.classes else 'value'} in these rows."
        silent = [c for c, column in zip(self.game.coalitions, self.log_truth.T, strict=True) if np.isnan(column).any()]
        return f"No head of the model speaks for {joined(self.game, silent[0])}." if silent else ""


def answers_from(
    game: Game,
    log_proba: Iterable[tuple[Pattern, np.ndarray]],
    y: np.ndarray,
    *,
    groups: np.ndarray | None,
    classes: Iterable[str],
    rows: str,
    random_state: int = 0,
) -> Answers:
    """Keep of posteriors what contributions need: the log-probability of the truth, and the most probable class.

    Parameters
    ----------
    game
        What is asked.
    log_proba
        Pairs of a coalition and its (n, c) calibrated log-probabilities in nats, of rows that were not trained on; any order, all
        but the empty one, whose place the shares of the classes in `y` take.
    y
        (n,) codes of the classes.
    groups
        (n,) donors.
    classes, rows
        Names, and "out-of-fold" or "held-out".
    random_state
        Seed of the bootstrap.

    Returns
    -------
    The answers; NaN where a coalition is missing.

    Examples
    --------
    >>> from omicsbal.diagnostics.shapley import make_game
    >>> y, sure = np.arange(40) % 2, np.log([[0.9, 0.1], [0.1, 0.9]])
    >>> asked = [(frozenset("a"), sure[y]), (frozenset("b"), np.log(np.full((40, 2), 0.5))), (frozenset("ab"), sure[y])]
    >>> told = answers_from(make_game("ab"), asked, y, groups=None, classes=["T", "B"], rows="held-out")
    >>> float(told.by_row()[:, 0].mean().round(3))  # ln 0.9 - ln 0.5
    0.588
    """
    names = tuple(classes)
    size = (len(y), len(game.coalitions))
    log_truth, guess = np.full(size, np.nan), np.zeros(size, dtype=np.int64)
    share = np.bincount(y, minlength=len(names)) / max(len(y), 1)
    log_truth[:, 0], guess[:, 0] = np.log(share[y]), share.argmax() if len(y) else 0
    for coalition, logs in log_proba:
        at = game.column[coalition]
        log_truth[:, at], guess[:, at] = logs[np.arange(len(y)), y], np.nan_to_num(logs, nan=-np.inf).argmax(axis=1)
    return Answers(game, log_truth, guess, y, groups, names, rows, random_state)


def numbers_from(
    game: Game,
    predictions: Iterable[tuple[Pattern, np.ndarray]],
    y: np.ndarray,
    *,
    folds: np.ndarray,
    groups: np.ndarray | None,
    rows: str,
    random_state: int = 0,
) -> Answers:
    """The same of a label that is a number: log-densities of Gaussians around the predictions.

    ``log p(y | x_S) = log N(y; f_S(x), s_S^2)`` with s_S^2 the mean squared error of S in the other folds; without modalities the
    mean and the variance of `y`. The mean gain over the latter is about ``-1/2 log(1 - R^2)`` nats, our choice of value.

    Parameters
    ----------
    game, groups, rows, random_state
        As in `answers_from`.
    predictions
        Pairs of a coalition and its (n, 1) predictions, of rows that were not trained on.
    y
        (n,) values.
    folds
        (n,) that errors are taken from the others of.

    Returns
    -------
    The answers; NaN where a coalition is missing.

    Examples
    --------
    >>> from omicsbal.diagnostics.shapley import make_game
    >>> x, noise = np.random.default_rng(0).normal(size=(2, 4000))
    >>> asked, rest = [(frozenset("a"), x[:, None])], {"groups": None, "rows": "held-out"}
    >>> told = numbers_from(make_game("a"), asked, x + noise, folds=np.arange(4000) % 5, **rest)
    >>> bool(abs(told.by_row().mean() - np.log(2) / 2) < 0.02)
    True
    """
    size = (len(y), len(game.coalitions))
    log_truth, guess = np.full(size, np.nan), np.full(size, np.nan)
    least = LEAST_ERROR * max(float(y.var()), 1e-12) if len(y) else 1.0
    for coalition, values in [(frozenset(), np.full((len(y), 1), y.mean() if len(y) else np.nan)), *predictions]:
        at, off = game.column[coalition], (y - values[:, 0]) ** 2
        guess[:, at] = values[:, 0]
        for k in np.unique(folds):
            mine, other = folds == k, folds != k
            error = max(float(off[other].mean() if coalition and other.any() else y.var()), least)
            log_truth[mine, at] = -0.5 * (np.log(2 * np.pi * error) + off[mine] / error)
    return Answers(game, log_truth, guess, y, groups, (), rows, random_state)


def _information(told: Answers, weights: np.ndarray) -> np.ndarray:
    """(B, C) mean log p(y | x_S) - log prior(y), nats."""
    gain = told.log_truth - told.log_truth[:, :1]
    return np.asarray(weights @ gain.astype(weights.dtype) / weights.sum(axis=1, keepdims=True))


def _accuracy(told: Answers, weights: np.ndarray) -> np.ndarray:
    """(B, C) share of rows told right."""
    right = told.guess == told.y[:, None]
    return np.asarray(weights @ right.astype(weights.dtype) / weights.sum(axis=1, keepdims=True))


def _macro_f1(told: Answers, weights: np.ndarray) -> np.ndarray:
    """(B, C) mean F1 of the classes that occur in a draw, at least 1 / c.

    Without modalities it is that of guessing by the shares of the classes, 1 / c: always the most probable class would get less,
    so that predictions that know nothing, but vary, would look as if they told something. Predictions that know nothing and name
    the most probable class would then look harmful; since one may guess instead, none is worth less than 1 / c, our choice.
    """
    eye = np.eye(len(told.classes), dtype=weights.dtype)
    size = weights @ eye[told.y]
    occurs = size > 0
    found = [1 / occurs.sum(axis=1)]
    for guess in told.guess.T[1:]:
        hit = weights @ (eye[told.y] * (guess == told.y)[:, None])
        f1 = 2 * hit / np.maximum(size + weights @ eye[guess], 1e-12)
        found.append(np.maximum((f1 * occurs).sum(axis=1) / occurs.sum(axis=1), found[0]))
    return np.stack(found, axis=1)


def _r2(told: Answers, weights: np.ndarray) -> np.ndarray:
    """(B, C) share of the squared error around the mean that is gone."""
    off = (told.guess - told.y[:, None]) ** 2
    left = weights @ off.astype(weights.dtype)
    return np.asarray(1 - left / np.maximum(left[:, :1], 1e-12))


Measure = Callable[[Answers, np.ndarray], np.ndarray]
MEASURES: dict[str, Measure] = {"information": _information, "macro_f1": _macro_f1, "accuracy": _accuracy}
OF_NUMBERS: dict[str, Measure] = {"information": _information, "r2": _r2}
PERMUTED = ("macro_f1", "accuracy")  # what permutation is fit for: log-likelihoods punish being sure of what was made up


def joined(game: Game, coalition: Iterable[str] | None = None) -> str:
    """As in 'rna+atac'; all of them by default."""
    chosen = set(game.names) if coalition is None else set(coalition)
    return "+".join(m for m in game.names if m in chosen)
