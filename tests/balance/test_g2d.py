from dataclasses import replace

import pytest
import torch

from omicsbal._types import Outputs
from omicsbal.balance import G2d
from omicsbal.balance._phases import SUPPRESSION, multipliers, phase_of, weakest_first

MUTATIONS = [
    (".square().mean(-1), here[m]", ".square().sum(-1), here[m]"),
    ("apart * here[m] / count", "apart / count"),
    ("outputs.fused, targets[m]", "outputs.unimodal[m], targets[m]"),
    ("known.seen if", "known.unseen if"),
    ("state.held_out).cpu() - self.taught", "state.held_out).cpu() + self.taught"),
]


def still(bench, case, steps: int = 1) -> list[str]:
    """Modalities whose encoder, linear route included, does not move within some steps."""
    names = case.run.net.modalities
    before = {m: case.parameters(f"encoder/{m}", f"route/{m}") for m in names}
    case.advance(steps)
    after = {m: case.parameters(f"encoder/{m}", f"route/{m}") for m in names}
    return [m for m in names if all(torch.equal(a, b) for a, b in zip(before[m], after[m], strict=True))]


def terms_by_hand(bench, **options) -> dict[str, torch.Tensor]:
    """Two members, of which the first does not score row 0; row 0 has both modalities, row 1 has a alone."""
    case = bench(G2d(**options), modalities="ab", n=2, classes=2)
    strategy, known = case.run.strategy, case.state.references
    strategy.spaces = {m: torch.zeros(2, 2, 2) for m in "ab"}
    sure, unsure = torch.tensor([0.8, 0.2]).log(), torch.tensor([0.5, 0.5]).log()
    known.targets.update(a=sure.expand(2, 2, 2), b=unsure.expand(2, 2, 2))
    z = {"a": torch.tensor([1.0, 3.0]).expand(2, 2, 2), "b": torch.tensor([2.0, 0.0]).expand(2, 2, 2)}
    present = {"a": torch.tensor([True, True]), "b": torch.tensor([True, False])}
    fused = torch.zeros(2, 2, 2)
    outputs = Outputs(z, z["a"], fused, {m: torch.full((2, 2, 2), 5.0) * torch.tensor([1.0, -1.0]) for m in "ab"})
    batch = replace(case.batch, present=present, scored=torch.tensor([[0.0, 1.0], [1.0, 1.0]]))
    return {name: mean for name, (mean, _) in strategy.terms(case.state, outputs, batch).items()}


def test_the_terms_by_hand(bench) -> None:
    """KL((.8, .2) || (.5, .5)) = .8 ln 1.6 + .2 ln .4 = 0.19274; the other teacher says what the student says."""
    found, kl = terms_by_hand(bench), 0.192745
    assert found["feature:a"].tolist() == pytest.approx([5.0, 5.0])  # mean of 1 and 9
    assert found["feature:b"].tolist() == pytest.approx([0.0, 2.0])  # mean of 4 and 0, where b is present and scored
    assert found["kd:a"].tolist() == pytest.approx([kl, (kl / 2 + kl) / 2], abs=1e-5)  # two teachers share row 0
    assert found["kd:b"].tolist() == pytest.approx([0.0, 0.0], abs=1e-5)
    summed = terms_by_hand(bench, per_teacher="sum")
    assert summed["kd:a"].tolist() == pytest.approx([kl, kl], abs=1e-5)


def test_an_absent_modality_s_teacher_has_no_say(bench) -> None:
    one, two = bench(G2d()), bench(G2d())
    for known in (two.state.references,):
        known.targets["b"] = torch.where(two.state.data.present["b"].unsqueeze(-1), known.targets["b"], 40.0)
    one.advance(3)
    two.advance(3)
    assert all(torch.equal(a, b) for a, b in zip(one.weights().values(), two.weights().values(), strict=True))


