import numpy as np
import pytest

from omicsbal.graph.affinity import affinity
from omicsbal.graph.snf import LARGE, MOST_ROWS, full_kernel, fuse, nearest, sparse_kernel

W1 = np.array([[1.0, 0.5, 0.1], [0.5, 1.0, 0.3], [0.1, 0.3, 1.0]])
W2 = np.array([[1.0, 0.2, 0.4], [0.2, 1.0, 0.2], [0.4, 0.2, 1.0]])


def same_label(index, label):
    return (label[index] == label[:, None]).mean()


def slow_fuse(affinities, neighbours, rounds):
    """The definition for complete data with plain loops and dense arrays."""
    kernels, sparse = [], []
    for w in affinities:
        n = len(w)
        p, s = np.zeros((n, n)), np.zeros((n, n))
        for i in range(n):
            others = sum(w[i, j] for j in range(n) if j != i)
            for j in range(n):
                p[i, j] = 0.5 if i == j else w[i, j] / (2 * others)
            kept = sorted(range(n), key=lambda j: -w[i, j])[:neighbours]
            for j in kept:
                s[i, j] = w[i, j] / sum(w[i, k] for k in kept)
        kernels.append((p + p.T) / 2)
        sparse.append(s)
    for _ in range(rounds):
        new = []
        for v, s in enumerate(sparse):
            mean = sum(p for k, p in enumerate(kernels) if k != v) / (len(kernels) - 1)
            p = s @ mean @ s.T + np.eye(len(s))
            new.append((p + p.T) / 2)
        kernels = new
    fused = sum(kernels) / len(kernels)
    fused = fused / fused.sum(1, keepdims=True)
    return (fused + fused.T) / 2


def test_full_kernel_by_hand():
    # off-diagonal row sums 0.6, 0.8, 0.4, so P = [[1/2, 5/12, 1/12], [5/16, 1/2, 3/16], [1/8, 3/8, 1/2]]; symmetrised
    a, b, c = (5 / 12 + 5 / 16) / 2, (1 / 12 + 1 / 8) / 2, (3 / 16 + 3 / 8) / 2
    np.testing.assert_allclose(full_kernel(W1), [[0.5, a, b], [a, 0.5, c], [b, c, 0.5]])


def test_sparse_kernel_by_hand():
    # K = 2: rows keep themselves and their best other: 1 : 0.5, 0.5 : 1, 0.3 : 1
    expected = [[2 / 3, 1 / 3, 0], [1 / 3, 2 / 3, 0], [0, 3 / 13, 10 / 13]]
    np.testing.assert_allclose(sparse_kernel(W1, neighbours=2).toarray(), expected)
    np.testing.assert_allclose(sparse_kernel(W1, neighbours=9).toarray(), W1 / W1.sum(1, keepdims=True))


def test_two_rows_and_one_round_by_hand():
    # With two rows P is 1/2 everywhere for any affinity; S = [[.8, .2], [.2, .8]] for an affinity of 1/4.
    # S P S^T = 1/2 everywhere, since the rows of S sum to 1; + I gives [[1.5, .5], [.5, 1.5]], of row sum 2
    w = np.array([[1, 0.25], [0.25, 1]])
    np.testing.assert_allclose(fuse({"a": w, "b": w}, rounds=1), [[0.75, 0.25], [0.25, 0.75]])
    # a second round: P = [[1.5, .5], [.5, 1.5]] = 1/2 + I, S P S^T = 1/2 + S S^T = 1/2 + [[.68, .32], [.32, .68]]; + I
    # gives [[2.18, .82], [.82, 2.18]], of row sum 3
    np.testing.assert_allclose(fuse({"a": w, "b": w}, rounds=2), np.array([[2.18, 0.82], [0.82, 2.18]]) / 3)


def test_three_rows_and_one_round_by_hand():
    # K = 1: S is the identity, so one round hands each modality the other's kernel plus the identity
    mean = (full_kernel(W1) + full_kernel(W2)) / 2 + np.eye(3)
    expected = mean / mean.sum(1, keepdims=True)
    np.testing.assert_allclose(fuse({"a": W1, "b": W2}, neighbours=1, rounds=1), (expected + expected.T) / 2)


