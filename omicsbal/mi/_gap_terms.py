"""The two terms of the gate's gap: what teacher and student share beyond the label, and what the student adds to the teacher."""

from dataclasses import dataclass

import numpy as np
from scipy.special import log_softmax, ndtri
from scipy.stats import rankdata

from omicsbal.mi._design import Design
from omicsbal.mi._rows import codes
from omicsbal.mi.axes import principal_scores
from omicsbal.mi.chance import largest_dimension, null_moments
from omicsbal.mi.gaussian import copula_normalise, from_bases, orthonormal, partial_mi
from omicsbal.mi.probe import cross_fit, mix

LEARNERS = ("logistic", "small_kernel")


@dataclass(frozen=True)
class Terms:
    """Estimates in nats; what each row adds to the gap (n,); the variance that is left where there is nothing to find."""

    within: float
    extra: float
    shared: float
    relevant: float
    rows: np.ndarray
    null: float
    notes: tuple[str, ...] = ()


def class_terms(t: np.ndarray, s: np.ndarray, y: np.ndarray, plan: Design, told: np.ndarray, random_state: int) -> Terms:
    """The terms for classes; rare ones are merged for classifiers only."""
    label = codes("y", y, rows=len(t))
    known = np.hstack([told, np.eye(int(label.max()) + 1)[label]])
    spent = int(np.linalg.matrix_rank(known)) - 1
    left = []
    notes: list[str] = []
    for name, x in (("teacher", t), ("student", s)):
        residual = unexplained(x, known)
        for k in range(int(label.max()) + 1):
            rank = rankdata(residual[label == k], axis=0)
            residual[label == k] = ndtri(rank / (len(rank) + 1))
        most = largest_dimension(len(t), spent=spent)
        if x.shape[1] > most:
            notes.append(f"{name}: what the label leaves was reduced to the {most} components that {len(t)} rows allow.")
            residual = principal_scores(residual, n_axes=most)
        left.append(unexplained(residual, known))
    within, rows, null = dependence(left[0], left[1], spent)
    of_t, of_s, of_both = (cross_fit(x, plan, LEARNERS, random_state) for x in (t, s, np.hstack([t, s])))
    alone, other = mix(of_t, plan)[0], mix(of_s, plan)[0]
    product = alone + other - np.log(plan.counts / len(t))  # what T and S say together if they share nothing but the label
    both = mix(of_both | {"teacher": alone, "product": log_softmax(product, axis=1)}, plan)[0]
    more = plan.gain(both) - plan.gain(alone)
    extra = max(float(more.mean()), 0.0)
    relevant = float(np.clip(plan.gain(other).mean(), 0.0, plan.entropy))
    return Terms(within, extra, relevant + within - extra, relevant, rows - more, null, tuple(notes))


def number_terms(t: np.ndarray, s: np.ndarray, y: np.ndarray, plan: Design, told: np.ndarray) -> Terms:
    """The terms for a continuous target."""
    within = partial_mi(t, s, np.hstack([y[:, None], told[:, 1:]]))[0]
    extra = partial_mi(s, y, np.hstack([t, told[:, 1:]]))[0]
    a, b, c = (unexplained(copula_normalise(x), told) for x in (t, s, y))
    shared, rows, null = dependence(a, b, told.shape[1] - 1)
    relevant, less, own = dependence(b, c, told.shape[1] - 1)
    return Terms(within, extra, shared, relevant, rows - less, null + own)


def unexplained(x: np.ndarray, known: np.ndarray) -> np.ndarray:
    """Columns less their regression on `known` (n, k), 0 where that leaves rounding."""
    axes, size, _ = np.linalg.svd(known, full_matrices=False)
    basis = axes[:, size > 1e-9 * size[0]]
    left = x - basis @ (basis.T @ x)
    rounding = np.maximum(1e-6 * x.std(axis=0), 1e-12 * np.abs(x).max(axis=0))
    return np.where(left.std(axis=0) > rounding, left, 0.0)


def dependence(a: np.ndarray, b: np.ndarray, spent: int) -> tuple[float, np.ndarray, float]:
    """Gaussian information of residuals in nats, what each row (n,) adds to it, and its variance where there is none.

    A row adds its term of the first-order expansion in the covariances: over canonical pairs (u, v) with correlation r,
    ``(u^2 + v^2)/2 - (u^2 - 2 r u v + v^2) / (2 (1 - r^2))``. Its variance holds without Gaussian tails. It is shrunk by the
    share of the squared correlations that is not chance.
    """
    a, b = orthonormal(a), orthonormal(b)
    dims = (a.shape[1], b.shape[1])
    if not min(dims):
        return 0.0, np.zeros(len(a)), 0.0
    value = from_bases(a, b, spent=spent)[0]
    left, r, right = np.linalg.svd(a.T @ b, full_matrices=False)
    u, v, r = np.sqrt(len(a)) * a @ left, np.sqrt(len(a)) * b @ right.T, np.minimum(r, 1 - 1e-6)
    rows = ((u**2 + v**2) - (u**2 - 2 * r * u * v + v**2) / (1 - r**2)).sum(axis=1) / 2
    freedom, squared = len(a) - 1 - spent, (r**2).sum()
    real = min(dims) - (min(dims) - squared) * freedom / (freedom - max(dims))
    return value, rows * np.sqrt(max(real, 0.0) / max(squared, 1e-300)), null_moments(freedom, dims)[1] ** 2
