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
    n_states: int
    n_batches: int
    strength: float  # 1 = the state is read almost without error
    depth: float  # multiplies the mean count
    batch_effect: float  # sd of the log factor, or of the shift
    n_factors: int


def _markers(rng: Rng, design: Design, fraction: float) -> tuple[NDArray[np.bool_], Array]:
    """Marker mask (J,), and signs (S, J): each marker is +1 in half of the states, -1 in the rest, 0 elsewhere."""
    markers = np.zeros(design.n_features, dtype=bool)
    markers[rng.permutation(design.n_features)[: max(1, round(fraction * design.n_features))]] = True
    signs = np.zeros((design.n_states, design.n_features))
    half = np.where(np.arange(design.n_states) < (design.n_states + 1) // 2, 1.0, -1.0)
    signs[:, markers] = rng.permuted(np.tile(half[:, None], int(markers.sum())), axis=0)
    return markers, signs


def _batch(rng: Rng, design: Design) -> Array:
    """Batch effects (n_batches, J) on the log scale."""
    return design.batch_effect * rng.standard_normal((design.n_batches, design.n_features))


def _rna(rng: Rng, design: Design) -> Emission:
    """About 2 counts a gene, a seventh of the genes are markers, fold changes of e."""
    markers, signs = _markers(rng, design, 0.15)
    base = np.exp(0.8 * rng.standard_normal(design.n_features))
    mean = 2.0 * design.depth * base / base.mean() * np.exp(0.5 * design.strength * signs)
    return Counts(markers, mean, np.exp(_batch(rng, design)), theta=3.0)


def _atac(rng: Rng, design: Design) -> Emission:
    """About one fragment in ten peaks, a third of the peaks differ, by a factor of e ** 1.6."""
    markers, signs = _markers(rng, design, 0.3)
    base = np.exp(0.5 * rng.standard_normal(design.n_features))
    mean = 0.1 * design.depth * base / base.mean() * np.exp(0.8 * design.strength * signs)
    return Counts(markers, mean, np.exp(_batch(rng, design)), theta=np.inf)


def _protein(rng: Rng, design: Design) -> Emission:
    """Background of about 10, foreground about eight times that, on in 88 % or 12 % of the cells of a state for markers."""
    markers, signs = _markers(rng, design, 0.5)
    background = 10.0 * design.depth * np.exp(0.4 * rng.standard_normal(design.n_features))
    foreground = background * 8.0 * np.exp(0.3 * rng.standard_normal(design.n_features))
    on = np.where(markers, expit_clip(2.0 * design.strength * signs), 0.3)
    return Antibodies(markers, background, foreground, on, np.exp(_batch(rng, design)))


def expit_clip(x: Array) -> Array:
    """Logistic function kept off 0 and 1, where a logarithm would be infinite."""
    return np.clip(1.0 / (1.0 + np.exp(-np.clip(x, -30, 30))), 1e-6, 1 - 1e-6)


def _dense(offset: float, spread: float, scale: float, link: str) -> Callable[[Rng, Design], Emission]:
    """A dense block: a fifth of the features are markers, a state moves them by a third of a noise sd."""

    def build(rng: Rng, design: Design) -> Emission:
        markers, signs = _markers(rng, design, 0.2)
        loadings = 0.3 * rng.standard_normal((design.n_factors, design.n_features))
        offsets = offset + spread * rng.standard_normal(design.n_features)
        return Dense(markers, 0.35 * design.strength * signs, loadings, _batch(rng, design), offsets, scale, link)

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
