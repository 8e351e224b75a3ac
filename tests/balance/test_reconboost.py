from dataclasses import replace
from math import exp, log

import pytest
import torch

from omicsbal.balance import Reconboost
from omicsbal.objectives.supervised import supervised_terms
from omicsbal.train.trainer import step

MUTATIONS = [
    ("* (m != now)", "* (m == now)"),
    ("self.base - self.residual", "self.base + self.residual"),
    ("outputs.unimodal[before or now].detach()", "own.detach()"),
    ("mask * batch.present[before]", "mask"),
    ("task.loss(others + rate * own, batch.y)", "task.loss(rate * own, batch.y)"),
    ("FUSED: 1.0 if now is None else 0.0", "FUSED: 1.0"),
]


def outputs_of(case, **said):
    """Outputs of the bench's net with the same unimodal outputs for all rows."""
    net = case.run.net(case.batch.x, case.batch.present)
    n = len(case.batch.y)
    return replace(net, unimodal={m: torch.tensor(v).expand(2, n, -1).clone().requires_grad_() for m, v in said.items()})


def whole(case):
    """The bench's batch with nothing missing."""
    return replace(case.batch, present={m: torch.ones_like(p) for m, p in case.batch.present.items()})


def later(case):
    """In the second turn of the first modality, with another one's before it."""
    case.state.epoch = 4
    return case


def test_the_first_turn_has_nobody_to_remember(bench) -> None:
    case = bench("reconboost", modalities="ab", classes=2)
    outputs = outputs_of(case, a=[0.0, 0.0], b=[log(3), 0.0])
    assert list(case.run.strategy.terms(case.state, outputs, whole(case))) == ["boost:a"]
    alone = later(bench("reconboost", modalities="a", classes=2))
    assert list(alone.run.strategy.terms(alone.state, outputs_of(alone, a=[0.0, 0.0]), whole(alone))) == ["boost:a"]


@pytest.mark.parametrize(
    ("kind", "stage", "heads"), [("classification", 0.05, 2), ("classification", 0.0, 1), ("regression", 0.05, 1)]
)
def test_heads_that_are_no_prediction_are_not_reported(kind, stage, heads) -> None:
    """A branch that fits a residual, or has no turn, says nothing by itself."""
    strategy = Reconboost(stage=stage)
    strategy.check_task(kind)
    assert len(strategy.heads(["a"])) == heads


def test_a_turn_by_hand(bench) -> None:
    """Labels all 0. The other says ln 3 : 0, p = 3/4; own p = 1/2: (5 - 3/4) / 2 ln 2. Memory: (1/4)^2 for both classes."""
    case = later(bench("reconboost", modalities="ab", classes=2))
    batch = replace(whole(case), y=torch.zeros_like(case.batch.y))
    outputs = outputs_of(case, a=[0.0, 0.0], b=[log(3), 0.0])
    terms = case.run.strategy.terms(case.state, outputs, batch)
    assert list(terms) == ["boost:a", "memory:a"]
    torch.testing.assert_close(terms["boost:a"][0], torch.full((2,), (5 - 0.75) / 2 * log(2)))
    torch.testing.assert_close(terms["memory:a"][0], torch.full((2,), 1 / 16))


def test_the_memory_is_alive_and_the_others_are_fixed(bench) -> None:
    case = later(bench("reconboost", modalities="ab", classes=2))
    outputs = outputs_of(case, a=[0.0, 0.0], b=[log(3), 0.0])
    case.run.strategy.terms(case.state, outputs, whole(case))["memory:a"][0].sum().backward()
    assert outputs.unimodal["a"].grad.any() and outputs.unimodal["b"].grad is None
    assert case.run.strategy.rate.grad is None


