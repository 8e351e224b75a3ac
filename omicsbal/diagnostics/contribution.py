"""What modalities contribute, as rows of a table: over all rows, and by class."""

from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np
from scipy import stats

from omicsbal.diagnostics.answers import MEASURES, OF_NUMBERS, PERMUTED, Answers, Measure, joined
from omicsbal.diagnostics.resampling import note_on_groups
from omicsbal.diagnostics.shapley import imbalance

FEW = 20  # rows of a class below which it is marked
VALUES: dict[str, Measure] = MEASURES | OF_NUMBERS
Row = dict[str, Any]


def contribution_rows(told: Answers, *, measures: Iterable[str] = ("information", "macro_f1")) -> Iterator[Row]:
    """Rows of the table of `omicsbal.tl.contribution`, which describes them.

    Intervals: bias-corrected percentiles of 500 draws of rows, or of donors, 95 %, with the posteriors and the prior as they are;
    that of the index of imbalance is widened within 0 and 1 (`omicsbal.diagnostics.resampling.interval`).

    Parameters
    ----------
    told
        What was answered.
    measures
        Of ``MEASURES``, or of ``OF_NUMBERS`` for a label that is a number, of which there are no rows by class.

    Yields
    ------
    Dictionaries with the columns of the table.

    Examples
    --------
    >>> from omicsbal.diagnostics.answers import answers_from
    >>> from omicsbal.diagnostics.shapley import make_game
    >>> y, sure = np.arange(40) % 2, np.log([[0.9, 0.1], [0.1, 0.9]])
    >>> asked = [(frozenset("a"), sure[y]), (frozenset("b"), sure[0 * y]), (frozenset("ab"), sure[y])]
    >>> told = answers_from(make_game("ab"), asked, y, groups=None, classes=["T", "B"], rows="held-out")
    >>> rows = [row for row in contribution_rows(told, measures=["accuracy"]) if row["class"] == ""]
    >>> {row["modality"]: row["value"] for row in rows if row["kind"] == "need"}
    {'a': 0.5, 'b': 0.0}
    """
    refusal = told.refusal()
    if refusal:
        yield from (_row(told, kind="total", measure=m, modality=joined(told.game), note=refusal) for m in measures)
        return
    draws = told.draws()
    for measure in measures:
        yield from _overall(told, measure, draws)
        yield from _permuted(told, measure, draws)
    if told.classes:
        yield from _by_class(told, draws)


def _overall(told: Answers, measure: str, draws: np.ndarray) -> Iterator[Row]:
    """All that is said of one measure over all rows."""
    game = told.game
    value, drawn = (VALUES[measure](told, w) for w in (np.ones((1, len(told.y))), draws))
    whole = [joined(game)]
    kinds: dict[str, tuple[list[str], np.ndarray]] = {
        "total": (whole, game.total),
        "shapley": (list(game.names), game.shapley),
        "solo": (list(game.names), game.solo),
        "need": (list(game.names), game.need),
        "interaction": (["+".join(p) for p in game.pairs], game.interaction),
    }
    spread = game.sampling_error(value[0])
    for kind, (names, weights) in kinds.items():
        for i, name in enumerate(names):
            ends = told.number(float(value[0] @ weights[i]), drawn @ weights[i])
            row = _row(told, kind=kind, measure=measure, modality=name, **ends)
            if kind == "shapley" and not game.exact:
                row["note"] = f"{2 * len(game.marginal)} orders sampled, standard error {spread[i]:.2g}. {row['note']}".strip()
            yield row
    yield _imbalance(told, measure, value @ game.shapley.T, drawn @ game.shapley.T, drawn @ game.total[0])


