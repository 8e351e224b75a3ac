import numpy as np
import pytest

from omicsbal.mi import _learners, probe
from omicsbal.mi._design import MERGED, N_FOLDS, design
from omicsbal.mi._rows import matrix
from omicsbal.mi.probe import usable

LIGHT = ("logistic", "small_kernel")


def classes(n, *, shift=1.0, c=3, d=4, seed=0):
    rng = np.random.default_rng(seed)
    y = rng.choice(c, size=n)
    return rng.normal(size=(n, d)) + shift * np.eye(c, d)[y] * 2, y


def stub(learned):
    """A learner that knows nothing and notes which rows it was given."""

    def _learn(x, y, new, n_classes, random_state):
        learned.append((x, y, new))
        return np.full((1, len(new), n_classes), -np.log(n_classes))

    return _learn


def test_separable_classes_give_all_of_their_entropy():
    y = np.repeat([0, 1], 100)
    z = np.random.default_rng(0).normal(size=(200, 2)) + 20 * y[:, None]
    found = usable(z, y)
    assert found.entropy == pytest.approx(np.log(2))
    assert np.log(2) - 0.02 < found.value <= found.entropy


@pytest.mark.parametrize("n", [100, 400])
def test_shuffled_labels_give_nothing(n):
    z, y = classes(n)
    shuffled = [usable(z, np.random.default_rng(s).permutation(y), learners=LIGHT).value for s in range(4)]
    assert min(shuffled) >= 0 and max(shuffled) < 0.03


@pytest.mark.slow
def test_shuffled_labels_give_nothing_to_all_learners_together():
    z, y = classes(150)
    assert usable(z, np.random.default_rng(0).permutation(y)).value < 0.03


