from dataclasses import replace

import numpy as np
import pytest
import torch

from omicsbal._types import Outputs, References
from omicsbal.balance import Udi
from omicsbal.balance._anchor import anchor_of, disagreement, overlap, residual

MUTATIONS = [
    ("list(outputs.unimodal.values())).softmax(-1)", "list(outputs.unimodal.values()))"),
    ("residual(v, basis, mask) for v", "v * mask.unsqueeze(-1) for v"),
    (" & batch.present[self.anchor]", ""),
    ("self.memory * old + (1 - self.memory) * newest", "self.memory * newest + (1 - self.memory) * old"),
    ("agreement[:, i] / self.sharpness", "agreement[:, i] * self.sharpness"),
    ("{FUSED: 0.0}", "{}"),
]


def known(scores: dict[str, float], sure: dict[str, float]) -> References:
    """Two classes; each modality gives one of them a constant probability in all three rows."""
    said = {m: torch.tensor([[p, 1 - p]]).log().expand(3, 2).clone() for m, p in sure.items()}
    return References(torch.arange(3), scores, said, {}, {}, lambda m: said[m])


def test_the_anchor_is_the_best_and_among_equals_the_surest() -> None:
    full = {m: torch.ones(3, dtype=torch.bool) for m in "abc"}
    sure = {"a": 0.6, "b": 0.9, "c": 0.99}
    assert anchor_of(known({"a": 0.8, "b": 0.7, "c": 0.6}, sure), full) == "a"
    near = known({"a": 0.8, "b": 0.795, "c": 0.6}, sure)
    assert anchor_of(near, full) == "b"
    near.held_out["b"][2] = torch.tensor([0.5, 0.5]).log()  # (0.325 + 0.325 + 0.693) / 3 = 0.448 < 0.673
    assert anchor_of(near, full) == "b"
    near.held_out["b"][1:] = torch.tensor([0.5, 0.5]).log() * 3  # nonsense where absent
    assert anchor_of(near, {**full, "b": torch.tensor([True, False, False])}) == "b"


def test_of_numbers_the_anchor_is_the_best_score() -> None:
    values = {m: torch.ones(3, 1) for m in "ab"}
    numbers = References(torch.arange(3), {"a": 0.50, "b": 0.505}, values, {}, {}, lambda m: values[m])
    assert anchor_of(numbers, {m: torch.ones(3, dtype=torch.bool) for m in "ab"}) == "b"


def test_disagreement_by_hand() -> None:
    """p = (.5, .5), q = (.9, .1), mixed (.7, .3): (0.08718 + 0.11632) / 2."""
    s, log_q = torch.full((1, 1, 2), 3.0), torch.tensor([[[0.9, 0.1]]]).log()
    assert disagreement(s, log_q).item() == pytest.approx(0.101749, abs=1e-5)
    assert disagreement(torch.tensor([[[400.0, -400.0]]]), torch.tensor([[[-400.0, 0.0]]])).item() == pytest.approx(np.log(2))
    assert disagreement(torch.tensor([[[1.0]]]), torch.tensor([[[4.0]]])).item() == 9


def test_residual_and_overlap_by_hand() -> None:
    v, mask = torch.tensor([1.0, 3.0, 10.0, 14.0, 500.0])[None, :, None], torch.tensor([[1.0, 1, 1, 1, 0]])
    classes = torch.tensor([[1.0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 1, 0], [0, 1, 0]])  # the third has no row
    torch.testing.assert_close(residual(v, classes, mask).flatten(), torch.tensor([-1.0, 1, -2, 2, 0]), atol=1e-4, rtol=0)
    line = torch.tensor([[1.0, 0], [1, 1], [1, 2]])
    left = residual(torch.tensor([0.0, 1, 5])[None, :, None], line, torch.ones(1, 3)).flatten()
    torch.testing.assert_close(left, torch.tensor([0.5, -1.0, 0.5]), atol=1e-4, rtol=0)
    z = torch.tensor([[1.0, 1], [-1, 1], [1, -1], [-1, -1]])[None]
    other = torch.tensor([[3.0, 2], [-3, -2], [3, -2], [-3, 2]])[None]
    assert overlap(z, other).item() == pytest.approx(0.5)  # one of four correlations is 1, times k = 2
    assert overlap(z, 0 * other).item() == 0


def test_the_complement_is_within_class_and_on_common_rows(bench) -> None:
    case = bench(Udi(), n=40)
    here = {**case.batch.present, "a": torch.arange(40) % 5 > 0}
    batch = replace(case.batch, present=here)
    outputs = case.run.net(batch.x, here)
    found, rows = case.run.strategy.terms(case.state, outputs, batch)["complement:b"]
    for k in range(2):
        used = (batch.scored[k] > 0) & here["a"] & here["b"]
        y, parts = batch.y[used].numpy(), []
        for v in (outputs.z["b"], case.state.references.features("a")):
            centred = v[k][used].detach().double().numpy().copy()
            for c in np.unique(y):
                centred[y == c] -= centred[y == c].mean(0)
            parts.append(centred)
        block = np.corrcoef(*parts, rowvar=False)[:4, 4:]
        assert found[k].item() == pytest.approx(4 * (block**2).mean(), rel=1e-3)
        assert rows[k].item() == used.sum()


