import re

import numpy as np
import pytest
import torch

from omicsbal.mi.neural import infonce, mine

BOTH = pytest.mark.parametrize("bound", [infonce, mine])


def gaussian(n, info, *, d=1, seed=0):
    """Two (n, d) Gaussians that share `info` nats, evenly over the axes."""
    rng = np.random.default_rng(seed)
    rho = np.sqrt(1 - np.exp(-2 * info / d))
    a = rng.normal(size=(n, d))
    return a, rho * a + np.sqrt(1 - rho**2) * rng.normal(size=(n, d))


@BOTH
def test_a_lower_bound_that_is_nearly_tight_where_it_is_easy(bound):
    a, b = gaussian(2000, 1.0)
    value, se = bound(a, b)
    assert 0.8 < value < 1.0 + 2 * se


@BOTH
@pytest.mark.parametrize("d", [1, 8])
def test_independent_rows_give_about_nothing(bound, d):
    a, b = gaussian(1000, 0.0, d=d)
    assert abs(bound(a, b)[0]) < 0.05


@BOTH
def test_pairing_is_what_counts(bound):
    a, b = gaussian(600, 1.5, d=2)
    assert bound(a, b)[0] > 0.8
    assert bound(a, np.random.default_rng(0).permutation(b))[0] < 0.1


@BOTH
def test_sees_dependence_that_no_correlation_shows(bound):
    rng = np.random.default_rng(0)
    a = rng.normal(size=(1500, 1))
    assert bound(a, np.abs(a) + 0.3 * rng.normal(size=a.shape))[0] > 0.4


@BOTH
def test_scale_and_origin_of_columns_do_not_matter(bound):
    a, b = gaussian(400, 1.0, d=2)
    assert bound(1e4 * a + 7, b / 1e4)[0] == pytest.approx(bound(a, b)[0], abs=0.05)


@BOTH
def test_same_seed_same_bits_and_nothing_global_is_touched(bound):
    a, b = gaussian(200, 1.0)
    before, legacy = torch.get_rng_state(), np.random.get_state()[1].copy()  # noqa: NPY002
    first = bound(a, b, max_steps=60)
    assert bound(a, b, max_steps=60) == first
    assert bound(a, b, max_steps=60, random_state=1) != first
    assert torch.equal(torch.get_rng_state(), before)
    assert np.array_equal(np.random.get_state()[1], legacy)  # noqa: NPY002


def test_infonce_never_exceeds_the_log_of_its_batch():
    a, b = gaussian(1000, 6.0)
    assert 1.5 < infonce(a, b, batch=8)[0] < np.log(8)


def test_mine_has_no_such_ceiling():
    a, b = gaussian(2000, 6.0)
    assert mine(a, b, batch=8)[0] > np.log(8) + 0.5


@BOTH
def test_se_follows_the_number_of_rows(bound):
    few, many = bound(*gaussian(300, 1.0))[1], bound(*gaussian(4800, 1.0))[1]
    assert 2 < few / many < 8  # 4 if it were the rows alone; the critics differ


@BOTH
def test_scored_rows_never_reach_the_critic(bound):
    """Copies of a pair among the scored rows cannot raise a bound whose critic never saw the pair: in-sample fits would."""
    a, b = gaussian(60, 0.0, d=20)
    assert bound(a, b)[0] < 0.3  # 20 axes, 30 rows: a critic scored on its own rows finds several nats


@BOTH
def test_constant_columns_are_harmless(bound):
    a, b = gaussian(200, 1.0)
    assert np.isfinite(bound(np.hstack([a, np.ones_like(a)]), b)).all()


@BOTH
@pytest.mark.parametrize(
    ("a", "b", "message"),
    [
        (np.zeros((19, 1)), np.zeros((19, 1)), "at least 20 rows"),
        (np.zeros((30, 0)), np.zeros((30, 1)), "(rows, columns)"),
        (np.zeros((30, 1)), np.zeros((31, 1)), "30 rows"),
        (np.full((30, 1), np.nan), np.zeros((30, 1)), "finite"),
    ],
)
def test_refuses_what_is_not_two_finite_paired_matrices(bound, a, b, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        bound(a, b)


@BOTH
def test_refuses_options_out_of_range(bound):
    a, b = gaussian(30, 0.0)
    with pytest.raises(ValueError, match="batch"):
        bound(a, b, batch=1)
    with pytest.raises(ValueError, match="max_steps"):
        bound(a, b, max_steps=0)


@BOTH
def test_a_vector_is_one_column(bound):
    a, b = gaussian(100, 1.0)
    assert bound(a[:, 0], b[:, 0], max_steps=20) == bound(a, b, max_steps=20)
