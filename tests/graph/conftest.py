"""Blobs seen by two modalities."""

from typing import TYPE_CHECKING

import numpy as np
import pytest

if TYPE_CHECKING:
    from collections.abc import Callable


@pytest.fixture
def blobs() -> "Callable[..., tuple[dict[str, np.ndarray], np.ndarray]]":
    """Maker of three noisy groups seen by two modalities: ``x, label = blobs(150)``."""

    def _blobs(n: int = 150, *, spread: float = 1.0, seed: int = 0) -> "tuple[dict[str, np.ndarray], np.ndarray]":
        rng = np.random.default_rng(seed)
        label = np.arange(n) % 3
        centres = {"a": [[0, 0], [2, 0], [2, 1.5]], "b": [[0, 0], [0, 2], [1.5, 2]]}
        x = {m: np.array(c)[label] + spread * rng.normal(size=(n, 2)) for m, c in centres.items()}
        return {m: np.hstack([v, rng.normal(size=(n, 3))]) for m, v in x.items()}, label

    return _blobs
