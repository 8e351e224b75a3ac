import math

import numpy as np
import pytest

from omicsbal.graph.affinity import affinity, distances, local_scale


def test_three_points_by_hand():
    # points 0, 1, 3 on a line, K = 1: nearest distances 1, 1, 2
    # sigma_01 = (1 + 1 + 1) / 3 = 1      rho / sigma = 1      W = exp(-1 / (2 * 0.25)) = exp(-2)
    # sigma_02 = (1 + 2 + 3) / 3 = 2      rho / sigma = 3 / 2  W = exp(-9/4 / 0.5)      = exp(-4.5)
    # sigma_12 = (1 + 2 + 2) / 3 = 5 / 3  rho / sigma = 6 / 5  W = exp(-36/25 / 0.5)    = exp(-2.88)
    expected = [[1, math.exp(-2), math.exp(-4.5)], [math.exp(-2), 1, math.exp(-2.88)], [math.exp(-4.5), math.exp(-2.88), 1]]
    np.testing.assert_allclose(affinity(np.array([[0.0], [1.0], [3.0]]), neighbours=1), expected, rtol=1e-12)
    # K = 5, of which there are two others: mean distances 2, 1.5, 2.5; sigma_01 = 4.5 / 3; W = exp(-2 * (2 / 3) ** 2)
    assert affinity(np.array([[0.0], [1.0], [3.0]]), neighbours=5)[0, 1] == pytest.approx(math.exp(-8 / 9))


def test_mu_is_the_width():
    x = np.array([[0.0], [1.0], [3.0]])
    np.testing.assert_allclose(affinity(x, neighbours=1, mu=1.0) ** 4, affinity(x, neighbours=1, mu=0.5))


def test_symmetric_bounded_and_without_units(blobs):
    x = blobs(40)[0]["a"]
    w = affinity(x)
    assert np.array_equal(w, w.T) and (w >= 0).all() and (w <= 1).all() and (np.diag(w) == 1).all()
    np.testing.assert_allclose(affinity(1000 * x), w, rtol=1e-6)


def test_permuting_rows_permutes_it(blobs):
    x, order = blobs(40)[0]["a"], np.random.default_rng(1).permutation(40)
    np.testing.assert_allclose(affinity(x[order]), affinity(x)[np.ix_(order, order)], rtol=1e-9)


def test_closer_pairs_of_a_row_with_equal_scales_are_more_alike():
    x = np.arange(12.0)[:, None] % 6 + 100 * (np.arange(12) >= 6)[:, None]
    w = affinity(x, neighbours=2)
    assert w[2, 3] > w[2, 4] > w[2, 5] > w[2, 8]


@pytest.mark.parametrize("n", [1, 2, 3])
def test_copies_and_few_rows_are_no_trouble(n):
    assert np.array_equal(affinity(np.ones((n, 4))), np.ones((n, n)))
    assert np.array_equal(local_scale(distances(np.ones((n, 4)))), np.zeros(n))


@pytest.mark.parametrize("x", [np.array([[0.0], [np.nan]]), np.array([[0.0], [np.inf]]), np.zeros(3)])
def test_what_is_no_finite_table_is_refused(x):
    with pytest.raises(ValueError, match="finite table"):
        affinity(x)


@pytest.mark.parametrize("options", [{"mu": 0}, {"neighbours": 0}])
def test_numbers_out_of_range_are_refused(options):
    with pytest.raises(ValueError, match=next(iter(options))):
        affinity(np.zeros((3, 1)), **options)
