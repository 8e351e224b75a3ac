"""Bars, map and list against the tables they are drawn from."""

import numpy as np
import pytest
from matplotlib.patches import Rectangle

import omicsbal as ob

NAMES = ("rna", "atac", "protein")


def bars(ax):
    """{label: width} of horizontal bars."""
    return {c.get_label().removeprefix("_"): c.patches[0].get_width() for c in ax.containers}


def test_bars_are_shares_alone_and_on_top(fitted):
    mdata = fitted(names=NAMES)
    axes, table = ob.pl.contribution(mdata), mdata.uns["omicsbal"]["contribution"]
    for ax, measure in zip(axes, ("information", "macro_f1"), strict=False):
        mine = table[(table["measure"] == measure) & (table["class"] == "") & table["kind"].isin(["shapley", "solo", "need"])]
        expected = {f"{r['modality']}:{r['kind']}": r["value"] for r in mine.to_dict("records")}
        assert bars(ax) == pytest.approx(expected)
        lines = {tuple(np.round(line.get_xdata(), 9)) for line in ax.lines if line.get_linewidth() == 1.2}
        assert lines == {(round(r["low"], 9), round(r["high"], 9)) for r in mine.to_dict("records")}
    assert [t.get_text() for t in axes[0].get_legend().get_texts()] == ["share (Shapley)", "alone", "on top of the rest"]
    title = axes[0].get_title(loc="left").splitlines()
    assert title[:2] == ["Contribution to 0.92 nats", "rna 0.50, atac 0.25, protein 0.17"]
    assert title[2] == "out-of-fold, n = 283; lines: 95% intervals"
    assert axes[1].get_xlabel() == "gain in macro-F1 over guessing"


def test_the_map_has_every_need_with_dots_and_hatches(fitted):
    mdata = fitted(names=NAMES)
    ax, table = ob.pl.contribution(mdata)[2], mdata.uns["omicsbal"]["contribution"]
    needs = table[(table["kind"] == "need") & (table["class"] != "")]
    words = [t.get_text().replace("\N{MINUS SIGN}", "-") for t in ax.texts]
    assert words == [f"{v:+.2f}" for v in needs["value"]]
    cells = {p.get_label(): p for p in ax.patches if isinstance(p, Rectangle)}
    blue, red = (cells[f"_{pair}"].get_facecolor() for pair in ("T cell|rna", "T cell|atac"))
    assert blue[2] > blue[0] and red[0] > red[2], "needs it, better off without"
    assert {label for label, p in cells.items() if p.get_hatch()} == {f"_NK|{m}" for m in NAMES}
    dots = {line.get_label() for line in ax.lines if line.get_marker() == "o"}
    assert dots == {"_sure:T cell|rna", "_sure:B cell|atac", "_sure:NK|protein"}
    assert [t.get_text() for t in ax.get_yticklabels()] == ["T cell (90)", "B cell (90)", "NK (12)"]
    assert "hatched: n < 20" in ax.get_title(loc="left")
    table["n"] = 90
    assert "hatched" not in ob.pl.contribution(mdata)[2].get_title(loc="left")


def test_the_surest_confusions_come_first(fitted):
    mdata = fitted(names=NAMES)
    table = mdata.uns["omicsbal"]["confusions"]
    table.loc[0, "low"] = 0.0
    ax = ob.pl.contribution(mdata)[3]
    assert len(bars(ax)) == len(table) == 6
    assert next(iter(bars(ax))) == "rna:B cell>NK" and list(bars(ax))[-1] == "rna:T cell>B cell"
    assert ax.texts[0].get_text() == " rna: 17% → 2%"
    assert ax.get_yticklabels()[0].get_text() == "B cell\nas NK"
    mdata.uns["omicsbal"]["confusions"] = table[:0]
    assert "no confusion" in ob.pl.contribution(mdata)[3].texts[0].get_text()


def test_one_value_takes_one_panel_less(fitted):
    mdata = fitted()
    table = mdata.uns["omicsbal"]["contribution"]
    mdata.uns["omicsbal"]["contribution"] = table[table["measure"] != "macro_f1"]
    assert len(ob.pl.contribution(mdata)) == 3


def test_what_is_refused(fitted):
    mdata = fitted()
    with pytest.raises(KeyError, match=r"nothing under that key.*ob\.tl\.contribution\(model, mdata\) first"):
        ob.pl.contribution(mdata, key_added="other")
    del mdata.uns["omicsbal"]["confusions"]
    with pytest.raises(KeyError, match=r"'confusions'.*ob\.tl\.contribution"):
        ob.pl.contribution(mdata)
    mdata = fitted()
    mdata.uns["omicsbal"]["contribution"] = mdata.uns["omicsbal"]["contribution"].drop(columns="q")
    with pytest.raises(KeyError, match="none called 'q'"):
        ob.pl.contribution(mdata)
    mdata = fitted()
    table = mdata.uns["omicsbal"]["contribution"]
    table["value"], table["note"] = np.nan, "Fewer than 30 rows have every modality."
    with pytest.raises(ValueError, match="some numbers; found Fewer than 30 rows"):
        ob.pl.contribution(mdata)
    with pytest.raises(TypeError, match="expected a MuData"):
        ob.pl.contribution(mdata["rna"])
