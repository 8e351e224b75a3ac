from dataclasses import replace
from math import exp, log

import pytest
import torch

from omicsbal._types import Batch, Outputs
from omicsbal.balance import Dyncim
from omicsbal.balance._curriculum import difficulties, gates, hardness, lagging, progress, ranks_within
from omicsbal.objectives.tasks import Classification, Regression

MUTATIONS = [
    ("(-self.strength * (1 - min", "(self.strength * (1 - min"),
    ("self.before, self.pace = lagging", "self.before, _ = lagging"),
    ("v * g[..., i : i + 1]", "v"),
    ("(mean - self.level).abs()", "(mean - mean).abs()"),
]


def batch_of(y: torch.Tensor, **present: list[bool]) -> Batch:
    n = len(y)
    return Batch({}, {m: torch.tensor(p) for m, p in present.items()}, y, torch.arange(n), torch.ones(1, n), torch.ones(n))


def said(fused: list, **unimodal: list) -> Outputs:
    return Outputs(
        {}, torch.empty(0), torch.tensor(fused).unsqueeze(0), {m: torch.tensor(s).unsqueeze(0) for m, s in unimodal.items()}
    )


def test_difficulties_by_hand() -> None:
    """Both rows of class 0; row 0 has a at .8 and b at .5, fused .6; row 1 lacks b."""
    a, b, f = [log(4), 0.0], [0.0, 0.0], [log(1.5), 0.0]
    outputs = said([f, f], a=[a, a], b=[b, [9.0, -9.0]])
    told = difficulties(Classification(2), outputs, batch_of(torch.tensor([0, 0]), a=[True, True], b=[True, False]))
    h = (-0.8 * log(0.8) - 0.2 * log(0.2)) / log(2)
    expected = [
        [-log(0.6) + (-log(0.8) - log(0.5)) / 2, -log(0.6) - log(0.8)],
        [(0.2 + 0.1) / 2, 0.2],
        [(h + 1) / 2, h],
    ]
    torch.testing.assert_close(told[0], torch.tensor(expected))


def test_difficulties_of_numbers() -> None:
    """Label 1; fused 2, a 0, b 4: errors 1 + (1 + 9) / 2, both 2 from the fused head and from their own mean."""
    batch = batch_of(torch.tensor([1.0]), a=[True], b=[True])
    told = difficulties(Regression(), said([[2.0]], a=[[0.0]], b=[[4.0]]), batch)
    assert told[0, :, 0].tolist() == [6.0, 2.0, 2.0]


def test_ranks_are_among_rows_of_a_class() -> None:
    values = torch.tensor([[3.0, 1.0, 9.0, 2.0, 7.0, 5.0]])
    told = ranks_within(values, torch.tensor([[0, 0, 1, 0, 1, 2]]), 3)
    assert told.tolist() == [[1.0, 0.0, 1.0, 0.5, 0.0, 0.0]]


def test_a_steady_difficulty_counts_more_and_rows_that_teach_nothing_do_not_count() -> None:
    """Volatilities that are 0, 1 and 2 times their mean weigh 1, 1/e and 1/e^2, however small they are."""
    difficulty = torch.tensor([[[1.0, 2.0, 0.5], [2.0, 1.0, 3.0], [1.0, 2.0, 1.5]]])
    told = hardness(difficulty, torch.tensor([[0.0, 0.02, 0.04]]), torch.tensor([0, 0, 0]), torch.tensor([[1.0, 1.0, 0.0]]))
    second = exp(-1) / (1 + exp(-1) + exp(-2))
    torch.testing.assert_close(told[0, :2], torch.tensor([second, 1 - second]))
    alone = hardness(difficulty[..., :2], torch.zeros(1, 3), torch.tensor([0, 1]), torch.ones(1, 2))
    assert alone.tolist() == [[0.0, 0.0]], "a class of one row is not hard"
    numbers = hardness(difficulty[..., :2], torch.zeros(1, 3), torch.tensor([0.3, 0.9]), torch.ones(1, 2))
    torch.testing.assert_close(numbers, torch.tensor([[1 / 3, 2 / 3]]))


def test_progress_by_hand() -> None:
    """Losses .5 and 2, fused .5, before 1 and 2; then one modality unknown."""
    own = torch.tensor([[0.5, 2.0], [0.5, torch.nan]], requires_grad=True)
    whole = torch.tensor([0.5, 0.25], requires_grad=True)
    gmr, rate, slowest = progress(own, whole, torch.tensor([[1.0, 2.0], [1.0, 1.0]]))
    torch.testing.assert_close(gmr.detach(), torch.tensor([log(2), log(2)]))
    torch.testing.assert_close(rate, torch.tensor([2 / (1 / 0.5 + 1 / 0.01), 0.5]))
    share = exp(-0.5) / (exp(-0.5) + 1)
    torch.testing.assert_close(slowest.detach(), torch.tensor([0.5 * share, 0.5]))
    (gmr + slowest).sum().backward()
    torch.testing.assert_close(whole.grad, torch.tensor([-2.0, -4.0]))  # d(-log L_0): R rises as the fused loss falls
    torch.testing.assert_close(own.grad, torch.tensor([[-share, -(1 - share) / 2], [-1.0, 0.0]]))  # and as any other does
    nothing = progress(torch.full((1, 2), torch.nan), torch.tensor([torch.nan]), torch.ones(1, 2))
    assert all(torch.isfinite(part).all() for part in nothing)


