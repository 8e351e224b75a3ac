from dataclasses import replace

import pytest
import torch

from omicsbal._types import Outputs
from omicsbal.balance import Gblend
from omicsbal.balance.gblend import blend

MUTATIONS = [
    ("growth.clamp(min=FLOOR) ** 2", "growth.clamp(min=FLOOR)"),
    ("gain.clamp(min=0)", "gain"),
    ("self.start[1] - unseen, gap - self.start[2]", "unseen - self.start[1], gap - self.start[2]"),
    ("gap - self.start[2]", "self.start[2] - gap"),
    ("rows * data.present[m]", "rows"),
    ("gain.max() >= LEAST", "gain.max() > 0"),
    ("state.net.eval()", "state.net"),
    ("data, state.scored[:folds])", "data, torch.ones_like(state.scored[:folds]))"),
]


def test_by_hand() -> None:
    """Gains 0.2, 0.1 and -1 (that is 0), gaps grown by 0.2, 0.1, 0.1: v = 5, 10, 0, so weights 1, 2, 0."""
    found = blend(torch.tensor([0.2, 0.1, -1.0]), torch.tensor([0.2, 0.1, 0.1]), torch.ones(3))
    torch.testing.assert_close(found, torch.tensor([1.0, 2.0, 0.0]))
    floored = blend(torch.tensor([1.0, 1.0]), torch.tensor([-5.0, 0.01]), torch.ones(2))
    torch.testing.assert_close(floored, torch.ones(2))
    before = torch.tensor([0.5, 1.5])
    assert torch.equal(blend(torch.tensor([-1.0, 0.0]), torch.ones(2), before), before), "nothing gained"
    assert torch.equal(blend(torch.tensor([0.009, 0.0]), torch.ones(2), before), before), "a plateau"
    torch.testing.assert_close(blend(torch.tensor([0.03, 0.01]), torch.ones(2), before), before.flip(0))


def told(case, fused: float, a: float, b: float) -> Outputs:
    """Out-of-fold outputs of a regression whose squared errors are these; b is a hundred off where it is absent."""
    y, there = case.state.data.y, case.state.data.present["b"]
    pred = {h: (y + v**0.5).reshape(1, -1, 1) for h, v in (("fused", fused), ("a", a), ("b", b))}
    off = torch.where(there.reshape(1, -1, 1), pred["b"], pred["b"] + 100)
    return Outputs({}, torch.zeros(1, len(y), 4), pred["fused"], {"a": pred["a"], "b": off})


def report(case, epoch: int, unseen: tuple, seen: tuple) -> list[float]:
    case.state.epoch, case.state.held_out = epoch, told(case, *unseen)
    case.run.strategy.seen = lambda _: torch.tensor(seen)
    case.run.strategy.start_epoch(case.state)
    return case.run.strategy.weight.tolist()


def test_a_window_by_hand(bench) -> None:
    """8 epochs, windows of 2. Unseen losses fall by 0.2, 0.1, 0; gaps grow by 0.2, 0.1, 0.1, as above."""
    case = bench(Gblend(window=0.25), modalities="ab", classes=0)
    assert report(case, 1, (1.0, 1.0, 1.0), (0.9, 0.9, 0.9)) == [1, 1, 1]
    assert report(case, 2, (0.1, 0.9, 0.9), (0.1, 0.1, 0.1)) == [1, 1, 1], "the window is not over"
    assert report(case, 3, (0.8, 0.9, 1.0), (0.5, 0.7, 0.8)) == pytest.approx([1, 2, 0], abs=1e-4)
    assert report(case, 4, (0.1, 0.1, 0.1), (0.1, 0.1, 0.1)) == pytest.approx([1, 2, 0], abs=1e-4)
    assert case.run.strategy.start[0].tolist() == [3, 3, 3], "the next one began where this one ended"


def test_an_epoch_without_news_changes_nothing(bench) -> None:
    case = bench("gblend", modalities="ab", classes=0)
    case.run.strategy.start_epoch(case.state)
    assert case.run.strategy.start.isnan().all()


