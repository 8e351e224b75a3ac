import numpy as np
import pandas as pd
import pytest

from omicsbal.pp import find_label, make_folds, rare_classes


def test_folds_are_stratified_complete_and_seeded():
    y = np.array(["a"] * 50 + ["b"] * 25 + ["c"] * 5)
    fold = make_folds(y, n_folds=5, random_state=1)
    assert pd.crosstab(y, fold).to_numpy().tolist() == [[10] * 5, [5] * 5, [1] * 5]
    np.testing.assert_array_equal(fold, make_folds(y, n_folds=5, random_state=1))
    assert (fold != make_folds(y, n_folds=5, random_state=2)).any()


@pytest.mark.parametrize(
    "y",
    [
        pd.Series(["a", "b", None] * 6),
        pd.Series(["a", "b", None] * 6, index=list("zyxwvutsrqponmlkji")).astype("category"),
        np.array([0, 1, -1] * 6),
        np.array([0.1, 2.0, np.nan] * 6),
    ],
)
def test_missing_labels_are_in_no_fold(y):
    fold = make_folds(y, n_folds=3)
    assert (fold[2::3] == -1).all()
    assert sorted(set(fold[np.arange(18) % 3 != 2])) == [0, 1, 2]


def test_a_class_smaller_than_the_folds_is_still_in_every_training_part():
    y = np.array([0] * 20 + [1, 1])
    fold = make_folds(y, n_folds=5)
    assert len(set(fold[y == 1])) == 2
    y = np.arange(6) // 2
    assert all(set(y[make_folds(y, n_folds=3) != k]) == {0, 1, 2} for k in range(3))


def test_a_class_of_one_row_is_refused():
    with pytest.raises(ValueError, match="class 'rare' only in fold"):
        make_folds(["a"] * 10 + ["rare"], n_folds=2)


def test_groups_are_not_split_and_every_training_part_has_every_class():
    rng = np.random.default_rng(0)
    groups = np.repeat([f"d{i}" for i in range(8)], 12)
    y = rng.integers(0, 3, 96)
    y[groups < "d2"] = 3  # two donors only
    for seed in range(10):
        fold = make_folds(y, n_folds=4, groups=groups, random_state=seed)
        assert (pd.Series(fold).groupby(groups).nunique() == 1).all()
        assert all(set(y[fold != k]) == {0, 1, 2, 3} for k in range(4))


def test_group_faults():
    y = ["a", "b"] * 6
    with pytest.raises(ValueError, match="Pass n_folds=3"):
        make_folds(y, n_folds=5, groups=[0, 1, 2] * 4)
    with pytest.raises(ValueError, match="2 labelled rows without one"):
        make_folds(y, n_folds=2, groups=["p", "q"] * 5 + [None, None])
    with pytest.raises(ValueError, match="expected 12 values; found 3"):
        make_folds(y, n_folds=2, groups=[0, 1, 2])
    with pytest.raises(ValueError, match="group_key"):
        make_folds(["a"] * 6 + ["b"] * 6, n_folds=2, groups=[0] * 6 + [1] * 6)


def test_a_continuous_target_is_spread_by_quantile():
    y = np.random.default_rng(0).lognormal(size=200)
    fold = make_folds(y, n_folds=5)
    assert np.bincount(fold).tolist() == [40] * 5
    medians = [np.median(np.log(y[fold == k])) for k in range(5)]
    assert np.ptp(medians) < 0.3


@pytest.mark.parametrize("n_folds", [1, 2.5, "5"])
def test_n_folds_must_be_an_integer_of_two_or_more(n_folds):
    with pytest.raises((ValueError, TypeError), match="n_folds"):
        make_folds(["a", "b"] * 5, n_folds=n_folds)


def test_more_folds_than_rows():
    with pytest.raises(ValueError, match="4 labelled rows"):
        make_folds(["a", "b"] * 2, n_folds=5)


def _labels() -> pd.Series:
    values = ["a"] * 9 + ["b"] * 6 + ["c"] * 3 + ["d"] * 2 + ["e"] + [None]
    return pd.Series(values).astype("category")


def test_drop_unlabels_and_says_so():
    y, n_folds, said = rare_classes(_labels(), n_folds=5, rare="drop")
    assert y.value_counts().to_dict() == {"a": 9, "b": 6}
    assert n_folds == 5
    assert said == "Dropped 3 classes with fewer than 5 rows, 6 rows in all: 'c' (3), 'd' (2), 'e' (1)."


def test_merge_makes_one_class_or_drops():
    y, _, said = rare_classes(_labels(), n_folds=5, rare="merge")
    assert y.value_counts().to_dict() == {"a": 9, "b": 6, "rare (merged)": 6}
    assert y.isna().sum() == 1
    assert "Merged into 'rare (merged)'" in said
    y, _, said = rare_classes(_labels()[lambda s: ~s.isin(["c", "e"])], n_folds=5, rare="merge")
    assert set(y.dropna()) == {"a", "b"}
    assert said.startswith("Too few rows to merge. Dropped 1 class")


def test_fewer_folds_follow_the_smallest_class():
    y, n_folds, said = rare_classes(_labels(), n_folds=5, rare="fewer_folds")
    assert n_folds == 2
    assert set(y.dropna()) == {"a", "b", "c", "d"}
    assert "from 5 to 2" in said
    assert "'e' (1)" in said
    make_folds(y, n_folds=n_folds)


def test_nothing_to_do_says_nothing_and_error_raises():
    plain = pd.Series(["a", "b"] * 5)
    y, n_folds, said = rare_classes(plain, n_folds=5, rare="error")
    pd.testing.assert_series_equal(y, plain)
    assert (n_folds, said) == (5, "")
    with pytest.raises(ValueError, match='rare="drop"'):
        rare_classes(_labels(), n_folds=5, rare="error")
    with pytest.raises(ValueError, match="Did you mean 'drop'"):
        rare_classes(_labels(), n_folds=5, rare="dropp")


def test_one_class_left_is_refused():
    with pytest.raises(ValueError, match=r"found 1 \('a'\): Dropped 1 class"):
        rare_classes(pd.Series(["a"] * 9 + ["b"]), n_folds=5)
    with pytest.raises(ValueError, match="found none"):
        rare_classes(pd.Series([None, None], dtype=object), n_folds=5)


@pytest.mark.parametrize("rare", ["drop", "merge", "fewer_folds"])
def test_real_rare_classes_can_be_folded(read, rare):
    y, n_folds, said = rare_classes(find_label(read("cite_bmmc_starter"), "cell_type"), n_folds=5, rare=rare)
    assert said
    fold = make_folds(y, n_folds=n_folds)
    assert ((fold == -1) == y.isna().to_numpy()).all()
