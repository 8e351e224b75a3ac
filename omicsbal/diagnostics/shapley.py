"""What each modality contributes to a value of subsets: Shapley's shares, alone, on top of the rest, and in pairs.

Everything is a weighted sum of the values of coalitions (subsets of modalities), so a `Game` is its weights: multiply them with
the values of all rows together, of each row, or of bootstrap draws.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations
from math import factorial

import numpy as np

Pattern = frozenset[str]
EXACT = 8  # modalities up to which every coalition is asked: 256 of them
ROUNDING = 1e-12  # of a sum of values
ORDERS = 64  # in which modalities join, where there are more


@dataclass(frozen=True)
class Game:
    """Coalitions that are asked, and what their values have to be weighed with.

    Parameters
    ----------
    names
        M modalities.
    coalitions
        C subsets, the empty one first, all together last.
    marginal
        (P, M, C) weights whose mean over P is Shapley's value: P = 1 if exact, else pairs of orders of joining.
    """

    names: tuple[str, ...]
    coalitions: tuple[Pattern, ...]
    marginal: np.ndarray

    @cached_property
    def column(self) -> dict[Pattern, int]:
        """Where a coalition stands."""
        return {c: i for i, c in enumerate(self.coalitions)}

    @property
    def exact(self) -> bool:
        """Whether all subsets are asked."""
        return len(self.coalitions) == 2 ** len(self.names)

    @cached_property
    def shapley(self) -> np.ndarray:
        """(M, C) weights of Shapley values."""
        return np.asarray(self.marginal.mean(axis=0))

    @cached_property
    def solo(self) -> np.ndarray:
        """(M, C) weights of v({m}) - v(none)."""
        return np.stack([self._difference(frozenset({m}), frozenset()) for m in self.names])

    @cached_property
    def need(self) -> np.ndarray:
        """(M, C) weights of v(all) - v(all but m)."""
        whole = frozenset(self.names)
        return np.stack([self._difference(whole, whole - {m}) for m in self.names])

    @cached_property
    def total(self) -> np.ndarray:
        """(1, C) weights of v(all) - v(none)."""
        return self._difference(frozenset(self.names), frozenset())[None]

    @property
    def pairs(self) -> list[tuple[str, str]]:
        """Pairs whose interaction can be told: none where coalitions are sampled."""
        return list(combinations(self.names, 2)) if self.exact else []

    @cached_property
    def interaction(self) -> np.ndarray:
        """(pairs, C) weights of the Shapley interaction, see `make_game`."""
        weights, size = np.zeros((len(self.pairs), len(self.coalitions))), len(self.names)
        for row, pair in zip(weights, self.pairs, strict=True):
            for rest in (c for c in self.coalitions if not c & set(pair)):
                share = factorial(len(rest)) * factorial(size - len(rest) - 2) / factorial(size - 1)
                for extra, sign in ((pair, 1), (pair[:1], -1), (pair[1:], -1), ((), 1)):
                    row[self.column[rest | set(extra)]] += sign * share
        return weights

    def sampling_error(self, values: np.ndarray) -> np.ndarray:
        """(M,) standard errors of Shapley values that come from not asking every order, for values (C,); 0 if exact."""
        if self.exact:
            return np.zeros(len(self.names))
        each = self.marginal @ values
        return np.asarray(each.std(axis=0, ddof=1) / np.sqrt(len(each)))

    def _difference(self, more: Pattern, less: Pattern) -> np.ndarray:
        """(C,) weights of v(more) - v(less)."""
        row = np.zeros(len(self.coalitions))
        row[self.column[more]] += 1
        row[self.column[less]] -= 1
        return row


def make_game(names: Iterable[str], *, n_orders: int = ORDERS, random_state: int = 0) -> Game:
    """The coalitions that have to be asked, and the weights of their values.

    Shapley value (Shapley 1953, doi:10.1515/9781400881970-018) of modality m among M: ``phi_m = sum over S without m of
    |S|! (M - |S| - 1)! / M! (v(S + m) - v(S))``; they sum to v(all) - v(none). Interaction of m and k (Grabisch and Roubens 1999,
    doi:10.1007/s001820050125): ``sum over S without both of |S|! (M - |S| - 2)! / (M - 1)! (v(S + m + k) - v(S + m) - v(S + k) +
    v(S))``, positive where two tell more together, negative where one replaces the other. Above eight modalities phi is the mean
    gain when m joins, over random orders and their reverses, and there are no interactions.

    Parameters
    ----------
    names
        Modalities.
    n_orders
        Orders of joining, even; used above eight modalities alone.
    random_state
        Seed of the orders.

    Returns
    -------
    The game; values of coalitions (..., C) times ``game.shapley.T`` are Shapley values (..., M).

    Examples
    --------
    >>> game = make_game(["a", "b"])
    >>> [sorted(c) for c in game.coalitions]
    [[], ['a'], ['b'], ['a', 'b']]
    >>> (game.shapley @ np.array([0.0, 1.0, 0.0, 3.0])).tolist()
    [2.0, 1.0]
    """
    names = tuple(names)
    if len(names) > EXACT:
        return _sampled(names, n_orders, np.random.default_rng(random_state))
    coalitions = tuple(frozenset(c) for size in range(len(names) + 1) for c in combinations(names, size))
    column = {c: i for i, c in enumerate(coalitions)}
    weights = np.zeros((1, len(names), len(coalitions)))
    for row, m in zip(weights[0], names, strict=True):
        for rest in (c for c in coalitions if m not in c):
            share = factorial(len(rest)) * factorial(len(names) - len(rest) - 1) / factorial(len(names))
            row[column[rest | {m}]] += share
            row[column[rest]] -= share
    return Game(names, coalitions, weights)


def _sampled(names: tuple[str, ...], n_orders: int, rng: np.random.Generator) -> Game:
    """Orders and their reverses, which cancel much of each other's error."""
    forward = [list(rng.permutation(len(names))) for _ in range(max(n_orders // 2, 2))]
    whole = frozenset(names)
    asked = {frozenset(names[i] for i in order[:k]) for f in forward for order in (f, f[::-1]) for k in range(len(names) + 1)}
    asked |= {frozenset({m}) for m in names} | {whole - {m} for m in names}
    coalitions = tuple(sorted(asked, key=lambda c: (len(c), sorted(c))))
    column = {c: i for i, c in enumerate(coalitions)}
    weights = np.zeros((len(forward), len(names), len(coalitions)))
    for one, f in zip(weights, forward, strict=True):
        for order in (f, f[::-1]):
            for k, i in enumerate(order):
                before = frozenset(names[j] for j in order[:k])
                one[i, column[before | {names[i]}]] += 0.5
                one[i, column[before]] -= 0.5
    return Game(names, coalitions, weights)


def imbalance(shares: np.ndarray) -> np.ndarray:
    """``(max phi - min phi) / sum |phi|`` of Shapley values (..., M): 0 where all are equal, 1 where one has everything.

    Our choice of index. It is no verdict: modalities that differ in what they could tell ought to differ in what they contribute.
    A value below zero counts by its size. NaN where all values are zero, up to rounding.

    Examples
    --------
    >>> imbalance(np.array([[0.3, 0.3], [0.5, 0.0], [0.75, 0.25]])).tolist()
    [0.0, 1.0, 0.5]
    """
    size = np.abs(shares).sum(axis=-1)
    return np.asarray((shares.max(axis=-1) - shares.min(axis=-1)) / np.where(size > ROUNDING, size, np.nan))
