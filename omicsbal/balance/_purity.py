"""How much clearer classes are in the embeddings of rows that were learned from than in those of held-out ones."""

import numpy as np
from sklearn.cluster import KMeans
from sklearn.linear_model import Ridge

SEEDS = 5  # k-means runs that a purity is averaged over: with few rows a single one is noise
MOST = 1000  # rows of each side that are looked at, which bounds the time of k-means


def spaced(rows: np.ndarray, most: int) -> np.ndarray:
    """At most so many of the rows, evenly spaced."""
    return rows[np.linspace(0, len(rows) - 1, min(most, len(rows))).round().astype(np.int64)]


def purity(z: np.ndarray, y: np.ndarray) -> float:
    """Share of rows (n,) in the majority class of their cluster; k-means with one cluster a class on z scaled to [-1, 1]."""
    span = np.ptp(z, axis=0)
    scaled = 2 * (z - z.min(axis=0)) / np.where(span > 0, span, 1.0) - 1
    classes, codes = np.unique(y, return_inverse=True)
    kinds, found = min(len(classes), len(np.unique(scaled, axis=0))), []
    for seed in range(SEEDS):
        cluster = KMeans(kinds, n_init=1, random_state=seed).fit_predict(scaled)
        table = np.zeros((kinds, len(classes)))
        np.add.at(table, (cluster, codes), 1)
        found.append(table.max(axis=1).sum() / len(y))
    return float(np.mean(found))


def learning_gap(z: np.ndarray, y: np.ndarray, seen: np.ndarray, unseen: np.ndarray, *, classes: bool) -> float:
    """``|P_seen - P_unseen|`` for embeddings z (n, k), labels y (n,) and the positions of both kinds of rows.

    P is the `purity`, on equally many rows of either side, since it grows when there are fewer. For numbers it is the R^2 of a
    ridge regression on rows that were seen; below 0 counts as 0.
    """
    if classes:
        most = min(len(seen), len(unseen), MOST)
        one, two = spaced(seen, most), spaced(unseen, most)
        return abs(purity(z[one], y[one]) - purity(z[two], y[two]))
    one, two = spaced(seen, MOST), spaced(unseen, MOST)
    probe = Ridge(alpha=1.0).fit(z[one], y[one])
    return abs(max(0.0, probe.score(z[one], y[one])) - max(0.0, probe.score(z[two], y[two])))
