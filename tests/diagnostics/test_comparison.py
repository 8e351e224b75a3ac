"""Summaries of comparisons against numbers worked by hand."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from omicsbal.diagnostics.comparison import BEST, COLUMNS, METRICS, holm, summarise
from omicsbal.train.intervals import corrected

OURS, RNA, ATAC = [0.9, 0.8, 0.85], [0.8, 0.75, 0.7], [0.5, 0.9, np.nan]


@pytest.fixture
def table():
    """Three folds of 20 test and 40 training rows; every score is the same number, so that signs show."""
    rows = []
    for system, values in (("omicsbal", OURS), ("lr:rna", RNA), ("lr:atac", ATAC)):
        rows += [{"repeat": 0, "fold": k, "system": system, **dict.fromkeys(METRICS, v)} for k, v in enumerate(values)]
    return pd.DataFrame(rows).assign(n_train=40, n_test=20)


def test_the_corrected_test_by_hand():
    d = np.array([0.1, 0.05, 0.15])  # mean 0.1, variance 0.0025; 1/3 + 1/2 = 5/6
    error = np.sqrt(0.0025 * 5 / 6)
    mean, half, p = corrected(d, 0.5)
    assert mean == pytest.approx(0.1)
    assert half == pytest.approx(4.302653 * error, rel=1e-6)  # t table, 2 degrees of freedom, 97.5 %
    t = 0.1 / error
    assert p == pytest.approx(1 - t / np.sqrt(2 + t * t))  # the t distribution of 2 degrees of freedom in closed form
    assert corrected(np.full(3, 0.25), 0.5) == (0.25, 0.0, 0.0)
    assert corrected(np.zeros(3), 0.5) == (0.0, 0.0, 1.0)
    assert corrected(np.array([0.2]), 0.5)[0] == 0.2 and np.isnan(corrected(np.array([0.2]), 0.5)[1:]).all()


def test_a_gain_is_positive_where_the_one_compared_is_better(table):
    summary = summarise(table, against="omicsbal", single=["lr:rna", "lr:atac"]).set_index(["metric", "system"])
    assert summary.loc[("macro_f1", "lr:rna"), "gain"] == pytest.approx(0.1)
    for metric in ("log_loss", "ece", "seconds"):
        assert summary.loc[(metric, "lr:rna"), "gain"] == pytest.approx(-0.1)
    mean, half, p = corrected(np.subtract(OURS, RNA), 0.5)
    row = summary.loc[("macro_f1", "lr:rna")]
    assert row[["gain_low", "gain_high", "p"]].tolist() == pytest.approx([mean - half, mean + half, p])
    assert row["low"] == pytest.approx(0.75 - corrected(np.array(RNA), 0.5)[1])


def test_folds_that_failed(table):
    summary = summarise(table, against="omicsbal").set_index(["metric", "system"])
    row = summary.loc[("accuracy", "lr:atac")]
    assert row["n"] == 2 and row["mean"] == pytest.approx(0.7) and row["note"] == "Failed in 1 of 3 folds."
    assert row["gain"] == pytest.approx((0.4 - 0.1) / 2)
    ranks = summary.loc["accuracy", "rank"]
    assert ranks.to_dict() == pytest.approx({"omicsbal": (1 + 2 + 1) / 3, "lr:rna": (2 + 3 + 2) / 3, "lr:atac": (3 + 1 + 3) / 3})
    other = summarise(table, against="lr:atac").set_index(["metric", "system"])
    assert other.loc[("accuracy", "lr:rna"), "note"] == "Gain over the 2 in which 'lr:atac' has a score."


def test_the_best_single_modality_is_chosen_by_metric(table):
    summary = summarise(table, against="omicsbal", single=["lr:rna", "lr:atac"])
    assert list(summary.columns) == [*COLUMNS, "note"]
    best = summary[summary["system"] == BEST].set_index("metric")
    assert "lr:rna" in best.loc["macro_f1", "note"] and "lr:atac" in best.loc["log_loss", "note"]
    assert best["rank"].isna().all()
    assert BEST not in set(summarise(table, against="omicsbal", single=["lr:rna"])["system"])


def test_holm_over_rivals(table):
    summary = summarise(table, against="omicsbal", single=["lr:rna", "lr:atac"]).set_index(["metric", "system"])
    p = summary.loc["accuracy", "p"]
    smaller, larger = sorted(["lr:rna", "lr:atac"], key=p.get)
    adjusted = summary.loc["accuracy", "p_holm"]
    assert adjusted[smaller] == pytest.approx(min(2 * p[smaller], 1))
    assert adjusted[larger] == pytest.approx(min(max(p[larger], 2 * p[smaller]), 1))
    assert np.isnan(adjusted["omicsbal"])
    assert holm(np.array([0.9, 0.8])).tolist() == [1.0, 1.0]


def test_the_correction_holds_its_level():
    """Folds of equal noise around no difference: a plain t-test of overlapping folds would reject too often."""
    rng = np.random.default_rng(0)
    shared = rng.normal(size=(2000, 1))  # what overlapping training sets have in common: correlation 1/5
    d = np.sqrt(0.2) * shared + np.sqrt(0.8) * rng.normal(size=(2000, 5))
    rejected = np.mean([corrected(row, 0.25)[2] < 0.05 for row in d])
    plain = np.mean(stats.ttest_1samp(d, 0, axis=1).pvalue < 0.05)
    assert rejected < 0.065 < plain


def test_intervals_of_means_stay_where_scores_can_be(table):
    wild = table.assign(
        macro_f1=np.where(table["fold"] % 2 == 0, 0.99, 0.3), log_loss=np.where(table["fold"] % 2 == 0, 0.01, 1.0)
    )
    found = summarise(wild, against="omicsbal").set_index(["metric", "system"])
    assert found.loc["macro_f1", "high"].max() == 1.0 and found.loc["log_loss", "low"].min() == 0.0
    assert found.loc["log_loss", "high"].max() > 1.0
    assert found.loc[("macro_f1", "lr:rna"), "note"].startswith("The same gain in every fold")
