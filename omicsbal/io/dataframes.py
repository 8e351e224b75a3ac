"""Tables, or CSV and TSV files, as a MuData."""

from collections.abc import Mapping
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
import pandas as pd

from omicsbal._validate import listed, problem

from .anndatas import from_anndatas

if TYPE_CHECKING:
    from mudata import MuData

Table: TypeAlias = pd.DataFrame | str | PathLike
_SEPARATORS = {".csv": ",", ".tsv": "\t", ".txt": "\t", ".tab": "\t"}


def from_dataframes(frames: "Mapping[str, Table]", *, obs: "Table | None" = None) -> "MuData":
    """Join tables of samples by features; a sample may be absent from some of them.

    Parameters
    ----------
    frames
        By modality name, a DataFrame or the path of a CSV or TSV file (also gzipped) whose first column names the samples.
        Rows are samples, columns features, values numbers; empty cells are NaN.
    obs
        Labels and other columns by sample, as a DataFrame or a path. Samples that no frame has are ignored.

    Returns
    -------
    MuData over the union of the samples of `frames`; values float32; the columns of `obs` in ``mdata.obs``, text as
    categories, missing where `obs` lacks the sample.

    Raises
    ------
    TypeError
        Neither a DataFrame nor a path.
    ValueError
        Columns that are no numbers, repeated names, an unknown file suffix, or tables that share no sample: where the
        other side of a table would fit, the message says to transpose it.

    Examples
    --------
    >>> rna = pd.DataFrame({"g1": [1, 0], "g2": [3, 4]}, index=["s1", "s2"])
    >>> meth = pd.DataFrame({"p1": [0.1]}, index=["s2"])
    >>> from_dataframes({"rna": rna, "meth": meth}, obs=pd.DataFrame({"age": [50, 60]}, index=["s1", "s2"])).shape
    (2, 3)
    """
    if not isinstance(frames, Mapping) or not frames:
        found = type(frames).__name__ if not isinstance(frames, Mapping) else "nothing"
        raise TypeError(problem("frames", expected="a mapping from modality name to table", found=found, do=_EXAMPLE))
    tables = {m: _read(m, table) for m, table in frames.items()}
    about = None if obs is None else _read("obs", obs)
    _check_orientation(tables, about)
    mdata = from_anndatas({m: _adata(m, table) for m, table in tables.items()})
    if about is not None:
        aligned = about.reindex(mdata.obs_names)
        for column in aligned.columns:
            values = aligned[column]
            # Text with gaps cannot be written to .h5mu unless it is categorical.
            mdata.obs[str(column)] = values.astype("category") if values.dtype.kind not in "biufM" else values
    return mdata


_EXAMPLE = 'Pass {"rna": rna_table, "meth": "meth.csv"}.'


def _read(name: str, table: Table) -> pd.DataFrame:
    """The table with sample names as strings, checked for repeats."""
    if isinstance(table, pd.DataFrame):
        frame = table.copy()
    elif isinstance(table, str | PathLike):
        suffixes = [s for s in Path(table).suffixes if s != ".gz"]
        suffix = suffixes[-1].lower() if suffixes else ""
        if suffix not in _SEPARATORS:
            raise ValueError(
                problem(name, expected=f"a file ending in {listed(_SEPARATORS)}", found=repr(str(table)), do=_RENAME)
            )
        frame = pd.read_csv(table, sep=_SEPARATORS[suffix], index_col=0)
    else:
        raise TypeError(problem(name, expected="a DataFrame or a path", found=type(table).__name__, do=_EXAMPLE))
    frame.index, frame.columns = frame.index.astype(str), frame.columns.astype(str)
    for what, names in (("sample", frame.index), ("column", frame.columns)):
        if not names.is_unique:
            found = f"repeated {listed(names[names.duplicated()].unique(), 3)}"
            raise ValueError(problem(name, expected=f"unique {what} names", found=found, do="Average or rename them."))
    return frame


_RENAME = "Rename it, or read it with pandas."


def _adata(m: str, frame: pd.DataFrame) -> object:
    """An AnnData of the numbers."""
    from anndata import AnnData

    text = [c for c in frame.columns if frame[c].dtype.kind not in "biuf"]
    if text:
        found = f"text in {listed(text, 3)}"
        raise ValueError(problem(m, expected="columns of numbers", found=found, do="Move such columns to obs, or drop them."))
    X = np.ascontiguousarray(frame.to_numpy(dtype=np.float32))
    return AnnData(X, obs=pd.DataFrame(index=frame.index), var=pd.DataFrame(index=frame.columns))


def _check_orientation(tables: dict[str, pd.DataFrame], about: pd.DataFrame | None) -> None:
    """Refuse tables that share no sample with the others; say so where the other side would fit."""
    if about is not None:
        reference, source = about.index, "obs"
    elif len(tables) > 1:
        source = next(iter(tables))
        reference = tables[source].index
    else:
        return
    for m, frame in tables.items():
        if m == source or frame.index.isin(reference).any():
            continue
        if frame.columns.isin(reference).any():
            fix = f"Rows must be samples: transpose it, {m}.T."
        elif source != "obs" and frame.index.isin(tables[source].columns).any():
            m, fix = source, f"Rows must be samples: transpose it, {source}.T."
        elif about is not None and frame.index.isin(about.columns).any():
            m, fix = "obs", "Rows must be samples: transpose it, obs.T."
        elif about is None:
            # Disjoint samples are a rare but fair design; from_anndatas warns.
            continue
        else:
            fix = f"Compare {listed(frame.index, 2)} with {listed(reference, 2)}."
        raise ValueError(problem(m, expected=f"samples in common with {source}", found="none", do=fix))
