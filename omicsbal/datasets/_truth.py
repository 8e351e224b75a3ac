"""The right answers: information, Bayes scores, Shapley values, need and decomposition, exact or from fresh cells."""

from collections.abc import Mapping
from math import factorial

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from omicsbal.datasets._cells import Cells
from omicsbal.datasets._emission import Evidence
from omicsbal.datasets._posterior import log_posterior
from omicsbal.datasets._world import World, subset_name, subsets
from omicsbal.diagnostics.broja import decompose, mutual_information

Array = NDArray[np.float64]


def guess(posterior: Array) -> NDArray[np.intp]:
    """Most probable class; ties, up to rounding, go to the first."""
    return np.round(posterior, 9).argmax(axis=1)


def macro_f1(weighted: Array, guesses: NDArray[np.intp]) -> float:
    """Macro-F1 of guesses where `weighted` (n, n_classes) is the joint probability of row and class; 0 where never right."""
    n_classes = weighted.shape[1]
    chosen = np.zeros((len(guesses), n_classes))
    chosen[np.arange(len(guesses)), guesses] = 1
    hits = (weighted * chosen).sum(axis=0)
    mass = weighted.sum(axis=0) + weighted.sum(axis=1) @ chosen
    return float(np.mean(2 * hits / mass))


def state_table(world: World) -> pd.DataFrame:
    """Exact information and Bayes scores of the hidden states, a row per subset."""
    rows = []
    for subset in subsets(world.tables):
        joint = world.joint(subset)
        guesses = guess(joint / np.maximum(joint.sum(axis=1, keepdims=True), 1e-300))
        rows.append((subset_name(subset), mutual_information(joint), float(joint.max(axis=1).sum()), macro_f1(joint, guesses)))
    return pd.DataFrame(rows, columns=["subset", "information_nats", "bayes_accuracy", "bayes_macro_f1"])


def _with_control(draws: Array, control: Array, known: float) -> tuple[float, float]:
    """Mean and its standard error, improved by a control variate whose mean is known (regression estimator)."""
    spread = control.var()
    slope = float(np.mean((draws - draws.mean()) * (control - control.mean())) / spread) if spread > 1e-12 else 0.0
    left = draws - slope * (control - known)
    return float(left.mean()), float(left.std(ddof=1) / np.sqrt(len(left)))


def subset_table(world: World, cells: Cells, logs: Mapping[str, Array], exact: pd.DataFrame) -> pd.DataFrame:
    """The same for measured data, from fresh cells with oracle log-posteriors `logs`; the states serve as control variates."""
    here, rows = np.arange(len(cells.label)), []
    log_prior = np.log(world.prior)[cells.label]
    for subset, known in zip(subsets(world.tables), exact.itertuples(), strict=True):
        name = subset_name(subset)
        shape = [world.tables[m].shape[2] for m in subset]
        flat = np.ravel_multi_index([cells.state[m] for m in subset], shape) if subset else np.zeros(len(here), dtype=int)
        joint = world.joint(subset)
        of_state = (joint / np.maximum(joint.sum(axis=1, keepdims=True), 1e-300))[flat]
        gain, gain_state = logs[name][here, cells.label] - log_prior, np.log(of_state[here, cells.label]) - log_prior
        information, error = _with_control(gain, gain_state, known.information_nats)
        probability = np.exp(logs[name])
        accuracy, _ = _with_control(probability.max(axis=1), of_state.max(axis=1), known.bayes_accuracy)
        rows.append((name, information, error, accuracy, macro_f1(probability / len(here), guess(probability))))
    columns = ["subset", "information_nats", "information_se", "bayes_accuracy", "bayes_macro_f1"]
    return pd.DataFrame(rows, columns=columns)


def shapley(values: Mapping[str, float], names: tuple[str, ...]) -> dict[str, float]:
    """Shapley value of each modality for a value per subset name (all 2 ** M of them)."""
    n, shares = len(names), {}
    for name in names:
        shares[name] = sum(
            factorial(len(s)) * factorial(n - len(s) - 1) / factorial(n)
            * (values[subset_name(m for m in names if m in s or m == name)] - values[subset_name(s)])
            for s in subsets(m for m in names if m != name)
        )  # fmt: skip
    return shares


def shapley_table(measured: pd.DataFrame, exact: pd.DataFrame, names: tuple[str, ...]) -> pd.DataFrame:
    """Shapley shares of information and accuracy, for measured data and for the states, a row per modality."""
    columns: dict[str, dict[str, float]] = {}
    for prefix, table in (("", measured), ("state_", exact)):
        table = table.set_index("subset")
        columns[f"{prefix}information_nats"] = shapley(table["information_nats"], names)
        columns[f"{prefix}accuracy"] = shapley(table["bayes_accuracy"], names)
    return pd.DataFrame(columns).loc[list(names)].rename_axis("modality").reset_index()


def pid_table(world: World) -> pd.DataFrame:
    """Exact decomposition of the states' information: every pair, then every modality against the rest."""
    names = tuple(world.tables)
    pairs: list[tuple[tuple[str, ...], tuple[str, ...]]] = [((s[0],), (s[1],)) for s in subsets(names) if len(s) == 2]
    if len(names) > 2:
        pairs += [((m,), tuple(o for o in names if o != m)) for m in names]
    rows = []
    for one, two in pairs:
        total = mutual_information(world.joint((*one, *two)))
        parts = decompose(world.joint(one), world.joint(two), total)
        rows.append({"source_1": subset_name(one), "source_2": subset_name(two), **parts, "total": total})
    columns = ["source_1", "source_2", "redundant", "unique_1", "unique_2", "synergistic", "total"]
    return pd.DataFrame(rows, columns=columns)


def need_table(cells: Cells, logs: Mapping[str, Array], names: tuple[str, ...], classes: list[str]) -> pd.DataFrame:
    """Mean over a class's cells of log p(y | all) - log p(y | all but m), nats; a row per class, a column per modality."""
    here = np.arange(len(cells.label))
    with_all = logs[subset_name(names)][here, cells.label]
    size = np.bincount(cells.label, minlength=len(classes))
    columns = {}
    for name in names:
        without = logs[subset_name(m for m in names if m != name)][here, cells.label]
        columns[name] = np.bincount(cells.label, with_all - without, minlength=len(classes)) / np.maximum(size, 1)
    return pd.DataFrame(columns, index=pd.Index(classes, name="class"))


def all_logs(world: World, evidence: Mapping[str, Evidence]) -> dict[str, Array]:
    """Oracle log-posteriors of every subset, the empty one included, by subset name."""
    return {subset_name(s): log_posterior(world, evidence, s) for s in subsets(world.tables)}
