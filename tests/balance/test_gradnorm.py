from dataclasses import replace

import pytest
import torch

from omicsbal.balance import Gradnorm
from omicsbal.balance.gradnorm import relative, slope

MUTATIONS = [
    ("self.weight - self.rate", "self.weight + self.rate"),
    ("torch.sign(scaled - mean * pair[1])", "torch.sign(scaled - mean)"),
    ("moved * moved.shape[-1] / moved.sum(-1, keepdim=True)", "moved"),
    ("there = (pulls > 0)", "there = (pulls >= 0)"),
    ("early = (self.counted < self.first_steps) & (now > 0)", "early = self.counted < self.first_steps"),
]


def test_progress_by_hand() -> None:
    """Shares left 1/2, 1/4 and unknown: over their mean 3/8 they are 4/3, 2/3 and 1."""
    found = relative(torch.tensor([[1.0, 0.5, 0.0]]), torch.tensor([[2.0, 2.0, 1.0]]))
    torch.testing.assert_close(found, torch.tensor([[4 / 3, 2 / 3, 1.0]]))


def test_slope_by_hand() -> None:
    """Pulls 3 and 1 on encoder a, 1 and 1 on b. On a the mean is 2: fused is too strong, 3 / 2 over 2 encoders; own too weak."""
    pulls, ones = torch.tensor([[[3.0, 1.0], [1.0, 1.0]]]), torch.ones(1, 3)
    torch.testing.assert_close(slope(pulls, ones, ones), torch.tensor([[0.75, -0.25, 0.0]]))
    lagging = torch.tensor([[1.0, 1.0, 2.0]])  # b is asked for twice the mean pull
    torch.testing.assert_close(slope(pulls, ones, lagging), torch.tensor([[0.75, -0.25, -0.5]]))
    silent = torch.tensor([[[3.0, 1.0], [1.0, 0.0]]])
    torch.testing.assert_close(slope(silent, ones, ones), torch.tensor([[0.75, -0.25, 0.0]]))


def test_slope_is_that_of_the_objective() -> None:
    draw = torch.Generator().manual_seed(0)
    pulls, target = torch.rand(2, 3, 2, generator=draw), torch.rand(2, 4, generator=draw) + 0.5
    weight = (torch.rand(2, 4, generator=draw) + 0.5).requires_grad_()
    total = torch.zeros(())
    for m in range(3):
        both = weight[:, 0] * pulls[:, m, 0], weight[:, m + 1] * pulls[:, m, 1]
        mean = (sum(both) / 2).detach()
        gaps = [(b - mean * t).abs() / mean for b, t in zip(both, (target[:, 0], target[:, m + 1]), strict=True)]
        total = total + sum(gaps).sum() / 3
    torch.testing.assert_close(slope(pulls, weight.detach(), target), torch.autograd.grad(total, weight)[0])


def test_the_step_and_the_sum(bench) -> None:
    """From 1, 1, 1 by 0.1: 0.925, 1.025, 1, scaled to sum to 3 (2.95 before)."""
    case = bench(Gradnorm(rate=0.1), modalities="ab")
    strategy = case.run.strategy
    strategy.follow(torch.tensor([[[3.0, 1.0], [1.0, 1.0]]]).expand(2, 2, 2), torch.ones(2, 3))
    torch.testing.assert_close(strategy.weight[0], torch.tensor([0.925, 1.025, 1.0]) * 3 / 2.95)


def test_weights_stay_positive_and_sum_to_the_number_of_heads(bench) -> None:
    case = bench(Gradnorm(rate=3.0))
    for _ in range(8):
        case.advance()
        weight = case.run.strategy.weight
        assert (weight > 0).all()
        torch.testing.assert_close(weight.sum(-1), torch.full((2,), 4.0))


def test_initial_losses_are_the_mean_of_the_first_steps_that_had_rows(bench) -> None:
    case = bench(Gradnorm(first_steps=2))
    pulls, follow = torch.ones(2, 3, 2), case.run.strategy.follow
    for loss in (1.0, 3.0, 9.0):
        now = torch.full((2, 4), loss)
        now[:, 1] = 0 if loss == 1 else loss
        follow(pulls, now)
    assert case.run.strategy.start[0].tolist() == [2, 6, 2, 2]


def test_the_net_gets_the_weights_and_the_next_step_other_ones(bench) -> None:
    plain, case = bench("uniform", modalities="ab"), bench("gradnorm", modalities="ab")
    case.run.strategy.weight.copy_(torch.tensor([0.5, 0.5, 2.0]))
    plain.advance()
    case.advance()
    head = "head/b"
    for a, b in zip(plain.run.net.groups()[head], case.run.net.groups()[head], strict=True):
        torch.testing.assert_close(b.grad, 2 * a.grad)
    assert case.state.signals["weight:b"] == 2.0 and not (case.run.strategy.weight[:, 2] == 2.0).any()


def test_pulls_are_those_on_the_last_layer_of_the_mlp_alone(bench) -> None:
    case = bench("gradnorm", modalities="ab")
    net, batch = case.run.net, case.batch
    outputs = net.decode(net.encode(batch.x, batch.present), batch.present)
    losses = {name: term(outputs, batch)[0] for name, term in case.terms.items()}
    found = case.run.strategy.pulls(net, losses)
    layer = net.encoders[1].mlp[-1].weight
    for i, head in enumerate(("fused", "b")):
        (slopes,) = torch.autograd.grad(losses[head].sum(), layer, retain_graph=True)
        torch.testing.assert_close(found[:, 1, i], slopes.flatten(1).norm(dim=1))


def test_a_modality_without_rows_keeps_its_weight_up_to_the_sum(bench) -> None:
    case = bench(Gradnorm(rate=0.1))
    gone = torch.zeros_like(case.batch.present["b"])
    case.advance(1, replace(case.batch, present={**case.batch.present, "b": gone}))
    weight = case.run.strategy.weight
    assert torch.isfinite(weight).all() and (case.run.strategy.counted[:, 2] == 0).all()
    assert (weight[:, 2] / weight[:, 0] != 1).any()


def test_rate_zero_is_uniform_bit_for_bit(same_training) -> None:
    same_training(Gradnorm(rate=0), "uniform")


def test_it_is_neither_joint_nor_uniform(moves) -> None:
    moves(Gradnorm(), "joint")
    moves(Gradnorm(), "uniform")


@pytest.mark.parametrize(
    ("arguments", "error", "told"),
    [
        ({"alpha": -1}, ValueError, r"`alpha`: expected a number of at least 0; found -1\. Pass"),
        ({"rate": "x"}, TypeError, r"`rate`: expected a number of at least 0; found 'x'\. Pass"),
        ({"first_steps": 0}, ValueError, r"`first_steps`: expected an integer of at least 1; found 0\. Pass"),
    ],
)
def test_arguments_out_of_range(arguments: dict, error: type[Exception], told: str) -> None:
    with pytest.raises(error, match=told):
        Gradnorm(**arguments)
