"""What a fitted predictor says, as it would be used, of rows that were changed; nothing is fitted on the changed rows."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from omicsbal._types import FUSED, Arrays
from omicsbal.diagnostics.posteriors import experts_say, fold_experts
from omicsbal.train.forward import head_arrays, out_of_fold
from omicsbal.train.pooling import Pooler, Raw
from omicsbal.train.predictor import POOL, Pattern, Predictor, row_patterns, subset

Judge = Callable[[Arrays], dict[str, np.ndarray]]  # {"pool" or "fused": (n, c)}, NaN where a row has nothing left


def heads_for_use(predictor: Predictor) -> list[str]:
    """The pool, and the fused head where one was trained."""
    return [POOL, FUSED] if FUSED in predictor.trained else [POOL]


def new_rows_judge(predictor: Predictor) -> Judge:
    """Predictions of rows that the fit never saw, as of `Predictor.predict`."""

    def judge(data: Arrays) -> dict[str, np.ndarray]:
        found = _silent(predictor, len(data))
        for pattern, rows in _patterns(data).items():
            if predictor.able(pattern):
                _say(predictor, predictor.raw_heads(subset(data, rows), pattern), pattern, rows, found)
        return found

    return judge


def out_of_fold_judge(predictor: Predictor, data: Arrays, y: np.ndarray) -> Judge:
    """Predictions of the training rows by what never saw them.

    Parameters
    ----------
    predictor
        Without a graph, which would look its training rows up instead of reading them.
    data, y
        The training rows as they were at the fit, and their codes or standardised values.

    Returns
    -------
    A function of arrays of the same rows, changed in any way. Of the rows of fold k it asks network member k, linear experts that
    are fitted again on the other folds, and temperatures and pools from the undamaged predictions of the other folds.
    """
    net, strategy, members, folds = predictor.net, predictor.strategy, predictor.members, predictor.members.folds
    experts = fold_experts(predictor, data, y)

    def raw_of(arrays: Arrays, heads: list[str], only: Pattern | None = None) -> Raw:
        raw = head_arrays(out_of_fold(net, strategy, arrays, members, only=only), heads)
        return {head: predictor.outcome.link(values[0]) for head, values in raw.items()}

    whole = raw_of(data, list(predictor.trained)) | experts_say(experts, predictor, data)

    def raw_for(pattern: Pattern) -> Raw:
        able = predictor.able(pattern)
        return {h: whole[h] for h in able if h != FUSED} | (raw_of(data, [FUSED], pattern) if FUSED in able else {})

    present = {m: p.cpu().numpy() for m, p in data.present.items()}
    pooler = Pooler(replace(predictor), raw_for, y, present, folds)
    judges = []
    for k in range(members.n_folds):
        pooler.settle(folds != k)
        judges.append(replace(pooler.predictor))

    def judge(changed: Arrays) -> dict[str, np.ndarray]:
        raw = raw_of(changed, list(predictor.trained)) | experts_say(experts, predictor, changed)
        found = _silent(predictor, len(folds))
        for pattern, rows in _patterns(changed).items():
            able = predictor.able(pattern)
            for k, settled in enumerate(judges if able else []):
                mine = rows[folds[rows] == k]
                if len(mine):
                    _say(settled, {h: raw[h][mine] for h in able}, pattern, mine, found)
        return found

    return judge


def _patterns(data: Arrays) -> dict[Pattern, np.ndarray]:
    """Rows of each availability pattern."""
    return row_patterns({m: p.cpu().numpy() for m, p in data.present.items()})


def _silent(predictor: Predictor, n: int) -> dict[str, np.ndarray]:
    """Predictions before anyone has spoken."""
    return {head: np.full((n, predictor.outcome.task.n_out), np.nan) for head in heads_for_use(predictor)}


def _say(predictor: Predictor, raw: Raw, pattern: Pattern, rows: np.ndarray, found: dict[str, np.ndarray]) -> None:
    """Fill in the rows of one pattern."""
    for head, values in found.items():
        said = predictor.combine(head, raw, pattern)
        if said is not None:
            values[rows] = said
