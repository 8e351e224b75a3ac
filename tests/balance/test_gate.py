"""Who may teach whom: the table, the choice, and worlds in which the answer is known."""

import math
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from omicsbal._types import Arrays, References
from omicsbal.balance import _dependence as dependence
from omicsbal.balance import _gate as gate
from omicsbal.mi.gate import label_facing

NAN = float("nan")


def world(held_out, y, *, scores, present=None, embeddings=None, n_folds=3):
    """References and rows from log-probabilities (n, c) or numbers (n, 1) made by hand; folds in turn."""
    n = len(y)
    told = {m: torch.as_tensor(v, dtype=torch.float32) for m, v in held_out.items()}
    z = told if embeddings is None else {m: torch.as_tensor(v, dtype=torch.float32) for m, v in embeddings.items()}
    here = {m: torch.ones(n, dtype=torch.bool) for m in told} | (present or {})
    data = Arrays({m: v[:, :1] for m, v in told.items()}, here, torch.as_tensor(y), torch.ones(n))
    return References(torch.arange(n) % n_folds, scores, told, {}, z, lambda m: z[m]), data


def log_softmax(logits):
    return logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))


def classes(n, c=3, seed=0):
    rng = np.random.default_rng(seed)
    return rng, rng.permutation(np.arange(n) % c)


def table(references, data, **options):
    return gate.gate_table(references, data, metric="macro_f1", **{"margin": 0.02, "space": "logit", **options})


def decide(references, data, **options):
    """The record of the pair t -> s, whose teacher is the better classifier; the other direction is not measured."""
    records = table(references, data, every=False, **options)
    gate.choose_teachers(records, "mi", {"pass": 0.3, "uncertain": 0.1})
    return next(r for r in records if (r["teacher"], r["student"]) == ("t", "s"))


@pytest.fixture
def asked(monkeypatch):
    """Calls of the gap, which is always 0.5 and passes."""
    calls = []

    def complementarity(teacher, student, y, *, folds=None):
        calls.append(SimpleNamespace(teacher=teacher, student=student, y=y, folds=folds))
        told = {"value": 0.5, "low": 0.3, "high": 0.7, "se": 0.1, "within": 0.6, "extra": 0.1, "shared": 1.0, "relevant": 0.5}
        return SimpleNamespace(**told, decision="pass", n=len(y))

    monkeypatch.setattr(gate, "complementarity", complementarity)
    return calls


@pytest.fixture
def three():
    """Modalities of macro-F1 .8, .6 and .59; b lacks the last 40 of 120 rows."""
    rng, y = classes(120)
    told = {m: log_softmax(rng.normal(size=(120, 3))) for m in "abc"}
    return world(told, y, scores={"a": 0.8, "b": 0.6, "c": 0.59}, present={"b": torch.arange(120) < 80})


def test_a_record_for_each_ordered_pair_and_the_weaker_never_teach(three, asked):
    records = table(*three)
    assert [(r["teacher"], r["student"]) for r in records] == [
        ("b", "a"), ("c", "a"), ("a", "b"), ("c", "b"), ("a", "c"), ("b", "c"),
    ]  # fmt: skip
    assert [r["decision"] for r in records] == ["weaker", "weaker", "pass", "weaker", "pass", "weaker"], "b is better by .01"
    assert all(r["gap"] == 0.5 and r["chosen"] == 0 and r["weight"] == 0 and math.isnan(r["gain"]) for r in records)
    assert [r["n"] for r in records] == [80, 120, 80, 80, 120, 80] and len(asked) == 6
    assert {r["score_teacher"] - r["score_student"] for r in records if r["decision"] == "pass"} == {0.8 - 0.6, 0.8 - 0.59}
    keys = set(records[0])
    assert {*gate.GAP, *gate.GAIN, "metric", "space"} <= keys and all(set(r) == keys for r in records)


def test_the_margin_says_how_much_better(three, asked):
    eligible = lambda margin: [r["teacher"] + r["student"] for r in table(*three, margin=margin) if r["decision"] != "weaker"]  # noqa: E731
    assert eligible(0.0) == ["ab", "ac", "bc"] and eligible(0.205) == ["ac"] and eligible(0.5) == []


