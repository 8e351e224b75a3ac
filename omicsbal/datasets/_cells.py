"""Draw cells from a world: label, nuisance, states, donors, then measurements."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from omicsbal.datasets._emission import Array, Condition, Emission, Evidence, IntArray
from omicsbal.datasets._world import World

Streams = Callable[..., np.random.Generator]
LOG_SIZE_SD = 0.3  # of log library size between cells


@dataclass(frozen=True)
class Cells:
    """Drawn cells: class and donor (n,), states and conditions by modality."""

    label: IntArray
    donor: IntArray
    state: dict[str, IntArray]
    given: dict[str, Condition]


def even_labels(rng: np.random.Generator, prior: Array, n: int) -> IntArray:
    """n labels whose class sizes are the expected ones rounded up or down (systematic sampling), in random order."""
    grid = (np.arange(n) + rng.random()) / n
    return rng.permutation(np.minimum(np.searchsorted(np.cumsum(prior), grid, side="right"), len(prior) - 1))


def draw_states(rng: np.random.Generator, table: Array, label: IntArray, nuisance: IntArray) -> IntArray:
    """One state per cell from p(state | class, nuisance)."""
    edges = np.cumsum(table, axis=2)[label, nuisance]
    return np.minimum((rng.random(len(label))[:, None] > edges).sum(axis=1), table.shape[2] - 1)


def draw_cells(
    world: World, streams: Streams, n: int, *, n_donors: int, n_batches: int, depth_shared: float, n_factors: int
) -> Cells:
    """Draw everything that is hidden or known of n cells; donor d belongs to batch d modulo `n_batches`."""
    label = even_labels(streams("label"), world.prior, n)
    nuisance = streams("nuisance").integers(world.n_nuisance, size=n)
    donor = streams("donor").integers(n_donors, size=n)
    factors = streams("factors").standard_normal((n, n_factors))
    common = streams("depth").standard_normal(n)
    state, given = {}, {}
    for name, table in world.tables.items():
        state[name] = draw_states(streams(name, "state"), table, label, nuisance)
        own = streams(name, "depth").standard_normal(n)
        log_size = LOG_SIZE_SD * (np.sqrt(depth_shared) * common + np.sqrt(1 - depth_shared) * own)
        given[name] = Condition(donor % n_batches, np.exp(log_size - LOG_SIZE_SD**2 / 2), factors)
    return Cells(label, donor, state, given)


def measure(cells: Cells, emissions: Mapping[str, Emission], streams: Streams) -> tuple[dict[str, Array], dict[str, Evidence]]:
    """Measured values (n, J) of every modality, and what they say about its state."""
    values = {m: e.draw(streams(m, "measure"), cells.state[m], cells.given[m]) for m, e in emissions.items()}
    return values, {m: e.evidence(values[m], cells.given[m]) for m, e in emissions.items()}


def draw_presence(
    streams: Streams, cells: Cells, n_batches: int, missing: Mapping[str, float], mosaic: Mapping[int, tuple[str, ...]]
) -> dict[str, NDArray[np.bool_]]:
    """Masks (n,) by modality: whole batches lack those of `mosaic`, others go completely at random, one at least is kept."""
    names, n = list(cells.state), len(cells.label)
    measured = np.ones((n, len(names)), dtype=bool)
    for batch, lost in mosaic.items():
        for name in lost:
            measured[cells.donor % n_batches == batch, names.index(name)] = False
    kept = np.stack([streams(name, "missing").random(n) >= missing[name] for name in names], axis=1) & measured
    # A cell that lost all gets one of those its batch was measured with back.
    draw = streams("kept").random((n, len(names))) * measured
    empty = ~kept.any(axis=1)
    kept[empty, draw[empty].argmax(axis=1)] = True
    return {name: kept[:, i] for i, name in enumerate(names)}
