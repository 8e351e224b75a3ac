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


def test_each_number_stands_above_its_point_and_nothing_beside_the_panel(compared):
    axes = ob.pl.compare(compared, metric=["macro_f1", "log_loss"])
    axes[0].figure.canvas.draw()
    for ax in axes[:-1]:
        box = ax.get_window_extent()
        assert [t.xy for t in ax.texts] == [tuple(dots.get_offsets()[0]) for dots in ax.collections]
        for words in ax.texts:
            placed, point = words.get_window_extent(), ax.transData.transform(words.xy)
            assert placed.y0 > point[1] and placed.x0 < point[0] < placed.x1 and box.x0 <= placed.x0 and placed.x1 <= box.x1
    assert not any(t.get_text() for t in axes[1].get_yticklabels())
    title = axes[0].get_title(loc="left")
    assert "filled: p < 0.05 (Holm)" in title and "diamond: with hindsight" in title


def test_a_bar_joins_the_system_compared_to_those_not_told_from_it(compared):
    table = compared.uns["omicsbal_compare"]["compare_summary"]
    table = table[(table["metric"] == "macro_f1") & table["rank"].notna()].sort_values("rank", kind="stable", ignore_index=True)
    line, *bars = ob.pl.compare(compared, metric="macro_f1")[-1].lines
    assert line.get_xdata() == [2.0, 2.0], "the rank of the system compared"
    alike = table[~(table["p_holm"] < 0.05)]
    assert [(list(b.get_xdata()), list(b.get_ydata())) for b in bars] == [([2.0, r], [y, y]) for y, r in alike["rank"].items()]
    assert 1 < len(bars) < len(table)


def test_names_of_any_length_stay_inside(compared):
    table = compared.uns["omicsbal_compare"]["compare_summary"]
    long = {"omicsbal": "ours with every option that one can imagine", "lr:pool": "a pipeline of scaling and a random forest"}
    for column in ("system", "against"):
        table[column] = table[column].replace(long)
    for some in (table, table[table["system"].isin(long.values())]):
        compared.uns["omicsbal_compare"]["compare_summary"] = some
        figure = ob.pl.compare(compared, metric="macro_f1", return_fig=True)
        figure.canvas.draw()
        inside, whole = figure.get_tightbbox(), figure.get_size_inches()
        assert min(inside.x0, inside.y0) >= -0.03 and (np.array([inside.x1, inside.y1]) <= whole + 0.03).all()
        left, right = (ax._left_title.get_window_extent() for ax in figure.axes)
        assert left.x1 < right.x0, "titles do not run into each other"


def test_ranks_go_from_good_to_bad_without_hindsight(compared):
    ax = ob.pl.compare(compared, metric="accuracy")[-1]
    ranks = [dots.get_offsets()[0][0] for dots in ax.collections]
    assert ranks == sorted(ranks) and len(ranks) == 5
    assert "lr:best-uni" not in [t.get_text() for t in ax.get_yticklabels()]


def test_what_cannot_be_drawn_is_refused(compared):
    for metric in ("beauty", []):
        with pytest.raises(ValueError, match="metric"):
            ob.pl.compare(compared, metric=metric)
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
