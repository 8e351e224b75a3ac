"""Whether omicsbal beats what one would use instead, on the same folds, with everything learnt inside them."""

import json
import warnings
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from omicsbal import _keys
from omicsbal._keys import COMPARE_KEY
from omicsbal._validate import OmicsbalWarning, check_choice, check_number, problem
from omicsbal.diagnostics.comparison import METRICS, summarise
from omicsbal.model import pick_device, versions
from omicsbal.pp import find_groups, make_folds, per_modality
from omicsbal.pp.checks import check_mdata
from omicsbal.pp.sources import Options, plan
from omicsbal.tl._backend import run_pieces
from omicsbal.tl._design import Design, check_head_names, make_design
from omicsbal.tl._outer_fold import Table, make_piece, read_tables, run_piece
from omicsbal.tl._result_lines import ResultLines, fingerprint
from omicsbal.tl._systems import OURS, System, parse_systems
from omicsbal.tl._write import check_key

if TYPE_CHECKING:
    from mudata import MuData

SCORES = [metric for metric in METRICS if metric != "seconds"]
COLUMNS = ["repeat", "fold", "system", *SCORES, "seconds", "cpu_seconds", "n_train", "n_test", "error", "note"]
STEP = 1000  # between the seeds of repeats: shuffles of grouped folds count up from theirs


