import pytest
import torch

from omicsbal.balance import Cggm
from omicsbal.balance.cggm import alignment, residual

MUTATIONS = [
    ("(total - gain) / total", "gain / total"),
    ("count / (count - 1).clamp(min=1) * share", "count * share"),
    ("share[:, i] * (1 - cosine)", "share[:, i] * (1 + cosine)"),
    ("(fast - self.trail).clamp(min=0)", "fast - self.trail"),
    ("averaged(self.trail, fast, self.memory)", "averaged(self.trail, now, self.memory)"),
    ("fast = torch.where(now.isnan(), torch.nan, self.level)", "fast = self.level"),
]
NAN = float("nan")


def test_shares_and_factors_by_hand() -> None:
    gain = torch.tensor([[0.3, 0.1, 0.0], [0.2, 0.2, NAN], [0.0, 0.0, 0.0], [0.4, NAN, NAN]])
    share = Cggm().shares(gain)
    expected = torch.tensor([[0.25, 0.75, 1.0], [0.5, 0.5, NAN], [NAN] * 3, [NAN] * 3])
    torch.testing.assert_close(share, expected, equal_nan=True)
    kappa = Cggm(rho=1.0).kappa(share)
    torch.testing.assert_close(kappa, torch.tensor([[0.375, 1.125, 1.5], [1, 1, 1], [1, 1, 1], [1, 1, 1]]))
    assert Cggm(rho=1.6).kappa(share)[0].tolist() == pytest.approx([0.6, 1.8, 2.0]), "cut at 2"


def test_residuals_and_their_cosine_by_hand() -> None:
    told = residual(torch.zeros(1, 2, 2), torch.tensor([0, 1]))
    assert told.tolist() == [[[-0.5, 0.5], [0.5, -0.5]]]
    assert residual(torch.tensor([[[1.0], [2.0]]]), torch.tensor([3.0, 0.0])).tolist() == [[[-2.0], [2.0]]]
    one, two = torch.tensor([[[3.0], [4.0], [9.0]]]), torch.tensor([[[4.0], [3.0], [-9.0]]])
    assert alignment(one, two, torch.tensor([[1.0, 1.0, 0.0]])).item() == pytest.approx(24 / 25)
    assert alignment(one, two, torch.zeros(1, 3)).item() == 0, "no row"


def one_batch(bench, **settings):
    """Two batches of one bench by hand: scores rise in "a" by 0.3, fall in "b"."""
    case = bench(Cggm(memory=0.5, **settings), modalities="ab")
    return case, case.run.strategy


def test_the_average_gains_and_the_term(bench, monkeypatch) -> None:
    case, strategy = one_batch(bench)
    scores = [
        torch.tensor(
            [
                [
                    0.2,
                    0.6,
                ],
                [0.2, 0.2],
            ]
        ),
        torch.tensor([[0.8, 0.4], [0.4, 0.8]]),
        torch.tensor([[0.5, 0.9], [0.5, 0.1]]),
    ]
    monkeypatch.setattr("omicsbal.balance.cggm.confidence", lambda *_: scores.pop(0))
    net, batch = case.run.net, case.batch
    outputs = net.decode(net.encode(batch.x, batch.present), batch.present)
    mean, rows = strategy.terms(case.state, outputs, batch)["direction"]
    assert mean.tolist() == [0, 0] and rows.tolist() == [8, 12], "nothing to compare with yet"
    mean, _ = strategy.terms(case.state, outputs, batch)["direction"]
    torch.testing.assert_close(strategy.level, torch.tensor([[0.5, 0.5], [0.3, 0.5]]))
    torch.testing.assert_close(strategy.trail, torch.tensor([[0.35, 0.55], [0.25, 0.35]]))
    torch.testing.assert_close(strategy.share, torch.tensor([[0.0, 1.0], [0.75, 0.25]]))
    errs = {m: residual(o, batch.y) for m, o in [("fused", outputs.fused), *outputs.unimodal.items()]}
    here = batch.scored * batch.present["b"]
    cosine = torch.nn.functional.cosine_similarity(
        errs["b"][0][here[0] > 0].flatten(), errs["fused"][0][here[0] > 0].flatten(), 0
    )
    assert mean[0].item() == pytest.approx((1 - cosine.item()) / 2, rel=1e-4), "half of B_b (1 - cos), B_a being 0"
    (pull,) = torch.autograd.grad(mean.sum(), outputs.fused, retain_graph=True)
    assert pull.any(), "differentiable in the fused outputs"
    assert torch.autograd.grad(mean.sum(), list(net.heads.parameters()), allow_unused=True) == (None,) * 4
    strategy.terms(case.state, outputs, batch)
    torch.testing.assert_close(strategy.level, torch.tensor([[0.5, 0.7], [0.4, 0.3]]))
    torch.testing.assert_close(strategy.trail, torch.tensor([[0.425, 0.625], [0.325, 0.325]]))
    # "a" of member 0 stood still in this batch, and still is as far above its trail as "b"
    torch.testing.assert_close(strategy.share, torch.tensor([[0.5, 0.5], [0.0, 1.0]]))


