from math import log
from types import SimpleNamespace

import pytest
import torch

from omicsbal._types import Arrays, Outputs
from omicsbal.balance import Arm
from omicsbal.balance._information import blank_loss, gap, information, louder, mean_of_others, measured
from omicsbal.balance._scores import masked
from omicsbal.balance.arm import FORMS
from omicsbal.objectives.tasks import Classification
from omicsbal.train.batches import pick

MUTATIONS = [
    ("marginal + joint,", "marginal - joint,"),
    ("marginal > self.least", "marginal > -1"),
    ("others * (marginal - joint)", "others * (marginal + joint)"),
    ("(1 - self.memory) * aim", "self.memory * aim"),
    ("(1 - score.nan_to_num(nan=1.0))", "score.nan_to_num(nan=1.0)"),
    ("masked_mean(alone[:, i], rows[:, i]", "masked_mean(alone[:, i], batch.scored"),
]


class Told(torch.nn.Module):
    """Probabilities of two classes for each set of modalities shown; the second of two members says the opposite."""

    def __init__(self, said: dict[str, list[float]]) -> None:
        super().__init__()
        self.said, self.joint_head = said, torch.nn.Identity()

    def encode(self, x, present, index):
        return x

    def fusion(self, z, present):
        n = len(next(iter(present.values())))
        shown = ["".join(m for m in sorted(present) if present[m][i]) for i in range(n)]
        told = torch.tensor([self.said.get(s, [0.5, 0.5]) for s in shown]).log()
        return torch.stack([told, told.flip(-1)])


def folded(bench, strategy, told: dict[str, float], *, classes: int = 3, n: int = 120, dropout: float = 0.0):
    """Two members of two folds, always just evaluated; `told` says how much of the label is in a modality's features."""
    case = bench(strategy, n=n, classes=classes, dropout=dropout)
    state, y = case.state, case.state.data.y
    signal = torch.nn.functional.one_hot(y, 3).float() if classes else y.unsqueeze(-1).expand(-1, 3)
    for m, much in told.items():
        state.data.x[m][:, :3] += much * signal
    state.folds, state.held_out = torch.arange(n) // 3 % 2, Outputs({}, torch.empty(0), torch.empty(0), {})
    state.scored = torch.stack([(state.folds != k).float() for k in range(2)])
    case.batch = pick(state.data, state.scored, torch.arange(n))
    return case


def test_information_by_hand() -> None:
    """H = ln 2; rows are right if the member of their fold is asked. a alone .8, b alone .6; the first row has both: .9."""
    net, y = Told({"ab": [0.9, 0.1], "a": [0.8, 0.2], "b": [0.6, 0.4]}).train(), torch.tensor([0, 1])
    seen = {"a": torch.tensor([True, True]), "b": torch.tensor([True, False])}
    data = Arrays({m: torch.zeros(2, 1) for m in seen}, seen, y, torch.ones(2))
    state = SimpleNamespace(net=net, task=Classification(2), data=data, scored=torch.ones(2, 2), folds=torch.tensor([0, 1]))
    marginal, joint, score, whole = measured(state, lambda z, present: z)
    torch.testing.assert_close(marginal, torch.tensor([log(1.6), log(1.2)]))
    torch.testing.assert_close(joint, torch.tensor([log(0.9 / 0.6), log(0.9 / 0.8)]))
    torch.testing.assert_close(score, torch.tensor([0.8, 0.6]))
    torch.testing.assert_close(whole, torch.tensor((0.9 + 0.8) / 2))
    assert net.training, "left as it was found"
    seen["b"][:] = False
    marginal, joint, score, _ = measured(state, lambda z, present: z)
    assert marginal.isnan().tolist() == score.isnan().tolist() == [False, True] and joint.tolist() == [0, 0]


def test_noise_keeps_its_weight_however_well_it_is_learned_by_heart(bench) -> None:
    case = folded(bench, Arm(), {"a": 3.0, "c": 1.5})
    strategy, state, batch = case.run.strategy, case.state, case.batch
    case.advance(150)
    net = case.run.net.eval()
    z = strategy.modulate(net.encode(batch.x, batch.present), batch.present)
    hidden = {m: here & (m == "b") for m, here in batch.present.items()}
    by_heart = log(3) - masked(
        state.task.loss(net.joint_head(net.fusion(z, hidden)), batch.y), batch.scored * batch.present["b"], batch.weight
    )
    assert (by_heart > 5 * strategy.least).all(), "on the rows of training noise seems to tell a lot"
    assert strategy.loudness[1] == 1 and strategy.copies[1] == 0
    assert strategy.loudness[0] < 0.95 and strategy.loudness[2] > 1.05 and strategy.copies[2] > 0


