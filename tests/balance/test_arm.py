from dataclasses import replace
from math import log
from types import SimpleNamespace

import pytest
import torch

from omicsbal.balance import Arm
from omicsbal.balance._information import blank_loss, gap, information, louder, marginal_and_joint, mean_of_others
from omicsbal.balance.arm import FORMS
from omicsbal.objectives.tasks import Classification

MUTATIONS = [
    ("marginal + joint,", "marginal - joint,"),
    ("marginal > self.least", "marginal > -1"),
    ("others * (marginal - joint)", "others * (marginal + joint)"),
    ("(1 - score) * rows", "(1 - score)"),
    ("change.masked_fill(marginal.isnan(), 0.0)", "change"),
]


class Told(torch.nn.Module):
    """Class probabilities of the fused head for each set of modalities shown, for all rows alike."""

    def __init__(self, said: dict[str, list[float]]) -> None:
        super().__init__()
        self.said, self.joint_head = said, torch.nn.Identity()

    def fusion(self, z, present):
        n = len(next(iter(present.values())))
        shown = ["".join(m for m in sorted(present) if present[m][i]) for i in range(n)]
        return torch.tensor([self.said.get(s, [0.5, 0.5]) for s in shown]).log().unsqueeze(0)


def test_information_by_hand(bench) -> None:
    """Rows with class 0; H = ln 2. a alone: ln 2 + ln .8. On the row with both: all .9, without a .6."""
    net, task = Told({"ab": [0.9, 0.1], "a": [0.8, 0.2], "b": [0.6, 0.4]}), Classification(2)
    batch = bench("joint", n=2, modalities="ab").batch
    batch = replace(
        batch,
        present={"a": torch.tensor([True, True]), "b": torch.tensor([True, False])},
        y=torch.zeros(2, dtype=torch.long),
        scored=torch.ones(1, 2),
    )
    rows = torch.stack(list(batch.present.values())).float().unsqueeze(0)
    alone = -torch.tensor([[[0.8, 0.8], [0.6, 0.6]]]).log()
    marginal, joint, sure = marginal_and_joint(
        SimpleNamespace(net=net, task=task), batch.present, alone, rows, batch, torch.tensor([log(2)])
    )
    torch.testing.assert_close(marginal, torch.tensor([[log(1.6), log(1.2)]]))
    torch.testing.assert_close(joint, torch.tensor([[log(0.9 / 0.6), log(0.9 / 0.8)]]))
    torch.testing.assert_close(sure, torch.tensor([[(0.9 + 0.8) / 2]]))
    nobody = marginal_and_joint(
        SimpleNamespace(net=net, task=task),
        batch.present,
        alone,
        rows * torch.tensor([1.0, 0.0]).reshape(2, 1),
        batch,
        torch.ones(1),
    )
    assert nobody[0].isnan().tolist() == [[False, True]] and nobody[1][0, 1] == 0


def test_information_is_at_least_nothing_and_of_numbers_half_the_log_of_the_ratio() -> None:
    loss, blank = torch.tensor([0.2, 0.9, torch.nan]), torch.tensor(0.7)
    torch.testing.assert_close(information(loss, blank, numeric=False), torch.tensor([0.5, 0.0, torch.nan]), equal_nan=True)
    expected = torch.tensor([log(0.7 / 0.2) / 2, 0.0, torch.nan])
    torch.testing.assert_close(information(loss, blank, numeric=True), expected, equal_nan=True)


def test_loss_of_a_constant() -> None:
    """Weights 1/4, 1/4, 1/2 and, of the second member, the last row alone."""
    share = torch.tensor([[1.0, 1.0, 2.0], [0.0, 0.0, 1.0]])
    torch.testing.assert_close(blank_loss(torch.tensor([0, 0, 1]), share), torch.tensor([log(2), 0.0]))
    torch.testing.assert_close(blank_loss(torch.tensor([0.0, 4.0, 2.0]), share), torch.tensor([2.0, 0.0]))


def test_both_forms_and_the_weights_by_hand() -> None:
    marginal, joint = torch.tensor([[0.6, 0.2, 0.001]]), torch.tensor([[0.4, 0.05, 0.0]])
    scores = FORMS["sum"](marginal, joint, None, None)
    torch.testing.assert_close(scores, torch.tensor([[1.0, 0.25, 0.001]]))
    told = louder(scores, marginal > 0.02)
    torch.testing.assert_close(told, torch.tensor([[0.625, 2.5, 1.0]]))  # their mean .625; noise is left out and keeps 1
    assert louder(scores, marginal > 0)[0, 2] == 3, "without the guard noise is amplified most"
    others = mean_of_others(torch.tensor([[0.8, 0.6, torch.nan]]))
    torch.testing.assert_close(others[0, :2], torch.tensor([0.6, 0.8]))
    released = FORMS["released"](marginal[:, :2], joint[:, :2], 0.9, others[:, :2])
    torch.testing.assert_close(released, torch.tensor([[0.9 * 0.6 + 0.6 * 0.2, 0.9 * 0.2 + 0.8 * 0.15]]))


