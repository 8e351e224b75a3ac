from math import log10

import pytest
import torch

from omicsbal.balance import Greedy
from omicsbal.balance._gates import energy, held_next, running

MUTATIONS = [
    ("speed, self.held, self.left = held_next(self.energies,", "speed, self.held, self.left = held_next(self.energies.flip(-1),"),
    ("torch.where(held[:, i], average[:, i], g)", "torch.where(held[:, i], g, average[:, i])"),
    ("batch.scored * batch.present[m] * batch.weight", "batch.scored * batch.weight"),
    ("self.training_step, now = False, []", "now = []"),
]


def test_energy_by_hand() -> None:
    w, g = torch.tensor([[3.0, 4.0], [1.0, 0.0]]), torch.tensor([[1.0, 2.0], [2.0, 0.0]])
    assert energy([(w, g)]).tolist() == pytest.approx([5 / 25, 4])
    assert energy([(w, g), (torch.zeros(2, 1), torch.ones(2, 1))]).tolist() == pytest.approx([6 / 25, 5])
    assert energy([(w, None)]).tolist() == [0, 0]


def test_who_is_held_and_how_long_by_hand() -> None:
    """Member 0: gate over encoder is 10, 0.1 and unknown; member 1: alike."""
    energies = torch.tensor([[[10.0, 1.0], [1.0, 10.0], [5.0, 0.0]], [[2.0, 1.0], [4.0, 2.0], [2.0, 1.0]]])
    held, left = torch.zeros(2, 3), torch.zeros(2)
    speed, held, left = held_next(energies, held, left, 0.01, 2)
    torch.testing.assert_close(speed, torch.tensor([[1.0, -1.0, 0.0], [log10(2)] * 3]))
    assert held.tolist() == [[1, 0, 0], [0, 0, 0]] and left.tolist() == [2, 0]
    flipped = energies.flip(1)
    _, held, left = held_next(flipped, held, left, 0.01, 2)
    assert held.tolist() == [[1, 0, 0], [0, 0, 0]] and left.tolist() == [1, 0], "the window runs on"
    _, held, left = held_next(flipped, held, left, 0.01, 2)
    assert not held.any() and not left.any(), "over; evaluated anew after a step with live gates"
    assert held_next(flipped, held, left, 0.01, 2)[1].tolist() == [[0, 0, 1], [0, 0, 0]]
    assert not held_next(flipped, held, left, 2.5, 2)[1].any() and not held_next(flipped, held, left, 0.01, 0)[1].any()


def test_the_running_mean_by_hand() -> None:
    values = torch.tensor([[[[1.0], [3.0]], [[5.0], [5.0]]]])
    average, count = running(
        torch.zeros(1, 2, 1), torch.zeros(1, 2), values, torch.tensor([[[1.0, 1.0], [0.0, 0.0]]]), torch.ones(1, 2) > 0
    )
    assert average.flatten().tolist() == [2, 0] and count.tolist() == [[1, 0]], "nobody has the second"
    average, count = running(average, count, values, torch.tensor([[[0.0, 1.0], [1.0, 0.0]]]), torch.tensor([[True, False]]))
    assert average.flatten().tolist() == [2.5, 0] and count.tolist() == [[2, 0]], "the second is held"


def test_the_first_step_is_that_of_joint_training(same_training) -> None:
    """Gates start at exactly 1."""
    same_training(Greedy(), "joint", steps=1)
    same_training(Greedy(), "joint", steps=1, classes=0)


def test_one_modality_has_no_gate(same_training, bench) -> None:
    same_training(Greedy(), "joint", modalities="a")
    assert not bench("greedy", modalities="a").run.strategy.state_dict()


@pytest.mark.parametrize("classes", [3, 0])
def test_gates_and_holding_them_both_have_an_effect(moves, classes) -> None:
    moves(Greedy(), "joint", classes=classes)
    moves(Greedy(), Greedy(window=0), classes=classes, steps=12)  # gates are near 1 at first