def test_a_step_toward_the_aim_at_each_evaluation_and_at_no_other_time(bench) -> None:
    case = folded(bench, Arm(memory=0.6, resample=2.0, strength=0.5), {"a": 3.0, "c": 1.5})
    strategy, state = case.run.strategy, case.state
    case.advance(40)
    marginal, joint, score, _ = measured(state, strategy.modulate)
    aim = 1 + 0.5 * (louder(marginal + joint, marginal > 0.02) - 1)
    expected = 0.6 * strategy.loudness + 0.4 * aim
    strategy.start_epoch(state)
    torch.testing.assert_close(strategy.loudness, expected)
    torch.testing.assert_close(strategy.copies, 2 * (expected - 1).clamp(min=0) * (1 - score))
    assert {"information:a", "loudness:c"} <= state.signals.keys()
    state.held_out, before = None, strategy.loudness.clone()
    case.advance(2)
    assert torch.equal(strategy.loudness, before)
    fresh = bench(Arm())
    fresh.advance(3)
    assert fresh.run.strategy.loudness.tolist() == [1, 1, 1] and not fresh.run.strategy.copies.any()


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
    less_than_nothing = louder(torch.tensor([0.6, -0.2]), torch.tensor([True, True]))
    torch.testing.assert_close(less_than_nothing, torch.tensor([0.5, 3.0]))  # the mean is of 0.6 and 0
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
    case = bench(Arm(minmax=0.0))
    strategy, state, batch = case.run.strategy, case.state, case.batch
    strategy.loudness, strategy.copies = torch.tensor([0.5, 1.0, 2.0]), torch.tensor([0.0, 0.5, 1.5])
    outputs = case.run.net.eval()(batch.x, batch.present)
    losses = {"fused": case.terms["fused"](outputs, batch)[0]}
    z = strategy.modulate(outputs.z, batch.present)
    losses |= {name: mean for name, (mean, _) in strategy.terms(state, outputs, batch).items()}
    weights = strategy.weights(state, losses, outputs, batch)
    told = sum(weights[name] * loss for name, loss in losses.items())
    for k in range(2):
        total = weight = 0.0
        for i in torch.nonzero(batch.scored[k]).flatten().tolist():
            lines = [(1.0, state.task.loss(outputs.fused, batch.y)[k, i].item())]
            for j, m in enumerate("abc"):
                hidden = {o: p & (o == m) for o, p in batch.present.items()}
                alone = case.run.net.joint_head(case.run.net.fusion(z, hidden))
                count = strategy.copies[j].item() * batch.present[m][i].item()
                lines.append((count, state.task.loss(alone, batch.y)[k, i].item()))
            total += sum(count * loss for count, loss in lines)
            weight += sum(count for count, _ in lines)
        assert told[k].item() == pytest.approx(total / weight, rel=1e-5)


def test_losses_of_modalities_alone_are_without_dropout_in_the_fused_head(bench) -> None:
    case = bench(Arm(), dropout=0.5)
    outputs = case.run.net(case.batch.x, case.batch.present)
    one, two = (case.run.strategy.terms(case.state, outputs, case.batch) for _ in range(2))
    assert all(torch.equal(one[name][0], two[name][0]) for name in one)


def test_the_fusion_sees_the_weights_and_prediction_keeps_them(bench) -> None:
    case = folded(bench, Arm(least=0), {"a": 3.0, "c": 1.5})
    case.advance(30)
    strategy = case.run.strategy
    assert ((strategy.loudness - 1).abs() > 0.05).any() and strategy.loudness.min() >= 1 / 3 and strategy.loudness.max() <= 3
    z = {m: torch.ones(2, 1, 4) for m in "abc"}
    shown = strategy.modulate(z, case.batch.present)
    assert all((shown[m] == strategy.loudness[i]).all() for i, m in enumerate("abc"))
    strategy.finish()
    assert list(strategy.state_dict()) == ["loudness"]


def test_switched_off_or_alone_it_is_joint_bit_for_bit(same_training) -> None:
    same_training(Arm(strength=0, minmax=0), "joint")
    same_training(Arm(), "joint", modalities="a")


@pytest.mark.parametrize("classes", [3, 0])
def test_the_gap_moves_the_encoders(moves, classes) -> None:
    moves(Arm(strength=0), "joint", classes=classes, steps=12)


@pytest.mark.parametrize("classes", [3, 0])
@pytest.mark.parametrize("strategy", [Arm(minmax=0, resample=0), Arm(form="released", minmax=0)])
def test_the_weights_move_the_encoders(bench, strategy, classes) -> None:
    cases = [folded(bench, s, {"a": 3.0, "c": 1.5}, classes=classes, n=60) for s in (strategy, "joint")]
    for case in cases:
        case.advance(40)
    one, two = (case.parameters("encoder/a", "encoder/c") for case in cases)
    assert max(float((p - q).abs().max()) for p, q in zip(one, two, strict=True)) > 1e-4


def test_copies_move_the_encoders(bench) -> None:
    cases = [folded(bench, Arm(minmax=0, resample=r), {"a": 3.0, "c": 1.5}, n=60) for r in (0.0, 2.0)]
    for case in cases:
        case.advance(40)
    one, two = (case.parameters("encoder/c") for case in cases)
    assert max(float((p - q).abs().max()) for p, q in zip(one, two, strict=True)) > 1e-4


@pytest.mark.parametrize(
    ("argument", "value"),
    [("strength", 1.5), ("minmax", -1), ("resample", -1), ("least", -1), ("memory", 1), ("form", "product")],
)
def test_arguments_out_of_range(argument, value) -> None:
    with pytest.raises(ValueError, match=rf"`{argument}`: expected .*; found"):
        Arm(**{argument: value})
