"""From macro-F1 and dependence to weights; the worked numbers are those of reference/main-method.md, section 5.1."""

import math

import pytest
import torch

from omicsbal.balance._weighting import BOUNDS, WEIGHTINGS, averaged, balanced, headroom

CHANCE = 0.25


def weigh(f1, nats, *, weighting="f1_mi_softmax", sharpness=0.25):
    kappa, shared = headroom(torch.tensor(f1), CHANCE), 1 - torch.exp(-2 * torch.tensor(nats))
    return balanced(kappa, shared, weighting=weighting, sharpness=sharpness)


@pytest.mark.parametrize(
    ("f1", "nats", "expected"),
    [
        ([0.85, 0.70, 0.55], [0.6, 0.6, 0.4], [0.58, 1.02, 1.40]),  # strong, middle, weak
        ([0.71, 0.70, 0.685], [0.6, 0.6, 0.4], [0.96, 1.00, 1.04]),  # nearly equal; the reference leaves the macro-F1 out
        ([0.85, 0.25, 0.60], [0.4, 0.0, 0.4], [0.73, 0.73, 1.53]),  # strong, noise, middle
    ],
)
def test_the_worked_examples_of_the_reference(f1, nats, expected):
    assert weigh(f1, nats).tolist() == pytest.approx(expected, abs=0.006)


@pytest.mark.parametrize("count", range(1, 9))
@pytest.mark.parametrize("weighting", WEIGHTINGS)
def test_equal_modalities_weigh_exactly_one(count, weighting):
    weight = balanced(torch.full((count,), 0.4), torch.full((count,), 0.7), weighting=weighting, sharpness=0.25)
    assert weight.tolist() == [1.0] * count


@pytest.mark.parametrize("weighting", WEIGHTINGS)
def test_weights_sum_to_the_number_of_modalities(weighting):
    draw = torch.Generator().manual_seed(0)
    for count in (1, 2, 3, 5, 9):
        for sharpness in (0.01, 0.25, 4.0):
            kappa, shared = torch.rand(2, count, generator=draw)
            weight = balanced(kappa, shared, weighting=weighting, sharpness=sharpness)
            assert weight.sum().item() == pytest.approx(count, rel=1e-6) and (weight > 0).all()


def test_f1_only_ignores_dependence_and_mi_only_ignores_f1():
    f1, other = [0.9, 0.7, 0.5], [0.5, 0.8, 0.8]
    nats, more = [0.1, 0.5, 0.2], [0.9, 0.0, 0.3]
    assert torch.equal(weigh(f1, nats, weighting="f1_only"), weigh(f1, more, weighting="f1_only"))
    assert torch.equal(weigh(f1, nats, weighting="mi_only"), weigh(other, nats, weighting="mi_only"))
    assert not torch.equal(weigh(f1, nats), weigh(f1, more)) and not torch.equal(weigh(f1, nats), weigh(other, nats))


def test_the_ablations_by_hand():
    """Macro-F1 .85 and .25 are kappa .8 and 0; tau 1 leaves softmax(d) = (1, e^.8) / (1 + e^.8)."""
    first = 2 / (1 + math.exp(0.8))
    assert weigh([0.85, 0.25], [0.3, 0.1], weighting="f1_only", sharpness=1.0).tolist() == pytest.approx([first, 2 - first])
    i = [1 - math.exp(-2 * nats) for nats in (0.6, 0.1)]
    first = 2 / (1 + math.exp(i[1] - i[0]))
    assert weigh([0.85, 0.25], [0.6, 0.1], weighting="mi_only", sharpness=1.0).tolist() == pytest.approx([first, 2 - first])
    assert weigh([0.85, 0.25], [0.6, 0.1], weighting="static").tolist() == [1.0, 1.0]


def test_the_weakest_informative_modality_weighs_most_and_more_so_where_the_softmax_is_sharper():
    mild, sharp = (weigh([0.85, 0.7, 0.55], [0.5, 0.5, 0.5], sharpness=tau) for tau in (1.0, 0.1))
    assert mild[0] < mild[1] < mild[2] and sharp[2] > mild[2] and sharp[0] < mild[0]


def test_weights_are_cut_off_and_then_scaled_to_their_sum():
    """Two modalities, d = (0, 1): softmax all but (0, 2), cut to (1/4, 2), scaled by 2 / 2.25. Five: (1/4 x 4, 3) by 5 / 4."""
    two = balanced(torch.tensor([1.0, 0.0]), torch.ones(2), weighting="f1_mi_softmax", sharpness=0.01)
    assert two.tolist() == pytest.approx([2 / 9, 16 / 9])
    five = balanced(torch.tensor([1.0, 1, 1, 1, 0]), torch.ones(5), weighting="f1_mi_softmax", sharpness=0.01)
    assert five.tolist() == pytest.approx([0.3125] * 4 + [3.75])
    assert BOUNDS == (0.25, 3.0)


def test_headroom_is_zero_at_chance_and_below_and_one_at_the_top():
    found = headroom(torch.tensor([0.1, 0.25, 0.625, 1.0, torch.nan]), CHANCE)
    assert found.tolist() == pytest.approx([0, 0, 0.5, 1, 0]), "what is not known counts as chance"
    assert headroom(torch.tensor([-3.0, 0.4]), 0.0).tolist() == pytest.approx([0, 0.4]), "R squared has no lower end"


def test_the_moving_average_remembers_and_knows_what_it_does_not_know():
    old, new = torch.tensor([0.5, torch.nan, 0.5, torch.nan]), torch.tensor([0.9, 0.9, torch.nan, torch.nan])
    found = averaged(old, new, memory=0.7)
    assert found[:3].tolist() == pytest.approx([0.62, 0.9, 0.5]) and found[3].isnan()
    assert averaged(old[:1], new[:1], memory=0.0).tolist() == pytest.approx([0.9])


def test_order_of_modalities_is_order_of_weights():
    f1, nats, order = [0.85, 0.70, 0.55], [0.6, 0.2, 0.4], [2, 0, 1]
    moved = weigh([f1[i] for i in order], [nats[i] for i in order])
    torch.testing.assert_close(moved, weigh(f1, nats)[order])
