"""Cells that are easy in one modality only, in both, or in none; and labels that look wrong."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from omicsbal import _keys
from omicsbal._keys import KEY, Keys
from omicsbal._types import FUSED
from omicsbal._validate import check_number, problem
from omicsbal.diagnostics._jackknife import make_blocks
from omicsbal.diagnostics.difficulty import Success, at_equal_depth, depth_correlation, mean_success, success, suspect_labels
from omicsbal.model import FittedModel, versions
from omicsbal.pp import find_groups, find_label, matrix_of
from omicsbal.pp.checks import check_mdata
from omicsbal.pp.folds import MERGED
from omicsbal.tl._predict import as_model
from omicsbal.tl._training_rows import check_as_fitted, check_same_fit, training_folds
from omicsbal.tl._write import check_key
from omicsbal.train.fitting import held_out_embeddings
from omicsbal.train.predictor import subset

if TYPE_CHECKING:
    from mudata import MuData

COLUMNS = ["measure", "modality", "class", "value", "low", "high", "n", "note"]


def cell_difficulty(
    model: FittedModel | str | Path,
    mdata: "MuData",
    *,
    passes: int = 8,
    group_key: str | None = None,
    device: str = "auto",
    key_added: str = KEY,
    random_state: int = 0,
) -> pd.DataFrame:
    """How often each cell is told right however it is shown, together and in each modality; and labels that look wrong.

    Parameters
    ----------
    model
        A `FittedModel` of classes, or the folder it was saved in.
    mdata
        The MuData it was fitted on: each cell is judged by the networks that never saw it.
    passes
        Stochastic passes, at least 2. Success is a multiple of 1 / passes.
    group_key
        Donors, left out one at a time for intervals; by default that of the fit, if it had one.
    device
        As in `omicsbal.tl.predict`.
    key_added
        The key of the fit; names the slots.
    random_state
        Seed of the passes.

    Returns
    -------
    DataFrame over the cells that were trained on: ``success`` in [0, 1]; ``variability``, standard deviation of the probability
    of the label over passes; ``success_<m>`` by the head of each modality alone, NaN where it is absent; ``suspect``, whether the
    label looks wrong, and ``suggested``, the class that looks right, else empty.

    Written: ``obs["omicsbal_success"]``, ``obs["omicsbal_variability"]``, ``obs["omicsbal_success_<m>"]``,
    ``obs["omicsbal_suspect"]`` (NaN, and False, for other cells), and ``uns["omicsbal"]["difficulty"]``, a table with 95 %
    intervals (jackknife over donors, else over 40 blocks of cells): ``measure`` "success", the mean of a class; "depth",
    correlation of success with the log of total counts, which says whether cells are hard because they are shallow;
    "at_equal_depth", the mean of a class if all classes were equally deep: read this one before calling a type hard.

    Raises
    ------
    TypeError, KeyError, ValueError, FileNotFoundError
        Not a model, or one of a number; a MuData that it was not fitted on, or not as it was; labels that have gone.

    Notes
    -----
    In each pass a fifth of the recipe's outputs of each cell is set to its mean; for the joint prediction each modality is also
    hidden with probability 1/2, one being left. The networks' own heads are asked, not the pool. A strategy that trains no head
    of a modality gives no column for it; one that never hides modalities makes cells look harder than they are. Suspects come
    from confident learning (Northcutt et al. 2021, doi:10.1613/jair.1.12125) on the out-of-fold probabilities of the fit; they
    are candidates for a second look, and rare or intermediate types are among them.

    Examples
    --------
    >>> import omicsbal as ob
    >>> mdata = ob.datasets.simulate(n_obs=90, n_truth=200, modalities=["rna", "protein"], random_state=0)
    >>> model = ob.tl.fit(mdata, label_key="cell_type", config=ob.FitConfig(max_epochs=2), progress=False)
    >>> ob.tl.cell_difficulty(model, mdata, passes=2).columns.tolist()
    ['success', 'variability', 'success_rna', 'success_protein', 'suspect', 'suggested']
    """
    model = as_model(model)
    mdata = check_mdata(mdata)
    check_key(mdata, key_added)
    check_number("passes", passes, low=2, integer=True)
    check_number("random_state", random_state, low=0, high=2**32 - 1, integer=True)
    if model.task != "classification":
        do = "There is no right or wrong; see the residuals."
        raise ValueError(problem("model", expected="a model of classes", found=f"one of {model.label_key!r}, a number", do=do))
    rows, key = _trained_rows(mdata, model, key_added)
    y = _codes(model, mdata, rows)
    keys, donors = Keys(key_added, model.label_key), group_key or str(model.params.get("group_key", ""))
    blocks = make_blocks(len(rows), groups=_donors(mdata, donors, rows), strata=y, random_state=random_state)
    proba = _out_of_fold(mdata, Keys(key, model.label_key), model)[rows]
    everything, coverage = model.arrays(mdata, min_coverage=1.0, device=device)
    data = subset(everything, rows)
    check_as_fitted(model, mdata.obs_names[rows], data, coverage)
    predictor = model.predictor
    embedded = held_out_embeddings(predictor, data)
    check_same_fit(mdata, Keys(key, model.label_key), rows, embedded[FUSED])
    found = success(predictor, data, y, passes=passes, random_state=random_state)
    suspect, suggested = suspect_labels(proba, y)
    table = pd.DataFrame({"success": found.joint, "variability": found.variability}, index=mdata.obs_names[rows])
    for m, values in found.alone.items():
        table[f"success_{m}"] = values
    table["suspect"] = suspect
    table["suggested"] = [model.classes[c] if c >= 0 else "" for c in suggested]
    summary = pd.DataFrame(_summary(model, mdata, rows, found, y, blocks), columns=COLUMNS)
    _write(mdata, keys, model, table, summary)
    return table


def _trained_rows(mdata: "MuData", model: FittedModel, key_added: str) -> tuple[np.ndarray, str]:
    """Positions of the training rows, and the key of the fit."""
    known = training_folds(mdata, model, key_added)
    if known is None:
        found, do = "no folds of this model in uns", "Pass the MuData that ob.tl.fit was run on."
        raise ValueError(problem("mdata", expected="the MuData that the model was fitted on", found=found, do=do))
    return np.flatnonzero(known[0] >= 0), known[1]


def _codes(model: FittedModel, mdata: "MuData", rows: np.ndarray) -> np.ndarray:
    """Class codes of the training rows; those of rare classes that the fit merged have the merged one's."""
    labels = find_label(mdata, model.label_key).iloc[rows]
    codes = model.outcome.encode(labels)
    if MERGED in model.classes:
        codes[(codes < 0) & labels.notna().to_numpy()] = model.classes.index(MERGED)
    if (codes < 0).any():
        found = f"{int((codes < 0).sum())} training cells without a class of the model"
        raise ValueError(problem("mdata", expected="the labels of the fit", found=found, do="Check the label's column."))
    return codes


