import pytest
import torch

from omicsbal.balance import Pcgrad
from omicsbal.balance.pcgrad import projected

MUTATIONS = [
    ("return g - strength", "return g + strength"),
    ("(other * other).sum(-1, keepdim=True)", "(g * g).sum(-1, keepdim=True)"),
    ("keepdim=True) < 0", "keepdim=True) > 0"),
    ("+ projected(own, fused, self.strength)", "+ own"),
]


def test_projection_by_hand() -> None:
    """(1, 0) against (-1, 1): along = -1/2 of it, so (1, 0) + (-1, 1) / 2 = (1/2, 1/2); the other becomes (0, 1)."""
    a, b = torch.tensor([[1.0, 0.0]]), torch.tensor([[-1.0, 1.0]])
    torch.testing.assert_close(projected(a, b, 1.0), torch.tensor([[0.5, 0.5]]))
    torch.testing.assert_close(projected(b, a, 1.0), torch.tensor([[0.0, 1.0]]))
    torch.testing.assert_close(projected(a, b, 0.5), torch.tensor([[0.75, 0.25]]))
    assert torch.equal(projected(a, torch.zeros(1, 2), 1.0), a)


def pull(bench, first: torch.Tensor, second: torch.Tensor, strength: float = 1.0):
    """Gradients of the first encoder when the fused and the own loss are linear in it, with these slopes (2 members, P)."""
    case = bench(Pcgrad(strength=strength), modalities="a")
    own = [p for group in ("encoder/a", "route/a") for p in case.run.net.groups()[group]]
    flat = torch.cat([p.flatten(1) for p in own], 1)
    losses = {"fused": (flat[:, : first.shape[1]] * first).sum(-1), "a": (flat[:, : first.shape[1]] * second).sum(-1)}
    case.run.strategy.backward(case.state, losses, {})
    return torch.cat([p.grad.flatten(1) for p in own], 1)[:, : first.shape[1]], case


def test_only_members_in_conflict_are_changed(bench) -> None:
    """Member 0: (1, 0) and (-1, 1) give (1/2, 3/2). Member 1: (1, 0) and (1, 1) add up."""
    found, case = pull(bench, torch.tensor([[1.0, 0.0], [1.0, 0.0]]), torch.tensor([[-1.0, 1.0], [1.0, 1.0]]))
    torch.testing.assert_close(found, torch.tensor([[0.5, 1.5], [2.0, 1.0]]))
    assert case.state.signals["cosine:a"] == pytest.approx(0, abs=1e-6), "-1/sqrt 2 and 1/sqrt 2"


def test_no_conflict_is_left_in_what_comes_out(bench) -> None:
    first, second = (torch.randn(2, 8, generator=torch.Generator().manual_seed(s)) for s in (1, 2))
    second = second - 2 * (second * first).sum(-1, keepdim=True).clamp(min=0) / (first * first).sum(-1, keepdim=True) * first
    found, _ = pull(bench, first, second)
    assert ((found * first).sum(-1) >= 0).all() and ((found * second).sum(-1) >= 0).all()


def test_heads_get_the_plain_sum(bench) -> None:
    gradients = []
    for name in ("pcgrad", "uniform"):
        case = bench(name)
        case.advance()
        gradients.append([p.grad for g in ("head/a", "head/b", "fused") for p in case.run.net.groups()[g]])
    assert all(torch.equal(a, b) for a, b in zip(*gradients, strict=True))


def test_strength_zero_is_uniform_bit_for_bit(same_training) -> None:
    same_training(Pcgrad(strength=0), "uniform")


def test_without_conflict_it_is_uniform_bit_for_bit(bench) -> None:
    one, two = bench("pcgrad", modalities="a"), bench("uniform", modalities="a")
    for case in (one, two):
        with torch.no_grad():  # the heads alike: the embedding is pulled one way
            case.run.net.heads[0].weight.copy_(case.run.net.fusion.project[0].weight @ case.run.net.joint_head.linear.weight)
        case.advance()
    assert one.state.signals["cosine:a"] > 0.5
    assert all(torch.equal(a, b) for a, b in zip(one.weights().values(), two.weights().values(), strict=True))


def test_it_is_not_joint(moves) -> None:
    moves(Pcgrad(), "joint")


def test_it_is_not_uniform_where_pulls_conflict(bench) -> None:
    signs = []
    one, two = bench("pcgrad", n=8), bench("uniform", n=8)
    for _ in range(20):
        one.advance()
        two.advance()
        signs.append(min(one.state.signals[f"cosine:{m}"] for m in "abc"))
    assert min(signs) < 0, "the toy has conflicts"
    assert any(not torch.equal(a, b) for a, b in zip(one.weights().values(), two.weights().values(), strict=True))


@pytest.mark.parametrize(("strength", "error"), [(-0.1, ValueError), (1.1, ValueError), ("1", TypeError)])
def test_a_strength_out_of_range(strength: object, error: type[Exception]) -> None:
    with pytest.raises(error, match=r"`strength`: expected a number of at least 0 and at most 1; found .*\. Pass"):
        Pcgrad(strength=strength)  # type: ignore[arg-type]
