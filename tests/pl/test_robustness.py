"""Curves, bands and subsets against the table that they are drawn from."""

import numpy as np
import pytest

import omicsbal as ob
from omicsbal.diagnostics.damage import DAMAGES

NAMES = ("rna", "atac", "protein")


def told(mdata, **where):
    table = mdata.uns["omicsbal"]["robustness"]
    for column, value in where.items():
        table = table[table[column] == value]
    return table


def curves(ax):
    """{label: (x, y)} of the lines that the legend names."""
    return {line.get_label().rsplit(" ", 1)[0]: line.get_data() for line in ax.lines if line.get_label()[0] != "_"}


@pytest.mark.parametrize("head", ["pool", "fused"])
def test_curves_and_bands_are_the_table(fitted, head):
    mdata = fitted(names=NAMES)
    axes = ob.pl.robustness(mdata, head=head)
    for ax, kind in zip(axes, DAMAGES, strict=False):
        drawn = curves(ax)
        assert set(drawn) == set(NAMES) - ({"atac"} if kind == "thinned" else set())
        for m, (x, y) in drawn.items():
            rows = told(mdata, kind=kind, modality=m, measure="macro_f1", head=head)
            np.testing.assert_allclose(x, DAMAGES[kind].axis(rows["level"].to_numpy(float)))
            np.testing.assert_allclose(y, rows["value"])
        band = ax.collections[0].get_paths()[0].vertices[:, 1]
        first = told(mdata, kind=kind, modality="rna", measure="macro_f1", head=head)
        assert {band.min().round(9), band.max().round(9)} == {first["low"].min().round(9), first["high"].max().round(9)}
        assert [line.get_ydata()[0] for line in ax.lines if line.get_linestyle() == ":"] == [1 / 3]
    assert axes[0].get_title(loc="left").endswith(f"{head}, out-of-fold, n = 299; 95% intervals; dotted: prior")
    assert axes[0].get_ylim() == axes[1].get_ylim() == axes[2].get_ylim()


def test_what_the_words_say(fitted):
    mdata = fitted(names=NAMES)
    axes = ob.pl.robustness(mdata)
    legend = [t.get_text() for t in axes[0].get_legend().get_texts()]
    assert legend == ["rna 0.80", "atac 0.90", "protein 0.93"]
    assert "most is lost with rna" in axes[0].get_title(loc="left")
    assert "no counts: atac" in axes[1].get_title(loc="left")
    labels = [t.get_text() for t in axes[2].get_xticklabels()]
    assert labels == ["0", "", "0.5", "1", "2", "4"], "0.25 would stand on 0"
    table = mdata.uns["omicsbal"]["robustness"]
    table.loc[table["measure"] == "area", "low"] = 0.7
    assert "no modality is clearly first" in ob.pl.robustness(mdata)[0].get_title(loc="left")
    table.loc[table["measure"] == "area", "high"] = 1.1
    assert "no clear loss" in ob.pl.robustness(mdata)[0].get_title(loc="left")


def test_subsets_from_best_to_worst(fitted):
    mdata = fitted(names=NAMES)
    ax = ob.pl.robustness(mdata)[-1]
    rows = told(mdata, kind="pattern", measure="macro_f1", head="pool").sort_values("value", ascending=False)
    names = [t.get_text() for t in ax.get_yticklabels()]
    assert names == [f"{p} ({n})" for p, n in zip(rows["pattern"], rows["n"], strict=True)] and len(names) == 7
    points = {
        line.get_label()[1:]: line.get_xdata()[0]
        for line in ax.lines
        if line.get_label()[:1] == "_" and len(line.get_xdata()) == 1
    }
    assert {p: points[p] for p in rows["pattern"]} == pytest.approx(dict(zip(rows["pattern"], rows["value"], strict=True)))
    errors = told(mdata, kind="pattern", measure="ece", head="pool").set_index("pattern")["value"]
    assert [t.get_text() for t in ax.texts] == [*(f"{errors[p]:.2f}" for p in rows["pattern"]), "ECE"]


def test_a_number_has_no_calibration_error_and_kinds_may_lack(fitted):
    mdata = fitted(regression=True)
    axes = ob.pl.robustness(mdata)
    assert not axes[-1].texts and axes[0].get_ylabel() == "R²"
    table = mdata.uns["omicsbal"]["robustness"]
    table.loc[table["kind"] == "thinned", "value"] = np.nan
    assert len(ob.pl.robustness(mdata)) == 3
    mdata.uns["omicsbal"]["robustness"] = table[table["kind"].isin(["pattern", "floor"])]
    assert ob.pl.robustness(mdata).get_xlabel() == "R²"


def test_what_is_refused(fitted):
    mdata = fitted()
    with pytest.raises(ValueError, match="`head`"):
        ob.pl.robustness(mdata, head="rna")
    with pytest.raises(KeyError, match=r"nothing under that key.*ob\.tl\.robustness\(model, mdata\) first"):
        ob.pl.robustness(mdata, key_added="other")
    mdata.uns["omicsbal"]["robustness"] = mdata.uns["omicsbal"]["robustness"].drop(columns="level")
    with pytest.raises(KeyError, match="none called 'level'"):
        ob.pl.robustness(mdata)
    with pytest.raises(TypeError, match="expected a MuData"):
        ob.pl.robustness(mdata["rna"])
