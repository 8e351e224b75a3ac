"""The oracle against densities written out by scipy, and against the labels it predicts."""

import inspect
from functools import partial

import numpy as np
import pytest
from scipy.special import expit, logit, logsumexp
from scipy.stats import multivariate_normal, nbinom, poisson

from omicsbal.datasets import simulate
from omicsbal.datasets._cells import draw_cells, measure
from omicsbal.datasets._emission import LINKS
from omicsbal.datasets._posterior import log_posterior, oracle, take
from omicsbal.datasets._settings import build_world, resolve
from omicsbal.datasets._streams import stream
from omicsbal.datasets._world import subsets
from omicsbal.datasets.simulate import draw_emissions

DEFAULTS = {name: p.default for name, p in inspect.signature(simulate).parameters.items()}
SMALL = {"rna": 30, "atac": 40, "protein": 8}


def parts_of(n, **options):
    """World, emissions, cells, values and evidence of a world with few features."""
    settings = resolve(DEFAULTS | options)
    world, streams = build_world(settings), partial(stream, 7)
    emissions = draw_emissions(settings, world)
    shape = {"n_donors": 6, "n_batches": 2, "depth_shared": settings.depth_shared, "n_factors": settings.factors}
    cells = draw_cells(world, streams, n, **shape)
    return world, emissions, cells, *measure(cells, emissions, streams)


def log_nb(values, mean, theta):
    """scipy's negative binomial by mean and dispersion."""
    return nbinom.logpmf(values, theta, theta / (theta + mean))


def by_hand(world, likes, subset):
    """Posterior of one cell from log-likelihoods by state, as in the docstring of `simulate`."""
    joint = np.zeros((len(world.prior), world.n_nuisance))
    for name in subset:
        joint = joint + logsumexp(likes[name], b=world.tables[name], axis=2)
    joint = np.log(world.prior) + logsumexp(joint, axis=1)
    return joint - logsumexp(joint)


def test_counts_against_scipy():
    world, emissions, cells, values, evidence = parts_of(12, preset="mixed", n_features=SMALL, batch_effect=0.3)
    for i in range(12):
        likes = {}
        for name in ("rna", "atac"):
            e, given = emissions[name], cells.given[name]
            mean = e.mean * e.batch[given.batch[i]] * given.size[i]
            log_pmf = log_nb(values[name][i], mean, e.theta) if name == "rna" else poisson.logpmf(values[name][i], mean)
            likes[name] = log_pmf.sum(axis=1)
        e, given = emissions["protein"], cells.given["protein"]
        scale, x = e.batch[given.batch[i]] * given.size[i], values["protein"][i]
        off, on = log_nb(x, e.background * scale, e.theta[0]), log_nb(x, (e.background + e.foreground) * scale, e.theta[1])
        likes["protein"] = np.log((1 - e.on) * np.exp(off) + e.on * np.exp(on)).sum(axis=1)
        for subset in subsets(world.tables):
            found = log_posterior(world, {m: take(part, np.arange(12) == i) for m, part in evidence.items()}, subset)[0]
            np.testing.assert_allclose(found, by_hand(world, likes, subset), atol=1e-8)


def test_shared_factors_against_the_full_covariance():
    sizes = {"rna": 9, "meth": 10, "mirna": 7}
    world, emissions, cells, values, evidence = parts_of(6, preset="small", n_features=sizes, factors=2, batch_effect=0.2)
    back = {"identity": np.asarray, "logistic": logit, "exp": np.log}
    for subset in subsets(world.tables)[1:]:
        found = log_posterior(world, evidence, subset)
        loadings = np.concatenate([emissions[m].loadings for m in subset], axis=1)
        density = multivariate_normal(cov=np.eye(loadings.shape[1]) + loadings.T @ loadings)
        shape = [world.tables[m].shape[2] for m in subset]
        for i in range(6):
            z = []
            for m in subset:
                e = emissions[m]
                shift = e.batch[cells.given[m].batch[i]]
                z.append((back[e.link](values[m][i]) - e.offset) / e.scale - shift)
            joint = np.zeros_like(world.prior)
            for flat, of_class in enumerate(world.joint(subset)):
                states = np.unravel_index(flat, shape)
                mean = np.concatenate([emissions[m].mean[s] for m, s in zip(subset, states, strict=True)])
                joint += of_class * np.exp(density.logpdf(np.concatenate(z) - mean))
            np.testing.assert_allclose(np.exp(found[i]), joint / joint.sum(), atol=1e-8)


