"""Scaled steps, frozen parts and forgotten moments, under plain gradient descent and under AdamW."""

import pytest
import torch
from torch import nn

from omicsbal.train.adamw import AdamW
from omicsbal.train.updates import forget, scaled_step

KINDS = {
    "sgd": lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.9),
    "adamw": lambda p: AdamW([{"params": p, "weight_decay": 0.5}], lr=0.1),
}


def run(kind: str, scale, steps: int = 4) -> tuple[torch.Tensor, torch.optim.Optimizer | AdamW, nn.Parameter]:
    p = nn.Parameter(torch.tensor([[1.0, 2.0], [3.0, 4.0]]))  # two members
    optimizer = KINDS[kind]([p])
    for step in range(steps):
        optimizer.zero_grad()
        (p**2 * (step + 1)).sum().backward()
        scaled_step(optimizer, {"part": [p]}, {} if scale is None else {"part": scale})
    return p.detach().clone(), optimizer, p


def test_by_hand_under_gradient_descent() -> None:
    """p = 1, gradient 2, rate .1: a full step ends at .8, half of one at .9."""
    p = nn.Parameter(torch.ones(1, 1))
    optimizer = torch.optim.SGD([p], lr=0.1)
    (p**2).sum().backward()
    scaled_step(optimizer, {"part": [p]}, {"part": 0.5})
    assert p.item() == pytest.approx(0.9)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("one", [1.0, 1, torch.ones(2)], ids=["number", "integer", "members"])
def test_a_scale_of_one_changes_no_bit(kind, one) -> None:
    assert torch.equal(run(kind, None)[0], run(kind, one)[0])


@pytest.mark.parametrize("kind", KINDS)
def test_half_a_first_step_is_half_as_long(kind) -> None:
    start = torch.tensor([[1.0, 2.0], [3.0, 4.0]])
    whole, half = run(kind, None, 1)[0] - start, run(kind, 0.5, 1)[0] - start
    torch.testing.assert_close(half, whole / 2)
    assert whole.abs().min() > 0.01, "Adam cancels a scaled gradient; it must not cancel this"


@pytest.mark.parametrize("kind", KINDS)
def test_each_member_has_its_own_factor(kind) -> None:
    plain, mixed = run(kind, None)[0], run(kind, torch.tensor([1.0, 0.0]))[0]
    assert torch.equal(mixed[0], plain[0])
    assert torch.equal(mixed[1], torch.tensor([3.0, 4.0]))


@pytest.mark.parametrize("kind", KINDS)
def test_a_plain_zero_is_a_freeze_moments_and_decay_included(kind) -> None:
    p, optimizer, parameter = run(kind, 0.0)
    assert torch.equal(p, torch.tensor([[1.0, 2.0], [3.0, 4.0]]))
    assert not optimizer.state.get(parameter), "no moment was made"


def test_forgetting_starts_the_moments_anew_and_empties_the_set() -> None:
    _, optimizer, parameter = run("adamw", None)
    names = {"part", "there is none"}
    forget(optimizer, {"part": [parameter], "other": []}, names)
    assert parameter not in optimizer.state and not names
    (parameter**2).sum().backward()
    optimizer.step()  # goes on as at the beginning
    assert optimizer.state[parameter]["step"] == 1
