"""Heads, experts and pools together: what turns arrays of any availability into predictions."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from omicsbal._types import FUSED, Arrays
from omicsbal._validate import check_choice
from omicsbal.balance._base import Strategy
from omicsbal.nn.net import MultiOmicsNet
from omicsbal.train.alignment import Alignment, spaces
from omicsbal.train.experts import Expert
from omicsbal.train.forward import all_members, head_arrays
from omicsbal.train.members import Members
from omicsbal.train.outcome import Outcome

POOL, PRODUCT = "pool", "product"
Pattern = frozenset[str]  # modalities that a row has


@dataclass(frozen=True)
class Pool:
    """Weights of the heads that can speak for one availability pattern."""

    heads: tuple[str, ...]
    temperatures: np.ndarray  # (H,)
    weights: np.ndarray  # (H,) or (H + 1,): as the outcome's `pool_weights` gives them
    n: int  # rows behind the weights
    error: float  # root mean squared error of the pool on them, in standard deviations of the label; NaN for classes


def row_patterns(present: Mapping[str, np.ndarray]) -> dict[Pattern, np.ndarray]:
    """Rows (positions) of each availability pattern, the empty one included."""
    names, table = list(present), np.stack(list(present.values()), 1)
    unique, code = np.unique(table, axis=0, return_inverse=True)
    return {
        frozenset(m for m, here in zip(names, row, strict=True) if here): np.flatnonzero(code == i)
        for i, row in enumerate(unique)
    }


@dataclass
class Predictor:
    """Everything fitted, on arrays; knows neither MuData nor feature names."""

    net: MultiOmicsNet
    strategy: Strategy
    members: Members
    outcome: Outcome
    trained: tuple[str, ...]  # heads of the net that had a loss
    experts: dict[str, Expert]
    alignment: Alignment
    temperatures: dict[str, float] = field(default_factory=dict)
    pools: dict[Pattern, Pool] = field(default_factory=dict)
    errors: dict[str, float] = field(default_factory=dict)  # of every head on held-out rows, as `Pool.error`

    @property
    def modalities(self) -> list[str]:
        """Names, in the order of the net."""
        return self.net.modalities

    @property
    def head_names(self) -> list[str]:
        """What `predict` takes as `head`."""
        return [POOL, *self.trained, PRODUCT, *self.experts]

    def needs(self, head: str) -> Pattern:
        """Modalities without which a head is silent; the fused head speaks for any."""
        if head in self.experts:
            return frozenset(self.experts[head].modalities)
        return frozenset() if head == FUSED else frozenset({head})

    def able(self, pattern: Pattern) -> list[str]:
        """Heads and experts that can speak where exactly `pattern` is present."""
        return [h for h in (*self.trained, *self.experts) if self.needs(h) <= pattern] if pattern else []

    def witnesses(self, pattern: Pattern) -> list[str]:
        """One head a modality: the net's own, else the expert; what the product multiplies."""
        heads = {m: m if m in self.trained else f"{self.outcome.expert_prefix}:{m}" for m in self.modalities if m in pattern}
        return [h for h in heads.values() if h in self.trained or h in self.experts]

    def unlabelled(self, n: int) -> Tensor | None:
        """Positions of the n rows without a label in the net's graph; None where they take no part in it."""
        start = len(self.members.folds)
        known = self.net.graph is not None and self.net.graph.size > start
        return torch.arange(start, start + n, device=next(self.net.parameters()).device) if known else None

    def raw_heads(self, data: Arrays, pattern: Pattern, index: Tensor | None = None) -> dict[str, np.ndarray]:
        """Uncalibrated predictions ``{head: (n, c)}`` of rows that all have `pattern`, the rest hidden."""
        networks = [h for h in self.able(pattern) if h in self.trained]
        parts: dict[str, list[np.ndarray]] = {h: [] for h in networks}
        for outputs in all_members(self.net, self.strategy, data, only=pattern, index=index):
            for h, raw in head_arrays(outputs, networks).items():
                parts[h].append(self.outcome.average(self.outcome.link(raw[self.members.deployed])))
        blocks = {m: data.x[m].cpu().numpy() for m in pattern}
        linear = {h: self.outcome.link(self.experts[h].raw(blocks)) for h in self.able(pattern) if h in self.experts}
        return {h: np.concatenate(p) for h, p in parts.items()} | linear

    def combine(self, head: str, raw: Mapping[str, np.ndarray], pattern: Pattern) -> np.ndarray | None:
        """One calibrated prediction (n, c) from uncalibrated ones; None where the head cannot speak for the pattern."""
        if head == POOL and pattern in self.pools:
            pool = self.pools[pattern]
            stack = np.stack([self.outcome.soften(raw[h], t) for h, t in zip(pool.heads, pool.temperatures, strict=True)])
            return self.outcome.pool(stack, pool.weights)
        soft = {h: self.outcome.soften(raw[h], self.temperatures[h]) for h in self.able(pattern)}
        if head in (POOL, PRODUCT):
            speakers = self.witnesses(pattern) or [h for h in soft if h == FUSED]
            return self.outcome.product(np.stack([soft[h] for h in speakers])) if speakers else None
        return soft.get(head)

    def predict(self, data: Arrays, *, head: str = POOL, index: Tensor | None = None) -> np.ndarray:
        """Predictions (n, c); NaN where the head cannot speak for what a row has. `index`: rows of the net's graph; None: new."""
        check_choice("head", head, self.head_names)
        result = np.full((len(data), self.outcome.task.n_out), np.nan)
        for pattern, rows in row_patterns({m: p.cpu().numpy() for m, p in data.present.items()}).items():
            part = subset(data, rows)
            place = None if index is None else index[torch.from_numpy(rows).to(index.device)]
            values = self.combine(head, self.raw_heads(part, pattern, place), pattern) if self.able(pattern) else None
            if values is not None:
                result[rows] = values
        return result

    def error(self, data: Arrays, *, head: str = POOL) -> np.ndarray:
        """Expected error (n,) of a head for what each row has: that of the pool of its pattern, else that of the head in all."""
        result = np.full(len(data), self.errors.get(head, 1.0))
        for pattern, rows in row_patterns({m: p.cpu().numpy() for m, p in data.present.items()}).items():
            if head == POOL:  # without a pool of its own a pattern is as uncertain as the label itself
                result[rows] = self.pools[pattern].error if pattern in self.pools else 1.0
        return result

    def embed(self, data: Arrays, *, index: Tensor | None = None) -> dict[str, np.ndarray]:
        """Embeddings ``{"fused" or m: (n, k) float32}`` by the reference member; NaN where nothing is present.

        `index`: rows of the net's graph; None: new ones.
        """
        which = slice(self.members.reference, self.members.reference + 1)
        parts: dict[str, list[np.ndarray]] = {}
        for outputs in all_members(self.net, self.strategy, data, index=index):
            for name, z in spaces(outputs).items():
                parts.setdefault(name, []).append(self.alignment.move(name, z[which].cpu().numpy(), which)[0])
        here = {m: p.cpu().numpy() for m, p in data.present.items()}
        here[FUSED] = np.any(list(here.values()), axis=0)
        return {name: np.where(here[name][:, None], np.concatenate(z), np.nan) for name, z in parts.items()}


def subset(data: Arrays, rows: np.ndarray) -> Arrays:
    """Some rows of the arrays."""
    index = torch.from_numpy(rows).to(data.y.device)
    return Arrays(
        {m: v[index] for m, v in data.x.items()},
        {m: p[index] for m, p in data.present.items()},
        data.y[index],
        data.weight[index],
    )


def wanted_patterns(modalities: Iterable[str], seen: Iterable[Pattern], *, most: int = 5) -> list[Pattern]:
    """Patterns that get a pool: every subset of up to `most` modalities; of more, those seen, all, singles and drop-ones."""
    names = list(modalities)
    if len(names) <= most:
        return [frozenset(m for j, m in enumerate(names) if i >> j & 1) for i in range(1, 2 ** len(names))]
    whole = frozenset(names)
    patterns = [*seen, whole, *(frozenset({m}) for m in names), *(whole - {m} for m in names)]
    return [p for p in dict.fromkeys(patterns) if p]