def test_only_what_is_asked_for_is_measured(three, asked):
    assert [math.isnan(r["gap"]) for r in table(*three, every=False)] == [True, True, False, True, False, True]
    assert len(asked) == 2
    records = table(*three, measured=False)
    assert len(asked) == 2 and {r["decision"] for r in records} == {"weaker", "unmeasured"}


def test_equal_scores_are_no_reason_to_teach_and_unknown_ones_neither(three, asked):
    references, data = three
    for scores in ({"a": 0.6, "b": 0.6, "c": 0.6}, {"a": NAN, "b": 0.6, "c": NAN}):
        assert {r["decision"] for r in table(replace(references, scores=scores), data)} == {"weaker"}


def test_the_gap_sees_the_rows_with_both_modalities_and_their_folds(three, asked):
    references, data = three
    records = table(*three)
    call = asked[[(r["teacher"], r["student"]) for r in records].index(("a", "b"))]
    assert len(call.teacher) == len(call.student) == 80 and call.teacher.shape[1] <= 2
    np.testing.assert_array_equal(call.y, data.y[:80])
    np.testing.assert_array_equal(call.folds, references.folds[:80])
    expected = dependence.label_coordinates(references.held_out["a"][:80], references.folds[:80])
    np.testing.assert_array_equal(call.teacher, expected)


def test_embeddings_are_compared_within_the_fold_that_has_most_rows(three, asked):
    references, data = three
    folds = torch.tensor([0] * 50 + [1] * 70)  # of the rows with both, 50 and 30
    table(replace(references, folds=folds), data, space="embedding")
    both, whole = asked[2], asked[1]
    np.testing.assert_array_equal(both.teacher, references.embeddings["a"][:50].numpy())
    np.testing.assert_array_equal(whole.student, references.embeddings["a"][50:].numpy())
    assert both.folds is None and len(both.y) == 50


def test_values_where_a_modality_is_absent_change_nothing(three, asked):
    references, data = three
    for space in ("logit", "embedding"):
        table(references, data, space=space)
    for values in (references.held_out, references.embeddings):
        values["b"] = values["b"].clone()
        values["b"][80:] = NAN
    for space in ("logit", "embedding"):
        table(references, data, space=space)
    assert len(asked) == 24
    for before, after in zip(asked[:12], asked[12:], strict=True):
        np.testing.assert_array_equal(before.teacher, after.teacher)
        np.testing.assert_array_equal(before.student, after.student)


def test_the_verbs_table_measures_every_pair_and_chooses(three, asked):
    records = gate.gate_records(*three, metric="macro_f1", margin=0.02, space="logit", weight=0.6)
    assert len(asked) == 6 and [(r["teacher"], r["student"], r["weight"]) for r in records if r["chosen"]] == [
        ("a", "b", 0.6), ("a", "c", 0.6),
    ]  # fmt: skip


def record(teacher, decision, gap, *, score=0.8, se=0.05, gain=(NAN, NAN, NAN), student="s"):
    told = {"teacher": teacher, "student": student, "decision": decision, "gap": gap, "gap_se": se, "score_teacher": score}
    return told | dict(zip(gate.GAIN, gain, strict=True)) | {"chosen": 0, "weight": 0.0}


def chosen(records, how="mi", weights=None):
    gate.choose_teachers(records, how, weights or {"pass": 0.3, "uncertain": 0.1})
    return {r["teacher"]: r["weight"] for r in records if r["chosen"]}


def test_passing_comes_before_uncertain_and_failing_never():
    a, b, c = record("a", "pass", 0.2), record("b", "uncertain", 0.9), record("c", "fail", 2.0)
    assert chosen([a, b, c]) == {"a": 0.3}
    assert chosen([record("b", "uncertain", 0.9), record("c", "fail", 2.0)]) == {"b": 0.1}
    assert chosen([record("c", "fail", 2.0), record("d", "weaker", 3.0)]) == {}


