"""What a fitted model says of labelled rows when one modality is another row's."""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import torch

from omicsbal._types import Arrays
from omicsbal.diagnostics.posteriors import FoldExperts, experts_say, fold_pools, new_rows_raw, pooled
from omicsbal.train.forward import head_arrays, out_of_fold
from omicsbal.train.pooling import Raw
from omicsbal.train.predictor import Pattern, Predictor

PERMUTATIONS = 10


def permuted_guesses(
    predictor: Predictor,
    data: Arrays,
    y: np.ndarray,
    *,
    pattern: Pattern,
    rows: np.ndarray,
    folds: np.ndarray,
    experts: FoldExperts | None,
    n_permutations: int = PERMUTATIONS,
    random_state: int = 0,
) -> Iterator[tuple[str, np.ndarray]]:
    """Most probable classes when the values of one modality are permuted over the rows, the rest as they are.

    Networks, linear experts, temperatures and weights of the pool are those of the rows as they are (Gat et al. 2021,
    arXiv:2110.14375, where it is the perceptual score before normalising). Training rows are permuted within their fold: what a
    member is shown are always rows that it was held out from.

    Parameters
    ----------
    predictor, data, y
        A fitted predictor, n labelled rows, and codes of their classes.
    pattern
        Modalities that are seen; the others are hidden.
    rows
        (n,) bool: those that have all of `pattern`; the others are neither permuted nor told.
    folds
        (n,) of the members, or, for new rows, of calibration.
    experts
        Of training rows, by `omicsbal.diagnostics.posteriors.fold_experts`; None: these are new rows.
    n_permutations
        For each modality.
    random_state
        Seed of the permutations.

    Yields
    ------
    Each modality of `pattern`, in the order of the model, with codes (rows.sum(), n_permutations). Nothing where no head speaks,
    or where training rows are known by their place in a graph, whose links a permutation does not change.
    """
    if experts is not None and predictor.net.graph is not None:
        return
    able = predictor.able(pattern)

    def raw_of(arrays: Arrays) -> Raw:
        if experts is None:
            return new_rows_raw(predictor, arrays, [pattern])[pattern]
        outputs = out_of_fold(predictor.net, predictor.strategy, arrays, predictor.members, only=pattern)
        raw = head_arrays(outputs, [h for h in able if h in predictor.trained])
        found = {h: predictor.outcome.link(values[0]) for h, values in raw.items()}
        return found | {h: v for h, v in experts_say(experts, predictor, arrays).items() if h in able}

    pools = fold_pools(raw_of(data), y, rows, folds, predictor.outcome)
    blocks = np.where(rows, 0 if experts is None else folds, -1)
    rng = np.random.default_rng(random_state)
    for m in [m for m in predictor.modalities if m in pattern and pools]:
        told = []
        for _ in range(n_permutations):
            other = torch.from_numpy(_shuffled(blocks, rng)).to(data.y.device)
            changed = replace(data, x=data.x | {m: data.x[m][other]})
            told.append(pooled(pools, raw_of(changed), rows, folds, predictor.outcome)[rows].argmax(axis=1))
        yield m, np.stack(told, axis=1)


def _shuffled(blocks: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """(n,) positions, permuted within each block; rows of block -1 stay."""
    order = np.arange(len(blocks))
    for k in np.unique(blocks[blocks >= 0]):
        mine = np.flatnonzero(blocks == k)
        order[mine] = rng.permutation(mine)
    return order
