"""Distances between embeddings, by hand and by what they must not see."""

import pytest
import torch

from omicsbal.objectives.distill import feature_distance, relation_distance


def draws(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def turn(k: int, seed: int = 1) -> torch.Tensor:
    return torch.linalg.qr(draws(k, k, seed=seed))[0]


def test_feature_distance_by_hand() -> None:
    """Unit vectors at 0, 90 and 180 degrees are 0, 2 and 4 apart, however long the embeddings are."""
    z = torch.tensor([[[3.0, 0.0], [0.5, 0.0], [2.0, 0.0]]])
    teacher = torch.tensor([[[7.0, 0.0], [0.0, 0.1], [-1.0, 0.0]]])
    torch.testing.assert_close(feature_distance(z, teacher), torch.tensor([[0.0, 2.0, 4.0]]))


def test_feature_distance_of_zero_embeddings_is_finite_and_has_a_gradient() -> None:
    z = torch.zeros(1, 2, 3, requires_grad=True)
    found = feature_distance(z, draws(1, 2, 3))
    found.sum().backward()
    assert found.tolist() == [pytest.approx([1.0, 1.0])] and torch.isfinite(z.grad).all()


def test_relation_by_hand() -> None:
    """Points on a line at 0, 1, 3 against 0, 1, 2.

    Distances 1, 3, 2 in units of their mean are 1/2, 3/2, 1; distances 1, 2, 1 are 3/4, 3/2, 3/4. Differences 1/4, 0, 1/4: the
    Huber loss is half their square, on average (1/32 + 0 + 1/32) / 3.
    """
    z, teacher = torch.tensor([[[0.0], [1.0], [3.0]]]), torch.tensor([[[0.0], [1.0], [2.0]]])
    loss, count = relation_distance(z, teacher, torch.ones(1, 3))
    assert loss.tolist() == pytest.approx([1 / 48]) and count.tolist() == [3]


def test_relation_is_zero_up_to_rotation_shift_and_scale() -> None:
    z = draws(2, 8, 4)
    mask = torch.ones(2, 8)
    for same in (z, z @ turn(4), z + 5, 3 * z, 0.1 * z @ turn(4) - 2):
        assert relation_distance(same, z, mask)[0].tolist() == pytest.approx([0, 0], abs=1e-10)
    assert (relation_distance(draws(2, 8, 4, seed=3), z, mask)[0] > 0.01).all()


def test_the_teacher_may_be_of_another_width() -> None:
    z = draws(1, 6, 3)
    wide = torch.cat([z, torch.zeros(1, 6, 2)], -1) @ turn(5)
    assert relation_distance(z, wide, torch.ones(1, 6))[0].item() == pytest.approx(0, abs=1e-10)


def test_rows_outside_the_mask_have_no_part() -> None:
    z, teacher, mask = draws(2, 6, 3), draws(2, 6, 3, seed=1), torch.ones(2, 6)
    mask[0, 4:] = 0
    spoilt = z.clone()
    spoilt[0, 4:] = 1e3
    before, after = (relation_distance(v, teacher, mask) for v in (z, spoilt))
    torch.testing.assert_close(before[0], after[0])
    assert before[1].tolist() == [4, 6]
    alone = relation_distance(z[:1, :4], teacher[:1, :4], torch.ones(1, 4))[0]
    torch.testing.assert_close(before[0][:1], alone)


def test_members_do_not_mix() -> None:
    z, teacher, mask = draws(3, 5, 2), draws(3, 5, 2, seed=1), torch.ones(3, 5)
    together = relation_distance(z, teacher, mask)[0]
    for k in range(3):
        torch.testing.assert_close(together[k : k + 1], relation_distance(z[k : k + 1], teacher[k : k + 1], mask[:1])[0])


@pytest.mark.parametrize("rows", [0, 1])
def test_no_pair_is_no_loss(rows: int) -> None:
    z, mask = draws(1, 3, 2).requires_grad_(), torch.zeros(1, 3)
    mask[0, :rows] = 1
    loss, count = relation_distance(z, draws(1, 3, 2, seed=1), mask)
    loss.sum().backward()
    assert loss.tolist() == [0] and count.tolist() == [rows] and not z.grad.any()


def test_rows_that_coincide_give_finite_gradients() -> None:
    z = draws(1, 4, 2)
    z[0, 1] = z[0, 0]
    z.requires_grad_()
    loss, _ = relation_distance(z, draws(1, 4, 2, seed=1), torch.ones(1, 4))
    loss.sum().backward()
    assert torch.isfinite(loss).all() and torch.isfinite(z.grad).all() and z.grad.any()


def test_only_the_student_gets_a_gradient() -> None:
    z, teacher = draws(1, 4, 2).requires_grad_(), draws(1, 4, 2, seed=1).requires_grad_()
    relation_distance(z, teacher, torch.ones(1, 4))[0].sum().backward()
    assert z.grad.any() and teacher.grad is None


def test_the_gradient_is_that_of_finite_differences() -> None:
    z, teacher = draws(1, 5, 2).double().requires_grad_(), draws(1, 5, 2, seed=1).double()
    mask = torch.ones(1, 5, dtype=torch.float64)
    assert torch.autograd.gradcheck(lambda v: relation_distance(v, teacher, mask)[0], z)
    assert torch.autograd.gradcheck(lambda v: feature_distance(v, teacher), z)
