"""Exact log p(y | x_S) for any subset S of the modalities, and for cells that lack some of them."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray
from scipy.special import logsumexp

from omicsbal.datasets._emission import Evidence
from omicsbal.datasets._world import World

Array = NDArray[np.float64]
MOST_ENTRIES = 500_000  # of rows times state tuples at once, a few tens of MB
TINY = 1e-300  # floor under a probability before its logarithm


def log_posterior(world: World, evidence: Mapping[str, Evidence], subset: tuple[str, ...]) -> Array:
    """log p(y | x_S), (n, n_classes) in nats: log of pi(y) * mean over the nuisance of p(x_S | y, nuisance), normalised."""
    n = len(next(iter(evidence.values())).loglik)
    log_like = np.zeros((n, len(world.prior), world.n_nuisance))
    if any(evidence[name].projection is not None for name in subset):
        n_tuples = int(np.prod([world.tables[name].shape[2] for name in subset]))
        step = max(1, MOST_ENTRIES // n_tuples)
        for start in range(0, n, step):
            rows = slice(start, start + step)
            log_like[rows] = _coupled(world, {name: take(evidence[name], rows) for name in subset}, subset)
    else:
        for name in subset:
            log_like += _mix(evidence[name].loglik, world.tables[name])
    log_joint = np.log(world.prior) + logsumexp(log_like, axis=2)
    return log_joint - logsumexp(log_joint, axis=1, keepdims=True)


def _mix(loglik: Array, table: Array) -> Array:
    """log sum_s p(s | y, a) p(x | s), (n, n_classes, n_nuisance), up to a constant per row."""
    like = np.exp(loglik - loglik.max(axis=1, keepdims=True))
    return np.log(np.maximum(np.tensordot(like, table, axes=(1, 2)), TINY))


def _coupled(world: World, evidence: Mapping[str, Evidence], subset: tuple[str, ...]) -> Array:
    """The same where blocks share Gaussian factors h: sum over tuples of states, h integrated out in closed form.

    With b = sum_m W_m r_m (residuals r_m depend on the states) and G = sum_m W_m W_m', the integral over h ~ N(0, I) is
    exp(b' (I + G)^-1 b / 2) times a constant.
    """
    parts = [evidence[name] for name in subset]
    n = len(parts[0].loglik)
    rank = max(0 if part.gram is None else len(part.gram) for part in parts)
    table, loglik = np.ones((len(world.prior), world.n_nuisance, 1)), np.zeros((n, 1))
    push, precision = np.zeros((n, 1, rank)), np.eye(rank)
    for name, part in zip(subset, parts, strict=True):
        table = (table[..., :, None] * world.tables[name][..., None, :]).reshape(*table.shape[:2], -1)
        loglik = (loglik[:, :, None] + part.loglik[:, None, :]).reshape(n, -1)
        own = np.zeros((*part.loglik.shape, rank)) if part.projection is None else part.projection
        push = (push[:, :, None, :] + own[:, None, :, :]).reshape(n, -1, rank)
        precision = precision if part.gram is None else precision + part.gram
    loglik = loglik + 0.5 * np.einsum("nti,ij,ntj->nt", push, np.linalg.inv(precision), push, optimize=True)
    return _mix(loglik, table)


def oracle(
    world: World, evidence: Mapping[str, Evidence], present: Mapping[str, NDArray[np.bool_]], subset: tuple[str, ...]
) -> Array:
    """`log_posterior` where a cell that lacks a modality is judged by the rest of the subset, by the prior if nothing is left."""
    held = np.stack([present[name] for name in subset], axis=1)
    patterns, which = np.unique(held, axis=0, return_inverse=True)
    out = np.empty((len(held), len(world.prior)))
    for code, pattern in enumerate(patterns):
        rows = which.ravel() == code
        left = tuple(name for name, here in zip(subset, pattern, strict=True) if here)
        out[rows] = log_posterior(world, {name: take(evidence[name], rows) for name in subset}, left)
    return out


def take(part: Evidence, rows: NDArray[np.bool_] | slice) -> Evidence:
    """Evidence of some rows."""
    return Evidence(part.loglik[rows], None if part.projection is None else part.projection[rows], part.gram)
