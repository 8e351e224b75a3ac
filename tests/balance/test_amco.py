from dataclasses import replace
from math import log

import pytest
import torch

from omicsbal._types import Batch, Outputs
from omicsbal.balance import Amco

MUTATIONS = [
    ("mass * count", "mass"),
    ("here & (count > 1)", "here"),
    ("shares > self.dominance", "shares < self.dominance"),
    ("{FUSED: 0.0} if", "{FUSED: 1.0} if"),
    ("& several.unsqueeze(-1)", ""),
]


def said(**unimodal: list) -> Outputs:
    """One member; each modality's logits (n, C)."""
    return Outputs({}, torch.empty(0), torch.empty(0), {m: torch.tensor(s).unsqueeze(0) for m, s in unimodal.items()})


def batch_of(n: int, **present: list[bool]) -> Batch:
    seen = {m: torch.tensor(p) for m, p in present.items()}
    return Batch({}, seen, torch.zeros(n, dtype=torch.long), torch.arange(n), torch.ones(1, n), torch.ones(n))


def test_shares_by_hand() -> None:
    """Row 0: masses 3 + 1 and 1 + 1 of 6, in equal shares 4/3 and 2/3. Row 1 has a alone and row 2 is not scored: no say."""
    a, b = [[log(3), 0.0], [5.0, 5.0], [9.0, 9.0]], [[0.0, 0.0], [1.0, 7.0], [0.0, 0.0]]
    batch = replace(batch_of(3, a=[True] * 3, b=[True, False, True]), scored=torch.tensor([[1.0, 1.0, 0.0]]))
    torch.testing.assert_close(Amco().shares(said(a=a, b=b), batch), torch.tensor([[4 / 3, 2 / 3]]))
    alone = Amco().shares(said(a=a, b=b), batch_of(3, a=[True] * 3, b=[False] * 3))
    assert alone.isnan().all(), "one modality alone does not dominate"


@pytest.mark.parametrize(("epoch", "classes", "number"), [(0, 4, 0), (1, 4, 2), (2, 4, 4), (7, 4, 4), (1, 2, 1)])
def test_masks_grow_with_a_quarter_of_a_sine(bench, epoch, classes, number) -> None:
    """Two of eight epochs: sin(0), sin(pi/4) = .71, then 1."""
    case = bench(Amco(until=0.25), classes=classes)
    case.state.epoch = epoch
    assert case.run.strategy._masked(case.state) == number
    assert Amco(strength=0.5, until=0.25)._masked(case.state) <= number / 2


def test_only_the_dominant_modality_is_masked_and_only_where_it_has_company(bench) -> None:
    """All logits of a are masked in row 0, so what is left is b's half; row 1 has a alone and keeps it."""
    case = bench(Amco(linear=False, dominance=1.2), classes=2, modalities="ab")
    case.state.epoch = 7
    outputs = said(a=[[3.0, 0.0], [3.0, 0.0]], b=[[0.0, 1.0], [0.0, 0.0]])
    batch = batch_of(2, a=[True, True], b=[True, False])
    told = case.run.strategy.terms(case.state, outputs, batch)["masked:fused"][0]
    expected = (log(1 + torch.tensor(0.5).exp().item()) + log(1 + torch.tensor(-3.0).exp().item())) / 2
    assert told.item() == pytest.approx(expected)
    spared = Amco(linear=False, dominance=1.9).terms(case.state, outputs, batch)["masked:fused"][0]
    rows = [log(1 + torch.tensor(-1.0).exp().item()), log(1 + torch.tensor(-3.0).exp().item())]
    assert spared.item() == pytest.approx(sum(rows) / 2), "no modality dominates"


@pytest.mark.parametrize(("share", "masked"), [(0.74, False), (0.76, True)])
def test_of_two_modalities_three_quarters_of_the_probability_dominate(bench, share, masked) -> None:
    """When masks have grown, all that the dominant one says is taken away: what is left is b's, which prefers neither class."""
    case = bench(Amco(linear=False), classes=2, modalities="ab")
    case.state.epoch = 7
    top = log(2 * share / (1 - share) - 1)  # mass exp(top) + 1 of a against 2 of b
    told = case.run.strategy.terms(case.state, said(a=[[top, 0.0]], b=[[0.0, 0.0]]), batch_of(1, a=[True], b=[True]))
    assert (told["masked:fused"][0].item() == pytest.approx(log(2))) == masked


def test_the_masked_loss_stands_in_for_the_fused_one(bench) -> None:
    case = bench(Amco(unimodal_weight=0.5))
    outputs = case.run.net(case.batch.x, case.batch.present)
    own = dict.fromkeys("abc", 0.5)
    assert case.run.strategy.weights(case.state, {}, outputs, case.batch) == own, "in the first epoch nothing is masked"
    case.state.epoch = 7
    assert case.run.strategy.weights(case.state, {}, outputs, case.batch) == own | {"fused": 0.0}
    assert list(case.run.strategy.terms(case.state, outputs, case.batch)) == ["masked:fused"]


def test_switched_off_it_is_late_bit_for_bit(same_training) -> None:
    same_training(Amco(strength=0, unimodal_weight=0, linear=False), "late", fused=False)


def test_one_modality_is_not_masked(same_training) -> None:
    same_training(Amco(unimodal_weight=0, linear=False), "late", modalities="a", fused=False)


@pytest.mark.parametrize(
    ("strategy", "other"),
    [
        (Amco(unimodal_weight=0, linear=False, dominance=1), "late"),
        (Amco(strength=0, unimodal_weight=0), "late"),
        (Amco(dominance=1), Amco(strength=0)),
    ],
)
def test_each_part_moves_the_encoders(moves, strategy, other) -> None:
    moves(strategy, other)


def test_the_linear_map_starts_as_none_is_learned_and_serves_prediction(bench) -> None:
    case, plain = bench(Amco()), bench("late")
    outputs = case.run.net(case.batch.x, case.batch.present)
    assert torch.equal(case.run.strategy.fuse(outputs, case.batch.present), plain.run.strategy.fuse(outputs, case.batch.present))
    case.advance(3)
    outputs = case.run.net(case.batch.x, case.batch.present)
    told = case.run.strategy.fuse(outputs, case.batch.present)
    assert not torch.allclose(told, plain.run.strategy.fuse(outputs, case.batch.present))
    assert case.state.signals.keys() >= {"share:a", "share:b", "share:c"}


@pytest.mark.parametrize(
    ("argument", "value"), [("strength", 1.5), ("unimodal_weight", -1), ("dominance", 0.9), ("until", 0), ("until", 2)]
)
def test_numbers_out_of_range(argument, value) -> None:
    with pytest.raises(ValueError, match=rf"`{argument}`: expected a number .*; found"):
        Amco(**{argument: value})


def test_numbers_as_labels_are_refused() -> None:
    with pytest.raises(ValueError, match="supports regression; found Amco"):
        Amco().check_task("regression")
