"""How a modality's hidden state becomes measured features, and how likely a measurement is under each state.

Features are independent given the state, the cell's size factor and its batch (dense blocks: and given the shared factors), so a
log-likelihood is a sum over features; only *marker* features depend on the state.
"""

from dataclasses import dataclass, replace
from typing import Protocol, Self

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, gammaln, logit

Array = NDArray[np.float64]
IntArray = NDArray[np.intp]
Rng = np.random.Generator


@dataclass(frozen=True)
class Condition:
    """What is known of cells besides their states: batch (n,), size factor (n,) with mean 1, shared factors (n, r)."""

    batch: IntArray
    size: Array
    factors: Array


@dataclass(frozen=True)
class Evidence:
    """What a measurement says: log-likelihood by state (n, S), up to a constant.

    Dense blocks with shared factors add the loadings' projection of the residual (n, S, r) and their Gram matrix (r, r).
    """

    loglik: Array
    projection: Array | None = None
    gram: Array | None = None


class Emission(Protocol):
    """One modality's measurement model; `markers` (J,) says which features depend on the state."""

    @property
    def markers(self) -> NDArray[np.bool_]:
        """Features that depend on the state."""

    def draw(self, rng: Rng, state: IntArray, given: Condition) -> Array:
        """Measure cells: (n, J)."""

    def evidence(self, values: Array, given: Condition) -> Evidence:
        """Weigh measured values (n, J) under every state."""

    def only_markers(self) -> Self:
        """The same model for marker features alone, which hold all the evidence."""


@dataclass(frozen=True)
class Counts:
    """Negative binomial counts (Poisson where `theta` is infinite): mean = size * mean[state] * batch factor."""

    markers: NDArray[np.bool_]
    mean: Array  # (S, J), counts
    batch: Array  # (n_batches, J), factor
    theta: float  # variance = mu + mu ** 2 / theta

    def draw(self, rng: Rng, state: IntArray, given: Condition) -> Array:
        """Gamma-Poisson sampling."""
        mean = self.mean[state] * self.batch[given.batch] * given.size[:, None]
        if np.isfinite(self.theta):
            mean = rng.gamma(self.theta, mean / self.theta)
        return rng.poisson(mean).astype(float)

    def evidence(self, values: Array, given: Condition) -> Evidence:
        """Sum over markers; terms without the state are left out."""
        lean = self.only_markers()
        values = values[:, self.markers]
        scale = lean.batch[given.batch] * given.size[:, None]
        return Evidence(np.stack([lean._loglik(values, mean * scale) for mean in lean.mean], axis=1))

    def _loglik(self, values: Array, mean: Array) -> Array:
        """Log-likelihood (n,) of one state up to a constant."""
        if np.isfinite(self.theta):
            return (values * np.log(mean) - (values + self.theta) * np.log(mean + self.theta)).sum(axis=1)
        return (values * np.log(mean) - mean).sum(axis=1)

    def only_markers(self) -> Self:
        """Drop every other feature."""
        keep = self.markers
        return replace(self, markers=keep[keep], mean=self.mean[:, keep], batch=self.batch[:, keep])


@dataclass(frozen=True)
class Antibodies:
    """Surface protein counts: background, or with probability on[state] background plus foreground (both negative binomial)."""

    markers: NDArray[np.bool_]
    background: Array  # (J,), counts
    foreground: Array  # (J,), counts on top
    on: Array  # (S, J), probability
    batch: Array  # (n_batches, J), factor
    theta: tuple[float, float] = (10.0, 5.0)  # background, foreground

    def draw(self, rng: Rng, state: IntArray, given: Condition) -> Array:
        """Toss background or foreground, then Gamma-Poisson sampling."""
        is_on = rng.random((len(state), len(self.markers))) < self.on[state]
        scale = self.batch[given.batch] * given.size[:, None]
        mean = (self.background + is_on * self.foreground) * scale
        theta = np.where(is_on, self.theta[1], self.theta[0])
        return rng.poisson(rng.gamma(theta, mean / theta)).astype(float)

    def evidence(self, values: Array, given: Condition) -> Evidence:
        """Log of the two-part mixture, summed over markers."""
        lean = self.only_markers()
        values = values[:, self.markers]
        scale = lean.batch[given.batch] * given.size[:, None]
        off = _log_nb(values, lean.background * scale, self.theta[0])
        on = _log_nb(values, (lean.background + lean.foreground) * scale, self.theta[1])
        return Evidence(np.stack([np.logaddexp(np.log1p(-p) + off, np.log(p) + on).sum(axis=1) for p in lean.on], axis=1))

    def only_markers(self) -> Self:
        """Drop every other feature."""
        keep = self.markers
        small = {name: getattr(self, name)[..., keep] for name in ("background", "foreground", "on", "batch")}
        return replace(self, markers=keep[keep], **small)


def _log_nb(values: Array, mean: Array, theta: float) -> Array:
    """Negative binomial log-probability up to a term in the values alone."""
    ways = gammaln(values + theta) - gammaln(theta)
    return ways + theta * np.log(theta / (mean + theta)) + values * np.log(mean / (mean + theta))


@dataclass(frozen=True)
class Dense:
    """A bulk block: link(scale * z + offset), z = mean[state] + factors @ loadings + batch shift + standard normal noise."""

    markers: NDArray[np.bool_]
    mean: Array  # (S, J), noise sds
    loadings: Array  # (r, J)
    batch: Array  # (n_batches, J), shift in noise sds
    offset: Array  # (J,)
    scale: float
    link: str  # a key of LINKS

    def draw(self, rng: Rng, state: IntArray, given: Condition) -> Array:
        """Gaussian sampling, then the link."""
        z = self.mean[state] + given.factors @ self.loadings + self.batch[given.batch]
        z += rng.standard_normal(z.shape)
        return LINKS[self.link][0](self.offset + self.scale * z)

    def evidence(self, values: Array, given: Condition) -> Evidence:
        """Squared residuals; with shared factors also what the residuals say about them (all features do)."""
        residual = (LINKS[self.link][1](values) - self.offset) / self.scale - self.batch[given.batch]
        cross = residual @ self.mean.T - 0.5 * (self.mean**2).sum(axis=1)
        if not len(self.loadings):
            return Evidence(cross)
        projection = (residual @ self.loadings.T)[:, None, :] - self.mean @ self.loadings.T
        return Evidence(cross, projection, self.loadings @ self.loadings.T)

    def only_markers(self) -> Self:
        """All features stay where shared factors tie them to the markers."""
        if len(self.loadings):
            return self
        keep = self.markers
        small = {name: getattr(self, name)[..., keep] for name in ("mean", "loadings", "batch", "offset")}
        return replace(self, markers=keep[keep], **small)


# Values a float64 logistic or logarithm can come back from.
LINKS = {"identity": (np.asarray, np.asarray), "logistic": (expit, logit), "exp": (np.exp, np.log)}