def compare(
    mdata: "MuData",
    *,
    label_key: str,
    systems: Any = None,
    against: str | None = None,
    folds: int = 5,
    repeats: int = 1,
    group_key: str | None = None,
    modalities: list[str] | None = None,
    recipe: Mapping[str, Any] | str | None = None,
    use_rep: Mapping[str, str] | str | None = None,
    layer: Mapping[str, str] | str | None = None,
    checkpoint: Path | str | None = None,
    device: str = "auto",
    key_added: str = COMPARE_KEY,
    random_state: int = 0,
    progress: bool = True,
) -> pd.DataFrame:
    """Compare fits of omicsbal with what could be used instead, on the same folds, recipes and tuning inside them.

    Parameters
    ----------
    mdata
        As for `omicsbal.tl.fit`; needs no model.
    label_key
        Column with the label, of classes.
    systems
        Names, dictionaries of systems of your own, or a list of both; None: "omicsbal" and all baselines but
        the slow "knn:wnn".
        "omicsbal" is `omicsbal.tl.fit` as it comes, "omicsbal:<strategy>" with that strategy; their prediction is the pool.
        "lr:<modality>", "lr:concat" (all features), "lr:late" (mean probability of modalities), "lr:stack" (logistic
        regression on held-out log-probabilities), "lr:pool" (log-linear pool of modalities and concat), all tuned;
        "rf:concat", "gb:concat" (random forest, gradient boosting); "knn:wnn" (neighbours on muon's weighted graph; about a
        minute a fold, as muon compiles its search anew in each process).
        Of your own: ``{"narrow": {"net": NetConfig(width=32), "head": "fused"}}``, arguments of the fit and the head that
        predicts; ``{"svm": SVC(probability=True)}``, any scikit-learn classifier. These, trees and neighbours get the
        50 leading components of each modality, which serve them better than all.
    against
        The system that the others are set against; None: "omicsbal" if it is there, else the first.
    folds, repeats
        Outer folds, and how often they are drawn anew.
    group_key
        Column with donors or patients; none is split over folds, outer or inner. Where whole donors
        would leave a class out of an inner training part, baselines are tuned on folds that split them; ``note`` then says so.
    modalities, recipe, use_rep, layer
        As in `omicsbal.tl.fit`; a system's own settings come first.
    checkpoint
        A ``.jsonl`` file that takes a line for each finished piece (a system in a fold). Call the same again after a kill, or
        with more systems, and it goes on.
    device
        Of the fits: "auto", "cpu", "cuda".
    key_added
        Names the slots; its own by default, so that neither a fit nor a comparison takes away what the other wrote.
    random_state
        Seed of the folds and of every system.
    progress
        Show a progress bar.

    Returns
    -------
    A DataFrame, a row a ``repeat``, ``fold`` and ``system``: ``macro_f1``, ``balanced_accuracy``, ``accuracy``, ``log_loss``
    (nats), ``ece`` (calibration error); ``seconds`` on the wall and ``cpu_seconds``, recipes and what is shared included;
    ``n_train``, ``n_test``; ``error``, why a system failed in a fold (its scores are then missing); ``note``.
    Written: this table to ``uns["omicsbal_compare"]["compare"]``, and to ``uns["omicsbal_compare"]["compare_summary"]`` a row a
    metric and system with mean, 95 % interval, mean rank over folds, and ``gain`` of `against` with corrected interval, ``p`` and
    ``p_holm`` (`omicsbal.diagnostics.comparison.summarise`); system "lr:best-uni" there is the best single modality with
    hindsight.

    Raises
    ------
    TypeError, KeyError, ValueError, OSError
        Before anything is computed: as `omicsbal.tl.fit`; a label that is a number; an unknown system; a checkpoint of other data
        or settings. The MuData is as it was.

    Warns
    -----
    OmicsbalWarning
        Systems that failed, with the first reason; a worker that was lost.

    Notes
    -----
    Systems get features of training and test rows, and labels of training rows alone. Only "knn:wnn" looks at test rows before it
    answers: its graph holds their features. Where a system cannot speak of a row (its modality is absent) the shares of classes
    in training are taken. Classes with fewer rows than `folds` are dropped.

    Work runs on the joblib backend in force, here by default: ``with joblib.parallel_config("loky", n_jobs=4):``, or ``"dask"``
    after ``dask.distributed.Client(...)``. A piece that a dead worker had is sent again. Scores do not depend on it; seconds do,
    where workers share cores.

    Examples
    --------
    >>> import omicsbal as ob
    >>> mdata = ob.datasets.simulate(n_obs=60, n_classes=2, modalities=["rna", "protein"], n_truth=100, random_state=0)
    >>> table = ob.tl.compare(mdata, label_key="cell_type", systems=["lr:pool", "lr:rna"], folds=2, progress=False)
    >>> table[["fold", "system", "n_test"]].values.tolist()
    [[0, 'lr:pool', 30], [0, 'lr:rna', 30], [1, 'lr:pool', 30], [1, 'lr:rna', 30]]
    >>> mdata.uns["omicsbal_compare"]["compare_summary"].query("metric == 'log_loss'")["system"].tolist()
    ['lr:pool', 'lr:rna']
    """
    mdata = check_mdata(mdata, modalities=modalities)
    check_key(mdata, key_added)
    held = mdata.uns.get(key_added, {}).get(_keys.LABEL_KEY, label_key)
    if held != label_key:
        found = f"results for {held!r} in uns[{key_added!r}]"
        expected = f"a free slot or one for {label_key!r}"
        raise ValueError(problem("key_added", expected=expected, found=found, do="Pass another key_added."))
    check_number("folds", folds, low=2, integer=True)
    check_number("repeats", repeats, low=1, integer=True)
    check_number("random_state", random_state, low=0, high=2**32 - 1 - STEP * repeats, integer=True)
    pick_device(device)
    names = list(mdata.mod) if modalities is None else list(dict.fromkeys(modalities))
    check_head_names(names)
    read = {k: per_modality(k, v, list(mdata.mod)) for k, v in (("layer", layer), ("use_rep", use_rep), ("recipe", recipe))}
    read["recipe"] = {m: r or ("dense" if read["use_rep"][m] else None) for m, r in read["recipe"].items() if m in names}
    asked: dict[str, Any] = {"label_key": label_key, "modalities": names, "group_key": group_key, "random_state": random_state}
    design = make_design(mdata, **asked, task="auto", n_folds=folds, rare="drop", change="folds=...")
    if design.outcome.kind != "classification":
        do = "Make it text or categories if its numbers are codes of classes: mdata.obs[...].astype(str)."
        raise ValueError(problem("label_key", expected="a label of classes", found=f"{label_key!r}, a number", do=do))
    donors = None if group_key is None else pd.factorize(find_groups(mdata, group_key)[design.training])[0].astype(str)
    whole = read_tables(mdata, names, read["layer"], read["use_rep"])
    tables = {m: table.cut(np.flatnonzero(design.training)) for m, table in whole.items()}
    chosen = parse_systems(systems, names)
    against = (OURS if OURS in [s.name for s in chosen] else chosen[0].name) if against is None else against
    check_choice("against", against, [s.name for s in chosen])
    if any("recipe" not in (s.settings or {}) for s in chosen):
        plan(mdata, Options(read["recipe"], read["use_rep"], read["layer"], names), design.training)  # refuses what none can read
    outer = [design.folds] + [
        make_folds(design.labels, n_folds=folds, groups=donors, random_state=random_state + STEP * i) for i in range(1, repeats)
    ]
    facts: dict[str, Any] = {"recipe": read["recipe"], "device": device, "seed": random_state, "modalities": names}
    told = facts | {
        "versions": versions(),
        "labels": design.labels.tolist(),
        "donors": None if donors is None else donors.tolist(),
    }
    lines = ResultLines(checkpoint, fingerprint(tables, outer, told), {s.name: s.digest for s in chosen})
    with warnings.catch_warnings():  # pieces listen to warnings, and threads that do so leave the filters changed
        _run(lines, chosen, partial(_piece, tables, design, outer, donors, facts), design, outer, label_key if progress else "")
    table = _ordered(lines, chosen)
    _warn_of_failures(table)
    summary = summarise(table, against=against, single=[f"lr:{m}" for m in names])
    _write(mdata, key_added, label_key, names, table, summary)
    return table


