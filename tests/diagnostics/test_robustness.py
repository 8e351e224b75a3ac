"""Damage that only grows, scores against scikit-learn and the oracle, and areas that can be done by hand."""

from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp

from omicsbal.diagnostics.damage import DAMAGES, noisings, removals, thinnings
from omicsbal.diagnostics.robustness import COLUMNS, Scorer, curve_rows
from omicsbal.train.classes import Classes
from omicsbal.train.values import Values


def scorer_of(y, *, classes=3, groups=None):
    share = np.bincount(y, minlength=classes) / len(y)
    return Scorer(Classes(tuple(map(str, range(classes))), np.log(share)), y, groups, "held-out")


def values(rows):
    return {row["measure"]: row["value"] for row in rows}


@pytest.fixture
def noisy():
    """300 rows of 3 unequal classes and log-probabilities that know something of them."""
    rng = np.random.default_rng(0)
    y = rng.choice(3, 300, p=[0.6, 0.3, 0.1])
    raw = rng.normal(0, 1, (300, 3)) + 1.5 * np.eye(3)[y]
    return y, raw - np.log(np.exp(raw).sum(1, keepdims=True))


def test_who_lost_a_modality_never_gets_it_back():
    present = np.random.default_rng(0).random(200) < 0.7
    shares = [0, 0.1, 0.25, 0.5, 1]
    steps = list(removals(present, shares, random_state=3))
    assert [s.sum() for s in steps] == [present.sum() - round(share * present.sum()) for share in shares]
    assert all((later <= before).all() for before, later in pairwise(steps))
    assert (next(removals(present, [0.5], random_state=3)) == steps[3]).all(), "the same cells whatever the other levels"


@pytest.mark.parametrize("form", [np.asarray, sp.csr_matrix])
def test_counts_are_thinned_from_the_thinned(form):
    counts = form(np.random.default_rng(0).poisson(20.0, (300, 5)).astype(np.float32))
    before = counts.copy()
    dense = [np.asarray(x.todense() if sp.issparse(x) else x) for x in thinnings(counts, [1, 0.5, 0.1], random_state=1)]
    assert all((later <= more).all() for more, later in pairwise(dense))
    assert (dense[0] == np.asarray(before.todense() if sp.issparse(before) else before)).all()
    total = float(dense[0].sum())
    for kept, x in zip((0.5, 0.1), dense[1:], strict=True):
        assert x.sum() == pytest.approx(kept * total, abs=4 * np.sqrt(total * kept * (1 - kept)))
        assert (x == np.rint(x)).all() and x.dtype == np.float32
    assert (counts != before).sum() == 0, "the counts themselves stay"


def test_missing_features_stay_missing():
    (x,) = thinnings(np.array([[4.0, np.nan]]), [0.5])
    assert np.isnan(x[0, 1]) and x[0, 0] <= 4


def test_noise_is_one_draw_in_units_of_the_column():
    x = np.random.default_rng(0).normal(0, [1, 10], (4000, 2)).astype(np.float32)
    none, one, two = noisings(x, [0, 1, 2])
    assert none is x
    np.testing.assert_allclose(two - x, 2 * (one - x), atol=1e-4)
    np.testing.assert_allclose((one - x).std(0), x.std(0), rtol=0.05)


def test_levels_run_from_none_to_most():
    assert DAMAGES["thinned"].ordered([0.1, 0.5]) == [1, 0.5, 0.1]
    assert DAMAGES["removed"].ordered([1, 0.5, 0.5]) == [0, 0.5, 1]
    for damage in DAMAGES.values():
        axis = damage.axis(np.array(damage.levels))
        assert axis[0] == 0 and (np.diff(axis) > 0).all() and damage.levels[0] == damage.none


def test_scores_are_those_of_the_fit(noisy):
    y, logs = noisy
    scorer = scorer_of(y)
    rows = list(scorer.scores(logs, kind="pattern"))
    assert list(rows[0]) == COLUMNS
    assert values(rows) == pytest.approx({k: scorer.outcome.scores(y, logs)[k] for k in ("macro_f1", "log_loss", "ece")})
    assert all(row["low"] < row["value"] < row["high"] and row["n"] == 300 for row in rows)
    number = Values(5.0, 2.0)
    truth, guess = logs[:, 0], logs[:, :1] + 0.3 * logs[:, 1:2]
    told = values(Scorer(number, truth, None, "held-out").scores(guess))
    assert told == pytest.approx(number.scores(truth, guess))


