"""Labelled rows that a fitted model is judged on, and its posteriors of them, from subsets of the modalities."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from omicsbal import _keys
from omicsbal._keys import Keys
from omicsbal._types import FUSED, Arrays
from omicsbal._validate import check_number, problem
from omicsbal.diagnostics.posteriors import FoldExperts, calibrated, calibration_folds, having, new_rows_raw, out_of_fold_raw
from omicsbal.model import FittedModel
from omicsbal.pp import find_groups, find_label
from omicsbal.pp.folds import MERGED
from omicsbal.tl._training_rows import check_as_fitted, check_never_seen, check_same_fit, training_folds
from omicsbal.tl._write import check_key
from omicsbal.train.fitting import held_out_embeddings
from omicsbal.train.predictor import Pattern, subset

if TYPE_CHECKING:
    from mudata import MuData


@dataclass(frozen=True)
class Labelled:
    """n rows with a label: those a model was trained on, or, if none of those are here, rows that it never saw."""

    positions: np.ndarray  # (n,) in the MuData
    data: Arrays
    y: np.ndarray  # (n,) codes of the model's classes; of a number, standard deviations from the training mean
    groups: np.ndarray | None  # (n,) codes of donors
    modalities: tuple[str, ...]  # of the model, as far as the MuData has them
    embeddings: dict[str, np.ndarray]  # {m: (n, k)}, out-of-fold where trained on
    trained_on: bool

    @property
    def rows(self) -> str:
        """How the model knows them, as tables say it."""
        return "out-of-fold" if self.trained_on else "held-out"


def labelled_rows(
    model: FittedModel,
    mdata: "MuData",
    *,
    group_key: str | None,
    min_coverage: float,
    device: str,
    key_added: str,
    do: str | None,
) -> Labelled:
    """Find the rows, refuse what cannot be judged; `do` says what a model of numbers can be asked instead, None: it is welcome.

    Raises
    ------
    KeyError, ValueError
        A model of a number, unless it is welcome; a slot that holds the results of another fit; training rows that are not as
        they were, or that lost their folds; no row with a label, or with a group, where it is needed; features that are missing.
    """
    check_key(mdata, key_added)
    check_number("min_coverage", min_coverage, low=0, high=1)
    if do is not None and model.task != "classification":
        raise ValueError(problem("model", expected="a model of classes", found=f"one of {model.label_key!r}, a number", do=do))
    held = mdata.uns.get(key_added, {})
    if held and held.get(_keys.LABEL_KEY) != model.label_key:
        found, do = f"results for {held.get(_keys.LABEL_KEY)!r} in uns[{key_added!r}]", "Pass another key_added."
        raise ValueError(problem("key_added", expected=f"a free slot or one for {model.label_key!r}", found=found, do=do))
    known = training_folds(mdata, model, key_added)
    everything, coverage = model.arrays(mdata, min_coverage=min_coverage, device=device)
    if known is not None and known[1] != key_added and _strangers(model, mdata, everything, known[0]):
        known = None  # folds of another fit, to other rows, that happen to be the same
    donors = group_key or str(model.params.get("group_key", ""))
    groups = find_groups(mdata, donors) if donors else None
    folds = None if known is None else known[0]
    labels = find_label(mdata, model.label_key)
    codes = _codes(model, labels, folds) if model.task == "classification" else _values(model, labels)
    known_label = codes >= 0 if model.task == "classification" else np.isfinite(codes)
    used = _used_rows(known_label, folds, groups)
    data = subset(everything, used)
    if known is None:
        check_never_seen(model, mdata.obs_names[used], data, coverage)
        embeddings = model.predictor.embed(data)
    else:
        check_as_fitted(model, mdata.obs_names[used], data, coverage)
        embeddings = held_out_embeddings(model.predictor, data)
        check_same_fit(mdata, Keys(known[1], model.label_key), used, embeddings[FUSED])
    group_codes = None if groups is None else pd.factorize(groups.iloc[used])[0]
    return Labelled(used, data, codes[used], group_codes, tuple(coverage), embeddings, known is not None)


def judging_folds(model: FittedModel, found: Labelled, *, random_state: int) -> np.ndarray:
    """(n,) folds that pools are cross-fitted on: those of the members, or of calibration."""
    if found.trained_on:
        return model.predictor.members.folds
    return calibration_folds(len(found.y), found.groups, random_state)


def log_posteriors(
    model: FittedModel,
    found: Labelled,
    patterns: Iterable[Pattern],
    *,
    random_state: int,
    experts: FoldExperts | None = None,
) -> Iterator[tuple[Pattern, np.ndarray]]:
    """Each pattern with its calibrated log-posteriors (n, c), nats, or values (n, 1); NaN where a row lacks a modality of it.

    `experts` as in `omicsbal.diagnostics.posteriors.out_of_fold_raw`.
    """
    predictor, folds = model.predictor, judging_folds(model, found, random_state=random_state)
    if found.trained_on:
        raw = out_of_fold_raw(predictor, found.data, found.y, patterns, experts=experts)
    else:
        raw = new_rows_raw(predictor, found.data, patterns)
    for pattern, heads in raw.items():
        yield pattern, calibrated(heads, found.y, having(found.data, pattern), folds, predictor.outcome)


def _strangers(model: FittedModel, mdata: "MuData", everything: Arrays, folds: np.ndarray) -> bool:
    """Whether most of the rows that have a fold are plainly not those that the model was trained on."""
    rows = np.flatnonzero(folds >= 0)
    marks = model.training_rows
    return len(marks) > 0 and float(marks.changed(mdata.obs_names[rows], subset(everything, rows)).mean()) > 0.5


def _codes(model: FittedModel, labels: pd.Series, folds: np.ndarray | None) -> np.ndarray:
    """(n,) codes of the model's classes; -1 where there is no label, or one that the model does not know."""
    codes = np.where(labels.notna(), model.outcome.encode(labels), -1)
    if folds is not None and MERGED in model.classes:
        codes[(folds >= 0) & (codes < 0) & labels.notna().to_numpy()] = model.classes.index(MERGED)
    return codes


def _values(model: FittedModel, labels: pd.Series) -> np.ndarray:
    """(n,) standardised values; NaN where there is none."""
    if not pd.api.types.is_numeric_dtype(labels) or pd.api.types.is_bool_dtype(labels):
        found, do = f"{labels.dtype}", "Give the label as it was at the fit."
        raise ValueError(problem(f"mdata.obs[{model.label_key!r}]", expected="numbers", found=found, do=do))
    return model.outcome.encode(labels)


def _used_rows(known: np.ndarray, folds: np.ndarray | None, groups: pd.Series | None) -> np.ndarray:
    """Positions of the rows to be measured; `known` (n_obs,) says which have a label."""
    rows = np.flatnonzero(known if folds is None else folds >= 0)
    found = "none" if not len(rows) else ""
    if len(rows) and not known[rows].all():
        found = f"{int((~known[rows]).sum())} training rows without one"
    if found:
        do = "Check the label's column."
        raise ValueError(problem("mdata", expected="rows with a label that the model knows", found=found, do=do))
    if groups is not None and groups.iloc[rows].isna().any():
        found = f"{int(groups.iloc[rows].isna().sum())} missing ones"
        raise ValueError(problem("group_key", expected="a group for every labelled row", found=found, do="Fill them in."))
    return rows
