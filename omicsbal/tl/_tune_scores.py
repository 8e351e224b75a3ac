"""What a search is worth on rows that it never saw, beside the default on the same rows."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from omicsbal.model import OUTCOMES
from omicsbal.pp import make_folds, rare_classes
from omicsbal.tl._design import Design
from omicsbal.tl._tune_search import Rows
from omicsbal.tl._tune_space import COMPONENTS, Base
from omicsbal.train.intervals import corrected
from omicsbal.train.outcome import Outcome
from omicsbal.train.predictor import subset

COLUMNS = ["measure", "fold", "tuned", "default", "gain", "low", "high", "p", "n_train", "n_test", "note"]
MEAN = "mean"  # in place of a fold


@dataclass(frozen=True)
class Outer:
    """An outer fold."""

    design: Design  # of its training rows
    test: np.ndarray  # positions in the MuData


def outer_parts(design: Design, donors: np.ndarray | None, *, n_folds: int, random_state: int) -> list[Outer]:
    """Outer folds, and the design of a fit inside each: its own outcome, folds and, where a class is small, fewer of them.

    Raises
    ------
    ValueError
        Too few rows or donors for that many folds.
    """
    fold = make_folds(design.labels, n_folds=n_folds, groups=donors, random_state=random_state)
    positions = np.flatnonzero(design.training)
    return [Outer(_inside(design, donors, fold != k, random_state), positions[fold == k]) for k in range(n_folds)]


def _inside(design: Design, donors: np.ndarray | None, part: np.ndarray, random_state: int) -> Design:
    """The design of some of the training rows."""
    labels, wanted = design.labels[part], int(design.folds.max()) + 1
    if design.outcome.kind == "classification":
        labels, wanted, _ = rare_classes(labels, n_folds=wanted, rare="fewer_folds")
    kept = labels.notna().to_numpy()
    groups = None if donors is None else donors[part][kept]
    training = design.training.copy()
    training[np.flatnonzero(design.training)] = part
    training[np.flatnonzero(training)] = kept
    labels = labels[kept]
    wanted = wanted if groups is None else min(wanted, max(len(np.unique(groups)), 2))
    outcome: Any = OUTCOMES[design.outcome.kind].learn(labels)
    return Design(training, labels, _fewest(labels, groups, wanted, random_state), outcome, "")


def _fewest(labels: pd.Series, groups: np.ndarray | None, wanted: int, random_state: int) -> np.ndarray:
    """Folds, fewer where donors hold too much of a class for as many as wanted."""
    for n_folds in range(wanted, 2, -1):
        try:
            return make_folds(labels, n_folds=n_folds, groups=groups, random_state=random_state)
        except ValueError:
            continue
    return make_folds(labels, n_folds=2, groups=groups, random_state=random_state)


def score_outer(
    rows: Rows, outer: Outer, base: Base, values: Mapping[str, Any], labels: pd.Series, outcome: Outcome
) -> dict[str, dict[str, float]]:
    """Scores of the tuned and of the default fit on the test rows.

    Parameters
    ----------
    rows
        Of the outer training part.
    outer
        The fold.
    base, values
        The default, and the settings that the search chose.
    labels
        Of the test rows; looked at only here.
    outcome
        Of all rows: a class that the training part lacks is then wrong, not left out.
    """
    default = base.values(list(values))
    found = {"default": _score(rows, outer, base, default, labels, outcome)}
    same = dict(values) == default
    return {"tuned": found["default"] if same else _score(rows, outer, base, values, labels, outcome), **found}


def _score(
    rows: Rows, outer: Outer, base: Base, values: Mapping[str, Any], labels: pd.Series, outcome: Outcome
) -> dict[str, float]:
    """The first two metrics of a fit on the test rows."""
    own = rows.design.outcome
    predictor = rows.fit(base, values, whole=True).predictor
    told = predictor.predict(subset(rows.blocks(float(values.get(COMPONENTS, 1.0))).everything, outer.test))
    told = np.where(np.isnan(told), getattr(own, "log_prior", 0.0), told)  # none of its modalities was ever trained on
    if own.names != outcome.names:
        wide = np.full((len(told), len(outcome.names)), -np.inf)
        wide[:, [outcome.names.index(name) for name in own.names]] = told
        told, own = wide, outcome
    scores = own.scores(own.encode(labels), told)
    return {name: scores[name] for name in (outcome.metric, outcome.loss)}


def score_table(scores: list[dict[str, Any]], outcome: Outcome) -> pd.DataFrame:
    """A row a measure and fold, and one of the mean over folds; `gain` is positive where tuning is better."""
    ratio = float(np.mean([s["n_test"] / s["n_train"] for s in scores]))
    rows: list[dict[str, Any]] = []
    for measure, sign in ((outcome.loss, -1), (outcome.metric, 1)):
        pairs = np.array([[s["tuned"][measure], s["default"][measure]] for s in scores])
        gains = sign * (pairs[:, 0] - pairs[:, 1]) + 0.0  # no -0
        for k, (s, pair, gain) in enumerate(zip(scores, pairs, gains, strict=True)):
            rows.append({"measure": measure, "fold": str(k), "tuned": pair[0], "default": pair[1], "gain": gain})
            rows[-1] |= {"n_train": s["n_train"], "n_test": s["n_test"], "note": ""}
        mean, half, p = corrected(gains, ratio)
        row = {"measure": measure, "fold": MEAN, "tuned": pairs[:, 0].mean(), "default": pairs[:, 1].mean(), "gain": mean}
        row |= {"low": mean - half, "high": mean + half, "p": p}
        row |= {"n_train": int(np.mean([s["n_train"] for s in scores])), "n_test": sum(s["n_test"] for s in scores)}
        rows.append(row | {"note": verdict_of(measure.replace("_", "-"), row, len(scores))})
    return pd.DataFrame(rows, columns=COLUMNS)


def verdict_of(measure: str, row: Mapping[str, Any], n_folds: int) -> str:
    """What the mean over outer folds says, in a sentence."""
    gain, low, high = (float(row[k]) for k in ("gain", "low", "high"))
    if gain == low == high == 0:
        return f"No search in {n_folds} outer folds chose anything but the default: keep the default."
    told = f"{measure} {'better' if gain > 0 else 'worse'} by {abs(gain):.3f} in {n_folds} outer folds"
    told = f"Tuned: {told} (corrected 95 % interval of the gain {low:+.3f} to {high:+.3f})"
    if low > 0:
        return f"{told}: use the tuned settings."
    return f"{told}: {'worse' if high < 0 else 'no gain can be told'}, keep the default."