@pytest.mark.parametrize("m", [2, 3, 4])
@pytest.mark.parametrize(("neighbours", "rounds"), [(2, 1), (4, 3), (20, 20)])
def test_it_is_the_definition(m, neighbours, rounds):
    rng = np.random.default_rng(0)
    affinities = [affinity(rng.normal(size=(25, 3))) for _ in range(m)]
    fused = fuse(dict(enumerate(affinities)), neighbours=neighbours, rounds=rounds)
    np.testing.assert_allclose(fused, slow_fuse(affinities, neighbours, rounds), rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("missing", [0.0, 0.4])
def test_symmetric_and_non_negative(blobs, missing):
    x, _ = blobs(60)
    present = {m: np.random.default_rng(i).random(60) >= missing for i, m in enumerate(x)}
    fused = fuse({m: affinity(v) for m, v in x.items()}, present)
    assert np.array_equal(fused, fused.T) and (fused >= 0).all() and np.isfinite(fused).all()


@pytest.mark.parametrize("missing", [0.0, 0.4])
def test_permuting_rows_permutes_it(blobs, missing):
    x, _ = blobs(60)
    present = {m: np.random.default_rng(i).random(60) >= missing for i, m in enumerate(x)}
    order = np.random.default_rng(9).permutation(60)
    square = np.ix_(order, order)
    w = {m: affinity(v) for m, v in x.items()}
    moved = fuse({m: v[square] for m, v in w.items()}, {m: p[order] for m, p in present.items()})
    np.testing.assert_allclose(moved, fuse(w, present)[square], rtol=1e-8, atol=1e-12)


def test_the_order_of_modalities_does_not_matter(blobs):
    w = {m: affinity(v) for m, v in blobs(60)[0].items()}
    np.testing.assert_allclose(fuse(w), fuse(dict(reversed(w.items()))), rtol=1e-9)


def test_one_modality_gives_its_own_affinity(blobs):
    w = affinity(blobs(60)[0]["a"])
    np.testing.assert_allclose(fuse({"a": w}), (lambda p: (p / p.sum(1, keepdims=True) + p / p.sum(0)) / 2)(full_kernel(w)))
    index, _ = nearest(fuse({"a": w}), k=5)
    strongest = np.argsort(-(w / (w.sum(1) - 1)[:, None] + w / (w.sum(1) - 1)), axis=1)
    shared = [len(set(mine) & set(row[row != i][:5])) for i, (mine, row) in enumerate(zip(index, strongest, strict=True))]
    assert np.mean(shared) > 4.8, "apart from the row sums nothing has changed"


@pytest.mark.parametrize("seed", range(3))
def test_fused_neighbours_share_the_label(blobs, seed):
    """Three groups, n = 150: codebases.md reports .88 to .95 for fusion by the definition, and less than .01 for muon's."""
    x, label = blobs(150, seed=seed, spread=0.55)
    alone = [same_label(nearest(affinity(v), k=10)[0], label) for v in x.values()]
    fused = same_label(nearest(fuse({m: affinity(v) for m, v in x.items()}), k=10)[0], label)
    assert fused > 0.85 and fused > max(alone)


def test_kept_neighbours_are_the_nearest(blobs):
    fused = fuse({m: affinity(v) for m, v in blobs(50)[0].items()})
    index, weight = nearest(fused, k=7)
    bare = fused.copy()
    np.fill_diagonal(bare, -1)
    for i in range(50):
        assert i not in index[i] and len(set(index[i])) == 7
        assert bare[i, index[i]].min() >= np.delete(bare[i], index[i]).max()
        np.testing.assert_allclose(weight[i], fused[i, index[i]] / fused[i, index[i]].sum())
        assert (np.diff(weight[i]) <= 0).all()


def test_rows_with_fewer_neighbours_are_padded_with_themselves_at_weight_zero():
    index, weight = nearest(np.array([[1.0, 0.2, 0.0], [0.2, 1.0, 0.0], [0.0, 0.0, 1.0]]), k=5)
    assert index.tolist() == [[1, 0], [0, 1], [2, 2]] and weight.tolist() == [[1, 0], [1, 0], [0, 0]]
    assert [part.tolist() for part in nearest(np.ones((1, 1)), k=3)] == [[[0]], [[0.0]]]


class TestMissing:
    def test_pairs_without_a_shared_modality_are_not_linked(self, blobs):
        x, _ = blobs(60)
        rows = np.arange(60)
        present = {"a": rows % 4 != 1, "b": rows % 4 != 2}  # a quarter has b alone, a quarter a alone
        fused = fuse({m: affinity(v) for m, v in x.items()}, present)
        only_a, only_b = ~present["b"], ~present["a"]
        assert not fused[np.ix_(only_a, only_b)].any() and (fused[np.ix_(only_a, only_a)] > 0).all()
        assert (fused[np.ix_(only_a, present["a"])] > 0).all() and (fused[np.ix_(only_b, present["b"])] > 0).all()

    def test_values_where_absent_change_nothing(self, blobs):
        w = {m: affinity(v) for m, v in blobs(40)[0].items()}
        present = {"a": np.arange(40) % 3 > 0, "b": np.ones(40, dtype=bool)}
        spoilt = w["a"].copy()
        spoilt[~present["a"]] = np.nan
        spoilt[:, ~present["a"]] = -7
        assert np.array_equal(fuse({**w, "a": spoilt}, present), fuse(w, present))

    def test_a_modality_that_nobody_has_is_as_good_as_none(self, blobs):
        w = {m: affinity(v) for m, v in blobs(40)[0].items()}
        nobody, all_ = np.zeros(40, dtype=bool), np.ones(40, dtype=bool)
        three = fuse({**w, "c": w["a"]}, {"a": all_, "b": all_, "c": nobody})
        np.testing.assert_allclose(three, fuse(w), rtol=1e-10)

    def test_a_row_that_has_nothing_is_linked_to_nothing(self, blobs):
        w = {m: affinity(v) for m, v in blobs(40)[0].items()}
        here = np.arange(40) > 0
        fused = fuse(w, {"a": here, "b": here})
        assert not fused[0].any() and not fused[:, 0].any()
        square = np.ix_(here, here)
        np.testing.assert_allclose(fused[square], fuse({m: v[square] for m, v in w.items()}), rtol=1e-10)

    def test_the_labels_are_still_shared(self, blobs):
        x, label = blobs(150, spread=0.55)
        present = {m: np.random.default_rng(i).random(150) >= 0.3 for i, m in enumerate(x)}
        present["a"] |= ~present["b"]
        assert same_label(nearest(fuse({m: affinity(v) for m, v in x.items()}, present), k=10)[0], label) > 0.75


def test_large_inputs_are_fused_in_single_precision_alike(monkeypatch, blobs):
    w = {m: affinity(v) for m, v in blobs(60)[0].items()}
    exact = fuse(w)
    monkeypatch.setattr("omicsbal.graph.snf.LARGE", 60)
    single = fuse(w)
    assert LARGE > 60 and exact.dtype == np.float64 and single.dtype == np.float32
    np.testing.assert_allclose(single, exact, rtol=1e-4)


def test_too_many_rows_are_refused_with_a_way_out():
    many = np.broadcast_to(np.float32(1), (MOST_ROWS + 1, MOST_ROWS + 1))
    with pytest.raises(ValueError, match=r"at most 5000; found 5001.*encoder='mlp'"):
        fuse({"a": many})


@pytest.mark.parametrize(
    ("affinities", "message"),
    [
        ({}, "square arrays"),
        ({"a": np.ones((2, 3))}, "square arrays"),
        ({"a": np.ones((2, 2)), "b": np.ones((3, 3))}, "one shape"),
        ({"a": np.array([[1, -0.1], [-0.1, 1]])}, "at least 0"),
        ({"a": np.array([[1, np.nan], [np.nan, 1]])}, "finite"),
    ],
)
def test_what_is_no_affinity_is_refused(affinities, message):
    with pytest.raises(ValueError, match=message):
        fuse(affinities)
