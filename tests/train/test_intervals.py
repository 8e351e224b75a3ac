"""Intervals by hand, and the promises that go with them."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from omicsbal.train import intervals
from omicsbal.train.classes import Classes
from omicsbal.train.intervals import half_width, paired_gain
from omicsbal.train.values import Values


def test_half_width_by_hand():
    """Fold scores .5, .6, .7: variance .01, times 1/3 + 1/2, times Student's 4.303 of two degrees of freedom."""
    assert half_width(np.array([0.5, 0.6, 0.7])) == pytest.approx(4.3027 * 0.1 * np.sqrt(5 / 6), rel=1e-4)
    assert half_width(np.array([0.5, 0.6, 0.7]), level=0.5) == pytest.approx(stats.t.ppf(0.75, 2) * 0.1 * np.sqrt(5 / 6))


def test_half_width_of_equal_scores_is_zero_and_of_one_unknown():
    assert half_width(np.full(5, 0.8)) == pytest.approx(0, abs=1e-12) and np.isnan(half_width(np.array([0.8])))


def test_half_width_is_wider_than_that_of_independent_draws():
    values = np.array([0.5, 0.55, 0.7, 0.62, 0.66])
    plain = stats.t.ppf(0.975, 4) * values.std(ddof=1) / np.sqrt(5)
    assert half_width(values) == pytest.approx(plain * np.sqrt(1 + 5 / 4))


@pytest.fixture(autouse=True)
def fewer_draws(monkeypatch):
    """Every draw scores two predictions, 5 ms."""
    monkeypatch.setattr(intervals, "DRAWS", 50)


@pytest.fixture
def classes():
    rng = np.random.default_rng(0)
    outcome = Classes.learn(pd.Series(list("abc") * 60))
    y = outcome.encode(pd.Series(list("abc") * 60))
    right = outcome.link(4 * np.eye(3)[y])
    weak = outcome.link(np.eye(3)[y] + rng.normal(size=(180, 3)))
    return outcome, y, weak, right


def test_the_gain_is_the_difference_of_the_metrics(classes):
    outcome, y, weak, right = classes
    expected = 1 - outcome.scores(y, weak)["macro_f1"]
    up, down = paired_gain(y, weak, right, outcome), paired_gain(y, right, weak, outcome)
    assert up["gain"] == pytest.approx(expected) and 0 < up["gain_low"] < expected < up["gain_high"]
    assert down == {"gain": -up["gain"], "gain_low": pytest.approx(-up["gain_high"]), "gain_high": pytest.approx(-up["gain_low"])}


def test_the_same_prediction_gains_nothing_for_certain(classes):
    outcome, y, weak, _ = classes
    assert paired_gain(y, weak, weak, outcome) == {"gain": 0, "gain_low": 0, "gain_high": 0}


def test_it_is_paired_and_repeats(classes):
    """The two predictions agree on all rows but a few, so the difference is known far better than either."""
    outcome, y, weak, right = classes
    nearly = weak.copy()
    wrong = np.flatnonzero(weak.argmax(1) != y)[:6]
    nearly[wrong] = right[wrong]
    found = paired_gain(y, weak, nearly, outcome)
    assert found == paired_gain(y, weak, nearly, outcome) and found["gain"] > 0
    assert found["gain_high"] - found["gain_low"] < 0.06, "unpaired it would be about 0.2"
    assert found["gain_low"] >= 0
    assert paired_gain(y, weak, nearly, outcome, seed=1) != found


def test_a_higher_level_is_wider(classes):
    outcome, y, weak, right = classes
    wide, narrow = (paired_gain(y, weak, right, outcome, level=level) for level in (0.99, 0.5))
    assert wide["gain_low"] < narrow["gain_low"] < narrow["gain_high"] < wide["gain_high"]


def test_numbers():
    y = np.random.default_rng(0).normal(size=200)
    outcome = Values.learn(pd.Series(y))
    y = outcome.encode(pd.Series(y))
    found = paired_gain(y, np.zeros((200, 1)), 0.5 * y[:, None], outcome)
    assert found["gain"] == pytest.approx(0.75, abs=1e-5), "1 - .5^2, against the mean's 0"


def test_the_interval_covers_the_change_in_nineteen_of_twenty(monkeypatch):
    """A metric that is a mean: the bootstrap of 100 paired differences, against the truth 0."""
    monkeypatch.setattr(intervals, "DRAWS", 200)
    outcome = SimpleNamespace(metric="mean", scores=lambda y, prediction: {"mean": float(prediction.mean())})
    rng, inside = np.random.default_rng(0), 0
    for _ in range(100):
        a = rng.normal(size=(100, 1))
        found = paired_gain(np.zeros(100), a, a + rng.normal(size=(100, 1)), outcome)
        inside += found["gain_low"] <= 0 <= found["gain_high"]
    assert 88 <= inside <= 99
