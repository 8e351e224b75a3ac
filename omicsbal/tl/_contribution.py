"""What each modality contributes to a fitted model: over all cells, for each class, in each cell."""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from omicsbal import _keys
from omicsbal._keys import KEY, Keys
from omicsbal._types import FUSED
from omicsbal._validate import check_choice, check_number, problem
from omicsbal.balance import Strategy
from omicsbal.diagnostics.answers import MEASURES, OF_NUMBERS, PERMUTED, Answers, answers_from, numbers_from
from omicsbal.diagnostics.confusions import confusion_rows
from omicsbal.diagnostics.contribution import contribution_rows
from omicsbal.diagnostics.permutation import PERMUTATIONS, permuted_guesses
from omicsbal.diagnostics.posteriors import fold_experts, having
from omicsbal.diagnostics.shapley import make_game
from omicsbal.model import FittedModel
from omicsbal.pp.checks import check_mdata
from omicsbal.tl._labelled import Labelled, judging_folds, labelled_rows, log_posteriors
from omicsbal.tl._predict import as_model
from omicsbal.tl._write import write_tables
from omicsbal.train.predictor import row_patterns, subset

if TYPE_CHECKING:
    from mudata import MuData

VALUES = {"classification": MEASURES, "regression": OF_NUMBERS}
DEFAULT = {"classification": ("information", "macro_f1"), "regression": ("information", "r2")}
CONFUSION_COLUMNS = ["modality", "class", "taken_for", "value", "low", "high", "without", "with", "n", "rows", "note"]


