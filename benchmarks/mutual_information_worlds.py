"""Worlds whose mutual information is known, analytically or by Monte Carlo: what `mutual_information.py` draws from.

Part A: Gaussians. Part B: maps that leave mutual information as it is (idea: Czyz et al. 2023, arXiv:2306.11078; settings ours).
Part C: clusters with labels. Part D: representation and label. Part N: independent draws. Nats everywhere.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cache

import numpy as np
from scipy.special import gammaln, logsumexp, ndtr, psi
from scipy.stats import special_ortho_group

MONTE_CARLO = 60_000  # draws behind a truth of parts C and D: its standard error is below .01 nats
WIDE = 32  # axes of a representation in part D, four of them with signal

Draw = tuple[np.ndarray, np.ndarray | None, np.ndarray | None]


@dataclass(frozen=True)
class World:
    """Rows (a, b, y) of known information: I(A;B), or I(A;Y) where b is None."""

    part: str
    name: str
    d: int
    truth: float
    draw: Callable[[int, np.random.Generator], Draw] = field(repr=False)


def rotated(x: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Rows in a random orthonormal basis."""
    return x if x.shape[1] == 1 else x @ special_ortho_group.rvs(x.shape[1], random_state=rng)


def pairs(n: int, rho: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Standard normal (n, d) twice, axis j of one correlated with axis j of the other by rho_j."""
    a = rng.normal(size=(n, len(rho)))
    return a, rho * a + np.sqrt(1 - rho**2) * rng.normal(size=a.shape)


def correlations(d: int, info: float, axes: int) -> np.ndarray:
    """rho (d,) of which the first `axes` share `info` evenly: -1/2 sum ln(1 - rho^2) = info."""
    return np.where(np.arange(d) < axes, np.sqrt(1 - np.exp(-2 * info / axes)), 0.0)


def gaussian(d: int, info: float, *, sparse: bool, part: str = "A") -> World:
    """Jointly Gaussian sides; the dependence is spread over all axes, or over two."""
    rho = correlations(d, info, min(2, d) if sparse else d)

    def draw(n: int, rng: np.random.Generator) -> Draw:
        a, b = pairs(n, rho, rng)
        return rotated(a, rng), rotated(b, rng), None

    return World(part, "sparse" if sparse else "dense", d, info, draw)


def student_excess(dof: float, p: int, q: int) -> float:
    """What a multivariate Student-t has above the Gaussian of the same dispersion, in nats; from its differential entropy."""

    def f(x: float) -> float:
        return float(gammaln(x / 2) - x / 2 * psi(x / 2))

    return f(dof) + f(dof + p + q) - f(dof + p) - f(dof + q)


def turned(x: np.ndarray, first: int, second: int, speed: float = 1.0) -> np.ndarray:
    """Rows turned in one plane by speed * |x|^2 radians: a bijection."""
    angle, y = speed * (x**2).sum(1), x.copy()
    y[:, first] = np.cos(angle) * x[:, first] - np.sin(angle) * x[:, second]
    y[:, second] = np.sin(angle) * x[:, first] + np.cos(angle) * x[:, second]
    return y


def half_cube(x: np.ndarray) -> np.ndarray:
    return x * np.sqrt(np.abs(x))


def rolled(x: np.ndarray) -> np.ndarray:
    """(n, 1) onto a Swiss roll (n, 2)."""
    t = 1.5 * np.pi * (1 + 2 * ndtr(x[:, 0]))
    return np.column_stack([t * np.cos(t), t * np.sin(t)]) / 21


def mapped(name: str, d: int, info: float, left: Callable, right: Callable) -> World:
    """A Gaussian pair seen through one bijection a side."""
    rho = correlations(d, info, min(3, d))

    def draw(n: int, rng: np.random.Generator) -> Draw:
        a, b = pairs(n, rho, rng)
        return left(a), right(b), None

    return World("B", name, d, info, draw)


def student(d: int, info: float, dof: float) -> World:
    """asinh of a multivariate Student-t."""
    rho = correlations(d, info, d)

    def draw(n: int, rng: np.random.Generator) -> Draw:
        a, b = pairs(n, rho, rng)
        scale = np.sqrt(dof / rng.chisquare(dof, size=(n, 1)))
        return np.arcsinh(a * scale), np.arcsinh(b * scale), None

    return World("B", "asinh-Student", d, info + student_excess(dof, d, d), draw)


def additive(noise: float) -> World:
    """A uniform on (0, 1) and itself plus uniform noise on (-noise, noise)."""
    truth = noise - np.log(2 * noise) if noise <= 0.5 else 1 / (4 * noise)

    def draw(n: int, rng: np.random.Generator) -> Draw:
        a = rng.random((n, 1))
        return a, a + noise * rng.uniform(-1, 1, (n, 1)), None

    return World("B", f"additive noise {noise:g}", 1, float(truth), draw)


def shares(classes: int) -> np.ndarray:
    """Class frequencies proportional to rank^-0.7."""
    p = np.arange(1, classes + 1) ** -0.7
    return p / p.sum()


def log_normal(z: np.ndarray, means: np.ndarray) -> np.ndarray:
    """ln N(z; mean_k, 1) up to the constant that all share, (n, k)."""
    return -0.5 * ((z**2).sum(1)[:, None] - 2 * z @ means.T + (means**2).sum(1))


@cache
def clusters(d: int, separation: float, within: float, seed: int) -> World:
    """Eight imbalanced types seen from both sides, and factors shared within a type; side b does not tell the last two apart."""
    rng = np.random.default_rng([seed, d])
    prior, axes = shares(8), 4
    means = [separation * np.pad(rng.normal(size=(8, axes)), ((0, 0), (0, d - axes))) for _ in range(2)]
    means[1][7] = means[1][6]
    rho = correlations(d, within, 3)

    def native(n: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        y = rng.choice(8, size=n, p=prior)
        a, b = pairs(n, rho, rng)
        return a + means[0][y], b + means[1][y], y

    def draw(n: int, rng: np.random.Generator) -> Draw:
        a, b, y = native(n, rng)
        return rotated(a, rng), rotated(b, rng), y

    a, b, _ = native(MONTE_CARLO, np.random.default_rng([seed, d, 1]))
    side = [logsumexp(log_normal(z, m) + np.log(prior), axis=1) for z, m in zip((a, b), means, strict=True)]
    given, slope = log_normal(a, means[0]), np.sqrt(1 - rho**2)  # ln p(a, b | type) = ln p(a | type) + ln p(b | a, type)
    given = given + log_normal(b / slope - a * rho / slope, means[1] / slope - means[0] * rho / slope) - np.log(slope).sum()
    truth = float((logsumexp(given + np.log(prior), axis=1) - side[0] - side[1]).mean())
    if separation == within == 0:
        return World("N", "label says nothing", d, 0.0, draw)
    return World("C", f"separation {separation:g}, within {within:g}", d, truth, draw)


def modes(shape: str, classes: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Centres (k, 4) before scaling, and the class of each."""
    if shape == "xor":
        corners = np.array([[1, 1], [-1, -1], [1, -1], [-1, 1]], float)
        return np.pad(corners, ((0, 0), (0, 2))), np.array([0, 0, 1, 1])
    each = 3 if shape == "multi-modal" else 1
    return rng.normal(size=(classes * each, 4)), np.repeat(np.arange(classes), each)


@cache
def labelled(shape: str, classes: int, share: float, seed: int, *, buried: bool = False) -> World:
    """Unit noise around the centres of classes, scaled until I(Z;Y) is `share` of H(Y); `buried`: six noise axes of sd 4."""
    rng = np.random.default_rng([seed, classes])
    centres, owner = modes(shape, classes, rng)
    classes = owner.max() + 1
    prior = shares(classes)[owner] / np.bincount(owner)[owner]
    entropy = -float(shares(classes) @ np.log(shares(classes)))
    pick, noise = rng.choice(len(owner), size=MONTE_CARLO, p=prior), rng.normal(size=(MONTE_CARLO, 4))

    def information(scale: float) -> float:
        joint = log_normal(noise + scale * centres[pick], scale * centres) + np.log(prior)
        own = logsumexp(np.where(owner == owner[pick][:, None], joint, -np.inf), axis=1)
        return entropy + float((own - logsumexp(joint, axis=1)).mean())

    low, high = 0.0, 30.0
    for _ in range(18):
        middle = (low + high) / 2
        low, high = (middle, high) if information(middle) < share * entropy else (low, middle)
    spread = np.r_[np.ones(4), np.full(6, 4.0 if buried else 1.0), np.ones(WIDE - 10)]

    def draw(n: int, rng: np.random.Generator) -> Draw:
        k = rng.choice(len(owner), size=n, p=prior)
        z = rng.normal(size=(n, WIDE)) * spread
        z[:, :4] += low * centres[k]
        y = owner[k] if share else rng.permutation(owner[k])
        return rotated(z, rng), None, y

    name = f"{shape}{', buried' if buried else ''}, {classes} classes"
    return World("D" if share else "N", name, WIDE, information(low) if share else 0.0, draw)


def worlds() -> Iterator[World]:
    """All of them."""
    for d in (1, 4, 16, 32):
        for sparse in (False, True)[: 1 if d == 1 else 2]:
            yield from (gaussian(d, info, sparse=sparse) for info in (0.0, 0.1, 0.5, 1.0, 2.0, 5.0))
    yield mapped("normal", 3, 1.0, np.asarray, np.asarray)
    yield mapped("half-cube", 3, 1.0, half_cube, half_cube)
    yield mapped("half-cube", 25, 1.0, half_cube, half_cube)
    yield student(2, 0.3, 2.0)
    yield from (additive(noise) for noise in (0.1, 0.75))
    yield mapped("Swiss roll", 1, 1.0, rolled, np.asarray)
    yield mapped("spiral", 3, 1.0, lambda x: turned(x, 0, 1), lambda x: turned(x, 1, 2))
    for d in (16, 32):
        for separation, within in ((0.6, 0.5), (1.2, 0.0), (1.2, 1.0), (2.5, 0.3)):
            yield clusters(d, separation, within, 0)
    for share in (0.15, 0.5, 0.9):
        yield labelled("linear", 5, share, 0)
        yield labelled("linear", 5, share, 0, buried=True)
        yield labelled("multi-modal", 4, share, 0)
        yield labelled("xor", 2, share, 0)
    yield from (gaussian(d, 0.0, sparse=False, part="N") for d in (4, 32))
    yield clusters(16, 0.0, 0.0, 0)
    yield labelled("linear", 5, 0.0, 0)