def test_the_prior_scores_one_in_c_and_the_entropy(noisy):
    y, logs = noisy
    scorer = scorer_of(y)
    share = np.bincount(y) / len(y)
    floor = values(scorer.floor())
    assert floor["macro_f1"] == pytest.approx(1 / 3) and floor["log_loss"] == pytest.approx(-(share * np.log(share)).sum())
    assert floor["ece"] == pytest.approx(0, abs=1e-9)
    silent = np.where(np.arange(300)[:, None] < 150, np.nan, logs)
    expected = (np.log(share)[y[:150]].sum() + logs[np.arange(150, 300), y[150:]].sum()) / -300
    assert values(scorer.scores(silent))["log_loss"] == pytest.approx(expected)
    recall = {row["class"]: row["value"] for row in scorer.recalls(np.full((300, 3), np.nan))}
    assert recall == pytest.approx({str(k): share[k] for k in range(3)})


def test_the_oracle_is_calibrated(simulated):
    mdata = simulated(n_obs=20_000, n_truth=100, n_features={"rna": 40, "atac": 60, "protein": 8}, random_state=0)
    y = pd.Categorical(mdata.obs["cell_type"])
    scorer = scorer_of(y.codes.astype(np.int64), classes=len(y.categories))
    for name in ("oracle_rna", "oracle_rna+atac+protein"):
        told = values(scorer.scores(mdata.obsm[name][list(y.categories)].to_numpy()))
        assert told["ece"] < 0.02


def test_intervals_hold_the_truth_and_donors_widen_them():
    rng = np.random.default_rng(0)
    y, donor = np.arange(600) % 2, np.arange(600) // 60
    wrong = (rng.random(600) < 0.2) | (donor % 5 == 0)  # two donors go wrong
    logs = np.log(np.where(np.eye(2)[np.where(wrong, 1 - y, y)] == 1, 0.8, 0.2))
    alone, grouped = (next(iter(scorer_of(y, classes=2, groups=g).scores(logs))) for g in (None, donor))
    assert grouped["high"] - grouped["low"] > 2 * (alone["high"] - alone["low"])
    assert alone["note"] == grouped["note"] == ""
    single = next(iter(scorer_of(y, classes=2, groups=np.zeros(600)).scores(logs)))
    assert np.isnan(single["low"]) and single["note"] == "A single group: no interval."


def test_areas_by_hand(noisy):
    y, logs = noisy
    nothing = np.full_like(logs, np.nan)
    sure = np.log(0.98 * np.eye(3)[y] + 0.02 / 3)
    scorer = scorer_of(y)

    def area(kind, steps):
        rows = list(curve_rows(scorer, kind, "rna", [(level, {"pool": p}) for level, p in steps]))
        return next(row for row in rows if row["measure"] == "area")

    assert area("removed", [(0.0, sure), (1.0, nothing)])["value"] == pytest.approx((1 + 1 / 3) / 2)
    half = area("removed", [(0.0, sure), (0.5, nothing), (1.0, nothing)])
    assert half["value"] == pytest.approx(0.25 * (1 + 1 / 3) + 0.5 / 3)
    assert half["low"] <= half["value"] <= half["high"]
    flat = area("noised", [(0.0, logs), (1.0, logs), (4.0, logs)])
    assert flat["value"] == flat["low"] == flat["high"] == 1
    assert area("thinned", [(1.0, sure), (0.5, sure), (0.25, nothing)])["value"] == pytest.approx(0.5 + 0.25 * (1 + 1 / 3))
    assert area("thinned", [(1.0, sure)])["note"] == "A single level."


def test_what_cannot_be_judged_is_said():
    y = np.arange(40) % 2
    scorer, logs = scorer_of(y, classes=2), np.log(np.full((40, 2), 0.5))
    (row,) = scorer.scores(logs, among=np.zeros(40, dtype=bool))
    assert np.isnan(row["value"]) and row["n"] == 0 and row["note"].startswith("No such row.")
    row = next(iter(scorer.scores(logs, among=y == 0)))
    assert row["note"] == "A single class. Fewer than 30 rows."
    truth = np.linspace(-1, 1, 50)
    rows = list(curve_rows(Scorer(Values(0.0, 1.0), truth, None, "held-out"), "removed", "rna", [
        (0.0, {"pool": -truth[:, None]}), (1.0, {"pool": np.full((50, 1), np.nan)}),
    ]))  # fmt: skip
    assert rows[-1]["note"] == "Nothing is predicted without damage." and np.isnan(rows[-1]["value"])
    assert not any(row["measure"] == "recall" for row in rows)
