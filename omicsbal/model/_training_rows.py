"""What a model keeps of the rows it was trained on: enough to know them again, too little to tell what they were."""

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import numpy as np

from omicsbal._types import Arrays

PROJECTIONS = 3  # numbers a row and modality
CLOSE = 1e-3  # of the spread over training rows; rounding moves a projection by about 1e-6 of it


@dataclass(frozen=True)
class TrainingRows:
    """A hash of each row's name and a few random projections of its blocks, in the order of the fit; our choice.

    Notes
    -----
    A row is one of these if it bears the name and its projections agree in more than half of the modalities that both have and
    that lack no feature here. Names alone would not do, for barcodes repeat between runs; nor one modality of several, for
    strangers may have the same few open peaks. A row that was renamed, or changed in half of its modalities, passes for new.

    The hash (BLAKE2b, RFC 7693, 64 bits) spares the model the names themselves; a name that can be guessed can be checked
    against it. From three projections a row cannot be made again.
    """

    names: np.ndarray = field(default_factory=lambda: np.zeros(0, np.uint64))  # (n,) none: of a model that keeps none
    sketches: dict[str, np.ndarray] = field(default_factory=dict)  # {m: (n, 3) float32}, NaN where absent

    @classmethod
    def of(cls, names: Iterable[str], data: Arrays) -> "TrainingRows":
        """Of the training rows (n,) and their blocks."""
        return cls(_hashed(names), _sketched(data))

    @classmethod
    def from_state(cls, state: Mapping[str, np.ndarray]) -> "TrainingRows":
        """Inverse of `state`; without entries, of a model that keeps none."""
        sketches = {key.removeprefix("sketch/"): v for key, v in state.items() if key != "names"}
        return cls(state["names"], sketches) if state else cls()

    def state(self) -> dict[str, np.ndarray]:
        """As arrays; empty where none are kept."""
        return {"names": self.names} | {f"sketch/{m}": v for m, v in self.sketches.items()} if len(self) else {}

    def __len__(self) -> int:
        return len(self.names)

    def among(self, names: Iterable[str], data: Arrays, coverage: Mapping[str, float]) -> np.ndarray:
        """Which rows were trained on (rows,) bool; all False where no training rows are kept.

        Parameters
        ----------
        names
            (rows,) of the rows.
        data
            Their blocks by the model's recipes.
        coverage
            Share in [0, 1] of the features that was found, by modality; all are compared where none has its features whole.
        """
        place = self._places(_hashed(names))
        shared, same = np.zeros(len(place), dtype=int), np.zeros(len(place), dtype=int)
        now = _sketched(data) if len(self) else {}
        whole = [m for m, share in coverage.items() if share == 1]
        for m in (m for m in now if m in whole or not whole):
            before = self.sketches[m][place]
            both = (place >= 0) & ~np.isnan(now[m][:, 0]) & ~np.isnan(before[:, 0])
            shared, same = shared + both, same + (both & ~self._off(m, before, now[m]))
        return np.asarray(2 * same > shared)

    def changed(self, names: Iterable[str], data: Arrays) -> np.ndarray:
        """Which training rows (n,) are not as they were: in another place, with other values, or without a modality.

        Parameters
        ----------
        names
            (n,) of as many rows as were trained on; they may be new ones.
        data
            Their blocks by the model's recipes.
        """
        place, now = self._places(_hashed(names)), _sketched(data)
        moved = (place >= 0) & (place != np.arange(len(place)))
        for m, before in self.sketches.items():
            gone = np.isnan(now[m][:, 0]) != np.isnan(before[:, 0])
            moved |= gone | self._off(m, before, now[m])
        return moved

    def _places(self, hashes: np.ndarray) -> np.ndarray:
        """Positions (rows,) of hashed names among the training rows, -1 where unknown."""
        if not len(self):
            return np.full(len(hashes), -1)
        order = np.argsort(self.names)
        found = order[np.minimum(np.searchsorted(self.names, hashes, sorter=order), len(order) - 1)]
        return np.where(self.names[found] == hashes, found, -1)

    def _tolerance(self, m: str) -> np.ndarray:
        """How far (3,) two projections may be apart for rounding alone."""
        known = self.sketches[m][~np.isnan(self.sketches[m][:, 0])]
        spread = known.std(axis=0, dtype=np.float64) if len(known) else np.zeros(PROJECTIONS)
        return np.maximum(CLOSE * spread, 1e-6)

    def _off(self, m: str, before: np.ndarray, now: np.ndarray) -> np.ndarray:
        """Where (rows,) two sketches differ; False where either is NaN."""
        return (np.abs(before - now) > self._tolerance(m)).any(axis=1)


def _hashed(names: Iterable[str]) -> np.ndarray:
    """(n,) uint64."""
    digests = b"".join(hashlib.blake2b(str(name).encode(), digest_size=8).digest() for name in names)
    return np.frombuffer(digests, dtype="<u8").astype(np.uint64)


def _sketched(data: Arrays) -> dict[str, np.ndarray]:
    """{m: (n, 3) float32} the same random projections for every model; NaN where the modality is absent."""
    found = {}
    for m, x in data.x.items():
        axes = np.random.default_rng(0).standard_normal((x.shape[1], PROJECTIONS), dtype=np.float32)
        found[m] = np.where(data.present[m].cpu().numpy()[:, None], x.cpu().numpy() @ axes, np.float32(np.nan))
    return found
