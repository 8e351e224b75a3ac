import numpy as np
import pytest
from scipy.special import digamma
from sklearn.covariance import ledoit_wolf

from omicsbal.mi.axes import canonical_scores, discriminant_scores, principal_scores, shrunk_covariance
from omicsbal.mi.knn import MOST, ksg, ross, scatter


def brute_ksg(a, b, k):
    """By the words of the formula, all distances at once."""
    near = [np.abs(x[:, None] - x[None]).max(-1) for x in (a, b)]
    for distance in near:
        np.fill_diagonal(distance, np.inf)
    radius = np.sort(np.maximum(*near), axis=1)[:, k - 1]
    counts = [(distance < radius[:, None]).sum(1) for distance in near]
    return digamma(k) + digamma(len(a)) - np.mean(digamma(counts[0] + 1) + digamma(counts[1] + 1))


def brute_ross(z, y, k):
    distance = np.abs(z[:, None] - z[None]).max(-1)
    np.fill_diagonal(distance, np.inf)
    within = np.where(y[:, None] == y[None], distance, np.inf)
    radius = np.sort(within, axis=1)[:, k - 1]
    count = (distance <= radius[:, None]).sum(1)
    return digamma(k) + digamma(len(z)) - digamma(np.bincount(y)[y]).mean() - digamma(count).mean()


@pytest.mark.parametrize("k", [1, 3, 7])
def test_formulas(pair, k):
    a, b = pair(60, 2, 0.5)
    y = np.arange(60) % 3
    assert ksg(a, b, k=k) == pytest.approx(brute_ksg(a, b, k))
    assert ross(a, y, k=k) == pytest.approx(brute_ross(a, y, k))


def test_one_column_a_side(pair):
    for nats in (0.0, 0.5, 2.0):
        found = [ksg(*pair(1000, 1, nats, seed=s)) for s in range(6)]
        assert abs(np.mean(found) - nats) < 0.06


def test_any_shape_but_few_columns(pair, mapped):
    (a, b), truth = mapped["swiss_roll"](1000, 0)
    assert ksg(a, b) == pytest.approx(truth, abs=0.12)
    assert ksg(*pair(1000, 16, 2.0)) < 0.7


def test_shuffled_rows_know_nothing(pair):
    a, b = pair(1000, 2, 1.0)
    order = np.random.default_rng(0).permutation(1000)
    y = np.repeat([0, 1, 2, 3], 250)
    assert abs(ksg(a, b[order])) < 0.1 and abs(ross(a, y)) < 0.06


def test_classes(pair):
    rng = np.random.default_rng(0)
    y = rng.choice(3, size=900, p=[0.6, 0.3, 0.1])
    share = np.bincount(y) / len(y)
    assert ross(rng.normal(size=(900, 2)) + 50 * y[:, None], y) == pytest.approx(-(share * np.log(share)).sum(), abs=0.01)
    xor = rng.normal(size=(900, 2))
    assert ross(xor, (xor[:, 0] * xor[:, 1] > 0).astype(int)) > 0.5


def test_small_classes_use_what_they_have():
    rng = np.random.default_rng(0)
    y = np.r_[np.zeros(50), np.ones(50), 2, 2, 3].astype(int)
    z = rng.normal(size=(103, 2))
    assert np.isfinite(ross(z, y))
    assert ross(z, y) == pytest.approx(ross(z[:-1], y[:-1]))  # a class of one is left out


def test_copies_inflate_neighbours(pair):
    a, b = pair(300, 1, 0.0)
    assert ksg(np.repeat(a, 4, axis=0), np.repeat(b, 4, axis=0)) > 1 > ksg(a, b) + 0.5


def test_many_rows_are_thinned_evenly(pair):
    a, b = pair(2 * MOST, 1, 0.5)
    some = np.linspace(0, 2 * MOST - 1, MOST).astype(int)
    assert ksg(a, b) == ksg(a[some], b[some])
    y = (a[:, 0] > 0).astype(int)
    assert ross(b, y) == ross(b[some], y[some])


@pytest.mark.parametrize(("n", "nats"), [(800, 0.0), (800, 1.0)])
def test_scatter_over_blocks_is_that_over_samples(pair, n, nats):
    values, errors = [], []
    for seed in range(40):
        a, b = pair(n, 1, nats, seed=seed)
        values.append(ksg(a, b))
        errors.append(scatter(lambda rows, a=a, b=b: ksg(a[rows], b[rows]), n, random_state=seed))
    assert np.mean(errors) == pytest.approx(np.std(values, ddof=1), rel=0.35)
    assert np.isnan(scatter(lambda rows: 0.0, 99))


