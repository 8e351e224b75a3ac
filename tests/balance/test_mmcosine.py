import pytest
import torch

from omicsbal._types import Outputs
from omicsbal.balance import Mmcosine

MUTATIONS = [
    ("dim=2, eps=TINY", "dim=3, eps=TINY"),
    ("functional.normalize(z, dim=-1, eps=TINY) @ w", "z @ w"),
    ("min(len(cosines), 2)", "len(cosines)"),
    ("mean_over_present(cosines, present)", "torch.stack(list(cosines.values())).mean(0)"),
    ("probes = True", "probes = False"),
]


def fused(vectors: torch.Tensor, z: dict[str, torch.Tensor], present: dict[str, list[bool]], scale: float = 10.0) -> torch.Tensor:
    strategy = Mmcosine(scale=scale)
    strategy.register_buffer("vectors", vectors)  # as a saved model has it, without setup
    outputs = Outputs(z, torch.empty(0), torch.empty(0), {})
    return strategy.fuse(outputs, {m: torch.tensor(p) for m, p in present.items()})


def test_by_hand() -> None:
    """a: cosines 1 and 0; b: cosines 3/5 and 4/5. Both: 10 (8/5, 4/5); a alone: 20 (1, 0); neither: 0."""
    vectors = torch.tensor([[[[2.0, 0.0], [0.0, 1.0]], [[1.0, 0.0], [0.0, 9.0]]]])  # (1, 2, 2, 2)
    z = {"a": torch.tensor([[[5.0, 0.0]] * 3]), "b": torch.tensor([[[3.0, 4.0], [0.0, 0.0], [0.0, 0.0]]])}
    found = fused(vectors, z, {"a": [True, True, False], "b": [True, False, False]})
    torch.testing.assert_close(found, torch.tensor([[[16.0, 8.0], [20.0, 0.0], [0.0, 0.0]]]))


@pytest.mark.parametrize(("names", "largest"), [("a", 10.0), ("ab", 20.0), ("abcd", 20.0)])
def test_the_range_of_the_logits_is_that_of_two_modalities(names: str, largest: float) -> None:
    vectors, z = torch.ones(1, len(names), 3, 2), {m: torch.ones(1, 1, 3) for m in names}
    assert fused(vectors, z, {m: [True] for m in names}).max().item() == pytest.approx(largest)


def test_neither_length_matters(bench) -> None:
    case = bench("mmcosine")
    z = case.run.net(case.batch.x, case.batch.present).z
    vectors, present = case.run.strategy.vectors.detach(), {m: p.tolist() for m, p in case.batch.present.items()}
    plain = fused(vectors, z, present)
    loud = fused(
        vectors * torch.tensor([100.0, 1.0, 0.01]).view(3, 1, 1), {m: v * (ord(m) - 96) ** 4 for m, v in z.items()}, present
    )
    torch.testing.assert_close(loud, plain, rtol=1e-4, atol=1e-4)


def test_class_vectors_start_as_the_heads_and_are_trained_apart_from_them(bench) -> None:
    case = bench("mmcosine")
    strategy, head = case.run.strategy, case.run.net.heads[1].weight
    assert torch.equal(strategy.vectors[:, 1], head) and strategy.vectors.data_ptr() != head.data_ptr()
    before = strategy.vectors.detach().clone()
    case.advance()
    assert (strategy.vectors != before).flatten(1).any(1).all() and not torch.equal(strategy.vectors[:, 1], head)


def test_unimodal_heads_change_no_encoder(bench) -> None:
    one, two = bench("mmcosine"), bench("mmcosine")
    two.terms = {name: (lambda o, b, t=term: (5 * t(o, b)[0], t(o, b)[1])) if name != "fused" else term
                 for name, term in two.terms.items()}  # fmt: skip
    one.advance(3)
    two.advance(3)
    for m in "abc":
        assert all(torch.equal(a, b) for a, b in zip(one.parameters(f"encoder/{m}"), two.parameters(f"encoder/{m}"), strict=True))


def test_it_is_neither_joint_nor_late(moves) -> None:
    moves(Mmcosine(), "joint")
    moves(Mmcosine(), "late")
    moves(Mmcosine(scale=2), Mmcosine(scale=10))


def test_numbers_are_refused() -> None:
    with pytest.raises(ValueError, match=r"`strategy`: expected one that supports regression; found Mmcosine"):
        Mmcosine().check_task("regression")


@pytest.mark.parametrize(("scale", "error"), [(0, ValueError), (-1, ValueError), ("1", TypeError)])
def test_a_scale_out_of_range(scale: object, error: type[Exception]) -> None:
    with pytest.raises(error, match=r"`scale`: expected a number above 0; found .*\. Pass"):
        Mmcosine(scale=scale)  # type: ignore[arg-type]
