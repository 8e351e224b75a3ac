"""Dumbbells and curves against the tables they are drawn from."""

import numpy as np
import pytest

import omicsbal as ob

NAMES = ("rna", "atac", "protein")


def marks(ax):
    """{modality:kind: (x, y)} of the marks."""
    lines = {line.get_label().removeprefix("_"): line for line in ax.lines if line.get_label().count(":") == 1}
    return {label: (line.get_xdata()[0], line.get_ydata()[0]) for label, line in lines.items()}


def test_marks_and_intervals_are_the_table_and_the_widest_gap_is_on_top(fitted):
    mdata = fitted(names=NAMES)
    ax, table = ob.pl.utilization(mdata)[0], mdata.uns["omicsbal"]["utilization"]
    mine = table[table["kind"].isin(["ceiling", "learned", "solo"])]
    assert {k: x for k, (x, _) in marks(ax).items()} == pytest.approx(
        {f"{r.modality}:{r.kind}": r.value for r in mine.itertuples()}
    )
    lines = {tuple(np.round(line.get_xdata(), 9)) for line in ax.lines if line.get_linewidth() == 1.1}
    assert lines == {(round(r.low, 9), round(r.high, 9)) for r in mine.itertuples()}
    assert [t.get_text() for t in ax.get_yticklabels()] == ["protein", "rna", "atac"]
    (total,) = [line for line in ax.lines if line.get_label() == "_total"]
    assert total.get_xdata()[0] == pytest.approx(1.05)


def test_verdicts_are_written_beside_their_rows_and_named_in_the_title(fitted):
    ax = ob.pl.utilization(fitted(names=NAMES))[0]
    assert {t.get_text(): t.get_position()[1] for t in ax.texts} == {
        "under-used\n90% sure": 0,
        "dominant\n>99% sure": 1,
        "fair\n95% sure": 2,
    }
    assert ax.get_title(loc="left").splitlines() == [
        "protein under-used; rna dominant",
        "out-of-fold, n = 283; lines: 95% intervals",
    ]
    assert ob.pl.utilization(fitted(names=("rna",)))[0].get_title(loc="left").startswith("Nothing is wasted")


def test_curves_are_the_history_with_bars_at_the_speed(fitted):
    mdata = fitted(names=NAMES)
    ax, history = ob.pl.utilization(mdata)[1], mdata.uns["omicsbal"]["history"]
    curves = {line.get_label(): line.get_ydata() for line in ax.lines if not line.get_label().startswith("_")}
    assert set(curves) == set(NAMES)
    np.testing.assert_allclose(curves["atac"], history["oof_macro_f1/atac"])
    assert {line.get_label(): line.get_xdata()[0] for line in ax.lines if line.get_label().startswith("_speed")} == {
        "_speed:rna": 6, "_speed:atac": 11, "_speed:protein": 16
    }  # fmt: skip
    mdata.uns["omicsbal"]["history"] = history[[c for c in history if not c.startswith("oof_")]]
    assert "no head" in ob.pl.utilization(mdata)[1].texts[0].get_text()
    del mdata.uns["omicsbal"]["history"]  # as under another key_added
    assert "no history" in ob.pl.utilization(mdata)[1].texts[0].get_text()


def test_a_certainty_that_is_missing_is_not_written(fitted):
    mdata = fitted(names=NAMES)
    mdata.uns["omicsbal"]["verdicts"]["certainty"] = np.nan
    assert [t.get_text() for t in ob.pl.utilization(mdata)[0].texts] == ["under-used", "dominant", "fair"]


def test_what_is_refused(fitted):
    mdata = fitted()
    with pytest.raises(KeyError, match=r"nothing under that key.*ob\.tl\.utilization\(model, mdata\) first"):
        ob.pl.utilization(mdata, key_added="other")
    del mdata.uns["omicsbal"]["verdicts"]
    with pytest.raises(KeyError, match=r"'verdicts'.*ob\.tl\.utilization"):
        ob.pl.utilization(mdata)
    mdata = fitted()
    mdata.uns["omicsbal"]["utilization"] = mdata.uns["omicsbal"]["utilization"].drop(columns="low")
    with pytest.raises(KeyError, match="none called 'low'"):
        ob.pl.utilization(mdata)
    mdata = fitted()
    table = mdata.uns["omicsbal"]["utilization"]
    table["value"], table["note"] = np.nan, "Fewer than 30 rows have every modality."
    with pytest.raises(ValueError, match="some numbers; found Fewer than 30 rows"):
        ob.pl.utilization(mdata)
    with pytest.raises(TypeError, match="expected a MuData"):
        ob.pl.utilization(mdata["rna"])


def test_a_leaning_stands_in_place_of_a_certainty(fitted):
    mdata = fitted()
    mdata.uns["omicsbal"]["verdicts"]["leaning"] = "under-used"
    texts = [t.get_text() for t in ob.pl.utilization(mdata, show=False)[0].texts]
    assert any("perhaps under-used" in t for t in texts) and not any("% sure" in t for t in texts)