@pytest.mark.slow
@pytest.mark.parametrize(("blobs", "linear"), [("three a class", 0.75), ("xor", 0.1)])
def test_the_mixture_finds_what_a_linear_probe_cannot(blobs, linear):
    rng = np.random.default_rng(1)
    if blobs == "xor":
        corner = rng.integers(0, 2, size=(600, 2))
        y, z = corner[:, 0] ^ corner[:, 1], 4.0 * corner + rng.normal(size=(600, 2))
    else:
        place = rng.integers(0, 9, size=600)
        y, z = place % 3, 5.0 * np.stack([place // 3, place % 3 * 2 % 3], 1) + rng.normal(size=(600, 2))
        y = (place + place // 3) % 3
    z = np.hstack([z, rng.normal(size=(600, 3))])
    found, alone = usable(z, y), usable(z, y, learners=["logistic"])
    assert found.value > 0.75 * found.entropy
    assert alone.value < linear * found.value
    assert found.weights["logistic"] < 0.2 and sum(found.weights.values()) == pytest.approx(1)


def test_gain_log_proba_and_value_belong_together():
    z, y = classes(200)
    names = np.array(["B", "NK", "T"])[y]
    found = usable(z, names, learners=LIGHT)
    assert found.classes == ("B", "NK", "T")
    np.testing.assert_allclose(np.exp(found.log_proba).sum(1), 1)
    share = np.bincount(y) / len(y)
    np.testing.assert_allclose(found.gain, found.log_proba[np.arange(200), y] - np.log(share[y]))
    assert found.value == pytest.approx(found.gain.mean()) and found.entropy == pytest.approx(-(share * np.log(share)).sum())
    assert found.se == pytest.approx(found.gain.std(ddof=1) / np.sqrt(200))


def test_standard_error_is_the_scatter_over_samples():
    found = [usable(*classes(300, shift=0.6, seed=s), learners=["logistic"]) for s in range(16)]
    assert np.mean([f.se for f in found]) == pytest.approx(np.std([f.value for f in found], ddof=1), rel=0.5)


def test_order_of_rows_changes_nothing():
    z, y = classes(120)
    groups, moved = np.arange(120) // 4, np.random.default_rng(3).permutation(120)
    for arguments in ({}, {"groups": groups}, {"folds": groups % 3}):
        plain = usable(z, y, learners=LIGHT, **arguments)
        other = usable(z[moved], y[moved], learners=LIGHT, **{k: v[moved] for k, v in arguments.items()})
        assert plain.value == other.value and plain.se == other.se
        assert np.array_equal(plain.log_proba[moved], other.log_proba) and np.array_equal(plain.folds[moved], other.folds)


@pytest.mark.slow
def test_one_seed_one_result():
    z, y = classes(90)
    first, again, other = (usable(z, y, random_state=seed).log_proba for seed in (1, 1, 2))
    assert np.array_equal(first, again) and not np.array_equal(first, other)


def test_units_change_nothing():
    z, y = classes(100)
    plain, other = (usable(x, y, learners=LIGHT).value for x in (z, 1000 * z + 5))
    assert plain == pytest.approx(other, abs=1e-4)


def test_groups_are_never_split_and_widen_the_error():
    rng = np.random.default_rng(0)
    groups = np.repeat(np.arange(30), 10)
    y = rng.integers(0, 2, size=300)
    easy = np.repeat(rng.normal(size=30), 10)  # some donors are clear, some are reversed
    z = (2 * y - 1.0)[:, None] * (0.7 + 1.5 * easy[:, None]) + 0.3 * rng.normal(size=(300, 1))
    found = usable(z, y, groups=groups, learners=["logistic"])
    assert all(len(set(found.folds[groups == g])) == 1 for g in range(30)) and set(found.folds) == set(range(N_FOLDS))
    alone = usable(z, y, folds=found.folds, learners=["logistic"])
    assert alone.value == pytest.approx(found.value, abs=1e-6) and found.se > 1.5 * alone.se


def test_folds_of_the_caller_are_used_and_may_not_split_a_group():
    z, y = classes(60)
    folds = np.arange(60) % 3
    assert np.array_equal(usable(z, y, folds=folds, learners=["logistic"]).folds, folds)
    with pytest.raises(ValueError, match="group in several"):
        usable(z, y, folds=folds, groups=np.arange(60) // 2, learners=["logistic"])


def test_no_row_is_in_its_own_fit(monkeypatch):
    learned = []
    monkeypatch.setitem(probe.LEARNERS, "stub", stub(learned))
    z, y = classes(60)
    usable(z, y, learners=["stub"])
    assert len(learned) == N_FOLDS and sum(len(new) for _, _, new in learned) == 60
    for x, _, new in learned:
        assert not (x[:, None] == new[None]).all(-1).any()


def test_many_rows_are_fitted_on_some_and_all_scored(monkeypatch):
    learned = []
    monkeypatch.setitem(probe.LEARNERS, "stub", stub(learned))
    monkeypatch.setattr(probe, "PLENTY", 100)
    z, y = classes(400)
    assert usable(z, y, learners=["stub"]).value == 0
    assert all(80 <= len(x) <= 100 and len(np.unique(y)) == 3 for x, y, _ in learned)
    assert sum(len(new) for _, _, new in learned) == 400


def test_rare_classes_are_merged_and_named():
    z, y = classes(200)
    names = np.array(["B", "NK", "T"])[y].astype(object)
    names[:6], names[6:12] = "pDC", "ILC"
    found = usable(z, names, learners=["logistic"])
    assert found.classes == ("B", "NK", "T", MERGED) and found.log_proba.shape == (200, 4)
    assert "'ILC'" in found.notes[0] and "'pDC'" in found.notes[0] and "'B'" not in found.notes[0]
    names[:12] = "pDC"  # alone: merging would change nothing
    assert usable(z, names, learners=["logistic"]).classes == ("B", "NK", "T", "pDC")


def test_a_class_too_small_for_the_folds_joins_the_smallest():
    z, y = classes(200)
    y[y == 2] = np.where(np.arange((y == 2).sum()) < 30, 2, 0)
    y[:3] = 7
    found = usable(z, y, learners=["logistic"])
    assert found.classes == ("0", "1", MERGED) and "'7'" in found.notes[0] and "'2'" in found.notes[0]


def test_classes_are_not_rare_where_all_rows_are_few():
    y = np.repeat(np.arange(6), 10)
    z = np.random.default_rng(0).normal(size=(60, 6)) + 8 * np.eye(6)[y]
    found = usable(z, y, learners=["logistic"])
    assert len(found.classes) == 6 and not found.notes and found.value > 0.9 * np.log(6)


def test_a_class_in_one_fold_only_costs_its_rows_but_does_not_fail():
    z, y = classes(200)
    y[:40] = 5
    folds = np.where(y == 5, 0, 1 + np.arange(200) % 3)
    found = usable(z, y, folds=folds, learners=LIGHT)
    assert np.isfinite(found.log_proba).all() and found.gain[y == 5].max() < 0 <= found.value


def test_few_groups_make_few_folds():
    z, y = classes(60)
    assert set(usable(z, y, groups=np.arange(60) % 3, learners=["logistic"]).folds) == {0, 1, 2}
    with pytest.raises(ValueError, match="groups"):
        usable(z, y, groups=np.zeros(60), learners=["logistic"])


def test_folds_are_stratified():
    z, y = classes(100)
    plan = design(matrix("z", z), y, folds=None, groups=None, random_state=0)
    table = np.array([np.bincount(plan.y[plan.folds == k], minlength=3) for k in range(5)])
    assert (np.ptp(table, axis=0) <= 1).all()


@pytest.mark.parametrize("name", list(_learners.LEARNERS))
def test_every_learner_gives_log_probabilities_of_all_settings(name):
    z, y = classes(60)
    found = _learners.LEARNERS[name](z[:50], y[:50] * 2, z[50:], 6, 0)  # classes 1, 3, 5 are never met
    assert found.ndim == 3 and found.shape[1:] == (10, 6) and len(found) > 1
    assert np.isfinite(found).all() and (found <= 1e-9).all()
    assert np.exp(found[:, :, [1, 3, 5]]).max() < 0.02


@pytest.mark.parametrize(
    ("change", "error", "said"),
    [
        ({"y": np.zeros(60)}, ValueError, "classes"),
        ({"y": np.arange(60) / 7}, ValueError, "decimals"),
        ({"y": np.zeros(59)}, ValueError, "shape"),
        ({"y": np.array(["a", None] * 30, dtype=object)}, ValueError, "missing"),
        ({"z": np.full((60, 2), np.nan)}, ValueError, "finite"),
        ({"z": np.zeros((10, 2)), "y": np.arange(10) % 2}, ValueError, "20 rows"),
        ({"learners": ["forest"]}, ValueError, "learners"),
        ({"folds": np.zeros(60)}, ValueError, "folds"),
        ({"folds": np.full(60, -1)}, ValueError, "missing"),
        ({"groups": np.array([np.nan] * 60)}, ValueError, "missing"),
    ],
)
def test_what_cannot_be_used_is_said(change, error, said):
    z, y = classes(60)
    arguments = {"z": z, "y": y, "learners": ["logistic"]} | change
    with pytest.raises(error, match=said):
        usable(arguments.pop("z"), arguments.pop("y"), **arguments)
