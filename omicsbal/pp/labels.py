"""Where a label is: looked up explicitly, because mudata 0.3 and 0.4 differ in what `mdata.obs` holds."""

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from omicsbal._validate import listed, nearest, problem

if TYPE_CHECKING:
    from mudata import MuData


def find_label(mdata: "MuData", label_key: str) -> pd.Series:
    """Find a column of labels (or groups, or targets) over all rows of a MuData.

    Parameters
    ----------
    mdata
        Left as it is.
    label_key
        A column of ``mdata.obs``, else of the ``obs`` of one or more modalities, with or without the prefix ``"rna:"``.

    Returns
    -------
    Series named `label_key`, indexed by ``mdata.obs_names``; missing (NaN) where no source has a value.

    Raises
    ------
    KeyError
        No such column; the nearest name is given.
    ValueError
        Modalities give different values for the same row.

    Examples
    --------
    >>> import omicsbal as ob
    >>> mdata = ob.datasets.simulate(n_obs=60, random_state=0)
    >>> find_label(mdata, "cell_type").shape
    (60,)
    """
    if label_key in mdata.obs:
        return mdata.obs[label_key].rename(label_key)
    sources = _sources(mdata, label_key)
    if not sources:
        known = dict.fromkeys([*mdata.obs.columns, *(c for a in mdata.mod.values() for c in a.obs.columns)])
        found = f"no column {label_key!r}"
        do = nearest(label_key, known)
        raise KeyError(problem("label_key", expected="a column of mdata.obs or of a modality's obs", found=found, do=do))
    return _merge(sources, label_key, mdata.obs_names)


find_groups = find_label


def _sources(mdata: "MuData", key: str) -> list[pd.Series]:
    """The column as each modality tells it, on that modality's rows."""
    sources = []
    for m, adata in mdata.mod.items():
        own = dict.fromkeys([key, key.removeprefix(f"{m}:")])
        sources += [adata.obs[column] for column in own if column in adata.obs]
        if f"{m}:{key}" in mdata.obs:
            sources.append(mdata.obs.loc[mdata.obs_names.isin(adata.obs_names), f"{m}:{key}"])
    return sources


def _merge(sources: list[pd.Series], key: str, names: pd.Index) -> pd.Series:
    """One Series over `names`; refuses rows on which the sources differ."""
    label = sources[0].reindex(names)
    clash = np.zeros(len(names), bool)
    for source in sources[1:]:
        other = source.reindex(names)
        ours, theirs = label.astype(object), other.astype(object)
        both = (ours.notna() & theirs.notna()).to_numpy()
        clash[both] |= ours.to_numpy()[both] != theirs.to_numpy()[both]
        fill = (ours.isna() & theirs.notna()).to_numpy()
        if fill.any():
            label = _filled(label, other, fill)
    if clash.any():
        rows = f"different values on {int(clash.sum())} rows: {listed(names[clash], 3)}"
        do = f"Settle it in mdata.obs[{key!r}], which comes first."
        raise ValueError(problem(key, expected="modalities that agree", found=rows, do=do))
    return label.rename(key)


def _filled(label: pd.Series, other: pd.Series, fill: np.ndarray) -> pd.Series:
    """`label` with the rows `fill` taken from `other`; stays categorical when both are, in order of first mention."""
    values = label.astype(object).where(~fill, other.astype(object))
    if isinstance(label.dtype, pd.CategoricalDtype) and isinstance(other.dtype, pd.CategoricalDtype):
        return values.astype(pd.CategoricalDtype([*dict.fromkeys([*label.cat.categories, *other.cat.categories])]))
    return values.infer_objects()
