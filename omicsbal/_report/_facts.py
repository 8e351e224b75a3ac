"""What the sections of a report read: a model, a MuData, and the tables that were written to it."""

from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from omicsbal import _keys
from omicsbal._keys import Keys

if TYPE_CHECKING:
    from mudata import MuData

    from omicsbal.model import FittedModel


@dataclass(frozen=True)
class Facts:
    """One fit and what is known about it."""

    model: "FittedModel"
    mdata: "MuData"
    key_added: str
    missing: dict[str, str] = field(default_factory=dict)  # {slot: why there is no table}

    @property
    def entries(self) -> dict[str, Any]:
        """uns[key_added]."""
        return dict(self.mdata.uns[self.key_added])

    @property
    def keys(self) -> Keys:
        """Slot names."""
        return Keys(self.key_added, self.model.label_key)

    @property
    def label(self) -> str:
        """The label's column."""
        return self.model.label_key

    @property
    def metric(self) -> str:
        """The task's first score."""
        return str(self.model.outcome.metric)

    @property
    def is_regression(self) -> bool:
        """Whether the label is a number."""
        return self.model.task == "regression"

    def has(self, slot: str) -> bool:
        """Whether a diagnostic has left its table."""
        return slot in self.entries

    def table(self, slot: str) -> pd.DataFrame:
        """A table with plain columns: numbers as float, the rest as str, "" where missing; empty if there is none."""
        held = self.entries.get(slot)
        if held is None:
            return pd.DataFrame()
        made = held.reset_index(drop=True).copy()
        for column in made:
            numeric = pd.api.types.is_numeric_dtype(made[column])
            made[column] = made[column].astype(float) if numeric else made[column].astype(object).fillna("").astype(str)
        return made

    @cached_property
    def heads(self) -> pd.DataFrame:
        """Scores of heads by name."""
        return self.table(_keys.HEADS).set_index("head")

    @cached_property
    def trained(self) -> np.ndarray:
        """(n,) bool, rows that were trained on."""
        return np.ravel(self.entries[_keys.FOLDS]) >= 0

    @cached_property
    def n_folds(self) -> int:
        """Folds of the fit."""
        return len(np.unique(np.ravel(self.entries[_keys.FOLDS])[self.trained]))

    @cached_property
    def confusion(self) -> pd.DataFrame:
        """(c, c) training rows by true (rows) and predicted class, out-of-fold."""
        from omicsbal.pl._confusion import count_pairs
        from omicsbal.pl._slots import read_slots

        classes = self.model.classes
        return pd.DataFrame(count_pairs(read_slots(self.mdata, self.key_added), classes), index=classes, columns=classes)

    def figure(self, name: str, **options: Any) -> Any:
        """The Figure of a plot in `omicsbal.pl`, by name."""
        from omicsbal import pl

        keyed = {} if name == "pattern" else {"key_added": self.key_added}
        return getattr(pl, name)(self.mdata, return_fig=True, show=False, **keyed, **options)