def _permuted(told: Answers, measure: str, draws: np.ndarray) -> Iterator[Row]:
    """Score less the mean score where one modality is another cell's, over the permutations."""
    for name, guesses in told.permuted.items() if measure in PERMUTED else []:
        again = replace(told, guess=np.column_stack([told.guess[:, [0, -1]], guesses]))
        scores = [VALUES[measure](again, w) for w in (np.ones((1, len(told.y))), draws)]
        value, drawn = (s[:, 1] - s[:, 2:].mean(axis=1) for s in scores)
        yield _row(told, kind="permutation", measure=measure, modality=name, **told.number(float(value[0]), drawn))


def _imbalance(told: Answers, measure: str, shares: np.ndarray, drawn: np.ndarray, total: np.ndarray) -> Row:
    """The index of how unequal contributions are; nothing where there is nothing to be unequal."""
    if len(told.game.names) < 2:
        return _row(told, kind="imbalance", measure=measure, note="A single modality.")
    row = _row(
        told, kind="imbalance", measure=measure, **told.number(float(imbalance(shares)[0]), imbalance(drawn), limits=(0.0, 1.0))
    )
    if np.quantile(total, 0.025) <= 0:
        row["note"] = f"All together tell nothing for sure: the index is noise. {row['note']}".strip()
    return row


def _by_class(told: Answers, draws: np.ndarray) -> Iterator[Row]:
    """Shapley value and need in nats, and change of recall, of each class and modality; p and q of the needs."""
    game = told.game
    right = (told.guess == told.y[:, None]).astype(float)
    parts = {("shapley", "information"): told.log_truth @ game.shapley.T, ("need", "information"): told.log_truth @ game.need.T}
    parts["need", "recall"] = right @ game.need.T
    rows = []
    for (kind, measure), values in parts.items():
        for k in np.unique(told.y):
            mine = told.y == k
            mass = draws[:, mine].sum(axis=1)
            sums = draws[:, mine][mass > 0] @ values[mine].astype(draws.dtype)
            drawn = sums / mass[mass > 0, None]
            for j, m in enumerate(game.names):
                mean = float(values[mine, j].mean())
                row = _row(told, kind=kind, measure=measure, modality=m, n=int(mine.sum()))
                row |= told.number(mean, drawn[:, j], rows=mine) | {"class": told.classes[k], "note": note_on_class(told, mine)}
                if (kind, measure) == ("need", "information"):
                    row["p"] = _p_value(mean, drawn[:, j], _units(told, mine))
                rows.append(row)
    tested = [row for row in rows if np.isfinite(row["p"])]
    if tested:
        for row, q in zip(tested, stats.false_discovery_control([r["p"] for r in tested]), strict=True):
            row["q"] = float(q)
    yield from rows


def note_on_class(told: Answers, rows: np.ndarray) -> str:
    """What must be said of a number about the `rows` (bool) of a class; its donors may be fewer than there are."""
    few = f"Fewer than {FEW} rows." if rows.sum() < FEW else ""
    return f"{few} {note_on_groups(told.some(rows))}".strip()


def _units(told: Answers, rows: np.ndarray) -> int:
    """Rows, or donors, that are independent of each other."""
    return int(rows.sum()) if told.groups is None else len(np.unique(told.groups[rows]))


def _p_value(value: float, drawn: np.ndarray, units: int) -> float:
    """Two-sided p of a mean against 0: t with the bootstrap's spread; NaN with fewer than three units."""
    if units < 3:
        return np.nan
    error = drawn.std() * np.sqrt(units / (units - 1))  # a bootstrap draws from a sample whose spread is that much too small
    if error < 1e-9:  # nats: no row differs from another
        return 1.0 if abs(value) < 1e-9 else np.nan
    return float(2 * stats.t.sf(abs(value) / error, units - 1))


def _row(told: Answers, **more: Any) -> Row:
    """A row of the table; what is not given is missing."""
    row: Row = {"kind": "", "measure": "", "modality": "", "class": "", "value": np.nan, "low": np.nan, "high": np.nan}
    row |= {"n": len(told.y), "p": np.nan, "q": np.nan, "rows": told.rows, "note": note_on_groups(told.groups)}
    return row | more