def test_blocks_never_repeat_a_row():
    seen = []
    scatter(lambda rows: float(seen.append(rows) or 0), 1003, random_state=1)
    assert sorted(np.concatenate(seen).tolist()) == list(range(1003))


@pytest.mark.parametrize(("n", "d"), [(30, 50), (200, 5), (40, 1)])
def test_shrunk_covariance_is_that_of_ledoit_and_wolf(n, d):
    x = np.random.default_rng(0).normal(size=(n, d)) * np.arange(1, d + 1)
    assert np.allclose(shrunk_covariance(x), ledoit_wolf(x, assume_centered=True)[0])
    assert not shrunk_covariance(np.zeros((30, 3))).any()


def test_canonical_axes_come_from_the_other_half(pair):
    a, b = pair(400, 10, 1.0, axes=1)
    left, right, half = canonical_scores(a, b)
    assert left.shape == right.shape == (400, 3) and np.bincount(half).tolist() == [200, 200]
    for k in (0, 1):
        assert abs(np.corrcoef(left[half == k, 0], right[half == k, 0])[0, 1]) > 0.8
    changed = b.copy()
    changed[half == 1] = np.random.default_rng(5).normal(size=(200, 10))
    moved, _, _ = canonical_scores(a, changed)
    assert np.array_equal(moved[half == 1], left[half == 1]) and not np.allclose(moved[half == 0], left[half == 0])


def test_canonical_axes_of_noise_are_not_correlated(pair):
    a, b = pair(200, 40, 0.0)
    left, right, half = canonical_scores(a, b)
    assert max(abs(np.corrcoef(left[half == k, 0], right[half == k, 0])[0, 1]) for k in (0, 1)) < 0.3


def test_a_side_keeps_the_axes_that_the_other_lacks(pair):
    a, _ = pair(100, 5, 0.0)
    left, right, _ = canonical_scores(a, a[:, :1])
    assert left.shape == (100, 3) and right.shape == (100, 1)


def test_principal_axes(pair):
    z = pair(50, 8, 0.0)[0] * np.arange(1, 9)
    scores = principal_scores(z)
    assert scores.shape == (50, 4) and (np.diff(scores.var(axis=0)) < 0).all()
    wide = np.hstack([z, z @ np.random.default_rng(0).normal(size=(8, 80))])
    own = principal_scores(wide, n_axes=3)
    left, size, _ = np.linalg.svd(wide - wide.mean(0), full_matrices=False)
    assert np.allclose(np.abs(own), np.abs((left * size)[:, :3]))


def test_discriminant_axes_share_one_space_over_folds():
    rng = np.random.default_rng(0)
    y = np.arange(600) % 4
    z = rng.normal(size=(600, 20)) + 4 * rng.normal(size=(4, 20))[y] * (np.arange(20) < 5)
    folds = np.arange(600) // 4 % 5
    scores = discriminant_scores(z, y, folds=folds)
    assert scores.shape == (600, 3) and ross(scores, y) == pytest.approx(np.log(4), abs=0.02)
    by_fold = np.array([[scores[(folds == f) & (y == c)].mean(0) for c in range(4)] for f in range(5)])
    assert by_fold.std(axis=0).max() < 0.3 * by_fold.std(axis=1).min()


def test_a_label_does_not_place_its_own_row():
    rng = np.random.default_rng(0)
    y, folds, z = rng.permutation(np.arange(150) % 3), np.arange(150) % 5, rng.normal(size=(150, 100))
    assert abs(ross(discriminant_scores(z, y, folds=folds), y)) < 0.12
    wide = rng.normal(size=(150, 400))
    assert discriminant_scores(wide, y, folds=folds).shape == (150, 2)


def test_a_class_may_be_absent_from_the_other_folds():
    y = np.r_[np.zeros(40), np.ones(40), np.full(20, 2)].astype(int)
    folds = np.r_[np.arange(80) % 2, np.zeros(20)].astype(int)  # class 2 lies in fold 0 alone
    z = np.random.default_rng(0).normal(size=(100, 6)) + 3 * np.eye(3, 6)[y]
    assert np.isfinite(discriminant_scores(z, y, folds=folds)).all()


@pytest.mark.parametrize("k", [0, 30, 1.5])
def test_neighbours_that_are_refused(k):
    z = np.random.default_rng(0).normal(size=(30, 1))
    for call in (lambda: ksg(z, z, k=k), lambda: ross(z, np.arange(30) % 2, k=k)):
        with pytest.raises((ValueError, TypeError), match="k"):
            call()
