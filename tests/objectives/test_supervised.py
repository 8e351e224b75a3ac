import torch

from omicsbal._types import Batch, Outputs
from omicsbal.objectives.supervised import masked_mean, supervised_terms
from omicsbal.objectives.tasks import Regression


def batch() -> Batch:
    """Three rows; the second lacks "a"; member 0 learns from rows 0 and 1, member 1 from all, member 2 from row 1."""
    return Batch(
        x={},
        present={"a": torch.tensor([True, False, True])},
        y=torch.tensor([0.0, 0.0, 0.0]),
        index=torch.arange(3),
        scored=torch.tensor([[1.0, 1, 0], [1, 1, 1], [0, 1, 0]]),
        weight=torch.tensor([2.0, 1.0, 0.5]),
    )


def outputs() -> Outputs:
    """Predictions 1, 2, 3 of the fused head and 4, 5, 6 of the head "a", for each of three members; labels are 0."""
    fused = torch.tensor([1.0, 2, 3]).view(1, 3, 1).expand(3, 3, 1)
    return Outputs(z={}, joint=torch.empty(0), fused=fused, unimodal={"a": fused + 3})


def test_masked_mean_by_hand() -> None:
    mean, count = masked_mean(torch.tensor([[1.0, 4, 9]]), torch.tensor([[1.0, 0, 1]]), torch.tensor([2.0, 1, 0.5]))
    torch.testing.assert_close(mean, torch.tensor([(2 * 1 + 0.5 * 9) / 2.5]))
    assert count.tolist() == [2]


def test_the_fused_term_counts_scored_rows() -> None:
    loss, count = supervised_terms(["fused"], Regression())["fused"](outputs(), batch())
    torch.testing.assert_close(loss, torch.tensor([(2 * 1 + 4) / 3, (2 * 1 + 4 + 0.5 * 9) / 3.5, 4.0]))
    assert count.tolist() == [2, 3, 1]


def test_a_unimodal_term_counts_scored_rows_that_have_the_modality() -> None:
    loss, count = supervised_terms(["a"], Regression())["a"](outputs(), batch())
    torch.testing.assert_close(loss, torch.tensor([16.0, (2 * 16 + 0.5 * 36) / 2.5, 0.0]))  # member 2 has no such row
    assert count.tolist() == [1, 2, 0]


def test_no_row_means_no_loss_and_no_gradient() -> None:
    values = torch.ones(1, 3, requires_grad=True)
    mean, count = masked_mean(values, torch.zeros(1, 3), torch.ones(3))
    mean.sum().backward()
    assert mean.item() == 0 and count.item() == 0
    assert not values.grad.any()


def test_one_term_a_head_each_of_its_own() -> None:
    terms = supervised_terms(["fused", "a"], Regression())
    assert list(terms) == ["fused", "a"]
    values = [terms[h](outputs(), batch())[0][1].item() for h in terms]
    assert values[0] != values[1]
