import numpy as np
import pytest

import omicsbal as ob


def test_default_heads_and_their_bins(fitted):
    mdata = fitted()
    axes = ob.pl.calibration(mdata)
    assert [ax.get_title(loc="left").split("\n")[0] for ax in axes] == ["pool", "fused", "rna", "atac"]
    assert axes[0].get_title(loc="left") == "pool\nECE 0.030, n = 299"
    table = mdata.uns["omicsbal"]["calibration"].query("head == 'rna'")
    np.testing.assert_allclose(axes[2].get_lines()[1].get_xydata(), table[["confidence", "accuracy"]].to_numpy())
    assert len(axes[2].patches) == 10


def test_bars_are_proportional_to_n_and_empty_bins_go(fitted):
    mdata = fitted()
    table = mdata.uns["omicsbal"]["calibration"]
    table.loc[table["bin"] == 0, "n"] = 0
    table.loc[table["bin"] == 1, "n"] = 15
    heights = [patch.get_height() for patch in ob.pl.calibration(mdata, heads=["pool"]).patches]
    assert len(heights) == 9 and heights[0] == pytest.approx(heights[1] / 2)


def test_heads_can_be_chosen(fitted):
    ax = ob.pl.calibration(fitted(), heads=["lr:rna"])
    assert ax.get_title(loc="left").startswith("lr:rna\n")
    with pytest.raises(ValueError, match="Did you mean 'fused'"):
        ob.pl.calibration(fitted(), heads=["fuse"])


def test_regression_counts_coverage(fitted):
    mdata = fitted(regression=True)
    truth, interval = mdata.obs["y"].to_numpy()[1:], mdata.obsm["omicsbal_interval_y"].to_numpy()[1:]
    held = (truth >= interval[:, 0]) & (truth <= interval[:, 1])
    ax = ob.pl.calibration(mdata)
    assert f"holds {held.mean():.0%} of n = 299" in ax.get_title(loc="left")
    labels = [text.get_text() for text in ax.get_legend().get_texts()]
    assert labels == [f"inside (n = {held.sum()})", f"outside (n = {(~held).sum()})"]