def test_the_largest_gap_teaches_and_level_ones_by_score():
    """Level: within one standard error of the largest gap, that of the largest."""
    far, near = record("far", "pass", 0.9, score=0.7, se=0.1), record("near", "pass", 0.81, score=0.75)
    low = record("low", "pass", 0.79, score=0.99)
    assert chosen([low, far, near]) == {"near": 0.3}
    assert chosen([record("far", "pass", 0.9, score=0.7, se=0.05), record("near", "pass", 0.81, score=0.75)]) == {"far": 0.3}


def test_each_student_has_one_teacher_of_its_own():
    records = [record("a", "pass", 0.2), record("b", "pass", 0.5), record("a", "uncertain", 0.1, student="r")]
    chosen(records)
    assert [(r["teacher"], r["student"], r["weight"]) for r in records if r["chosen"]] == [("b", "s", 0.3), ("a", "r", 0.1)]


def test_always_asks_for_nothing_but_the_score_and_never_closes():
    records = [record("a", "fail", -1.0, score=0.7), record("b", "fail", -2.0, score=0.9), record("c", "weaker", 9.0, score=0.99)]
    assert chosen([dict(r) for r in records], "always") == {"b": 0.3}
    shut = [dict(r) for r in records]
    assert chosen(shut, "never") == {} and [r["decision"] for r in shut] == ["fail", "fail", "weaker"]


def test_the_pilot_decides_by_what_it_gained():
    good, better = record("good", "fail", NAN, gain=(0.05, 0.01, 0.09)), record("better", "fail", NAN, gain=(0.07, 0.02, 0.12))
    even, bad = record("even", "pass", 1.0, gain=(0.2, -0.01, 0.41)), record("bad", "pass", 1.0, gain=(-0.2, -0.3, -0.1))
    records = [good, better, even, bad]
    assert chosen(records, "pilot") == {"better": 0.3}
    assert [r["decision"] for r in records] == ["pass", "pass", "uncertain", "fail"], "and not the gap"
    assert chosen([dict(even, chosen=0), dict(bad)], "pilot") == {"even": 0.1}
    assert chosen([record("untried", "pass", 1.0)], "pilot") == {}
    weak = record("weak", "weaker", 1.0, gain=(0.2, 0.1, 0.3))
    assert chosen([weak], "pilot") == {}, "the weaker never teach, whatever they brought"


# --- worlds ---


def independent(n, seed, *, nuisance=0.0):
    """Log-probabilities of a strong teacher and a weak student that are independent given the class.

    With a nuisance, both read their class off an embedding in which a variable that they share, and that is none of the label's
    business, is the largest: cross-fitted logistic regression.
    """
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import PredefinedSplit, cross_val_predict

    rng, y = classes(n, seed=seed)
    signal = {m: s * np.eye(3)[y] + rng.normal(size=(n, 3)) for m, s in {"t": 3.0, "s": 1.5}.items()}
    if not nuisance:
        return y, {m: log_softmax(v) for m, v in signal.items()}, signal
    depth = nuisance * rng.normal(size=(n, 1))
    turns = {m: np.linalg.qr(rng.normal(size=(4, 4)))[0] for m in signal}
    z = {m: np.hstack([v, depth + 0.1 * rng.normal(size=(n, 1))]) @ turns[m] for m, v in signal.items()}
    split = PredefinedSplit(np.arange(n) % 3)
    probe = {m: cross_val_predict(LogisticRegression(), v, y, cv=split, method="predict_log_proba") for m, v in z.items()}
    return y, probe, z


@pytest.mark.parametrize("nuisance", [0.0, 5.0])
def test_teachers_that_share_nothing_but_the_label_do_not_pass(nuisance):
    for seed in range(3):
        y, told, z = independent(400, seed, nuisance=nuisance)
        found = decide(*world(told, y, scores={"t": 0.9, "s": 0.6}, embeddings=z))
        assert found["decision"] != "pass" and found["weight"] < 0.3, (seed, found)
        assert found["within"] < 0.05, "what they share beyond the label"


