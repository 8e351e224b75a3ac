"""Pairs of representations whose mutual information is known."""

from typing import TYPE_CHECKING

import numpy as np
import pytest
from scipy.special import digamma, gammaln, logsumexp
from scipy.stats import norm

if TYPE_CHECKING:
    from collections.abc import Callable

Pair = tuple[np.ndarray, np.ndarray]


def gaussians(n: int, d: int, nats: float, *, axes: int | None = None, seed: int = 0) -> Pair:
    """Two sides of d rotated Gaussian columns with `nats` of information, spread over some or all axes."""
    rng, axes = np.random.default_rng(seed), d if axes is None else min(axes, d)
    rho = np.sqrt(1 - np.exp(-2 * nats / axes))
    a, b = rng.normal(size=(2, n, d))
    b[:, :axes] = rho * a[:, :axes] + np.sqrt(1 - rho**2) * b[:, :axes]
    turns = [np.linalg.qr(rng.normal(size=(d, d)))[0] for _ in range(2)]
    return a @ turns[0], b @ turns[1]


@pytest.fixture
def pair() -> "Callable[..., Pair]":
    """Maker of Gaussian pairs: ``pair(500, 16, 1.0, axes=2, seed=3)``."""
    return gaussians


def half_cube(n: int, seed: int) -> tuple[Pair, float]:
    a, b = gaussians(n, 3, 1.0, seed=seed)
    return (np.sign(a) * np.abs(a) ** 1.5, np.sign(b) * np.abs(b) ** 1.5), 1.0


def students(n: int, seed: int) -> tuple[Pair, float]:
    """Two columns a side, two degrees of freedom, through asinh; the information of a multivariate t is known."""

    def entropy(d: int, f: int = 2) -> float:  # less that of the scale matrix
        constant = gammaln((f + d) / 2) - gammaln(f / 2) - d / 2 * np.log(f * np.pi)
        return float((f + d) / 2 * (digamma((f + d) / 2) - digamma(f / 2)) - constant)

    a, b = gaussians(n, 2, 0.5, seed=seed)
    shared = np.sqrt(2 / np.random.default_rng(seed + 1000).chisquare(2, size=(n, 1)))
    return (np.arcsinh(a * shared), np.arcsinh(b * shared)), 0.5 + 2 * entropy(2) - entropy(4)


def uniform_noise(n: int, seed: int, width: float = 0.75) -> tuple[Pair, float]:
    """A uniform column plus uniform noise: h(B) less h(noise), h(B) by quadrature of a trapezium."""
    rng = np.random.default_rng(seed)
    a = rng.uniform(size=n)
    at = np.linspace(-width, 1 + width, 100_001)
    density = (np.clip(at + width, 0, 1) - np.clip(at - width, 0, 1)) / (2 * width)
    entropy = np.trapezoid(-density * np.log(np.maximum(density, 1e-300)), at)
    return (a[:, None], (a + rng.uniform(-width, width, n))[:, None]), float(entropy - np.log(2 * width))


def swiss_roll(n: int, seed: int) -> tuple[Pair, float]:
    a, b = gaussians(n, 1, 1.0, seed=seed)
    turn = 1.5 * np.pi * (1 + 2 * norm.cdf(a[:, 0]))
    return (np.c_[turn * np.cos(turn), turn * np.sin(turn)] / 21, b), 1.0


def spiral(n: int, seed: int, speed: float = 0.5) -> tuple[Pair, float]:
    """Each side turned by an angle that grows with its length: one to one, and no trend is left."""

    def wound(x: np.ndarray) -> np.ndarray:
        angle = speed * (x**2).sum(axis=1)
        c, s = np.cos(angle), np.sin(angle)
        return np.c_[c * x[:, 0] - s * x[:, 1], s * x[:, 0] + c * x[:, 1]]

    a, b = gaussians(n, 2, 1.0, seed=seed)
    return (wound(a), wound(b)), 1.0


def normal(n: int, seed: int) -> tuple[Pair, float]:
    return gaussians(n, 1, 1.0, seed=seed), 1.0


MAPS = {f.__name__: f for f in (normal, half_cube, students, uniform_noise, swiss_roll, spiral)}


@pytest.fixture
def mapped() -> "dict[str, Callable[[int, int], tuple[Pair, float]]]":
    """Six worlds of known information by name, each (n, seed) to a pair and its nats."""
    return MAPS


class Clusters:
    """Eight classes of uneven size in d columns a side, and three factors that the sides share within classes."""

    def __init__(self, seed: int, *, d: int = 16, rho: float = 0.6, classes: int = 8) -> None:
        rng = np.random.default_rng(seed)
        self.rho, self.d, self.share = rho, d, rng.dirichlet(np.full(classes, 2.0))
        self.means = [np.zeros((classes, d)) for _ in range(2)]
        for mean in self.means:
            mean[:, :4] = 2.5 * rng.normal(size=(classes, 4)) * rng.uniform(0.3, 1)
        self.turns = [np.linalg.qr(rng.normal(size=(d, d)))[0] for _ in range(2)]

    def _flat(self, n: int, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        rng = np.random.default_rng(seed)
        y = rng.choice(len(self.share), size=n, p=self.share)
        a, b = rng.normal(size=(2, n, self.d))
        b[:, 2:5] = self.rho * a[:, 2:5] + np.sqrt(1 - self.rho**2) * b[:, 2:5]
        return a + self.means[0][y], b + self.means[1][y], y

    def draw(self, n: int, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        a, b, y = self._flat(n, seed)
        return a @ self.turns[0], b @ self.turns[1], y

    def truth(self, n: int = 20_000) -> float:
        """Nats, by Monte Carlo over the exact densities."""
        a, b, _ = self._flat(n, seed=12345)
        off = [x[:, None, :] - mean for x, mean in zip((a, b), self.means, strict=True)]
        alone = [-0.5 * (o**2).sum(-1) for o in off]
        tied, free = off[1][..., 2:5] - self.rho * off[0][..., 2:5], np.delete(off[1], [2, 3, 4], axis=-1)
        given = -0.5 * ((free**2).sum(-1) + (tied**2).sum(-1) / (1 - self.rho**2)) - 1.5 * np.log(1 - self.rho**2)
        mixed = [logsumexp(x + np.log(self.share), axis=1) for x in (alone[0] + given, *alone)]
        return float((mixed[0] - mixed[1] - mixed[2]).mean())


@pytest.fixture
def clusters() -> type[Clusters]:
    """Worlds of separate clusters: ``clusters(seed).draw(1000, seed=0)`` and ``.truth()``."""
    return Clusters
