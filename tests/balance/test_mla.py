from dataclasses import replace

import pytest
import torch
from torch.nn import functional

from omicsbal._types import Outputs
from omicsbal.balance.mla import Mla, absorbed

MUTATIONS = [
    ("self.projector @ (self.weight - self.before)", "(self.weight - self.before)"),
    ("self.projector = absorbed(", "absorbed("),
    ("state.scored * data.present[m]", "data.present[m]"),
    ("(batch.scored * batch.present[now])", "(batch.scored * 1)"),
    ("return entropy_fused(outputs.unimodal, present)", "return sum(outputs.unimodal.values())"),
    ("self.precision = 1 / ", "self.precision = "),
]


def test_absorbing_by_hand() -> None:
    """r = (1, 0), damping 1/2: k = r, so 1 - 1 / 1.5 = 1/3 is left along r and all of what is orthogonal."""
    found = absorbed(torch.eye(2)[None], torch.tensor([[1.0, 0.0]]), damping=0.5)
    torch.testing.assert_close(found, torch.tensor([[[1 / 3, 0.0], [0.0, 1.0]]]))


def test_what_was_absorbed_is_bounded() -> None:
    projector, draw = torch.eye(5).expand(2, 5, 5), torch.Generator().manual_seed(0)
    for visit in range(6):
        r = torch.randn(2, 5, generator=draw)
        projector = absorbed(projector, r, damping=0.3)
        left, square = torch.einsum("ki,kij,kj->k", r, projector, r), (r * r).sum(-1)
        bound = 0.3 * square / (0.3 + square)
        assert (left <= bound + 1e-5).all()
        if visit == 0:
            torch.testing.assert_close(left, bound)


@pytest.mark.parametrize("sgd", [False, True])
def test_the_step_avoids_the_visits_before_it(bench, sgd, monkeypatch) -> None:
    """Whatever optimiser made it: the first step of an epoch stands, later ones lose what earlier visits used."""
    case = bench("mla", sgd=sgd)
    some = {**case.batch.present, "a": torch.arange(12) % 4 != 1}
    case.batch = replace(case.batch, present=some)
    strategy, batch, seen = case.run.strategy, case.batch, []
    plain = strategy.stepped

    def watched(state) -> None:
        before, raw, projector = strategy.before, strategy.weight.detach().clone(), strategy.projector.clone()
        plain(state)
        seen.append((before, raw, projector, strategy.weight.detach().clone()))

    monkeypatch.setattr(strategy, "stepped", watched)
    z = case.run.net.encode(batch.x, batch.present)
    mask = (batch.scored * some["a"]).unsqueeze(-1)
    visited = (functional.normalize(z["a"].detach(), dim=-1) * mask).sum(1) / mask.sum(1)
    case.advance()
    (_, first, _, kept), (before, raw, projector, found), _ = seen
    torch.testing.assert_close(first, kept)
    torch.testing.assert_close(projector, absorbed(torch.eye(4).expand(2, 4, 4), visited, damping=0.1))
    torch.testing.assert_close(found - before, projector @ (raw - before))
    along = lambda step: torch.einsum("kd,kdc->kc", visited, step).norm()  # noqa: E731
    assert along(found - before) < 0.7 * along(raw - before)
    assert strategy.before is None and strategy.visited is None


def test_each_step_moves_one_encoder(bench, monkeypatch) -> None:
    case, moved = bench("mla"), []
    plain = case.run.optimizer.step

    def watched():
        before = {m: case.parameters(f"encoder/{m}") for m in "abc"}
        plain()
        after = {m: case.parameters(f"encoder/{m}") for m in "abc"}
        moved.append([m for m in "abc" if any(not torch.equal(p, q) for p, q in zip(before[m], after[m], strict=True))])

    monkeypatch.setattr(case.run.optimizer, "step", watched)
    losses = case.advance(2)
    assert moved == [["a"], ["b"], ["c"]] * 2
    assert set(losses) == {"fused", "a", "b", "c"}


