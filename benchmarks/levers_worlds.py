"""Simulated worlds for the levers: what the twelve tasks do not have, such as synergy, a useless modality, many rare classes."""

from collections.abc import Iterator

import numpy as np

import omicsbal as ob

WORLDS = {
    "dominant": {"preset": "dominant", "n_obs": 900},
    "useless": {"preset": "useless", "n_obs": 900},
    "xor": {"preset": "xor", "n_obs": 900},
    "small": {"preset": "small", "n_obs": 300},
    "25 classes": {"preset": "mixed", "n_classes": 25, "imbalance": 0.8, "n_obs": 3000},
}
LABEL = "cell_type"


def worlds_of(names: list[str], seeds: int) -> Iterator[tuple]:
    """(world, seed, MuData, label, train, test): as `main_method.tasks_of`, two thirds to train on; seeds before worlds."""
    for seed in range(seeds):
        for name in names or WORLDS:
            mdata = ob.datasets.simulate(**WORLDS[name], random_state=seed)
            order = np.random.default_rng(seed).permutation(mdata.n_obs)
            train, test = np.split(order, [2 * mdata.n_obs // 3])
            yield name, seed, mdata, LABEL, np.sort(train), np.sort(test)
