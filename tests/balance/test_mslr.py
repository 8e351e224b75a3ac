import pytest
import torch

from omicsbal.balance import Mslr

MUTATIONS = [
    ("(1 / ratios(above))", "ratios(above)"),
    ("headroom(scores, chance).clamp(min=LEAST)", "scores"),
    ("scale_update(state, m, factor)", "scale_update(state, m, 1.0)"),
    ("dict.fromkeys(state.data.x, 1.0) | (self.rates or {})", "dict.fromkeys(state.data.x, 1.0)"),
]
NAN = float("nan")
SCORES = {"oof_score:a": 0.9, "oof_score:b": 0.6, "oof_score:c": 0.3}


def test_factors_by_hand() -> None:
    """0.9 over (0.6 + 0.3) / 2 is 2, 0.6 over 0.6 is 1, 0.3 over 0.75 is 0.4."""
    scores = torch.tensor([0.9, 0.6, 0.3])
    assert Mslr().by_scores(scores, 0).tolist() == pytest.approx([0.5, 1, 2.5])
    assert Mslr(limit=1.5).by_scores(scores, 0).tolist() == pytest.approx([1 / 1.5, 1, 1.5])
    assert Mslr().by_scores(torch.tensor([0.75, 0.625]), 0.5).tolist() == pytest.approx([0.5, 2]), "above chance: 0.5 and 0.25"
    assert Mslr().by_scores(torch.tensor([0.6, NAN, 0.3]), 0).tolist() == pytest.approx([0.5, 1, 2])
    assert Mslr().by_scores(torch.tensor([-2.0, -1.0]), 0).tolist() == [1, 1], "both no better than chance"


@pytest.mark.parametrize("sgd", [True, False])
@pytest.mark.parametrize("given", [{"a": 0.5, "c": 2.5}, None])
def test_each_encoder_moves_by_its_factor(bench, given, sgd) -> None:
    ours, joint = bench(Mslr(rates=given), sgd=sgd), bench("joint", sgd=sgd)
    ours.state.oof = {} if given else SCORES
    before = {m: ours.parameters(f"encoder/{m}") for m in "abc"}
    ours.advance()
    joint.advance()
    for m, factor in {"a": 0.5, "b": 1.0, "c": 2.5}.items():
        assert ours.state.signals[f"rate:{m}"] == pytest.approx(factor)
        for start, mine, theirs in zip(before[m], ours.parameters(f"encoder/{m}"), joint.parameters(f"encoder/{m}"), strict=True):
            torch.testing.assert_close(mine - start, factor * (theirs - start), rtol=1e-3, atol=1e-6)


def test_a_rate_of_zero_never_moves_an_encoder(bench) -> None:
    case = bench(Mslr(rates={"b": 0}))
    before = case.parameters("encoder/b")
    case.advance(4)
    assert all(map(torch.equal, before, case.parameters("encoder/b")))


def test_off_it_is_joint_training(same_training) -> None:
    same_training(Mslr(rates={}), "joint")
    same_training(Mslr(), "joint")  # no evaluation in this bench
    same_training(Mslr(), "joint", modalities="a", classes=0)


def test_a_limit_of_one_is_joint_training(bench) -> None:
    ours, joint = bench(Mslr(limit=1)), bench("joint")
    ours.state.oof = SCORES
    ours.advance(4)
    joint.advance(4)
    assert all(map(torch.equal, ours.parameters("encoder/c", "fused"), joint.parameters("encoder/c", "fused")))


def test_on_it_is_not(moves) -> None:
    moves(Mslr(rates={"a": 0.3}), "joint")
    moves(Mslr(rates={"a": 0.3}), "joint", classes=0)


def test_arguments_out_of_range_and_unknown_modalities(bench) -> None:
    with pytest.raises(ValueError, match=r"`rates\['a'\]`: expected a number of at least 0; found -1"):
        Mslr(rates={"a": -1})
    with pytest.raises(ValueError, match=r"`limit`: expected a number of at least 1"):
        Mslr(limit=0.5)
    with pytest.raises(ValueError, match=r"`rates`: expected one of 'a', 'b', 'c'; found 'aa'"):
        bench(Mslr(rates={"aa": 2}))
