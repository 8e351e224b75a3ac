"""Information of a fit as rows of a table: about the label, between modalities, and decomposed."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np

from omicsbal.diagnostics.anchored import FEWEST, PARTS, anchored_pid
from omicsbal.diagnostics.information import entropy_of, shared_information, usable_information
from omicsbal.diagnostics.resampling import draw_weights, interval, note_on_groups
from omicsbal.diagnostics.second_opinion import kmeans_synergy

Pattern = frozenset[str]
Row = dict[str, Any]


@dataclass(frozen=True)
class Told:
    """What a model says of labelled rows that it was held out from."""

    modalities: tuple[str, ...]
    log_proba: dict[Pattern, np.ndarray]  # {subset: (n, c)} calibrated; NaN where a row lacks one of the subset
    present: dict[Pattern, np.ndarray]  # {subset: (n,) bool}
    embeddings: dict[str, np.ndarray]  # {m: (n, k)}
    y: np.ndarray  # (n,)
    groups: np.ndarray | None  # (n,)
    rows: str  # "out-of-fold" or "held-out"
    seed: int

    def name(self, pattern: Pattern) -> str:
        """As in 'rna+atac'."""
        return "+".join(m for m in self.modalities if m in pattern)

    def some(self, rows: np.ndarray) -> np.ndarray | None:
        """Groups of some rows."""
        return None if self.groups is None else self.groups[rows]

    def row(self, kind: str, one: str, two: str, rows: np.ndarray, method: str, **more: Any) -> Row:
        """A row of the table; a number that is not given is missing."""
        row: Row = {"kind": kind, "source_1": one, "source_2": two, "value": np.nan, "low": np.nan, "high": np.nan}
        row |= {"n": int(rows.sum()), "lower_bound": 0, "rows": self.rows, "method": method}
        return row | {"note": note_on_groups(self.some(rows))} | more

    def refusal(self, rows: np.ndarray, *patterns: Pattern) -> str:
        """Why nothing can be measured on these rows; empty if something can."""
        if rows.sum() < FEWEST:
            return f"Fewer than {FEWEST} rows have all that is needed."
        if len(np.unique(self.y[rows])) < 2:
            return "A single class in these rows."
        silent = [self.name(p) for p in patterns if np.isnan(self.log_proba[p][rows]).any()]
        return f"No head of the model speaks for {silent[0]}." if silent else ""


def information_rows(told: Told) -> Iterator[Row]:
    """H(Y), I(Z_S;Y) of singles, pairs and all, and I(Z_1;Z_2) of pairs."""
    every = np.logical_or.reduce(list(told.present.values()))
    n_classes = next(iter(told.log_proba.values())).shape[1]
    some = told.some(every)
    weights = draw_weights(int(every.sum()), groups=some, random_state=told.seed)
    value = entropy_of(told.y[every], np.ones((1, int(every.sum()))), n_classes=n_classes)[0]
    drawn = entropy_of(told.y[every], weights, n_classes=n_classes)
    low, high = interval(value, drawn, groups=some, limits=(0.0, float(np.log(n_classes))))
    yield told.row("entropy", "", "", every, "plug-in", value=float(value), low=low, high=high)
    whole = frozenset(told.modalities)
    for pattern in [p for p in told.log_proba if len(p) <= 2 or p == whole]:
        yield _about_label(told, pattern)
    for one, two in combinations(told.modalities, 2):
        yield _between(told, one, two)


def _about_label(told: Told, pattern: Pattern) -> Row:
    """Usable information of one subset."""
    rows = told.present[pattern]
    refusal = told.refusal(rows, pattern)
    if refusal:
        return told.row("label", told.name(pattern), "", rows, "usable", lower_bound=1, note=refusal)
    logs, y = told.log_proba[pattern][rows], told.y[rows]
    value, low, high = usable_information(logs, y, groups=told.some(rows), random_state=told.seed)
    return told.row("label", told.name(pattern), "", rows, "usable", lower_bound=1, value=value, low=low, high=high)


def _between(told: Told, one: str, two: str) -> Row:
    """What two embeddings share."""
    rows = told.present[frozenset({one, two})]
    if rows.sum() < FEWEST:
        return told.row("between", one, two, rows, "", note=told.refusal(rows))
    a, b = told.embeddings[one][rows], told.embeddings[two][rows]
    (value, low, high), form = shared_information(a, b, groups=told.some(rows), random_state=told.seed)
    return told.row("between", one, two, rows, form, value=value, low=low, high=high)


def pid_rows(told: Told) -> Iterator[Row]:
    """The parts of every pair and, from three modalities on, of each against the rest."""
    whole = frozenset(told.modalities)
    pairs = [(frozenset({one}), frozenset({two})) for one, two in combinations(told.modalities, 2)]
    if len(whole) > 2:
        pairs += [(frozenset({m}), whole - {m}) for m in told.modalities]
    for one, two in pairs:
        yield from _parts(told, one, two)


def _parts(told: Told, one: Pattern, two: Pattern) -> Iterator[Row]:
    """Five rows a pair, and a sixth, a second opinion, where synergy is no more than a lower bound."""
    both = one | two
    rows = told.present[both]
    named = (told.name(one), told.name(two), rows, "anchored BROJA")
    refusal = told.refusal(rows, one, two, both)
    if refusal:
        yield from (told.row(part, *named, note=refusal) for part in PARTS[:5])
        return
    first, second, joint = (told.log_proba[p][rows] for p in (one, two, both))
    table = anchored_pid(first, second, joint, told.y[rows], groups=told.some(rows), random_state=told.seed)
    for part in table.to_dict("records")[:5]:
        numbers = {k: part[k] for k in ("value", "low", "high", "lower_bound")}
        yield told.row(str(part["part"]), *named, **numbers)
    if table.set_index("part").loc["synergistic", "lower_bound"]:
        a, b = (np.hstack([told.embeddings[m][rows] for m in told.modalities if m in p]) for p in (one, two))
        value, low, high = kmeans_synergy(a, b, told.y[rows], groups=told.some(rows), random_state=told.seed)
        counted = (*named[:3], "k-means, counts, less their bias")
        yield told.row("synergy_kmeans", *counted, value=value, low=low, high=high)
