"""Which modality could teach which: the gate alone, without any distillation."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pandas as pd

from omicsbal import _keys
from omicsbal._keys import KEY
from omicsbal._validate import check_choice, check_number, problem
from omicsbal.balance._gate import gate_records
from omicsbal.config import FitConfig, NetConfig
from omicsbal.model import FittedModel, pick_device, versions
from omicsbal.pp.checks import check_mdata
from omicsbal.pp.sources import Options
from omicsbal.tl._blocks import read_blocks
from omicsbal.tl._design import check_head_names, make_design
from omicsbal.tl._predict import as_model
from omicsbal.tl._progress import progress_bar
from omicsbal.tl._write import check_key
from omicsbal.train.predictor import subset
from omicsbal.train.references import reference_table
from omicsbal.train.stages import Stages

if TYPE_CHECKING:
    from mudata import MuData


def kd_gate(
    model_or_mdata: "FittedModel | str | Path | MuData",
    *,
    label_key: str | None = None,
    space: Literal["logit", "embedding"] = "logit",
    margin: float = 0.02,
    weight: float = 0.3,
    task: str = "auto",
    group_key: str | None = None,
    modalities: list[str] | None = None,
    recipe: Mapping[str, Any] | str | None = None,
    use_rep: Mapping[str, str] | str | None = None,
    layer: Mapping[str, str] | str | None = None,
    n_folds: int | None = None,
    rare: Literal["drop", "merge", "fewer_folds", "error"] = "drop",
    net: NetConfig | None = None,
    config: FitConfig | None = None,
    device: str = "auto",
    key_added: str = KEY,
    random_state: int = 0,
    progress: bool = True,
) -> pd.DataFrame:
    """For each ordered pair of modalities: may the first teach the second (knowledge distillation, KD)?

    Parameters
    ----------
    model_or_mdata
        A model fitted with teachers, or its folder: its table is returned. Or a MuData: every modality is trained alone,
        out-of-fold, and every pair is measured.
    label_key
        As in `omicsbal.tl.fit`; needed with a MuData.
    space
        What is compared: "logit", out-of-fold predictions as label-facing coordinates; "embedding", the held-out embeddings of
        one network, the literal form of the paper. Nuisance that modalities share (depth, batch) opens the gate in the second.
    margin
        A teacher's metric must be better by this much, or the pair is "weaker".
    weight
        KD weight that a passing teacher would get; an uncertain one gets a third.
    task, group_key, modalities, recipe, use_rep, layer, n_folds, rare, net, config, device, random_state, progress
        As in `omicsbal.tl.fit`; at least three folds.
    key_added
        Names the slot.

    Returns
    -------
    DataFrame, a row an ordered pair: ``teacher``, ``student``; ``metric`` and both out-of-fold values; ``gap`` = I(T; S) - I(S;
    Y) in nats with its 90 % interval ``gap_low`` to ``gap_high`` and standard error; the two terms it is made of, ``within`` =
    I(T; S | Y) and ``extra`` = I(S; Y | T); for the record ``shared`` = I(T; S) and ``relevant`` = I(S; Y); ``decision`` "pass"
    (interval above 0), "fail" (below), "uncertain", "weaker", or "unmeasured" (they meet in fewer than 20 rows, or one class);
    ``chosen`` (1 for the teacher that a student would get) and its ``weight``; after a fit with teachers also ``gain``, the
    change of the student's out-of-fold metric with a 95 % interval over rows: with pilots against the same run without the
    teacher, else against the modality alone, which with KD in the common training is what all of it brought. Written, with a
    MuData: ``uns["omicsbal"]["kd_gate"]`` and ``["references"]``, the scores of each modality alone.

    Raises
    ------
    TypeError, KeyError, ValueError
        As `omicsbal.tl.fit`; a model that was fitted without teachers; a single modality; `key_added` holding a fit of another
        label.

    Notes
    -----
    The cross-modal complementarity hypothesis (Xie, Xu & Sanguinetti 2025, arXiv:2510.13182): KD helps where I(T; S) > I(S; Y).
    By the chain rule the difference is I(T; S | Y) - I(S; Y | T), two small terms in place of two large ones, and that is what is
    estimated. Hypothesis from the paper, estimation and three-way decision our reconstruction. The condition is sufficient at
    best: a closed gate does not prove that KD fails.

    Examples
    --------
    >>> import omicsbal as ob
    >>> mdata = ob.datasets.simulate(n_obs=90, n_truth=200, random_state=0)
    >>> table = ob.tl.kd_gate(mdata, label_key="cell_type", config=ob.FitConfig(max_epochs=2), progress=False)
    >>> len(table), {"pass", "fail", "uncertain", "weaker"} >= set(table["decision"])
    (6, True)
    """
    if isinstance(model_or_mdata, FittedModel | str | Path):
        return _of_model(as_model(model_or_mdata))
    mdata = check_mdata(model_or_mdata, modalities=modalities)
    check_key(mdata, key_added)
    check_number("random_state", random_state, low=0, high=2**32 - 1, integer=True)
    check_number("margin", margin, low=0)
    check_number("weight", weight, low=0, high=1)
    check_choice("space", space, ("logit", "embedding"))
    names = list(mdata.mod) if modalities is None else list(dict.fromkeys(modalities))
    if label_key is None:
        raise ValueError(problem("label_key", expected="a column", found="none", do="With a MuData, pass label_key=...."))
    if len(names) < 2:
        do = "Leave out modalities=..., or bring a second one."
        raise ValueError(problem("modalities", expected="at least two", found=names, do=do))
    held = mdata.uns.get(key_added, {})
    if held.get(_keys.LABEL_KEY, label_key) != label_key:  # what asks for no label, as modality_snr, leaves none
        found, do = f"results for {held.get(_keys.LABEL_KEY)!r} in uns[{key_added!r}]", "Pass another key_added."
        raise ValueError(problem("key_added", expected=f"a free slot or one for {label_key!r}", found=found, do=do))
    check_head_names(names)
    where = pick_device(device)
    design = make_design(
        mdata, label_key=label_key, modalities=names, task=task, group_key=group_key, n_folds=n_folds, rare=rare,
        random_state=random_state,
    )  # fmt: skip
    _, everything = read_blocks(mdata, Options(recipe, use_rep, layer, names), design, where)
    data = subset(everything, np.flatnonzero(design.training))
    bar, report = progress_bar(f"gate {label_key}", wanted=progress)
    stages = Stages(
        data, design.folds, design.outcome, net or NetConfig(), config or FitConfig(n_members=0), random_state, None, report,
        unlabelled=subset(everything, np.flatnonzero(~design.training)),
    )  # fmt: skip
    try:
        references = stages.make_references()
    finally:
        bar.close()
    metric = design.outcome.metric
    records = gate_records(references, data, metric=metric, margin=margin, space=space, weight=weight)
    table = pd.DataFrame(records)
    entry = {
        _keys.LABEL_KEY: label_key,
        _keys.TASK: design.outcome.kind,
        _keys.METRIC: metric,
        _keys.MODALITIES: np.array(names, dtype=str),
        _keys.VERSIONS: json.dumps(versions()),
    } | dict(held)
    entry[_keys.REFERENCES] = pd.DataFrame(reference_table(references, data, design.outcome))
    entry[_keys.KD_GATE] = table.copy()
    mdata.uns[key_added] = entry
    return table


def _of_model(model: FittedModel) -> pd.DataFrame:
    """The table that the fit left."""
    if _keys.KD_GATE not in model.tables:
        found = f"a fit with strategy {model.params['strategy']!r}, which asks for no teachers"
        do = "Fit with strategy='mutual' or 'distill', or call ob.tl.kd_gate(mdata, label_key=...)."
        raise ValueError(problem("model", expected="a model fitted with teachers", found=found, do=do))
    return model.tables[_keys.KD_GATE].copy()
