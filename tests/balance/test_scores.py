"""Scores, ratios, coalitions, entropy weights, gradients: what the strategies are made of."""

import math
from dataclasses import replace
from math import log

import pytest
import torch

from omicsbal._types import Outputs
from omicsbal.balance._coalitions import coalitions, fused_of, shapley
from omicsbal.balance._entropy import entropy_fused, entropy_weights
from omicsbal.balance._grads import cosine, encoder_parameters, gradient, set_gradient
from omicsbal.balance._scores import confidence, masked, note, ratios
from omicsbal.balance._updates import freeze, scale_update

NAN = torch.nan


def test_a_masked_mean_by_hand() -> None:
    values, weight = torch.tensor([[1.0, 2.0, 3.0]]), torch.tensor([1.0, 3.0, 5.0])
    assert masked(values, torch.tensor([[1.0, 1.0, 0.0]]), weight).item() == pytest.approx((1 + 6) / 4)
    assert masked(values, torch.zeros(1, 3), weight).isnan().all()


def test_confidence_is_the_probability_of_the_truth_where_there_is_one(bench) -> None:
    case = bench("uniform", modalities="ab")
    batch = case.batch
    said = {m: torch.zeros(2, 12, 3) for m in "ab"}
    said["a"][..., 0] = log(2.0)  # probabilities 1/2, 1/4, 1/4
    outputs = Outputs({}, torch.zeros(0), torch.zeros(0), said)
    found = confidence(case.state, outputs, batch)
    zero = (batch.y == 0).float()
    share = (batch.scored * zero).sum(1) / batch.scored.sum(1)
    torch.testing.assert_close(found[:, 0], 0.25 + 0.25 * share)
    torch.testing.assert_close(found[:, 1], torch.full((2,), 1 / 3))
    gone = replace(batch, present={**batch.present, "b": torch.zeros(12, dtype=torch.bool)})
    assert confidence(case.state, outputs, gone)[:, 1].isnan().all()


@pytest.mark.parametrize(
    ("scores", "expected"),
    [
        ([0.6, 0.3], [2.0, 0.5]),
        ([0.6, 0.3, 0.3], [2.0, 0.3 / 0.45, 0.3 / 0.45]),
        ([0.6, NAN, 0.3], [2.0, 1.0, 0.5]),
        ([0.6, NAN], [1.0, 1.0]),
        ([0.6], [1.0]),
    ],
)
def test_ratio_to_the_mean_of_the_others(scores, expected) -> None:
    torch.testing.assert_close(ratios(torch.tensor(scores)), torch.tensor(expected))


def test_notes_are_means_over_members(bench) -> None:
    case = bench("uniform", modalities="ab")
    note(case.state, "kappa", torch.tensor([[1.0, 0.0], [0.5, 0.5]]))
    assert case.state.signals == {"kappa:a": 0.75, "kappa:b": 0.25}
    note(case.state, "kappa", torch.tensor([[1.0, NAN], [NAN, NAN], [0.5, NAN]]))
    assert case.state.signals["kappa:a"] == 0.75 and math.isnan(case.state.signals["kappa:b"]), "the last batch, whoever has rows"


def test_shapley_by_hand_and_efficiency() -> None:
    worth = {"": 0.0, "a": 4.0, "b": 1.0, "ab": 7.0}
    values = {s: torch.tensor(worth["".join(sorted(s))]) for s in coalitions("ab")}
    found = shapley(values, "ab")
    assert found["a"].item() == pytest.approx((4 + 6) / 2) and found["b"].item() == pytest.approx((1 + 3) / 2)
    draw = torch.Generator().manual_seed(0)
    values = {s: torch.rand(5, generator=draw) for s in coalitions("abcd")}
    total = values[frozenset("abcd")] - values[frozenset()]
    torch.testing.assert_close(sum(shapley(values, "abcd").values()), total)


