"""What the fused head says when it is shown only some of the modalities, and what each is worth by Shapley's rule."""

from collections.abc import Iterable, Mapping
from itertools import combinations
from math import factorial
from typing import Any

from torch import Tensor

MOST = 6  # modalities up to which every coalition is visited: 2^6 calls of a small head


def coalitions(modalities: Iterable[str]) -> list[frozenset[str]]:
    """All subsets, the empty one first."""
    names = list(modalities)
    return [frozenset(c) for r in range(len(names) + 1) for c in combinations(names, r)]


def fused_of(net: Any, z: Mapping[str, Tensor], present: Mapping[str, Tensor], kept: Iterable[str]) -> Tensor:
    """Fused outputs (..., n, c) when only the modalities in `kept` are shown: the rest is hidden from the fusion.

    Embeddings are computed once and hidden after the encoder. Dropout in the head is off, so these calls draw nothing and two
    coalitions differ in what they see alone.
    """
    kept = set(kept)
    visible = {m: here if m in kept else here & False for m, here in present.items()}
    training = net.joint_head.training
    net.joint_head.eval()
    try:
        return net.joint_head(net.fusion(dict(z), visible))
    finally:
        net.joint_head.train(training)


def shapley(values: Mapping[frozenset[str], Tensor], modalities: Iterable[str]) -> dict[str, Tensor]:
    """``phi_m = sum over S without m of |S|! (M - |S| - 1)! / M! (v(S + m) - v(S))``; they sum to v(all) - v(none)."""
    names = list(modalities)
    size = len(names)
    found = {}
    for m in names:
        without = [s for s in values if m not in s]
        shares = [factorial(len(s)) * factorial(size - len(s) - 1) / factorial(size) for s in without]
        found[m] = sum(w * (values[s | {m}] - values[s]) for w, s in zip(shares, without, strict=True))
    return found  # type: ignore[return-value]
