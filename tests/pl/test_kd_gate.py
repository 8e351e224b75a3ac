import mudata
import numpy as np
import pytest
from matplotlib import pyplot as plt
from matplotlib.colors import to_hex, to_rgb
from matplotlib.patches import Rectangle

import omicsbal as ob
from omicsbal.pl._kd_gain import APART, _apart
from omicsbal.pl._style import ALARM

LONG = ("transcriptome of the tumour", "proteome by mass spectrometry", "methylation array 450k", "copy number", "mirna", "cnv")


@pytest.fixture
def gated(fitted, gate):
    """A MuData as after ob.tl.kd_gate alone: the table and nothing else; `change` edits it."""

    def make(names=("rna", "cnv"), change=None, **kwargs):
        mdata, table = fitted(), gate(list(names), **kwargs)
        mdata.uns["omicsbal"] = {"kd_gate": table if change is None else change(table)}
        return mdata

    return make


def cells(ax):
    """{"teacher>student": cell}."""
    return {p.get_label()[1:]: p for p in ax.patches if isinstance(p, Rectangle) and ">" in p.get_label()}


def title(ax):
    return ax.get_title(loc="left").replace("\n", " ")


def words(ax, x, y):
    """What the cell in column x and row y says."""
    return [
        t.get_text().replace("\N{MINUS SIGN}", "-")
        for t in ax.texts
        if abs(t.get_position()[0] - x) < 0.4 > abs(t.get_position()[1] - y)
    ]


def test_a_cell_a_pair_with_its_numbers_and_the_diagonal_blank(gated):
    matrix, _ = ob.pl.kd_gate(gated())
    assert set(cells(matrix)) == {"rna>cnv", "cnv>rna"}
    assert words(matrix, 1, 0) == ["+0.27\n(+0.17 to +0.37)\nKD: +0.027\n(+0.007 to +0.047)", "λ = 0.3"]
    assert words(matrix, 0, 1) == ["+0.10\n(+0.00 to +0.20)"]
    assert words(matrix, 0, 0) == words(matrix, 1, 1) == []
    assert [t.get_text() for t in matrix.get_xticklabels()] == ["rna\n0.860", "cnv\n0.790"]
    assert [t.get_text() for t in matrix.get_yticklabels()] == ["rna\n0.860", "cnv\n0.790"]
    assert (matrix.get_xlabel(), matrix.get_ylabel()) == ("student (out-of-fold macro-F1 alone)", "teacher")
    assert cells(matrix)["rna>cnv"].get_center() == pytest.approx((1, 0))


def test_border_and_hatch_say_the_decision(gated):
    def change(table):
        table["decision"] = ["weaker", "weaker", "pass", "weaker", "uncertain", "fail"]
        return table

    matrix = ob.pl.kd_gate(gated(("rna", "atac", "cnv"), change))[0]
    found = cells(matrix)
    solid, dashed, thin = found["rna>atac"], found["rna>cnv"], found["atac>cnv"]
    assert solid.get_linestyle() in ("-", "solid") and solid.get_linewidth() > 2
    assert dashed.get_linestyle() not in ("-", "solid") and dashed.get_linewidth() > 1
    assert thin.get_linestyle() in ("-", "solid") and thin.get_linewidth() < 1
    assert {name for name, cell in found.items() if cell.get_hatch()} == {"atac>rna", "cnv>rna", "cnv>atac"}
    legend = [t.get_text() for t in matrix.get_legend().get_texts()]
    assert legend[:4] == ["pass", "uncertain", "fail", "not the better classifier"]


def test_colours_diverge_around_zero_and_skip_what_decides_nothing(gated):
    def change(table):
        table["decision"] = "fail"
        table.loc[table["teacher"] == "cnv", "decision"] = "weaker"
        table[["gap", "gap_low", "gap_high"]] = [
            [0.2, 0.1, 0.3],
            [9.0, 8.0, 10.0],
            [-0.2, -0.3, -0.1],
            [9.0, 8.0, 10.0],
            [0, -0.1, 0.1],
            [0.1, 0, 0.2],
        ]
        return table

    matrix = ob.pl.kd_gate(gated(("rna", "atac", "cnv"), change))[0]
    found = cells(matrix)
    red, _, blue = to_rgb(found["atac>rna"].get_facecolor()[:3])
    assert blue > red  # gap +0.2
    red, _, blue = to_rgb(found["rna>atac"].get_facecolor()[:3])
    assert red > blue  # gap -0.2
    assert np.ptp(found["rna>cnv"].get_facecolor()[:3]) < 0.02  # gap 0
    assert np.ptp(found["cnv>rna"].get_facecolor()[:3]) == 0  # grey, however large
    (bar,) = matrix.child_axes
    assert bar.get_ylim() == pytest.approx((-0.3, 0.3))