def test_energies_and_means_are_those_of_the_step(bench) -> None:
    case = bench(Greedy(window=0))
    case.advance(2)
    strategy, net, batch = case.run.strategy, case.run.net, case.batch
    energies, average = strategy.energies.clone(), strategy.average.clone()
    gates = strategy.live(net.encode(batch.x, batch.present), batch.present)
    weights = case.parameters("encoder/b", "route/b")
    own = [p.detach().clone() for p in (strategy.squeeze, strategy.gate[:, 1], strategy.shift[:, 1])]
    case.advance()
    groups = net.groups()
    slopes = [p.grad for g in ("encoder/b", "route/b") for p in groups.get(g, [])]
    total = lambda tensors, k: sum(float((t[k] ** 2).sum()) for t in tensors)  # noqa: E731
    mine = [strategy.squeeze.grad, strategy.gate.grad[:, 1], strategy.shift.grad[:, 1]]
    for k in range(2):
        told = (strategy.energies - energies)[k, 1].tolist()
        assert told == pytest.approx([total(mine, k) / total(own, k), total(slopes, k) / total(weights, k)], rel=1e-3)
        rows = (batch.scored[k] * batch.present["b"]) > 0
        assert 0 < rows.sum() < len(rows)
        torch.testing.assert_close(strategy.average[k, 1], (2 * average[k, 1] + gates["b"][k][rows].mean(0)) / 3)
    assert strategy.count.tolist() == [[3, 3, 3]] * 2


def test_a_held_gate_is_its_mean_in_training_and_live_at_prediction(bench) -> None:
    case = bench(Greedy(window=3, warm_up=0))
    case.advance()
    strategy, net, batch = case.run.strategy, case.run.net, case.batch
    assert strategy.left.tolist() == [3, 3] and strategy.held.sum(1).tolist() == [1, 1]
    speed = (strategy.energies[..., 0] / strategy.energies[..., 1]).log10()
    assert torch.equal(strategy.held.argmax(1), speed.argmax(1)), "the gate that is relied on most"
    strategy.average += 0.1
    z = net.encode(batch.x, batch.present)
    live = strategy.live(z, batch.present)
    predicted = strategy.modulate(z, batch.present)
    assert all(torch.equal(predicted[m], z[m] * live[m]) for m in z)
    strategy.features(case.state, z, batch)
    shown = strategy.modulate(z, batch.present)
    for i, m in enumerate(z):
        for k in range(2):
            factor = strategy.average[k, i] if strategy.held[k, i] else live[m][k]
            torch.testing.assert_close(shown[m][k], z[m][k] * factor)
    energies, average, count = strategy.energies.clone(), strategy.average.clone(), strategy.count.clone()
    case.advance()
    assert torch.equal(strategy.energies, energies), "energies rest"
    held = strategy.held > 0
    assert torch.equal(strategy.average[held], average[held]) and torch.equal(strategy.count - count, 1.0 - held.float())
    case.advance(2)
    assert not strategy.held.any()


def test_the_warm_up_holds_nothing(bench) -> None:
    case = bench(Greedy(warm_up=0.5))
    case.advance(4)  # of 8
    assert not case.run.strategy.held.any()
    case.advance()
    assert case.run.strategy.held.any()


def test_by_default_some_gate_is_held_in_most_steps(bench) -> None:
    case, held = bench(Greedy(warm_up=0)), []
    for _ in range(30):
        case.advance()
        held.append(case.run.strategy.held.any(1).float().mean())
    assert float(torch.stack(held).mean()) > 0.5


def test_only_the_gates_are_kept_for_prediction(bench) -> None:
    case = bench("greedy")
    case.advance(2)
    case.run.strategy.finish()
    assert set(case.run.strategy.state_dict()) == {"squeeze", "gate", "shift"}


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ({"threshold": -1}, r"`threshold`: expected a number of at least 0"),
        ({"window": -1}, r"`window`: expected an integer of at least 0"),
        ({"warm_up": 2}, r"`warm_up`: .* at most 1"),
    ],
)
def test_arguments_out_of_range(arguments, told) -> None:
    with pytest.raises(ValueError, match=told):
        Greedy(**arguments)
