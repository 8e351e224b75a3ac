"""Tuning: the default takes part, scores are of rows that no search saw, and the best settings give the same model again."""

import sys

import mudata
import numpy as np
import pandas as pd
import pytest
import torch

import omicsbal as ob
from omicsbal.balance import Distill, Mutual, Uniform
from omicsbal.pp.sources import Options
from omicsbal.tl._design import make_design
from omicsbal.tl._tune_scores import MEAN, outer_parts, score_outer, score_table, verdict_of
from omicsbal.tl._tune_search import LATE, STOPPED, Rows, _Rungs, _StopTrialError, best_of, search
from omicsbal.tl._tune_space import Base, parse_settings, resized
from omicsbal.train.classes import FLOOR, Classes

QUICK = {
    "outer_folds": 2,
    "n_folds": 2,
    "experts": False,
    "settings": ["width", "learning_rate"],
    "net": ob.NetConfig(width=8, depth=1, latent=4),
    "config": ob.FitConfig(max_epochs=2, n_members=1),
    "progress": False,
    "device": "cpu",
}


@pytest.fixture
def duo(simulated):
    """120 cells of 3 types in rna and protein."""
    sizes = {"rna": 60, "protein": 12}
    return simulated(n_obs=120, n_truth=100, n_classes=3, modalities=["rna", "protein"], n_features=sizes, random_state=0)


def tune(mdata, **options):
    return ob.tl.tune(mdata, **{"label_key": "cell_type", **QUICK, **options})


def same(one, two):
    pd.testing.assert_frame_equal(one.drop(columns="seconds"), two.drop(columns="seconds"))


def rows_of(mdata, design, **options):
    device = torch.device("cpu")
    more = {"unlabelled": np.flatnonzero(~design.training), "experts": False, "random_state": 0} | options
    return Rows(mdata, design, Options(modalities=list(mdata.mod)), device, **more)


def design_of(mdata, **options):
    asked = {"task": "auto", "group_key": None, "n_folds": 3, "rare": "drop", "random_state": 0}
    return make_design(mdata, label_key="cell_type", modalities=list(mdata.mod), **asked | options)


def test_the_default_takes_part_the_best_reproduces_and_a_kill_changes_nothing(duo, tmp_path):
    again, resumed = duo.copy(), duo.copy()
    tuned = tune(duo, n_trials=2)
    trials, scores = tuned.trials, tuned.scores
    assert trials.groupby("search", sort=False).size().to_dict() == {"0": 2, "1": 2, "all": 2}
    first = trials[trials["trial"] == 0]
    assert first["default"].all() and first["width"].eq(8).all() and (first["learning_rate"] == 3e-3).all()
    for _, part in trials.groupby("search"):
        assert part["best"].sum() == 1 and part.loc[part["best"], "loss"].item() == part["loss"].min()
    (chosen,) = trials[(trials["search"] == "all") & trials["best"]].to_dict("records")
    assert tuned.settings == {k: chosen[k] for k in ("width", "learning_rate")}
    assert (tuned.best["net"].width, tuned.best["config"].learning_rate) == tuple(tuned.settings.values())
    assert scores["measure"].tolist() == ["log_loss"] * 3 + ["macro_f1"] * 3 and scores["fold"].tolist() == ["0", "1", MEAN] * 2
    assert scores.loc[0, "gain"] == pytest.approx(scores.loc[0, "default"] - scores.loc[0, "tuned"])
    assert scores.loc[3, "gain"] == pytest.approx(scores.loc[3, "tuned"] - scores.loc[3, "default"])
    assert tuned.verdict == scores.loc[2, "note"] and tuned.verdict in repr(tuned)

    ob.tl.fit(again, label_key="cell_type", progress=False, device="cpu", **tuned.best)
    ours, theirs = duo.obsm["omicsbal_tune_proba_cell_type"], again.obsm["omicsbal_proba_cell_type"]
    pd.testing.assert_frame_equal(ours, theirs)
    assert set(duo.uns["omicsbal_tune"]) == set(again.uns["omicsbal"]) | {"tune", "tune_scores"}
    duo.write_h5mu(tmp_path / "a.h5mu")
    read = mudata.read_h5mu(tmp_path / "a.h5mu").uns["omicsbal_tune"]
    pd.testing.assert_frame_equal(read["tune"], trials, check_dtype=False, check_index_type=False, check_column_type=False)
    assert read["tune_scores"]["gain"].tolist() == scores["gain"].tolist()

    path = tmp_path / "trials.log"
    tune(resumed.copy(), n_trials=1, checkpoint=path)
    later = tune(resumed, n_trials=2, checkpoint=path)
    same(later.trials, trials)
    pd.testing.assert_frame_equal(later.scores, scores)
    with pytest.raises(ValueError, match="trials of this search"):
        tune(resumed, n_trials=2, checkpoint=path, random_state=1)