def test_factors_reach_the_update(bench) -> None:
    ours, joint = bench(Cggm(direction=0), sgd=True), bench("joint", sgd=True)
    ours.advance(3)
    joint.run.net.load_state_dict(ours.run.net.state_dict())
    before = {m: ours.parameters(f"encoder/{m}") for m in "abc"}
    ours.advance()
    joint.advance()
    kappa = ours.run.strategy.kappa(ours.run.strategy.share)
    assert (kappa - 1).abs().max() > 0.05
    for i, m in enumerate("abc"):
        factor = kappa[:, i].reshape(-1, 1, 1)
        for start, mine, theirs in zip(before[m], ours.parameters(f"encoder/{m}"), joint.parameters(f"encoder/{m}"), strict=True):
            torch.testing.assert_close(mine - start, factor * (theirs - start), rtol=1e-3, atol=1e-6)


def test_off_it_is_joint_training(same_training) -> None:
    same_training(Cggm(until=0), "joint")
    same_training(Cggm(), "joint", modalities="a")
    same_training(Cggm(until=0), "joint", classes=0)


@pytest.mark.parametrize("settings", [{}, {"direction": 0}])
@pytest.mark.parametrize("classes", [3, 0])
def test_on_it_is_not(moves, settings, classes) -> None:
    moves(Cggm(**settings), "joint", classes=classes)


def test_the_direction_term_alone_moves_encoders(moves) -> None:
    moves(Cggm(direction=0.5), Cggm(direction=0))


def test_a_modality_that_nobody_has_keeps_its_average_and_its_pace(bench) -> None:
    case = bench("cggm")
    case.advance(2)
    level, trail = case.run.strategy.level.clone(), case.run.strategy.trail.clone()
    case.batch.present["b"].zero_()
    case.advance()
    assert torch.equal(case.run.strategy.level[:, 1], level[:, 1])
    assert torch.equal(case.run.strategy.trail[:, 1], trail[:, 1]) and not torch.equal(case.run.strategy.trail, trail)
    assert case.state.signals["kappa:b"] == 1


def test_nothing_is_kept_for_prediction(bench) -> None:
    case = bench("cggm")
    case.advance()
    case.run.strategy.finish()
    assert not case.run.strategy.state_dict()


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ({"rho": 0}, r"`rho`: expected a number above 0"),
        ({"direction": -1}, r"`direction`: expected a number of at least 0"),
        ({"memory": 1}, r"`memory`: .* at most 0\.999"),
        ({"memory": 0}, r"`memory`: expected a number above 0"),
        ({"until": 2}, r"`until`: .* at most 1"),
    ],
)
def test_arguments_out_of_range(arguments, told) -> None:
    with pytest.raises(ValueError, match=told):
        Cggm(**arguments)
