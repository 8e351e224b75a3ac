import math

import pytest
import torch

from omicsbal.objectives.tasks import Classification, Regression


def test_cross_entropy_by_hand() -> None:
    pred = torch.tensor([[[math.log(1.0), math.log(3.0)], [0.0, 0.0]]])  # probabilities (1/4, 3/4) and (1/2, 1/2)
    loss = Classification(n_out=2).loss(pred, torch.tensor([0, 1]))
    torch.testing.assert_close(loss, torch.tensor([[math.log(4), math.log(2)]]))
    torch.testing.assert_close(Classification(2).score(pred, torch.tensor([0, 1])), torch.tensor([[0.25, 0.5]]))


def test_every_member_is_held_to_the_same_labels() -> None:
    task, y = Classification(n_out=3), torch.tensor([2, 0])
    pred = torch.randn(4, 2, 3, generator=torch.Generator().manual_seed(0))
    for k in range(4):
        torch.testing.assert_close(task.loss(pred, y)[k], torch.nn.functional.cross_entropy(pred[k], y, reduction="none"))


def test_distance_is_zero_for_equal_beliefs_and_the_divergence_otherwise() -> None:
    task = Classification(n_out=2)
    logits = torch.tensor([[[0.3, -1.0]]])
    assert task.distance(logits, logits + 5).item() == pytest.approx(0, abs=1e-6), "a shift of all logits is no belief"
    teacher, pred = torch.tensor([[[math.log(3.0), 0.0]]]), torch.zeros(1, 1, 2)
    assert task.distance(pred, teacher).item() == pytest.approx(0.75 * math.log(1.5) + 0.25 * math.log(0.5))


@pytest.mark.parametrize("temperature", [1.0, 4.0, 20.0])
def test_squared_temperature_keeps_the_gradients_size(temperature: float) -> None:
    """d/dz of T^2 KL is T (softmax(z/T) - softmax(t/T)), which tends to (z - t)/c for centred logits, whatever T."""
    teacher, z = torch.tensor([[[0.3, -0.3]]]), torch.tensor([[[-0.2, 0.2]]], requires_grad=True)
    Classification(2).distance(z, teacher, temperature).sum().backward()
    exact = temperature * ((z / temperature).softmax(-1) - (teacher / temperature).softmax(-1))
    torch.testing.assert_close(z.grad, exact.detach())
    if temperature > 10:
        torch.testing.assert_close(z.grad, (z.detach() - teacher) / 2, rtol=1e-3, atol=0)


def test_regression_by_hand() -> None:
    task, pred, y = Regression(), torch.tensor([[[1.0], [0.0]]]), torch.tensor([3.0, 0.0])
    torch.testing.assert_close(task.loss(pred, y), torch.tensor([[4.0, 0.0]]))
    torch.testing.assert_close(task.score(pred, y), torch.tensor([[math.exp(-4), 1.0]]))
    torch.testing.assert_close(task.distance(pred, torch.tensor([[[2.0], [2.0]]]), 3.0), torch.tensor([[1.0, 4.0]]))
    assert task.n_out == 1


def test_distance_takes_one_teacher_for_all_members() -> None:
    pred, teacher = torch.zeros(3, 2, 1), torch.ones(1, 2, 1)
    torch.testing.assert_close(Regression().distance(pred, teacher), torch.ones(3, 2))
