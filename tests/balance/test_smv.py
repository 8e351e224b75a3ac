from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch

from omicsbal._types import Arrays
from omicsbal.balance import Smv
from omicsbal.balance._coalitions import fused_of
from omicsbal.balance._valuation import copies_by_modality, copies_by_row, row_values
from omicsbal.objectives.tasks import Classification, Regression

MUTATIONS = [
    ('"sample": copies_by_row', '"sample": copies_by_modality'),
    ("outputs.z, batch.present, {m}", "outputs.z, batch.present, batch.present"),
    ("* batch.scored.unsqueeze(1)", "* 1"),
    ("here & (here.sum(0) > 1)", "here"),
    ('relative=self.level == "sample"', "relative=False"),
    ("return {name: part / whole for", "return {name: part / total[FUSED] for"),
]


class Told(torch.nn.Module):
    """A net whose fused head says what it is told to for each set of modalities shown."""

    def __init__(self, said: dict[str, list[list[float]]], task) -> None:
        super().__init__()
        self.said, self.task, self.joint_head = said, task, torch.nn.Identity()

    def encode(self, x, present, index):
        return x

    def fusion(self, z, present):
        shown = ["".join(m for m in sorted(present) if present[m][i]) for i in range(len(z["a"]))]
        return torch.tensor([self.said.get(s, [[9.0] * self.task.n_out] * 9)[i] for i, s in enumerate(shown)]).unsqueeze(0)


def state_of(said, task, y: torch.Tensor, present: dict[str, list[bool]]):
    seen = {m: torch.tensor(p) for m, p in present.items()}
    data = Arrays({m: torch.zeros(len(y), 1) for m in seen}, seen, y, torch.ones(len(y)))
    return SimpleNamespace(net=Told(said, task).train(), data=data, scored=torch.ones(1, len(y)), task=task)


def test_two_modalities_by_hand() -> None:
    """Row 0: b alone and both are right, so v = 0, 1, 2 and phi_a = (0 + 2 - 1) / 2, phi_b = (1 + 2 - 0) / 2. Row 1: only a
    misleads, v = 0, 1, 0: -1/2 and 1/2. Row 2 has a alone and is right: 1, and nothing of what it lacks."""
    right, wrong = [0.0, 1.0], [1.0, 0.0]
    said = {"a": [wrong, wrong, right], "b": [right, right, right], "ab": [right, wrong, right]}
    state = state_of(said, Classification(2), torch.tensor([1, 1, 1]), {"a": [True] * 3, "b": [True, True, False]})
    phi = row_values(state)
    torch.testing.assert_close(phi, torch.tensor([[[0.5, -0.5, 1.0], [1.5, 0.5, 0.0]]]))
    assert state.net.training, "left as it was found"
    here = torch.stack(list(state.data.present.values()))
    assert copies_by_row(phi, here, here, state.data.weight).tolist() == [[[1, 3, 0], [0, 1, 0]]]


def test_numbers_are_worth_the_exponential_of_minus_the_squared_error() -> None:
    said = {"a": [[1.0]], "b": [[3.0]], "ab": [[2.0]]}
    phi = row_values(state_of(said, Regression(), torch.tensor([1.0]), {"a": [True], "b": [True]}))
    v_a, v_b, v_ab = 1.0, torch.tensor(-4.0).exp().item(), 2 * torch.tensor(-1.0).exp().item()
    torch.testing.assert_close(phi.flatten(), torch.tensor([(v_a + v_ab - v_b) / 2, (v_b + v_ab - v_a) / 2]))
    assert phi.sum().item() == pytest.approx(v_ab)


def test_a_fair_share_of_numbers_is_one() -> None:
    """Both are as good as the two together, exp(-1) each: no copies, where undivided all of them would get two."""
    said = {"a": [[2.0], [2.0]], "b": [[2.0], [3.0]], "ab": [[2.0], [2.0]]}
    seen = {"a": [True, True], "b": [True, True]}
    state = state_of(said, Regression(), torch.tensor([1.0, 1.0]), seen)
    phi, here = row_values(state, relative=True), torch.ones(2, 2, dtype=torch.bool)
    late = (1 - torch.tensor(-3.0).exp().item()) / 2
    torch.testing.assert_close(phi, torch.tensor([[[1.0, 1 + late], [1.0, 1 - late]]]))
    assert copies_by_row(phi, here, here, state.data.weight).tolist() == [[[0, 0], [0, 1]]]
    assert copies_by_row(row_values(state), here, here, state.data.weight).amin() >= 1
    lost = row_values(state_of({"ab": [[9.0]]}, Regression(), torch.tensor([1.0]), {"a": [True], "b": [True]}), relative=True)
    assert lost.isfinite().all()
    classes = state_of({"a": [[0.0, 1.0]], "ab": [[1.0, 0.0]]}, Classification(2), torch.tensor([1]), {"a": [True], "b": [True]})
    assert torch.equal(row_values(classes), row_values(classes, relative=True)), "of numbers alone"


@pytest.mark.parametrize("level", ["sample", "modality"])
@pytest.mark.parametrize("classes", [3, 0])
def test_a_row_with_a_single_modality_is_not_shown_twice_and_has_no_part_in_the_means(bench, level, classes) -> None:
    case = bench(Smv(level=level, warm_up=0), classes=classes, modalities="ab")
    strategy, state = case.run.strategy, case.state
    strategy.start_epoch(state)
    both = state.data.present["b"]  # a is in all rows
    assert not both.all() and not strategy.copies[:, :, ~both].any() and strategy.copies[:, :, both].any()
    if level == "modality":
        mean = (row_values(state)[..., both] * state.scored[:, None, both]).sum(-1) / state.scored[:, both].sum(-1, keepdim=True)
        expected = 2 / 3 * (mean.flip(-1) - mean).clamp(min=0)
        torch.testing.assert_close(strategy.copies[..., both], expected.unsqueeze(-1).expand(-1, -1, int(both.sum())))
    else:
        here = (torch.ones(2, 1, dtype=torch.bool) & both).expand(2, -1)
        expected = copies_by_row(row_values(state, relative=True), here, here, state.data.weight)
        assert torch.equal(strategy.copies, expected)