@pytest.mark.parametrize("folds", [1, 2])
@pytest.mark.parametrize("classes", [3, 0])
def test_the_seen_loss_is_of_the_fold_members_on_their_rows_without_dropout(bench, monkeypatch, folds, classes) -> None:
    case = bench("gblend", modalities="ab", classes=classes, dropout=0.5)
    monkeypatch.setattr("omicsbal.balance._embedded.CHUNK", 5)
    case.advance(2)
    state, net, data = case.state, case.run.net, case.state.data
    state.folds, state.data = torch.arange(12) % folds, replace(data, weight=torch.linspace(0.5, 1.5, 12))
    draws = case.run.generator.get_state()
    found = case.run.strategy.seen(state)
    assert net.training and torch.equal(draws, case.run.generator.get_state()) and not found.requires_grad
    with torch.no_grad():
        outputs = net.eval()(data.x, data.present)
    for i, (head, there) in enumerate({"fused": torch.ones(12), **data.present}.items()):
        share = (state.scored * there * state.data.weight)[:folds]
        loss = state.task.loss(outputs.head(head), data.y)[:folds]
        assert found[i].item() == pytest.approx(float((loss * share).sum() / share.sum()), rel=1e-4)


def test_gaps_are_measured_where_windows_begin_and_end(bench) -> None:
    """8 epochs, windows of 2, news in each."""
    case, when = bench(Gblend(window=0.25), modalities="ab"), []
    seen = case.run.strategy.seen
    case.run.strategy.seen = lambda state: when.append(state.epoch) or seen(state)
    for epoch in range(1, 6):
        case.state.epoch = epoch
        case.state.held_out = Outputs({}, torch.zeros(0), torch.zeros(1, 12, 3), {m: torch.zeros(1, 12, 3) for m in "ab"})
        case.run.strategy.start_epoch(case.state)
    assert when == [1, 3, 5]


def test_the_weights_reach_the_net_apart_from_what_stays(bench) -> None:
    plain, case = bench("uniform", modalities="ab"), bench(Gblend(least=0.2), modalities="ab")
    case.run.strategy.weight.copy_(torch.tensor([1.0, 2.0, 0.0]))
    plain.advance()
    case.advance()
    assert case.state.signals == pytest.approx({"weight:fused": 1.0, "weight:a": 1.8, "weight:b": 0.2})
    for m, factor in (("a", 1.8), ("b", 0.2)):
        for one, two in zip(plain.run.net.groups()[f"head/{m}"], case.run.net.groups()[f"head/{m}"], strict=True):
            torch.testing.assert_close(two.grad, factor * one.grad)


def test_before_the_first_window_and_with_all_of_each_weight_kept_it_is_uniform(bench, same_training) -> None:
    same_training(Gblend(), "uniform")
    one, two = bench(Gblend(least=1), modalities="ab", dropout=0.3), bench("uniform", modalities="ab", dropout=0.3)
    one.run.strategy.weight.copy_(torch.tensor([0.3, 2.0, 0.7]))
    one.advance(3)
    two.advance(3)
    assert all(torch.equal(a, b) for a, b in zip(one.weights().values(), two.weights().values(), strict=True))


def test_it_is_neither_joint_nor_uniform(bench, moves) -> None:
    moves(Gblend(), "joint")
    for sgd in (False, True):
        one, two = (bench(s, modalities="ab", sgd=sgd) for s in ("gblend", "uniform"))
        one.run.strategy.weight.copy_(torch.tensor([0.5, 2.0, 0.5]))
        one.advance(5)
        two.advance(5)
        pairs = zip(one.parameters("encoder/a"), two.parameters("encoder/a"), strict=True)
        assert max(float((a - b).abs().max()) for a, b in pairs) > 1e-5


def test_batches_do_not_matter_to_the_held_out_loss(bench) -> None:
    case = bench("gblend", modalities="ab", classes=0)
    case.state.data = replace(case.state.data, weight=torch.linspace(0.5, 1.5, 12))
    found = case.run.strategy.unseen(case.state, told(case, 1.0, 0.25, 4.0))
    torch.testing.assert_close(found, torch.tensor([1.0, 0.25, 4.0]), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    ("arguments", "error", "told"),
    [
        ({"window": 0}, ValueError, r"`window`: expected a number above 0 and at most 1; found 0\. Pass"),
        ({"least": 1.5}, ValueError, r"`least`: expected a number of at least 0 and at most 1; found 1\.5\. Pass"),
        ({"least": "x"}, TypeError, r"`least`: expected a number of at least 0 and at most 1; found 'x'\. Pass"),
    ],
)
def test_arguments_out_of_range(arguments: dict, error: type[Exception], told: str) -> None:
    with pytest.raises(error, match=told):
        Gblend(**arguments)
