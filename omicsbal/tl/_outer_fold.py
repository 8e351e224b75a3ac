"""One outer fold, or a part of it: everything is learnt from its training rows; of the test rows it holds no label."""

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from omicsbal._validate import OmicsbalWarning
from omicsbal.diagnostics.baselines import Fold, baselines_of, clock, run_baseline
from omicsbal.pp import make_folds, matrix_of
from omicsbal.pp.sources import Options, plan
from omicsbal.tl._design import PLENTY
from omicsbal.tl._systems import System

if TYPE_CHECKING:
    from mudata import MuData

LABEL, GROUP = "label", "group"  # columns of the pieces; the user's own may be called anything
INNER = 3  # folds that a baseline tunes on


@dataclass(frozen=True)
class Table:
    """One modality of some rows."""

    X: Any  # (n_present, p)
    rows: np.ndarray  # (n_present,) positions among the rows
    features: tuple[str, ...]
    types: tuple[str, ...] | None  # what 10x calls each feature

    def cut(self, rows: np.ndarray) -> "Table":
        """Those of `rows` (positions) that have it, counted anew."""
        place = pd.Index(self.rows).get_indexer(rows)
        return Table(self.X[place[place >= 0]], np.flatnonzero(place >= 0), self.features, self.types)


def read_tables(mdata: "MuData", modalities: list[str], layer: dict[str, Any], use_rep: dict[str, Any]) -> dict[str, Table]:
    """The matrices that will be learnt from, and nothing else of a MuData."""
    tables = {}
    for m in modalities:
        X, rows, names = matrix_of(mdata, m, layer=layer[m], use_rep=use_rep[m])
        types = None if use_rep[m] else mdata.mod[m].var.get("feature_types")
        tables[m] = Table(X, rows, tuple(map(str, names)), None if types is None else tuple(map(str, types)))
    return tables


def make_piece(tables: Mapping[str, Table], train: np.ndarray, test: np.ndarray, **facts: Any) -> dict[str, Any]:
    """What `run_piece` needs, as a plain dictionary: Dask then sends it with the task, and no lost worker takes it along."""
    cut = {name: {m: t.cut(rows) for m, t in tables.items()} for name, rows in (("train", train), ("test", test))}
    return {**cut, "n_train": len(train), "n_test": len(test), **facts}


