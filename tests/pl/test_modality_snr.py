import numpy as np
import pytest
from matplotlib.colors import to_hex

import omicsbal as ob
from omicsbal.pl._style import FAMILIES


@pytest.fixture
def measured(fitted, snr):
    """A MuData as after ob.tl.modality_snr alone; `change` edits the table."""

    def make(names=("rna", "protein"), classes=("T cell", "B cell"), change=None):
        mdata, table = fitted(), snr(list(names), list(classes))
        mdata.uns["omicsbal"] = {"snr": table if change is None else change(table)}
        return mdata

    return make


def bars(ax):
    """Lengths of the bars by colour."""
    found = {}
    for bar in ax.patches:
        found.setdefault(to_hex(bar.get_facecolor()), []).append(round(float(bar.get_width()), 3))
    return found


def lines(ax):
    """Ends of the intervals."""
    return [
        tuple(np.round(line.get_xdata(), 3)) for line in ax.lines if len(line.get_xdata()) == 2 and np.ptp(line.get_xdata()) > 0
    ]


def test_the_bar_of_a_modality_is_its_variance(measured):
    one = ob.pl.modality_snr(measured())[0]
    assert bars(one)[FAMILIES["rna"].color.lower()] == [0.75, round(0.4 / 1.4, 3)]  # SNR^2 of 3 and 0.4
    assert bars(one)[FAMILIES["protein"].color.lower()] == [round(0.2 / 1.2, 3)]
    assert bars(one)["#efefef"] == [1, 1]
    assert (round(2.6 / 3.6, 3), round(3.4 / 4.4, 3)) in lines(one)
    assert [t.get_text() for t in one.get_yticklabels()] == ["rna", "protein"]
    assert [t.get_text() for t in one.texts] == ["no halves to compare"]
    assert one.get_title(loc="left") == "Reproducible: rna 75%\nn = 300 cells; lines: 95% intervals"
    assert [t.get_text() for t in one.get_legend().get_texts()] == ["between classes", "reproducible", "rest"]


def test_classes_from_the_one_best_told_and_in_the_looks_of_the_modalities(measured):
    ax = ob.pl.modality_snr(
        measured(classes=("a", "b", "c"), change=lambda t: t.assign(value=t["value"].where(t["class"] != "c", 2)))
    )[1]
    assert [t.get_text() for t in ax.get_yticklabels()] == ["c", "a", "b"]
    rna, protein = ax.collections
    assert to_hex(rna.get_facecolor()[0]) == FAMILIES["rna"].color.lower() and len(protein.get_offsets()) == 3
    np.testing.assert_allclose(rna.get_offsets()[0], [0.3 / 1.3, 1 - 0.25])
    assert [t.get_text() for t in ax.get_legend().get_texts()] == ["rna", "protein"]


def test_a_pair_is_drawn_once(measured):
    ax = ob.pl.modality_snr(measured(("rna", "protein", "atac")))[2]
    assert [t.get_text() for t in ax.get_yticklabels()] == ["rna\nprotein", "rna\natac", "protein\natac"]
    points = [line for line in ax.lines if line.get_marker() == "o"]
    assert [float(p.get_xdata()[0]) for p in points] == pytest.approx([0.3, 0.2, 0.15])
    assert points[0].get_color() == FAMILIES["rna"].color and points[0].get_markerfacecoloralt() == FAMILIES["protein"].color
    assert ax.get_xlabel() == "shared information (nats)"


def test_forms_that_were_not_measured_have_no_panel(measured):
    only = ob.pl.modality_snr(measured(change=lambda t: t[t["method"] == "split"]))
    assert only.get_xlabel() == "share of variance" and [t.get_text() for t in only.get_legend().get_texts()] == [
        "reproducible",
        "rest",
    ]
    cross = ob.pl.modality_snr(measured(change=lambda t: t[t["method"] == "cross"]))
    assert cross.get_xlabel() == "shared information (nats)"
    assert cross.get_title(loc="left").startswith("Signal in each modality\nn = 300")


def test_what_is_missing_is_said(measured, fitted):
    with pytest.raises(KeyError, match=r"snr.*ob\.tl\.modality_snr\(mdata, label_key=\.\.\.\) first"):
        ob.pl.modality_snr(fitted(), key_added="other")
    with pytest.raises(KeyError, match="none called 'partner'"):
        ob.pl.modality_snr(measured(change=lambda t: t.drop(columns="partner")))
    with pytest.raises(ValueError, match=r"expected some numbers; found none\. Its column 'note' says why"):
        ob.pl.modality_snr(measured(change=lambda t: t.assign(value=np.nan)))
    with pytest.raises(TypeError, match="expected a MuData"):
        ob.pl.modality_snr(fitted()["rna"])


def test_a_real_table_draws(simulated):
    mdata = simulated(n_obs=90, n_truth=100, random_state=0)
    ob.tl.modality_snr(mdata, label_key="cell_type", progress=False)
    assert len(ob.pl.modality_snr(mdata)) == 3
