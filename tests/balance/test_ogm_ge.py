from math import exp, tanh

import pytest
import torch

from omicsbal.balance import OgmGe
from omicsbal.balance._scores import confidence, ratios

MUTATIONS = [
    ("torch.where(rho > 1, 1 - torch.tanh", "torch.where(rho > 1, 1 + torch.tanh"),
    ("torch.tanh(self.alpha * rho)", "torch.tanh(self.alpha * (rho - 1))"),
    ("p.grad.flatten(1).std(1, correction=0)", "p.grad.flatten(1).norm(dim=1)"),
    ("scale_update(state, m, kappa[..., i])", "scale_update(state, m, kappa[..., -1 - i])"),
]


def test_the_factor_by_hand_and_its_jump_at_one() -> None:
    rho = torch.tensor([0.5, 1.0, 1.000001, 3.0], dtype=torch.float64)
    told = OgmGe(alpha=0.3).kappa(rho).tolist()
    assert told[:2] == [1.0, 1.0]
    assert told[2:] == pytest.approx([1 - tanh(0.3), 1 - tanh(0.9)], abs=1e-6)
    assert told[3] == pytest.approx(2 / (exp(1.8) + 1))  # 1 - tanh(x) = 2 / (e^2x + 1)


def test_off_it_is_joint_training(same_training) -> None:
    same_training(OgmGe(alpha=0, noise=False), "joint")
    same_training(OgmGe(until=0), "joint")
    same_training(OgmGe(alpha=0, noise=False, until=1), "joint", classes=0)
    same_training(OgmGe(until=1), "joint", modalities="a")


@pytest.mark.parametrize("noise", [True, False])
@pytest.mark.parametrize("classes", [3, 0])
def test_on_it_is_not(moves, noise, classes) -> None:
    moves(OgmGe(noise=noise), "joint", classes=classes)


def test_the_leader_s_step_is_scaled_and_no_other(bench) -> None:
    """Under SGD the change of an encoder is that of joint training times kappa, for each member its own."""
    ours, joint = bench(OgmGe(alpha=0.4, noise=False), sgd=True), bench("joint", sgd=True)
    before = {m: ours.parameters(f"encoder/{m}") for m in "abc"}
    z = ours.run.net.encode(ours.batch.x, ours.batch.present)
    rho = ratios(confidence(ours.state, ours.run.net.decode(z, ours.batch.present), ours.batch))
    assert (rho > 1).any() and (rho < 1).any()
    ours.advance()
    joint.advance()
    for i, m in enumerate("abc"):
        expected = torch.tensor([1 - tanh(0.4 * r) if r > 1 else 1.0 for r in rho[:, i].tolist()])
        told = ours.state.signals[f"kappa:{m}"]
        assert told == pytest.approx(float(expected.mean()), rel=1e-5)
        for start, mine, theirs in zip(before[m], ours.parameters(f"encoder/{m}"), joint.parameters(f"encoder/{m}"), strict=True):
            torch.testing.assert_close(mine - start, expected.reshape(-1, 1, 1) * (theirs - start), rtol=1e-3, atol=1e-6)


def test_noise_has_the_spread_of_the_gradient_and_one_draw_for_all_members(bench) -> None:
    noisy, plain = bench(OgmGe()), bench(OgmGe(noise=False))
    draws = torch.Generator().set_state(noisy.run.generator.get_state())
    noisy.advance()
    plain.advance()
    for m in "abc":
        groups = [[p for g in ("encoder", "route") for p in case.run.net.groups().get(f"{g}/{m}", [])] for case in (noisy, plain)]
        for one, two in zip(*groups, strict=True):
            if one.shape[1] == 1:
                assert torch.equal(one.grad, two.grad), "biases and norms get no noise"
                continue
            draw = torch.empty(one.shape[1:]).normal_(generator=draws)
            spread = two.grad.flatten(1).std(1, correction=0).reshape(-1, 1, 1)
            torch.testing.assert_close(one.grad - two.grad, spread * draw, rtol=1e-4, atol=1e-6)


def test_it_stops_after_its_share_of_the_epochs(bench) -> None:
    case, joint = bench(OgmGe(until=0.5), sgd=True), bench("joint", sgd=True)
    case.advance(4)  # of 8
    assert case.state.signals
    joint.run.net.load_state_dict(case.run.net.state_dict())
    case.state.signals = {}
    case.advance()
    joint.advance()
    assert not case.state.signals
    for m in "abc":
        assert all(map(torch.equal, case.parameters(f"encoder/{m}"), joint.parameters(f"encoder/{m}")))


def test_a_modality_that_nobody_has_is_not_slowed(bench) -> None:
    case = bench(OgmGe())
    case.batch.present["b"].zero_()
    case.advance()
    assert case.state.signals["kappa:b"] == 1.0
    assert all(torch.isfinite(p).all() for p in case.weights().values())


@pytest.mark.parametrize(
    ("arguments", "told"),
    [({"alpha": -1}, r"`alpha`: expected a number of at least 0"), ({"until": 1.5}, r"`until`: .* at most 1; found 1\.5")],
)
def test_arguments_out_of_range(arguments, told) -> None:
    with pytest.raises(ValueError, match=told):
        OgmGe(**arguments)