def test_consistency_is_on_common_rows(bench) -> None:
    case = bench(Udi())
    here = {**case.batch.present, "a": torch.arange(12) % 5 > 0}
    batch = replace(case.batch, present=here)
    outputs = case.run.net(batch.x, here)
    mask = batch.scored * here["a"] * here["c"]
    apart = disagreement(outputs.unimodal["c"], case.state.references.targets["a"])
    found = case.run.strategy.terms(case.state, outputs, batch)["consistency:c"][0]
    torch.testing.assert_close(found, (apart * mask).sum(-1) / mask.sum(-1))


def test_the_controller_by_hand(bench) -> None:
    """From 0, q is a tenth of the cosines after the first batch; the weights are its softmax at 1/2."""
    case = bench(Udi(strength=2.0, consistency=0.5, complement=0.1))
    strategy, batch = case.run.strategy, case.batch
    outputs = case.run.net(batch.x, batch.present)
    losses = {name: term(outputs, batch)[0] for name, term in case.terms.items()}
    losses |= {name: mean for name, (mean, _) in strategy.terms(case.state, outputs, batch).items()}
    names = ("b", "consistency:b", "complement:b")
    own, con, comp = (torch.autograd.grad(losses[n].sum(), outputs.z["b"], retain_graph=True)[0].flatten(1) for n in names)
    similarity = torch.nn.functional.cosine_similarity
    weights = strategy.weights(case.state, losses, outputs, batch)
    q = torch.stack([similarity(own, con), similarity(own, comp)], -1) / 10
    torch.testing.assert_close(strategy.agreement[:, 1], q)
    expected = 2 * torch.tensor([0.5, 0.1]) * 2 * (q / 0.5).exp() / (q / 0.5).exp().sum(-1, keepdim=True)
    torch.testing.assert_close(torch.stack([weights["consistency:b"], weights["complement:b"]], -1), expected)
    assert weights["fused"] == 0 and "b" not in weights
    assert case.state.signals["consistency:b"] == pytest.approx(expected[:, 0].mean().item(), abs=1e-6)
    assert case.state.signals["consistency:a"] == 0
    absent = replace(batch, present={**batch.present, "b": batch.present["b"] & False})
    case.advance(1, absent)
    torch.testing.assert_close(strategy.agreement[:, 1], q)  # nothing to be learned of b


def test_fixed_weights(bench) -> None:
    case = bench(Udi(controller="fixed", consistency=0.5, complement=0.3, strength=2))
    case.advance()
    told = {name: value for name, value in case.state.signals.items() if name.endswith(":c")}
    assert told == pytest.approx({"consistency:c": 1.0, "complement:c": 0.6})
    assert not case.run.strategy.agreement.any()


@pytest.mark.parametrize("classes", [3, 0])
def test_without_strength_modalities_never_meet(same_training, moves, classes) -> None:
    same_training(Udi(strength=0), "unimodal", fused=False, classes=classes)
    same_training(Udi(controller="fixed", consistency=0, complement=0), "unimodal", fused=False, classes=classes)
    moves(Udi(), "unimodal", classes=classes)
    moves(Udi(controller="fixed", complement=0), "unimodal", classes=classes)
    moves(Udi(controller="fixed", consistency=0), "unimodal", classes=classes)


def test_the_anchor_learns_from_its_own_loss_alone_and_the_fusion_not_at_all(bench) -> None:
    one, two = bench(Udi()), bench("unimodal")
    start = one.parameters("fused")
    one.advance(5)
    two.advance(5)
    groups = one.run.net.groups()
    same = {
        m: all(torch.equal(p, q) for p, q in zip(groups[f"encoder/{m}"], two.parameters(f"encoder/{m}"), strict=True))
        for m in "abc"
    }
    assert same == {"a": True, "b": False, "c": False}
    assert all(torch.equal(p, q) for p, q in zip(start, one.parameters("fused"), strict=True))


def test_the_fusion_by_hand() -> None:
    """Entropies .32508 and .69315 give shares .59100 and .40900, so .9 and .5 make .73640."""
    a, b = torch.tensor([[[0.9, 0.1]]]).log().expand(1, 2, 2) - 2, torch.zeros(1, 2, 2)
    present = {"a": torch.tensor([True, False]), "b": torch.tensor([True, True])}
    fused = Udi().fuse(Outputs({}, a, a, {"a": a, "b": b}), present)
    torch.testing.assert_close(fused.exp(), torch.tensor([[[0.73640, 0.26360], [0.5, 0.5]]]), atol=1e-5, rtol=0)
    one, four = torch.ones(1, 2, 1), torch.full((1, 2, 1), 4.0)
    fused = Udi().fuse(Outputs({}, one, one, {"a": one, "b": four}), present)
    assert fused.flatten().tolist() == [2.5, 4.0]


def test_afterwards_nothing_of_the_teachers_is_left(bench) -> None:
    case = bench(Udi())
    case.advance()
    case.run.strategy.finish()
    assert not len(case.run.strategy.space) and not case.run.strategy.state_dict()


@pytest.mark.parametrize(
    ("options", "error", "told"),
    [
        ({"controller": "free"}, ValueError, "`controller`: expected one of .*; found 'free'"),
        ({"strength": -1}, ValueError, "`strength`: expected a number of at least 0"),
        ({"memory": 1.1}, ValueError, "`memory`: expected a number of at least 0 and at most 1"),
        ({"sharpness": 0}, ValueError, "`sharpness`: expected a number above 0"),
        ({"consistency": "1"}, TypeError, "`consistency`"),
        ({"complement": -0.1}, ValueError, "`complement`"),
    ],
)
def test_bad_arguments(options, error, told) -> None:
    with pytest.raises(error, match=told):
        Udi(**options)
