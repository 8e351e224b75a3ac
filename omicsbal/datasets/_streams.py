"""One integer seeds many independent generators, each found by what it is for."""

from zlib import crc32

import numpy as np


def stream(random_state: int, *purpose: str) -> np.random.Generator:
    """Return the generator of one purpose: drawing more for one purpose never moves another."""
    key = tuple(crc32(word.encode()) for word in purpose)
    return np.random.default_rng(np.random.SeedSequence(random_state, spawn_key=key))