def test_the_teacher_that_was_taken_has_a_star(gated):
    matrix = ob.pl.kd_gate(gated(("rna", "atac", "cnv")))[0]
    stars = [tuple(np.round(c.get_offsets()[0])) for c in matrix.collections]
    assert stars == [(1, 0), (2, 0)]  # rna teaches both
    none = ob.pl.kd_gate(gated(("rna", "atac", "cnv"), lambda table: table.assign(chosen=0)))[0]
    assert len(none.collections) == 0 and "λ" not in " ".join(t.get_text() for t in none.get_legend().get_texts())


def test_the_best_classifier_comes_first_in_any_order_of_rows(gated):
    mdata = gated(("rna", "atac", "cnv"), lambda table: table.iloc[::-1])
    assert [t.get_text().partition("\n")[0] for t in ob.pl.kd_gate(mdata)[0].get_xticklabels()] == ["rna", "atac", "cnv"]


def test_without_gains_there_is_the_matrix_alone(gated):
    ax = ob.pl.kd_gate(gated(gains=False))
    assert words(ax, 1, 0)[0] == "+0.27\n(+0.17 to +0.37)"
    assert title(ax) == "rna may teach cnv; gain not measured 1 of 2 pairs passes; n = 283"
    _, both = plt.subplots(1, 2)
    with pytest.raises(ValueError, match="one matplotlib Axes"):
        ob.pl.kd_gate(gated(gains=False), ax=both)


def test_a_gain_without_a_gap_is_written_but_not_drawn(gated):
    ax = ob.pl.kd_gate(gated(change=lambda table: table.assign(gap=np.nan, gap_low=np.nan, gap_high=np.nan)))
    assert words(ax, 1, 0)[0] == "no estimate\nKD: +0.027\n(+0.007 to +0.047)"
    assert not ax.child_axes  # nothing is coloured


@pytest.mark.parametrize(
    ("columns", "sentence"),
    [
        ({}, "rna may teach cnv; after KD its macro-F1 changed by +0.027 (+0.007 to +0.047)"),
        ({"decision": "uncertain"}, "rna might teach cnv (uncertain)"),
        ({"decision": "fail"}, "rna teaches cnv though the gate is closed"),
        ({"decision": "fail", "chosen": 0}, "No modality may teach another 0 of 2 pairs pass; n = 283"),
        ({"decision": "pass", "chosen": 0}, "rna may teach cnv"),
        ({"gain": -0.01, "gain_low": -0.02, "gain_high": -0.0}, "by -0.010 (-0.020 to +0.000)"),
        ({"metric": "r2"}, "its R² changed by"),
        ({"n": 100}, "n = 100 to 283"),
    ],
)
def test_the_title_is_made_from_the_table(gated, columns, sentence):
    def change(table):
        for column, value in columns.items():
            table.loc[table["teacher"] == "rna", column] = value
        table["metric"] = columns.get("metric", "macro_f1")
        return table

    matrix = ob.pl.kd_gate(gated(change=change))[0]
    assert sentence in title(matrix).replace("\N{MINUS SIGN}", "-")


def test_a_long_title_tells_three_and_counts_the_rest(gated):
    matrix = ob.pl.kd_gate(gated(LONG))[0]
    assert "and 2 more" in title(matrix)


def test_points_on_the_wrong_side_stand_out(gated):
    def change(table):
        table = table.set_index(table["teacher"] + ">" + table["student"])
        table["decision"] = ["weaker", "weaker", "pass", "weaker", "pass", "fail"]
        values = ["gap", "gap_low", "gap_high", "gain", "gain_low", "gain_high"]
        table.loc["rna>atac", values] = [0.2, 0.1, 0.3, -0.03, -0.04, -0.02]  # wrong, and certainly so
        table.loc["rna>cnv", values] = [0.2, 0.1, 0.3, 0.03, 0.02, 0.04]  # right
        table.loc["atac>cnv", values] = [-0.2, -0.3, -0.1, 0.01, -0.01, 0.03]  # wrong by less than its interval
        table.loc["atac>rna", values] = [0.2, 0.1, 0.3, -0.01, -0.02, 0.01]  # not the better classifier
        return table

    _, ax = ob.pl.kd_gate(gated(("rna", "atac", "cnv"), change))
    points = {c.get_label(): c for c in ax.collections}
    at = {name: tuple(c.get_offsets()[0]) for name, c in points.items()}
    assert at == {
        "rna → atac": (0.2, -0.03),
        "rna → cnv": (0.2, 0.03),
        "atac → cnv": (-0.2, 0.01),
        "atac → rna": (0.2, -0.01),
    }
    edges = {name: to_hex(c.get_edgecolor()[0]).upper() for name, c in points.items()}
    assert [name for name, color in edges.items() if color == ALARM] == ["rna → atac", "atac → cnv"]
    faces = {name: to_hex(c.get_facecolor()[0]).upper() for name, c in points.items() if len(c.get_facecolor())}
    assert (faces["rna → atac"], faces["atac → cnv"]) == (ALARM, "#FFFFFF")
    bold = {t.get_text() for t in ax.texts if t.get_fontweight() == "bold"}
    assert bold == {"rna → atac", "atac → cnv"} and len(ax.texts) == 4
    assert title(ax) == "2 of 3 pairs on the wrong side, 1 by more than the interval of its gain"
    spans = [tuple(line.get_xdata()) for line in ax.get_lines()]
    assert (0.1, 0.3) in spans and (-0.3, -0.1) in spans
    zeros = [line for line in ax.get_lines() if line.get_linestyle() == ":"]
    assert [0, 0] in [list(line.get_ydata()) for line in zeros] and [0, 0] in [list(line.get_xdata()) for line in zeros]
    assert "macro-F1" in ax.get_ylabel() and "nats" in ax.get_xlabel()


