import mudata
import numpy as np
import pandas as pd
import pytest

import omicsbal as ob
from omicsbal.pl._style import FAMILIES, INK


def lines(ax):
    return {line.get_label(): line for line in ax.get_lines() if not line.get_label().startswith("_")}


def test_panels_hold_their_own_columns(fitted):
    axes = ob.pl.history(fitted())
    assert [ax.get_ylabel() for ax in axes] == [
        "training loss",
        "out-of-fold\nmacro-F1",
        "out-of-fold\nlog-loss (nats)",
        "weight of the loss\n(1 = equal)",
    ]
    assert list(lines(axes[0])) == ["fused", "rna", "atac", "kd:atac"]
    assert list(lines(axes[1])) == ["fused", "rna", "atac"]
    assert list(lines(axes[3])) == ["rna", "atac"]


def test_both_separators_read_alike(fitted):
    slash, colon = (ob.pl.history(fitted(sep=sep)) for sep in "/:")
    assert [list(lines(ax)) for ax in slash] == [list(lines(ax)) for ax in colon]
    assert [ax.get_ylabel() for ax in slash] == [ax.get_ylabel() for ax in colon]


def test_curves_are_the_columns(fitted):
    mdata = fitted()
    table = mdata.uns["omicsbal"]["history"]
    axes = ob.pl.history(mdata)
    line = lines(axes[1])["rna"]
    np.testing.assert_allclose(line.get_xydata(), table[["epoch", "oof_macro_f1/rna"]].to_numpy())
    assert line.get_color() == FAMILIES["rna"].color and line.get_marker() == FAMILIES["rna"].marker
    assert lines(axes[1])["fused"].get_color() == INK
    assert line.get_linewidth() > lines(axes[0])["rna"].get_linewidth()
    assert lines(axes[0])["kd:atac"].get_linestyle() == "--"


def test_chosen_epoch_is_marked_in_every_panel(fitted):
    axes = ob.pl.history(fitted())
    for ax in axes:
        assert [
            line.get_xdata()[0] for line in ax.get_lines() if line.get_linestyle() == "--" and len(line.get_xdata()) == 2
        ] == [31]
    assert "epoch 31 kept" in axes[0].get_title(loc="left")


def test_no_panel_without_signals_and_gaps_are_skipped(fitted):
    mdata = fitted()
    table = mdata.uns["omicsbal"]["history"].drop(columns=["signal/weight:rna", "signal/weight:atac", "chosen"])
    table.loc[::2, "oof_macro_f1/rna"] = np.nan
    table["oof_macro_f1/atac"] = np.nan
    mdata.uns["omicsbal"]["history"] = table
    axes = ob.pl.history(mdata)
    assert len(axes) == 3
    assert list(lines(axes[1])) == ["fused", "rna"]
    assert len(lines(axes[1])["rna"].get_xdata()) == 20


def test_a_history_without_curves_is_refused(fitted):
    mdata = fitted()
    mdata.uns["omicsbal"]["history"] = mdata.uns["omicsbal"]["history"][["epoch"]]
    with pytest.raises(ValueError, match="at least one curve"):
        ob.pl.history(mdata)


def in_stages(mdata, **stages):
    """The history as after a fit in stages of so many epochs, with the signals of strategy "mutual" in the last."""
    table = mdata.uns["omicsbal"]["history"]
    names = list(mdata.uns["omicsbal"]["modalities"])
    own = [c for c in table if c.startswith("signal") or "fused" in c]
    parts = [table.iloc[:n].drop(columns=own).assign(stage=stage, chosen=0) for stage, n in stages.items()]
    last = list(stages)[-1]
    parts[-1] = table.iloc[: stages[last]].assign(stage=last)
    for j, m in enumerate(names):
        parts[-1] = parts[-1].assign(**{f"signal:kappa:{m}": 0.2 + 0.1 * j, f"signal:dependence:{m}": 0.3})
    mdata.uns["omicsbal"]["history"] = pd.concat(parts, ignore_index=True)
    return mdata


def test_epochs_count_on_from_stage_to_stage(fitted):
    axes = ob.pl.history(in_stages(fitted(sep=":"), reference=20, distil=10, joint=35))
    x = lines(axes[0])["rna"].get_xdata()
    np.testing.assert_array_equal(x, [*range(1, 21), np.nan, *range(21, 31), np.nan, *range(31, 66)])  # no line between stages
    assert np.isnan(lines(axes[0])["rna"].get_ydata()).sum() == 2
    np.testing.assert_array_equal(lines(axes[0])["fused"].get_xdata(), np.arange(31, 66))
    assert axes[-1].get_xlabel() == "epoch, counted through the stages"


