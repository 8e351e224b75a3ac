"""Ceiling, learned and used of each modality, side by side, as rows of a table and as bootstrap draws."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from omicsbal.diagnostics.answers import FEWEST, MEASURES, Answers, joined
from omicsbal.diagnostics.posteriors import Counted
from omicsbal.diagnostics.resampling import note_on_groups
from omicsbal.train.outcome import Outcome

NOTHING = 0.02  # nats below which a modality, or a loss, does not count; our choice
SURE = 0.9  # share of draws that it takes to say that a modality tells something, or is wasted; our choice
Number = tuple[float, np.ndarray]  # a value, and its bootstrap draws (B,)
Row = dict[str, Any]
COLUMNS = ["kind", "measure", "modality", "value", "low", "high", "n", "rows", "note"]
PRODUCT, TOTAL = "product", "total"
# what can be told of a modality, in the order of the table
KINDS = ("ceiling", "alone", "linear", "alone_probe", "learned", "solo", "need")
DERIVED = ("retention", "retention_of_ceiling", "lost", "gap", "ignored", "utilization")


@dataclass(frozen=True)
class Utilized:
    """Answers of a fused head for each coalition of the game, and behind them, as further columns, those of each `extra`."""

    told: Answers
    extra: dict[tuple[str, str], int]  # (kind, modality) -> column of `told`
    notes: dict[tuple[str, str], str] = field(default_factory=dict)  # (kind, modality) -> what must be said
    masked: bool = False  # whether the fused head was trained with modalities hidden

    @property
    def names(self) -> tuple[str, ...]:
        """Modalities."""
        return self.told.game.names

    def refusal(self) -> str:
        """Why nothing can be measured; empty if something can."""
        if len(self.told.y) < FEWEST:
            return f"Fewer than {FEWEST} rows have every modality."
        if len(np.unique(self.told.y)) < 2:
            return "A single class in these rows."
        return "A head has nothing to say of some rows." if np.isnan(self.told.log_truth).any() else ""

    @cached_property
    def draws(self) -> np.ndarray:
        """(500, n) bootstrap weights of rows, donors whole: the same for every number."""
        return self.told.draws()

    def numbers(self, measure: str) -> dict[tuple[str, str], Number]:
        """Every number of one measure by kind and modality, with draws that belong together."""
        game, size = self.told.game, len(self.told.game.coalitions)
        every = np.concatenate([MEASURES[measure](self.told, w) for w in (np.ones((1, len(self.told.y))), self.draws)])
        every = every.astype(float) - every[:, :1]

        def split(values: np.ndarray) -> Number:
            return float(values[0]), values[1:]

        raw = {key: every[:, column] for key, column in self.extra.items()}
        for i, m in enumerate(self.names):
            raw["solo", m] = every[:, :size] @ game.solo[i]
            raw["need", m] = every[:, :size] @ game.need[i]
        whole = joined(game)
        total = every[:, :size] @ game.total[0]
        for m in self.names:
            known, alone, ceiling = raw["learned", m], raw["alone_probe", m], raw["ceiling", m]
            raw["retention", m], raw["retention_of_ceiling", m] = _ratio(known, alone), _ratio(known, ceiling)
            raw["lost", m], raw["gap", m], raw["ignored", m] = alone - known, ceiling - known, known - raw["solo", m]
            raw["utilization", m] = _ratio(raw["need", m], total)
        shares = every[:, :size] @ game.shapley.T
        positive = np.maximum(shares, 0)
        for i, m in enumerate(self.names):
            raw["share", m] = _ratio(positive[:, i], positive.sum(axis=1))
        best = max(self.names, key=lambda m: raw["ceiling", m][0])
        raw[TOTAL, whole], raw["competition", whole] = total, raw["ceiling", best] - total
        raw["fusion_value", whole] = total - raw.pop((PRODUCT, whole))
        return {key: split(values) for key, values in raw.items()}

    def best_alone(self, numbers: Mapping[tuple[str, str], Number]) -> str:
        """The modality with the highest ceiling."""
        return max(self.names, key=lambda m: numbers["ceiling", m][0])

    def informative(self, m: str) -> bool:
        """Whether what the modality tells alone is above 0.02 nats in nine draws of ten."""
        return self._sure("ceiling", m)

    def unfounded(self, kind: str, m: str) -> str:
        """Why a ratio is one of noise, where it is: what it is divided by is not above 0.02 nats in nine draws of ten."""
        if kind.startswith("retention") and not self.informative(m):
            return "Alone it tells nothing for sure: nothing to retain."
        if kind == "retention" and not self._sure("alone_probe", m):
            return "A probe finds nothing for sure in the encoder trained alone: nothing to retain."
        if kind in ("utilization", "share") and not self._sure(TOTAL, joined(self.told.game)):
            return "All together tell nothing for sure: the ratio is noise."
        return ""

    def _sure(self, kind: str, m: str) -> bool:
        """Whether a number is above 0.02 nats in nine draws of ten."""
        return bool((self.numbers_in_nats[kind, m][1] > NOTHING).mean() >= SURE)

    @cached_property
    def numbers_in_nats(self) -> dict[tuple[str, str], Number]:
        """Those that verdicts are made of."""
        return self.numbers("information")


def _ratio(above: np.ndarray, below: np.ndarray) -> np.ndarray:
    """NaN where there is nothing to divide by."""
    return np.asarray(np.where(below > 0, above / np.where(below > 0, below, 1.0), np.nan))


def utilization_rows(used: Utilized) -> Iterator[Row]:
    """Rows of the table of `omicsbal.tl.utilization`, which describes them; intervals from draws that all numbers share."""
    whole = joined(used.told.game)
    if used.refusal():
        yield _row(used, kind=TOTAL, measure="information", modality=whole, note=used.refusal())
        return
    for measure in ("information", "macro_f1"):
        numbers = used.numbers_in_nats if measure == "information" else used.numbers(measure)
        wanted = [(kind, m) for m in used.names for kind in (*KINDS, *DERIVED, "share") if (kind, m) in numbers]
        for key in [*wanted, (TOTAL, whole), ("competition", whole), ("fusion_value", whole)]:
            value, drawn = numbers[key]
            row = _row(used, kind=key[0], measure=measure, modality=key[1])
            unfounded = used.unfounded(*key)
            if np.isfinite(value) and not (unfounded and key[0].startswith("retention")):
                row |= used.told.number(value, drawn)
            said = f"Best alone: {used.best_alone(numbers)}." if key[0] == "competition" else used.notes.get(key, "")
            row["note"] = " ".join(filter(None, [unfounded, said, row["note"]]))
            yield row


def product_of(ceilings: list[np.ndarray], outcome: Outcome) -> np.ndarray:
    """(n, c) log-posteriors if modalities were independent given the class: sum of log p(y | x_m) - (M - 1) log prior(y).

    Examples
    --------
    >>> import pandas as pd
    >>> from omicsbal.train.classes import Classes
    >>> one = np.log([[0.6, 0.4]])
    >>> np.exp(product_of([one, one], Classes.learn(pd.Series(list("aab"))))).round(3).tolist()  # odds 1.5 * 1.5 / 2
    [[0.529, 0.471]]
    """
    counted: Any = Counted.from_state(outcome.state())
    return np.asarray(counted.product(np.stack(ceilings) - counted.log_prior))


def _row(used: Utilized, **more: Any) -> Row:
    """A row of the table; what is not given is missing."""
    row: Row = {"kind": "", "measure": "", "modality": "", "value": np.nan, "low": np.nan, "high": np.nan}
    row |= {"n": len(used.told.y), "rows": used.told.rows, "note": note_on_groups(used.told.groups)}
    return row | more
