"""The labelled rows of a model with one modality damaged step by step: from the MuData, through the recipe, to arrays."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import scipy.sparse as sp
import torch

from omicsbal._types import Arrays
from omicsbal.diagnostics.damage import noisings, removals, thinnings
from omicsbal.diagnostics.snr import fragments
from omicsbal.model import FittedModel
from omicsbal.pp.align import match_features, matrix_of, take_features
from omicsbal.tl._labelled import Labelled

if TYPE_CHECKING:
    from mudata import MuData

NO_COUNTS = "No raw counts, so there is nothing to thin."
BINARY = "Binarised: an open site may have been one count or many. Give the counts."


class Damaged:
    """Maker of damaged arrays; those of the fit are left as they are.

    Parameters
    ----------
    model, mdata, found
        What was fitted, its data, and the rows that are judged.
    random_state
        Seed; each modality has draws of its own.
    """

    def __init__(self, model: FittedModel, mdata: "MuData", found: Labelled, random_state: int) -> None:
        self.model, self.mdata, self.found, self.random_state = model, mdata, found, random_state
        self.makers = {"removed": self._removed, "thinned": self._thinned, "noised": self._noised}
        self._counts: dict[str, tuple[Any, np.ndarray, np.ndarray]] = {}

    def steps(self, kind: str, modality: str, levels: Sequence[float]) -> Iterator[Arrays]:
        """The arrays at each level, from none to most."""
        seed = [self.random_state, self.model.modalities.index(modality)]
        yield from self.makers[kind](modality, levels, int(np.random.default_rng(seed).integers(2**32)))

    def refusal(self, kind: str, modality: str) -> str:
        """Why a modality cannot be damaged like this; empty if it can."""
        if kind != "thinned":
            return ""
        recipe = self.model.sources[modality].recipe
        if not recipe.counts:
            return NO_COUNTS
        counts = self._read(modality)[0]
        return BINARY if np.nanmax(counts.data if sp.issparse(counts) else counts, initial=0) <= 1 else ""

    def showing(self, modalities: Sequence[str] | frozenset[str]) -> Arrays:
        """The arrays with all other modalities hidden."""
        data = self.found.data
        return replace(data, present={m: p if m in modalities else torch.zeros_like(p) for m, p in data.present.items()})

    def _removed(self, modality: str, levels: Sequence[float], seed: int) -> Iterator[Arrays]:
        data = self.found.data
        here = data.present[modality]
        for present in removals(here.cpu().numpy(), levels, random_state=seed):
            yield replace(data, present=data.present | {modality: torch.from_numpy(present).to(here.device)})

    def _thinned(self, modality: str, levels: Sequence[float], seed: int) -> Iterator[Arrays]:
        source = self.model.sources[modality]
        counts, rows, missing = self._read(modality)
        if source.recipe.name == "atac":
            counts = fragments(counts)[0]
        for level, thin in zip(levels, thinnings(counts, levels, random_state=seed), strict=True):
            yield self.found.data if level == 1 else self._with(modality, rows, source.recipe.transform(thin, missing=missing))

    def _noised(self, modality: str, levels: Sequence[float], seed: int) -> Iterator[Arrays]:
        data = self.found.data
        rows = np.flatnonzero(data.present[modality].cpu().numpy())
        x = data.x[modality].cpu().numpy()[rows]
        for level, noisy in zip(levels, noisings(x, levels, random_state=seed), strict=True):
            yield self._with(modality, rows, noisy) if level else data

    def _with(self, modality: str, rows: np.ndarray, values: np.ndarray) -> Arrays:
        """The arrays with other values in some rows of one modality."""
        data = self.found.data
        x = data.x[modality].clone()
        x[torch.from_numpy(rows).to(x.device)] = torch.from_numpy(np.ascontiguousarray(values)).to(x)
        return replace(data, x=data.x | {modality: x})

    def _read(self, modality: str) -> tuple[Any, np.ndarray, np.ndarray]:
        """Counts of the judged rows that have the modality, which rows these are, and the features that are missing."""
        if modality not in self._counts:
            source = self.model.sources[modality]
            X, rows, names = matrix_of(self.mdata, modality, layer=source.layer or None, use_rep=source.use_rep or None)
            positions = match_features(source.features, names)[0]
            _, here, judged = np.intersect1d(rows, self.found.positions, assume_unique=True, return_indices=True)
            counts = take_features(X[here], positions, fill=source.recipe.fill)
            self._counts = {modality: (counts, judged, positions < 0)}  # of the last one alone, to save memory
        return self._counts[modality]
