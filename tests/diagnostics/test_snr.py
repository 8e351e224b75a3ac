"""Signal-to-noise ratios against worlds where they can be written down."""

import numpy as np
import pytest
import scipy.sparse as sp
from sklearn.preprocessing import FunctionTransformer, StandardScaler

from omicsbal.diagnostics import snr_classes
from omicsbal.diagnostics._jackknife import BLOCKS, block_sums, jackknife, make_blocks, make_folds
from omicsbal.diagnostics.snr import cross_snr, fragments, split_snr, thin
from omicsbal.diagnostics.snr_classes import FEW_OF_A_CLASS, label_snr


def _dense(x):
    return x.toarray() if sp.issparse(x) else x


AS_THEY_ARE = FunctionTransformer(_dense, accept_sparse=True)


@pytest.fixture
def few_permutations(monkeypatch):
    monkeypatch.setattr(snr_classes, "PERMUTATIONS", 19)


def gamma_poisson(n, p, *, mean, spread, seed):
    """Counts of expected value `mean` whose expected values vary by `spread`, their sd over mean: SNR^2 = mean spread^2."""
    rng = np.random.default_rng(seed)
    return rng.poisson(rng.gamma(1 / spread**2, mean * spread**2, (n, p)))


@pytest.mark.parametrize(("mean", "spread"), [(0.4, 0.5), (2.0, 0.5), (10.0, 0.5), (0.2, 2.0)])
def test_halves_give_the_signal_at_full_depth(mean, spread):
    counts = gamma_poisson(3000, 20, mean=mean, spread=spread, seed=1)
    found = split_snr(counts, AS_THEY_ARE, folds=np.arange(3000) % 3)
    truth = mean * spread**2
    assert found.low < truth < found.high and found.value == pytest.approx(truth, rel=0.2) and found.n == 3000
    assert found.high - found.low < truth


def test_sparse_and_dense_counts_agree_and_the_seed_decides():
    counts = gamma_poisson(300, 10, mean=3.0, spread=0.7, seed=0)
    folds = np.arange(300) % 3
    dense, stored = split_snr(counts, AS_THEY_ARE, folds=folds), split_snr(counts, AS_THEY_ARE, folds=folds, random_state=1)
    assert dense == split_snr(counts, AS_THEY_ARE, folds=folds) and dense.value != stored.value
    scarce = sp.csr_matrix(counts)
    before = scarce.copy()
    one, other = thin(scarce, random_state=3)
    np.testing.assert_array_equal((one + other).toarray(), counts)
    np.testing.assert_array_equal(scarce.toarray(), before.toarray())
    assert one.sum() / counts.sum() == pytest.approx(0.5, abs=0.02)
    assert not (one.data == 0).any() and not (other.data == 0).any()


def test_the_recipe_learns_from_the_first_half_of_other_cells_alone():
    seen = []

    class Watch(StandardScaler):
        def fit(self, X, y=None):
            seen.append(X.copy())
            return super().fit(X)

    counts = gamma_poisson(90, 6, mean=5.0, spread=0.5, seed=0)
    folds = np.arange(90) % 3
    split_snr(counts, Watch(), folds=folds, random_state=5)
    first, _ = thin(counts, random_state=5)
    assert len(seen) == 3 and all(np.array_equal(x, first[folds != k]) for k, x in enumerate(seen))


def test_cut_sites_become_fragments():
    ends = 2 * np.random.default_rng(0).poisson(0.5, (500, 30))
    assert split_snr(ends, AS_THEY_ARE, folds=np.arange(500) % 3).low > 0.5, "pairs of ends look like signal"
    halved, were = fragments(sp.csr_matrix(ends))
    assert were and split_snr(halved, AS_THEY_ARE, folds=np.arange(500) % 3).low < 0.02
    single = sp.csr_matrix(np.random.default_rng(0).poisson(0.5, (500, 30)))
    assert fragments(single)[0] is single and not fragments(single)[1]
    assert fragments(ends)[0].max() == ends.max() / 2


def classes(n, d, *, shift, seed, n_classes=4):
    rng = np.random.default_rng(seed)
    y = rng.integers(0, n_classes, n)
    return rng.normal(size=(n, d)) + shift * rng.normal(size=(n_classes, d))[y], y


def test_label_form_is_free_of_the_bias_that_the_plain_ratio_has(few_permutations):
    """Many columns, few cells: the plain ratio of mean squares between and within finds 0.02 in noise."""
    found = [label_snr(*classes(200, 500, shift=0.0, seed=s))[0] for s in range(8)]
    assert np.mean([f.value for f in found]) == pytest.approx(0, abs=0.0008)
    assert sum(f.low < 0 < f.high for f in found) >= 7
    assert sum(f.p <= 0.05 for f in found) <= 3


def test_label_form_against_a_known_variance_between_classes(few_permutations):
    rng = np.random.default_rng(0)
    y = np.repeat(np.arange(3), [60, 120, 220])
    centres = np.array([[2.0, 0], [0, 1.0], [-1.0, 0]])
    values = [label_snr(centres[y] + rng.normal(size=(400, 2)), y)[1] for _ in range(60)]
    mean = np.array([60, 120, 220]) @ centres / 400
    truth = ((centres - mean) ** 2).sum(1) / 2
    found = np.array([[e.value for e in each] for each in values])
    np.testing.assert_allclose(found.mean(axis=0), truth, rtol=0.03)
    assert np.mean([[e.low < t < e.high for e, t in zip(each, truth, strict=True)] for each in values]) > 0.85
    assert [e.n for e in values[0]] == [60, 120, 220] and all(e.p == 0.05 for e in values[0])


