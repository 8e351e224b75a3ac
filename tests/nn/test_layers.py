import math

import pytest
import torch
from torch.nn import functional

from omicsbal.nn.layers import Dropout, MemberLinear, MemberNorm


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def linear(members: int = 3, d_in: int = 5, d_out: int = 2) -> MemberLinear:
    layer = MemberLinear(members, d_in, d_out, seeded())
    torch.nn.init.normal_(layer.bias, generator=seeded(1))
    return layer


def test_linear_is_one_affine_map_a_member() -> None:
    layer, x = linear(), torch.randn(7, 5, generator=seeded(2))
    for k, out in enumerate(layer(x)):
        torch.testing.assert_close(out, functional.linear(x, layer.weight[k].T, layer.bias[k, 0]))


def test_shared_rows_and_rows_per_member_take_two_routes_to_one_result() -> None:
    layer, x = linear(), torch.randn(7, 5, generator=seeded(2))
    results = []
    for rows in (x, x.expand(3, 7, 5)):
        layer.zero_grad()
        out = layer(rows)
        (out**2).sum().backward()
        results.append((out.detach(), layer.weight.grad.clone(), layer.bias.grad.clone()))
    for shared, own in zip(*results, strict=True):
        torch.testing.assert_close(shared, own)


def test_linear_starts_as_torch_does_and_at_zero_when_asked() -> None:
    bound = 1 / math.sqrt(100)
    weight = MemberLinear(4, 100, 50, seeded()).weight
    assert weight.abs().max() <= bound
    assert weight.std().item() == pytest.approx(bound / math.sqrt(3), rel=0.02)  # a uniform variable's
    assert not torch.equal(weight[0], weight[1]), "members must begin apart, or their average is worth one"
    assert not MemberLinear(4, 100, 50, seeded(), zero=True).weight.any()


def test_norm_is_layer_norm_with_an_affine_map_a_member() -> None:
    norm, x = MemberNorm(2, 4), torch.randn(2, 3, 4, generator=seeded(2))
    torch.nn.init.normal_(norm.gain, generator=seeded(3))
    torch.nn.init.normal_(norm.shift, generator=seeded(4))
    for k in range(2):
        expected = functional.layer_norm(x[k], (4,), norm.gain[k, 0], norm.shift[k, 0])
        torch.testing.assert_close(norm(x)[k], expected)


def test_dropout_keeps_the_share_and_the_mean() -> None:
    layer, x = Dropout(0.3, seeded()), torch.ones(4, 200, 50)
    out = layer(x)
    kept = out != 0
    assert kept.float().mean().item() == pytest.approx(0.7, abs=0.01)  # 40,000 draws: sd 0.0023
    torch.testing.assert_close(out[kept], torch.full_like(out[kept], 1 / 0.7))
    agree = (kept[0] == kept[1]).float().mean().item()
    assert agree == pytest.approx(0.7**2 + 0.3**2, abs=0.03), "members draw apart"


def test_dropout_draws_from_its_own_generator_alone() -> None:
    before, x = torch.random.get_rng_state(), torch.ones(1, 5, 5)
    first, second = Dropout(0.5, seeded(7))(x), Dropout(0.5, seeded(7))(x)
    assert torch.equal(first, second)
    assert torch.equal(before, torch.random.get_rng_state())


def test_dropout_does_nothing_at_rate_zero_and_at_prediction() -> None:
    x = torch.randn(1, 5, 5)
    assert Dropout(0.0, seeded())(x) is x
    assert Dropout(0.5, seeded()).eval()(x) is x