def test_numbers_are_taught_by_squared_differences(bench) -> None:
    case = bench(G2d(), classes=0)
    known, strategy, batch = case.state.references, case.run.strategy, case.batch
    outputs = case.run.net(batch.x, batch.present)
    found = strategy.terms(case.state, outputs, batch)["kd:a"][0]
    count = sum(p.float() for p in batch.present.values())
    apart = ((outputs.fused - known.targets["a"]).squeeze(-1) ** 2) / count  # a is never absent on the bench
    torch.testing.assert_close(found, (apart * batch.scored).sum(-1) / batch.scored.sum(-1))


def test_terms_weigh_what_was_asked_for(bench) -> None:
    case = bench(G2d(feature=0.3, logit=0.7, unimodal_weight=0.2))
    weights = case.run.strategy.weights(case.state, {}, case.run.net(case.batch.x, case.batch.present), case.batch)
    assert (weights["feature:b"], weights["kd:b"], weights["b"], weights.get("fused")) == (0.3, 0.7, 0.2, None)


def test_prioritisation_alone_goes_on_top_of_other_losses(same_training, moves) -> None:
    off = {"feature": 0, "logit": 0, "smp": "none"}
    same_training(G2d(**off), "late")
    same_training(G2d(**off, fusion="net"), "joint")
    same_training(G2d(**off, fusion="net", unimodal_weight=1), "uniform")
    same_training(G2d(feature=0, logit=0, smp="partial", strength=0), "late")
    same_training(G2d(feature=0, logit=0, share=0), "late")
    moves(G2d(feature=0, logit=0, fusion="net"), "joint")
    moves(G2d(feature=0, logit=0, smp="partial", fusion="net"), "joint")


@pytest.mark.parametrize("options", [{}, {"feature": 0, "smp": "none"}, {"logit": 0, "smp": "none"}])
def test_each_part_has_an_effect(moves, options) -> None:
    moves(G2d(**options), "late")


def test_phases_by_hand() -> None:
    spans = [phase_of(e, 30, share=0.1, n_phases=2) for e in range(8)]
    assert spans == [0, 0, 0, 1, 1, 1, 2, 2]
    assert [phase_of(e, 8, share=1.0, n_phases=2) for e in range(8)] == [0, 0, 0, 1, 1, 1, 2, 2]  # cut at 3/8 each
    assert [phase_of(e, 8, share=1.0, n_phases=2, begun=2) for e in range(2, 8)] == [0, 0, 1, 1, 2, 2]
    assert phase_of(0, 8, share=0.0, n_phases=2) == 2 and phase_of(0, 8, share=0.5, n_phases=0) == 0
    assert phase_of(7, 8, share=0.5, n_phases=2, begun=7) == 2  # too late for any


def test_places_and_multipliers_by_hand() -> None:
    rank = weakest_first(torch.tensor([0.5, 0.2, 0.9]))
    assert rank.tolist() == [1, 0, 2]
    quiet = torch.zeros(3)
    assert [multipliers(rank, phase, quiet) for phase in range(3)] == [[0, 1, 0], [1, 0, 0], [1, 1, 1]]
    assert multipliers(rank * 0 - 1, 0, quiet) == [1, 1, 1]
    sure = torch.tensor([0.6, 0.3])  # r = 2 and 1/2
    assert SUPPRESSION["partial"](sure, 1.0).tolist() == pytest.approx([1 - 0.761594, 1.0])
    assert SUPPRESSION["complete"](sure, 1.0).tolist() == [0, 0] and SUPPRESSION["none"](sure, 1.0).tolist() == [1, 1]


@pytest.mark.parametrize("sgd", [False, True])
def test_the_weakest_encoder_moves_first_and_alone(bench, sgd) -> None:
    """On the bench the teacher of a is the best and that of c the worst."""
    case = bench(G2d(share=0.25), sgd=sgd)  # two epochs each
    heads = case.parameters("head/a")
    assert [still(bench, case, 2) for _ in range(3)] == [["a", "b"], ["a", "c"], []]
    assert not torch.equal(heads[0], case.parameters("head/a")[0])


