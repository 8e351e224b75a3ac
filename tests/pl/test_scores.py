import numpy as np
import pytest

import omicsbal as ob


def names(ax):
    return [text.get_text().split(" (")[0] for text in ax.get_yticklabels()]


def test_groups_and_order_by_the_first_metric(fitted):
    mdata = fitted()
    heads = mdata.uns["omicsbal"]["heads"].set_index("head")["macro_f1"]
    shown = names(ob.pl.scores(mdata)[0])
    assert shown[0] == "pool" and set(shown[1:5]) == {"fused", "rna", "atac", "product"}
    for group in (shown[1:5], shown[5:]):
        assert heads[group].is_monotonic_decreasing


def test_log_loss_alone_is_ordered_from_low(fitted):
    mdata = fitted()
    ax = ob.pl.scores(mdata, metric="log_loss")
    loss = mdata.uns["omicsbal"]["heads"].set_index("head")["log_loss"]
    assert loss[names(ax)[5:]].is_monotonic_increasing
    assert "lower is better" in ax.get_xlabel()


def test_interval_ends_and_fold_points(fitted):
    mdata = fitted()
    axes = ob.pl.scores(mdata)
    row = mdata.uns["omicsbal"]["heads"].set_index("head").loc["pool"]
    low, high = axes[0].get_lines()[0].get_xdata()
    assert (low, high) == (row["macro_f1_low"], row["macro_f1_high"])
    folds = mdata.uns["omicsbal"]["fold_scores"].query("head == 'pool'")["macro_f1"]
    np.testing.assert_allclose(axes[0].collections[0].get_offsets()[:, 0], folds)
    assert axes[0].collections[1].get_offsets()[0, 0] == row["macro_f1"]


def test_dotted_line_is_the_best_single_modality(fitted):
    mdata = fitted()
    heads = mdata.uns["omicsbal"]["heads"]
    single = heads[heads["modality"] != ""]
    for ax, metric, best in zip(ob.pl.scores(mdata), ("macro_f1", "log_loss"), ("idxmax", "idxmin"), strict=True):
        winner = single.loc[getattr(single[metric], best)()]
        (line,) = [line for line in ax.get_lines() if line.get_linestyle() == ":"]
        assert line.get_xdata()[0] == winner[metric]
        assert f"best single modality, {winner['head']}" in ax.get_xlabel()


def test_weights_stand_at_the_right(fitted):
    mdata = fitted()
    axes = ob.pl.scores(mdata)
    (bars,) = axes[-1].child_axes
    weights = mdata.uns["omicsbal"]["heads"]["weight"].dropna()
    assert sorted(patch.get_width() for patch in bars.patches) == sorted(weights)
    mdata.uns["omicsbal"]["heads"]["weight"] = np.nan
    assert ob.pl.scores(mdata)[-1].child_axes == []


def test_regression_and_several_metrics(fitted):
    axes = ob.pl.scores(fitted(regression=True))
    assert axes[0].get_xlabel().startswith("R²") and axes[1].get_xlabel().startswith("log-loss")
    assert len(ob.pl.scores(fitted(), metric=["macro_f1", "accuracy", "ece"])) == 3


def test_unknown_metric_names_the_nearest(fitted):
    with pytest.raises(ValueError, match="Did you mean 'macro_f1'"):
        ob.pl.scores(fitted(), metric="macro_f")


def test_n_is_said_where_a_modality_is_missing(fitted):
    ax = ob.pl.scores(fitted(), metric="macro_f1")
    labels = {text.get_text() for text in ax.get_yticklabels()}
    assert {"rna", "atac (n = 282)"} <= labels
    assert "n = 299" in ax.get_title(loc="left") and "over 5 folds" in ax.get_title(loc="left")
