"""Partial information decomposition of two discrete sources by alternating minimisation."""

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


def mutual_information(joint: Array) -> float:
    """I(X;Y) in nats of a joint table (n_x, n_y)."""
    x, y = np.nonzero(joint)
    held = joint[x, y]
    # A sum of logarithms, for a product of two tiny margins may underflow where the joint does not.
    return float(np.sum(held * (np.log(held) - np.log(joint.sum(axis=1)[x]) - np.log(joint.sum(axis=0)[y]))))


def merge_equivalent(joint: Array) -> Array:
    """Add up the rows of p(x, y) that say the same of y: being one evidence, they leave the decomposition unchanged."""
    joint = joint[joint.sum(axis=1) > 0]
    posterior = np.round(joint / joint.sum(axis=1, keepdims=True), 10)
    _, group = np.unique(posterior, axis=0, return_inverse=True)
    merged = np.zeros((group.max() + 1, joint.shape[1]))
    np.add.at(merged, group.ravel(), joint)
    return merged


def least_informative(joint_1: Array, joint_2: Array, *, tolerance: float = 1e-8) -> Array:
    """Joint q(y, x1, x2) of least I(X1 X2;Y) among all with the pair margins (n_1, n_y) and (n_2, n_y), all labels possible.

    Alternates between the mixture r = sum_y p(y) q_y and the nearest q_y to r with the right margins (iterative proportional
    fitting, whose result q_y / r is kept as the start of the next round); `tolerance` bounds the margins' error and the change in
    nats over fifty rounds. Every label must have a positive probability. Up to three thousand rounds, fewer for large tables,
    leave an error below 3e-5 nats in the presets as they come, and about 1e-3 with sixteen classes.
    """
    prior = joint_1.sum(axis=0)
    rows, columns = (joint_1 / prior).T[:, :, None], (joint_2 / prior).T[:, None, :]
    q, value = rows * columns, np.inf
    weight = np.ones_like(q)
    for turn in range(1, int(np.clip(30_000_000 // q.size, 300, 3000)) + 1):
        mixture = np.tensordot(prior, q, axes=1)
        q = mixture * weight
        for _ in range(3):
            q *= _ratio(rows, q.sum(axis=2, keepdims=True))
            q *= _ratio(columns, q.sum(axis=1, keepdims=True))
        weight = _ratio(q, np.broadcast_to(mixture, q.shape))
        if turn % 50 == 0:
            before, value = value, mutual_information((prior * q.T).reshape(-1, len(prior)))
            if abs(before - value) < tolerance and np.abs(q.sum(axis=2, keepdims=True) - rows).max() < tolerance:
                break
    return prior[:, None, None] * q


def _ratio(wanted: Array, found: Array) -> Array:
    """Factor that corrects a margin; 0 where nothing is wanted."""
    return np.divide(wanted, found, out=np.zeros(found.shape), where=found > 0)


def decompose(joint_1: Array, joint_2: Array, information: float) -> dict[str, float]:
    """Redundant, unique and synergistic nats of two sources with pair margins (n, n_y) and joint information I(X1 X2;Y).

    References
    ----------
    Bertschinger et al. (2014), doi:10.3390/e16042161; alternating minimisation: Banerjee et al. (2018), arXiv:1709.07487.
    """
    joint_1, joint_2 = merge_equivalent(joint_1), merge_equivalent(joint_2)
    one, two = mutual_information(joint_1), mutual_information(joint_2)
    # The minimum lies between the larger of the two and the whole; numerical dust beyond is cut off.
    union = mutual_information(least_informative(joint_1, joint_2).reshape(joint_1.shape[1], -1).T)
    union = float(np.clip(union, max(one, two), max(information, one, two)))
    parts = {"redundant": one + two - union, "unique_1": union - two, "unique_2": union - one, "synergistic": information - union}
    return {name: max(0.0, value) for name, value in parts.items()}
