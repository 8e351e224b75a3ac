"""Information of posteriors and of embeddings, and the table made of them."""

import numpy as np
import pytest

from omicsbal.diagnostics.information import shared_information, usable_information
from omicsbal.diagnostics.information_tables import Told, information_rows, pid_rows
from omicsbal.diagnostics.resampling import draw_weights, interval, note_on_groups


def flipped(rng, n, wrong=0.1):
    """Exact log-posteriors (n, 2) and labels of a fair coin seen through a channel that is wrong at times."""
    y = rng.integers(2, size=n)
    seen = np.where(rng.random(n) < wrong, 1 - y, y)
    return np.log(np.where(np.eye(2)[seen] > 0, 1 - wrong, wrong)), y


CHANNEL = np.log(2) + 0.1 * np.log(0.1) + 0.9 * np.log(0.9)


def test_usable_information_is_the_channels_and_covered():
    hits, errors = 0, []
    for seed in range(60):
        value, low, high = usable_information(*flipped(np.random.default_rng(seed), 300), random_state=seed)
        hits += low <= CHANNEL <= high
        errors.append(value - CHANNEL)
    assert hits >= 51  # of 60: fewer have a probability below 1 in 100 at 95 %
    assert abs(np.mean(errors)) < 0.02


def test_it_lies_between_nothing_and_the_entropy():
    logs, y = flipped(np.random.default_rng(0), 200, 0.01)
    assert usable_information(logs, 1 - y)[0] == 0
    share = np.bincount(y) / 200
    sure = np.where(np.eye(2)[y] > 0, 0.0, -50.0)
    assert usable_information(sure, y)[0] == pytest.approx(-(share * np.log(share)).sum())


def test_donors_widen_the_interval():
    logs, y = flipped(np.random.default_rng(0), 200)
    _, low, high = usable_information(logs, y)
    copies = np.repeat(logs, 5, axis=0), np.repeat(y, 5)
    _, low_told, high_told = usable_information(*copies, groups=np.repeat(np.arange(200), 5))
    _, low_blind, high_blind = usable_information(*copies)
    assert high_told - low_told == pytest.approx(high - low, rel=0.25)
    assert high_blind - low_blind < 0.6 * (high - low)
    assert np.isnan(usable_information(logs, y, groups=np.zeros(200))[1:]).all()


def test_shared_information_of_gaussians():
    rng = np.random.default_rng(0)
    x, noise = rng.normal(size=(2, 600, 3))
    truth = 1.5 * np.log(1.25)
    (value, low, high), form = shared_information(x, x + 2 * noise)
    assert low < truth < high and value == pytest.approx(truth, abs=0.1) and form == "copula"
    donor = np.arange(600) % 12
    shift = rng.normal(0, 2, size=(12, 3))[donor]  # a batch effect of donors that both sides show
    (_, alone_low, alone_high), _ = shared_information(x + shift, noise + shift)
    (_, low, high), _ = shared_information(x + shift, noise + shift, groups=donor)
    assert high - low > 1.3 * (alone_high - alone_low)
    assert np.isnan(shared_information(x, noise, groups=np.zeros(600))[0][1:]).all()


def test_draws_and_notes():
    weights = draw_weights(6, groups=np.array(list("aabbbc")), n_draws=50)
    assert (weights[:, 0] == weights[:, 1]).all() and (weights[:, 2] == weights[:, 4]).all()
    assert set((weights[:, 0] + weights[:, 2] + weights[:, 5]).tolist()) == {3.0}
    assert "single group" in note_on_groups(np.zeros(3)) and "Only 4 groups" in note_on_groups(np.arange(4))
    assert note_on_groups(None) == note_on_groups(np.arange(10)) == ""


def test_interval_corrects_bias_and_holds_the_value():
    draws = np.random.default_rng(0).normal(0, 1, 2000)
    low, high = interval(0.0, draws)
    assert (low, high) == pytest.approx((-1.96, 1.96), abs=0.2)
    assert interval(0.5, draws)[0] > low + 0.5  # most draws are too low: so, then, is what they are draws of
    assert interval(9.0, draws)[1] == 9.0 and interval(0.0, np.zeros(50)) == (0, 0)


