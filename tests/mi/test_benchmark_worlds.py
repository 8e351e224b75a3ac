"""Worlds of benchmarks/mutual_information.py hold what they say: checked against densities and simple cases."""

import importlib.util
import sys
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

FOLDER = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture(scope="module")
def made():
    """The module, loaded from its file: benchmarks/ is no package."""
    if not FOLDER.exists():
        pytest.skip("no benchmarks/ beside the tests")
    spec = importlib.util.spec_from_file_location("mutual_information_worlds", FOLDER / "mutual_information_worlds.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    yield spec.loader.exec_module(module) or module
    del sys.modules[spec.name]


def rows(world, n=4000, seed=0):
    return world.draw(n, np.random.default_rng(seed))


@pytest.mark.parametrize(("d", "sparse"), [(1, False), (4, False), (4, True), (16, True)])
def test_gaussians_hold_what_their_covariance_says(made, d, sparse):
    a, b, y = rows(made.gaussian(d, 0.7, sparse=sparse), 20_000)
    joint = np.cov(np.hstack([a, b]), rowvar=False)
    own, other, both = (np.linalg.slogdet(np.atleast_2d(s))[1] for s in (joint[:d, :d], joint[d:, d:], joint))
    assert (own + other - both) / 2 == pytest.approx(0.7, abs=0.02)
    assert y is None


def test_student_has_its_excess_by_monte_carlo(made):
    dof, d, rho, rng = 4.0, 2, 0.5, np.random.default_rng(0)
    shape = np.block([[np.eye(d), rho * np.eye(d)], [rho * np.eye(d), np.eye(d)]])
    both, side = stats.multivariate_t(shape=shape, df=dof), stats.multivariate_t(shape=np.eye(d), df=dof)
    x = both.rvs(60_000, random_state=rng)
    found = (both.logpdf(x) - side.logpdf(x[:, :d]) - side.logpdf(x[:, d:])).mean()
    assert found == pytest.approx(-d / 2 * np.log(1 - rho**2) + made.student_excess(dof, d, d), abs=0.02)


@pytest.mark.parametrize("noise", [0.1, 0.75])
def test_additive_noise_by_entropy_of_the_sum(made, noise):
    world = made.additive(noise)
    _, b, _ = rows(world, 200_000)
    density, edges = np.histogram(b, bins=200, density=True)
    width = edges[1] - edges[0]
    entropy = -sum(p * np.log(p) * width for p in density if p)
    assert entropy - np.log(2 * noise) == pytest.approx(world.truth, abs=0.02)


def test_maps_lose_nothing(made):
    x = np.random.default_rng(0).normal(size=(500, 3))
    turned = made.turned(x, 0, 1)
    np.testing.assert_allclose(made.turned(turned, 0, 1, speed=-1.0), x)  # |x| stays, so the way back is known
    roll = made.rolled(x[:, :1]) * 21
    back = stats.norm.ppf((np.hypot(*roll.T) / (1.5 * np.pi) - 1) / 2)
    np.testing.assert_allclose(back, x[:, 0], atol=1e-6)


def test_clusters_without_separation_are_gaussian(made):
    assert made.clusters(16, 0.0, 0.5, 0).truth == pytest.approx(0.5, abs=0.02)


def test_clusters_far_apart_share_the_types_that_both_sides_tell_apart(made):
    p = made.shares(8)
    merged = np.append(p[:6], p[6] + p[7])
    assert made.clusters(16, 30.0, 0.0, 0).truth == pytest.approx(-float(merged @ np.log(merged)), abs=0.02)


def test_clusters_add_what_is_shared_within_a_type(made):
    apart, more = made.clusters(16, 30.0, 0.0, 0).truth, made.clusters(16, 30.0, 0.4, 0).truth
    assert more - apart == pytest.approx(0.4, abs=0.02)


@pytest.mark.parametrize(("shape", "classes"), [("linear", 5), ("multi-modal", 4), ("xor", 2)])
def test_labelled_worlds_have_their_share_of_the_entropy(made, shape, classes):
    p = made.shares(classes)
    world = made.labelled(shape, classes, 0.5, 0)
    assert world.truth == pytest.approx(-0.5 * float(p @ np.log(p)), abs=5e-3)
    z, b, y = rows(world)
    assert z.shape == (4000, made.WIDE) and b is None
    np.testing.assert_allclose(np.bincount(y) / 4000, p, atol=0.03)


def test_one_signal_axis_by_quadrature(made):
    """Two classes at a known distance: I = H(Y) - E h(posterior), integrated on a grid."""
    world = made.labelled("linear", 2, 0.4, 1)
    z, _, y = rows(world, 40_000)
    gap = np.linalg.norm(z[y == 1].mean(0) - z[y == 0].mean(0))
    p, x = made.shares(2), np.linspace(-12, 12, 20_001)
    likelihood = p[:, None] * stats.norm.pdf(x, loc=[[-gap / 2], [gap / 2]])
    total = likelihood.sum(0)
    left = -np.sum(likelihood * np.log(np.maximum(likelihood / total, 1e-300))) * (x[1] - x[0])
    assert -float(p @ np.log(p)) - left == pytest.approx(world.truth, abs=0.02)


def test_buried_signal_is_small_but_there(made):
    plain, buried = made.labelled("linear", 5, 0.5, 0), made.labelled("linear", 5, 0.5, 0, buried=True)
    assert plain.truth == buried.truth
    assert np.linalg.eigvalsh(np.cov(rows(buried)[0], rowvar=False))[-6:].min() > 10  # six noise axes of variance 16


def test_without_a_share_the_label_is_shuffled(made):
    world = made.labelled("linear", 5, 0.0, 0)
    assert (world.part, world.truth) == ("N", 0.0)
    z, _, y = rows(world)
    assert max(np.abs(z[y == k].mean(0)).max() for k in range(5)) < 0.25


def test_a_draw_is_its_seed(made):
    world = made.gaussian(4, 1.0, sparse=True)
    assert np.array_equal(rows(world)[0], rows(world)[0]) and not np.array_equal(rows(world)[0], rows(world, seed=1)[0])
