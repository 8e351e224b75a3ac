"""Calls of one loop, one after the other: what each starts from, what it leaves, and what is told of it."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch

from omicsbal._keys import KD_GATE, REFERENCES
from omicsbal.balance import Distill, Mutual
from omicsbal.balance import _gate as gate
from omicsbal.mi.gate import complementarity
from omicsbal.train import intervals
from omicsbal.train import stages as module

EPOCHS = 3


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    """Few bootstrap draws, and a gap that always passes: neither is the point here."""

    def passing(teacher, student, y, *, folds=None):
        told = {"value": 0.5, "low": 0.3, "high": 0.7, "se": 0.1, "within": 0.6, "extra": 0.1, "shared": 1.0, "relevant": 0.5}
        return SimpleNamespace(**told, decision="pass", n=len(y))

    monkeypatch.setattr(gate, "complementarity", passing)
    monkeypatch.setattr(intervals, "DRAWS", 2)


@pytest.fixture
def spied(monkeypatch):
    """Every call of the loop: strategy, and weights and generator before and after."""
    calls, real = [], module.train

    def train(net, strategy, data, members, **options):
        copy = lambda: {n: p.detach().clone() for n, p in net.named_parameters()}  # noqa: E731
        call = SimpleNamespace(strategy=strategy, members=members, start=copy(), draws=options["generator"].get_state())
        call.references = options["references"]
        run = real(net, strategy, data, members, **options)
        call.end, call.groups = copy(), run.optimizer.param_groups
        calls.append(call)
        return run

    monkeypatch.setattr(module, "train", train)
    return calls


def same(first, second):
    return first.keys() == second.keys() and all(torch.equal(first[n], second[n]) for n in first)


def weights(fit):
    return dict(fit.predictor.net.named_parameters())


def names(fit):
    return list(dict.fromkeys(row["stage"] for row in fit.history))


@pytest.mark.parametrize(
    ("strategy", "expected"),
    [
        ("uniform", ["joint"]),
        (Distill("never"), ["joint"]),
        (Distill("always"), ["reference", "joint"]),
        (Mutual(gate="never"), ["joint"]),
        (Mutual(gate="mi"), ["reference", "joint"]),
        (Mutual(kd="first", gate="never"), ["distil", "joint"]),
        (Mutual(kd="first"), ["reference", "distil", "joint"]),
        (Distill("pilot", margin=0), ["reference", "pilot 0", "pilot 1", "pilot 2", "joint"]),
        (Mutual(kd="first", gate="pilot"), ["reference", "pilot 0", "pilot 1", "pilot 2", "distil", "joint"]),
    ],
)
def test_the_history_holds_every_stage_and_one_chosen_epoch(toy, fit, strategy, expected):
    done = fit(toy(), strategy=strategy, experts=False, max_epochs=EPOCHS)
    assert names(done) == expected
    for name in expected:
        assert [row["epoch"] for row in done.history if row["stage"] == name] == list(range(1, EPOCHS + 1))
    assert [(row["stage"], row["epoch"]) for row in done.history if row["chosen"]] == [("joint", done.chosen_epoch)]
    assert (REFERENCES in done.tables) == (KD_GATE in done.tables) == ("reference" in expected)


def test_stage_2_begins_with_the_weights_of_stage_1_and_draws_on(toy, fit, spied):
    fit(toy(), strategy=Mutual(kd="first", gate="always"), experts=False)
    reference, first, second = spied
    assert isinstance(first.strategy, Distill) and isinstance(second.strategy, Mutual)
    assert same(first.end, second.start) and not same(second.start, second.end)
    assert not torch.equal(first.draws, second.draws)
    assert reference.references is None and first.references is second.references and first.references is not None
    assert (reference.members.total, first.members.total, second.members.total) == (6, 4, 4), "3 folds, 3 pairs; 3 folds, 1 more"


def test_what_stage_1_has_trained_is_fine_tuned_at_a_tenth_of_the_rate(toy, fit, spied):
    done = fit(toy(), strategy=Mutual(kd="first", gate="never"), experts=False)
    groups = done.predictor.net.groups()
    fresh = {id(p) for p in groups["fused"]}
    for call, slow in zip(spied, (1.0, 0.1), strict=True):
        shares = {id(p): group["share"] for group in call.groups for p in group["params"]}
        rates = {group["lr"] / group["share"] for group in call.groups}
        assert shares == {id(p): 1.0 if id(p) in fresh else slow for ps in groups.values() for p in ps} and len(rates) == 1
    fit(toy(), strategy="mutual", experts=False)
    assert {group["share"] for group in spied[-1].groups} == {1.0}, "nothing came before it but what was thrown away"


def test_stage_1_is_taught_and_stage_2_is_not(toy, fit, spied):
    done = fit(toy(), strategy=Mutual(kd="first", gate="always"), experts=False)
    taught = {r["student"] for r in done.tables[KD_GATE] if r["chosen"]}
    assert taught
    for stage, expected in (("reference", set()), ("distil", taught), ("joint", set())):
        rows = [row for row in done.history if row["stage"] == stage]
        assert {key.partition(":")[2] for row in rows for key in row if key.startswith("loss:kd:")} == {
            f"kd:{m}" for m in expected
        }
    last = [row for row in done.history if row["stage"] == "distil"][-1]
    assert all(last[f"signal:kd_weight:{m}"] == 0 for m in taught)


def test_every_pilot_begins_alike(toy, fit, spied):
    fit(toy(), strategy=Distill("pilot", margin=0), experts=False)
    _, alone, first, second, main = spied
    assert isinstance(alone.strategy, module.Alone)
    for pilot in (first, second):
        assert same(alone.start, pilot.start) and torch.equal(alone.draws, pilot.draws)
        assert pilot.strategy.teachers and not same(alone.end, pilot.end), "someone was taught"
    assert main.members.n_full == 1 and alone.members.n_full == 0


def test_without_teachers_a_fit_is_unimodal_bit_for_bit(toy, fit):
    data = toy(absent=0.2)
    alone = fit(data, strategy="unimodal", experts=False)
    for strategy in (Distill("never"), Distill("mi", margin=1.0), Distill(teachers={})):
        other = fit(data, strategy=strategy, experts=False)
        assert same(weights(alone), weights(other))
        for head, told in alone.predictions.items():
            np.testing.assert_array_equal(told, other.predictions[head])


def test_a_gain_is_told_exactly_where_someone_was_taught(toy, fit):
    for strategy in (Distill("always"), Distill("mi"), Mutual(gate="always"), Distill(teachers={"rna": "atac"})):
        records = fit(toy(), strategy=strategy, experts=False).tables[KD_GATE]
        assert any(r["chosen"] for r in records) and not all(r["chosen"] for r in records)
        for r in records:
            assert all(np.isfinite(r[key]) == bool(r["chosen"]) for key in gate.GAIN)
            assert not r["chosen"] or r["gain_low"] <= r["gain_high"]
    nothing = fit(toy(), strategy=Distill("always", weight=0.0), experts=False).tables[KD_GATE]
    assert any(r["chosen"] for r in nothing) and all(np.isnan(r["gain"]) for r in nothing), "a weight of 0 is no lesson"


def test_the_gain_is_that_of_the_out_of_fold_metric_over_the_reference(toy, fit):
    data = toy(n=90)
    done = fit(data, strategy=Distill("always"), experts=False, max_epochs=EPOCHS)
    alone = {r["modality"]: r["macro_f1"] for r in done.tables[REFERENCES]}
    after = next(row for row in done.history if row["chosen"])
    for r in [r for r in done.tables[KD_GATE] if r["chosen"]]:
        assert r["score_student"] == pytest.approx(alone[r["student"]])
        assert r["gain"] == pytest.approx(after[f"oof_macro_f1:{r['student']}"] - alone[r["student"]])


def test_pilots_are_judged_against_the_same_run_without_a_teacher(toy, fit):
    done = fit(toy(n=90), strategy=Distill("pilot", margin=0), experts=False, max_epochs=EPOCHS)
    scores = {}
    for name in names(done)[1:-1]:
        rows = [row for row in done.history if row["stage"] == name]
        scores[name] = {m: [row[f"oof_macro_f1:{m}"] for row in rows] for m in ("rna", "atac", "protein")}
    tried = [r for r in done.tables[KD_GATE] if np.isfinite(r["gain"])]
    assert {r["decision"] for r in tried} <= {"pass", "uncertain", "fail"} and len(tried) == 3
    for r in tried:
        possible = {b - a for a in scores["pilot 0"][r["student"]] for p in scores for b in scores[p][r["student"]]}
        assert min(abs(r["gain"] - p) for p in possible) < 1e-9
    assert {r["decision"] for r in done.tables[KD_GATE] if r not in tried} == {"weaker"}


@pytest.mark.parametrize("strategy", [Distill("always"), Mutual(gate="always", relation=0.5)])
def test_references_of_another_fit_save_their_training_and_change_nothing(toy, fit, spied, strategy):
    data = toy(absent=0.2)
    afresh = fit(data, strategy=strategy, experts=False)
    made = spied[-1].references
    count = len(spied)
    shared = fit(data, strategy=strategy, experts=False, references=made)
    assert len(spied) == 2 * count - 1 and "reference" not in names(shared)
    assert same(weights(afresh), weights(shared)) and repr(afresh.tables) == repr(shared.tables)
    assert [row for row in afresh.history if row["stage"] != "reference"] == shared.history


def test_pilots_of_one_fit_are_not_taken_for_the_gain_of_another(toy, fit, spied):
    data = toy()
    fit(data, strategy=Distill("pilot", margin=0), experts=False)
    made = spied[-1].references
    shared, afresh = (fit(data, strategy=Distill("always"), experts=False, **more) for more in ({"references": made}, {}))
    assert repr(shared.tables[KD_GATE]) == repr(afresh.tables[KD_GATE])


RUNS = ["uniform", Distill("pilot", margin=0), "mutual", *(Mutual(kd="first", gate=g) for g in ("never", "always", "pilot"))]


@pytest.mark.parametrize("strategy", RUNS)
@pytest.mark.parametrize("given", [False, True])
def test_progress_goes_forward_and_ends_at_the_end(toy, fit, spied, strategy, given):
    references = None
    if given:
        fit(toy(), strategy=Distill("always"), experts=False)
        references = spied[-1].references
    seen = []
    done = fit(
        toy(), strategy=strategy, experts=False, max_epochs=EPOCHS, references=references,
        progress=lambda done, total, metrics: seen.append((done, total)),
    )  # fmt: skip
    assert [done for done, _ in seen] == list(range(1, len(done.history) + 1)), "an epoch at a time"
    assert all(done <= total for done, total in seen) and seen[-1][0] == seen[-1][1] == len(done.history)
    assert all(done < total for done, total in seen[:-1]), "it is not said to be over before it is"


def test_a_single_modality_has_nobody_to_learn_from(toy, fit):
    data = toy(sizes={"rna": 6})
    alone = fit(data, strategy="unimodal", experts=False)
    for gate_name in ("mi", "pilot", "always"):
        done = fit(data, strategy=Distill(gate_name, feature=1.0, relation=1.0), experts=False)
        assert same(weights(alone), weights(done)) and done.tables[KD_GATE] == [] and len(done.tables[REFERENCES]) == 1
    assert fit(data, strategy="mutual", experts=False).chosen_epoch


@pytest.mark.parametrize("strategy", [Distill("mi", feature=0.5, relation=0.5), Distill("pilot", margin=0), "mutual"])
def test_numbers_as_labels(toy, fit, strategy):
    done = fit(toy(classes=0, absent=0.2), strategy=strategy, experts=False)
    assert all(torch.isfinite(p).all() for p in weights(done).values())
    assert {"r2", "r2_low", "r2_high", "rmse"} <= set(done.tables[REFERENCES][0])
    assert {r["metric"] for r in done.tables[KD_GATE]} == {"r2"}


def test_a_modality_may_have_a_colon_in_its_name(toy, fit):
    data = toy(sizes={"rna": 6, "my:atac": 2}, n=90)
    for kd in ("first", "throughout"):
        done = fit(data, strategy=Mutual(kd=kd, gate="always", relation=0.5), experts=False)
        assert [r["student"] for r in done.tables[KD_GATE] if r["chosen"]] == ["my:atac"]


def test_modalities_that_never_meet_can_be_fitted(toy, fit, monkeypatch):
    """With the gap as it is."""
    monkeypatch.setattr(gate, "complementarity", complementarity)
    data, first = toy(sizes={"rna": 6, "atac": 4}), torch.arange(60) < 30
    data = replace(data, data=replace(data.data, present={"rna": first, "atac": ~first}))
    for strategy in (Distill("mi", margin=0.0, feature=0.5, relation=0.5), Mutual(gate="always"), Mutual(kd="first")):
        done = fit(data, strategy=strategy, experts=False)
        assert all(torch.isfinite(p).all() for p in weights(done).values())
        assert all(r["n"] == 0 and np.isnan(r["gap"]) for r in done.tables[KD_GATE])


def test_two_fits_of_one_seed_agree_bit_for_bit(toy, fit):
    for strategy in (Distill("always", feature=0.5), Mutual(kd="first", gate="always", relation=0.5)):
        one, two = (fit(toy(absent=0.2), strategy=strategy, experts=False) for _ in range(2))
        assert same(weights(one), weights(two)) and one.history == two.history and repr(one.tables) == repr(two.tables)
    assert not same(weights(one), weights(fit(toy(absent=0.2), strategy=strategy, experts=False, seed=1)))


def test_after_a_fit_the_strategy_holds_no_rows(toy, fit):
    """What is saved with a model must not hold the training set."""
    done = fit(toy(), strategy=Distill("always", feature=0.5, relation=0.5), experts=False)
    assert not done.predictor.strategy.state_dict() and not done.predictor.strategy.targets
    kept = fit(toy(), strategy="mutual", experts=False).predictor.strategy.state_dict()
    assert {name: tuple(v.shape) for name, v in kept.items()} == {"f1": (3,), "dependence": (3,)}


SAVED = [Distill("always", feature=0.5), Mutual(kd="first", gate="always"), Mutual(feature=0.5)]


@pytest.mark.parametrize("strategy", SAVED)
def test_a_model_that_was_saved_predicts_the_same(simulated, tmp_path, strategy):
    import omicsbal as ob

    mdata = simulated(n_obs=90, n_truth=200, preset="redundant", n_classes=3, random_state=0)
    train, query = mdata[:75].copy(), mdata[75:].copy()
    options = {"net": ob.NetConfig(width=8, depth=1, latent=4), "config": ob.FitConfig(max_epochs=3, n_members=1)}
    model = ob.tl.fit(
        train, label_key="cell_type", strategy=strategy, n_folds=3, experts=False, device="cpu", progress=False, **options
    )
    assert {"stage", "chosen"} <= set(model.tables["history"]) and model.tables["history"].columns[-1] == "chosen"
    again = ob.FittedModel.load(model.save(tmp_path / "model"))
    for head in model.predictor.head_names:
        one, two = (ob.tl.predict(m, query.copy(), head=head) for m in (model, again))
        pd.testing.assert_frame_equal(one, two)
    for name in ("history", KD_GATE, REFERENCES):
        pd.testing.assert_frame_equal(again.tables[name], model.tables[name], check_dtype=False)
    assert again.params["strategy_settings"] == strategy.settings()


def test_one_stage_is_not_named(simulated):
    import omicsbal as ob

    mdata = simulated(n_obs=60, n_truth=200, n_features={"rna": 30, "protein": 8}, random_state=0)
    options = {"net": ob.NetConfig(width=4, depth=1, latent=2), "config": ob.FitConfig(max_epochs=1, n_members=0)}
    options |= {"label_key": "cell_type", "n_folds": 2, "experts": False, "device": "cpu", "progress": False}
    for strategy in ("uniform", Distill("never")):
        model = ob.tl.fit(mdata.copy(), strategy=strategy, **options)
        assert "stage" not in model.tables["history"] and {KD_GATE, REFERENCES}.isdisjoint(model.tables)