def test_epochs_that_count_on_already_are_left_alone(fitted):
    mdata = in_stages(fitted(sep=":"), reference=20, joint=20)
    mdata.uns["omicsbal"]["history"]["epoch"] = np.arange(1, 41)
    axes = ob.pl.history(mdata)
    assert np.nanmax(lines(axes[0])["rna"].get_xdata()) == 40


def test_a_stage_that_trains_twice_is_one_stage_with_two_lines(fitted):
    mdata = in_stages(fitted(sep=":"), pilot=5, again=5, joint=35)
    mdata.uns["omicsbal"]["history"]["stage"] = ["pilot"] * 10 + ["joint"] * 35
    axes = ob.pl.history(mdata)
    np.testing.assert_array_equal(
        lines(axes[0])["rna"].get_xdata(), [*range(1, 6), np.nan, *range(6, 11), np.nan, *range(11, 46)]
    )
    assert [t.get_text() for t in axes[0].child_axes[0].get_xticklabels()] == ["pilot", "joint"]


def test_stages_are_named_shaded_and_the_kept_epoch_is_counted_within_its_own(fitted):
    axes = ob.pl.history(in_stages(fitted(sep=":"), reference=20, distil=10, joint=35))
    (top,) = axes[0].child_axes
    assert [t.get_text() for t in top.get_xticklabels()] == ["reference", "distil", "joint"]
    np.testing.assert_allclose(top.get_xticks(), [10.75, 25.5, 47.75])
    for ax in axes:
        (shade,) = ax.patches
        assert (shade.get_x(), shade.get_x() + shade.get_width()) == (20.5, 30.5)
        assert 61 in [line.get_xdata()[0] for line in ax.get_lines() if line.get_linestyle() == "--"]
    title = axes[0].get_title(loc="left").replace("\n", " ")
    assert "65 epochs in 3 stages" in title and "epoch 31 of joint kept" in title


def test_one_stage_looks_as_none(fitted):
    mdata = fitted(sep=":")
    before = ob.pl.history(mdata)
    mdata.uns["omicsbal"]["history"]["stage"] = "joint"
    after = ob.pl.history(mdata)
    assert before[0].get_title(loc="left") == after[0].get_title(loc="left")
    assert not after[0].child_axes and not after[0].patches and after[-1].get_xlabel() == "epoch"


def test_signals_of_the_main_method_have_named_panels(fitted):
    axes = ob.pl.history(in_stages(fitted(sep=":"), reference=5, joint=35))
    weight, kappa, dependence = axes[-3:]
    assert [ax.get_ylabel().partition("\n")[0] for ax in axes[-3:]] == [
        "weight of the loss",
        "score of each head",
        "shared with the others",
    ]
    assert all(list(lines(ax)) == ["rna", "atac"] for ax in axes[-3:])
    assert [1, 1] in [list(line.get_ydata()) for line in weight.get_lines() if line.get_linestyle() == ":"]  # the equal weight
    assert kappa.get_ylim()[0] == dependence.get_ylim()[0] == 0


def test_an_unknown_signal_has_a_panel_under_its_own_name(fitted):
    mdata = fitted(sep=":")
    mdata.uns["omicsbal"]["history"]["signal:ratio:rna"] = 0.5
    assert ob.pl.history(mdata)[-1].get_ylabel() == "signal:\nratio"


def test_nothing_of_a_fit_in_stages_is_cut_off_nor_lost_on_disk(fitted, tmp_path):
    mdata = in_stages(fitted(sep=":", names=("rna", "atac", "protein", "methylation")), reference=20, distil=10, joint=35)
    mdata.uns["omicsbal"]["history"].loc[[3, 22], "chosen"] = 1
    figure = ob.pl.history(mdata, return_fig=True)
    figure.canvas.draw()
    inside, whole = figure.get_tightbbox(), figure.get_size_inches()
    assert min(inside.x0, inside.y0) >= -0.03 and (np.array([inside.x1, inside.y1]) <= whole + 0.03).all()
    mdata.write_h5mu(tmp_path / "fit.h5mu")
    back = ob.pl.history(mudata.read_h5mu(tmp_path / "fit.h5mu"), return_fig=True)
    assert [ax.get_title(loc="left") for ax in back.axes] == [ax.get_title(loc="left") for ax in figure.axes]
