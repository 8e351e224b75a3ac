"""Where a label is, looked up explicitly because mudata 0.3 and 0.4 differ in what `mdata.obs` holds; and which task it sets."""

import warnings
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from omicsbal._validate import OmicsbalWarning, check_choice, listed, nearest, problem

if TYPE_CHECKING:
    from mudata import MuData

TASKS = ("classification", "regression")
MANY_VALUES = 20  # distinct numbers above which a numeric label is a quantity and not a code


def find_label(mdata: "MuData", label_key: str) -> pd.Series:
    """Find a column of labels (classes or targets) over all rows of a MuData.

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
    return _find(mdata, label_key, "label_key")


def find_groups(mdata: "MuData", group_key: str) -> pd.Series:
    """Find a column of groups (donors, patients) over all rows of a MuData.

    Parameters
    ----------
    mdata
        Left as it is.
    group_key
        As the `label_key` of `find_label`.

    Returns
    -------
    Series named `group_key`, as of `find_label`.

    Raises
    ------
    KeyError, ValueError
        As `find_label`.

    Examples
    --------
    >>> import omicsbal as ob
    >>> mdata = ob.datasets.simulate(n_obs=60, random_state=0)
    >>> find_groups(mdata, "donor").shape
    (60,)
    """
    return _find(mdata, group_key, "group_key")


def settle_task(labels: pd.Series, task: str) -> str:
    """The task asked for, or for "auto": regression if the label is numeric with more than `MANY_VALUES` distinct values.

    Raises
    ------
    ValueError
        An unknown task; "regression" of labels that are no numbers.

    Warns
    -----
    OmicsbalWarning
        Whole numbers, which may be codes of classes, are taken for a quantity; points to the line that calls `fit`.

    Examples
    --------
    >>> settle_task(pd.Series([0.5, 1.5] * 30), "auto")
    'classification'
    """
    check_choice("task", task, ["auto", *TASKS])
    if task == "regression" and not _numeric(labels):
        found = f"values such as {listed(labels.dropna().unique(), 3)}"
        raise ValueError(
            problem("label_key", expected="numbers for task='regression'", found=found, do="Pass task='classification'.")
        )
    if task != "auto":
        return task
    kind, doubt = likely_task(labels)
    if kind == "regression" and doubt:
        warnings.warn(doubt, OmicsbalWarning, stacklevel=4)
    return kind


def likely_task(labels: pd.Series) -> tuple[str, str]:
    """What "auto" means for these labels, and a sentence where they could as well be the other; empty where they could not.

    Examples
    --------
    >>> likely_task(pd.Series(["B", "T"]))
    ('classification', '')
    >>> likely_task(pd.Series([0.5, 1.5], name="dose"))[1]
    "'dose' has 2 different numbers, taken as classes. If it is a quantity, pass task='regression'."
    """
    if not _numeric(labels):
        return "classification", ""
    known = labels.dropna().astype(float)
    n, whole = known.nunique(), bool((known == np.rint(known)).all())  # codes are floats where some are missing
    if n > MANY_VALUES:
        doubt = f"{labels.name!r} has {n} different whole numbers, taken as a quantity (regression). "
        return "regression", doubt + "If they are codes of classes, pass task='classification'." if whole else ""
    doubt = f"{labels.name!r} has {n} different numbers, taken as classes. If it is a quantity, pass task='regression'."
    return "classification", "" if labels.dtype.kind in "iu" else doubt


def _numeric(labels: pd.Series) -> bool:
    """Whether the column holds numbers; booleans and categories are names."""
    return labels.dtype.kind in "iuf"


def _find(mdata: "MuData", key: str, what: str) -> pd.Series:
    """The column `key` over all rows; complaints call the argument `what`."""
    if key in mdata.obs:
        return mdata.obs[key].rename(key)
    sources = _sources(mdata, key)
    if not sources:
        known = dict.fromkeys([*mdata.obs.columns, *(c for a in mdata.mod.values() for c in a.obs.columns)])
        do = nearest(key, known)
        raise KeyError(problem(what, expected="a column of mdata.obs or of a modality's obs", found=f"no column {key!r}", do=do))
    return _merge(sources, key, mdata.obs_names)


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