def test_markers_hold_all_the_evidence():
    for preset, options in [("mixed", {}), ("small", {"factors": 0}), ("small", {})]:
        _, emissions, cells, values, evidence = parts_of(5, preset=preset, **options)
        for m, e in emissions.items():
            lean = e.only_markers()
            part = lean.evidence(values[m] if len(lean.markers) == len(e.markers) else values[m][:, e.markers], cells.given[m])
            centred = part.loglik - part.loglik[:, :1]
            np.testing.assert_allclose(centred, evidence[m].loglik - evidence[m].loglik[:, :1], atol=1e-8)


@pytest.mark.parametrize("preset", ["mixed", "dominant", "small"])
def test_oracle_is_calibrated(preset):
    sizes = SMALL if preset != "small" else {"rna": 40, "meth": 40, "mirna": 20}
    n = 20_000
    world, _, cells, _, evidence = parts_of(n, preset=preset, n_features=sizes, strength=0.8)
    for subset in subsets(world.tables)[1:]:
        probability = np.exp(log_posterior(world, evidence, subset))
        np.testing.assert_allclose(probability.sum(axis=1), 1, atol=1e-9)
        confidence, right = probability.max(axis=1), probability.argmax(axis=1) == cells.label
        order = np.argsort(confidence)
        bins = np.array_split(order, 10)
        gaps = np.array([(confidence[rows] - right[rows]).mean() for rows in bins])
        noise = np.array([(confidence[rows] * (1 - confidence[rows])).mean() / len(rows) for rows in bins])
        assert np.abs(gaps).mean() < 0.015, subset  # expected calibration error; chance alone gives about .008
        assert (gaps**2 / noise).sum() < 33, subset  # chi-square with 10 degrees of freedom: p = 3e-4
        # Mean probability of each class is its share.
        np.testing.assert_allclose(probability.mean(axis=0), world.prior, atol=0.01)


def test_absent_modalities_are_left_out():
    world, _, _, _, evidence = parts_of(40, preset="small", n_features={"rna": 20, "meth": 20, "mirna": 20})
    rng = np.random.default_rng(0)
    present = {m: rng.random(40) < 0.5 for m in world.tables}
    found = oracle(world, evidence, present, ("rna", "mirna"))
    lone = log_posterior(world, evidence, ("mirna",))
    rows = ~present["rna"] & present["mirna"]
    assert rows.any()
    np.testing.assert_allclose(found[rows], lone[rows])
    neither = ~present["rna"] & ~present["mirna"]
    assert neither.any()
    np.testing.assert_allclose(found[neither], np.broadcast_to(np.log(world.prior), found[neither].shape))


def test_extreme_strength_stays_finite():
    for preset in ("mixed", "small"):
        mdata = simulate(preset=preset, n_obs=50, strength=10.0, error=0.0, depth=50.0, n_truth=100)
        for key in mdata.obsm:
            if key.startswith("oracle_"):
                assert np.isfinite(mdata.obsm[key].to_numpy()).all()
        assert np.isfinite(mdata.uns["truth"]["subsets"]["information_nats"]).all()


def test_links_invert():
    z = np.linspace(-4, 4, 9)
    for there, back in LINKS.values():
        np.testing.assert_allclose(back(there(z)), z, atol=1e-12)
    assert LINKS["logistic"][0] is expit