def contribution(
    model: FittedModel | str | Path,
    mdata: "MuData",
    *,
    value: str | tuple[str, ...] | None = None,
    n_permutations: int = PERMUTATIONS,
    group_key: str | None = None,
    min_coverage: float = 0.8,
    device: str = "auto",
    key_added: str = KEY,
    random_state: int = 0,
) -> pd.DataFrame:
    """What each modality contributes to telling the label: a fair share, alone, on top of the rest; overall, by class, by cell.

    Parameters
    ----------
    model
        A `FittedModel`, or the folder it was saved in.
    mdata
        The MuData it was fitted on: every number is then out-of-fold. Or labelled rows that it never saw ("held-out"). Training
        rows are known by the folds that the fit left in ``uns``; without them they would be taken for new and look too good.
    value
        What is shared out, one or several: "information", mean of log p(y | x_S) - log prior(y), nats; "macro_f1", "accuracy" of
        the most probable class; of a number, "information", with Gaussian errors as large as those of the other folds
        (`omicsbal.diagnostics.answers.numbers_from`), and "r2", share of the squared error that is gone. None: information, and
        macro-F1 or R squared.
    n_permutations
        Of each modality; 0 for none.
    group_key
        Column of donors, drawn whole in every interval; by default that of the fit, if it had one.
    min_coverage, device
        As in `omicsbal.tl.predict`.
    key_added
        Names the slots.
    random_state
        Seed of bootstrap draws and, above eight modalities, of the orders that are sampled.

    Returns
    -------
    A DataFrame, a row a number: ``kind``, ``measure`` (what is shared out, or "recall"), ``modality``, ``class`` (empty: all),
    ``value``, ``low`` and ``high`` (95 % interval), ``n`` rows, ``p``, ``q``, ``rows`` ("out-of-fold" or "held-out"), ``note``
    (why a number is missing or to be read with care). With v(S) the value of the modalities in S, v(none) that of the prior (the
    shares of the classes: their log, their largest for accuracy, and for macro-F1 1 / c, the score of guessing by them, below
    which no S falls):

    ``total``
        v(all) - v(none).
    ``shapley``
        Share of each modality (`omicsbal.diagnostics.shapley.make_game`); they sum to the total. By class: the mean of log-
        probabilities over its cells; weighted by the sizes of the classes these give the overall share.
    ``solo``, ``need``
        v({m}) - v(none), and v(all) - v(all but m). By class: need in nats, with two-sided ``p`` (t, with the spread of the
        bootstrap, our choice) and ``q`` over classes and modalities (Benjamini and Hochberg 1995,
        doi:10.1111/j.2517-6161.1995.tb02031.x), and the change of the class's recall.
    ``permutation``
        Of "macro_f1" and "accuracy": score less the mean score with the modality's values taken from other cells, model as fitted
        (`omicsbal.diagnostics.permutation.permuted_guesses`): how far this model leans on it, not what could be told without. Not
        in nats or R squared, where a model is punished for being sure of cells that do not exist; nor on training rows of a graph
        model.
    ``interaction``
        Of pairs: above 0 they tell more together, below 0 one replaces the other; with two modalities synergy less redundancy.
    ``imbalance``
        ``(max - min) / sum of sizes`` of the Shapley values: 0 equal, 1 one has everything.

    Written: this table to ``uns["omicsbal"]["contribution"]``; pairs of classes that a modality keeps apart
    (`omicsbal.diagnostics.confusions.confusion_rows`) to ``uns["omicsbal"]["confusions"]``; to
    ``obsm["omicsbal_contribution_<label>"]`` a DataFrame with a column a modality: its share of each cell's log p(y | x) - log
    prior(y), nats, NaN where a cell was not used.

    Raises
    ------
    TypeError, KeyError, ValueError, FileNotFoundError
        Not a model; an unknown value, or one that is not for its kind of label; no row with a label of the model's; a slot that
        holds the results of another fit; features missing as in `omicsbal.tl.predict`. The MuData is as it was.

    Notes
    -----
    *Rows*: those that have every modality of the model that the MuData has; the note of the total says how many others there are.

    *Absence*: a subset's posterior is a log-linear pool of all heads and linear experts that can speak for it, calibrated on the
    other folds, our choice: each subset gets the best that this model can say without the rest. A fused head that was not trained
    with modalities missing adds little to that, and nothing of what two tell only together; the note of the total says so. Most
    probable classes are those of these posteriors, which weigh rows the same, where predictions for use weigh rare classes more.

    A contribution is a property of model and data, not of the data: what no head has learnt is not counted. Equal shares are not
    the goal; a modality may have little to tell. A share mixes what is unique, redundant and synergistic, which
    `omicsbal.tl.information` tells apart.

    *Intervals* (bias-corrected percentiles of 500 bootstrap draws; none for a class of a single donor) are over rows, or donors,
    with the model as it is; that of the index is widened so that it can hold 0 (`omicsbal.diagnostics.resampling.interval`). Time
    and memory grow as 2^M; above eight modalities 64 orders are sampled.

    Examples
    --------
    >>> import omicsbal as ob
    >>> mdata = ob.datasets.simulate(n_obs=90, n_truth=200, modalities=["rna", "atac"], random_state=0)
    >>> model = ob.tl.fit(mdata, label_key="cell_type", config=ob.FitConfig(max_epochs=2), progress=False)
    >>> table = ob.tl.contribution(model, mdata, value="information").query("`class` == ''").set_index("kind")
    >>> bool(np.isclose(table.loc["shapley", "value"].sum(), table.loc["total", "value"]))
    True
    """
    model = as_model(model)
    mdata = check_mdata(mdata)
    check_number("random_state", random_state, low=0, high=2**32 - 1, integer=True)
    check_number("n_permutations", n_permutations, low=0, integer=True)
    possible, value = VALUES[model.task], DEFAULT[model.task] if value is None else value
    measures = list(dict.fromkeys([value] if isinstance(value, str) else value))
    if not measures:
        raise ValueError(problem("value", expected=f"some of {list(possible)}", found="none", do="Leave it out for the default."))
    for name in measures:
        check_choice("value", name, possible)
    asked: dict[str, Any] = {"group_key": group_key, "min_coverage": min_coverage, "device": device, "key_added": key_added}
    found = labelled_rows(model, mdata, **asked, do=None)
    complete = having(found.data, frozenset(found.modalities))
    told = _answers(model, found, complete, n_permutations if set(measures) & set(PERMUTED) else 0, random_state)
    rows = list(contribution_rows(told, measures=measures))
    words = [rows[0]["note"], _left_out(model, found, complete), _never_hidden(model, found)]
    rows[0]["note"] = " ".join(filter(None, words))
    table = pd.DataFrame(rows)
    _write(mdata, Keys(key_added, model.label_key), model, table, told, found.positions[complete])
    return table


