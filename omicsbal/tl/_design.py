"""Who is trained on, with which label, in which fold: settled before anything is computed."""

import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pandas as pd

from omicsbal._types import FUSED
from omicsbal._validate import OmicsbalWarning, listed, problem
from omicsbal.model import OUTCOMES
from omicsbal.pp import find_groups, find_label, make_folds, presence, rare_classes
from omicsbal.pp.labels import settle_task
from omicsbal.train.experts import CONCAT
from omicsbal.train.outcome import Outcome
from omicsbal.train.predictor import POOL, PRODUCT

if TYPE_CHECKING:
    from mudata import MuData

PLENTY = 3000  # training rows above which a third of them can be spared, so three folds do
RESERVED = (FUSED, POOL, PRODUCT, CONCAT)  # a modality's head and expert carry its name, and these are taken


@dataclass(frozen=True)
class Design:
    """Training rows of a MuData, and what is to be learnt from them."""

    training: np.ndarray  # (n_obs,) bool
    labels: pd.Series  # of the training rows
    folds: np.ndarray  # of the training rows
    outcome: Outcome
    said: str  # what was done to rare classes; empty if nothing


def check_head_names(modalities: list[str]) -> None:
    """Refuse modalities whose heads could not be told from others.

    Raises
    ------
    ValueError
        A modality is named like a head, or as a linear expert or a loss is.
    """
    taken = [m for m in modalities if m in RESERVED or ":" in m]
    if taken:
        expected = f"names other than {listed(RESERVED)} and without ':', which heads and losses have"
        do = f"Rename it: MuData({{'my_{taken[0]}': mdata[{taken[0]!r}], ...}})."
        raise ValueError(problem("modalities", expected=expected, found=listed(taken), do=do))


def make_design(
    mdata: "MuData",
    *,
    label_key: str,
    modalities: list[str],
    task: str,
    group_key: str | None,
    n_folds: int | None,
    rare: Literal["drop", "merge", "fewer_folds", "error"],
    random_state: int,
    change: str = "rare=... or n_folds=...",
) -> Design:
    """Look up labels and groups, choose rows and folds; `change` names the arguments that rare classes depend on.

    Raises
    ------
    KeyError, ValueError
        As `find_label`, `rare_classes` and `make_folds`; a label without values; fewer groups than folds.
    """
    labels = find_label(mdata, label_key)
    here = presence(mdata)
    usable = np.logical_or.reduce([here[m] for m in modalities]) & labels.notna().to_numpy()
    if not usable.any():
        found = "none" if labels.notna().any() else "only missing values"
        raise ValueError(problem("label_key", expected="labelled cells that have a modality", found=found, do="Check mdata.obs."))
    kind = settle_task(labels, task)
    wanted = (5 if usable.sum() <= PLENTY else 3) if n_folds is None else n_folds
    if kind == "regression":
        values = labels.where(usable).astype(float)
        if np.isinf(values).any():
            raise ValueError(problem("label_key", expected="finite numbers", found="infinite ones", do="Set them to NaN."))
        if values.nunique() < 2:
            raise ValueError(problem("label_key", expected="values that vary", found="a single one", do="Choose another label."))
        said, labels = "", values
    else:
        labels, wanted, said = rare_classes(labels.where(usable), n_folds=wanted, rare=rare)
        labels = labels.astype(object).where(labels.isna(), labels.astype(str).astype(object))
    if said:
        warnings.warn(f"{said} Change this with {change}.", OmicsbalWarning, stacklevel=3)
    groups = None if group_key is None else find_groups(mdata, group_key)
    training = labels.notna().to_numpy()
    folds = make_folds(
        labels, n_folds=wanted, groups=None if groups is None else groups.where(training), random_state=random_state
    )
    outcome: Any = OUTCOMES[kind].learn(labels[training])
    return Design(training, labels[training], folds[training], outcome, said)
