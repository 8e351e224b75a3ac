from dataclasses import replace
from itertools import permutations
from math import log

import pytest
import torch

from omicsbal.balance import Cml, Joint
from omicsbal.balance._coalitions import fused_of

MUTATIONS = [
    ("(smaller - larger).clamp", "(larger - smaller).clamp"),
    ("larger = smaller", "larger = larger"),
    ("mask = batch.scored * torch.stack(list(visible.values())).any(0)", "mask = batch.scored"),
    ("{FUSED: 1 / (1 + others)", "{FUSED: 1 / (1 + self.subsets)"),
]


class Told(torch.nn.Module):
    """In place of fusion and head: fixed class probabilities for each set of modalities shown."""

    def __init__(self, probabilities: dict[str, list[float]]) -> None:
        super().__init__()
        self.probabilities, self.modalities = probabilities, sorted(max(probabilities, key=len))
        self.joint_head = torch.nn.Identity()

    def fusion(self, z, present):
        logits = []
        for i in range(z["a"].shape[1]):
            shown = "".join(m for m in self.modalities if present[m][i])
            logits.append(torch.tensor(self.probabilities.get(shown, [0.99, 0.01])).log())  # nothing shown: very sure
        return torch.stack(logits).expand(z["a"].shape[0], -1, -1)


def test_losses_of_smaller_sets_are_without_dropout_in_the_fused_head(bench) -> None:
    case = bench(Cml(), dropout=0.5, modalities="ab")
    outputs, losses = case.run.net(case.batch.x, case.batch.present), []
    for _ in range(2):
        case.state.generator.manual_seed(0)  # the same chain
        losses.append({name: mean for name, (mean, _) in case.run.strategy.terms(case.state, outputs, case.batch).items()})
    assert all(torch.equal(losses[0][name], losses[1][name]) for name in losses[0])


def terms_of(case, net, strategy, present):
    n = len(present["a"])
    batch = replace(
        case.batch, present=present, y=torch.zeros(n, dtype=torch.long), scored=torch.ones(2, n), weight=torch.ones(n)
    )
    outputs = replace(case.run.net(case.batch.x, case.batch.present), z={m: torch.zeros(2, n, 1) for m in present})
    case.state.net = net
    return {name: mean for name, (mean, _) in strategy.terms(case.state, outputs, batch).items()}


def test_two_modalities_by_hand(bench) -> None:
    """Both shown: .6; a alone: .9, surer by .3; b alone: .5, less sure. Which one is left is drawn."""
    net = Told({"ab": [0.6, 0.4], "a": [0.9, 0.1], "b": [0.5, 0.5]})
    case = bench(Cml(), modalities="ab")
    seen = set()
    for _ in range(20):
        told = terms_of(case, net, Cml(), {m: torch.ones(4, dtype=torch.bool) for m in "ab"})
        assert torch.equal(told["surer:fused"][0], told["surer:fused"][1]), "one chain for all members"
        seen.add((round(told["surer:fused"][0].item(), 5), round(told["subsets:fused"][0].item(), 5)))
    assert seen == {(0.3, round(-log(0.9), 5)), (0.0, round(-log(0.5), 5))}


def test_three_modalities_compare_neighbours_in_the_chain(bench) -> None:
    sure = {"abc": 0.6, "ab": 0.8, "ac": 0.7, "bc": 0.55, "a": 0.75, "b": 0.9, "c": 0.65}
    net, case = Told({s: [p, 1 - p] for s, p in sure.items()}), bench(Cml())
    expected = set()
    for first, second, _ in permutations("abc"):
        two, one = "".join(sorted({*"abc"} - {first})), "".join(sorted({*"abc"} - {first, second}))
        expected.add(round(max(0, sure[two] - sure["abc"]) + max(0, sure[one] - sure[two]), 4))
    seen = {
        round(terms_of(case, net, Cml(), {m: torch.ones(2, dtype=torch.bool) for m in "abc"})["surer:fused"][0].item(), 4)
        for _ in range(80)
    }
    assert seen == expected


def test_a_row_pays_for_itself_and_not_for_what_it_never_had(bench) -> None:
    """Row 0 has both, row 1 only a, row 2 only b. Left is a: rise .3, 0 and none; the mean over the three scored rows is .1."""
    net, case = Told({"ab": [0.6, 0.4], "a": [0.9, 0.1], "b": [0.5, 0.5]}), bench(Cml(), modalities="ab")
    present = {"a": torch.tensor([True, True, False]), "b": torch.tensor([True, False, True])}
    seen = set()
    for _ in range(20):
        told = terms_of(case, net, Cml(), present)
        seen.add((round(told["surer:fused"][0].item(), 5), round(told["subsets:fused"][0].item(), 5)))
    assert seen == {(0.1, round(-log(0.9), 5)), (0.0, round(-log(0.5), 5))}, "rows with nothing shown are left out"


def test_weights_are_the_mean_over_the_chain_plus_the_penalty(bench) -> None:
    case = bench(Cml())
    weights = Cml(strength=0.2).weights(case.state, {}, None, case.batch)
    assert weights == {"fused": pytest.approx(1 / 3), "subsets:fused": pytest.approx(2 / 3), "surer:fused": 0.2}


@pytest.mark.parametrize("modalities", ["a", "abc"])
def test_switched_off_it_is_joint_bit_for_bit(same_training, modalities) -> None:
    same_training(Cml(strength=0, subsets=0), "joint", modalities=modalities)


def test_one_modality_has_no_chain(same_training) -> None:
    same_training(Cml(strength=5), "joint", modalities="a")


@pytest.mark.parametrize("strategy", [Cml(), Cml(strength=1, subsets=0), Cml(strength=0)])
def test_each_part_moves_the_encoders(moves, strategy) -> None:
    moves(strategy, "joint")


def test_the_penalty_makes_fewer_modalities_less_sure(bench) -> None:
    rises = []
    for strategy in (Joint(), Cml(strength=10, subsets=0)):
        case = bench(strategy, n=24)
        case.advance(60)
        net, batch = case.run.net.eval(), case.batch
        z, full = net.encode(batch.x, batch.present), {m: torch.ones_like(p) for m, p in batch.present.items()}
        sure = {s: fused_of(net, z, full, s).softmax(-1).amax(-1) for s in ("abc", "a", "b", "c")}
        here = torch.stack(list(batch.present.values())).all(0)
        rises.append(torch.stack([(sure[m] - sure["abc"]).clamp(min=0)[:, here].mean() for m in "abc"]).mean().item())
    assert rises[1] < 0.5 * rises[0]


@pytest.mark.parametrize("argument", ["strength", "subsets"])
def test_numbers_out_of_range(argument) -> None:
    with pytest.raises(ValueError, match=rf"`{argument}`: expected a number of at least 0; found -1\. Pass"):
        Cml(**{argument: -1})


def test_numbers_as_labels_are_refused() -> None:
    with pytest.raises(ValueError, match="supports regression; found Cml"):
        Cml().check_task("regression")
