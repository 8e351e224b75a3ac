"""What ``ob.tl.fit`` wrote, read back with one wording for what is not there."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from omicsbal import _keys
from omicsbal._validate import listed, problem

if TYPE_CHECKING:
    from mudata import MuData

FIT_FIRST = "Run ob.tl.fit first, or pass the key_added it was run with."


@dataclass(frozen=True)
class Slots:
    """One fit's entries in a MuData."""

    mdata: "MuData"
    key_added: str
    entries: dict[str, Any]

    def entry(self, name: str) -> Any:
        """An entry of uns[key_added]."""
        if name not in self.entries:
            found = f"only {listed(self.entries) or 'an empty entry'}"
            raise KeyError(problem(f"mdata.uns[{self.key_added!r}]", expected=f"an entry {name!r}", found=found, do=FIT_FIRST))
        return self.entries[name]

    def table(self, name: str, columns: list[str]) -> pd.DataFrame:
        """A table of uns[key_added] that has at least `columns`."""
        table = self.entry(name)
        absent = [column for column in columns if column not in getattr(table, "columns", [])]
        if absent:
            where = f"mdata.uns[{self.key_added!r}][{name!r}]"
            found = f"none called {listed(absent)}"
            raise KeyError(problem(where, expected=f"a DataFrame with columns {listed(columns, 12)}", found=found, do=FIT_FIRST))
        return table

    def names(self, name: str) -> list[str]:
        """An array of names as a list of str."""
        return [str(value) for value in np.ravel(self.entry(name))]

    @property
    def keys(self) -> _keys.Keys:
        """Slot names of this fit."""
        return _keys.Keys(self.key_added, str(self.entry(_keys.LABEL_KEY)))

    @property
    def is_regression(self) -> bool:
        """Whether the label is a number."""
        return str(self.entry(_keys.TASK)) == "regression"

    def column(self, where: str, name: str) -> Any:
        """A column of obs, or an entry of obsm."""
        held = getattr(self.mdata, where)
        if name not in held:
            raise KeyError(problem(f"mdata.{where}", expected=f"the slot {name!r}", found="nothing of that name", do=FIT_FIRST))
        return held[name]

    def trained(self) -> np.ndarray:
        """(n,) bool: rows that were trained on, whose predictions are therefore out-of-fold."""
        folds = np.ravel(self.entry(_keys.FOLDS))
        if len(folds) != self.mdata.n_obs:
            where = f"mdata.uns[{self.key_added!r}]['{_keys.FOLDS}']"
            found = f"{len(folds)} for {self.mdata.n_obs} rows"
            do = "Draw from the MuData that was fitted, not from a subset of its rows."
            raise ValueError(problem(where, expected="one fold a row", found=found, do=do))
        return folds >= 0

    def truth(self) -> pd.Series:
        """The label of every row, wherever the MuData keeps it."""
        from omicsbal.pp.labels import find_label

        return find_label(self.mdata, self.keys.label)


def read_slots(mdata: "MuData", key_added: str) -> Slots:
    """The entries that ``ob.tl.fit`` wrote under `key_added`."""
    check_mudata(mdata)
    if key_added not in mdata.uns:
        found = f"only {listed(mdata.uns) or 'an empty uns'}"
        raise KeyError(problem("mdata.uns", expected=f"the fit {key_added!r}", found=found, do=FIT_FIRST))
    return Slots(mdata, key_added, dict(mdata.uns[key_added]))


def check_mudata(mdata: "MuData") -> None:
    """Refuse what is not a MuData."""
    if not hasattr(mdata, "mod"):
        found, do = type(mdata).__name__, "Wrap an AnnData as mudata.MuData({'rna': adata})."
        raise TypeError(problem("mdata", expected="a MuData", found=found, do=do))
