import numpy as np
import pandas as pd
import pytest
from scipy.optimize import minimize
from scipy.special import logsumexp, softmax
from sklearn.metrics import f1_score

from omicsbal.train.classes import FLOOR, RIDGE, Classes, balance, log_softmax

RNG = np.random.default_rng(0)


def outcome(shares=(0.5, 0.3, 0.2)) -> Classes:
    return Classes(tuple("abc"[: len(shares)]), np.log(shares))


def heads(n: int = 120, sharpness=(3.0, 1.0, 0.0), seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Labels and log-probabilities (H, n, 3) of heads that know more or less."""
    rng = np.random.default_rng(seed)
    y = rng.choice(3, n, p=[0.5, 0.3, 0.2])
    return y, np.stack([log_softmax(s * np.eye(3)[y] + rng.normal(size=(n, 3))) for s in sharpness])


def test_classes_are_sorted_with_their_frequencies():
    learnt = Classes.learn(pd.Series(["b", "a", "b", "b"]))
    assert learnt.names == ("a", "b")
    np.testing.assert_allclose(np.exp(learnt.log_prior), [0.25, 0.75])
    assert learnt.encode(pd.Series(["b", "a"])).tolist() == [1, 0]
    assert learnt.task.n_out == 2


def test_numbers_and_truth_values_become_their_names():
    assert Classes.learn(pd.Series([2, 10, 2])).names == ("10", "2")
    assert Classes.learn(pd.Series([True, False])).names == ("False", "True")


def test_weights_by_hand():
    y = np.array([0, 0, 0, 1])
    np.testing.assert_allclose(balance(y, 2, 1.0), [2 / 3, 2 / 3, 2 / 3, 2])
    np.testing.assert_allclose(balance(y, 2, 0.0), 1)
    half = np.sqrt([2 / 3, 2 / 3, 2 / 3, 2])
    np.testing.assert_allclose(balance(y, 2, 0.5), half / half.mean())
    assert outcome().weights(np.array([0, 1, 1])).tolist() == balance(np.array([0, 1, 1]), 3, 1.0).tolist()


def test_members_are_averaged_as_probabilities():
    p = softmax(RNG.normal(size=(4, 5, 3)), axis=-1)
    np.testing.assert_allclose(np.exp(outcome().average(np.log(p))), p.mean(0))


def test_scores_by_hand():
    p = np.array([[0.7, 0.2, 0.1], [0.6, 0.3, 0.1], [0.1, 0.8, 0.1], [0.2, 0.2, 0.6]])
    y = np.array([0, 1, 1, 2])
    got = outcome().scores(y, np.log(p))
    assert list(got) == ["macro_f1", "accuracy", "balanced_accuracy", "log_loss", "ece"]
    assert got["accuracy"] == 0.75
    assert got["macro_f1"] == pytest.approx((2 / 3 + 2 / 3 + 1) / 3)
    assert got["balanced_accuracy"] == pytest.approx((1 + 0.5 + 1) / 3)
    assert got["log_loss"] == pytest.approx(-np.log([0.7, 0.3, 0.8, 0.6]).mean())
    assert got["ece"] == pytest.approx((0.3 + 0.6 + 0.2 + 0.4) / 4), "a bin a row: |confidence - hit|"


def test_certainty_costs_a_bounded_amount():
    assert outcome().scores(np.array([1]), np.array([[0.0, -np.inf, -np.inf]]))["log_loss"] == pytest.approx(-FLOOR)


def test_bins_of_equal_mass():
    y, p = heads(n=100)
    table = outcome().reliability(y, p[0], bins=15)
    assert table["n"].sum() == 100 and set(table["n"]) == {6, 7}
    assert table["confidence"].is_monotonic_increasing
    hit = (p[0].argmax(1) == y).mean()
    assert (table["accuracy"] * table["n"]).sum() / 100 == pytest.approx(hit)


@pytest.mark.parametrize("factor", [0.25, 1.0, 6.0])
def test_the_temperature_undoes_a_factor(factor):
    rng = np.random.default_rng(1)
    logits = rng.normal(size=(20000, 3)) * 1.5
    y = (softmax(logits, 1).cumsum(1) < rng.random((20000, 1))).sum(1)  # drawn from softmax(logits): calibrated as it is
    even = Classes(("a", "b", "c"), np.log([1 / 3] * 3))
    assert even.temperature(y, log_softmax(factor * logits)) == pytest.approx(factor, rel=0.05)


def test_no_temperature_nearby_does_better():
    y, p = heads()
    o = outcome()
    best = o.temperature(y, p[1])
    value = o._loss(y, o.soften(p[1], best))
    assert all(value <= o._loss(y, o.soften(p[1], best * f)) + 1e-9 for f in (0.8, 0.95, 1.05, 1.3))
    assert o.criterion(y, p[1]) == pytest.approx(value)
    assert o.criterion(y, 5 * p[1]) == pytest.approx(value, abs=1e-4), "over-confidence is no reason against an epoch"


def pool_objective(o: Classes, w, y, p):
    """Written again, from the docstring."""
    prior = np.broadcast_to(o.log_prior - o.log_prior.mean(), p[0].shape)
    mixed = np.tensordot(w[:-1], np.maximum(p, FLOOR), 1) + w[-1] * prior
    log_q = mixed - logsumexp(mixed, axis=1, keepdims=True)
    ridge = ((w[:-1] - 1 / len(p)) ** 2).sum() + w[-1] ** 2
    return -(balance(y, 3, o.power) * log_q[np.arange(len(y)), y]).mean() + RIDGE / len(y) * ridge


def test_pool_weights_are_the_optimum_of_a_convex_problem():
    y, p = heads()
    o = outcome()
    w = o.pool_weights(y, p)
    value = pool_objective(o, w, y, p)
    start = np.array([0.0, 2.0, 1.0, -1.0])
    bounds = [(0, None)] * 3 + [(None, None)]
    other = minimize(lambda v: pool_objective(o, v, y, p), start, bounds=bounds, method="L-BFGS-B", options={"ftol": 1e-14})
    np.testing.assert_allclose(w, other.x, atol=2e-3)
    assert value == pytest.approx(other.fun, abs=1e-6)
    for h in range(4):
        step = 1e-4 * np.eye(4)[h]
        slope = (pool_objective(o, w + step, y, p) - pool_objective(o, w - step, y, p)) / 2e-4
        assert abs(slope) < 2e-3 if w[h] > 0 or h == 3 else slope > -2e-3
    assert w[0] > w[1] and w[2] < 0.2, "who knows more weighs more"


def test_heads_that_cannot_be_told_apart_share_the_weight():
    y, p = heads()
    w = outcome().pool_weights(y, np.stack([p[0]] * 4))
    np.testing.assert_allclose(w[:4], w[0], atol=1e-3)


def test_the_order_of_heads_only_orders_the_weights():
    y, p = heads()
    w = outcome().pool_weights(y, p)
    np.testing.assert_allclose(outcome().pool_weights(y, p[[2, 0, 1]])[:3], w[[2, 0, 1]], atol=2e-3)


def test_a_pool_by_hand():
    o = Classes(("a", "b"), np.log([0.8, 0.2]))
    p = np.log(np.array([[[0.9, 0.1]], [[0.4, 0.6]]]))
    odds = (0.9 / 0.1) ** 0.5 * (0.4 / 0.6) ** 2 * (0.8 / 0.2) ** -1
    np.testing.assert_allclose(np.exp(o.pool(p, np.array([0.5, 2.0, -1.0])))[0], [odds / (1 + odds), 1 / (1 + odds)])
    sure = np.array([[[0.0, -np.inf]], [[-np.inf, 0.0]]])
    assert np.isfinite(o.pool(sure, np.array([0.0, 1.0, 0.0]))).all(), "a certain head cannot make the others mute"


def test_the_product_by_hand():
    o = Classes(("a", "b"), np.log([0.8, 0.2]))
    p = np.log(np.array([[[0.9, 0.1]], [[0.4, 0.6]]]))
    odds = 9 * (2 / 3) * 4 ** (1 - o.power)
    np.testing.assert_allclose(np.exp(o.product(p))[0, 0], odds / (1 + odds))


def test_the_product_recovers_the_posterior_of_independent_witnesses():
    """Heads trained on equally weighted classes; at power 0 the whole prior comes back and the product is Bayes' rule."""
    like, prior = RNG.random((2, 50, 3)) + 0.1, np.array([0.5, 0.3, 0.2])
    o = outcome(prior)
    each = np.log(like / like.sum(-1, keepdims=True))
    joint = like.prod(0) * prior ** (1 - o.power)
    np.testing.assert_allclose(np.exp(o.product(each)), joint / joint.sum(1, keepdims=True))


def test_readable_by_hand():
    index = pd.Index(["x", "y"])
    prediction = np.log(np.array([[0.2, 0.5, 0.3], [np.nan] * 3]))
    told = outcome().readable(prediction, index, np.full(2, np.nan))
    names = list(outcome().names)
    assert list(told) == ["prediction", "confidence", "proba"] and list(told["proba"]) == names
    assert told["prediction"].tolist()[0] == names[1] and told["prediction"].isna().tolist() == [False, True]
    np.testing.assert_allclose(told["confidence"], [0.5, np.nan])
    np.testing.assert_allclose(told["proba"].loc["x"], [0.2, 0.5, 0.3])


def test_a_class_has_no_error_of_a_number():
    assert np.isnan(outcome().error(np.array([0]), np.zeros((1, 3))))


def test_state_survives_json():
    import json

    o = outcome()
    again = Classes.from_state(json.loads(json.dumps(o.state())))
    assert again.names == o.names and np.array_equal(again.log_prior, o.log_prior)


def test_macro_f1_is_scikit_learns():
    y, p = heads()
    assert outcome().scores(y, p[2])["macro_f1"] == f1_score(y, p[2].argmax(1), average="macro")
