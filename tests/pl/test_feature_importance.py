"""Dots and bars against the table they are drawn from."""

import numpy as np
import pytest

import omicsbal as ob


def dots(ax):
    """{(class, feature): (nats, area, marker)} of a map."""
    features, classes = ([t.get_text() for t in axis.get_ticklabels()] for axis in (ax.yaxis, ax.xaxis))
    found = {}
    for collection in ax.collections:
        parts = zip(collection.get_offsets(), collection.get_array(), collection.get_sizes(), strict=True)
        for (x, y), value, size in parts:
            found[classes[round(x)], features[round(y)]] = (value, size, collection.get_label())
    return found


def test_the_map_has_a_dot_for_each_row_of_its_features(fitted):
    mdata = fitted()
    axes, table = ob.pl.feature_importance(mdata, n_top=2), mdata.uns["omicsbal"]["feature_importance"]
    for ax, m in zip(axes, ("rna", "atac"), strict=True):
        mine = table[table["modality"] == m]
        first = list(dict.fromkeys(mine.loc[mine["rank"] <= 2, "feature"]))
        assert [t.get_text() for t in ax.get_yticklabels()] == first
        told, rows = dots(ax), mine[mine["feature"].isin(first)].to_dict("records")
        assert len(told) == len(rows)
        for row in rows:
            value, size, label = told[row["class"], row["feature"]]
            assert value == pytest.approx(row["importance"])
            assert size == pytest.approx(12 + 66 * row["stability"])
            assert label == ("_higher" if row["mean_class"] > 0.5 else "_lower")
        colors = ax.collections[0]
        assert colors.norm.vmin == -colors.norm.vmax and colors.cmap.name == "RdBu"
    assert axes[0].get_title(loc="left") == "rna: what carries a class\nn = 90 cells a class"
    assert [t.get_text() for t in axes[0].get_legend().get_texts()] == ["listed by no member", "by all", "lower in the class"]


def test_one_class_is_drawn_as_bars(fitted):
    mdata = fitted()
    ax, table = ob.pl.feature_importance(mdata, classes="NK", modalities="atac"), mdata.uns["omicsbal"]["feature_importance"]
    mine = table[(table["class"] == "NK") & (table["modality"] == "atac")]
    assert [c.patches[0].get_width() for c in ax.containers] == pytest.approx(mine["importance"].tolist())
    assert [c.patches[0].get_alpha() for c in ax.containers] == [0.95 if v > 0.5 else 0.35 for v in mine["mean_class"]]
    lines = [tuple(line.get_xdata()) for line in ax.lines if line.get_linewidth() == 1.2]
    np.testing.assert_allclose(lines, mine[["low", "high"]])
    assert [t.get_text() for t in ax.texts] == [f"{v:.0%}" for v in mine["stability"]]
    assert ax.get_title(loc="left") == "atac: what carries NK\nn = 80 cells; pale: lower in the class"
    table["stability"] = np.nan  # a single member
    assert not ob.pl.feature_importance(mdata, classes=["NK"], modalities=["atac"], n_top=3).texts


def test_a_map_stays_readable_with_many_classes(fitted):
    mdata = fitted(classes=[f"class {i}" for i in range(12)])
    ax = ob.pl.feature_importance(mdata)[0]
    assert len(ax.get_yticklabels()) <= 36 and len(ax.get_xticklabels()) == 12


def test_what_is_refused(fitted):
    mdata = fitted()
    for error, match, options in (
        (ValueError, "`classes`.*'NK'", {"classes": "Nk"}),
        (ValueError, "`modalities`.*Did you mean 'rna'", {"modalities": ["rnaa"]}),
        (ValueError, "`n_top`", {"n_top": 0}),
        (ValueError, "expected some features", {"classes": []}),
        (KeyError, r"ob\.tl\.feature_importance\(model, mdata\) first", {"key_added": "other"}),
    ):
        with pytest.raises(error, match=match):
            ob.pl.feature_importance(mdata, **options)
    del mdata.uns["omicsbal"]["feature_importance"]["stability"]
    with pytest.raises(KeyError, match="none called 'stability'"):
        ob.pl.feature_importance(mdata)