def test_the_gap_pulls_at_the_worst_alone() -> None:
    means = torch.tensor([[0.5, 2.0, torch.nan], [torch.nan, torch.nan, torch.nan]], requires_grad=True)
    apart = gap(means)
    assert apart.tolist() == [1.5, 0.0]
    apart.sum().backward()
    assert means.grad.tolist() == [[0.0, 1.0, 0.0], [0.0, 0.0, 0.0]]


def test_the_loss_is_the_mean_over_rows_and_copies(bench) -> None:
    case = bench(Arm(strength=1.0, minmax=0.0, resample=2.0))
    strategy, state, batch = case.run.strategy, case.state, case.batch
    strategy.loudness = torch.tensor([[0.5, 1.0, 2.0], [1.5, 1.0, 0.7]])
    strategy.least = 1e9  # nothing is informative: weights go a tenth of the way back to 1
    outputs = case.run.net.eval()(batch.x, batch.present)
    losses = {"fused": case.terms["fused"](outputs, batch)[0]}
    z = strategy.modulate(outputs.z, batch.present)
    losses |= {name: mean for name, (mean, _) in strategy.terms(state, outputs, batch).items()}
    torch.testing.assert_close(strategy.loudness, torch.tensor([[0.55, 1.0, 1.9], [1.45, 1.0, 0.73]]))
    weights = strategy.weights(state, losses, outputs, batch)
    told = sum(weights[name] * loss for name, loss in losses.items())
    for k in range(2):
        total = weight = 0.0
        for i in torch.nonzero(batch.scored[k]).flatten().tolist():
            lines = [(1.0, state.task.loss(outputs.fused, batch.y)[k, i].item())]
            for j, m in enumerate("abc"):
                hidden = {o: p & (o == m) for o, p in batch.present.items()}
                alone = case.run.net.joint_head(case.run.net.fusion(z, hidden))
                count = 2 * max(0.0, strategy.loudness[k, j].item() - 1) * (1 - state.task.score(alone, batch.y)[k, i].item())
                lines.append((count * batch.present[m][i].item(), state.task.loss(alone, batch.y)[k, i].item()))
            total += sum(count * loss for count, loss in lines)
            weight += sum(count for count, _ in lines)
        assert told[k].item() == pytest.approx(total / weight, rel=1e-5)


def test_a_modality_that_no_row_has_keeps_its_weight(bench) -> None:
    case = bench(Arm())
    case.run.strategy.loudness = torch.tensor([[0.5, 2.0, 1.0], [1.5, 2.0, 0.7]])
    case.advance(2, replace(case.batch, present={**case.batch.present, "b": torch.zeros(12, dtype=torch.bool)}))
    assert case.run.strategy.loudness[:, 1].tolist() == [2.0, 2.0]
    assert (case.run.strategy.loudness[:, 0] != torch.tensor([0.5, 1.5])).all()


def test_the_fusion_sees_the_weights_and_prediction_keeps_them(bench) -> None:
    case = bench(Arm(least=0))
    case.advance(30)
    strategy = case.run.strategy
    assert ((strategy.loudness - 1).abs() > 0.05).any() and strategy.loudness.min() >= 1 / 3 and strategy.loudness.max() <= 3
    z = {m: torch.ones(2, 1, 4) for m in "abc"}
    shown = strategy.modulate(z, case.batch.present)
    assert all(torch.equal(shown[m][:, 0, 0], strategy.loudness[:, i]) for i, m in enumerate("abc"))
    assert {"information:a", "loudness:c"} <= case.state.signals.keys()
    strategy.finish()
    assert list(strategy.state_dict()) == ["loudness"]


def test_switched_off_or_alone_it_is_joint_bit_for_bit(same_training) -> None:
    same_training(Arm(strength=0, minmax=0), "joint")
    same_training(Arm(), "joint", modalities="a")


@pytest.mark.parametrize("classes", [3, 0])
@pytest.mark.parametrize("strategy", [Arm(), Arm(strength=0), Arm(minmax=0, resample=0, least=0), Arm(form="released", minmax=0)])
def test_each_part_moves_the_encoders(moves, strategy, classes) -> None:
    moves(strategy, "joint", classes=classes, steps=12)


@pytest.mark.parametrize(
    ("argument", "value"),
    [("strength", 1.5), ("minmax", -1), ("resample", -1), ("least", -1), ("memory", 1), ("form", "product")],
)
def test_arguments_out_of_range(argument, value) -> None:
    with pytest.raises(ValueError, match=rf"`{argument}`: expected .*; found"):
        Arm(**{argument: value})
