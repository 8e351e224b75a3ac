"""Baselines on blocks of numbers: right where the answer is known, silent where they cannot speak."""

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.naive_bayes import GaussianNB

from omicsbal.diagnostics.baselines import (
    BASELINES,
    LEADING,
    STRENGTHS,
    Fold,
    baselines_of,
    clock,
    log_linear_weights,
    neutral,
    run_baseline,
    tuned,
)

COST = np.array([2.0, 1.0])


@pytest.fixture
def fold():
    """Two modalities of 60 and 30 rows: one tells class 0 from the rest, the other class 2; half of the rows lack the second."""
    rng = np.random.default_rng(0)
    y, new = np.repeat([0, 1, 2], 20), np.repeat([0, 1, 2], 10)

    def block(labels, which):
        x = rng.normal(size=(len(labels), 4))
        x[:, 0] += 4 * (labels == which)
        return x

    blocks = [{m: block(labels, which) for m, which in (("a", 0), ("b", 2))} for labels in (y, new)]
    present = [{"a": np.ones(len(v), bool), "b": np.arange(len(v)) % 2 == 0} for v in (y, new)]
    for part, here in zip(blocks, present, strict=True):
        part["b"][~here["b"]] = 0
    facts = {"reading": {"a": COST, "b": COST}, "seed": 0}
    return Fold(*blocks, *present, y, 3, np.arange(60) % 3, **facts), new


def accuracy(proba, y):
    return (proba.argmax(1) == y).mean()


@pytest.mark.parametrize("name", [n for n in baselines_of(["a", "b"]) if n != "knn:wnn"])
def test_each_gives_probabilities_and_knows_something(fold, name):
    fold, y = fold
    proba, cost = run_baseline(fold, baselines_of(["a", "b"])[name])
    there = fold.present_test["b"] if name == "lr:b" else np.ones(30, bool)
    assert np.isnan(proba[~there]).all()
    np.testing.assert_allclose(proba[there].sum(1), 1)
    assert accuracy(proba[there], y[there]) > 0.5
    assert (cost > 0).all() and cost[0] >= (2 if name in ("lr:a", "lr:b") else 4)


def test_members_are_fitted_once_and_paid_for_by_each(fold):
    fold, _ = fold
    costs = {name: run_baseline(fold, baselines_of(["a", "b"])[name])[1][0] for name in ("lr:a", "lr:late", "lr:pool")}
    member = fold.fitted["a"]
    run_baseline(fold, BASELINES["lr:pool"])
    assert fold.fitted["a"] is member and set(fold.fitted) == {"a", "b", "concat"}
    assert costs["lr:a"] >= COST[0] + member.cost[0] and costs["lr:pool"] > costs["lr:late"] > costs["lr:a"]


def test_late_is_the_mean_of_what_a_row_has(fold):
    fold, _ = fold
    proba, _ = run_baseline(fold, BASELINES["lr:late"])
    a, b, there = fold.fitted["a"].proba, fold.fitted["b"].proba, fold.present_test["b"]
    np.testing.assert_allclose(proba[there], (a + b)[there] / 2)
    np.testing.assert_allclose(proba[~there], a[~there])


def test_the_strength_is_that_of_the_best_held_out_macro_f1():
    rng = np.random.default_rng(1)
    y = np.arange(90) % 3
    x = rng.normal(size=(90, 40))
    x[:, 0] += 1.5 * (y == 1)
    inner = np.arange(90) // 30
    model, held_out = tuned(x, y, inner, 3)
    assert model.C in STRENGTHS
    part = inner != 1
    own = LogisticRegression(C=model.C, max_iter=500, class_weight="balanced").fit(x[part], y[part])
    np.testing.assert_allclose(held_out[~part], own.predict_proba(x[~part]), atol=1e-6)


def test_a_pool_leaves_out_noise_and_sharpens_what_is_timid():
    rng = np.random.default_rng(2)
    y = rng.integers(0, 2, 600)
    truth = np.where(rng.random(600) < 0.9, y, 1 - y)  # right in nine of ten
    timid = np.where(np.eye(2)[truth] > 0, 0.6, 0.4)
    noise = rng.dirichlet([1, 1], 600)
    weights = log_linear_weights(np.stack([timid, noise]), y)
    assert weights[0] > 2 and weights[1] < 0.1
    silent = np.full((600, 2), np.nan)
    assert neutral([silent])[0, 0].tolist() == [0.5, 0.5]


def test_weighted_neighbours_refuse_gaps(fold):
    with pytest.raises(ValueError, match="every one of them in each row"):
        run_baseline(fold[0], BASELINES["knn:wnn"])


def test_the_clock_counts_both():
    begin = clock()
    sum(i * i for i in range(200_000))
    assert (clock() - begin > 0).all()


def test_trees_and_others_get_the_leading_components():
    rng = np.random.default_rng(3)
    y = np.arange(120) % 2
    x = rng.normal(size=(120, 90)) * np.r_[6 * np.ones(3), np.ones(87)]
    x[:, 0] += 9 * y
    facts = {"reading": {"a": COST, "b": COST}}
    here = np.ones(120, bool)
    fold = Fold(
        {"a": x, "b": x[:, :4]}, {"a": x, "b": x[:, :4]}, *[{"a": here, "b": here}] * 2, y, 2, np.arange(120) % 3, **facts
    )
    leading = fold.leading()
    assert {m: part[0].shape for m, part in leading.items()} == {"a": (120, LEADING), "b": (120, 4)}
    np.testing.assert_allclose(leading["a"][0], leading["a"][1], atol=1e-8)
    spread = leading["a"][0].var(0)
    assert (np.diff(spread) <= 1e-9).all() and spread[0] > 4 * spread[-1]
    proba, cost = fold.classify(GaussianNB())
    assert accuracy(proba, y) > 0.8 and cost[0] > 4
