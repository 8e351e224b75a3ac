from math import exp, log

import pytest
import torch

from omicsbal.balance import Agm
from omicsbal.balance._coalitions import fused_of

MUTATIONS = [
    ("(ratio(past) - ratio(now))", "(ratio(now) - ratio(past))"),
    ("count / (count - 1).clamp(min=1) * (mean - e)", "(mean - e)"),
    ("phi + values[frozenset()] / len(names)", "phi"),
    ("lambda g, factor=factor: g / factor", "lambda g, factor=factor: g"),
]


def outputs_of(case):
    net, batch = case.run.net, case.batch
    return net.decode(net.encode(batch.x, batch.present), batch.present)


def test_the_factor_by_hand() -> None:
    """Losses 0.5, 1, 1.5 now, equal before: R = exp(3/2 (1 - e)), R* = 1, limit met by the last."""
    now, past = torch.tensor([[0.5, 1.0, 1.5]]), torch.tensor([[2.0, 2.0, 2.0]])
    told = Agm(alpha=2.0, limit=0.4).kappa(now, past)[0].tolist()
    assert told == pytest.approx([exp(2 * (1 - exp(0.75))), 1, exp(2 * 0.4)], rel=1e-5)
    nobody = Agm().kappa(torch.tensor([[0.5, torch.nan, torch.nan]]), past)
    assert nobody.tolist() == [[1, 1, 1]], "nobody to compare with"
    pair = Agm(alpha=1.0).kappa(torch.tensor([[0.5, torch.nan, 1.5]]), past)[0].tolist()
    assert pair == pytest.approx([exp(1 - exp(1)), 1, exp(1 - exp(-1))], rel=1e-5), "the mean is over the two that are there"


def test_a_modality_ahead_of_its_own_past_is_slowed_and_one_that_fell_back_is_not() -> None:
    fast, slow = Agm().kappa(torch.tensor([[0.2, 1.0]]), torch.tensor([[0.6, 0.6]]))[0].tolist()
    assert fast < 1 < slow
    assert Agm().kappa(torch.tensor([[0.0, 18.0]]), torch.tensor([[9.0, 9.0]]))[0, 0].item() == pytest.approx(1e-3), "the floor"


@pytest.mark.parametrize("modalities", ["ab", "abc", "abcde"])
def test_responses_sum_to_the_fused_output(bench, modalities) -> None:
    case = bench("agm", modalities=modalities)
    case.advance(2)
    outputs = outputs_of(case)
    phi = case.run.strategy.responses(case.state, outputs, case.batch)
    torch.testing.assert_close(sum(phi.values()), outputs.fused, rtol=1e-4, atol=1e-5)


def test_two_responses_by_hand(bench) -> None:
    case = bench("agm", modalities="ab")
    case.advance(2)
    outputs = outputs_of(case)
    one, two = (fused_of(case.run.net, outputs.z, case.batch.present, {m}) for m in "ab")
    phi = case.run.strategy.responses(case.state, outputs, case.batch)
    torch.testing.assert_close(phi["a"], (outputs.fused - two + one) / 2, rtol=1e-4, atol=1e-5)


def test_off_it_is_joint_training(same_training) -> None:
    same_training(Agm(alpha=0), "joint")
    same_training(Agm(), "joint", modalities="a")
    same_training(Agm(alpha=0), "joint", classes=0)


@pytest.mark.parametrize("classes", [3, 0])
def test_on_it_is_not(moves, classes) -> None:
    moves(Agm(), "joint", classes=classes)


def test_with_factors_of_one_gradients_are_those_of_joint_training(bench) -> None:
    """In the first batch past and present agree."""
    ours, joint = bench("agm"), bench("joint")
    ours.advance()
    joint.advance()
    assert torch.equal(ours.run.strategy.factor, torch.ones(2, 3))
    for (name, p), q in zip(ours.run.net.named_parameters(), joint.run.net.parameters(), strict=True):
        if q.grad is not None:
            torch.testing.assert_close(p.grad, q.grad, rtol=1e-3, atol=1e-6, msg=name)


def test_a_step_of_gradient_descent_takes_each_response_s_gradient_times_its_factor(bench) -> None:
    case = bench(Agm(alpha=0.7), sgd=True)
    case.advance(3)
    strategy, state = case.run.strategy, case.state
    strategy.past = torch.tensor([[0.3, 1.0, 2.0], [2.0, 0.4, 0.6]])
    strategy.count = torch.full((2, 3), 1e9)  # so that this batch does not change it
    outputs = outputs_of(case)
    phi = strategy.responses(state, outputs, case.batch)
    now = []
    for m, p in phi.items():
        mask = case.batch.scored * case.batch.present[m]
        now.append((state.task.loss(p, case.batch.y) * mask).sum(-1) / mask.sum(-1))
    kappa = strategy.kappa(torch.stack(now, -1).detach(), strategy.past)
    assert (kappa - 1).abs().min() > 0.005
    logits = sum(phi.values()).detach().requires_grad_()
    loss = (state.task.loss(logits, case.batch.y) * case.batch.scored).sum(-1) / case.batch.scored.sum(-1)
    (slope,) = torch.autograd.grad(loss.sum(), logits)
    pulled = sum((kappa[:, i].reshape(-1, 1, 1) * slope * p).sum() for i, p in enumerate(phi.values()))
    parameters = [p for m in "abc" for p in case.run.net.groups()[f"encoder/{m}"]] + case.run.net.groups()["fused"]
    expected = torch.autograd.grad(pulled, parameters)
    before = [p.detach().clone() for p in parameters]
    case.advance()
    torch.testing.assert_close(strategy.factor, kappa, rtol=1e-4, atol=1e-5)
    for start, p, g in zip(before, parameters, expected, strict=True):
        torch.testing.assert_close(p.detach() - start, -0.1 * g, rtol=1e-3, atol=1e-6)


def test_the_past_is_the_mean_over_batches_that_have_the_modality(bench) -> None:
    case = bench("agm")
    strategy = case.run.strategy
    case.advance()
    first = strategy.past.clone()
    assert (first > 0).all() and first.max() < 3 * log(3), "mean cross-entropies of three classes"
    case.batch.present["b"].zero_()
    case.advance()
    assert torch.equal(strategy.past[:, 1], first[:, 1]) and torch.equal(strategy.factor[:, 1], torch.ones(2))
    assert strategy.count.tolist() == [[2, 1, 2]] * 2
    assert case.state.signals["kappa:b"] == 1


def test_nothing_is_kept_for_prediction(bench) -> None:
    case = bench("agm")
    case.advance()
    case.run.strategy.finish()
    assert not case.run.strategy.state_dict()


def test_too_many_modalities_and_arguments_out_of_range(bench, monkeypatch) -> None:
    monkeypatch.setattr("omicsbal.balance.agm.MOST", 2)
    with pytest.raises(ValueError, match=r"`strategy`: expected at most 2 modalities; found 3\. Take 'ogm_ge'"):
        bench("agm")
    with pytest.raises(ValueError, match=r"`alpha`: expected a number of at least 0"):
        Agm(alpha=-1)
    with pytest.raises(ValueError, match=r"`limit`: expected a number above 0"):
        Agm(limit=0)
