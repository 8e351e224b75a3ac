"""How much each modality tells of the label, what it shares with the others, and what only both together tell."""

import json
from itertools import combinations
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from omicsbal import _keys
from omicsbal._keys import KEY, Keys
from omicsbal._types import FUSED, Arrays
from omicsbal._validate import check_number, problem
from omicsbal.diagnostics.information_tables import Told, information_rows, pid_rows
from omicsbal.diagnostics.posteriors import calibrated, calibration_folds, having, new_rows_raw, out_of_fold_raw
from omicsbal.model import FittedModel, versions
from omicsbal.pp import find_groups, find_label
from omicsbal.pp.checks import check_mdata
from omicsbal.pp.folds import MERGED
from omicsbal.tl._predict import as_model
from omicsbal.tl._training_rows import check_same_rows, training_folds
from omicsbal.tl._write import check_key
from omicsbal.train.fitting import held_out_embeddings
from omicsbal.train.predictor import Pattern, subset

if TYPE_CHECKING:
    from mudata import MuData


def information(
    model: FittedModel | str | Path,
    mdata: "MuData",
    *,
    group_key: str | None = None,
    min_coverage: float = 0.8,
    device: str = "auto",
    key_added: str = KEY,
    random_state: int = 0,
) -> pd.DataFrame:
    """What each modality tells of the label, what two share, and its parts: redundant, unique, synergistic. All in nats.

    Parameters
    ----------
    model
        A `FittedModel` of a classification, or the folder it was saved in.
    mdata
        The MuData it was fitted on: every number is then out-of-fold. Or labelled rows that it never saw ("held-out"). Training
        rows are known by the folds that the fit left in ``uns``; without them they would be taken for new and look too good.
    group_key
        Column of donors, drawn whole in every interval; by default that of the fit, if it had one.
    min_coverage, device
        As in `omicsbal.tl.predict`.
    key_added
        Names the slot.
    random_state
        Seed of k-means, bootstrap draws and null permutations.

    Returns
    -------
    DataFrame with a row a number: ``kind``, ``source_1``, ``source_2``, ``value``, ``low`` and ``high`` (95 % interval), ``n``
    rows, ``lower_bound`` (1 where no more than a lower bound is claimed), ``rows`` ("out-of-fold" or "held-out"), ``method``,
    ``note`` (why a number is missing or to be read with care). Kinds, all on rows that have every modality named:

    ``entropy``
        H(Y), the most that could be told.
    ``label``
        I(Z_S; Y) of a modality, a pair, and all (``source_1``, as in "rna+atac"): usable information ``H(Y) - CE`` of the
        calibrated posteriors (`omicsbal.diagnostics.information.usable_information`).
    ``between``
        I(Z_1; Z_2) of the embeddings of two modalities, by `omicsbal.mi.between` without the labels, which would take ten times
        as long; out-of-fold embeddings come from several networks, moved onto one, which loses some of what they share.
    ``redundant``, ``unique_1``, ``unique_2``, ``synergistic``, ``total``
        The decomposition of each pair and, from three modalities on, of each modality against the rest together
        (`omicsbal.diagnostics.anchored.anchored_pid`).

    Written: the first three kinds to ``uns["omicsbal"]["information"]``, the others to ``uns["omicsbal"]["pid"]``.

    Raises
    ------
    TypeError, KeyError, ValueError, FileNotFoundError
        Not a model, or one of a regression; no row with a label of the model's; a slot that holds the results of another fit;
        features missing as in `omicsbal.tl.predict`. The MuData is as it was.

    Notes
    -----
    The posterior of a subset is a log-linear pool of all heads and linear experts that can speak for it, calibrated on the other
    folds by the plain log-loss (temperatures of Guo et al. 2017, arXiv:1706.04599; the pool is ours). A network that was not
    trained with modalities missing has little to say of a subset, and then of synergy. Numbers are properties of the model and
    the data: what no head has learnt is not counted. Intervals are over rows, or donors, with the model as it is.

    Examples
    --------
    >>> import omicsbal as ob
    >>> mdata = ob.datasets.simulate(n_obs=90, n_truth=200, modalities=["rna", "atac"], random_state=0)
    >>> model = ob.tl.fit(mdata, label_key="cell_type", config=ob.FitConfig(max_epochs=2), progress=False)
    >>> table = ob.tl.information(model, mdata)
    >>> table["kind"].value_counts().to_dict()["label"], set(table["rows"])
    (3, {'out-of-fold'})
    """
    model = as_model(model)
    mdata = check_mdata(mdata)
    check_key(mdata, key_added)
    check_number("random_state", random_state, low=0, high=2**32 - 1, integer=True)
    check_number("min_coverage", min_coverage, low=0, high=1)
    if model.task != "classification":
        do = "Information about a number has no such decomposition here; see ob.mi.between."
        raise ValueError(problem("model", expected="a model of classes", found=f"one of {model.label_key!r}, a number", do=do))
    held = mdata.uns.get(key_added, {})
    if held and held.get(_keys.LABEL_KEY) != model.label_key:
        found, do = f"results for {held.get(_keys.LABEL_KEY)!r} in uns[{key_added!r}]", "Pass another key_added."
        raise ValueError(problem("key_added", expected=f"a free slot or one for {model.label_key!r}", found=found, do=do))
    known = training_folds(mdata, model, key_added)
    donors = group_key or str(model.params.get("group_key", ""))
    groups = find_groups(mdata, donors) if donors else None
    folds = None if known is None else known[0]
    codes = _codes(model, mdata, folds)
    used = _used_rows(codes, folds, groups)
    everything, coverage = model.arrays(mdata, min_coverage=min_coverage, device=device)
    data = subset(everything, used)
    group_codes = None if groups is None else pd.factorize(groups.iloc[used])[0]
    told = _told(model, data, codes[used], group_codes, list(coverage), trained_on=folds is not None, seed=random_state)
    if known is not None:
        check_same_rows(mdata, Keys(known[1], model.label_key), used, told.embeddings[FUSED])
    about, parts = list(information_rows(told)), list(pid_rows(told))
    table = pd.DataFrame(about + parts)
    entry: dict[str, Any] = {
        _keys.LABEL_KEY: model.label_key,
        _keys.TASK: model.task,
        _keys.MODALITIES: np.array(list(coverage), dtype=str),
        _keys.VERSIONS: json.dumps(versions()),
    } | dict(held)
    entry[_keys.INFORMATION] = table[: len(about)].copy()
    entry[_keys.PID] = table[len(about) :].reset_index(drop=True)
    mdata.uns[key_added] = entry
    return table


