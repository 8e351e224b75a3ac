import math
from dataclasses import replace

import pytest
import torch

from omicsbal.balance import Odsw
from omicsbal.balance.odsw import emphasis

MUTATIONS = [
    ("easy = torch.where(low, bump, 1.0)", "easy = torch.where(low, 1.0, bump)"),
    ("for weight in (batch.weight, wanted)", "for weight in (batch.weight, batch.weight)"),
    ("((batch.scored * weight) @ classes", "((1.0 * weight) @ classes"),
    ("self.memory * self.success[:, batch.index]", "(1 - self.memory) * self.success[:, batch.index]"),
    ("clamp(min=FLOOR)", "clamp(min=0.0)"),
    (", batch.index, fresh)", ", batch.index, right)"),
]


def test_emphasis_by_hand() -> None:
    """cos(pi / 4) at 1/4 and 3/4."""
    half = math.sqrt(0.5)
    expected = [[0, half, 1, 1, 1], [0, half, 1, half, 0], [0.25, 1, 1, half, 0]]
    torch.testing.assert_close(emphasis(torch.tensor([0, 0.25, 0.5, 0.75, 1])), torch.tensor(expected))


def test_stages_are_thirds_of_all_learning_after_the_warm_up(bench) -> None:
    """Each has the same sum of learning rates, which fall along a cosine; epochs past the end are the last stage."""
    case = bench(Odsw(warm_up=0.1))
    case.state.n_epochs, learning = 1000, torch.zeros(4)
    for case.state.epoch in range(1000):
        learning[case.run.strategy.stage(case.state)] += 1 + math.cos(math.pi * case.state.epoch / 1000)
    torch.testing.assert_close(learning[:3], learning[:3].mean().expand(3), rtol=0.02, atol=0)
    assert learning[3] == pytest.approx(sum(1 + math.cos(math.pi * e / 1000) for e in range(100)), rel=1e-4)
    case.state.epoch = 1300
    assert case.run.strategy.stage(case.state) == 2


def test_weights_by_hand(bench) -> None:
    """Four rows of class 0 with success 0, 1/4, 1/2, 1 in the easy stage: 0.05, 0.707, 1, 1, scaled to a sum of 4."""
    case = bench(Odsw(warm_up=0), n=4)
    case.batch = replace(case.batch, y=torch.zeros(4, dtype=torch.int64), scored=torch.ones(2, 4))
    case.run.strategy.success.copy_(torch.tensor([0, 0.25, 0.5, 1]).expand(2, 4))
    raw = torch.tensor([0.05, math.sqrt(0.5), 1, 1])
    torch.testing.assert_close(case.run.strategy.rows(case.state, case.batch).weight, (raw * 4 / raw.sum()).expand(2, 4))


def test_each_class_keeps_its_weight_among_the_rows_that_are_scored(bench) -> None:
    case = bench(Odsw(warm_up=0))
    draw = torch.Generator().manual_seed(1)
    scored, weight = (torch.rand(2, 12, generator=draw) > 0.3).float(), torch.rand(12, generator=draw) + 0.5
    batch = replace(case.batch, scored=scored, weight=weight)
    case.run.strategy.success.copy_(torch.rand(2, 12, generator=draw))
    for case.state.epoch in (0, 4, 7):
        found = case.run.strategy.rows(case.state, batch).weight
        for c in range(3):
            mass = lambda w, c=c: (scored * w * (batch.y == c)).sum(-1)  # noqa: E731
            torch.testing.assert_close(mass(found), mass(weight))
        assert not torch.allclose(found, weight.expand(2, 12))


def test_success_is_an_average_of_being_told_right(bench) -> None:
    case = bench(Odsw(memory=0.75, rate=0))
    outputs = case.run.net(case.batch.x, case.batch.present)
    right = (outputs.fused.argmax(-1) == case.batch.y).float()
    back = replace(case.batch, index=case.batch.index.flip(0))  # the rows are elsewhere in the data
    case.run.strategy.update(case.state, outputs, back)
    torch.testing.assert_close(case.run.strategy.success.flip(1), 0.75 * 0.5 + 0.25 * right)
    assert case.state.signals["success:fused"] == pytest.approx(float(((0.375 + 0.25 * right) * case.batch.scored).sum() / 20))


def test_success_is_measured_with_modalities_hidden(bench) -> None:
    case, seen = bench(Odsw(rate=0.6), n=300), []
    fusion = case.run.net.fusion.forward
    case.run.net.fusion.forward = lambda z, present: seen.append(present) or fusion(z, present)
    case.run.strategy.update(case.state, case.run.net(case.batch.x, case.batch.present), case.batch)
    shown, here = (torch.stack([p[m] for m in "abc"]) for p in (seen[-1], case.batch.present))
    assert not (shown & ~here).any() and shown.any(0).all()
    assert 0.3 < (shown.sum() / here.sum()).item() < 0.8
    assert case.run.net.joint_head.training


def test_off_is_uniform_bit_for_bit(same_training) -> None:
    same_training(Odsw(strength=0), "uniform")


def test_it_does_something(moves) -> None:
    moves(Odsw(warm_up=0, rate=0, memory=0.5), "uniform")
    moves("odsw", "joint")


def test_prediction_needs_no_successes(bench) -> None:
    case = bench("odsw")
    case.advance(2)
    case.run.strategy.finish()
    assert not case.run.strategy.state_dict()


@pytest.mark.parametrize(("setting", "told"), [("strength", 2), ("rate", 1), ("memory", 1), ("warm_up", -1)])
def test_arguments_out_of_range(setting, told) -> None:
    with pytest.raises(ValueError, match=rf"`{setting}`: expected a number of at least 0 and at most .*; found {told}"):
        Odsw(**{setting: told})