def test_what_is_hidden_does_not_matter(bench) -> None:
    case = bench("uniform", dropout=0.5)
    net, batch = case.run.net, case.batch
    z = net.encode(batch.x, batch.present)
    state = case.run.generator.get_state()
    shown = fused_of(net, z, batch.present, {"a", "b"})
    assert torch.equal(shown, fused_of(net, {**z, "c": z["c"] + 1}, batch.present, {"a", "b"}))
    assert not torch.equal(shown, fused_of(net, {**z, "b": z["b"] + 1}, batch.present, {"a", "b"}))
    assert torch.equal(state, case.run.generator.get_state()), "draws nothing"
    assert net.joint_head.training
    everything = fused_of(net.eval(), z, batch.present, "abc")
    assert torch.equal(everything, net.decode(z, batch.present).fused)


def test_the_surer_modality_speaks_louder() -> None:
    """Probabilities (1/2, 1/2) and (1, 0): entropies ln 2 and 0, weights 1/3 and 2/3."""
    said = {"a": torch.zeros(1, 1, 2), "b": torch.tensor([[[60.0, 0.0]]])}
    here = {m: torch.ones(1, dtype=torch.bool) for m in said}
    torch.testing.assert_close(entropy_weights(said, here).flatten(), torch.tensor([1 / 3, 2 / 3]))
    torch.testing.assert_close(entropy_fused(said, here), torch.tensor([[[40.0, 0.0]]]))
    alone = entropy_weights(said, {**here, "b": torch.zeros(1, dtype=torch.bool)})
    assert alone.flatten().tolist() == [1.0, 0.0]
    numbers = {m: torch.full((1, 1, 1), v) for m, v in {"a": 1.0, "b": 3.0}.items()}
    assert entropy_fused(numbers, here).item() == 2.0


def test_a_row_with_nothing_has_no_weight_and_sends_no_nan_back() -> None:
    said = {m: torch.randn(1, 2, 3, requires_grad=True) for m in "ab"}
    here = {m: torch.tensor([True, False]) for m in "ab"}
    weights = entropy_weights(said, here)
    assert not weights[:, 0, 1].any()
    entropy_fused(said, here).sum().backward()
    assert all(torch.isfinite(s.grad).all() for s in said.values())


def test_gradients_of_members_stay_apart_and_find_their_way_back(bench) -> None:
    case = bench("uniform")
    net, batch = case.run.net, case.batch
    losses = {m: case.terms[m](net(batch.x, batch.present), batch)[0] for m in "ab"}
    parameters = encoder_parameters(net, "a")
    own, other = gradient(losses["a"], parameters), gradient(losses["b"], parameters)
    assert own.shape == (2, sum(p[0].numel() for p in parameters)) and own.any() and not other.any()
    one = gradient(losses["a"] * torch.tensor([1.0, 0.0]), parameters)
    torch.testing.assert_close(one[0], own[0])
    assert not one[1].any()
    losses["a"].sum().backward()
    expected = [p.grad.clone() for p in parameters]
    set_gradient(parameters, own)
    for p, e in zip(parameters, expected, strict=True):
        torch.testing.assert_close(p.grad, e)


def test_cosine() -> None:
    a = torch.tensor([[1.0, 0.0], [1.0, 1.0], [0.0, 0.0]])
    b = torch.tensor([[0.0, 2.0], [2.0, 2.0], [1.0, 1.0]])
    torch.testing.assert_close(cosine(a, b), torch.tensor([0.0, 1.0, 0.0]))


def test_scales_multiply_and_a_freeze_wins(bench) -> None:
    state = bench("uniform").state
    scale_update(state, "a", 0.5)
    scale_update(state, "a", 0.5)
    scale_update(state, "b", 2.0)
    freeze(state, "b")
    assert state.scales == {"encoder/a": 0.25, "route/a": 0.25, "encoder/b": 0.0, "route/b": 0.0}
