"""Each modality trained alone, with the encoder, folds and budget of a fit: what joint training is held against."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from omicsbal._types import Arrays
from omicsbal.config import FitConfig, NetConfig
from omicsbal.diagnostics.probes import member_embeddings
from omicsbal.train.experts import fit_expert
from omicsbal.train.forward import head_arrays, out_of_fold
from omicsbal.train.members import Members
from omicsbal.train.outcome import Outcome
from omicsbal.train.predictor import subset
from omicsbal.train.references import Alone
from omicsbal.train.stages import Stages


@dataclass(frozen=True)
class Unimodal:
    """Networks that never met, one a modality, as fold members."""

    raw: dict[str, np.ndarray]  # {m: (n, c)}, out-of-fold, uncalibrated
    embeddings: dict[str, np.ndarray]  # {m: (K, n, k)} of all rows by each fold member
    history: dict[str, pd.DataFrame]  # {m: a row an epoch}


def train_alone(
    data: Arrays,
    folds: np.ndarray,
    outcome: Outcome,
    *,
    net: NetConfig,
    config: FitConfig,
    random_state: int = 0,
    progress: Callable[..., None] | None = None,
    unlabelled: Arrays | None = None,
) -> Unimodal:
    """Train the encoder and head of every modality by its own loss alone.

    All in one run of the loop; on a graph, which would tell each of them of the others, a run a modality, on its own rows and a
    graph of these.

    Parameters
    ----------
    data
        Labelled rows with codes and weights.
    folds
        (n,) those of the fit.
    outcome
        What the label asks for.
    net, config, random_state
        Of the fit: with as many members and the same seed every encoder starts where it started there, so that a comparison has
        less of chance in it (on a graph only the first). A fit of strategy "unimodal" without a graph is repeated to the bit.
    progress
        Called after each epoch.
    unlabelled
        Rows that a transductive graph takes in.
    """
    names, found = list(data.x), Unimodal({}, {}, {})
    n_folds = int(folds.max()) + 1
    groups = [[m] for m in names] if net.encoder == "graph" else [names]
    for done, group in enumerate(groups):
        rows = np.arange(len(data)) if len(groups) == 1 else _rows_with(data, group[0])
        part, more = only(subset(data, rows), group), None
        if unlabelled is not None:
            more = only(unlabelled if len(groups) == 1 else subset(unlabelled, _rows_with(unlabelled, group[0])), group)
        members, alone = Members(folds[rows], config.n_members), Alone()
        stages = Stages(part, folds[rows], outcome, net, config, random_state, progress=progress, unlabelled=more)
        stages.planned, stages.finished = len(groups), done
        module, generator = stages.new_net(members)
        stages.run("alone", module, alone, members, generator)
        told, z = head_arrays(out_of_fold(module, alone, part, members), group), member_embeddings(module, alone, part, members)
        for m in group:
            found.raw[m] = np.full((len(data), outcome.task.n_out), np.nan)
            found.raw[m][rows] = outcome.link(told[m][0])
            found.embeddings[m] = np.zeros((n_folds, len(data), z[m].shape[2]), dtype=z[m].dtype)
            found.embeddings[m][: members.n_folds, rows] = z[m]
            found.history[m] = pd.DataFrame(stages.history)
    return found


def only(data: Arrays, modalities: Iterable[str]) -> Arrays:
    """Some modalities of the arrays."""
    names = list(modalities)
    return replace(data, x={m: data.x[m] for m in names}, present={m: data.present[m] for m in names})


def _rows_with(data: Arrays, m: str) -> np.ndarray:
    """Positions of the rows that have the modality."""
    return np.flatnonzero(data.present[m].cpu().numpy())


def linear_alone(x: np.ndarray, y: np.ndarray, rows: np.ndarray, folds: np.ndarray, outcome: Outcome) -> np.ndarray | None:
    """Out-of-fold predictions (n, c) of the tuned linear model of one modality, NaN outside `rows`; None where it has none."""
    found = fit_expert(("",), x[rows], y[rows], folds[rows], outcome)
    if found is None:
        return None
    told = np.full((len(y), outcome.task.n_out), np.nan)
    told[rows] = found[1]
    return told


def speed(history: pd.DataFrame, column: str, chance: float) -> tuple[float, float, str]:
    """When a head got there: first epoch, and its share of all, with 90 % of the gain over chance that it ended with.

    NaN and the reason where that is not defined. `column` is the out-of-fold score of the head.

    Examples
    --------
    >>> table = pd.DataFrame({"epoch": [1, 2, 3, 4], "score": [0.5, 0.93, np.nan, 1.0]})
    >>> speed(table, "score", 0.25)
    (2.0, 0.5, '')
    """
    if column not in history or not history[column].notna().any():
        return np.nan, np.nan, "Its head was not trained."
    seen = history[["epoch", column]].dropna()
    gain = seen[column].to_numpy() - chance
    if gain[-1] <= 0:
        return np.nan, np.nan, "It ended no better than guessing."
    epoch = float(seen["epoch"].to_numpy()[np.argmax(gain >= 0.9 * gain[-1])])
    return epoch, epoch / float(history["epoch"].max()), ""