def run_piece(piece: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Fit and ask every system of a piece.

    Returns
    -------
    One dictionary a system: ``repeat``, ``fold``, ``system``; ``proba`` (n_test, c), NaN where it cannot speak, None where it
    failed; ``seconds``, ``cpu_seconds``; ``error``, why it failed; ``note``, what was decided on the way.
    """
    from joblib import parallel_config

    results, shared, heard = [], None, []
    with parallel_config("sequential", n_jobs=1):  # or scikit-learn would send its own small tasks to the cluster
        for system in piece["systems"]:
            with warnings.catch_warnings(record=True) as told:
                warnings.simplefilter("always")
                begin, proba, error = clock(), None, ""
                try:
                    if system.is_fit:
                        proba, cost = _fit(piece, system)
                    else:
                        if shared is None:
                            shared = _fold(piece)
                            heard = list(told)  # of all baselines of the piece, whichever comes first
                        proba, cost = _baseline(shared, system)
                except Exception as fault:  # noqa: BLE001 (any fault of one system is a line of the result; the others go on)
                    error, cost = f"{type(fault).__name__}: {' '.join(str(fault).split())}"[:500], clock() - begin
            said = [*([] if system.is_fit else heard), *told]
            note = " ".join(dict.fromkeys(str(w.message) for w in said if issubclass(w.category, OmicsbalWarning)))[:500]
            results.append({"repeat": piece["repeat"], "fold": piece["fold"], "system": system.name, "proba": proba})
            results[-1] |= {"error": error, "note": note}
            results[-1] |= {"seconds": float(cost[0]), "cpu_seconds": float(cost[1])}
    return results


def _mudata(piece: Mapping[str, Any], part: str, modalities: Sequence[str]) -> tuple["MuData", np.ndarray]:
    """The training or the test rows as a MuData, and the place of each row in it; -1 for one without any of the modalities."""
    from anndata import AnnData
    from mudata import MuData

    mods = {}
    names = np.array([f"row{i}" for i in range(piece[f"n_{part}"])])
    for m in modalities:
        table = piece[part][m]
        if len(table.rows):
            var = pd.DataFrame(index=list(table.features))
            if table.types is not None:
                var["feature_types"] = list(table.types)
            mods[m] = AnnData(table.X.copy(), obs=pd.DataFrame(index=names[table.rows]), var=var)
    mdata = MuData(mods)
    return mdata, mdata.obs_names.get_indexer(names)


def _training(piece: Mapping[str, Any], modalities: Sequence[str]) -> tuple["MuData", np.ndarray]:
    """The training rows with labels, and groups if there are some."""
    mdata, place = _mudata(piece, "train", modalities)
    for column, values in ((LABEL, piece["labels"]), (GROUP, piece["groups"])):
        if values is not None:
            held = np.empty(mdata.n_obs, dtype=object)
            held[place[place >= 0]] = np.asarray(values)[place >= 0]
            mdata.obs[column] = pd.Series(held, index=mdata.obs_names, dtype=object)
    return mdata, place


def _inner_folds(piece: Mapping[str, Any]) -> int | None:
    """Folds of a fit where the donors of the training rows are fewer than the folds it would take; else None."""
    wanted = 5 if piece["n_train"] <= PLENTY else 3
    return None if piece["groups"] is None else min(wanted, len(np.unique(piece["groups"])))


def _fit(piece: Mapping[str, Any], system: System) -> tuple[np.ndarray, np.ndarray]:
    """Predictions of one of our fits, and its cost."""
    from omicsbal.tl._fit import fit

    begin = clock()
    settings = {"recipe": piece["recipe"], "n_folds": _inner_folds(piece)} | dict(system.settings or {})
    head, modalities = settings.pop("head", "pool"), list(settings.pop("modalities", None) or piece["modalities"])
    if isinstance(settings["recipe"], Mapping):
        settings["recipe"] = {m: r for m, r in settings["recipe"].items() if m in modalities}
    train, _ = _training(piece, modalities)
    grouped = GROUP in train.obs and settings["n_folds"] != 1
    settings["n_folds"] = None if settings["n_folds"] == 1 else settings["n_folds"]
    more = {"device": piece["device"], "random_state": piece["seed"], "progress": False}
    model = fit(train, label_key=LABEL, group_key=GROUP if grouped else None, **settings, **more)
    test, place = _mudata(piece, "test", modalities)
    data, _ = model.arrays(test, device=piece["device"])
    told = np.exp(model.predictor.predict(data, head=head))
    proba = np.zeros((len(told), len(piece["classes"])))
    for k, name in enumerate(model.classes):
        if name in piece["classes"]:  # else several rare ones merged, of which none can be told
            proba[:, piece["classes"].index(name)] = told[:, k]
    proba[np.isnan(told).any(axis=1)] = np.nan
    proba = np.where((place >= 0)[:, None], proba[place], np.nan)
    return proba, clock() - begin


def _fold(piece: Mapping[str, Any]) -> Fold:
    """Features by the recipes, learnt from the training rows, for all baselines."""
    modalities = list(piece["modalities"])
    train, place = _training(piece, modalities)
    test, place_test = _mudata(piece, "test", modalities)
    rows = np.ones(train.n_obs, dtype=bool)
    blocks: dict[str, list[np.ndarray]] = {}
    reading = {}
    for planned in plan(train, Options(piece["recipe"], None, None, modalities), rows):
        begin = clock()
        source = planned.learn(rows)
        (old, here, _), (new, here_test, _) = source.block(train), source.block(test)
        blocks[planned.name] = [old[place], new[place_test], here[place], here_test[place_test]]
        reading[planned.name] = clock() - begin
    y = np.array([piece["classes"].index(c) for c in piece["labels"]])
    inner = _tuning_folds(y, piece["groups"], piece["seed"])
    known = inner >= 0  # a class with a single row cannot be tuned on
    parts: list[dict[str, np.ndarray]] = [{m: b[i] for m, b in blocks.items()} for i in range(4)]
    x, there = ({m: v[known] for m, v in parts[i].items()} for i in (0, 2))
    facts: dict[str, Any] = {"reading": reading, "seed": piece["seed"]}
    return Fold(x, parts[1], there, parts[3], y[known], len(piece["classes"]), inner[known], **facts)


def _tuning_folds(y: np.ndarray, groups: Any, seed: int) -> np.ndarray:
    """Inner folds, donors whole where that leaves every class in every training part; -1 for classes of one row."""
    usable = np.where(np.bincount(y)[y] > 1, y, -1)
    n_donors = 0 if groups is None else len(np.unique(groups[usable >= 0]))
    for n_folds in range(min(INNER, n_donors), 1, -1):
        try:
            return make_folds(usable, n_folds=n_folds, groups=groups, random_state=seed)
        except ValueError:
            continue
    if groups is not None:
        text = "Baselines were tuned on folds that split donors: whole donors would leave a class out of what is learnt from."
        warnings.warn(text, OmicsbalWarning, stacklevel=2)
    return make_folds(usable, n_folds=INNER, random_state=seed)


def _baseline(fold: Fold, system: System) -> tuple[np.ndarray, np.ndarray]:
    """Predictions of a baseline or of the user's classifier, and the cost."""
    if system.estimator is None:
        return run_baseline(fold, baselines_of(fold.modalities)[system.name])
    return fold.classify(system.estimator)
