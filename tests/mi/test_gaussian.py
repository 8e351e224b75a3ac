import numpy as np
import pytest
from scipy.stats import kstest

from omicsbal.mi.chance import NULL_SE, largest_dimension, null_distribution, null_moments
from omicsbal.mi.gaussian import centred_by_class, copula_mi, copula_normalise, gaussian_mi, partial_mi, within_class_mi


def repeated(estimate, draws):
    """Values and standard errors (draws, 2)."""
    return np.array([estimate(seed) for seed in range(draws)])


@pytest.mark.parametrize("rho", [0.0, 0.3, -0.6, 0.9])
def test_two_columns_have_the_textbook_value(rho):
    x, e = np.random.default_rng(1).normal(size=(2, 20_000))
    value, se = gaussian_mi(x, rho * x + np.sqrt(1 - rho**2) * e)
    assert abs(value + np.log(1 - rho**2) / 2) < 3 * se + 1e-4 and se < 0.01


@pytest.mark.parametrize("form", [gaussian_mi, copula_mi])
@pytest.mark.parametrize(("n", "d"), [(500, 1), (500, 16), (1000, 32)])
def test_bias_and_error_up_to_two_nats(pair, form, n, d):
    missed, allowed = [], []
    for nats in (0.0, 0.5, 1.0, 2.0):
        for axes in (None, 2):
            found = repeated(lambda s, i=nats, q=axes: form(*pair(n, d, i, axes=q, seed=s)), 15)
            missed.append(found[:, 0] - nats)
            allowed.append(found[:, 1].mean())
    assert abs(np.mean(missed)) < 0.03
    assert np.sqrt(np.mean(np.square(missed))) < max(0.05, 1.3 * np.sqrt(np.mean(np.square(allowed))))


def test_five_nats(pair):
    missed = np.array(
        [copula_mi(*pair(1000, d, 5.0, axes=q, seed=s))[0] - 5 for d in (16, 32) for q in (None, 2) for s in range(6)]
    )
    assert np.sqrt(np.mean(missed**2)) < 0.35 and missed.max() < 0.2
    exact = np.array([gaussian_mi(*pair(1000, 16, 5.0, seed=s))[0] - 5 for s in range(10)])
    assert abs(exact.mean()) < 0.05


@pytest.mark.parametrize("form", [gaussian_mi, copula_mi])
@pytest.mark.parametrize(
    ("n", "d", "nats", "axes"),
    [(150, 16, 0.0, None), (300, 4, 1.0, None), (500, 32, 1.0, None), (500, 16, 2.0, 2), (900, 48, 0.5, 2)],
)
def test_standard_error_is_the_scatter_over_samples(pair, form, n, d, nats, axes):
    found = repeated(lambda s: form(*pair(n, d, nats, axes=axes, seed=s)), 120 if n < 900 else 60)
    assert found[:, 1].mean() == pytest.approx(found[:, 0].std(ddof=1), rel=0.25)


def test_ranks_do_not_see_increasing_maps(pair):
    a, b = pair(400, 3, 0.7)
    assert copula_mi(a, b) == copula_mi(np.exp(a), b**3 + b)
    assert copula_mi(a, b)[0] == pytest.approx(copula_mi(-a, b)[0])
    assert gaussian_mi(a, b)[0] != pytest.approx(gaussian_mi(np.exp(a), b)[0], abs=0.01)


def test_no_side_is_first_and_no_column_is_first(pair):
    a, b = pair(200, 4, 0.5)
    a = np.hstack([a, a[:, :1] ** 2])
    for form in (gaussian_mi, copula_mi):
        assert form(a, b) == pytest.approx(form(b, a)) and form(a, b) == pytest.approx(form(a[:, ::-1], b))


def test_repeated_constant_and_summed_columns_count_for_nothing(pair):
    a, b = pair(300, 4, 0.5)
    more = np.hstack([a, 2 * a[:, :1] + 1, a @ np.ones((4, 1)), np.full((300, 1), 7.3)])
    assert gaussian_mi(more, b) == pytest.approx(gaussian_mi(a, b))
    assert gaussian_mi(np.float32(1e-3 * more), 1e6 * b) == pytest.approx(gaussian_mi(a, b), rel=1e-4)
    assert gaussian_mi(np.ones((300, 2)), b) == (0.0, 0.0)


def test_a_copy_is_large_but_finite(pair):
    a, _ = pair(300, 4, 0.0)
    assert 4 * 13 < gaussian_mi(a, a)[0] < 4 * 14


def test_ties_share_their_rank():
    scores = copula_normalise(np.repeat([3.0, 1.0, 2.0, 1.0], 10))[:, 0]
    assert len(np.unique(scores)) == 3 and scores[10] == scores[30] < scores[20] < scores[0]
    assert not copula_normalise(np.ones(30)).any()


def test_chance_is_that_of_independent_columns():
    rng = np.random.default_rng(0)
    for n, dims, draws in ((40, (1, 3), 400), (150, (16, 16), 300)):
        found = [gaussian_mi(rng.normal(size=(n, dims[0])), rng.normal(size=(n, dims[1])))[0] for _ in range(draws)]
        assert kstest(found, null_distribution(n, dims).cdf).pvalue > 0.01
    assert null_distribution(100, (3, 5)).mean() == pytest.approx(0, abs=1e-12)
    assert null_moments(100, (3, 5)) == pytest.approx(null_moments(100, (5, 3)))