def test_a_fit_and_a_tuning_take_nothing_from_each_other(duo, frozen):
    alike = {name: QUICK[name] for name in ("n_folds", "experts", "net", "config", "progress", "device")}
    ob.tl.fit(duo, label_key="cell_type", strategy="late", **alike)
    before = frozen(duo)
    tuned = tune(duo, n_trials=1)
    said = duo.obsm["omicsbal_tune_proba_cell_type"].copy()
    ob.tl.fit(duo, label_key="cell_type", strategy="late", **alike)
    same(duo.uns["omicsbal_tune"]["tune"], tuned.trials)
    pd.testing.assert_frame_equal(duo.uns["omicsbal_tune"]["tune_scores"], tuned.scores)
    pd.testing.assert_frame_equal(duo.obsm["omicsbal_tune_proba_cell_type"], said)
    duo.obs.drop(columns=[c for c in duo.obs if c.startswith("omicsbal_tune_")], inplace=True)
    for where in (duo, *duo.mod.values()):
        for slot in [s for s in where.obsm if "omicsbal_tune" in s]:
            del where.obsm[slot]
    del duo.uns["omicsbal_tune"]
    assert frozen(duo) == before


def test_of_outer_test_rows_a_search_sees_neither_labels_nor_values(duo):
    design = design_of(duo)
    part = outer_parts(design, None, n_folds=3, random_state=0)[0]
    seen = rows_of(duo, part.design)
    blocks = seen.blocks(1.0)
    assert not set(part.test) & set(np.flatnonzero(part.design.training)) and len(part.test) + len(seen.design.folds) == 120
    assert not blocks.everything.y[part.test].any() and not blocks.everything.weight[part.test].any()
    other = duo.copy()
    for adata in other.mod.values():
        adata.X = np.asarray(adata.X.todense()) if hasattr(adata.X, "todense") else adata.X.copy()
        adata.X[part.test] = 7
    other.obs["cell_type"] = other.obs["cell_type"].astype(object)
    moved = rows_of(other, part.design).blocks(1.0)
    for m in duo.mod:
        assert torch.equal(blocks.data.x[m], moved.data.x[m])
        assert not torch.equal(blocks.everything.x[m][part.test], moved.everything.x[m][part.test])


def test_donors_stay_whole_in_outer_and_inner_folds(duo):
    donors = np.repeat(np.arange(6), 20)
    duo.obs["donor6"] = [f"d{i}" for i in donors]
    for part in outer_parts(design_of(duo, group_key="donor6"), donors, n_folds=3, random_state=0):
        assert len(np.unique(donors[part.test])) == 2 and not np.isin(donors[part.design.training], donors[part.test]).any()
        held = pd.DataFrame({"donor": donors[part.design.training], "fold": part.design.folds})
        assert held.groupby("donor")["fold"].nunique().eq(1).all()


def test_without_time_each_search_does_the_default_alone_and_says_so(duo):
    duo.obs["age"] = np.asarray(duo["rna"].X.sum(1)).ravel() + 0.5
    tuned = tune(duo, label_key="age", minutes=1e-6, settings={"dropout": (0.1, 0.3)})
    assert len(tuned.trials) == 3 and tuned.trials["default"].all() and tuned.settings == {"dropout": 0.5}
    assert tuned.scores["measure"].unique().tolist() == ["rmse", "r2"] and not tuned.scores["gain"].any()
    assert tuned.verdict == "No search in 2 outer folds chose anything but the default: keep the default."


class Trial:
    def __init__(self, behind):
        self.behind, self.told = behind, []

    def report(self, value, step):
        self.told.append((step, value))

    def should_prune(self):
        return self.behind


