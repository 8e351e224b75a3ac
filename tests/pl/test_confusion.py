from itertools import pairwise

import numpy as np
import pandas as pd
import pytest

import omicsbal as ob


def by_hand(mdata):
    rows = mdata.uns["omicsbal"]["folds"] >= 0
    classes = list(mdata.uns["omicsbal"]["classes"])
    pairs = pd.crosstab(mdata.obs["y"][rows].astype(str), mdata.obs["omicsbal_y"][rows].astype(str))
    return pairs.reindex(index=classes, columns=classes, fill_value=0).to_numpy()


@pytest.mark.parametrize("n_classes", [2, 3, 12, 40])
def test_matrix_against_crosstab(fitted, n_classes):
    mdata = fitted(n=600, classes=[f"class {i}" for i in range(n_classes)])
    counts = by_hand(mdata)
    ax = ob.pl.confusion(mdata)
    image = ax.images[0].get_array()
    np.testing.assert_allclose(image, counts / counts.sum(axis=1, keepdims=True))
    np.testing.assert_allclose(image.sum(axis=1), 1)
    np.testing.assert_array_equal(ob.pl.confusion(mdata, normalize=False).images[0].get_array(), counts)
    assert len(ax.texts) == (np.count_nonzero(counts) if n_classes <= 12 else 0)
    ticks = [text.get_text() for text in ax.get_yticklabels()]
    assert ticks[0] == f"class 0 ({counts[0].sum()})" and len(ticks) == len(ax.get_xticklabels()) == n_classes
    assert "n = 599" in ax.get_title(loc="left") and "macro-F1" in ax.get_title(loc="left")


def test_rows_not_trained_on_do_not_count(fitted):
    mdata = fitted()
    before = ob.pl.confusion(mdata).images[0].get_array()
    mdata.obs.iloc[0, mdata.obs.columns.get_loc("omicsbal_y")] = "NK"
    mdata.obs.iloc[0, mdata.obs.columns.get_loc("y")] = "B cell"
    np.testing.assert_array_equal(ob.pl.confusion(mdata).images[0].get_array(), before)


def test_merged_classes_count_as_the_class_they_were_trained_as(fitted):
    mdata = fitted(classes=("a", "b", "rare (merged)"))
    counts = by_hand(mdata)
    mdata.obs["y"] = mdata.obs["y"].cat.rename_categories({"rare (merged)": "once"})
    np.testing.assert_array_equal(ob.pl.confusion(mdata, normalize=False).images[0].get_array(), counts)


def test_a_label_changed_since_the_fit_is_refused(fitted):
    mdata = fitted()
    mdata.obs["y"] = mdata.obs["y"].cat.rename_categories({"NK": "natural killer"})
    with pytest.raises(ValueError, match="natural killer"):
        ob.pl.confusion(mdata)


def test_tick_labels_do_not_overlap(fitted):
    names = [f"a rather long name of a cell type, number {i}" for i in range(40)]
    ax = ob.pl.confusion(fitted(n=400, classes=names))
    ax.figure.canvas.draw()
    boxes = [text.get_window_extent() for text in ax.get_yticklabels()]
    assert all(low.y0 >= high.y1 - 1 or high.y0 >= low.y1 - 1 for low, high in pairwise(boxes))
    assert min(box.x0 for box in boxes) >= 0


def test_regression_is_refused(fitted):
    with pytest.raises(ValueError, match=r"ob\.pl\.calibration"):
        ob.pl.confusion(fitted(regression=True))


def test_a_subset_of_rows_is_refused(fitted):
    with pytest.raises(ValueError, match="300 for 100 rows"):
        ob.pl.confusion(fitted()[:100].copy())
