import pytest
import torch

from omicsbal.balance import Mmpareto
from omicsbal.balance.mmpareto import fused_share, pareto

MUTATIONS = [
    ("(own * own).sum(-1, keepdim=True) - dot", "(own * own).sum(-1, keepdim=True) + dot"),
    ("2 * w * fused + 2 * (1 - w) * own", "2 * (1 - w) * fused + 2 * w * own"),
    ("new * plain / size.clamp(min=1e-12), new)", "new, new)"),
    ("scale_update(state, m, self.gamma)", "pass"),
]


def test_by_hand() -> None:
    """(1, 0) and (-1, 2): w = (5 + 1) / (1 + 5 + 2) = 3/4, N = (3/2, 0) + (-1/2, 1) = (1, 1), stretched to |(0, 2)| = 2."""
    a, b = torch.tensor([[1.0, 0.0]]), torch.tensor([[-1.0, 2.0]])
    assert fused_share(a, b).item() == pytest.approx(0.75)
    torch.testing.assert_close(pareto(a, b), torch.tensor([[2**0.5, 2**0.5]]))
    assert fused_share(a, b, 0.5).item() == pytest.approx(0.625)


def test_orthogonal_pulls() -> None:
    """w = |g_m|^2 / (|g_0|^2 + |g_m|^2)."""
    assert fused_share(torch.tensor([[1.0, 0.0]]), torch.tensor([[0.0, 3.0]])).item() == pytest.approx(0.9)


def test_conflicting_pulls_are_both_served_and_agreeing_ones_add_up() -> None:
    draw = torch.Generator().manual_seed(0)
    a, b = (torch.randn(500, 5, generator=draw) for _ in range(2))
    found, conflict = pareto(a, b), (a * b).sum(-1) < 0
    assert 100 < conflict.sum() < 400
    inside = (found * a).sum(-1) / a.norm(dim=-1), (found * b).sum(-1) / b.norm(dim=-1)
    assert (torch.stack(inside)[:, conflict] > -1e-4).all()
    torch.testing.assert_close(found[~conflict], (a + b)[~conflict])
    assert (found.norm(dim=-1) >= (a + b).norm(dim=-1) - 1e-5).all()


def test_pulls_of_zero() -> None:
    a, none = torch.tensor([[3.0, 4.0]]), torch.zeros(1, 2)
    torch.testing.assert_close(pareto(a, none), a)
    torch.testing.assert_close(pareto(none, a), a)
    assert torch.equal(pareto(none, none), none)


def test_gamma_scales_the_update_of_encoders_under_adam(bench) -> None:
    """The first step, before gradients differ."""
    one, two = bench(Mmpareto(gamma=1.0)), bench(Mmpareto(gamma=1.5))
    start = one.weights()
    one.advance()
    two.advance()
    for name, before in start.items():
        factor = 1.5 if name.startswith("encoders") else 1.0
        torch.testing.assert_close(two.weights()[name] - before, factor * (one.weights()[name] - before), rtol=1e-3, atol=1e-6)


def test_members_are_edited_apart_and_the_heads_get_the_plain_sum(bench) -> None:
    """Member 0 in conflict as above, member 1 not."""
    case = bench("mmpareto", modalities="a")
    own = case.run.net.groups()["encoder/a"]
    flat = torch.cat([p.flatten(1) for p in own], 1)[:, :2]
    head = case.run.net.heads[0].bias
    slopes = torch.tensor([[1.0, 0.0], [1.0, 0.0]]), torch.tensor([[-1.0, 2.0], [1.0, 2.0]])
    losses = {name: (flat * slope).sum(-1) + head.sum((1, 2)) for name, slope in zip(("fused", "a"), slopes, strict=True)}
    case.run.strategy.backward(case.state, losses, {})
    found = torch.cat([p.grad.flatten(1) for p in own], 1)[:, :2]
    torch.testing.assert_close(found, torch.tensor([[2**0.5, 2**0.5], [2.0, 2.0]]))
    assert torch.equal(head.grad, torch.full_like(head, 2.0))
    assert case.state.signals["share:a"] == pytest.approx((0.75 + 0.5) / 2)
    assert set(case.state.scales.values()) == {1.5}


def test_switched_off_it_is_uniform_bit_for_bit(same_training) -> None:
    same_training(Mmpareto(gamma=1, strength=0), "uniform")


def test_it_is_neither_joint_nor_uniform(moves) -> None:
    moves(Mmpareto(), "joint")
    moves(Mmpareto(), "uniform")


@pytest.mark.parametrize(
    ("arguments", "error", "told"),
    [
        ({"gamma": 0}, ValueError, r"`gamma`: expected a number above 0; found 0\. Pass"),
        ({"gamma": None}, TypeError, r"`gamma`: expected a number above 0; found None\. Pass"),
        ({"strength": 2}, ValueError, r"`strength`: expected a number of at least 0 and at most 1; found 2\. Pass"),
    ],
)
def test_arguments_out_of_range(arguments: dict, error: type[Exception], told: str) -> None:
    with pytest.raises(error, match=told):
        Mmpareto(**arguments)