def test_a_class_is_not_taken_for_signal_because_it_is_rare(few_permutations):
    rng = np.random.default_rng(0)
    y = np.repeat([0, 1], [6, 294])
    values = [label_snr(rng.normal(size=(300, 40)), y)[1][0].value for _ in range(40)]
    assert np.mean(values) == pytest.approx(0, abs=0.03), "1/6 if sampling were not taken off"


def test_few_cells_of_a_class():
    x, y = classes(100, 3, shift=1.0, seed=0)
    y[: FEW_OF_A_CLASS - 1] = 4
    y[FEW_OF_A_CLASS - 1 :] %= 4
    overall, each = label_snr(x, y)
    assert np.isnan(each[4].value) and each[4].n == FEW_OF_A_CLASS - 1
    assert np.isfinite([overall.value, overall.low, each[0].value]).all()
    with pytest.raises(ValueError, match="expected at least two classes; found 1"):
        label_snr(x, np.zeros(100, dtype=int))


def test_donors_are_permuted_whole_where_they_have_one_label():
    """Twelve donors that differ, each with one label: cells say p = 0.005, donors do not."""
    rng = np.random.default_rng(3)
    donor = np.repeat(np.arange(12), 30)
    x, y = rng.normal(size=(360, 4)) + rng.normal(size=(12, 4))[donor], (np.arange(12) % 2)[donor]
    cells, donors = label_snr(x, y)[0], label_snr(x, y, groups=donor)[0]
    assert cells.p == 0.005 and donors.p > 0.05
    assert donors.value == pytest.approx(cells.value) and donors.high - donors.low > cells.high - cells.low
    assert donors.low < 0 < donors.high


def test_within_donors_where_labels_vary_there():
    """Composition that follows the donor is not signal of the label within donors."""
    rng, found = np.random.default_rng(0), []
    donor = np.repeat(np.arange(6), 60)
    for _ in range(5):
        y = (rng.random(360) < np.where(donor < 3, 0.2, 0.8)).astype(int)
        x = rng.normal(size=(360, 4)) + 2.0 * (donor < 3)[:, None]
        found.append((label_snr(x, y)[0].p, label_snr(x, y, groups=donor)[0].p))
    assert {cells for cells, _ in found} == {0.005} and np.median([donors for _, donors in found]) > 0.05


def test_shared_information_of_gaussians():
    rng, rho = np.random.default_rng(0), np.array([0.8, 0.5, 0, 0])
    inside = 0
    for _ in range(10):
        a, e = rng.normal(size=(2, 1500, 4))
        b = rho * a + np.sqrt(1 - rho**2) * e
        turn = np.linalg.qr(rng.normal(size=(4, 4)))[0]
        signal, nats = cross_snr([a] * 3, [b @ turn] * 3, folds=np.arange(1500) % 3)
        inside += nats.low < -0.5 * np.log(1 - rho**2).sum() < nats.high
        assert signal.value == pytest.approx((rho**2 / (1 - rho**2)).sum(), rel=0.25)
    assert inside >= 7


def test_nothing_shared_covers_zero():
    rng = np.random.default_rng(0)
    found = [cross_snr([a] * 3, [b] * 3, folds=np.arange(200) % 3)[1] for a, b in rng.normal(size=(20, 2, 200, 15))]
    assert sum(f.low < 0 < f.high for f in found) >= 16
    assert abs(np.mean([f.value for f in found])) < 0.01, "in-sample it would be above 0.5 nats"


def test_a_copy_is_finite():
    a = np.random.default_rng(0).normal(size=(100, 3))
    signal, nats = cross_snr([a] * 2, [a] * 2, folds=np.arange(100) % 2)
    assert np.isfinite([signal.value, nats.value]).all() and nats.value > 3


def test_blocks_and_folds():
    donors = np.array(["b", "a", "b", "c"] * 25)
    assert make_blocks(100, groups=donors).tolist()[:4] == [1, 0, 1, 2]
    strata = np.repeat([0, 1], [20, 80])
    blocks = make_blocks(100, groups=None, strata=strata)
    assert np.bincount(blocks).tolist() == [3] * 20 + [2] * 20 and blocks.max() + 1 == BLOCKS
    assert np.bincount(blocks[strata == 0], minlength=BLOCKS).max() == 1
    folds = make_folds(100, groups=donors, n_folds=3)
    assert {len(set(folds[donors == d])) for d in "abc"} == {1} and set(folds) == {0, 1, 2}
    assert np.bincount(make_folds(90, groups=None, n_folds=3)).tolist() == [30] * 3


def test_one_block_has_no_interval():
    found = jackknife(np.array([[3.0, 2.0]]), lambda s: s[:, 0] / s[:, 1], n=7, level=0.95)
    assert (found.value, found.n) == (1.5, 7) and np.isnan([found.low, found.high]).all()
    sums = block_sums(np.array([[1.0], [2.0], [4.0]]), np.array([0, 1, 0]))
    assert sums.tolist() == [[5.0], [2.0]]
