"""Class by class: which cells are asked, what their members say of named features, and the rows of the two tables."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from omicsbal._types import FUSED
from omicsbal._validate import listed
from omicsbal.diagnostics.attribution import PathGradients, path_gradients
from omicsbal.diagnostics.importance import agreement, balanced_weights, carried_back, depth_of, top, top_shares
from omicsbal.model import FittedModel
from omicsbal.tl._labelled import Labelled
from omicsbal.tl._named_features import Named

FEW = 20  # cells below which a class is marked
OFF = 0.05  # of the log-odds gained: an integration error above is marked


@dataclass(frozen=True)
class Asked:
    """Members and their cells; everything that does not depend on the class."""

    model: FittedModel
    found: Labelled
    named: Mapping[str, Named]  # of the modalities that the head sees
    head: str
    n_steps: int
    n_top: int
    present: Mapping[str, np.ndarray]  # {m: (n,) bool}
    columns: Mapping[str, np.ndarray]  # {m: (K, d_m) float32} baseline of each member
    features: Mapping[str, np.ndarray]  # {m: (K, q_m)} the same of features


@dataclass(frozen=True)
class Scores:
    """Of one class in one modality."""

    by_member: np.ndarray  # (K, q) nats, members that had cells
    cells: np.ndarray  # (K,) how many
    n: int  # different cells

    @property
    def mean(self) -> np.ndarray:
        """(q,) over cells."""
        return np.average(self.by_member, axis=0, weights=self.cells)


def asked_of(model: FittedModel, found: Labelled, named: Mapping[str, Named], *, head: str, n_steps: int, n_top: int) -> Asked:
    """Baselines: of a fold member the class-balanced mean of the rows it trained on, else that of all rows that were found."""
    members = model.predictor.members
    seen = np.ones((members.total, len(found.y)), dtype=bool)
    if found.trained_on:
        seen[: members.n_folds] = members.folds != np.arange(members.n_folds)[:, None]
    used = {m: f for m, f in named.items() if head in (FUSED, m)}
    present = {m: found.data.present[m].cpu().numpy() for m in used}
    weights = {m: balanced_weights(found.y, seen & present[m]) for m in used}
    blocks = {m: x.cpu().numpy() for m, x in found.data.x.items()}
    columns = {m: (w @ blocks[m]).astype(np.float32) for m, w in weights.items()}
    absent = [m for m in model.modalities if head == FUSED and m not in used]
    columns |= {m: np.zeros((members.total, blocks[m].shape[1]), np.float32) for m in absent}
    features = {m: np.asarray(w @ used[m].values) for m, w in weights.items()}
    return Asked(model, found, used, head, n_steps, n_top, present, columns, features)


def rows_to_ask(asked: Asked, code: int, most: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Up to `most` cells of a class, by member (K, b), padded with row 0, and which entries are true."""
    found, members = asked.found, asked.model.predictor.members
    able = np.any(list(asked.present.values()), axis=0)
    chosen = np.sort(rng.permutation(np.flatnonzero(able & (found.y == code)))[:most])
    each: list[np.ndarray] = [chosen[:0]] * members.total
    if found.trained_on:
        each[: members.n_folds] = [chosen[members.folds[chosen] == k] for k in range(members.n_folds)]
    else:
        each[members.deployed] = [chosen] * len(each[members.deployed])
    width = max(map(len, each))
    valid = np.arange(width) < np.array([len(rows) for rows in each])[:, None]
    table = np.zeros(valid.shape, dtype=np.int64)
    table[valid] = np.concatenate(each)
    return table, valid