def told(**changes):
    """60 rows in three modalities, the third in 20 of them; exact posteriors of a label that the first two share."""
    rng = np.random.default_rng(0)
    logs, y = flipped(rng, 60)
    third = np.arange(60) < 20
    names = ("a", "b", "c")
    subsets = [frozenset(s) for s in ("a", "b", "c", "ab", "ac", "bc", "abc")]
    present = {s: third if "c" in s else np.ones(60, dtype=bool) for s in subsets}
    given = {"log_proba": {s: np.where(present[s][:, None], logs, np.nan) for s in subsets}, "present": present}
    given |= {"embeddings": {m: rng.normal(size=(60, 2)) for m in names}, "y": y, "groups": None}
    return Told(names, **{**given, **changes}, rows="held-out", seed=0)


def test_rows_of_the_table():
    rows = list(information_rows(told()))
    assert [r["kind"] for r in rows] == ["entropy"] + ["label"] * 7 + ["between"] * 3
    assert [r["source_1"] for r in rows[1:8]] == ["a", "b", "c", "a+b", "a+c", "b+c", "a+b+c"]
    assert {r["rows"] for r in rows} == {"held-out"} and all(r.keys() == rows[0].keys() for r in rows)
    parts = list(pid_rows(told()))
    pairs = list(dict.fromkeys((r["source_1"], r["source_2"]) for r in parts))
    assert pairs == [("a", "b"), ("a", "c"), ("b", "c"), ("a", "b+c"), ("b", "a+c"), ("c", "a+b")]
    found = {r["kind"]: r["value"] for r in parts[:5]}
    assert found["redundant"] == pytest.approx(found["total"], abs=0.02) and found["total"] > 0.2  # one and the same source


def test_what_cannot_be_measured_is_said():
    rows = [*information_rows(told()), *pid_rows(told())]
    few = [r for r in rows if r["n"] == 20]
    assert len(few) == 4 + 2 + 25 and all(np.isnan(r["value"]) and "Fewer than 30 rows" in r["note"] for r in few)
    assert all(np.isfinite(r["value"]) and r["note"] == "" for r in rows if r["n"] == 60)
    one_class = [*information_rows(told(y=np.zeros(60, dtype=int)))][1]
    assert np.isnan(one_class["value"]) and one_class["note"] == "A single class in these rows."
    silent = told().log_proba | {frozenset("a"): np.full((60, 2), np.nan)}
    parts = list(pid_rows(told(log_proba=silent)))
    assert np.isnan(parts[0]["value"]) and parts[0]["note"] == "No head of the model speaks for a."
    donors = [*information_rows(told(groups=np.zeros(60)))][1]
    assert np.isfinite(donors["value"]) and np.isnan(donors["low"]) and donors["note"] == "A single group: no interval."


def test_a_limit_is_held_where_the_truth_is_one():
    """The size of a difference that is 0: every draw is above it, and so is every percentile."""
    hits = {None: 0, (0.0, 9.0): 0}
    for seed in range(60):
        x = np.random.default_rng(seed).normal(size=100)
        draws = np.abs(draw_weights(100, random_state=seed) @ x / 100)
        for limits in hits:
            low, high = interval(abs(x.mean()), draws, limits=limits)
            hits[limits] += low <= 0 <= high
            assert 0 <= low <= abs(x.mean()) <= high
    assert hits[None] < 30 and hits[0.0, 9.0] >= 51, hits


def test_entropy_at_its_most_is_no_certainty():
    """As many of each class: all draws lie below ln 2, and other rows could have had less."""
    entropy = next(information_rows(told(y=np.arange(60) % 2)))
    assert entropy["value"] == pytest.approx(np.log(2)) == pytest.approx(entropy["high"])
    assert entropy["low"] < np.log(2) - 0.005
