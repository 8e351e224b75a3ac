"""Suspects by hand, depth by construction, and passes that leave a modality."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from omicsbal._types import FUSED, Arrays, Outputs
from omicsbal.diagnostics import difficulty
from omicsbal.diagnostics._jackknife import make_blocks
from omicsbal.diagnostics.difficulty import (
    HIDDEN,
    MASKED,
    at_equal_depth,
    depth_correlation,
    mean_success,
    success,
    suspect_labels,
)
from omicsbal.objectives.tasks import Classification
from omicsbal.train.classes import log_softmax


def test_confident_learning_by_hand():
    proba = np.array([[0.9, 0.1, 0.0], [0.5, 0.1, 0.4], [0.3, 0.7, 0.0], [0.1, 0.5, 0.4], [0.2, 0.2, 0.6], [0.45, 0.35, 0.2]])
    y = np.array([0, 0, 0, 1, 2, 2])
    threshold = [(0.9 + 0.5 + 0.3) / 3, 0.5, 0.4]
    expected = [(0, False), (1, True), (2, True), (3, False), (4, False), (5, False)]  # 1: class 2 reaches 0.4; 5: nobody reaches
    found, suggested = suspect_labels(proba, y)
    assert list(enumerate(found.tolist())) == expected
    assert suggested.tolist() == [-1, 2, 1, -1, -1, -1] and threshold[0] == pytest.approx(0.5667, abs=1e-4)


def test_rows_without_a_prediction_and_classes_without_a_row():
    proba = np.array([[0.9, 0.1, 0.0], [np.nan] * 3, [0.2, 0.8, 0.0], [0.6, 0.4, 0.0]])
    assert suspect_labels(proba, np.array([0, 1, 1, 0]))[0].tolist() == [False] * 4


def test_flipped_labels_are_found():
    rng = np.random.default_rng(0)
    truth = rng.integers(0, 3, 600)
    proba = np.exp(log_softmax(3 * np.eye(3)[truth] + rng.normal(size=(600, 3))))
    y = truth.copy()
    y[:60] = (y[:60] + 1) % 3
    found, suggested = suspect_labels(proba, y)
    assert found[:60].mean() > 0.7 and found[60:].mean() < 0.1
    assert (suggested[:60][found[:60]] == truth[:60][found[:60]]).mean() > 0.9


def test_depth_correlation_and_its_interval():
    rng = np.random.default_rng(0)
    inside = 0
    for _ in range(40):
        logs, noise = rng.normal(size=(2, 300))
        found = depth_correlation(0.6 * logs + 0.8 * noise, np.expm1(logs + 8), make_blocks(300, groups=None))
        inside += found.low < 0.6 < found.high
    assert inside >= 34 and found.n == 300
    assert depth_correlation(np.ones(50), np.arange(50.0), np.arange(50) % 10).value == 0


def test_a_type_that_is_hard_because_it_is_shallow_is_not_hard_at_equal_depth():
    rng = np.random.default_rng(0)
    y = np.repeat([0, 1, 2], 200)
    logs = rng.normal(size=600) + np.array([6.0, 9.0, 9.0])[y]
    values = 0.1 * logs - 0.3 * (y == 2) + rng.normal(0, 0.05, 600)
    blocks = make_blocks(600, groups=None, strata=y)
    found = at_equal_depth(values, np.expm1(logs), y, blocks)
    plain = [mean_success(values[y == c], np.arange(200) % 40).value for c in range(3)]
    assert plain[1] - plain[0] > 0.25
    assert found[0].value == pytest.approx(found[1].value, abs=0.03) and found[0].low < found[1].value < found[0].high
    assert found[2].value == pytest.approx(found[1].value - 0.3, abs=0.03) and found[2].high < found[1].low


def test_mean_and_interval():
    found = mean_success(np.array([0.0, 1.0] * 50), np.arange(100) % 20)
    assert found.value == 0.5 and found.n == 100 and found.low <= 0.5 <= found.high


@pytest.fixture
def seen(monkeypatch):
    """What the network is shown; it says class 0 where rna is visible, else class 1."""
    calls = []

    def out_of_fold(net, strategy, data, members):
        calls.append(({m: v.numpy().copy() for m, v in data.x.items()}, {m: p.numpy().copy() for m, p in data.present.items()}))
        logits = torch.where(data.present["rna"][:, None], torch.tensor([1.0, 0.0]), torch.tensor([0.0, 1.0])).unsqueeze(0)
        nothing = torch.zeros(1, len(data), 1)
        alone = {
            "rna": torch.tensor([1.0, 0.0]).repeat(1, len(data), 1),
            "atac": torch.tensor([0.0, 1.0]).repeat(1, len(data), 1),
        }
        return Outputs(z={}, joint=nothing, fused=logits, unimodal=alone)

    monkeypatch.setattr(difficulty, "out_of_fold", out_of_fold)
    return calls


def stub(trained):
    outcome = SimpleNamespace(link=log_softmax, task=Classification(n_out=2))
    return SimpleNamespace(modalities=["rna", "atac"], trained=trained, outcome=outcome, net=None, strategy=None, members=None)


def test_what_a_pass_shows(seen):
    n = 400
    present = {"rna": torch.ones(n, dtype=torch.bool), "atac": torch.arange(n) % 4 > 0}
    x = {m: torch.ones(n, 50) for m in present}
    data = Arrays(x=x, present=present, y=torch.zeros(n, dtype=torch.int64), weight=torch.ones(n))
    y = np.arange(n) % 2
    found = success(stub((FUSED, "rna", "atac")), data, y, passes=6)
    few, full = seen[0::2], seen[1::2]
    assert len(few) == len(full) == 6
    for (x_few, left), (x_full, whole) in zip(few, full, strict=True):
        assert (left["rna"] | left["atac"]).all() and not (left["atac"] & ~present["atac"].numpy()).any()
        assert (whole["rna"] == present["rna"].numpy()).all() and (whole["atac"] == present["atac"].numpy()).all()
        assert all((x_few[m] == x_full[m]).all() and (x_few[m] == 0).mean() == pytest.approx(MASKED, abs=0.01) for m in x_few)
        assert left["rna"][~present["atac"].numpy()].all(), "the only modality stays"
    both = np.mean([left["rna"][present["atac"].numpy()].mean() for _, left in few])
    assert both == pytest.approx(1 - HIDDEN + HIDDEN * HIDDEN / 2, abs=0.03)
    assert (few[0][0]["rna"] != few[1][0]["rna"]).any(), "another mask in each pass"
    np.testing.assert_array_equal(found.alone["rna"], y == 0)
    assert np.isnan(found.alone["atac"][0::4]).all() and (found.alone["atac"][1::4] == 1).all()
    shown = np.mean([left["rna"] for _, left in few], axis=0)
    np.testing.assert_allclose(found.joint, np.where(y == 0, shown, 1 - shown))
    p = np.exp(1) / (1 + np.exp(1))
    np.testing.assert_allclose(found.variability, (2 * p - 1) * np.sqrt(shown * (1 - shown)), atol=1e-6)


def test_without_a_fused_head_what_is_visible_is_multiplied(seen):
    n = 200
    present = {m: torch.ones(n, dtype=torch.bool) for m in ("rna", "atac")}
    data = Arrays(x={m: torch.ones(n, 5) for m in present}, present=present, y=torch.zeros(n).long(), weight=torch.ones(n))
    found = success(stub(("rna", "atac")), data, np.ones(n, dtype=int), passes=4)
    only_atac = np.mean([~left["rna"] for _, left in seen[0::2]], axis=0)
    np.testing.assert_allclose(found.joint, only_atac)  # a tie of both goes to the first class
