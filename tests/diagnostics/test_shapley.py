"""Weights of games: what Shapley values must satisfy, exactly."""

from itertools import permutations

import numpy as np
import pytest

from omicsbal.diagnostics.shapley import EXACT, imbalance, make_game


def table(game, rule):
    """Values (C,) of coalitions by a rule."""
    return np.array([rule(c) for c in game.coalitions], dtype=float)


@pytest.mark.parametrize("names", ["a", "ab", "abc", "abcd", "abcdefgh"])
def test_shares_sum_to_the_total(names):
    game = make_game(names)
    values = np.random.default_rng(0).normal(size=(50, len(game.coalitions)))
    np.testing.assert_allclose((values @ game.shapley.T).sum(axis=1), values[:, -1] - values[:, 0], atol=1e-10)
    assert game.exact and (game.sampling_error(values[0]) == 0).all()


def test_shares_are_the_mean_gain_over_all_orders():
    game = make_game("abcd")
    values = dict(zip(game.coalitions, np.random.default_rng(1).normal(size=16), strict=True))
    gains = dict.fromkeys("abcd", 0.0)
    for order in permutations("abcd"):
        for k, m in enumerate(order):
            gains[m] += (values[frozenset(order[: k + 1])] - values[frozenset(order[:k])]) / 24
    np.testing.assert_allclose(game.shapley @ list(values.values()), list(gains.values()), atol=1e-10)


def test_equal_players_get_the_same_and_null_players_nothing():
    game, rng = make_game("abcd"), np.random.default_rng(2)
    number = dict(zip(game.coalitions, rng.normal(size=16), strict=True))
    same = table(game, lambda c: number[frozenset(c - {"a", "b"})] + len(c & {"a", "b"}) ** 2)
    shares = game.shapley @ same
    assert shares[0] == pytest.approx(shares[1], abs=1e-10) and abs(shares[0] - shares[2]) > 1e-3
    null = table(game, lambda c: number[frozenset(c - {"d"})])
    for weights in (game.shapley, game.solo, game.need):
        assert (weights @ null)[3] == pytest.approx(0, abs=1e-10)
    for (one, two), value in zip(game.pairs, game.interaction @ null, strict=True):
        assert "d" not in (one, two) or value == pytest.approx(0, abs=1e-10)


def test_two_modalities_and_the_parts_of_a_decomposition():
    """phi_1 = U1 + (R + S) / 2; interaction = S - R; need_1 = U1 + S; solo_1 = U1 + R (reference 1.1)."""
    redundant, one, two, synergy = 0.3, 0.2, 0.05, 0.11
    game = make_game(["1", "2"])
    values = np.array([0, redundant + one, redundant + two, redundant + one + two + synergy])
    both = (redundant + synergy) / 2
    np.testing.assert_allclose(game.shapley @ values, [one + both, two + both], atol=1e-10)
    np.testing.assert_allclose(game.interaction @ values, [synergy - redundant], atol=1e-10)
    np.testing.assert_allclose(game.need @ values, [one + synergy, two + synergy], atol=1e-10)
    np.testing.assert_allclose(game.solo @ values, [one + redundant, two + redundant], atol=1e-10)
    np.testing.assert_allclose(game.total @ values, values[-1:], atol=1e-10)


def test_interaction_of_three_by_hand():
    game = make_game("abc")
    assert game.pairs == [("a", "b"), ("a", "c"), ("b", "c")]
    only_all = table(game, lambda c: len(c) == 3)  # I_ab = 1/2 (v(abc) - ...): half of the only non-zero term
    np.testing.assert_allclose(game.interaction @ only_all, [0.5] * 3, atol=1e-10)
    additive = table(game, len)
    np.testing.assert_allclose(game.interaction @ additive, 0, atol=1e-10)


def test_many_modalities_are_sampled_and_say_so():
    names = [f"m{i}" for i in range(EXACT + 2)]
    game = make_game(names, random_state=0)
    strength = np.arange(len(names)) / 10
    values = table(game, lambda c: np.sqrt(sum(strength[names.index(m)] for m in c)))
    shares, error = game.shapley @ values, game.sampling_error(values)
    assert not game.exact and game.pairs == [] and len(game.coalitions) < 2 ** len(names)
    assert shares.sum() == pytest.approx(values[-1] - values[0], abs=1e-10)
    assert shares[0] == pytest.approx(0, abs=1e-10) and error[0] == pytest.approx(0, abs=1e-10)
    exact = np.zeros(len(names))
    rng = np.random.default_rng(1)
    for _ in range(4000):
        order = rng.permutation(len(names))
        reached = np.sqrt(np.r_[0, np.cumsum(strength[order])])
        exact[order] += np.diff(reached) / 4000
    assert (error[1:] > 0).all() and (np.abs(shares - exact) < 4 * error + 0.005).all()
    additive = table(game, lambda c: sum(strength[names.index(m)] for m in c))
    np.testing.assert_allclose(game.shapley @ additive, strength, atol=1e-10)
    assert (make_game(names, random_state=1).coalitions) != game.coalitions


def test_imbalance():
    np.testing.assert_allclose(imbalance(np.array([[1.0, 1, 1], [2, 0, 0], [1, -1, 0]])), [0, 1, 1])
    assert np.isnan(imbalance(np.zeros(3)))