def test_rungs_hear_each_evaluation_once_and_stop_what_is_behind_or_late():
    trial = Trial(behind=False)
    rungs = _Rungs(trial, "log_loss", np.inf, first=False)
    for values in ({}, {"oof_log_loss:rna": 0.1}, {"oof_log_loss:fused": 0.5}, {"oof_log_loss:fused": 0.7}):
        rungs(1, 4, values)
        rungs(2, 4, values)
    assert trial.told == [(1, 0.5), (2, 0.5)]
    with pytest.raises(_StopTrialError, match=STOPPED):
        _Rungs(Trial(behind=True), "log_loss", np.inf, first=False)(1, 2, {"oof_log_loss:fused": 0.5})
    with pytest.raises(_StopTrialError, match=LATE):
        _Rungs(Trial(behind=False), "log_loss", 0.0, first=False)(1, 2, {})
    _Rungs(Trial(behind=True), "log_loss", 0.0, first=True)(1, 2, {"oof_log_loss:fused": 0.5})  # the default is always done


def test_trials_that_are_behind_or_blow_up_are_kept_as_such(duo, monkeypatch):
    from omicsbal.tl._tune_search import open_study, quiet

    base = Base(Uniform(), QUICK["net"], QUICK["config"])
    losses = iter([0.5, FloatingPointError(), 0.4, 0.6])
    rows = rows_of(duo, design_of(duo))

    def fit(self, base, values, *, whole, progress):
        loss = next(losses)
        if isinstance(loss, Exception):
            raise loss
        for k in range(5):
            progress(k, 5, {"oof_log_loss:fused": loss})
        return loss

    monkeypatch.setattr(Rows, "fit", fit)
    monkeypatch.setattr(Rows, "loss", lambda self, fitted: fitted)
    with quiet():
        study = open_study("all", "mark", None, 25)
        study.ask()  # a kill leaves a trial that is neither finished nor counted
        space = parse_settings("width", base, [])
        found = search(study, rows, base, space, n_trials=4, seconds=0, tick=lambda records: None)
        fewer = search(study, rows, base, space, n_trials=2, seconds=0, tick=lambda records: None)
    assert [r["state"] for r in found] == ["done", "failed", "done", "stopped"]
    assert [r["loss"] for r in found] == [0.5, None, 0.4, None] and best_of(found) == 2 and fewer == found[:2]


def test_a_trial_that_a_kill_ended_is_not_counted_at_its_rung(duo, monkeypatch):
    from omicsbal.tl._tune_search import open_study, quiet

    rows, base = rows_of(duo, design_of(duo)), Base(Uniform(), QUICK["net"], QUICK["config"])
    losses, kill = iter([0.5, 0.4, 0.4, 0.6, 0.7, 0.8, 0.45]), [False, True]

    def fit(self, base, values, *, whole, progress):
        loss = next(losses)
        for k in range(5):
            progress(k, 5, {"oof_log_loss:fused": loss})
        if kill and kill.pop(0):
            raise KeyboardInterrupt
        return loss

    monkeypatch.setattr(Rows, "fit", fit)
    monkeypatch.setattr(Rows, "loss", lambda self, fitted: fitted)
    with quiet():
        study, space = open_study("all", "mark", None, 25), parse_settings("width", base, [])
        asked = {"n_trials": 6, "seconds": 0, "tick": lambda records: None}
        with pytest.raises(KeyboardInterrupt):
            search(study, rows, base, space, **asked)
        found = search(study, rows, base, space, **asked)
    assert [r["loss"] for r in found] == [0.5, 0.4, None, None, None, 0.45], "the second best of six goes on, whatever was killed"


def test_settings_become_arguments_of_a_fit(duo):
    base = Base(Mutual(gate="always"), ob.NetConfig(), ob.FitConfig())
    own = base.changed({"kd_weight": 0.7, "width": 32, "weight_decay": 2.0})
    assert (own.strategy.kd_weight, own.strategy.gate, own.net.width, own.config.weight_decay) == (0.7, "always", 32, 2.0)
    assert Base(Distill(), base.net, base.config).changed({"kd_weight": 0.7}).strategy.weight == 0.7
    sources = rows_of(duo, design_of(duo)).blocks(1.0).sources
    recipes = [s.recipe for s in sources.values()]
    assert set(parse_settings(None, base, recipes)) == set(base.values(["width", "dropout", "weight_decay", "learning_rate"])) | {
        "components",
        "kd_weight",
    }
    space = parse_settings({"width": (100, 200), "dropout": [0.1, 0.2], "learning_rate": None}, base, recipes)
    assert (space["width"].low, space["width"].high, space["dropout"].choices) == (64, 200, (0.1, 0.2, 0.5))
    half = resized(sources, 0.5)
    assert half["rna"].n_components == round(sources["rna"].recipe.n_out / 2) and not hasattr(half["rna"], "gain_")


