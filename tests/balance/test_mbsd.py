from dataclasses import replace
from math import log

import pytest
import torch

from omicsbal._types import Batch, Outputs
from omicsbal.balance import Mbsd

MUTATIONS = [
    ("torch.where(lead > 0, state", "torch.where(lead < 0, state"),
    ("torch.where(right, lead.abs(), 0.0)", "lead.abs()"),
    ("distance = ((a - b) ** 2).mean(-1)", "distance = ((a - b) ** 2).sum(-1)"),
    ("batch.present[a] & batch.present[b]", "batch.present[a] | batch.present[b]"),
    ("batch.scored * (count > 0)", "batch.scored"),
    ("state.task.distance(b, a.detach())", "state.task.distance(b, a)"),
]


def term(
    case, unimodal: dict[str, torch.Tensor], y: torch.Tensor, present: dict[str, list[bool]], scored: torch.Tensor
) -> torch.Tensor:
    """The term of made-up outputs."""
    n = len(y)
    here = {m: torch.tensor(p) for m, p in present.items()}
    batch = Batch({}, here, y, torch.arange(n), scored, torch.ones(n))
    outputs = Outputs({}, torch.empty(0), torch.empty(0), unimodal)
    return case.run.strategy.terms(case.state, outputs, batch)["agreement"][0]


def logits(*chances: float) -> list[float]:
    return [log(p) for p in chances]


def test_by_hand(bench) -> None:
    """Truth 0; a gives 0.8, b 0.5: w = 0.3, RS = mean of (ln 1.6)^2 and (ln 0.4)^2, KL = 0.8 ln 1.6 + 0.2 ln 0.4."""
    case = bench("mbsd", modalities="ab", classes=2)
    a, b = torch.tensor([[logits(0.8, 0.2)]]), torch.tensor([[logits(0.5, 0.5)]])
    expected = 0.3 * ((log(1.6) ** 2 + log(0.4) ** 2) / 2 + 0.8 * log(1.6) + 0.2 * log(0.4))
    full = {"a": [True], "b": [True]}
    for first, second in ((a, b), (b, a)):
        found = term(case, {"a": first, "b": second}, torch.tensor([0]), full, torch.ones(1, 1))
        assert found.item() == pytest.approx(expected, rel=1e-5)


def test_nothing_is_taught_where_both_are_wrong(bench) -> None:
    case = bench("mbsd", modalities="ab", classes=3)
    a, b = torch.tensor([[logits(0.4, 0.5, 0.1)]]), torch.tensor([[logits(0.1, 0.2, 0.7)]])
    full = {"a": [True], "b": [True]}
    assert term(case, {"a": a, "b": b}, torch.tensor([0]), full, torch.ones(1, 1)).item() == 0
    assert term(case, {"a": a, "b": b}, torch.tensor([2]), full, torch.ones(1, 1)).item() > 0, "now b is right"


def test_numbers_by_hand(bench) -> None:
    """Truth 0; a says 0, b says 1: w = 1 - exp(-1), RS = 1, no KL."""
    case = bench("mbsd", modalities="ab", classes=0)
    a, b = torch.zeros(1, 1, 1), torch.ones(1, 1, 1)
    found = term(case, {"a": a, "b": b}, torch.zeros(1), {"a": [True], "b": [True]}, torch.ones(1, 1))
    assert found.item() == pytest.approx(1 - 0.36787944, rel=1e-5)


def test_mean_over_the_pairs_of_a_row_and_over_the_rows_that_have_one(bench) -> None:
    """As numbers: a 0, b 1, c 0, truth 0. Pairs of row 0: (v + 0 + v) / 3; of row 1: v; row 2 has none; row 3 unscored."""
    case = bench("mbsd", classes=0)
    said = {"a": torch.zeros(1, 4, 1), "b": torch.ones(1, 4, 1), "c": torch.zeros(1, 4, 1)}
    present = {"a": [True, True, True, True], "b": [True, True, False, True], "c": [True, False, False, True]}
    found = term(case, said, torch.zeros(4), present, torch.tensor([[1.0, 1.0, 1.0, 0.0]]))
    v = 1 - 0.36787944
    assert found.item() == pytest.approx((2 / 3 * v + v) / 2, rel=1e-5)


def test_who_moves(bench) -> None:
    """The strong one by RS alone, the weak one by RS and KL; the weight is no way to lower the loss."""
    case = bench("mbsd", modalities="ab", classes=2)
    a, b = (torch.tensor([[logits(p, 1 - p)]], requires_grad=True) for p in (0.8, 0.5))
    term(case, {"a": a, "b": b}, torch.tensor([0]), {"a": [True], "b": [True]}, torch.ones(1, 1)).sum().backward()
    pull = 0.3 * (a - b).detach()  # derivative of the mean of two squares
    torch.testing.assert_close(a.grad, pull)
    torch.testing.assert_close(b.grad, -pull + 0.3 * (b.softmax(-1) - a.softmax(-1)).detach())


def test_a_batch_without_pairs(bench) -> None:
    case = bench("mbsd", modalities="ab")
    gone = torch.zeros_like(case.batch.present["b"])
    losses = case.advance(1, replace(case.batch, present={**case.batch.present, "b": gone}))
    assert losses["agreement"].tolist() == [0, 0]


def test_strength_zero_and_one_modality_are_uniform_bit_for_bit(same_training) -> None:
    same_training(Mbsd(strength=0), "uniform")
    same_training(Mbsd(), "uniform", modalities="a")


def test_it_is_neither_joint_nor_uniform(moves) -> None:
    moves(Mbsd(), "joint")
    moves(Mbsd(), "uniform")
    moves(Mbsd(strength=0.1), Mbsd(strength=1.0))


@pytest.mark.parametrize(("strength", "error"), [(-0.1, ValueError), ("1", TypeError)])
def test_a_strength_out_of_range(strength: object, error: type[Exception]) -> None:
    with pytest.raises(error, match=r"`strength`: expected a number of at least 0; found .*\. Pass"):
        Mbsd(strength=strength)  # type: ignore[arg-type]