def _piece(
    tables: Mapping[str, Table], design: Design, outer: list[np.ndarray], donors: Any, facts: Any, where: tuple[int, int],
    systems: list[System],
) -> dict[str, Any]:  # fmt: skip
    """Some systems in one fold; of the test rows it takes features alone."""
    repeat, fold = where
    train, test = np.flatnonzero(outer[repeat] != fold), np.flatnonzero(outer[repeat] == fold)
    labels = design.labels.to_numpy()[train]
    more = {"labels": labels, "groups": None if donors is None else donors[train], "classes": list(design.outcome.names)}
    return make_piece(tables, train, test, repeat=repeat, fold=fold, systems=systems, **more, **facts)


def _run(
    lines: ResultLines, systems: list[System], piece: Callable[..., Any], design: Design, outer: list[np.ndarray], label: str
) -> None:
    """Do what is not done yet and keep a line of each result."""
    from tqdm.auto import tqdm

    places = [(i, k) for i, fold in enumerate(outer) for k in range(int(fold.max()) + 1)]
    together = [s for s in systems if not s.is_fit]  # they share the features of a fold
    parts = [*([s] for s in systems if s.is_fit), *([together] if together else [])]

    def waiting() -> list[Callable[[], Any]]:
        rest = [(where, [s for s in part if not lines.has(*where, s.name)]) for where in places for part in parts]
        return [partial(piece, where, part) for where, part in rest if part]

    y, total = design.outcome.encode(design.labels), len(places) * len(systems)
    bar = tqdm(desc=f"compare {label}", unit="piece", total=total, initial=len(lines.lines), disable=not label, leave=False)
    try:
        for results in run_pieces(run_piece, waiting):
            for result in results:
                fold = outer[result["repeat"]]
                bar.update(lines.add(_scored(result, y[fold != result["fold"]], y[fold == result["fold"]], design)))
            bar.set_postfix_str(results[-1]["system"], refresh=False)
    finally:
        bar.close()


def _scored(result: dict[str, Any], train: np.ndarray, test: np.ndarray, design: Design) -> dict[str, Any]:
    """A result with its scores in place of its probabilities."""
    proba = result.pop("proba")
    scores: dict[str, float | None] = dict.fromkeys(SCORES)
    if proba is not None:
        shares = np.bincount(train, minlength=len(design.outcome.names)) / len(train)
        told = np.where(np.isnan(proba).any(axis=1, keepdims=True), shares, proba)
        with np.errstate(divide="ignore"):
            scores = dict(design.outcome.scores(test, np.log(told / told.sum(axis=1, keepdims=True))))
    return {**result, **{k: scores[k] for k in SCORES}, "n_train": len(train), "n_test": len(test)}


def _ordered(lines: ResultLines, systems: list[System]) -> pd.DataFrame:
    """The lines as a table, by fold and in the order that systems were asked for."""
    place = {s.name: i for i, s in enumerate(systems)}
    rows = sorted(lines.lines, key=lambda line: (line["repeat"], line["fold"], place[line["system"]]))
    return pd.DataFrame(rows, columns=COLUMNS).astype(dict.fromkeys([*SCORES, "seconds", "cpu_seconds"], float))


def _warn_of_failures(table: pd.DataFrame) -> None:
    """Name the systems that failed somewhere."""
    failed = table[table["error"] != ""]
    if len(failed):
        counts = failed.groupby("system", sort=False).size()
        first = failed.drop_duplicates("system").set_index("system")["error"]
        told = "; ".join(
            f"{name!r} in {n} of {(table['system'] == name).sum()} folds ({first[name]})" for name, n in counts.items()
        )
        warnings.warn(f"Failed: {told}.", OmicsbalWarning, stacklevel=3)


def _write(mdata: "MuData", key: str, label_key: str, modalities: list[str], table: pd.DataFrame, summary: pd.DataFrame) -> None:
    """Both tables, beside what is there."""
    entry: dict[str, Any] = dict(mdata.uns.get(key, {}))
    entry.setdefault(_keys.LABEL_KEY, label_key)
    entry.setdefault(_keys.TASK, "classification")
    entry.setdefault(_keys.MODALITIES, np.array(modalities, dtype=str))
    entry.setdefault(_keys.VERSIONS, json.dumps(versions()))
    entry[_keys.COMPARE], entry[_keys.COMPARE_SUMMARY] = table.copy(), summary
    mdata.uns[key] = entry