def test_a_class_that_the_training_part_lacks_is_wrong(duo):
    rows = rows_of(duo, design_of(duo))
    base = Base(Uniform(), QUICK["net"], QUICK["config"])
    outcome = Classes(("a", *rows.design.outcome.names), np.log(np.full(4, 0.25)))
    part = outer_parts(rows.design, None, n_folds=3, random_state=0)[0]
    inside = rows_of(duo, part.design)
    labels = pd.Series(["a"] * len(part.test))
    found = score_outer(inside, part, base, base.values(["width"]), labels, outcome)
    assert found["tuned"]["macro_f1"] == 0 and found["default"]["log_loss"] == pytest.approx(-FLOOR)


def test_the_verdict_is_for_the_default_unless_the_interval_says_otherwise():
    def scores(tuned, default):
        parts = zip(tuned, default, strict=True)
        return [
            {"tuned": {"macro_f1": 0.5, "log_loss": a}, "default": {"macro_f1": 0.5, "log_loss": b}, "n_train": 20, "n_test": 10}
            for a, b in parts
        ]

    outcome = Classes(("a", "b"), np.log([0.5, 0.5]))
    better = score_table(scores([0.1, 0.2, 0.3], [0.21, 0.3, 0.41]), outcome).iloc[3]
    assert better["gain"] == pytest.approx(0.32 / 3) and better["low"] > 0 and better["note"].endswith("use the tuned settings.")
    unsure = score_table(scores([0.1, 0.2, 0.3], [0.3, 0.1, 0.4]), outcome).iloc[3]
    assert unsure["low"] < 0 < unsure["gain"] and unsure["note"].endswith("no gain can be told, keep the default.")
    assert verdict_of("log-loss", {"gain": -0.1, "low": -0.2, "high": -0.05}, 3).endswith("worse, keep the default.")


def test_without_optuna_it_says_what_to_install(duo, frozen, monkeypatch):
    before = frozen(duo)
    monkeypatch.setitem(sys.modules, "optuna", None)
    with pytest.raises(ImportError, match=r"pip install 'omicsbal\[tune\]'"):
        tune(duo)
    assert frozen(duo) == before


@pytest.mark.parametrize(
    ("options", "error", "told"),
    [
        ({"settings": ["widht"]}, ValueError, "Did you mean 'width'"),
        ({"settings": ["kd_weight"]}, ValueError, "pass strategy='mutual'"),
        ({"settings": []}, ValueError, "Leave it out"),
        ({"settings": {"width": (64, 32)}}, ValueError, "low < high"),
        ({"settings": {"width": 64}}, TypeError, "tuple of two numbers"),
        ({"settings": {"width": [64, 0]}}, ValueError, "width"),
        ({"settings": {"dropout": (0.1, 2.0)}}, ValueError, "dropout"),
        ({"settings": {"components": (0.5, 2.0)}}, TypeError, "a list of factors"),
        ({"minutes": 0}, ValueError, "minutes"),
        ({"n_trials": 0}, ValueError, "n_trials"),
        ({"outer_folds": 1}, ValueError, "outer_folds"),
        ({"label_key": "nothing"}, KeyError, "nothing"),
        ({"strategy": "nothing"}, ValueError, "strategy"),
        ({"checkpoint": "nowhere/trials.log"}, OSError, "nowhere"),
    ],
)
def test_bad_input_is_refused_before_anything_is_trained(duo, frozen, monkeypatch, options, error, told):
    monkeypatch.setattr(Rows, "fit", lambda *_, **__: pytest.fail("a fit was begun"))
    before = frozen(duo)
    with pytest.raises(error, match=told):
        tune(duo, **{"n_trials": 1, **options})
    assert frozen(duo) == before


@pytest.mark.parametrize("text", ["hello\n", '{"a": 1}\n', "\x00\x01"])
def test_a_checkpoint_of_something_else_is_refused_and_left_alone(duo, frozen, tmp_path, text):
    before, path = frozen(duo), tmp_path / "notes.txt"
    path.write_text(text)
    with pytest.raises(ValueError, match="trials of this search"):
        tune(duo, n_trials=1, checkpoint=path)
    assert frozen(duo) == before and path.read_text() == text
