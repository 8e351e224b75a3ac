"""The decomposition against logic gates, whose answers are known, and against its own optimality condition."""

import numpy as np
import pytest

from omicsbal.diagnostics.broja import decompose, least_informative, merge_equivalent, mutual_information, union_information

BIT = np.log(2)


def gate(rule):
    """Joint table (x1, x2, y) of a gate with two fair inputs."""
    joint = np.zeros((2, 2, 4))
    for a in (0, 1):
        for b in (0, 1):
            joint[a, b, rule(a, b)] += 0.25
    return joint[..., joint.sum((0, 1)) > 0]


def parts(joint):
    """Decomposition in bits of a table (x1, x2, y)."""
    total = mutual_information(joint.reshape(-1, joint.shape[2]))
    found = decompose(joint.sum(1), joint.sum(0), total)
    return {name: value / BIT for name, value in found.items()}


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        (lambda a, b: a & b, (0.311278, 0, 0, 0.5)),
        (lambda a, b: a ^ b, (0, 0, 0, 1)),
        (lambda a, b: a, (0, 1, 0, 0)),
        (lambda a, b: 2 * a + b, (0, 1, 1, 0)),
    ],
    ids=["and", "xor", "unique", "both"],
)
def test_gates(rule, expected):
    assert list(parts(gate(rule)).values()) == pytest.approx(expected, abs=1e-5)


def test_copy():
    joint = np.zeros((2, 2, 2))
    joint[0, 0, 0] = joint[1, 1, 1] = 0.5
    assert list(parts(joint).values()) == pytest.approx((1, 0, 0, 0), abs=1e-6)


@pytest.mark.parametrize("seed", range(4))
def test_random_tables(seed):
    joint = np.random.default_rng(seed).dirichlet(np.full(4 * 3 * 3, 0.7)).reshape(4, 3, 3)
    one, two = joint.sum(1), joint.sum(0)
    total = mutual_information(joint.reshape(-1, 3))
    found = decompose(one, two, total)
    assert min(found.values()) >= 0
    assert sum(found.values()) == pytest.approx(total, abs=1e-7)
    assert found["redundant"] + found["unique_1"] == pytest.approx(mutual_information(one), abs=1e-7)
    swapped = decompose(two, one, total)
    assert swapped["unique_2"] == pytest.approx(found["unique_1"], abs=1e-5)
    best = least_informative(one, two)
    np.testing.assert_allclose(best.sum(2).T, one, atol=1e-7)
    np.testing.assert_allclose(best.sum(1).T, two, atol=1e-7)
    # No feasible direction may go downhill: mass moved round a rectangle keeps both margins.
    value = mutual_information(best.reshape(3, -1).T)
    rng = np.random.default_rng(seed)
    for _ in range(200):
        y, (i, k), (j, m) = rng.integers(3), rng.choice(4, 2, replace=False), rng.choice(3, 2, replace=False)
        step = min(best[y, i, j], best[y, k, m]) * rng.random()
        other = best.copy()
        other[y, i, j] -= step
        other[y, k, m] -= step
        other[y, i, m] += step
        other[y, k, j] += step
        assert mutual_information(other.reshape(3, -1).T) > value - 1e-7


def test_merge_keeps_information_and_margins():
    joint = np.array([[0.1, 0.2], [0.05, 0.1], [0.3, 0.25], [0, 0]])
    merged = merge_equivalent(joint)
    assert merged.shape == (2, 2)
    np.testing.assert_allclose(merged.sum(0), joint.sum(0))
    assert mutual_information(merged) == pytest.approx(mutual_information(joint))


def test_many_at_once_are_each_alone():
    joint = np.random.default_rng(0).dirichlet(np.full(36, 0.7), size=5).reshape(5, 4, 3, 3)
    one, two = joint.sum(2), joint.sum(1)
    together = least_informative(one, two, rounds=200)
    alone = np.stack([least_informative(a, b, rounds=200) for a, b in zip(one, two, strict=True)])
    np.testing.assert_allclose(together, alone, atol=1e-7)
    assert union_information(together) == pytest.approx([float(union_information(q)) for q in alone], abs=1e-7)


def test_a_near_answer_saves_rounds():
    rng = np.random.default_rng(1)
    joint = rng.dirichlet(np.full(64, 0.5)).reshape(4, 4, 4)
    near = 0.97 * joint + 0.03 * rng.dirichlet(np.full(64, 0.5)).reshape(4, 4, 4)
    start = least_informative(joint.sum(1), joint.sum(0))
    margins = near.sum(1), near.sum(0)
    exact = float(union_information(least_informative(*margins)))
    warm, cold = (float(union_information(least_informative(*margins, start=s, rounds=20))) for s in (start, None))
    assert abs(warm - exact) < 1e-3 < abs(cold - exact)
    q = least_informative(*margins, start=start, rounds=20)
    np.testing.assert_allclose(q.sum(2).T, margins[0], atol=1e-4)


def test_a_label_that_never_occurs_changes_nothing():
    joint = np.random.default_rng(2).dirichlet(np.full(12, 0.7)).reshape(2, 3, 2)
    wider = np.concatenate([joint, np.zeros((2, 3, 1))], axis=2)
    values = [float(union_information(least_informative(j.sum(1), j.sum(0)))) for j in (joint, wider)]
    assert values[0] == pytest.approx(values[1], abs=1e-9)