def test_shared_nuisance_opens_the_gate_in_the_space_of_embeddings():
    """The reason why that is not the default."""
    y, told, z = independent(600, 0, nuisance=5.0)
    found = decide(*world(told, y, scores={"t": 0.9, "s": 0.6}, embeddings=z), space="embedding")
    assert found["decision"] == "pass" and found["n"] == 200 and found["within"] > 0.5


def test_a_student_that_hears_the_teacher_but_not_the_label_passes():
    """The student's log-probabilities follow those of the teacher within each class, and hardly know the class."""
    rng, y = classes(600)
    within = rng.normal(size=(600, 3))
    told = {"t": log_softmax(3 * np.eye(3)[y] + within), "s": log_softmax(within + 0.3 * rng.normal(size=(600, 3)))}
    found = decide(*world(told, y, scores={"t": 0.9, "s": 0.4}))
    assert found["decision"] == "pass" and (found["chosen"], found["weight"]) == (1, 0.3) and found["gap_low"] > 0
    shuffled = told | {"t": told["t"][rng.permutation(600)]}
    assert decide(*world(shuffled, y, scores={"t": 0.9, "s": 0.4}))["decision"] != "pass", "another row's teacher"


def of_ignorance(n=600, seed=0):
    """Two networks that learned nothing: class frequencies of the training part, and a little noise of their own."""
    rng, y = classes(n, seed=seed)
    shift = np.log([[0.40, 0.30, 0.30], [0.30, 0.40, 0.30], [0.30, 0.30, 0.40]])[np.arange(n) % 3]
    return y, {m: log_softmax(shift + 0.02 * rng.normal(size=(n, 3))) for m in "ts"}


def test_what_folds_do_to_all_modalities_alike_is_neither_dependence_nor_a_reason_to_teach():
    y, told = of_ignorance()
    references, data = world(told, y, scores={"t": 0.40, "s": 0.33})
    raw = [label_facing(told[m]) for m in "ts"]
    assert dependence.squared_correlation(*raw) > 0.8, "what it would be without centring by fold"
    assert dependence.mean_dependence(references.held_out, data.present, references.folds).tolist() == [0, 0]
    found = decide(references, data)
    assert found["decision"] != "pass" and found["within"] < 0.02


def test_a_modality_that_says_the_same_of_every_row_depends_on_nothing():
    rng, y = classes(300)
    told = {"t": log_softmax(rng.normal(size=(300, 3))), "s": np.tile(np.log([[0.5, 0.3, 0.2]]), (300, 1))}
    references, data = world(told, y, scores={"t": 0.6, "s": 0.3})
    assert dependence.mean_dependence(references.held_out, data.present, references.folds).tolist() == [0, 0]
    assert np.isfinite(decide(references, data)["gap"])


def test_modalities_that_hardly_meet_are_left_unmeasured_and_nobody_is_taught():
    rng, y = classes(120)
    told = {m: log_softmax(rng.normal(size=(120, 3))) for m in "ts"}
    alone = torch.arange(120) < 60
    for met, labels in ((0, y), (19, y), (40, np.where(np.arange(120) < 100, 1, y))):  # no row, few rows, a single class
        for space in ("logit", "embedding"):
            present = {"t": alone | (torch.arange(120) < 60 + met), "s": ~alone}
            found = decide(*world(told, labels, scores={"t": 0.9, "s": 0.5}, present=present), space=space)
            assert found["decision"] == "unmeasured" and math.isnan(found["gap"]) and not found["chosen"]
            assert found["n"] <= met and (space == "embedding" or found["n"] == met)


def test_numbers():
    """A student of noise that follows the noise of the teacher passes; one that is independent of it given the label does not."""
    rng = np.random.default_rng(0)
    y, noise, own = rng.normal(size=(3, 800))
    scores = {"t": 0.5, "s": 0.1}
    told = {"t": (y + noise)[:, None], "s": (noise + 0.3 * own)[:, None]}
    assert decide(*world(told, y.astype(np.float32), scores=scores))["decision"] == "pass"
    told = {"t": (y + 0.5 * noise)[:, None], "s": (y + own)[:, None]}
    assert decide(*world(told, y.astype(np.float32), scores=scores))["decision"] != "pass"
