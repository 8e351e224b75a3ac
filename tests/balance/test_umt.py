from dataclasses import replace

import pytest
import torch

from omicsbal.balance import G2d, Umt

MUTATIONS = [
    ("variance > SPREAD, variance, 1.0", "variance > SPREAD, 1 / variance, 1.0"),
    ("state.scored * state.data.present[m]", "state.scored"),
    ("apart, batch.scored * batch.present[m], batch.weight", "apart, batch.scored, batch.weight"),
    ("(space - (space * rows).sum(1, keepdim=True) / count)", "(space)"),
]


def made(bench, **options):
    """Two modalities, three rows, of which b has the first two and the first member scores the last two."""
    case = bench("joint", modalities="ab", n=3)
    here = {"a": torch.tensor([True, True, True]), "b": torch.tensor([True, True, False])}
    scored = torch.tensor([[0.0, 1.0, 1.0], [1.0, 1.0, 1.0]])
    case.state.data, case.state.scored = replace(case.state.data, present=here), scored
    case.batch = replace(case.batch, present=here, scored=scored)
    spaces = {
        "a": torch.tensor([[0.0, 0.0], [1.0, 10.0], [3.0, 10.0]]).expand(2, 3, 2),
        "b": torch.tensor([[0.0, 4.0], [2.0, 0.0], [99.0, 99.0]]).expand(2, 3, 2),
    }
    case.state.references = replace(bench(Umt()).state.references, features=spaces.__getitem__)
    strategy = Umt(**options)
    strategy.setup(case.state)
    return case, strategy


def test_the_unit_by_hand(bench) -> None:
    _, strategy = made(bench)
    # a: first member (1, 3) and (10, 10): 1 and 0; second (0, 1, 3): 14/9, (0, 10, 10): 200/9
    assert strategy.units["a"].tolist() == pytest.approx([0.5, 107 / 9])
    # b: first member a single row, so no variance; second (0, 2): 1, (4, 0): 4
    assert strategy.units["b"].tolist() == pytest.approx([1.0, 2.5])
    assert made(bench, normalise=False)[1].units["a"].tolist() == [1.0, 1.0]


def test_the_term_by_hand(bench) -> None:
    case, strategy = made(bench)
    outputs = replace(case.run.net(case.batch.x, case.batch.present), z={m: torch.zeros(2, 3, 2) for m in "ab"})
    found = {name: mean.tolist() for name, (mean, _) in strategy.terms(case.state, outputs, case.batch).items()}
    assert found["feature:a"] == pytest.approx([(50.5 + 54.5) / 2 / 0.5, (0 + 50.5 + 54.5) / 3 / (107 / 9)])
    assert found["feature:b"] == pytest.approx([2.0, (8 + 2) / 2 / 2.5])
    assert strategy.weights(case.state, {}, outputs, case.batch) == {"feature:a": 1.0, "feature:b": 1.0}


def test_without_weight_it_is_joint_and_with_it_is_not(same_training, moves) -> None:
    same_training(Umt(weight=0), "joint")
    moves(Umt(), "joint")
    moves(Umt(), Umt(normalise=False))


def test_g2d_without_its_other_parts_is_this(same_training) -> None:
    same_training(Umt(weight=0.5, normalise=False), G2d(feature=0.5, logit=0, smp="none", fusion="net"))


def test_a_large_weight_brings_encoders_to_their_teachers(bench) -> None:
    def apart(weight: float) -> float:
        case = bench(Umt(weight=weight, normalise=False))
        case.advance(60)
        teacher = case.state.references.features("a")
        z = case.run.net.encode(case.batch.x, case.batch.present)["a"].detach()
        return float(((z - teacher) ** 2).mean(-1)[:, case.batch.scored.all(0)].mean())

    assert apart(100.0) < 0.5 * apart(0.0)


def test_regression_is_taught_alike(moves) -> None:
    moves(Umt(), "joint", classes=0)


def test_afterwards_nothing_of_the_teachers_is_left(bench) -> None:
    case = bench(Umt())
    case.run.strategy.finish()
    assert not case.run.strategy.spaces and not case.run.strategy.units


@pytest.mark.parametrize(
    ("options", "error", "told"),
    [
        ({"weight": -1}, ValueError, "`weight`: expected a number of at least 0; found -1"),
        ({"weight": None}, TypeError, "`weight`"),
        ({"normalise": "yes"}, TypeError, "`normalise`: expected True or False; found 'yes'"),
    ],
)
def test_bad_arguments(options, error, told) -> None:
    with pytest.raises(error, match=told):
        Umt(**options)
