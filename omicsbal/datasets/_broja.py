"""Partial information decomposition of two discrete sources by alternating minimisation."""

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


def mutual_information(joint: Array) -> float:
    """I(X;Y) in nats of a joint table (n_x, n_y)."""
    independent = joint.sum(axis=1, keepdims=True) * joint.sum(axis=0, keepdims=True)
    held = joint > 0
    return float(np.sum(joint[held] * np.log(joint[held] / independent[held])))


def merge_equivalent(joint: Array) -> Array:
    """Add up the rows of p(x, y) that say the same of y: they are one and the same evidence, and the decomposition is unchanged."""
    joint = joint[joint.sum(axis=1) > 0]
    posterior = np.round(joint / joint.sum(axis=1, keepdims=True), 10)
    _, group = np.unique(posterior, axis=0, return_inverse=True)
    merged = np.zeros((group.max() + 1, joint.shape[1]))
    np.add.at(merged, group.ravel(), joint)
    return merged


def union_information(joint_1: Array, joint_2: Array, *, tolerance: float = 1e-9, most: int = 5000) -> float:
    """min I(X1 X2;Y) in nats over all joints with these two pair margins (n_1, n_y) and (n_2, n_y).

    Alternates between the mixture r = sum_y p(y) q_y and the nearest q_y to r with the right margins (iterative proportional fitting);
    `tolerance` in nats bounds the gain of the last hundred rounds.
    """
    prior = joint_1.sum(axis=0)
    rows, columns = (joint_1 / prior).T[:, :, None], (joint_2 / prior).T[:, None, :]
    q = rows * columns
    value = np.inf
    for turn in range(most):
        mixture = np.einsum("y,yij->ij", prior, q)
        q = np.where(q > 0, mixture, 0.0)
        for _ in range(20):
            q = q * _ratio(rows, q.sum(axis=2, keepdims=True))
            q = q * _ratio(columns, q.sum(axis=1, keepdims=True))
        if turn % 100 == 99:
            before, value = value, mutual_information((q * prior[:, None, None]).reshape(len(prior), -1).T)
            if before - value < tolerance:
                break
    return value


def _ratio(wanted: Array, found: Array) -> Array:
    """Factor that corrects a margin; 0 where nothing is wanted."""
    return np.divide(wanted, found, out=np.zeros(np.broadcast_shapes(wanted.shape, found.shape)), where=found > 0)


def decompose(joint_1: Array, joint_2: Array, information: float) -> dict[str, float]:
    """Redundant, unique and synergistic nats of two sources with pair margins (n, n_y) and joint information I(X1 X2;Y).

    References
    ----------
    Bertschinger et al. (2014), doi:10.3390/e16042161; alternating minimisation: Banerjee et al. (2018), arXiv:1709.07487.
    """
    joint_1, joint_2 = merge_equivalent(joint_1), merge_equivalent(joint_2)
    one, two = mutual_information(joint_1), mutual_information(joint_2)
    # The minimum lies between the larger of the two and the whole; numerical dust beyond is cut off.
    union = float(np.clip(union_information(joint_1, joint_2), max(one, two), max(information, one, two)))
    parts = {"redundant": one + two - union, "unique_1": union - two, "unique_2": union - one, "synergistic": information - union}
    return {name: max(0.0, value) for name, value in parts.items()}