def test_where_less_is_better_a_fall_is_a_gain(gated):
    def change(table):
        table["metric"] = "log_loss"
        table.loc[table["gain"].notna(), ["gain", "gain_low", "gain_high"]] = [-0.1, -0.2, -0.05]
        return table

    assert title(ob.pl.kd_gate(gated(change=change))[1]) == "0 of 1 pair on the wrong side"


def test_with_many_points_only_the_wrong_ones_are_named(gated):
    def change(table):
        table.loc[[3, 8], "gain"] *= -1
        return table.assign(decision="pass", gain=table["gap"] * np.where(table.index.isin([3, 8]), -1, 1))

    _, ax = ob.pl.kd_gate(gated(LONG, change))
    assert len(ax.texts) == 2 and len(ax.collections) == 30


def test_names_keep_their_distance_and_stay_in_the_panel():
    for heights in ([0.1] * 10, [0.99] * 10, sorted(np.random.default_rng(0).random(12))):
        moved = _apart(list(heights))
        assert (np.diff(moved) >= APART - 1e-9).all() and moved[0] >= 0 and moved[-1] <= 1
    assert _apart([]) == []


@pytest.mark.parametrize("names", [LONG[:2], LONG[:3], LONG], ids=len)
@pytest.mark.parametrize("gains", [True, False])
def test_nothing_is_cut_off_and_titles_do_not_meet(gated, names, gains):
    figure = ob.pl.kd_gate(gated(names, gains=gains), return_fig=True)
    figure.canvas.draw()
    inside, whole = figure.get_tightbbox(), figure.get_size_inches()
    assert min(inside.x0, inside.y0) >= -0.03 and (np.array([inside.x1, inside.y1]) <= whole + 0.03).all()
    boxes = [ax._left_title.get_window_extent() for ax in figure.axes[: 1 + gains]]
    assert not gains or boxes[0].x1 < boxes[1].x0
    for text in figure.axes[0].texts:  # what a cell says stays within it
        cell = min(cells(figure.axes[0]).values(), key=lambda c: np.hypot(*np.subtract(c.get_center(), text.get_position())))
        edge = cell.get_window_extent()
        assert text.get_window_extent().width < edge.width and text.get_window_extent().height < edge.height


def test_the_same_after_h5mu(gated, tmp_path):
    mdata = gated(("rna", "atac", "cnv"))
    mdata.write_h5mu(tmp_path / "gate.h5mu")
    images = []
    for one in (mdata, mudata.read_h5mu(tmp_path / "gate.h5mu")):
        figure = ob.pl.kd_gate(one, return_fig=True)
        figure.canvas.draw()
        images.append(np.asarray(figure.canvas.buffer_rgba()).copy())
    np.testing.assert_array_equal(*images)


def test_what_is_missing_is_said(fitted, gated):
    mdata = fitted()
    with pytest.raises(KeyError, match=r"nothing under that key\. Run ob\.tl\.kd_gate\(mdata, label_key=\.\.\.\) first"):
        ob.pl.kd_gate(mdata, key_added="other")
    del mdata.uns["omicsbal"]["kd_gate"]
    with pytest.raises(KeyError, match=r"a table of ob\.tl\.kd_gate.*Run ob\.tl\.kd_gate"):
        ob.pl.kd_gate(mdata)
    with pytest.raises(KeyError, match=r"none called 'gain_low'.*Run ob\.tl\.kd_gate"):
        ob.pl.kd_gate(gated(change=lambda table: table.drop(columns="gain_low")))
    with pytest.raises(TypeError, match="expected a MuData"):
        ob.pl.kd_gate(mdata["rna"])


def test_one_modality_is_refused(fitted, gated):
    with pytest.raises(ValueError, match=r"at least one pair of modalities; found one modality, 'rna'"):
        ob.pl.kd_gate(fitted(names=("rna",)))
    with pytest.raises(ValueError, match="at least one pair of modalities"):
        ob.pl.kd_gate(gated(change=lambda table: table.iloc[:0]))


@pytest.mark.parametrize(("metric", "first"), [("macro_f1", "rna"), ("log_loss", "atac")])
def test_a_modality_without_a_score_comes_last(gated, metric, first):
    def change(table):
        for role in ("teacher", "student"):
            table.loc[table[role] == "cnv", f"score_{role}"] = np.nan
        return table.assign(metric=metric)

    labels = [t.get_text() for t in ob.pl.kd_gate(gated(("rna", "atac", "cnv"), change))[0].get_xticklabels()]
    assert labels[0].startswith(first) and labels[-1] == "cnv"
