"""Synergy in clusters against worlds whose parts are known by construction."""

import numpy as np
import pytest

from omicsbal.diagnostics.second_opinion import kmeans_synergy


def world(name, n, seed):
    """Two representations with two columns each: what they say of a label of four classes, and noise or more of it."""
    rng = np.random.default_rng(seed)
    y, key = rng.integers(4, size=n), rng.integers(2, size=n)
    high, low, noise = y // 2, y % 2, rng.normal(size=(2, n))
    says = {
        "noise": ((noise[0], noise[1]), rng.normal(size=(2, n))),
        "unique": ((high, noise[0]), (low, noise[1])),
        "redundant": ((high, low), (high, low)),
        "secret": ((key, high), (key ^ low, high)),
    }[name]
    return *(np.stack(columns, 1) + rng.normal(0, 0.15, (n, 2)) for columns in says), y


@pytest.mark.parametrize("name", ["noise", "unique", "redundant"])
@pytest.mark.parametrize("n", [150, 300, 1000])
def test_counting_invents_nothing(name, n):
    """Without a correction these are 0.1 to 0.6 nats."""
    found = np.array([kmeans_synergy(*world(name, n, seed), random_state=seed) for seed in range(4)])
    assert np.abs(found[:, 0].mean()) < (0.1 if n == 150 else 0.06)
    assert (found[:, 1] < 0.03).all()


@pytest.mark.parametrize(("n", "least"), [(300, 0.5), (1000, 0.62)])
def test_a_shared_secret_is_found(n, least):
    value, low, high = kmeans_synergy(*world("secret", n, 0))
    assert least < low < value < high < 0.75 and np.log(2) - value < 0.12


def test_donors_and_a_single_one():
    a, b, y = world("secret", 600, 0)
    donor = np.arange(600) % 6
    blind, whole = kmeans_synergy(a, b, y), kmeans_synergy(a, b, y, groups=donor)
    assert whole[0] == pytest.approx(blind[0]) and whole[1] < whole[0] < whole[2]
    odd = np.where(donor == 0, (y + 1) % 4, y)
    wide, narrow = (kmeans_synergy(a, b, odd, groups=g) for g in (donor, None))
    assert wide[2] - wide[1] > narrow[2] - narrow[1], "one donor whose labels are off"
    assert np.isnan(kmeans_synergy(a, b, y, groups=0 * donor)[1:]).all()
    assert kmeans_synergy(a, b, y) == blind, "the same seed, the same number"
