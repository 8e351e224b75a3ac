"""Which pairs of classes a modality keeps apart."""

from collections.abc import Iterator
from typing import Any

import numpy as np

from omicsbal.diagnostics.answers import Answers
from omicsbal.diagnostics.contribution import note_on_class

TOP = 10  # confusions that are listed for a modality
Row = dict[str, Any]


def confusion_rows(told: Answers) -> Iterator[Row]:
    """What is taken for something else without a modality, and no longer with it, by the most probable class.

    ``K_m[a, b]`` = share of class a that is told to be b without m, less that with all. Above zero, m resolves it; at most ten a
    modality, the surest (by the lower end) first. They were chosen for being large, so that they will be a little smaller in
    other rows; pairs that m makes worse are not listed.

    Yields
    ------
    Dictionaries: ``modality``, ``class`` a, ``taken_for`` b, ``value`` with its 95 % interval ``low`` and ``high``, ``without``
    and ``with`` (the two shares of a), ``n`` rows of a, ``rows``, ``note``.

    Examples
    --------
    >>> from omicsbal.diagnostics.answers import answers_from
    >>> from omicsbal.diagnostics.shapley import make_game
    >>> y, sure = np.arange(40) % 2, np.log([[0.9, 0.1], [0.1, 0.9]])
    >>> asked = [(frozenset("a"), sure[y]), (frozenset("b"), sure[0 * y]), (frozenset("ab"), sure[y])]
    >>> told = answers_from(make_game("ab"), asked, y, groups=None, classes=["T", "B"], rows="held-out")
    >>> [(row["modality"], row["class"], row["taken_for"], row["value"]) for row in confusion_rows(told)]
    [('a', 'B', 'T', 1.0)]
    """
    if told.refusal() or not told.classes:
        return
    draws, game = told.draws(), told.game
    for m in game.names:
        without = told.guess[:, game.column[frozenset(game.names) - {m}]]
        found = []
        for k in np.unique(told.y):
            mine = told.y == k
            size = len(told.classes)
            before, after = (np.bincount(g[mine], minlength=size) for g in (without, told.guess[:, -1]))
            gone = (after - before) / mine.sum()
            found += [(float(gone[b]), int(k), int(b)) for b in np.flatnonzero(gone < 0) if b != k]
        rows = [_confusion(told, m, draws, without, a, b) for _, a, b in sorted(found)[:TOP]]
        yield from sorted(rows, key=lambda row: -np.nan_to_num(row["low"], nan=row["value"]))


def _confusion(told: Answers, m: str, draws: np.ndarray, without: np.ndarray, a: int, b: int) -> Row:
    """One resolved confusion."""
    mine = told.y == a
    taken, still = without[mine] == b, told.guess[mine, -1] == b
    mass = draws[:, mine].sum(axis=1)
    drawn = (draws[:, mine] @ (taken.astype(draws.dtype) - still))[mass > 0] / mass[mass > 0]
    numbers = told.number(float(taken.mean() - still.mean()), drawn, rows=mine)
    row: Row = {"modality": m, "class": told.classes[a], "taken_for": told.classes[b], **numbers}
    row |= {"without": float(taken.mean()), "with": float(still.mean())}
    return row | {"n": int(mine.sum()), "rows": told.rows, "note": note_on_class(told, mine)}
