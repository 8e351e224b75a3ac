from dataclasses import replace
from math import exp, log

import pytest
import torch

from omicsbal.balance import Uncertainty
from omicsbal.balance.uncertainty import LIMIT
from omicsbal.config import FitConfig

MUTATIONS = [
    ("torch.exp(-self.rate * self.noise)", "torch.exp(self.rate * self.noise)"),
    ("s[head] / 2 * (there > 0)", "s[head] / 2"),
    ("s[head] / 2 *", "s[head] *"),
    ("0.5 if batch.y.is_floating_point() else 1.0", "1.0"),
    ("self.noise.clamp_(-LIMIT / self.rate, LIMIT / self.rate)", "pass"),
]


def set_noise(case, value: float) -> None:
    with torch.no_grad():
        case.run.strategy.noise.fill_(value)


@pytest.mark.parametrize(("classes", "factor"), [(3, 1.0), (0, 0.5)])
def test_weight_and_penalty_by_hand(bench, classes: int, factor: float) -> None:
    """s = ln 4: the loss counts a quarter (an eighth for numbers), and s / 2 = ln 2 is added."""
    case = bench(Uncertainty(rate=1), classes=classes)
    set_noise(case, log(4))
    losses = case.advance()
    assert losses["spread:fused"].tolist() == pytest.approx([log(2)] * 2)
    assert [case.state.signals[f"weight:{h}"] for h in case.terms] == pytest.approx([factor / 4] * 4)
    # d/ds = 1/2 - weight * loss, which the optimiser was given
    slope = torch.stack([0.5 - factor / 4 * losses[h] for h in case.terms], -1)
    torch.testing.assert_close(case.run.strategy.noise.grad, slope)


@pytest.mark.parametrize(("classes", "factor"), [(3, 2.0), (0, 1.0)])
def test_the_noise_comes_to_rest_where_the_weight_is_inverse_to_the_loss(bench, classes: int, factor: float) -> None:
    case = bench(Uncertainty(rate=1), classes=classes)
    for group in case.run.optimizer.param_groups[:-1]:
        group["lr"] = 0.0  # of the net, so that the losses stand still
    case.run.optimizer.param_groups[-1]["lr"] = 0.03
    losses = case.advance(400)
    held = torch.stack([losses[h] for h in case.terms], -1)
    torch.testing.assert_close(case.run.strategy.noise.exp(), factor * held, rtol=0.03, atol=0.01)


def test_a_high_loss_loses_weight(bench) -> None:
    case = bench("uncertainty", modalities="ab")
    losses = case.advance(60)
    weight = torch.exp(-case.run.strategy.noise.detach())
    order = torch.stack([losses[h] for h in case.terms], -1)
    assert torch.equal(weight.argmin(-1), order.argmax(-1))


def test_rate_is_the_speed_of_the_noise_under_adam(bench) -> None:
    for rate in (1, 5):
        case = bench(Uncertainty(rate=rate))
        assert (case.advance()["fused"] > 0.5).all(), "so s grows, by rate times the learning rate of 0.01"
        case.advance()
        assert case.state.signals["weight:fused"] == pytest.approx(exp(-rate * 0.01), rel=1e-4)


def test_how_far_a_fit_with_the_defaults_gets() -> None:
    config = FitConfig()
    reach = config.max_steps * config.learning_rate / 2  # the mean of a cosine schedule is half its peak
    assert reach == pytest.approx(0.45) and exp(-reach) > 0.6
    assert Uncertainty().rate * reach == pytest.approx(2.25) and LIMIT > 2.25 and exp(-2.25) < 0.11


@pytest.mark.parametrize("rate", [0.5, 2.0])
def test_bounds(bench, rate: float) -> None:
    case = bench(Uncertainty(rate=rate))
    set_noise(case, -100.0)
    case.advance()
    assert case.state.signals["weight:a"] == pytest.approx(exp(5), rel=1e-4)


def test_a_head_without_rows_is_not_punished(bench) -> None:
    case = bench(Uncertainty(rate=1))
    set_noise(case, 1.0)
    gone = torch.zeros_like(case.batch.present["b"])
    losses = case.advance(1, replace(case.batch, present={**case.batch.present, "b": gone}))
    assert losses["spread:b"].tolist() == [0, 0] and losses["spread:a"].tolist() == [0.5, 0.5]
    assert torch.equal(case.run.strategy.noise[:, 2], torch.ones(2)), "neither its loss nor its noise moves it"


@pytest.mark.parametrize("classes", [3, 0])
def test_rate_zero_is_uniform_bit_for_bit(same_training, classes: int) -> None:
    same_training(Uncertainty(rate=0), "uniform", classes=classes)


def test_it_is_neither_joint_nor_uniform(moves) -> None:
    moves(Uncertainty(), "joint")
    moves(Uncertainty(), "uniform")


def test_training_alone_needs_the_noise(bench) -> None:
    case = bench("uncertainty")
    case.run.strategy.finish()
    assert not case.run.strategy.state_dict()


@pytest.mark.parametrize(("rate", "error"), [(-1, ValueError), ("1", TypeError), (float("nan"), ValueError)])
def test_a_rate_out_of_range(rate: object, error: type[Exception]) -> None:
    with pytest.raises(error, match=r"`rate`: expected a number of at least 0; found .*\. Pass"):
        Uncertainty(rate=rate)  # type: ignore[arg-type]