def test_heads_of_waiting_encoders_learn(bench) -> None:
    case = bench(G2d())
    before = case.parameters("head/a")
    case.advance()
    assert case.state.signals == {"phase:a": 0.0, "phase:b": 0.0, "phase:c": 1.0}
    assert not torch.equal(before[0], case.parameters("head/a")[0])


def test_partial_suppression_slows_the_strong(bench) -> None:
    case = bench(G2d(smp="partial"))
    assert still(bench, case) == []
    ratio = 0.8 / ((0.7 + 0.6) / 2)
    assert case.state.signals["phase:a"] == pytest.approx(1 - torch.tensor(ratio - 1).tanh().item(), abs=1e-5)
    assert [case.state.signals[f"phase:{m}"] for m in "bc"] == pytest.approx([1.0, 1.0])


def test_what_the_order_rests_on(bench) -> None:
    def active(**options) -> str:
        case = bench("joint")
        strategy = G2d(**options)
        case.state.references = replace(
            bench(G2d()).state.references, seen={"a": 0.3, "b": 0.9, "c": 0.8}, unseen={"a": 0.5, "b": 0.4, "c": 0.8}
        )
        strategy.setup(case.state)
        strategy.start_epoch(case.state)
        return "".join(m for m, factor in strategy.moves.items() if factor)

    assert (active(), active(rank_on="train"), active(rank_on="gap")) == ("b", "a", "abc")


def test_the_gap_waits_for_an_evaluation_and_is_settled_once(bench) -> None:
    case = bench(G2d(rank_on="gap", share=0.25))
    assert still(bench, case, 2) == []
    state, strategy, n = case.state, case.run.strategy, len(case.state.data)
    told, right = torch.nn.functional.one_hot(state.data.y, 3)[None], {"a": 0.75, "b": 0.55, "c": 0.5}
    # teachers get 0.8, 0.7, 0.6, so the gaps are 0.05, 0.15, 0.1
    said = {m: (told * p + (1 - told) * (1 - p) / 2).log() for m, p in right.items()}
    state.held_out = Outputs({}, torch.zeros(1, n, 1), said["a"], said)
    assert still(bench, case) == ["a", "c"]
    assert strategy.rank.tolist() == [2, 0, 1] and int(strategy.begun) == 2
    state.held_out = Outputs({}, torch.zeros(1, n, 1), said["a"], dict(zip("abc", (said[m] for m in "cab"), strict=True)))
    assert [still(bench, case) for _ in range(4)] == [["a", "c"], ["a", "b"], ["a", "b"], []]


def test_one_modality_never_waits(bench) -> None:
    case = bench(G2d(), modalities="a")
    assert still(bench, case) == []


@pytest.mark.parametrize("classes", [3, 0])
@pytest.mark.parametrize("modalities", ["a", "abcde"])
def test_by_default_all_is_finite(bench, modalities, classes) -> None:
    case = bench(G2d(), modalities=modalities, classes=classes)
    case.advance(10)
    assert all(torch.isfinite(p).all() for p in case.weights().values())


def test_afterwards_nothing_of_the_teachers_is_left(bench) -> None:
    case = bench(G2d())
    case.advance()
    case.run.strategy.finish()
    assert not case.run.strategy.spaces and not case.run.strategy.state_dict()


@pytest.mark.parametrize(
    ("options", "error", "told"),
    [
        ({"feature": -1}, ValueError, "`feature`: expected a number of at least 0"),
        ({"temperature": 0}, ValueError, "`temperature`: expected a number above 0"),
        ({"share": 1.5}, ValueError, "`share`: expected a number of at least 0 and at most 1"),
        ({"smp": "some"}, ValueError, "`smp`: expected one of .*; found 'some'"),
        ({"rank_on": "test"}, ValueError, "`rank_on`: expected one of"),
        (
            {"rank_on": "gap", "fusion": "net"},
            ValueError,
            "unimodal heads that are trained, for a gap; found none. Pass fusion='late'",
        ),
        ({"logit": "1"}, TypeError, "`logit`"),
    ],
)
def test_bad_arguments(options, error, told) -> None:
    with pytest.raises(error, match=told):
        G2d(**options)