@pytest.mark.parametrize("sgd", [False, True])
@pytest.mark.parametrize("damping", [None, 0.1])  # with one visit an epoch there is nothing to keep away from
def test_one_modality_is_a_net_of_its_own(bench, sgd, damping) -> None:
    cases = [bench(s, modalities="a", sgd=sgd, dropout=0.3) for s in (Mla(damping=damping), "unimodal")]
    for case in cases:
        for group in case.run.optimizer.param_groups:
            group["weight_decay"] = 0.0  # a strategy's own parameters have none
        case.advance(6)
    one, two = (case.parameters("encoder/a", "route/a") for case in cases)
    assert all(torch.equal(a, b) for a, b in zip(one, two, strict=True))


def test_it_does_something(moves) -> None:
    moves("mla", "joint")
    moves(Mla(), Mla(damping=None))


def test_the_projection_begins_anew_each_epoch(bench) -> None:
    case = bench("mla")
    case.advance(3)
    assert not torch.equal(case.run.strategy.projector[0], torch.eye(4))
    case.run.strategy.start_epoch(case.state)
    assert torch.equal(case.run.strategy.projector, torch.eye(4).expand(2, 4, 4))


def said(**outputs: list) -> Outputs:
    unimodal = {m: torch.tensor([v]) for m, v in outputs.items()}
    return Outputs({}, torch.zeros(1), next(iter(unimodal.values())), unimodal)


def test_the_surer_modality_speaks_louder() -> None:
    """Entropies 0 and ln 2 nats: weights 1 : exp(-ln 2), that is 2/3 and 1/3; and 0 for what is absent."""
    outputs = said(a=[[40.0, 0.0]] * 2, b=[[0.0, 0.0]] * 2)
    both = torch.tensor([True, False])
    fused = Mla().fuse(outputs, {"a": both, "b": torch.tensor([True, True])})
    torch.testing.assert_close(fused, torch.tensor([[[80 / 3, 0.0], [0.0, 0.0]]]))


def test_numbers_are_weighed_by_held_out_error(bench) -> None:
    """Squared errors 1 and 4; member 0 is judged by every third row, whose errors it must not know."""
    case = bench("mla", modalities="ab", classes=0)
    strategy, y, n = case.run.strategy, case.state.data.y, len(case.state.data.y)
    off = torch.where(torch.arange(n) % 3 == 0, 9.0, 1.0)  # where member 0 is judged, much worse
    told = {"a": (y + off).reshape(1, -1, 1), "b": (y + 2).reshape(1, -1, 1)}
    case.state.held_out = replace(case.run.net(case.batch.x, case.batch.present), unimodal=told)
    strategy.start_epoch(case.state)
    assert strategy.precision[0].tolist() == [1.0, pytest.approx(3 / (81 + 1 + 1))]
    torch.testing.assert_close(strategy.precision[1], torch.tensor([0.25, 0.25]))
    present = {"a": torch.tensor([True, False, False]), "b": torch.tensor([True, True, False])}
    both = {m: [[v]] * 3 for m, v in {"a": 1.0, "b": 6.0}.items()}
    outputs = Outputs({}, torch.zeros(1), torch.zeros(2, 3, 1), {m: torch.tensor([v, v]) for m, v in both.items()})
    torch.testing.assert_close(strategy.fuse(outputs, present)[0], torch.tensor([[2.0], [6.0], [0.0]]))


def test_prediction_needs_no_projection(bench) -> None:
    case = bench("mla")
    case.advance()
    case.run.strategy.finish()
    assert set(case.run.strategy.state_dict()) == {"weight", "bias", "precision"}


def test_arguments_out_of_range() -> None:
    with pytest.raises(ValueError, match=r"`damping`: expected a number above 0; found 0"):
        Mla(damping=0)
