from dataclasses import replace
from math import tanh
from types import SimpleNamespace

import pytest
import torch
from torch import nn

from omicsbal._types import Arrays, Batch, FitState
from omicsbal.balance import Opm
from omicsbal.objectives.tasks import Classification

MUTATIONS = [
    ("torch.tanh((rho - 1).clamp(min=0))", "torch.tanh((1 - rho).clamp(min=0))"),
    ("(1 + self.slope * ahead)", "(1 + self.slope)"),
    ("batch.scored * batch.present[m], batch.weight", "batch.scored, batch.weight"),
    ("torch.where(keep.any(0), keep, here)", "keep"),
]


def test_the_chance_of_losing_a_modality_by_hand() -> None:
    told = Opm(drop_rate=0.4, slope=0.5).drop(torch.tensor([0.2, 1.0, 3.0], dtype=torch.float64)).tolist()
    assert told == pytest.approx([0, 0, 0.4 * (1 + 0.5 * tanh(2))])
    assert Opm(drop_rate=0.9, slope=5).drop(torch.tensor([9.0])).item() == 1, "a chance is at most 1"


def case(present: dict[str, torch.Tensor], **settings) -> tuple[Opm, FitState, dict, Batch]:
    """Modality "a" tells the label, "b" and "c" know nothing, by heads that pass embeddings on; two members alike."""
    n = len(present["a"])
    y = torch.arange(n) % 2
    z = {"a": 3.0 * nn.functional.one_hot(y, 2).expand(2, n, 2), "b": torch.zeros(2, n, 2), "c": torch.zeros(2, n, 2)}
    z = {m: v * present[m].unsqueeze(-1) for m, v in z.items()}
    data = Arrays(dict.fromkeys(z, torch.empty(n, 0)), present, y, torch.ones(n))
    net = SimpleNamespace(heads=[nn.Identity()] * 3)
    batch = Batch(data.x, present, y, torch.arange(n), torch.ones(2, n), torch.ones(n))
    state = FitState(net, data, batch.scored, Classification(2), torch.Generator().manual_seed(0), 1)  # type: ignore[arg-type]
    return Opm(chance=1, warm_up=0, **settings), state, z, batch


def test_the_share_kept_is_one_minus_theta() -> None:
    """The fusion divides by what is kept, on average the paper's 1 - theta, theta the mean of q."""
    everybody = {m: torch.ones(30_000, dtype=torch.bool) for m in "abc"}
    opm, state, z, batch = case(everybody, drop_rate=0.4, slope=0.5)
    same, kept = opm.features(state, z, batch)
    sure = 1 / (1 + torch.tensor(-3.0).exp().item())
    q = 0.4 * (1 + 0.5 * tanh(sure / 0.5 - 1))
    assert same is z, "probes go on seeing everything"
    assert kept["b"].all() and kept["c"].all()
    assert kept["a"].float().mean().item() == pytest.approx(1 - q, abs=0.012)  # four standard errors
    assert torch.stack(list(kept.values())).float().mean().item() == pytest.approx(1 - q / 3, abs=0.004)
    assert state.signals == pytest.approx({"drop:a": q, "drop:b": 0, "drop:c": 0})
    assert torch.equal(kept["a"][0], kept["a"][1]), "one draw for members that are alike"


def test_a_row_keeps_what_it_has_if_it_would_lose_all_and_gets_nothing_it_lacks() -> None:
    present = {m: torch.arange(3000) % (2 + i) != 0 for i, m in enumerate("bca")}
    present["a"] = ~present["b"] | present["a"]
    opm, state, z, batch = case(present, drop_rate=0.9, slope=5)
    _, kept = opm.features(state, z, batch)
    has, sees = (torch.stack([part[m].expand(2, -1) for m in "abc"]) for part in (present, kept))
    assert not (sees & ~has).any()
    assert torch.equal(sees.any(0), has.any(0))
    assert torch.equal(sees[:, has.sum(0) == 1], has[:, has.sum(0) == 1])
    rich = present["a"] & (present["b"] | present["c"])
    assert not kept["a"][:, rich].any(), "q is 1"


def test_scores_are_means_over_scored_rows_that_have_the_modality() -> None:
    present = {m: torch.ones(40, dtype=torch.bool) for m in "abc"}
    present["b"] = torch.arange(40) < 10
    opm, state, z, batch = case(present)
    z["b"] = 3.0 * nn.functional.one_hot(batch.y, 2).expand(2, 40, 2) * present["b"].unsqueeze(-1)
    rho = opm.ahead(state, z, batch)
    sure = 1 / (1 + torch.tensor(-3.0).exp().item())
    assert rho[0].tolist() == pytest.approx([sure / ((sure + 0.5) / 2), sure / ((sure + 0.5) / 2), 0.5 / sure])
    scored = batch.scored.clone()
    scored[0, 1:] = 0
    z["a"][0, 1:] *= -1
    assert opm.ahead(state, z, replace(batch, scored=scored))[0, 0].item() == pytest.approx(rho[0, 0].item())


def test_off_it_is_joint_training(same_training) -> None:
    same_training(Opm(drop_rate=0), "joint")
    same_training(Opm(chance=0), "joint")
    same_training(Opm(warm_up=1), "joint", classes=0)
    same_training(Opm(warm_up=0), "joint", modalities="a")


@pytest.mark.parametrize("classes", [3, 0])
def test_on_it_is_not(moves, classes) -> None:
    moves(Opm(), "joint", classes=classes)


def test_batches_are_modulated_with_the_chance_given() -> None:
    opm, state, z, batch = case({m: torch.ones(8, dtype=torch.bool) for m in "abc"})
    opm.chance, told = 0.3, []
    for _ in range(2000):
        opm.features(state, z, batch)
        told.append(state.signals["drop:a"] > 0)
    assert sum(told) / 2000 == pytest.approx(0.3, abs=0.041)  # four standard errors


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ({"drop_rate": 1}, r"`drop_rate`: .* at most 0\.99; found 1"),
        ({"slope": -1}, r"`slope`: expected a number of at least 0"),
        ({"chance": 2}, r"`chance`: .* at most 1"),
        ({"warm_up": -0.1}, r"`warm_up`: .* at least 0"),
    ],
)
def test_arguments_out_of_range(arguments, told) -> None:
    with pytest.raises(ValueError, match=told):
        Opm(**arguments)