def _codes(model: FittedModel, mdata: "MuData", folds: np.ndarray | None) -> np.ndarray:
    """(n,) codes of the model's classes; -1 where there is no label, or one that the model does not know."""
    labels = find_label(mdata, model.label_key)
    codes = np.where(labels.notna(), model.outcome.encode(labels), -1)
    if folds is not None and MERGED in model.classes:
        codes[(folds >= 0) & (codes < 0) & labels.notna().to_numpy()] = model.classes.index(MERGED)
    return codes


def _used_rows(codes: np.ndarray, folds: np.ndarray | None, groups: pd.Series | None) -> np.ndarray:
    """Positions of the rows to be measured."""
    rows = np.flatnonzero(codes >= 0 if folds is None else folds >= 0)
    found = "none" if not len(rows) else ""
    if len(rows) and (codes[rows] < 0).any():
        found = f"{int((codes[rows] < 0).sum())} training rows without one"
    if found:
        do = "Check the label's column."
        raise ValueError(problem("mdata", expected="rows with a label that the model knows", found=found, do=do))
    if groups is not None and groups.iloc[rows].isna().any():
        found = f"{int(groups.iloc[rows].isna().sum())} missing ones"
        raise ValueError(problem("group_key", expected="a group for every labelled row", found=found, do="Fill them in."))
    return rows


def _told(
    model: FittedModel,
    data: Arrays,
    y: np.ndarray,
    groups: np.ndarray | None,
    modalities: list[str],
    *,
    trained_on: bool,
    seed: int,
) -> Told:
    """Posteriors of every subset that is asked for, and embeddings, of the rows in `data`."""
    predictor = model.predictor
    whole = frozenset(modalities)
    patterns = [frozenset(s) for size in (1, 2) for s in combinations(modalities, size)]
    patterns = list(dict.fromkeys([*patterns, *(whole - {m} for m in modalities), whole]))
    patterns = [p for p in patterns if p]
    if trained_on:
        folds, raw = predictor.members.folds, out_of_fold_raw(predictor, data, y, patterns)
        embeddings = held_out_embeddings(predictor, data)
    else:
        folds, raw = calibration_folds(len(y), groups, seed), new_rows_raw(predictor, data, patterns)
        embeddings = predictor.embed(data)
    present: dict[Pattern, np.ndarray] = {p: having(data, p) for p in patterns}
    logs = {p: calibrated(raw[p], y, present[p], folds, predictor.outcome) for p in patterns}
    rows = "out-of-fold" if trained_on else "held-out"
    return Told(tuple(modalities), logs, present, embeddings, y, groups, rows, seed)
