"""What ``ob.tl`` wrote, read back with one wording for what is not there."""

from collections.abc import Sequence
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
        _check_columns(table, columns, where=f"mdata.uns[{self.key_added!r}][{name!r}]", do=FIT_FIRST)
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


def read_table(
    mdata: "MuData", key_added: str, name: str, *, words: Sequence[str], numbers: Sequence[str], run: str
) -> pd.DataFrame:
    """The table `name` of ``uns[key_added]``, columns `words` as str and `numbers` as float; `run` is the call that writes it."""
    check_mudata(mdata)
    where = f"mdata.uns[{key_added!r}][{name!r}]"
    held = {k: v for k, v in mdata.uns.items() if hasattr(v, "keys") and not hasattr(v, "columns")}  # tables are no entries
    entries = held.get(key_added, {})
    if name not in entries:
        others = [key for key, entry in held.items() if name in entry]
        do = f"Run {run} first" + (f", or pass key_added={others[0]!r}, where there is one." if others else ".")
        found = f"only {listed(entries)}" if len(entries) else "nothing under that key"
        raise KeyError(problem(where, expected=f"a table of {run.partition('(')[0]}", found=found, do=do))
    table = entries[name]
    if not (isinstance(table, pd.DataFrame) and table.shape[0] == 0):  # no rows need no columns
        _check_columns(table, [*words, *numbers], where=where, do=f"Run {run} again.")
    types = {column: str if column in words else float for column in (*words, *numbers)}
    return table.reset_index(drop=True).reindex(columns=list(dict.fromkeys([*table.columns, *types]))).astype(types)


def _check_columns(table: Any, columns: Sequence[str], *, where: str, do: str) -> None:
    """Refuse a table that lacks some of `columns`, and what is no table."""
    absent = [column for column in columns if column not in getattr(table, "columns", [])]
    if absent:
        found = f"none called {listed(absent)}"
        raise KeyError(problem(where, expected=f"a DataFrame with columns {listed(columns, 20)}", found=found, do=do))


def check_mudata(mdata: "MuData") -> None:
    """Refuse what is not a MuData."""
    if not hasattr(mdata, "mod"):
        found, do = type(mdata).__name__, "Wrap an AnnData as mudata.MuData({'rna': adata})."
        raise TypeError(problem("mdata", expected="a MuData", found=found, do=do))
