"""What a fitted model still tells when a modality is missing, measured less deeply, or noisy."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from omicsbal import _keys
from omicsbal._keys import KEY
from omicsbal._validate import check_choice, check_number, problem
from omicsbal.diagnostics.damage import DAMAGES
from omicsbal.diagnostics.judges import Judge, heads_for_use, new_rows_judge, out_of_fold_judge
from omicsbal.diagnostics.posteriors import having
from omicsbal.diagnostics.robustness import COLUMNS, Row, Scorer, curve_rows
from omicsbal.model import FittedModel
from omicsbal.pp.checks import check_mdata
from omicsbal.tl._damaged import Damaged
from omicsbal.tl._labelled import Labelled, labelled_rows
from omicsbal.tl._predict import as_model
from omicsbal.tl._write import write_tables
from omicsbal.train.predictor import row_patterns, wanted_patterns

if TYPE_CHECKING:
    from mudata import MuData

FEW_MODALITIES = 4  # up to here every subset is a pattern
KINDS = tuple(DAMAGES)


def robustness(
    model: FittedModel | str | Path,
    mdata: "MuData",
    *,
    kinds: str | Sequence[str] = KINDS,
    levels: Mapping[str, Sequence[float]] | None = None,
    group_key: str | None = None,
    min_coverage: float = 0.8,
    device: str = "auto",
    key_added: str = KEY,
    random_state: int = 0,
    progress: bool = True,
) -> pd.DataFrame:
    """How predictions hold up when one modality is removed, thinned or noised step by step, and what each subset is good for.

    Parameters
    ----------
    model
        A `FittedModel`, or the folder it was saved in.
    mdata
        The MuData it was fitted on: every number is then out-of-fold. Or labelled rows that it never saw ("held-out"). Training
        rows are known by the folds that the fit left in ``uns``; without them they would be taken for new and look too good.
    kinds
        Any of "removed", "thinned", "noised".
    levels
        By kind, in place of the usual ones; the undamaged level is added. "removed": share in [0, 1] of the cells that lose the
        modality, usually 0, .1, .25, .5, .75, 1. "thinned": probability in [1e-6, 1] with which each count is kept, usually 1,
        .5, .25, .1, .05, .02. "noised": standard deviation in [0, 1000] of Gaussian noise on each column that the recipe gives,
        in standard deviations of that column, usually 0, .25, .5, 1, 2, 4.
    group_key
        Column of donors, drawn whole in every interval; by default that of the fit, if it had one.
    min_coverage, device
        As in `omicsbal.tl.predict`.
    key_added
        Names the slot.
    random_state
        Seed of the damage and of the bootstrap.
    progress
        Show a bar.

    Returns
    -------
    A DataFrame, a row a number: ``kind``; ``modality`` that is damaged; ``level``; ``pattern``, as in "rna+atac"; ``head``;
    ``measure``; ``class`` (empty: all); ``value``, ``low`` and ``high`` (95 % interval); ``n`` rows; ``rows`` ("out-of-fold" or
    "held-out"); ``note``, why a number is missing or to be read with care. Also written to ``uns["omicsbal"]["robustness"]``.

    ``removed``, ``thinned``, ``noised``
        Scores of the pool, which `omicsbal.tl.predict` gives by default, and of the fused head, over all rows, also those without
        the modality: ``macro_f1``, ``log_loss`` (nats), ``ece``, expected calibration error over 15 bins of equal mass; of a
        number ``r2`` and ``rmse``, in its unit. ``recall`` of each class where nothing and where all is removed. ``area``: mean
        of the first score along the damage, as a share of the undamaged score; 1 is no loss.
    ``pattern``
        The same scores from the modalities in ``pattern`` alone, over the rows that have them: all subsets of up to four
        modalities, else singles, all but one, and what occurs.
    ``floor``
        The same scores of telling every row by the prior, the shares of the classes among the training rows (macro-F1 1 / c, of
        guesses by these shares; always the largest class would get less).

    Raises
    ------
    TypeError, KeyError, ValueError, FileNotFoundError
        Not a model; unknown kind; level out of range; no row with a label of the model's; the training rows of a model with graph
        encoders, which looks them up instead of reading them; a slot that holds the results of another fit; features missing as
        in `omicsbal.tl.predict`. The MuData is as it was.

    Notes
    -----
    Nothing is fitted on damaged rows. A training row is judged by the network that never saw it, by linear experts fitted again
    without its fold, and by temperatures and pools from the undamaged predictions of the other folds. Where a modality is gone,
    the pool of the remaining pattern speaks; where nothing is left, the prior. Of other damage the model is not told.

    A cell that is hurt at one level is hurt at all harsher ones. Counts are thinned before the recipe, ATAC as fragments; dense
    blocks and binarised peaks cannot be. Noise is in units of the spread among the rows that are judged. Along the axis of the
    area stand the share removed, halvings of the depth (log2 1/kept), and the share of the variance that is noise, s^2 / (1 +
    s^2): our choice, as is the area itself. Calibration errors are above 0 by chance, the more so in few rows.

    *Intervals* (bias-corrected percentiles of 200 bootstrap draws) are over rows, or donors, with the model and the damage as
    they are.

    Examples
    --------
    >>> import omicsbal as ob
    >>> mdata = ob.datasets.simulate(n_obs=90, n_truth=200, modalities=["rna", "protein"], random_state=0)
    >>> model = ob.tl.fit(mdata, label_key="cell_type", config=ob.FitConfig(max_epochs=2), progress=False)
    >>> table = ob.tl.robustness(model, mdata, kinds="removed", levels={"removed": [0.5]}, progress=False)
    >>> sorted(set(table.loc[table["modality"] == "rna", "level"].dropna()))
    [0.0, 0.5]
    """
    model = as_model(model)
    mdata = check_mdata(mdata)
    check_number("random_state", random_state, low=0, high=2**32 - 1, integer=True)
    wanted = _levels(kinds, levels)
    asked: dict[str, Any] = {"group_key": group_key, "min_coverage": min_coverage, "device": device, "key_added": key_added}
    found = labelled_rows(model, mdata, **asked, do=None)
    if found.trained_on and model.predictor.net.graph is not None:
        do = "Pass labelled rows that it never saw, or fit with encoder='mlp'."
        what = "the training rows of a graph encoder, which looks them up as they were"
        raise ValueError(problem("mdata", expected="rows whose values the model reads", found=what, do=do))
    table = pd.DataFrame(list(_rows(model, mdata, found, wanted, random_state, progress=progress)), columns=COLUMNS)
    write_tables(mdata, key_added, model, found.modalities, {_keys.ROBUSTNESS: table})
    return table


def _levels(kinds: str | Sequence[str], levels: Mapping[str, Sequence[float]] | None) -> dict[str, list[float]]:
    """The levels of each kind that is wanted, from none to most."""
    names = [check_choice("kinds", k, DAMAGES) for k in dict.fromkeys([kinds] if isinstance(kinds, str) else kinds)]
    if not names:
        raise ValueError(problem("kinds", expected=f"some of {list(DAMAGES)}", found="none", do="Leave it out for all."))
    if levels is not None and not isinstance(levels, Mapping):
        do = "Pass levels={'thinned': [0.5, 0.1]}."
        raise TypeError(problem("levels", expected="levels by kind", found=type(levels).__name__, do=do))
    given = dict(levels or {})
    for kind, values in given.items():
        check_choice("levels", kind, names)
        for value in np.ravel(np.asarray(values, dtype=object)):
            check_number(f"levels[{kind!r}]", value, low=DAMAGES[kind].low, high=DAMAGES[kind].high)
    return {k: DAMAGES[k].ordered(np.ravel(np.asarray(given.get(k, DAMAGES[k].levels), dtype=float)).tolist()) for k in names}


def _rows(
    model: FittedModel, mdata: "MuData", found: Labelled, wanted: Mapping[str, list[float]], seed: int, *, progress: bool
) -> Iterator[Row]:
    """The table: curves, patterns, floor."""
    from tqdm.auto import tqdm

    predictor, damaged = model.predictor, Damaged(model, mdata, found, seed)
    scorer = Scorer(model.outcome, found.y, found.groups, found.rows, seed)
    judge = out_of_fold_judge(predictor, found.data, found.y) if found.trained_on else new_rows_judge(predictor)
    whole = judge(found.data)
    pairs = [(kind, m) for m in found.modalities for kind in wanted]
    bar = tqdm(pairs, desc="robustness", unit="curve", disable=not progress, leave=False)
    curves: list[Row] = []
    for kind, m in bar:
        why = damaged.refusal(kind, m)
        if why:
            curves += [
                scorer.row(np.nan, np.empty(0), kind=kind, modality=m, head=head, measure=model.outcome.metric, note=why)
                for head in heads_for_use(predictor)
            ]
            continue
        levels = wanted[kind]
        steps = zip(levels, damaged.steps(kind, m, levels), strict=True)
        told = [(level, judge(data) if level != DAMAGES[kind].none else whole) for level, data in steps]
        curves += curve_rows(scorer, kind, m, told, note=_lacking(found, m))
    yield from sorted(curves, key=lambda row: list(wanted).index(row["kind"]))
    yield from _patterns(found, damaged, scorer, judge)
    yield from scorer.floor()


def _patterns(found: Labelled, damaged: Damaged, scorer: Scorer, judge: Judge) -> Iterator[Row]:
    """Scores from each subset of the modalities, over the rows that have it."""
    present = {m: found.data.present[m].cpu().numpy() for m in found.modalities}
    for pattern in wanted_patterns(found.modalities, row_patterns(present), most=FEW_MODALITIES):
        among = having(found.data, pattern)
        name = "+".join(m for m in found.modalities if m in pattern)
        for head, prediction in judge(damaged.showing(pattern)).items():
            yield from scorer.scores(prediction, among=among, kind="pattern", pattern=name, head=head)


def _lacking(found: Labelled, modality: str) -> str:
    """How many of the rows lack the modality anyhow; empty if none."""
    lacking = int((~found.data.present[modality]).sum())
    return f"{lacking} rows lack {modality} anyhow." if lacking else ""
