from dataclasses import replace
from math import exp, log

import pytest
import torch

from omicsbal.balance import Pmr

MUTATIONS = [
    ("q = -torch.cdist", "q = torch.cdist"),
    ("* state.scored[:, rows, None]", "* torch.ones_like(state.scored)[:, rows, None]"),
    ("(best / scores - 1)", "(1 - scores / best)"),
    ("member * here[m].unsqueeze(-1)", "member * 1"),
    ("torch.where(count > 0, mean, old)", "mean"),
    ("state.epoch < self.until", "state.epoch > self.until"),
]


def test_prototypes_are_class_means_of_a_members_own_rows(bench) -> None:
    case = bench("pmr", dropout=0.3)
    case.run.strategy.start_epoch(case.state)
    assert case.run.net.training
    z = case.run.net.eval().encode(case.batch.x, case.batch.present)
    for k in range(2):
        for i, m in enumerate("abc"):
            for c in range(3):
                rows = case.batch.present[m] & (case.batch.y == c) & (case.state.scored[k] > 0)
                found = case.run.strategy.prototypes[k, i, c]
                expected = z[m][k, rows].mean(0) if rows.any() else torch.full((4,), torch.nan)  # class 0 is hidden from member 0
                torch.testing.assert_close(found, expected, equal_nan=True)


def test_an_absent_class_keeps_its_prototype_and_momentum_averages(bench) -> None:
    case = bench(Pmr(momentum=0.25))
    strategy, data = case.run.strategy, case.state.data
    strategy.prototypes.fill_(100.0)
    case.state.data = replace(data, y=torch.zeros_like(data.y))
    strategy.start_epoch(case.state)
    assert (strategy.prototypes[:, :, 1:] == 100).all()
    z = case.run.net.eval().encode(data.x, data.present)["a"]
    torch.testing.assert_close(strategy.prototypes[1, 0, 0], 25 + 0.75 * z[1].mean(0))


def near(case, **distance: float):
    """Outputs of two-class rows with label 0 at distance 0 from prototype 0 and at a given one from prototype 1."""
    strategy, n = case.run.strategy, len(case.batch.y)
    strategy.prototypes.zero_()
    for i, d in enumerate(distance.values()):
        strategy.prototypes[:, i, 1, 0] = d
    z = {m: torch.zeros(2, n, 4) for m in distance}
    batch = replace(case.batch, y=torch.zeros(n, dtype=torch.int64))
    return replace(case.run.net(case.batch.x, case.batch.present), z=z), batch


def test_loss_and_coefficient_by_hand(bench) -> None:
    """Distances 0 and ln 3: p = 3/4, loss -ln 3/4. Next to ln 2, p = 2/3: beta = (3/4) / (2/3) - 1 = 1/8 and 0."""
    case = bench(Pmr(strength=2.0), modalities="ab", classes=2)
    outputs, batch = near(case, a=log(3), b=log(2))
    losses = {name: mean for name, (mean, _) in case.run.strategy.terms(case.state, outputs, batch).items()}
    torch.testing.assert_close(losses["prototype:a"], torch.full((2,), -log(3 / 4)))
    weights = case.run.strategy.weights(case.state, losses, outputs, batch)
    torch.testing.assert_close(weights["prototype:a"], torch.zeros(2))
    torch.testing.assert_close(weights["prototype:b"], torch.full((2,), 2 / 8))
    assert case.state.signals["beta:b"] == pytest.approx(1 / 8)


def test_the_coefficient_ends_at_one(bench) -> None:
    case = bench("pmr", modalities="ab", classes=2)
    outputs, batch = near(case, a=9.0, b=0.0)
    outputs.z["b"][..., 0] = -4.0
    case.run.strategy.prototypes[:, 1, 1, 0] = -4.0  # at the wrong prototype: p = 1 / (1 + exp(4))
    weights = case.run.strategy.weights(case.state, {}, outputs, batch)
    assert exp(4) > 1 and weights["prototype:b"].tolist() == [1.0, 1.0]


def test_a_class_without_prototype_takes_no_part(bench) -> None:
    case = bench("pmr", modalities="ab", classes=2)
    outputs, batch = near(case, a=log(3), b=log(2))
    case.run.strategy.prototypes[:, 0, 1] = torch.nan
    batch.y[::2] = 1
    mean, rows = case.run.strategy.terms(case.state, outputs, batch)["prototype:a"]
    torch.testing.assert_close(mean, torch.zeros(2))
    expected = (batch.scored * batch.present["a"] * (batch.y == 0)).sum(-1)
    assert torch.equal(rows, expected)


def test_off_is_joint_bit_for_bit(same_training) -> None:
    same_training(Pmr(strength=0), "joint")
    same_training(Pmr(until=0), "joint")


def test_it_is_joint_again_later(bench) -> None:
    case = bench(Pmr(until=0.25))
    assert "prototype:a" in case.advance(2)
    assert set(case.advance()) == {"fused"}


def test_it_does_something(moves) -> None:
    moves("pmr", "joint")


def test_one_modality_has_none_to_catch_up_with(same_training) -> None:
    same_training("pmr", "joint", modalities="a")


def test_prediction_needs_no_prototypes(bench) -> None:
    case = bench("pmr")
    case.advance()
    case.run.strategy.finish()
    assert not case.run.strategy.state_dict()


@pytest.mark.parametrize(("setting", "told"), [("strength", -1), ("until", 2), ("momentum", 1)])
def test_arguments_out_of_range(setting, told) -> None:
    with pytest.raises(ValueError, match=rf"`{setting}`: expected a number of at least 0.*; found {told}"):
        Pmr(**{setting: told})
