import pytest
import torch

from omicsbal._types import Outputs
from omicsbal.balance import Ume

MUTATIONS = [
    ("{FUSED: 0.0}", "{FUSED: 1.0}"),
    ("s.softmax(-1)", "s"),
    ("mean.clamp(min=torch.finfo(mean.dtype).tiny).log()", "mean"),
    ("mean_over_present(outputs.unimodal, present)", "sum(outputs.unimodal.values())"),
]


def fused(unimodal: dict[str, torch.Tensor], present: dict[str, torch.Tensor]) -> torch.Tensor:
    first = next(iter(unimodal.values()))
    return Ume().fuse(Outputs({}, first, torch.zeros_like(first), unimodal), present)


def test_the_mean_probability_by_hand() -> None:
    a = torch.tensor([[[0.9, 0.1], [0.3, 0.7], [0.6, 0.4]]]).log() + 3  # a shift of the logits says nothing
    b = torch.tensor([[[0.5, 0.5], [0.8, 0.2], [0.2, 0.8]]]).log()
    present = {"a": torch.tensor([True, True, False]), "b": torch.tensor([True, False, False])}
    found = fused({"a": a, "b": b}, present)
    torch.testing.assert_close(found[0, :2].exp(), torch.tensor([[0.7, 0.3], [0.3, 0.7]]))
    torch.testing.assert_close(found[0, 2].softmax(-1), torch.tensor([0.5, 0.5]))  # a row that has nothing


def test_certain_heads_stay_finite() -> None:
    one = torch.tensor([[[500.0, -500.0]]])
    assert torch.isfinite(fused({"a": one}, {"a": torch.tensor([True])})).all()


def test_numbers_are_averaged() -> None:
    a, b = torch.tensor([[[1.0], [1.0]]]), torch.tensor([[[4.0], [4.0]]])
    found = fused({"a": a, "b": b}, {"a": torch.tensor([True, True]), "b": torch.tensor([True, False])})
    assert found.flatten().tolist() == [2.5, 1.0]


def test_the_modalities_never_meet(same_training, moves) -> None:
    same_training(Ume(), "unimodal", fused=False)
    same_training(Ume(), "unimodal", fused=False, classes=0)
    moves(Ume(), "joint")
    moves(Ume(), "late")


def test_the_fused_loss_is_told_and_moves_nothing(bench) -> None:
    case = bench(Ume())
    before = case.parameters("fused")
    assert "fused" in case.advance()
    assert all(torch.equal(p, q) for p, q in zip(before, case.parameters("fused"), strict=True))


def test_it_has_no_settings() -> None:
    assert Ume().settings() == {}
    with pytest.raises(TypeError, match="weight"):
        Ume(weight=1)  # type: ignore[call-arg]