def class_scores(asked: Asked, code: int, rows: np.ndarray, valid: np.ndarray) -> tuple[dict[str, Scores], PathGradients]:
    """Scores by modality, none where no member had cells that have it; and the gradients behind them."""
    told = path_gradients(
        asked.model.predictor,
        asked.found.data,
        head=asked.head,
        code=code,
        rows=rows,
        baseline=asked.columns,
        n_steps=asked.n_steps,
    )
    scores = {}
    for m, named in asked.named.items():
        mine = valid & asked.present[m][rows]
        members = np.flatnonzero(mine.any(1))
        if len(members):
            by_member = [
                carried_back(
                    named.values[rows[k, mine[k]]],
                    asked.features[m][k],
                    told.mean[m][k, mine[k]],
                    axes=named.axes,
                    gain=named.gain,
                )
                for k in members
            ]
            scores[m] = Scores(np.stack(by_member), mine[members].sum(1), len(np.unique(rows[mine])))
    return scores, told


def feature_rows(asked: Asked, code: int, m: str, scores: Scores, note: str) -> Iterator[dict[str, Any]]:
    """The first `n_top` features of a class in a modality, the largest first."""
    named, y = asked.named[m], asked.found.y
    mean, by_member = scores.mean[named.known], scores.by_member[:, named.known]
    inside = asked.present[m] & (y == code)
    outside = asked.present[m] & (y != code)
    first = top(mean, asked.n_top)
    positions = np.flatnonzero(named.known)[first]
    levels = [_means(named.values[rows][:, positions], len(positions)) for rows in (inside, outside)]
    stability = top_shares(by_member, depth_of(len(mean), asked.n_top))
    spread = by_member.std(0, ddof=1) if len(by_member) > 1 else np.full(len(mean), np.nan)
    for rank, (j, p) in enumerate(zip(first, positions, strict=True)):
        row = {"class": asked.model.classes[code], "modality": m, "feature": str(named.names[p]), "rank": rank + 1}
        row |= {"importance": mean[j], "low": by_member[:, j].min(), "high": by_member[:, j].max(), "sd": spread[j]}
        row |= {"stability": stability[j] if len(by_member) > 1 else np.nan, "n": scores.n}
        yield row | {"mean_class": levels[0][rank], "mean_rest": levels[1][rank], "note": note}


def stability_row(
    asked: Asked, code: int, m: str, *, scores: Scores | None, told: PathGradients, valid: np.ndarray
) -> dict[str, Any]:
    """How much a modality carries of a class, and how far members agree on its features."""
    named = asked.named[m]
    q = int(named.known.sum())
    depth = depth_of(q, asked.n_top)
    total, error = (float(v[valid].mean()) if valid.any() else np.nan for v in (told.gain, np.abs(told.error)))
    row = {"class": asked.model.classes[code], "modality": m, "n": 0, "members": 0, "features": q, "sum": np.nan}
    row |= {"total": total, "error": error, "spearman": np.nan, "overlap": np.nan, "top": depth, "unit": named.unit}
    words, absent = [named.note], [c for k, c in enumerate(asked.model.classes) if not (asked.found.y == k).any()]
    words += [f"No cells of {listed(absent)}: the baseline is without them."] * bool(absent)
    if scores is None:
        words.append("No cells of this class have it.")
    else:
        row |= {"n": scores.n, "members": len(scores.cells), "sum": float(scores.mean.sum())}
        row["spearman"], row["overlap"] = agreement(scores.by_member[:, named.known], depth)
        words += ["This head does not depend on it."] * (not scores.mean[named.known].any())
        words += [f"Fewer than {FEW} cells."] * (scores.n < FEW)
        words += ["One member only: nothing is known of stability."] * (len(scores.cells) < 2)
        words += [f"The integral is off by {error:.2g} of {total:.2g} nats: raise n_steps."] * (error > OFF * abs(total))
    return row | {"rows": asked.found.rows, "note": " ".join(filter(None, words))}


def _means(values: Any, n: int) -> np.ndarray:
    """Mean (n,) of each column; NaN where there are no rows."""
    return np.asarray(values.mean(0)).ravel() if values.shape[0] else np.full(n, np.nan)
