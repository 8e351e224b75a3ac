"""Neural lower bounds on mutual information, InfoNCE and MINE: named alternatives to compare with, not what we recommend."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor
from torch.nn.functional import relu

from omicsbal._validate import check_number
from omicsbal.mi._rows import matrix

LEARN, STOP = 0.50, 0.15  # shares of the rows that the critic learns from and that stop it; the remaining 35 % are scored
WIDTH, OUT = 64, 16  # hidden units; axes on which InfoNCE's two encoders meet
LEARNING_RATE = 1e-3
EVERY, PATIENCE = 20, 10  # steps between two looks at the stopping rows; looks without a gain before the critic is kept
EMA = 0.01  # step of MINE's moving average
SHIFTS = 16  # pairings of unrelated rows by which MINE is scored; each row meets so many strangers


@dataclass(frozen=True)
class _Parts:
    """Rows (n_part, d) of both sides, float32 and standardised by the rows that the critic learns from."""

    learn: tuple[Tensor, Tensor]
    stop: tuple[Tensor, Tensor]
    score: tuple[Tensor, Tensor]


def _parts(a: ArrayLike, b: ArrayLike, rng: np.random.Generator) -> _Parts:
    """Random split of the rows into learn, stop and score."""
    a = matrix("a", a)
    b = matrix("b", b, rows=len(a))
    order, n = rng.permutation(len(a)), len(a)
    first, second = round(LEARN * n), round((LEARN + STOP) * n)
    sides = []
    for x in (a, b):
        known = x[order[:first]]
        spread = known.std(0)
        sides.append(torch.from_numpy(((x[order] - known.mean(0)) / np.where(spread > 0, spread, 1.0)).astype(np.float32)))
    cut = [(0, first), (first, second), (second, n)]
    learn, stop, score = ((sides[0][i:j], sides[1][i:j]) for i, j in cut)
    return _Parts(learn, stop, score)


def _layers(d_in: int, d_out: int, generator: torch.Generator, *, zero: bool) -> list[Tensor]:
    """Weights and biases of an affine-relu-affine-relu-affine map; with `zero` it starts as the constant 0."""
    found, sizes = [], [d_in, WIDTH, WIDTH, d_out]
    for i, (wide, narrow) in enumerate(pairwise(sizes)):
        scale = 0.0 if zero and i == 2 else math.sqrt(2 / wide)  # He et al. 2015, arXiv:1502.01852
        found += [(torch.randn(wide, narrow, generator=generator) * scale).requires_grad_(), torch.zeros(narrow).requires_grad_()]
    return found


def _through(x: Tensor, layers: list[Tensor]) -> Tensor:
    """Output (n, d_out) of the map."""
    w1, b1, w2, b2, w3, b3 = layers
    return relu(relu(x @ w1 + b1) @ w2 + b2) @ w3 + b3


def _train(
    layers: list[Tensor],
    loss: Callable[[Tensor], Tensor],
    bound: Callable[[], float],
    *,
    n: int,
    batch: int,
    max_steps: int,
    generator: torch.Generator,
) -> None:
    """Adam on minibatches of the rows 0..n-1; keeps the weights that were best by `bound`, those at the start included."""
    optimiser = torch.optim.Adam(layers, lr=LEARNING_RATE, weight_decay=1e-4)
    best, kept, stale = bound(), [p.detach().clone() for p in layers], 0
    order, at = torch.randperm(n, generator=generator), 0
    for step in range(1, max_steps + 1):
        if at + batch > n:
            order, at = torch.randperm(n, generator=generator), 0
        rows, at = order[at : at + batch], at + batch
        optimiser.zero_grad()
        loss(rows).backward()
        optimiser.step()
        if step % EVERY == 0 or step == max_steps:
            value = bound()
            stale = 0 if value > best else stale + 1
            if value > best:
                best, kept = value, [p.detach().clone() for p in layers]
            if stale == PATIENCE:
                break
    with torch.no_grad():
        for p, k in zip(layers, kept, strict=True):
            p.copy_(k)


def _contrast(scores: Tensor) -> Tensor:
    """InfoNCE terms (m,) in nats of a square (m, m) score matrix, both directions averaged."""
    right = scores.diagonal()
    return right - (torch.logsumexp(scores, 0) + torch.logsumexp(scores, 1)) / 2 + math.log(len(scores))


def infonce(a: ArrayLike, b: ArrayLike, *, batch: int = 128, max_steps: int = 2000, random_state: int = 0) -> tuple[float, float]:
    """InfoNCE, a lower bound on I(A;B), from a critic that is scored on rows it has not seen.

    ``E[ f(a_i, b_i) - ln (1/m) sum_j exp f(a_i, b_j) ]`` over minibatches of m rows, averaged over the two directions, with
    ``f(a, b) = g(a) . h(b) / sqrt(k)`` and two small networks g, h (van den Oord et al. 2018, arXiv:1807.03748). It cannot exceed
    ``ln m``. Half of the rows train the critic, 15 % say when to stop, 35 % are scored; the split, the form of the critic and
    its size are our choice. The critic starts as a constant, so that where nothing is learned the answer is 0.

    A named alternative for comparison. On 16 Gaussian axes a side with 0, 0.5 and 2 nats its RMSE at 200 / 1,000 / 5,000 rows is
    1.09 / 1.01 / 0.50 nats where `copula_mi` has 0.10 / 0.01 / 0.01 (one seed, benchmarks/results/mutual_information.md).

    Parameters
    ----------
    a, b
        (n, d_a) and (n, d_b): paired rows, at least 20. A vector is one column.
    batch
        Rows m of a minibatch, in training and in scoring; fewer where a part of the rows has fewer.
    max_steps
        Most optimiser steps.
    random_state
        Seed of the split, of the first weights and of the minibatches.

    Returns
    -------
    value, se
        Nats. `value` is below 0 where the critic learned what does not hold on new rows. `se` is the standard error of the mean
        over scored rows for this critic: it does not hold what the critic missed, nor how it varies with the seed.

    Raises
    ------
    ValueError
        Not two finite matrices of the same n >= 20 rows, or an option out of range.
    TypeError
        Not numbers.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> a = rng.normal(size=(400, 2))
    >>> value, se = infonce(a, a + rng.normal(size=(400, 2)), max_steps=300)
    >>> 0.3 < value < 0.9  # ln 2 = .69 in truth
    True
    """
    check_number("batch", batch, low=2, integer=True)
    check_number("max_steps", max_steps, low=1, integer=True)
    parts = _parts(a, b, np.random.default_rng(random_state))
    generator = torch.Generator().manual_seed(random_state)
    left = _layers(parts.learn[0].shape[1], OUT, generator, zero=False)
    right = _layers(parts.learn[1].shape[1], OUT, generator, zero=True)

    def terms(x: Tensor, y: Tensor) -> Tensor:
        return _contrast(_through(x, left) @ _through(y, right).T / math.sqrt(OUT))

    @torch.no_grad()
    def held_out(part: tuple[Tensor, Tensor]) -> Tensor:
        pieces = torch.arange(len(part[0])).tensor_split(math.ceil(len(part[0]) / batch))
        return torch.cat([terms(part[0][rows], part[1][rows]) for rows in pieces])

    _train(
        [*left, *right],
        lambda rows: -terms(parts.learn[0][rows], parts.learn[1][rows]).mean(),
        lambda: float(held_out(parts.stop).mean()),
        n=len(parts.learn[0]),
        batch=min(batch, len(parts.learn[0])),
        max_steps=max_steps,
        generator=generator,
    )
    found = held_out(parts.score).double()
    return float(found.mean()), float(found.std() / math.sqrt(len(found)))


def mine(a: ArrayLike, b: ArrayLike, *, batch: int = 128, max_steps: int = 2000, random_state: int = 0) -> tuple[float, float]:
    """MINE, the Donsker-Varadhan lower bound on I(A;B), from a critic that is scored on rows it has not seen.

    ``E_p(a,b)[T] - ln E_p(a)p(b)[exp T]`` with one small network T on both rows joined (Belghazi et al. 2018, arXiv:1801.04062).
    The gradient of the second term divides by a moving average of ``E[exp T]``, which takes away most of the bias of
    minibatches (their section 3.2). Unrelated pairs are rows of the same batch, shifted. Half of the rows train the critic,
    15 % say when to stop, 35 % are scored; split and sizes are our choice, as is that T starts as the constant 0, so that
    where nothing is learned the answer is 0. Nothing bounds the value from above, and its variance grows with exp I
    (Song & Ermon 2020, arXiv:1910.06222).

    A named alternative for comparison. On 16 Gaussian axes a side with 0, 0.5 and 2 nats its RMSE at 200 / 1,000 / 5,000 rows is
    0.98 / 0.73 / 0.32 nats where `copula_mi` has 0.10 / 0.01 / 0.01 (one seed, benchmarks/results/mutual_information.md).

    Parameters
    ----------
    a, b
        (n, d_a) and (n, d_b): paired rows, at least 20. A vector is one column.
    batch
        Rows of a minibatch in training.
    max_steps
        Most optimiser steps.
    random_state
        Seed of the split, of the first weights and of the minibatches.

    Returns
    -------
    value, se
        Nats. `value` is below 0 where the critic learned what does not hold on new rows. `se` is the delta-method standard
        error over scored rows for this critic: it does not hold what the critic missed, nor how it varies with the seed.

    Raises
    ------
    ValueError
        Not two finite matrices of the same n >= 20 rows, or an option out of range.
    TypeError
        Not numbers.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> a = rng.normal(size=(400, 2))
    >>> value, se = mine(a, a + rng.normal(size=(400, 2)), max_steps=300)
    >>> 0.3 < value < 0.9  # ln 2 = .69 in truth
    True
    """
    check_number("batch", batch, low=2, integer=True)
    check_number("max_steps", max_steps, low=1, integer=True)
    parts = _parts(a, b, np.random.default_rng(random_state))
    generator = torch.Generator().manual_seed(random_state)
    layers = _layers(parts.learn[0].shape[1] + parts.learn[1].shape[1], 1, generator, zero=True)
    memory: list[Tensor] = []

    def critic(x: Tensor, y: Tensor) -> Tensor:
        return _through(torch.cat([x, y], 1), layers)[:, 0]

    def loss(rows: Tensor) -> Tensor:
        x, y = parts.learn[0][rows], parts.learn[1][rows]
        joint, apart = critic(x, y), critic(x, y.roll(1, 0))
        log_mean = torch.logsumexp(apart, 0) - math.log(len(apart))
        now = log_mean.detach()
        memory[:] = [torch.logaddexp(memory[0] + math.log(1 - EMA), now + math.log(EMA)) if memory else now]
        return torch.exp(log_mean - memory[0]) - joint.mean()

    @torch.no_grad()
    def held_out(part: tuple[Tensor, Tensor]) -> tuple[float, float]:
        x, y = part
        joint = critic(x, y).double()
        shifts = range(1, min(SHIFTS, len(x) - 1) + 1)
        apart = torch.stack([critic(x, y.roll(s, 0)) for s in shifts]).double()
        top = apart.max()
        mean_row = torch.exp(apart - top).mean(0)  # a row's strangers are one draw: they share the row
        mean = mean_row.mean()
        se = torch.sqrt(((joint - mean_row / mean).var()) / len(x))
        return float(joint.mean() - (mean.log() + top)), float(se)

    _train(
        layers,
        loss,
        lambda: held_out(parts.stop)[0],
        n=len(parts.learn[0]),
        batch=min(batch, len(parts.learn[0])),
        max_steps=max_steps,
        generator=generator,
    )
    return held_out(parts.score)
