"""What a model keeps of the rows it was trained on: enough to know them again, too little to tell what they were."""

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import numpy as np

from omicsbal._types import Arrays

PROJECTIONS = 6  # numbers a row and modality; fewer where a block has fewer columns
# Distances are root mean squares over projections, in units of their spread over training rows: about 1.4 between strangers.
NEAR = 0.05  # 1 % of the features lost moves a row about as far; rounding moves it by 1e-6
STRICT = 1e-3  # with fewer projections, for there strangers come closer by chance
LOST = 0.7  # times the root of the share of features that are missing: how much further a row may move


@dataclass(frozen=True)
class TrainingRows:
    """A hash of each row's name and a few random projections of its blocks, in the order of the fit; our choice.

    Notes
    -----
    A row is one of these if it bears the name and is where the row of that name was in more than half of the modalities that
    both have, or in half of them where that holds for most rows that bear a known name. Names alone would not do, for barcodes
    repeat between runs; nor values that several training rows share, such as the same two open peaks: modalities in which a row
    has such values are asked last. A row that was renamed, or changed in more than half of its modalities, passes for new. Where
    features are missing rows move, and count as known only if most of those that bear a known name are near.

    The hash (BLAKE2b, RFC 7693, 64 bits) spares the model the names themselves; a name that can be guessed can be checked
    against it. Six projections do not give a row of many columns back; of a block of six columns or fewer they hold all.
    """

    names: np.ndarray = field(default_factory=lambda: np.zeros(0, np.uint64))  # (n,) none: of a model that keeps none
    sketches: dict[str, np.ndarray] = field(default_factory=dict)  # {m: (n, <= 6) float32}, NaN where absent

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
            Share in [0, 1] of the features that was found, by modality; 1 where it does not say.
        """
        place = self._places(_hashed(names))
        if not len(self) or not (place >= 0).any():
            return np.zeros(len(place), dtype=bool)
        apart = self._apart(place, data)
        strict = self._agree(place, apart, dict.fromkeys(apart, 0.0))
        looser = {m: LOST * float(np.sqrt(1 - min(coverage.get(m, 1.0), 1.0))) for m in apart}
        if not any(looser.values()):
            return strict
        if 2 * self._agree(place, apart, looser).sum() <= (place >= 0).sum():
            return strict
        return self._agree(place, apart, {m: 2 * more for m, more in looser.items()})  # some move further than most

    def changed(self, names: Iterable[str], data: Arrays) -> np.ndarray:
        """Which training rows (n,) are not as they were: in another place, with other values, or without a modality.

        Parameters
        ----------
        names
            (n,) of as many rows as were trained on; they may be new ones.
        data
            Their blocks by the model's recipes.
        """
        here = np.arange(len(self))
        off, at_home = np.zeros(len(self), dtype=bool), np.zeros(len(self), dtype=bool)
        for m, distance in self._apart(here, data).items():
            gone = np.isnan(distance) & ~(np.isnan(self.sketches[m][:, 0]) & ~data.present[m].cpu().numpy())
            far = distance > self._limit(m)
            off |= gone | far
            at_home |= self._telling(m) & ~np.isnan(distance) & ~far
        place = self._places(_hashed(names))
        return off | ((place >= 0) & (place != here) & ~at_home)  # new names may be old names of others

    def _agree(self, place: np.ndarray, apart: Mapping[str, np.ndarray], looser: Mapping[str, float]) -> np.ndarray:
        """Which rows (rows,) are the training rows at `place` (-1: none) by at least half of the modalities."""
        told, same, shared, near = (np.zeros(len(place), dtype=int) for _ in range(4))
        for m, distance in apart.items():
            both, close = ~np.isnan(distance), distance <= self._limit(m) + looser[m]
            telling = both & self._telling(m)[place]
            told, same, shared, near = told + telling, same + (telling & close), shared + both, near + (both & close)
        half = (same > 0) & (2 * same >= told)
        if (told > 0).any() and half[told > 0].mean() <= 0.5:
            return np.asarray(2 * same > told)  # other data, in which a row or two may be alike by chance
        # also rows that look like others of the fit, by all they have
        return np.asarray(half | ((told == 0) & (shared > 0) & (near == shared)))

    def _apart(self, place: np.ndarray, data: Arrays) -> dict[str, np.ndarray]:
        """{m: (rows,)} distance to the training row at `place`; NaN where there is none or one of them lacks the modality."""
        return {
            m: np.where(place >= 0, np.sqrt((((now - self.sketches[m][place]) / self._spread(m)) ** 2).mean(1)), np.nan)
            for m, now in _sketched(data).items()
        }

    def _places(self, hashes: np.ndarray) -> np.ndarray:
        """Positions (rows,) of hashed names among the training rows, -1 where unknown."""
        if not len(self):
            return np.full(len(hashes), -1)
        order = np.argsort(self.names)
        found = order[np.minimum(np.searchsorted(self.names, hashes, sorter=order), len(order) - 1)]
        return np.where(self.names[found] == hashes, found, -1)

    def _spread(self, m: str) -> np.ndarray:
        """(p,) of the projections over training rows; by quartiles, so that one row that sticks out does not hide the others."""
        known = self.sketches[m][~np.isnan(self.sketches[m][:, 0])].astype(np.float64)
        if not len(known):
            return np.ones(self.sketches[m].shape[1])
        low, high = np.quantile(known, (0.25, 0.75), axis=0)
        spread = (high - low) / 1.35  # a standard deviation, were they normal
        return np.maximum(np.where(spread > 0, spread, known.std(axis=0)), STRICT)

    def _limit(self, m: str) -> float:
        """How far apart the same row may be."""
        return NEAR if self.sketches[m].shape[1] == PROJECTIONS else STRICT

    def _telling(self, m: str) -> np.ndarray:
        """Training rows (n,) bool that no other looks like."""
        grid = np.round(np.nan_to_num(self.sketches[m]) / (self._spread(m) * self._limit(m))).astype(np.int64)
        _, inverse, count = np.unique(grid, axis=0, return_inverse=True, return_counts=True)
        return np.asarray(count[inverse.ravel()] == 1)


def _hashed(names: Iterable[str]) -> np.ndarray:
    """(n,) uint64."""
    digests = b"".join(hashlib.blake2b(str(name).encode(), digest_size=8).digest() for name in names)
    return np.frombuffer(digests, dtype="<u8").astype(np.uint64)


def _sketched(data: Arrays) -> dict[str, np.ndarray]:
    """{m: (n, <= 6) float32} the same random projections for every model; NaN where the modality is absent."""
    found = {}
    for m, x in data.x.items():
        axes = np.random.default_rng(0).standard_normal((x.shape[1], min(PROJECTIONS, x.shape[1])), dtype=np.float32)
        found[m] = np.where(data.present[m].cpu().numpy()[:, None], x.cpu().numpy() @ axes, np.float32(np.nan))
    return found