def _donors(mdata: "MuData", group_key: str, rows: np.ndarray) -> np.ndarray | None:
    """Donors of the training rows as strings; None without a key."""
    if not group_key:
        return None
    groups = find_groups(mdata, group_key).iloc[rows]
    if groups.isna().any():
        found = f"{int(groups.isna().sum())} missing ones"
        raise ValueError(problem("group_key", expected="a group for every training row", found=found, do="Fill them in."))
    return groups.astype(str).to_numpy()


def _out_of_fold(mdata: "MuData", keys: Keys, model: FittedModel) -> np.ndarray:
    """(n_obs, c) probabilities that the fit wrote."""
    if keys.proba not in mdata.obsm:
        do = "Fit again: the suspects are found in it."
        raise KeyError(problem(f"mdata.obsm[{keys.proba!r}]", expected="the probabilities of the fit", found="none", do=do))
    return np.asarray(mdata.obsm[keys.proba][model.classes], dtype=np.float64)


def _summary(
    model: FittedModel, mdata: "MuData", rows: np.ndarray, found: Success, y: np.ndarray, blocks: np.ndarray
) -> list[dict[str, Any]]:
    """Rows of the table: by class, together and in each modality; and what depth has to do with it."""
    told: list[dict[str, Any]] = []

    def add(measure: str, modality: str, code: int, estimate: Any, note: str = "") -> None:
        name = "" if code < 0 else model.classes[code]
        numbers = {"value": estimate.value, "low": estimate.low, "high": estimate.high, "n": estimate.n}
        told.append({"measure": measure, "modality": modality, "class": name, **numbers, "note": note})

    for m, values in {"": found.joint, **found.alone}.items():
        known = np.flatnonzero(np.isfinite(values))
        for c in [-1, *np.unique(y[known])]:
            mine = known if c < 0 else known[y[known] == c]
            add("success", m, c, mean_success(values[mine], _again(blocks[mine])), "" if len(mine) > 9 else "few cells")
        depth = _depth(model, mdata, m, rows) if m else None
        if depth is None or len(known) < 10:
            continue
        rho = depth_correlation(values[known], depth[known], _again(blocks[known]))
        add("depth", m, -1, rho, _advice(rho.low, rho.high))
        for c, estimate in at_equal_depth(values[known], depth[known], y[known], _again(blocks[known])).items():
            add("at_equal_depth", m, c, estimate)
    return told


def _again(blocks: np.ndarray) -> np.ndarray:
    """Codes 0, 1, ... of the blocks that are left."""
    return np.unique(blocks, return_inverse=True)[1]


def _advice(low: float, high: float) -> str:
    """What to make of a correlation with depth."""
    if low > 0:
        return "shallow cells are harder: compare classes at equal depth"
    return "deep cells are harder (doublets?)" if high < 0 else "no relation to depth found"


def _depth(model: FittedModel, mdata: "MuData", m: str, rows: np.ndarray) -> np.ndarray | None:
    """Total counts of the training rows in a modality, NaN where absent; None where it has no counts."""
    source = model.sources[m]
    if not source.recipe.counts:
        return None
    X, here, _ = matrix_of(mdata, m, layer=source.layer or None, use_rep=source.use_rep or None)
    total = np.full(mdata.n_obs, np.nan)
    total[here] = np.asarray(X.sum(axis=1)).ravel()
    return np.asarray(total[rows])


def _write(mdata: "MuData", keys: Keys, model: FittedModel, table: pd.DataFrame, summary: pd.DataFrame) -> None:
    """Columns of obs, and the table."""
    for column in ("success", "variability"):
        mdata.obs[getattr(keys, column)] = table[column].reindex(mdata.obs_names)
    for column in [c for c in table if c.startswith("success_")]:
        mdata.obs[f"{keys.success}_{column.removeprefix('success_')}"] = table[column].reindex(mdata.obs_names)
    mdata.obs[keys.suspect] = mdata.obs_names.isin(table.index[table["suspect"]])
    entry = {_keys.VERSIONS: json.dumps(versions()), _keys.LABEL_KEY: model.label_key}
    held = dict(mdata.uns.get(keys.key_added, {}))
    mdata.uns[keys.key_added] = held | {k: v for k, v in entry.items() if k not in held} | {_keys.DIFFICULTY: summary}
