"""Kinds of modality: size, names, and the random draw of an emission model."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from omicsbal.datasets._emission import Antibodies, Array, Counts, Dense, Emission, Rng


@dataclass(frozen=True)
class Design:
    """What an emission model is drawn for."""

    n_features: int
    sizes: tuple[int, ...]  # levels of each reading; the state is all of them, the last running fastest
    n_batches: int
    strength: float  # 1 = the state is read almost without error
    depth: float  # multiplies the mean count
    batch_effect: float  # sd of the log factor, or of the shift
    n_factors: int


def _markers(rng: Rng, design: Design, fraction: float) -> tuple[NDArray[np.bool_], Array]:
    """Marker mask (J,), and signs (S, J) with 0 for other features.

    Each reading has its own markers, as a gene programme would: +1 in half of its levels, -1 in the rest. So what a modality
    reads of the label is linear in its features, and only what is a secret between modalities is not.
    """
    levels = np.stack(np.unravel_index(np.arange(np.prod(design.sizes)), design.sizes), axis=1)
    chosen = rng.permutation(design.n_features)[: max(len(design.sizes), round(fraction * design.n_features))]
    signs = np.zeros((len(levels), design.n_features))
    for place, size in enumerate(design.sizes):
        own = chosen[place :: len(design.sizes)]
        half = np.where(np.arange(size) < (size + 1) // 2, 1.0, -1.0)
        signs[:, own] = rng.permuted(np.tile(half[:, None], len(own)), axis=0)[levels[:, place]]
    return np.abs(signs).sum(axis=0) > 0, signs


def _batch(rng: Rng, design: Design) -> Array:
    """Batch effects (n_batches, J) on the log scale."""
    return design.batch_effect * rng.standard_normal((design.n_batches, design.n_features))


def _rna(rng: Rng, design: Design) -> Emission:
    """About 2 counts a gene; a quarter of the genes are markers, with fold changes of e ** 1.3."""
    markers, signs = _markers(rng, design, 0.25)
    base = np.exp(0.8 * rng.standard_normal(design.n_features))
    mean = 2.0 * design.depth * base / base.mean() * np.exp(0.65 * design.strength * signs)
    return Counts(markers, mean, np.exp(_batch(rng, design)), theta=3.0)


def _atac(rng: Rng, design: Design) -> Emission:
    """About one fragment in ten peaks; three peaks in ten differ, by a factor of e ** 1.8."""
    markers, signs = _markers(rng, design, 0.3)
    base = np.exp(0.5 * rng.standard_normal(design.n_features))
    mean = 0.1 * design.depth * base / base.mean() * np.exp(0.9 * design.strength * signs)
    return Counts(markers, mean, np.exp(_batch(rng, design)), theta=np.inf)


def _protein(rng: Rng, design: Design) -> Emission:
    """Background of about 10, foreground about eight times that, on in 92 % or 8 % of the cells of a state for markers."""
    markers, signs = _markers(rng, design, 0.5)
    background = 10.0 * design.depth * np.exp(0.4 * rng.standard_normal(design.n_features))
    foreground = background * 8.0 * np.exp(0.3 * rng.standard_normal(design.n_features))
    on = np.where(markers, expit_clip(2.5 * design.strength * signs), 0.3)
    return Antibodies(markers, background, foreground, on, np.exp(_batch(rng, design)))


def expit_clip(x: Array) -> Array:
    """Logistic function kept off 0 and 1, where a logarithm would be infinite."""
    return np.clip(1.0 / (1.0 + np.exp(-np.clip(x, -30, 30))), 1e-6, 1 - 1e-6)


def _dense(offset: float, spread: float, scale: float, link: str) -> Callable[[Rng, Design], Emission]:
    """A dense block: a fifth of the features are markers, a state moves them by half a noise sd."""

    def build(rng: Rng, design: Design) -> Emission:
        markers, signs = _markers(rng, design, 0.2)
        loadings = 0.3 * rng.standard_normal((design.n_factors, design.n_features))
        offsets = offset + spread * rng.standard_normal(design.n_features)
        return Dense(markers, 0.5 * design.strength * signs, loadings, _batch(rng, design), offsets, scale, link)

    return build


@dataclass(frozen=True)
class Kind:
    """Default size, feature names, 10x-like feature type and model of one kind of modality."""

    n_features: int
    prefix: str
    feature_type: str
    build: Callable[[Rng, Design], Emission]
    counts: bool = True
    sparse: bool = True


KINDS: dict[str, Kind] = {
    "counts": Kind(300, "gene", "Gene Expression", _rna),
    "peaks": Kind(600, "peak", "Peaks", _atac),
    "antibodies": Kind(24, "prot", "Antibody Capture", _protein, sparse=False),
    # log2 intensities, beta values in (0, 1), and log-normal abundances
    "expression": Kind(400, "gene", "Gene Expression", _dense(7.0, 1.5, 0.8, "identity"), counts=False, sparse=False),
    "methylation": Kind(400, "cpg", "DNA Methylation", _dense(0.0, 1.2, 0.5, "logistic"), counts=False, sparse=False),
    "mirna": Kind(150, "mir", "miRNA Expression", _dense(2.0, 1.0, 0.4, "exp"), counts=False, sparse=False),
}


def draw_emission(kind: str, rng: Rng, design: Design) -> Emission:
    """Draw the measurement model of one modality."""
    return KINDS[kind].build(rng, design)
