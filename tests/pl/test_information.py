"""Bars and matrix against the tables they are drawn from."""

import numpy as np
import pytest

import omicsbal as ob


def bars(ax):
    """{(pair, part): (left, width, patch)} of the first panel."""
    found = {}
    for container in ax.containers:
        pair, part = container.get_label().removeprefix("_").split(":")
        (patch,) = container.patches
        found[tuple(pair.split("|")), part] = (patch.get_x(), patch.get_width(), patch)
    return found


def legend(ax):
    return [text.get_text() for text in ax.get_legend().get_texts()]


def test_bars_are_the_parts_end_to_end(fitted):
    mdata = fitted(names=("rna", "atac", "protein"))
    ax, _ = ob.pl.information(mdata)
    drawn, pid = bars(ax), mdata.uns["omicsbal"]["pid"]
    assert len(drawn) == 6 * 4
    for row in pid[pid["kind"] != "total"].to_dict("records"):
        assert drawn[(row["source_1"], row["source_2"]), row["kind"]][1] == pytest.approx(row["value"])
    for pair in {p for p, _ in drawn}:
        ends = 0.0
        for part in ("unique_1", "redundant", "unique_2", "synergistic"):
            assert drawn[pair, part][0] == pytest.approx(ends)
            ends += drawn[pair, part][1]
        total = pid[(pid["kind"] == "total") & (pid["source_1"] == pair[0]) & (pid["source_2"] == pair[1])]["value"]
        assert ends == pytest.approx(float(total.iloc[0]))


def test_whiskers_are_the_intervals_from_where_a_part_begins(fitted):
    ax, _ = ob.pl.information(fitted())
    drawn = bars(ax)
    whiskers = [line.get_xdata() for line in ax.lines if len(line.get_xdata()) == 2 and line.get_linewidth() == 1.6]
    parts = [drawn[("rna", "atac"), p] for p in ("unique_1", "redundant", "unique_2", "synergistic")]
    assert len(whiskers) == 4
    for (left, width, _), ends in zip(parts, whiskers, strict=True):
        np.testing.assert_allclose(ends, [left + 0.8 * width, left + 1.2 * width])


def test_synergy_is_outlined_where_it_is_a_lower_bound(fitted):
    mdata = fitted()
    ax, _ = ob.pl.information(mdata)
    assert "synergistic, at least" in legend(ax) and "synergistic" not in legend(ax)
    patch = bars(ax)[("rna", "atac"), "synergistic"][2]
    assert patch.get_facecolor()[:3] == (1, 1, 1) and patch.get_linestyle() != "-"
    mdata.uns["omicsbal"]["pid"]["lower_bound"] = 0
    ax, _ = ob.pl.information(mdata)
    assert "synergistic" in legend(ax) and "synergistic, at least" not in legend(ax)
    assert bars(ax)[("rna", "atac"), "synergistic"][2].get_facecolor()[:3] == (0, 0, 0)


def test_the_entropy_is_a_line(fitted):
    ax, _ = ob.pl.information(fitted())
    assert any(np.allclose(line.get_xdata(), 1.6) for line in ax.lines) and "H(Y) = 1.60" in legend(ax)
    assert ax.get_xlim()[1] > 1.6


def test_the_matrix(fitted):
    mdata = fitted(names=("rna", "atac", "protein"))
    _, ax = ob.pl.information(mdata)
    told = mdata.uns["omicsbal"]["information"]
    words = {(int(t.get_position()[1]), int(t.get_position()[0])): t.get_text().splitlines()[0] for t in ax.texts}
    names = ["rna", "atac", "protein"]
    for row in told.to_dict("records"):
        if row["kind"] == "between":
            i, j = names.index(row["source_1"]), names.index(row["source_2"])
            assert words[i, j] == words[j, i] == f"{row['value']:.2f}"
        elif row["source_1"] in names:
            i = names.index(row["source_1"])
            assert words[i, i] == f"{row['value']:.2f}"
    framed = [p.get_label() for p in ax.patches if p.get_linewidth() == 1.6]
    assert framed == [f"_{m}|{m}" for m in names]


def test_what_could_not_be_measured_is_written(fitted):
    mdata = fitted(names=("rna", "atac", "protein"))
    pid, told = mdata.uns["omicsbal"]["pid"], mdata.uns["omicsbal"]["information"]
    lost = (pid["source_1"] == "rna") & (pid["source_2"] == "atac")
    pid.loc[lost, ["value", "low", "high"]] = np.nan
    pid.loc[lost, "note"] = "Fewer than 30 rows have all that is needed."
    told.loc[told["kind"] == "between", ["value", "low", "high"]] = np.nan
    bars_ax, matrix = ob.pl.information(mdata)
    assert any("Fewer than 30 rows" in t.get_text() for t in bars_ax.texts)
    assert (("rna", "atac"), "redundant") not in bars(bars_ax)
    assert sum(t.get_text() == "–" for t in matrix.texts) == 6


def test_the_title_names_what_stands_out(fitted):
    mdata = fitted(names=("rna", "atac", "protein"))
    title = ob.pl.information(mdata)[0].get_title(loc="left").splitlines()
    assert title[0] == "What pairs tell of the label, out-of-fold, n = 299"
    assert title[1:] == ["most redundant: rna | atac, 0.30", "most synergistic: rna | atac, 0.10"]
    mdata.uns["omicsbal"]["pid"]["low"] = 0.0
    assert "no pair is clearly" in ob.pl.information(mdata)[0].get_title(loc="left")


def test_what_is_refused(fitted):
    mdata = fitted()
    del mdata.uns["omicsbal"]["pid"]
    with pytest.raises(KeyError, match=r"'pid'.*ob\.tl\.information\(model, mdata\) first"):
        ob.pl.information(mdata)
    with pytest.raises(KeyError, match=r"nothing under that key.*ob\.tl\.information"):
        ob.pl.information(mdata, key_added="other")
    mdata = fitted()
    mdata.uns["omicsbal"]["information"] = mdata.uns["omicsbal"]["information"].drop(columns="low")
    with pytest.raises(KeyError, match="none called 'low'"):
        ob.pl.information(mdata)
    mdata = fitted()
    mdata.uns["omicsbal"]["pid"] = mdata.uns["omicsbal"]["pid"][:0]
    with pytest.raises(ValueError, match="at least one pair of modalities"):
        ob.pl.information(mdata)
    with pytest.raises(TypeError, match="expected a MuData"):
        ob.pl.information(mdata["rna"])


def test_a_single_class_is_drawn_as_nothing_to_tell(fitted):
    mdata = fitted()
    said = mdata.uns["omicsbal"]
    for name in ("information", "pid"):
        said[name][["value", "low", "high"]] = np.nan
    said["information"].loc[said["information"]["kind"] == "entropy", ["value", "low", "high"]] = 0.0
    ax, _ = ob.pl.information(mdata)
    assert ax.get_xlim() == (0.0, 1.0)