def test_what_a_row_lacks_is_left_out(bench) -> None:
    """Without the other, J = 0 and p_y = 1/2; a row without the other has no memory; one without m has no part at all."""
    case = later(bench("reconboost", modalities="ab", classes=2))
    n = len(case.batch.y)
    here = {"a": torch.arange(n) != 1, "b": torch.arange(n) > 1}
    batch = replace(case.batch, y=torch.zeros_like(case.batch.y), present=here, scored=torch.ones(2, n))
    terms = case.run.strategy.terms(case.state, outputs_of(case, a=[0.0, 0.0], b=[log(3), 0.0]), batch)
    share = ((5 - 0.5) + (n - 2) * (5 - 0.75)) / (n - 1)
    torch.testing.assert_close(terms["boost:a"][0], torch.full((2,), share / 2 * log(2)))
    assert terms["boost:a"][1].tolist() == [n - 1, n - 1] and terms["memory:a"][1].tolist() == [n - 2, n - 2]
    torch.testing.assert_close(terms["memory:a"][0], torch.full((2,), 1 / 16))


def test_numbers_fit_the_residual(bench) -> None:
    case = bench("reconboost", modalities="ab", classes=0)
    batch = replace(whole(case), y=torch.ones_like(case.batch.y))
    terms = case.run.strategy.terms(case.state, outputs_of(case, a=[0.5], b=[2.0]), batch)
    assert list(terms) == ["boost:a"]
    torch.testing.assert_close(terms["boost:a"][0], torch.full((2,), 2.25))  # (0.5 + 2 - 1)^2


def test_in_a_turn_one_modality_moves_and_then_all(bench) -> None:
    """A turn is 2 of the 8 epochs: a alone, all, b alone, all, c alone, all, a alone."""
    case, moved = bench(Reconboost(stage=0.25)), []
    for _ in range(7):
        before = {m: case.parameters(f"encoder/{m}", f"head/{m}") for m in "abc"}
        rate = case.run.strategy.rate.detach().clone()
        case.advance()
        after = {m: case.parameters(f"encoder/{m}", f"head/{m}") for m in "abc"}
        moved.append("".join(m for m in "abc" if any(not torch.equal(p, q) for p, q in zip(before[m], after[m], strict=True))))
        assert torch.equal(rate, case.run.strategy.rate) == (len(moved[-1]) == 1), "the rate is learned by all together"
    assert moved == ["a", "abc", "b", "abc", "c", "abc", "a"]
    assert case.state.signals == {"turn:a": 1.0, "turn:b": 0.0, "turn:c": 0.0}


@pytest.mark.parametrize("sgd", [False, True])
def test_without_turns_it_is_late_fusion(bench, sgd) -> None:
    """A rate held at 1/2 makes the sum of two a mean, bit for bit."""
    cases = [bench(s, modalities="ab", sgd=sgd, dropout=0.3) for s in (Reconboost(stage=0), "late")]
    rate = cases[0].run.strategy.rate.requires_grad_(False)
    rate.fill_(0.5)
    for case in cases:
        terms = supervised_terms(["fused"], case.state.task)
        for _ in range(5):
            case.run.strategy.start_epoch(case.state)
            step(case.run, case.state, whole(case), terms)
    one, two = (case.weights() for case in cases)
    assert all(torch.equal(one[n], two[n]) for n in one)


def test_it_does_something(moves) -> None:
    moves("reconboost", "joint")
    moves("reconboost", Reconboost(memory=0))
    moves("reconboost", Reconboost(residual=0))


def test_the_sum_is_over_what_is_there(bench) -> None:
    case = bench("reconboost", modalities="ab", classes=2)
    case.run.strategy.rate.data.fill_(3.0)
    n = len(case.batch.y)
    present = {"a": torch.ones(n, dtype=torch.bool), "b": torch.arange(n) > 0}
    fused = case.run.strategy.fuse(outputs_of(case, a=[1.0, 0.0], b=[1.0, exp(1)]), present)
    assert fused[:, 0].tolist() == [[3.0, 0.0]] * 2
    torch.testing.assert_close(fused[:, 1], torch.tensor([[6.0, 3 * exp(1)]] * 2))


def test_arguments_out_of_range() -> None:
    with pytest.raises(ValueError, match=r"`stage`: expected a number of at least 0 and at most 1; found 2"):
        Reconboost(stage=2)
    with pytest.raises(ValueError, match=r"`residual`: expected a number of at most base \(1\); found 2\. Pass a smaller"):
        Reconboost(base=1, residual=2)
