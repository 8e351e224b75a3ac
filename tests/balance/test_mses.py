import pytest
import torch

from omicsbal.balance import Mses

MUTATIONS = [
    ("scores > self.best + self.tolerance", "scores < self.best - self.tolerance"),
    ("torch.where(better & running, 0.0,", "torch.where(better, 0.0,"),
    ("self.waited + ~scores.isnan()", "self.waited + 1"),
    ("if state.held_out is not None:", "if state.oof:"),
]
NAN = float("nan")


def evaluated(case, **scores: float) -> None:
    """One epoch after an evaluation, and a second one without."""
    case.state.oof, case.state.held_out = {f"oof_score:{m}": s for m, s in scores.items()}, object()
    case.advance()
    case.state.held_out = None
    case.advance()


def test_who_stops_when_by_hand(bench) -> None:
    case = bench(Mses(patience=2))
    strategy, stopped = case.run.strategy, []
    for a, b, c in [(0.5, 0.5, NAN), (0.5, 0.6, NAN), (0.4, 0.5, 0.3), (0.9, 0.7, 0.2), (0.9, 0.6, 0.4), (0.9, 0.6, 0.1)]:
        evaluated(case, a=a, b=b, c=c)
        stopped.append(list(strategy.stopped))
    assert stopped == [[], [], ["a"], ["a"], ["a"], ["a", "b"]], "for good: a stays stopped though it improves after"
    assert strategy.best.tolist() == pytest.approx([0.9, 0.7, 0.4])
    assert strategy.waited.tolist()[1:] == [2, 1]
    assert case.state.signals == {"stopped:a": 1.0, "stopped:b": 1.0, "stopped:c": 0.0}


def test_a_rise_within_the_tolerance_is_none(bench) -> None:
    case = bench(Mses(patience=1, tolerance=0.1))
    evaluated(case, a=0.5, b=0.5, c=0.5)
    evaluated(case, a=0.55, b=0.65, c=0.5)
    assert case.run.strategy.stopped == ["a", "c"]


@pytest.mark.parametrize("sgd", [True, False])
@pytest.mark.parametrize("classes", [3, 0])
def test_a_stopped_encoder_stands_still_and_the_others_go_on(bench, sgd, classes) -> None:
    case = bench(Mses(patience=1), sgd=sgd, classes=classes)
    case.advance(2)  # moments are there
    for score in (0.5, 0.6):
        evaluated(case, a=0.5, b=score, c=score)
    before = {g: case.parameters(g) for g in case.run.net.groups()}
    evaluated(case, a=0.4, b=0.7, c=0.7)
    for group, parameters in before.items():
        still = all(map(torch.equal, parameters, case.parameters(group)))
        assert still == (group in ("encoder/a", "route/a")), group


def test_stops_survive_a_checkpoint(bench) -> None:
    case, again = bench(Mses(patience=1)), bench(Mses(patience=1))
    for _ in range(2):
        evaluated(case, a=0.5, b=0.5, c=NAN)
    again.run.strategy.load_state_dict(case.run.strategy.state_dict())
    again.advance()
    assert again.run.strategy.stopped == ["a", "b"]
    again.run.strategy.finish()
    assert not again.run.strategy.state_dict(), "nothing is kept for prediction"


def test_without_a_stall_it_is_joint_training(same_training, bench) -> None:
    same_training(Mses(), "joint")  # no evaluation in this bench
    same_training(Mses(), "joint", modalities="a", classes=0)
    ours, joint = bench(Mses(patience=1)), bench("joint")
    for step in range(3):
        for case in (ours, joint):
            evaluated(case, a=step, b=step, c=step)
    assert all(map(torch.equal, ours.parameters("encoder/b", "fused"), joint.parameters("encoder/b", "fused")))


@pytest.mark.parametrize(
    ("arguments", "error", "told"),
    [
        ({"patience": 0}, ValueError, r"`patience`: expected an integer of at least 1; found 0"),
        ({"patience": 1.5}, TypeError, r"`patience`: expected an integer"),
        ({"tolerance": -1}, ValueError, r"`tolerance`: expected a number of at least 0"),
    ],
)
def test_arguments_out_of_range(arguments, error, told) -> None:
    with pytest.raises(error, match=told):
        Mses(**arguments)