def test_bounds_of_the_copies() -> None:
    phi = torch.tensor([1.5, 1.0, 1.0 - 1e-7, 0.5, 0.4 - 1e-8, 1 / 3, 0.0, -0.1, -1 / 6]).expand(1, 1, 9)
    here = torch.ones(1, 9, dtype=torch.bool)
    assert copies_by_row(phi, here, here, torch.ones(9)).flatten().tolist() == [0, 0, 0, 1, 1, 2, 2, 2, 3]


def test_copies_of_a_modality_that_is_worth_less_than_the_others() -> None:
    """Means 1, .4, .1 over the rows that count; the others' means are .25, .55, .7; 2/3 of .15 and .6."""
    phi = torch.tensor([[[1.0, 1.0, 9.0], [0.2, 0.6, 9.0], [0.1, 0.1, 9.0]]])
    here, counts = torch.ones(3, 3, dtype=torch.bool), torch.tensor([1.0, 1.0, 0.0]).expand(1, 3, 3)
    told = copies_by_modality(phi, here, counts, torch.ones(3))
    torch.testing.assert_close(told[0, :, 0], torch.tensor([0.0, 0.1, 0.4]))
    assert (told == told[..., :1]).all()
    unknown = copies_by_modality(phi, here, counts * torch.tensor([1.0, 1.0, 0.0]).reshape(3, 1), torch.ones(3))
    torch.testing.assert_close(unknown[0, :, 0], torch.tensor([0.0, 0.4, 0.0]))  # one that no row has is left out


@pytest.mark.parametrize(("level", "strength"), [("sample", 1.0), ("modality", 2.0)])
def test_the_loss_is_the_mean_over_rows_and_copies(bench, level, strength) -> None:
    case = bench(Smv(level=level, strength=strength))
    strategy, state = case.run.strategy, case.state
    state.epoch = 3
    strategy.start_epoch(state)
    here = torch.stack(list(case.batch.present.values()))
    if level == "sample":
        assert set(strategy.copies.unique().tolist()) <= {0, 1, 2, 3} and strategy.copies.amax() > 1
    else:
        spread = [strategy.copies[:, j][:, here[j]] for j in range(3)]
        assert all(torch.equal(s, s[:, :1].expand_as(s)) for s in spread) and strategy.copies.any()
    batch = replace(case.batch, weight=torch.linspace(0.5, 1.5, 12))
    net = case.run.net.eval()
    outputs = net(batch.x, batch.present)
    losses = {"fused": case.terms["fused"](outputs, batch)[0]}
    losses |= {name: mean for name, (mean, _) in strategy.terms(state, outputs, batch).items()}
    weights = strategy.weights(state, losses, outputs, batch)
    told = sum(weights[name] * loss for name, loss in losses.items())
    for k in range(2):
        total = weight = 0.0
        for i in range(12):
            if not batch.scored[k, i]:
                continue
            lines = [(1.0, outputs.fused)]
            for j, m in enumerate("abc"):
                count = strategy.copies[k, j, i].item()
                assert count == 0 or batch.present[m][i], "no copy without the modality"
                lines.append((strength * count, fused_of(net, outputs.z, batch.present, {m})))
            for count, said in lines:
                total += count * batch.weight[i].item() * state.task.loss(said, batch.y)[k, i].item()
                weight += count * batch.weight[i].item()
        assert told[k].item() == pytest.approx(total / weight, rel=1e-5)


def test_switched_off_or_alone_it_is_joint_bit_for_bit(same_training) -> None:
    same_training(Smv(strength=0), "joint")
    same_training(Smv(strength=1), "joint", modalities="a")


def test_no_copies_in_the_warm_up(same_training, moves) -> None:
    same_training(Smv(warm_up=0.75), "joint", steps=6)  # of 8 epochs
    moves(Smv(warm_up=0.5), "joint", steps=6)


@pytest.mark.parametrize(("level", "classes"), [("sample", 3), ("modality", 3), ("sample", 0)])
def test_copies_move_the_encoders(moves, level, classes) -> None:
    moves(Smv(level=level), "joint", classes=classes)


def test_counts_go_to_the_history_and_then_go(bench) -> None:
    case = bench(Smv())
    case.advance(3)
    assert {f"copies:{m}" for m in "abc"} <= set(case.state.signals)
    case.run.strategy.finish()
    assert not case.run.strategy.state_dict()


def test_too_many_modalities() -> None:
    data = SimpleNamespace(x=dict.fromkeys("abcdefg"))
    with pytest.raises(ValueError, match=r"`modalities`: expected at most 6 for Smv; found 7\. Take another"):
        Smv().setup(SimpleNamespace(data=data))  # type: ignore[arg-type]


@pytest.mark.parametrize(("argument", "value"), [("strength", -1), ("warm_up", 1.5), ("level", "rows")])
def test_arguments_out_of_range(argument, value) -> None:
    with pytest.raises(ValueError, match=rf"`{argument}`: expected .*; found"):
        Smv(**{argument: value})
