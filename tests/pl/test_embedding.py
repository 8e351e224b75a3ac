import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_hex

import omicsbal as ob
from omicsbal.pl._style import FAINT


def colors_drawn(ax):
    return {to_hex(color).upper() for collection in ax.collections for color in collection.get_facecolors()}


def points_drawn(ax):
    return sum(len(collection.get_offsets()) for collection in ax.collections)


def test_colours_are_written_and_then_read(fitted):
    mdata = fitted()
    ax = ob.pl.embedding(mdata, basis="pca")
    assert list(mdata.uns["y_colors"]) == ["#0072B2", "#E69F00", "#009E73"]
    assert colors_drawn(ax) == {*mdata.uns["y_colors"], FAINT}
    mdata.uns["y_colors"] = np.array(["#111111", "#222222", "#333333"])
    assert colors_drawn(ob.pl.embedding(mdata, basis="pca")) == {"#111111", "#222222", "#333333", FAINT}


def test_colours_of_a_modality_are_taken_over_and_too_few_are_replaced(fitted):
    mdata = fitted()
    mdata["rna"].uns["y_colors"] = ["#111111", "#222222", "#333333"]
    ob.pl.embedding(mdata, basis="pca")
    assert list(mdata.uns["y_colors"]) == ["#111111", "#222222", "#333333"]
    mdata.uns["y_colors"] = ["#111111"]
    ob.pl.embedding(mdata, basis="pca")
    assert len(mdata.uns["y_colors"]) == 3 and mdata.uns["y_colors"][0] != "#111111"


def test_rows_without_embedding_are_left_out_and_counted(fitted):
    mdata = fitted()
    axes = ob.pl.embedding(mdata, basis="pca", modality="all")
    absent = int((np.ravel(mdata.obsmap["atac"]) == 0).sum())
    lost = absent + int(np.ravel(mdata.obsmap["atac"])[1] > 0)  # row 1 is NaN wherever it is present
    assert [ax.get_title(loc="left").split(",")[0] for ax in axes] == ["fused", "rna", "atac"]
    assert axes[0].get_title(loc="left") == "fused, n = 299\nabsent rows not drawn: 1"
    assert axes[2].get_title(loc="left") == f"atac, n = {300 - lost}\nabsent rows not drawn: {lost}"
    assert points_drawn(axes[0]) == 299 and points_drawn(axes[2]) == 300 - lost


def test_rows_of_a_modality_keep_their_colour(fitted):
    mdata = fitted(missing=0.5)
    latent = np.zeros((mdata["atac"].n_obs, 2))
    codes = mdata.obs["y"].cat.codes.loc[mdata["atac"].obs_names].to_numpy()
    latent[:, 0], latent[:, 1] = codes, 0.01 * np.arange(len(latent)) / len(latent)  # first component = the class
    mdata["atac"].obsm["X_omicsbal"] = latent
    ax = ob.pl.embedding(mdata, basis="pca", modality="atac")
    drawn = ax.collections[-1]
    position = pd.Series(np.round(drawn.get_offsets()[:, 0], 1))
    hexes = pd.Series([to_hex(color) for color in drawn.get_facecolors()])
    assert (hexes.groupby(position).nunique() == 1).all() and position.nunique() == 3


def test_umap_leaves_the_mudata_alone_and_is_reproducible(fitted):
    mdata = fitted(n=80)
    mdata.uns["y_colors"] = ["#111111", "#222222", "#333333"]
    before = (set(mdata.obs), set(mdata.obsm), set(mdata.obsp), set(mdata.uns), mdata.obsm["X_omicsbal"].copy())
    first, second = ob.pl.embedding(mdata), ob.pl.embedding(mdata)
    after = (set(mdata.obs), set(mdata.obsm), set(mdata.obsp), set(mdata.uns), mdata.obsm["X_omicsbal"])
    assert before[:4] == after[:4]
    np.testing.assert_array_equal(before[4], after[4])
    np.testing.assert_array_equal(first.collections[-1].get_offsets(), second.collections[-1].get_offsets())


def test_numbers_get_a_colour_bar_and_many_classes_numbers(fitted):
    mdata = fitted(n=400, classes=[f"type {i}" for i in range(40)])
    many = ob.pl.embedding(mdata, basis="pca")
    assert {text.get_text() for text in many.texts} == {str(i) for i in range(1, 41)}
    assert len(set(mdata.uns["y_colors"])) == 40
    (legend,) = many.figure.legends
    assert legend.get_texts()[39].get_text() == "40  type 39"
    number = ob.pl.embedding(mdata, basis="pca", color="omicsbal_confidence")
    assert [ax.get_ylabel() for ax in number.figure.axes][-1] == "omicsbal_confidence"
    assert "omicsbal_confidence_colors" not in mdata.uns


def test_classes_that_are_numbers_are_classes_still(fitted):
    mdata = fitted(classes=("0", "1"))
    mdata.obs["y"] = mdata.obs["y"].cat.codes.replace(-1, 0)
    ob.pl.embedding(mdata, basis="pca")
    assert list(mdata.uns["y_colors"]) == ["#0072B2", "#E69F00"]


def test_legend_lies_beside_the_panels(fitted):
    axes = ob.pl.embedding(fitted(n=200, classes=[f"long name of type {i}" for i in range(19)]), basis="pca", modality="all")
    figure = axes[0].figure
    figure.canvas.draw()
    box = figure.legends[0].get_window_extent()
    assert all(box.x0 >= ax.get_window_extent().x1 for ax in axes)
    assert box.x1 <= figure.bbox.x1 and box.y0 >= 0


def test_bad_choices(fitted):
    mdata = fitted()
    with pytest.raises(ValueError, match="Did you mean 'umap'"):
        ob.pl.embedding(mdata, basis="umapp")
    with pytest.raises(KeyError, match="Did you mean 'atac'"):
        ob.pl.embedding(mdata, modality="atacc")
    with pytest.raises(KeyError):
        ob.pl.embedding(mdata, color="nothing", basis="pca")
    mdata.obsm["X_omicsbal"][3:] = np.nan
    with pytest.raises(ValueError, match="at least 5 rows"):
        ob.pl.embedding(mdata)
    del mdata["rna"].obsm["X_omicsbal"]
    with pytest.raises(KeyError, match=r"ob\.tl\.fit first"):
        ob.pl.embedding(mdata, modality="rna")
