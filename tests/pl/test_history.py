import numpy as np
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
        "signal:\nweight",
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