def _answers(model: FittedModel, found: Labelled, complete: np.ndarray, n_permutations: int, seed: int) -> Answers:
    """What the model says of the complete rows from every coalition, and from permuted modalities."""
    game = make_game(found.modalities, random_state=seed)
    experts = fold_experts(model.predictor, found.data, found.y) if found.trained_on else None
    logs = log_posteriors(model, found, [c for c in game.coalitions if c], random_state=seed, experts=experts)
    groups, folds = None if found.groups is None else found.groups[complete], judging_folds(model, found, random_state=seed)
    some = ((coalition, values[complete]) for coalition, values in logs)
    more: dict[str, Any] = {"groups": groups, "rows": found.rows, "random_state": seed}
    if not model.classes:
        return numbers_from(game, some, found.y[complete].astype(float), folds=folds[complete], **more)
    told = answers_from(game, some, found.y[complete], classes=model.classes, **more)
    if not n_permutations or told.refusal():
        return told
    how: dict[str, Any] = {"pattern": frozenset(found.modalities), "rows": complete, "folds": folds}
    how |= {"experts": experts, "n_permutations": n_permutations, "random_state": seed}
    return replace(told, permuted=dict(permuted_guesses(model.predictor, found.data, found.y, **how)))


def _left_out(model: FittedModel, found: Labelled, complete: np.ndarray) -> str:
    """Which rows and modalities are not counted; empty if all are."""
    absent = [m for m in model.modalities if m not in found.modalities]
    words = [f"Not in this MuData: {', '.join(absent)}."] if absent else []
    rest = np.flatnonzero(~complete)
    if len(rest):
        present = subset(found.data, rest).present
        patterns = row_patterns({m: present[m].cpu().numpy() for m in found.modalities})
        each = {"+".join(m for m in found.modalities if m in p) or "nothing": len(mine) for p, mine in patterns.items()}
        words.append(f"Left out: {', '.join(f'{n} rows with {name}' for name, n in each.items())}.")
    return " ".join(words)


def _never_hidden(model: FittedModel, found: Labelled) -> str:
    """That the fused head was not trained to do without a modality; empty where it was, or is made of single heads."""
    predictor, strategy = model.predictor, model.predictor.strategy
    made_of_heads = type(strategy).fuse is not Strategy.fuse
    if FUSED not in predictor.trained or made_of_heads or strategy.hides or len(found.modalities) < 2:
        return ""
    always = [m for m in found.modalities if not found.trained_on or bool(found.data.present[m].all())]
    if not always:
        return ""
    unless = "" if found.trained_on else ", unless training rows lacked them"
    missing = f"The fused head was not trained with {' or '.join(always)} missing{unless}:"
    return f"{missing} subsets rest on single heads and linear experts; strategy='modality_dropout' trains it."


def _write(mdata: "MuData", keys: Keys, model: FittedModel, table: pd.DataFrame, told: Answers, rows: np.ndarray) -> None:
    """Two tables, and shares by cell."""
    confusions = pd.DataFrame(list(confusion_rows(told)), columns=CONFUSION_COLUMNS)
    shares = np.full((mdata.n_obs, len(told.game.names)), np.nan)
    shares[rows] = told.by_row()
    mdata.obsm[keys.contribution] = pd.DataFrame(shares, index=mdata.obs_names, columns=list(told.game.names))
    tables = {_keys.CONTRIBUTION: table, _keys.CONFUSIONS: confusions}
    write_tables(mdata, keys.key_added, model, told.game.names, tables)