def test_largest_dimension_is_the_rule_of_a_tenth_of_a_nat():
    assert [largest_dimension(n) for n in (100, 150, 300, 500, 1000)] == [12, 18, 36, 61, 123]
    for n in (20, 77, 640):
        d = largest_dimension(n)
        assert null_moments(n - 1, (d, d))[1] <= NULL_SE < null_moments(n - 1, (d + 1, d + 1))[1]
    assert largest_dimension(300, spent=100) == largest_dimension(200)


def test_degrees_of_freedom_spent_are_paid_for():
    rng = np.random.default_rng(0)
    y = np.arange(80) % 20
    naive, paid = [], []
    for _ in range(60):
        a, b = (centred_by_class(rng.normal(size=(80, 8)), y) for _ in range(2))
        naive.append(gaussian_mi(a, b)[0])
        paid.append(gaussian_mi(a, b, spent=19)[0])
    assert abs(np.mean(paid)) < 0.07 < np.mean(naive)


def shared_within(n, d, classes, nats, *, spread, seed):
    """Classes apart, `nats` shared within them on three axes, class spreads exp(spread N(0, 1))."""
    rng = np.random.default_rng(seed)
    y = rng.choice(classes, size=n, p=rng.dirichlet(np.full(classes, 3.0)))
    rho = np.sqrt(1 - np.exp(-2 * nats / 3))
    a, b = rng.normal(size=(2, n, d))
    b[:, :3] = rho * a[:, :3] + np.sqrt(1 - rho**2) * b[:, :3]
    scale = np.exp(spread * rng.normal(size=classes))[y][:, None]
    centre = 3 * rng.normal(size=(2, classes, d))
    return a * scale + centre[0][y], b * scale + centre[1][y], y


@pytest.mark.parametrize("spread", [0.0, 1.0])
@pytest.mark.parametrize(
    ("n", "classes", "nats", "bias"), [(500, 8, 0.0, 0.01), (500, 8, 0.5, 0.05), (1000, 8, 0.5, 0.04), (150, 12, 0.5, 0.17)]
)
def test_within_classes_only_what_is_shared_within_them(spread, n, classes, nats, bias):
    found = repeated(lambda s: within_class_mi(*shared_within(n, 16, classes, nats, spread=spread, seed=s)), 12)
    assert -bias < found[:, 0].mean() - nats < 0.03
    assert copula_mi(*shared_within(n, 16, classes, nats, spread=spread, seed=0)[:2])[0] > found[:, 0].max()


def test_spreads_of_classes_fool_plain_residuals():
    a, b, y = shared_within(1000, 16, 8, 0.0, spread=1.0, seed=0)
    plain = gaussian_mi(centred_by_class(a, y), centred_by_class(b, y), spent=7)[0]
    assert plain > 0.1 > 0.04 > abs(within_class_mi(a, b, y)[0])


def test_classes_may_have_any_names_and_a_single_row(pair):
    a, b = pair(100, 2, 0.5)
    y = np.array(["B", "T"] * 50, dtype=object)
    assert within_class_mi(a, b, y) == within_class_mi(a, b, (y == "T").astype(int))
    y[0] = "alone"
    assert np.isfinite(within_class_mi(a, b, y)).all()


def test_given_a_number(pair):
    rng = np.random.default_rng(0)
    found, raw = [], []
    for _ in range(10):
        y = rng.normal(size=(600, 1))
        a, e = rng.normal(size=(2, 600, 3))
        b = 0.6 * a + 0.8 * e
        found.append(partial_mi(a + 2 * y, b - y, np.exp(y[:, 0]))[0])
        raw.append(copula_mi(a + 2 * y, b - y)[0])
    truth = -1.5 * np.log(1 - 0.36)
    assert abs(np.mean(found) - truth) < 0.06 < abs(np.mean(raw) - truth)
    y = rng.normal(size=(400, 2))
    a, b = y + rng.normal(size=(400, 2)), y[:, ::-1] + rng.normal(size=(400, 2))
    assert abs(partial_mi(a, b, y)[0]) < 0.02 < partial_mi(a, b, y[:, 0])[0]
    assert partial_mi(y, b, y) == (0.0, 0.0)


@pytest.mark.parametrize(
    ("a", "b", "error", "words"),
    [
        (np.ones((30, 2)), np.ones((29, 2)), ValueError, "30 rows"),
        (np.ones((19, 2)), np.ones((19, 2)), ValueError, "at least 20 rows"),
        (np.r_[np.nan, np.ones(29)], np.ones(30), ValueError, "NaN"),
        (np.array([["x"]] * 30), np.ones(30), TypeError, "numbers"),
        (np.ones((30, 2, 2)), np.ones(30), ValueError, "shape"),
        (np.eye(30)[:, :16], np.eye(30)[:, 14:], ValueError, "more rows than columns"),
    ],
)
def test_what_is_refused(a, b, error, words):
    with pytest.raises(error, match=words):
        gaussian_mi(a, b)


@pytest.mark.parametrize(
    ("y", "words"),
    [
        (np.ones(30), "1 classes"),
        (np.arange(30), "30 classes"),
        ([None] + ["a", "b"] * 14 + ["a"], "1 missing"),
        (np.linspace(0, 1, 30), "decimals"),
        ([1, 2], "shape"),
    ],
)
def test_labels_that_are_refused(y, words):
    with pytest.raises(ValueError, match=words):
        within_class_mi(np.random.default_rng(0).normal(size=(30, 1)), np.random.default_rng(1).normal(size=(30, 1)), y)
