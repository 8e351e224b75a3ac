"""What is in a MuData, what is missing, and what a fit would do to it."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import pandas as pd

from omicsbal._validate import listed

from ._facts import facts
from .align import modality_pattern
from .checks import as_mdata
from .labels import find_label, likely_task
from .options import per_modality

if TYPE_CHECKING:
    from mudata import MuData

Option = str | Mapping[str, str] | None
_COLUMNS = [
    "cells",
    "present",
    "features",
    "sparsity",
    "missing",
    "kind",
    "min",
    "max",
    "depth",
    "recipe",
    "why",
    "components",
    "warnings",
]
_SMALL_CLASS = 5  # the default number of folds


def describe(
    mdata: "MuData", *, label_key: str | None = None, recipe: Option = None, use_rep: Option = None, layer: Option = None
) -> pd.DataFrame:
    """Describe each modality: cells, values, the recipe it would get and why, and what may go wrong.

    Parameters
    ----------
    mdata
        Left as it is. An AnnData is taken as the one modality, with a warning.
    label_key
        Label to count, looked up as a fit would do.
    recipe, use_rep, layer
        As for a fit: one value, or a mapping from modality to value; None chooses the recipe and reads ``X``.

    Returns
    -------
    One row a modality: ``cells``, ``present`` (fraction of all cells), ``features``, ``sparsity`` (fraction of zeros),
    ``missing`` (fraction of NaN), ``kind`` of values, ``min``, ``max``, ``depth`` (median sum of counts of a cell; NaN unless
    counts), ``recipe``, ``why``, ``components`` (columns expected from the recipe), ``warnings``. In ``attrs``:
    ``n_obs``, ``patterns`` and ``labels`` (counts by name), ``unlabelled`` (cells), ``notes`` (sentences).

    Raises
    ------
    TypeError
        Neither MuData nor AnnData.
    KeyError
        Unknown label, modality, recipe, layer or representation. Faults of the data are told, not raised.

    Examples
    --------
    >>> import omicsbal as ob
    >>> table = describe(ob.datasets.simulate(n_obs=60, random_state=0), label_key="cell_type")
    >>> table["recipe"].to_dict()
    {'rna': 'rna', 'atac': 'atac', 'protein': 'protein'}
    """
    mdata = as_mdata(mdata)
    names = list(mdata.mod)
    options = {k: per_modality(k, v, names) for k, v in {"recipe": recipe, "use_rep": use_rep, "layer": layer}.items()}
    rows = {m: facts(mdata, m, **{k: options[k][m] for k in options}) for m in names}
    table = pd.DataFrame.from_dict(rows, orient="index").reindex(columns=_COLUMNS)
    table.index.name = "modality"
    notes = _notes(mdata)
    table.attrs = {"n_obs": int(mdata.n_obs), "patterns": _patterns(mdata, notes), "labels": {}, "unlabelled": 0, "notes": notes}
    if label_key is not None:
        table.attrs.update(_labels(mdata, label_key, notes))
    return table


def describe_text(
    mdata: "MuData", *, label_key: str | None = None, recipe: Option = None, use_rep: Option = None, layer: Option = None
) -> str:
    """Tell in plain text what `describe` found.

    Parameters
    ----------
    mdata, label_key, recipe, use_rep, layer
        As for `describe`.

    Returns
    -------
    Lines for a terminal: modalities, patterns, labels, and what to look at.

    Raises
    ------
    TypeError, KeyError
        As `describe`.

    Examples
    --------
    >>> import omicsbal as ob
    >>> print(describe_text(ob.datasets.simulate(n_obs=60, random_state=0)).splitlines()[0])
    60 cells, 3 modalities
    """
    table = describe(mdata, label_key=label_key, recipe=recipe, use_rep=use_rep, layer=layer)
    shown = table.drop(columns=["warnings", "why"]).round({"present": 2, "sparsity": 2, "missing": 2, "min": 2, "max": 2})
    shown = shown.dropna(axis=1, how="all")
    lines = [f"{table.attrs['n_obs']} cells, {len(table)} modalities", "", shown.to_string(), "", "Recipes"]
    lines += [f"  {m}: {row.recipe} ({row.why})" for m, row in table.iterrows()]
    lines += ["", "Cells by modalities", *_counted(table.attrs["patterns"])]
    if label_key is not None:
        lines += ["", f"Cells by {label_key}", *_counted(table.attrs["labels"])]
        lines += [f"  {table.attrs['unlabelled']:>7} (unlabelled)"]
    warned = [f"  {m}: {text}" for m, text in table["warnings"].items() if text]
    said = [*warned, *(f"  {note}" for note in table.attrs["notes"])]
    return "\n".join([*lines, "", "To look at", *said] if said else lines)


def _counted(counts: dict[str, int]) -> list[str]:
    """Lines of counts, at most 40."""
    lines = [f"  {count:>7} {name}" for name, count in counts.items()]
    return lines[:40] + ([f"  and {len(lines) - 40} more"] if len(lines) > 40 else [])


def _notes(mdata: "MuData") -> list[str]:
    """Faults of the whole object."""
    notes = []
    if mdata.n_obs == 0:
        notes.append("no cells")
    for where, names in {"mdata": mdata.obs_names, **{m: a.obs_names for m, a in mdata.mod.items()}}.items():
        if not names.is_unique:
            notes.append(f"{where}: repeated cell names: {listed(names[names.duplicated()].unique(), 3)}")
    return notes


def _patterns(mdata: "MuData", notes: list[str]) -> dict[str, int]:
    """Cells by pattern of modalities; notes what is odd."""
    try:
        counts = modality_pattern(mdata).value_counts()
    except ValueError as error:
        notes.append(str(error))
        return {}
    patterns = {str(k): int(v) for k, v in counts.items()}
    if "none" in patterns:
        notes.append(f"{patterns['none']} cells have no modality: they are not trained on and are predicted as NaN")
    if len(mdata.mod) > 1 and patterns and not any("+" in p for p in patterns):
        notes.append("no cell has two modalities: do the cell names match?")
    return patterns


def _labels(mdata: "MuData", label_key: str, notes: list[str]) -> dict[str, Any]:
    """Cells by class, and how many are unlabelled; notes small classes, disagreement and continuous targets."""
    try:
        label = find_label(mdata, label_key)
    except ValueError as error:
        notes.append(str(error))
        return {}
    unlabelled = int(label.isna().sum())
    kind, doubt = likely_task(label)  # as `settle_task` will say when a fit asks it
    if kind == "regression":
        low, middle, high = label.dropna().astype(float).quantile([0, 0.5, 1])
        notes.append(f"{label_key!r} is numeric, a target for regression: {low:g} to {high:g}, median {middle:g}")
        notes += [doubt] * bool(doubt)
        return {"unlabelled": unlabelled}
    notes += [doubt] * bool(doubt and label.notna().any())
    counts = label.value_counts()
    counts = counts[counts > 0]
    small = [f"{k} ({v})" for k, v in counts[counts < _SMALL_CLASS].items()]
    if small:
        notes.append(f"classes with fewer than {_SMALL_CLASS} cells: {listed(small)}")
    if len(counts) < 2:
        notes.append(f"{label_key!r} has {len(counts)} class{'' if len(counts) == 1 else 'es'}: at least two are needed")
    return {"labels": {str(k): int(v) for k, v in counts.items()}, "unlabelled": unlabelled}
