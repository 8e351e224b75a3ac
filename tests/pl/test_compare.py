"""The figure of a comparison."""

import matplotlib.colors as mcolors
import numpy as np
import pytest

import omicsbal as ob
from omicsbal.pl._compare import BETTER, WORSE


@pytest.fixture
def compared(fitted):
    return fitted(names=("rna", "atac"))


def test_the_better_side_is_right_and_colours_tell_what_is_sure(compared):
    table = compared.uns["omicsbal_compare"]["compare_summary"]
    axes = ob.pl.compare(compared, metric=["macro_f1", "log_loss"])
    forest = axes[0]
    names = [t.get_text() for t in forest.get_yticklabels()]
    assert names[-1] == "lr:best-uni" and "omicsbal" not in names
    part = table[table["metric"] == "macro_f1"].set_index("system")
    for name, dots in zip(names, forest.collections, strict=True):
        row = part.loc[name]
        assert dots.get_offsets()[0][0] == pytest.approx(row["gain"])
        face = mcolors.to_hex(dots.get_facecolor()[0])
        sure = row["p_holm"] < 0.05
        assert face == ((BETTER if row["gain"] > 0 else WORSE).lower() if sure else "#ffffff")
    assert {mcolors.to_hex(d.get_facecolor()[0]) for d in forest.collections} >= {BETTER.lower(), WORSE.lower(), "#ffffff"}
    assert "right: lower" in axes[1].get_xlabel() and "omicsbal against each rival" in forest.get_title(loc="left")


def test_ranks_go_from_good_to_bad_without_hindsight(compared):
    ax = ob.pl.compare(compared, metric="accuracy")[-1]
    ranks = [dots.get_offsets()[0][0] for dots in ax.collections]
    assert ranks == sorted(ranks) and len(ranks) == 5
    assert "lr:best-uni" not in [t.get_text() for t in ax.get_yticklabels()]


def test_what_cannot_be_drawn_is_refused(compared):
    with pytest.raises(ValueError, match="metric"):
        ob.pl.compare(compared, metric="beauty")
    with pytest.raises(KeyError, match=r"ob\.tl\.compare"):
        ob.pl.compare(compared, key_added="other")
    table = compared.uns["omicsbal_compare"]["compare_summary"]
    compared.uns["omicsbal_compare"]["compare_summary"] = table.drop(columns="p_holm")
    with pytest.raises(KeyError, match="p_holm"):
        ob.pl.compare(compared)
    compared.uns["omicsbal_compare"]["compare_summary"] = table[table["system"] == "omicsbal"]
    with pytest.raises(ValueError, match="two systems"):
        ob.pl.compare(compared)


def test_a_system_that_always_failed_leaves_an_empty_row(compared):
    table = compared.uns["omicsbal_compare"]["compare_summary"]
    failed = table["system"] == "lr:concat"
    table.loc[failed, ["mean", "low", "high", "gain", "gain_low", "gain_high", "p", "p_holm"]] = np.nan
    figure = ob.pl.compare(compared, return_fig=True)
    figure.canvas.draw()
