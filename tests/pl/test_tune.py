"""Tuning drawn: outer folds with their mean, and every trial of the search on all rows."""

import numpy as np
import pytest

import omicsbal as ob


def test_outer_folds_and_trials_are_where_the_tables_say(fitted):
    mdata = fitted()
    trials, scores = mdata.uns["omicsbal_tune"]["tune"], mdata.uns["omicsbal_tune"]["tune_scores"]
    outer, *settings = ob.pl.tune(mdata)
    lines = [line.get_ydata().tolist() for line in outer.lines]
    loss = scores[scores["measure"] == "log_loss"]
    assert lines == loss[["default", "tuned"]].to_numpy().tolist()
    assert "+0.018" in outer.get_title(loc="left") and "n = 3 outer folds" in outer.get_title(loc="left")
    assert [ax.get_xlabel() for ax in settings] == ["width", "dropout", "learning rate", "components (× default)"]
    assert [ax.get_xscale() for ax in settings] == ["log", "linear", "log", "log"]
    last = trials[trials["search"] == "all"]
    others, default, best = (c.get_offsets() for c in settings[1].collections)
    assert len(others) == last["loss"].notna().sum() - 1
    np.testing.assert_allclose(default, last.loc[last["default"], ["dropout", "loss"]])
    np.testing.assert_allclose(best, last.loc[last["best"], ["dropout", "loss"]])
    assert settings[1].lines[0].get_xdata().tolist() == last.loc[last["loss"].isna(), "dropout"].tolist()
    assert "not finished" in settings[0].get_title(loc="left")


def test_the_default_alone_makes_up_neither_a_gain_nor_a_scale(fitted):
    mdata = fitted()
    held = mdata.uns["omicsbal_tune"]
    held["tune"] = held["tune"][held["tune"]["trial"] == 0].assign(best=True)
    scores = held["tune_scores"]
    held["tune_scores"] = scores.assign(tuned=scores["default"], gain=0.0, low=0.0, high=0.0)
    outer, *settings = ob.pl.tune(mdata)
    assert outer.get_title(loc="left") == "Nothing but the default was chosen,\nn = 3 outer folds"
    assert settings[0].get_title(loc="left").startswith("Search on all rows, the default alone")
    assert [[t.get_text() for t in ax.get_xticklabels()] for ax in settings] == [["64"], ["0.5"], ["0.003"], ["1"]]
    assert all(len(ax.get_yticks()) == 1 and not len(ax.get_xticks(minor=True)) for ax in settings)


def test_without_tuning_it_says_what_to_run(fitted):
    mdata = fitted()
    del mdata.uns["omicsbal_tune"]["tune"]
    with pytest.raises(KeyError, match=r"ob\.tl\.tune"):
        ob.pl.tune(mdata)
    with pytest.raises(KeyError, match=r"ob\.tl\.tune"):
        ob.pl.tune(mdata, key_added="other")