def test_the_term_and_its_running_means_by_hand() -> None:
    """First step: nothing has improved, the slowest gains 0 and HMIR is .01; log GMR = ln 2 with losses 1 and 1 over .5."""
    none = torch.full((1, 2), torch.nan)
    term, share, before, pace = lagging(torch.ones(1, 2), torch.tensor([0.5]), none, torch.zeros(1, 2))
    torch.testing.assert_close(pace, 0.1 * torch.tensor([[log(2), 0.01]]))
    weight = 1 / (1 + exp(-5 * (0.001 - 0.1 * log(2))))
    torch.testing.assert_close(share, torch.tensor([weight]))
    torch.testing.assert_close(term, torch.tensor([-weight * log(2)]))
    assert before.tolist() == [[1.0, 1.0]]
    term, share, before, _ = lagging(torch.tensor([[0.5, torch.nan]]), torch.tensor([0.5]), before, pace)
    torch.testing.assert_close(before, torch.tensor([[0.995, 1.0]]))
    torch.testing.assert_close(term, -(1 - share) * 0.5)  # log GMR is 0: both losses are .5; the one known improved by half


def test_gates_are_a_floored_softmax_over_what_is_there() -> None:
    """With q = 1 and U = [1; 0] the logits are tanh(z): 1 and -1 give e / mean(e)."""
    z = {"a": torch.full((1, 3, 1), 30.0), "b": torch.full((1, 3, 1), -30.0), "c": torch.zeros(1, 3, 1)}
    present = {"a": torch.tensor([True] * 3), "b": torch.tensor([True, True, False]), "c": torch.tensor([True, False, False])}
    key, query = torch.tensor([[[1.0], [0.0]]]), torch.ones(1, 1, 1)
    told = gates(z, present, key, query, 0.2)
    e = torch.tensor([exp(1), exp(-1), 1.0])
    torch.testing.assert_close(told[0, 0], 0.2 + 0.8 * 3 * e / e.sum())
    torch.testing.assert_close(told[0, 1, :2], 0.2 + 0.8 * 2 * e[:2] / e[:2].sum())
    assert told[0, 2, 0] == 1 and told[..., :2].min() >= 0.2 - 1e-6
    assert (gates(z, present, key, 0 * query, 0.2)[0, 0] == 1).all(), "exactly"


def test_weights_of_rows_by_hand(bench) -> None:
    """Epoch 1 of 8 until .5: s = 1/2, so v = exp(-hardness / 2 / .3); epoch 0 and those from 4 on weigh all alike."""
    case = bench(Dyncim(until=0.5))
    strategy, state = case.run.strategy, case.state
    assert torch.equal(strategy.rows(state, case.batch).weight, case.batch.weight.expand(2, -1))
    case.advance()
    strategy.start_epoch(state)
    hard = hardness(strategy.difficulty, torch.zeros(2, 3), state.data.y, state.scored)
    torch.testing.assert_close(strategy.rows(state, case.batch).weight, (-hard / 0.6).exp() * case.batch.weight)
    assert not strategy.volatility.any(), "one epoch is no change"
    level = strategy.level.clone()
    case.advance()
    strategy.start_epoch(state)
    assert (strategy.volatility > 0).all() and not torch.equal(level, strategy.level)
    state.epoch = 4
    assert strategy.rows(state, case.batch) is case.batch


def test_what_is_pushed_when_the_fused_head_lags(bench) -> None:
    case = bench(Dyncim())
    strategy, batch = case.run.strategy, case.batch
    strategy.pace = torch.tensor([[-100.0, 0.0], [100.0, 0.0]])  # (log GMR, HMIR): member 0 lags in the fused head
    outputs = case.run.net(batch.x, batch.present)
    term = strategy.terms(case.state, outputs, batch)["lag:fused"][0]
    fused, a = torch.autograd.grad(term.sum(), [outputs.fused, outputs.unimodal["a"]])
    assert fused[0].any() and not a[0].any() and not fused[1].any() and a[1].any()
    step = replace(outputs, fused=outputs.fused - 0.1 * fused)
    losses = [
        state_loss.mean(-1)[0] for state_loss in (case.state.task.loss(o.fused, batch.y) * batch.scored for o in (outputs, step))
    ]
    assert losses[1] < losses[0], "and the push lowers its loss"


def test_a_modality_that_no_row_has_keeps_its_running_loss(bench) -> None:
    case = bench(Dyncim())
    case.advance(2)
    before = case.run.strategy.before.clone()
    assert case.run.strategy.pace.all(), "and so are the others' kept"
    case.advance(1, replace(case.batch, present={**case.batch.present, "b": torch.zeros(12, dtype=torch.bool)}))
    assert (case.run.strategy.before == before).tolist() == [[False, True, False]] * 2


def test_switched_off_or_alone_it_is_uniform_bit_for_bit(same_training) -> None:
    same_training(Dyncim(strength=0, eta=0, gate=False, unimodal_weight=3), "uniform")
    same_training(Dyncim(), "uniform", modalities="a")


@pytest.mark.parametrize("classes", [3, 0])
@pytest.mark.parametrize("on", [{"strength": 1.0}, {"eta": 0.5}, {"gate": True}])
def test_each_part_moves_the_encoders(moves, on, classes) -> None:
    off = {"strength": 0.0, "eta": 0.0, "gate": False}
    moves(Dyncim(**(off | on)), Dyncim(**off), classes=classes)


def test_only_the_gate_is_kept_for_prediction(bench) -> None:
    case = bench(Dyncim())
    case.advance(3)
    case.run.strategy.finish()
    assert set(case.run.strategy.state_dict()) == {"key", "query"}


@pytest.mark.parametrize(
    ("argument", "value"), [("strength", -1), ("eta", -1), ("unimodal_weight", -1), ("until", 0), ("floor", 1.5)]
)
def test_numbers_out_of_range(argument, value) -> None:
    with pytest.raises(ValueError, match=rf"`{argument}`: expected a number .*; found"):
        Dyncim(**{argument: value})
