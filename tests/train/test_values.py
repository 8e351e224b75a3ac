import json

import numpy as np
import pandas as pd
import pytest
from scipy.optimize import nnls
from scipy.stats import norm

from omicsbal.train.values import RIDGE, Values


def test_labels_are_standardised():
    outcome = Values.learn(pd.Series([10.0, 20.0, 60.0]))
    y = outcome.encode(pd.Series([10.0, 20.0, 60.0]))
    assert y.dtype == np.float32 and y.mean() == pytest.approx(0, abs=1e-6) and y.std() == pytest.approx(1, abs=1e-6)
    assert outcome.mean + outcome.sd * outcome.encode(pd.Series([37.0]))[0] == pytest.approx(37, abs=1e-5)
    assert outcome.names == () and outcome.weights(y).tolist() == [1, 1, 1]


def test_scores_by_hand():
    got = Values(mean=50.0, sd=10.0).scores(np.array([-1.0, 0.0, 1.0]), np.array([[-1.0], [0.5], [0.5]]))
    variance = (0 + 0.25 + 0.25) / 3
    assert list(got) == ["r2", "rmse"]
    assert got["r2"] == pytest.approx(1 - variance / (2 / 3))
    assert got["rmse"] == pytest.approx(10 * np.sqrt(variance)), "in the label's unit"


def test_the_mean_scores_zero():
    y = np.random.default_rng(0).normal(size=50)
    assert Values(0.0, 1.0).scores(y, np.full((50, 1), y.mean()))["r2"] == pytest.approx(0)


@pytest.mark.parametrize("factor", [0.8, 1.0, 5.0])
def test_the_temperature_is_the_best_shrinkage(factor):
    rng, outcome = np.random.default_rng(0), Values(0.0, 1.0)
    signal = rng.normal(size=4000)
    y = signal + rng.normal(size=4000)
    assert outcome.temperature(y, factor * signal[:, None]) == pytest.approx(factor, rel=0.05)


def test_the_temperature_is_bounded():
    y, outcome = np.array([-1.0, 1.0]), Values(0.0, 1.0)
    assert outcome.temperature(y, np.array([[1.0], [-1.0]])) == 100, "what points the wrong way is silenced"
    assert outcome.temperature(y, np.array([[-0.01], [0.01]])) == 0.5, "a timid head is not blown up"
    assert outcome.temperature(y, np.zeros((2, 1))) == 100


def test_the_criterion_forgives_over_fitting_of_scale_alone():
    rng, outcome = np.random.default_rng(0), Values(0.0, 1.0)
    y = rng.normal(size=100)
    pred = (y + rng.normal(size=100))[:, None]
    assert outcome.criterion(y, 3 * pred) == pytest.approx(outcome.criterion(y, pred))
    assert outcome.criterion(y, pred) < outcome.criterion(y, rng.normal(size=(100, 1)))


def test_pool_weights_are_those_of_non_negative_ridge():
    rng, n = np.random.default_rng(0), 80
    y = rng.normal(size=n)
    predictions = np.stack([y + rng.normal(size=n), y + 2 * rng.normal(size=n), -y + rng.normal(size=n)])[:, :, None]
    w = Values(0.0, 1.0).pool_weights(y, predictions)
    # the ridge as RIDGE / n further rows of a least squares problem, solved by an active set instead of by gradients
    rows = np.vstack([predictions[:, :, 0].T / np.sqrt(n), np.sqrt(RIDGE / n) * np.eye(3)])
    reference = nnls(rows, np.concatenate([y / np.sqrt(n), np.full(3, np.sqrt(RIDGE / n) / 3)]))[0]
    np.testing.assert_allclose(w, reference, atol=1e-4)
    assert w[0] > w[1] > 0 and w[2] == pytest.approx(0, abs=1e-6)


def test_pool_and_product_by_hand():
    predictions, outcome = np.array([[[1.0], [2.0]], [[3.0], [8.0]]]), Values(0.0, 1.0)
    assert outcome.pool(predictions, np.array([2.0, 0.5])).tolist() == [[3.5], [8.0]]
    assert outcome.product(predictions).tolist() == [[2.0], [5.0]]
    assert outcome.average(predictions).tolist() == [[2.0], [5.0]]


def test_readable_by_hand():
    index = pd.Index(["a", "b", "c"])
    told = Values(mean=50.0, sd=10.0).readable(np.array([[0.0], [1.0], [np.nan]]), index, np.array([0.5, 1.0, 1.0]))
    assert list(told) == ["prediction", "interval"] and all(v.index.equals(index) for v in told.values())
    np.testing.assert_array_equal(told["prediction"], [50, 60, np.nan])
    z = norm.ppf(0.95)  # 5 % beyond either end
    np.testing.assert_allclose(told["interval"], [[50 - 5 * z, 50 + 5 * z], [60 - 10 * z, 60 + 10 * z], [np.nan] * 2], atol=1e-3)
    assert list(told["interval"]) == ["low", "high"]


def test_the_error_is_in_standard_deviations_of_the_label():
    assert Values(50.0, 10.0).error(np.array([0.0, 1.0]), np.array([[3.0], [-3.0]])) == pytest.approx(np.sqrt((9 + 16) / 2))


def test_state_survives_json():
    outcome = Values(1 / 3, 2 / 7)
    assert Values.from_state(json.loads(json.dumps(outcome.state()))) == outcome
