import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression, Ridge

from omicsbal.train.experts import Expert, fit_expert, fit_experts, rotated


def test_rotation_keeps_products_of_rows_and_narrow_blocks():
    x = np.random.default_rng(0).normal(size=(8, 30))
    z, basis = rotated(x)
    assert z.shape == (8, 8) and basis.shape == (30, 8)
    np.testing.assert_allclose(z @ z.T, x @ x.T, atol=1e-10)
    np.testing.assert_allclose(z @ basis.T, x, atol=1e-10)
    assert rotated(x[:, :5])[0] is not None and np.array_equal(rotated(x[:, :5])[1], np.eye(5))


@pytest.mark.parametrize("width", [4, 200])
def test_classes_as_scikit_learn_on_the_block_itself(toy, width):
    data = toy(n=45, sizes={"rna": width})
    x = data.blocks["rna"]
    expert, _ = fit_expert(("rna",), x, data.y, data.folds, data.outcome)
    reference = LogisticRegression(C=expert.strength, class_weight="balanced", max_iter=2000, tol=1e-8).fit(x, data.y)
    mine, theirs = expert.raw({"rna": x}), reference.decision_function(x)
    np.testing.assert_allclose(mine - mine.mean(1, keepdims=True), theirs - theirs.mean(1, keepdims=True), atol=5e-2)
    np.testing.assert_allclose(expert.coef, reference.coef_.T, atol=1e-2)


@pytest.mark.parametrize("width", [4, 200])
def test_numbers_as_scikit_learn_on_the_block_itself(toy, width):
    data = toy(n=45, classes=0, sizes={"rna": width})
    x = data.blocks["rna"].astype(float)
    expert, held_out = fit_expert(("rna",), x, data.y, data.folds, data.outcome)
    reference = Ridge(alpha=expert.strength)
    np.testing.assert_allclose(expert.raw({"rna": x})[:, 0], reference.fit(x, data.y).predict(x), atol=1e-5)
    for k in range(3):
        part = data.folds != k
        expected = reference.fit(x[part], data.y[part]).predict(x[~part])
        np.testing.assert_allclose(held_out[~part, 0], expected, atol=1e-5)


def test_two_classes_and_a_class_never_met(toy):
    data = toy(n=60)
    x, y = data.blocks["rna"], data.y
    here = y != 1
    expert, held_out = fit_expert(("rna",), x[here], y[here], data.folds[here], data.outcome)
    assert held_out.shape == (40, 3)
    np.testing.assert_allclose(np.exp(held_out).sum(1), 1)
    assert np.exp(held_out[:, 1]).max() < 1e-4, "what was never seen is not predicted"
    reference = LogisticRegression(C=expert.strength, class_weight="balanced", max_iter=2000).fit(x[here], y[here])
    raw = expert.raw({"rna": x[here]})
    np.testing.assert_allclose(raw[:, 2] - raw[:, 0], reference.decision_function(x[here]), atol=5e-2)


@pytest.mark.parametrize("classes", [3, 0])
def test_a_rows_own_label_never_enters_its_out_of_fold_prediction(toy, classes, monkeypatch):
    first, second = toy(classes=classes), toy(classes=classes)
    monkeypatch.setattr(type(first.outcome), "strengths", (1.0,))  # which penalty is best, all labels decide
    held = first.folds == 1
    y = second.y.copy()
    y[held] = (y[held] + 1) % 3
    before, after = (fit_expert(("rna",), first.blocks["rna"], labels, first.folds, first.outcome) for labels in (first.y, y))
    assert np.array_equal(before[1][held], after[1][held])
    assert not np.array_equal(before[1][~held], after[1][~held])
    assert not np.array_equal(before[0].coef, after[0].coef)


def test_the_penalty_has_the_best_criterion_of_the_path(toy):
    data, outcome = toy(n=60, sizes={"rna": 10}), toy().outcome
    x, values = data.blocks["rna"], []
    expert, kept = fit_expert(("rna",), x, data.y, data.folds, outcome)
    for strength in outcome.strengths:
        prediction = np.empty((60, 3))
        for k in range(3):
            part = data.folds != k
            model = LogisticRegression(C=strength, class_weight="balanced", max_iter=2000).fit(x[part], data.y[part])
            prediction[~part] = model.predict_log_proba(x[~part])
        values.append(outcome.criterion(data.y, prediction))
        if strength == expert.strength:
            np.testing.assert_allclose(np.exp(kept), np.exp(prediction), atol=0.02)
    chosen = outcome.strengths.index(expert.strength)
    assert values[chosen] == pytest.approx(min(values[: chosen + 2]), abs=1e-3), "the path stops at the first that is worse"


def test_one_expert_a_modality_and_one_on_all(toy):
    data = toy(absent=0.3)
    experts, held_out = fit_experts(data.blocks, data.present, data.y, data.folds, data.outcome)
    assert list(experts) == list(held_out) == ["lr:rna", "lr:atac", "lr:protein", "lr:concat"]
    for name, expert in experts.items():
        complete = np.logical_and.reduce([data.present[m] for m in expert.modalities])
        assert np.array_equal(~np.isnan(held_out[name]).any(1), complete)
    assert experts["lr:concat"].coef.shape == (13, 3) and experts["lr:concat"].modalities == ("rna", "atac", "protein")


def test_values_where_absent_change_nothing(toy):
    clean, junk = toy(absent=0.3), toy(absent=0.3)
    for m, x in junk.data.x.items():
        x[~junk.data.present[m]] = float("nan")
    one, two = (fit_experts(t.blocks, t.present, t.y, t.folds, t.outcome) for t in (clean, junk))
    for name in one[0]:
        assert np.array_equal(one[0][name].coef, two[0][name].coef)
        assert np.array_equal(one[1][name], two[1][name], equal_nan=True)


def test_where_there_is_nothing_to_learn_there_is_no_expert(toy):
    data = toy()
    present = data.present | {"atac": data.present["atac"] & (data.y == 0), "protein": np.zeros(60, bool)}
    experts, held_out = fit_experts(data.blocks, present, data.y, data.folds, data.outcome)
    assert list(experts) == list(held_out) == ["lr:rna"]
    alone = fit_experts({"rna": data.blocks["rna"]}, data.present, data.y, data.folds, data.outcome)[0]
    assert list(alone) == ["lr:rna"], "with one modality there is nothing to concatenate"


def test_raw_outputs_by_hand():
    expert = Expert(("b", "a"), np.array([[1.0, 0], [0, 2]]), np.array([10.0, 20]), 1.0)
    assert expert.raw({"a": np.array([[3.0]]), "b": np.array([[5.0]])}).tolist() == [[15.0, 26.0]]
