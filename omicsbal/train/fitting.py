"""From blocks to a predictor: the net through the loop, the experts beside it, the pools on top."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from omicsbal._types import FUSED, Arrays, References
from omicsbal.balance._base import Strategy
from omicsbal.config import FitConfig, NetConfig
from omicsbal.train.alignment import align, spaces
from omicsbal.train.experts import Expert, fit_experts
from omicsbal.train.forward import everyone, head_arrays, out_of_fold
from omicsbal.train.outcome import Outcome
from omicsbal.train.pooling import Pooler, Raw
from omicsbal.train.predictor import Pattern, Predictor
from omicsbal.train.stages import Stages


@dataclass(frozen=True)
class Fit:
    """A predictor and what is known of its training rows without ever having trained on them."""

    predictor: Predictor
    predictions: dict[str, np.ndarray]  # {head: (n, c)}, calibrated, cross-fitted; NaN where a head is silent
    embeddings: dict[str, np.ndarray]  # {"fused" or m: (n, k)}
    history: list[dict[str, Any]]  # a record an epoch, of all stages
    chosen_epoch: int  # of the last stage
    tables: dict[str, list[dict[str, Any]]]  # what the stages found out, as records


def fit_predictor(
    data: Arrays,
    folds: np.ndarray,
    outcome: Outcome,
    strategy: Strategy,
    *,
    net: NetConfig,
    config: FitConfig,
    random_state: int,
    experts: bool = True,
    linear: tuple[dict[str, Expert], dict[str, np.ndarray]] | None = None,
    checkpoint: Any = None,
    progress: Callable[..., None] | None = None,
    references: References | None = None,
    unlabelled: Arrays | None = None,
) -> Fit:
    """Fit everything on training rows.

    Parameters
    ----------
    data
        Labelled rows, every one with at least one modality.
    folds
        (n,) fold of each row.
    outcome
        What the label asks for.
    strategy
        A fresh one.
    net, config
        Shapes and loop settings.
    random_state
        Seeds weights, dropout, minibatches and the strategy's draws.
    experts
        Fit linear experts beside the net.
    linear
        What `fit_experts` gave for the same rows and folds, to save their fit; None: made where `experts` are wanted.
    checkpoint, progress
        See `omicsbal.train.trainer.train`.
    references
        Of an earlier fit of the same rows, folds and members, to save their training; None: made where the strategy needs them.
    unlabelled
        Rows without a label, which a transductive graph takes in.
    """
    y = data.y.cpu().numpy()
    present = {m: p.cpu().numpy() for m, p in data.present.items()}
    stages = Stages(data, folds, outcome, net, config, random_state, checkpoint, progress, references, unlabelled)
    module, members, run = stages.all(strategy)
    trained = strategy.heads(list(data.x))
    if linear is None and experts:
        linear = fit_experts({m: x.cpu().numpy() for m, x in data.x.items()}, present, y, folds, outcome)
    own, held_out = linear if linear and experts else ({}, {})
    predictor = Predictor(module, strategy, members, outcome, tuple(trained), own, align(module, strategy, data, members))

    def seen(heads: list[str], only: Pattern | None = None) -> Raw:
        raw = head_arrays(out_of_fold(module, strategy, data, members, only=only), heads)
        return {head: outcome.link(v[0]) for head, v in raw.items()}

    whole = seen(trained) | held_out
    # what else is visible matters to the fused head and, on a graph, to whose neighbours a row looks at
    sensitive = {FUSED} if module.graph is None else set(trained)

    def raw_for(pattern: Pattern) -> Raw:
        able = predictor.able(pattern)
        return {h: whole[h] for h in able if h not in sensitive} | seen([h for h in able if h in sensitive], pattern)

    pooler = Pooler(predictor, raw_for, y, present, folds)
    predictions = pooler.cross_fitted()
    pooler.settle()
    for head, prediction in predictions.items():
        spoken = ~np.isnan(prediction[:, 0])
        predictor.errors[head] = outcome.error(y[spoken], prediction[spoken]) if spoken.any() else np.nan
    return Fit(predictor, predictions, held_out_embeddings(predictor, data), stages.history, run.best_epoch, stages.tables)


def held_out_embeddings(predictor: Predictor, data: Arrays) -> dict[str, np.ndarray]:
    """Each training row as the fold member that never saw it embeds it, in the common space."""
    folds = predictor.members.folds
    found: dict[str, np.ndarray] = {}
    start = 0
    for outputs in everyone(predictor.net, predictor.strategy, data):
        stop = start + outputs.joint.shape[1]
        rows = np.arange(stop - start)
        for name, z in spaces(outputs).items():
            moved = predictor.alignment.move(name, z.cpu().numpy(), slice(None))[folds[start:stop], rows]
            here = data.present[name][start:stop].cpu().numpy() if name in data.present else np.ones(len(rows), dtype=bool)
            table = found.setdefault(name, np.full((len(folds), moved.shape[1]), np.nan, dtype=np.float32))
            table[start:stop][here] = moved[here]
        start = stop
    return found
