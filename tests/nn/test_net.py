import itertools
import math

import pytest
import torch


def flat(outputs) -> torch.Tensor:
    """Everything the net says, one row a member and row: (K, n, everything)."""
    parts = [outputs.joint, outputs.fused, *outputs.z.values(), *outputs.unimodal.values()]
    return torch.cat(parts, -1)


def backward(net, x, present) -> dict[str, torch.Tensor]:
    """Gradients of a loss that every parameter has a part in."""
    net.zero_grad()
    outputs = net(x, present)
    sum((v**2).sum() for v in (outputs.fused, *outputs.unimodal.values())).backward()
    return {name: p.grad.clone() for name, p in net.named_parameters()}


def test_a_member_equals_a_net_of_its_own(make, rows) -> None:
    net, (x, present) = make(members=3), rows(8)
    together, gradients = flat(net(x, present)), backward(net, x, present)
    for k in range(3):
        alone = make(members=1)
        alone.load_state_dict({n: v[k : k + 1] if "tilt" not in n else v for n, v in net.state_dict().items()})
        torch.testing.assert_close(flat(alone(x, present))[0], together[k])
        for name, gradient in backward(alone, x, present).items():
            torch.testing.assert_close(gradient[0], gradients[name][k], msg=name)


def test_a_members_loss_moves_that_member_alone(make, rows) -> None:
    net, (x, present) = make(members=3), rows(8)
    outputs = net(x, present)
    sum((v[1] ** 2).sum() for v in (outputs.fused, *outputs.unimodal.values())).backward()
    for name, parameter in net.named_parameters():
        assert parameter.grad[1].any(), name
        assert not parameter.grad[[0, 2]].any(), name


@pytest.mark.parametrize("junk", [1e6, math.nan, math.inf, -math.inf])
def test_values_of_an_absent_modality_change_nothing(make, rows, junk: float) -> None:
    net, (x, present) = make(), rows(9)
    assert not all(p.all() for p in present.values())
    spoilt = {m: v.masked_fill(~present[m].unsqueeze(-1), junk) for m, v in x.items()}
    assert torch.equal(flat(net(x, present)), flat(net(spoilt, present)))
    clean, dirty = backward(net, x, present), backward(net, spoilt, present)
    assert all(torch.equal(clean[name], dirty[name]) for name in clean)


def test_embeddings_are_zero_where_the_modality_is_absent(make, rows) -> None:
    x, present = rows(9)
    for m, z in make()(x, present).z.items():
        assert not z[:, ~present[m]].any()
        assert z[:, present[m]].any(-1).all()


@pytest.mark.parametrize("training", [False, True])
def test_a_row_does_not_depend_on_the_rows_beside_it(make, rows, training: bool) -> None:
    net, (x, present) = make().train(training), rows(9)
    whole = flat(net(x, present))
    for i in range(9):
        row = slice(i, i + 1)
        one = flat(net({m: v[row] for m, v in x.items()}, {m: p[row] for m, p in present.items()}))
        torch.testing.assert_close(one[:, 0], whole[:, i])


def test_a_members_own_rows_equal_shared_rows(make, rows) -> None:
    net, (x, present) = make(members=3), rows(6)
    own = net({m: v.expand(3, *v.shape) for m, v in x.items()}, {m: p.expand(3, -1) for m, p in present.items()})
    torch.testing.assert_close(flat(own), flat(net(x, present)))


@pytest.mark.parametrize("count", range(4))
def test_any_subset_gives_finite_outputs(make, rows, count: int) -> None:
    net, (x, _) = make(), rows(4)
    for subset in itertools.combinations(x, count):
        present = {m: torch.full((4,), m in subset) for m in x}
        outputs = net(x, present)
        assert torch.isfinite(flat(outputs)).all()
        assert all(torch.isfinite(g).all() for g in backward(net, x, present).values())
        assert outputs.fused.shape == (3, 4, 3) and outputs.joint.shape == (3, 4, 4)
        assert subset or not outputs.joint.any()


def test_the_fused_embedding_is_the_mean_over_what_is_present(make, rows) -> None:
    net, (x, _) = make(members=1), rows(2)
    alone = {m: net(x, {k: torch.tensor([k == m] * 2) for k in x}).joint for m in x}
    both = net(x, {"rna": torch.tensor([True, True]), "atac": torch.tensor([True, False]), "protein": torch.tensor([False] * 2)})
    torch.testing.assert_close(both.joint[:, 0], (alone["rna"] + alone["atac"])[:, 0] / 2)
    torch.testing.assert_close(both.joint[:, 1], alone["rna"][:, 1])


@pytest.mark.parametrize("names", [["a.b", "train", "0"], ["forward", "weight", "rna/atac"], ["é", " ", "modules"]])
def test_a_modality_may_have_any_name(make, rows, names: list[str]) -> None:
    sizes = dict(zip(names, (5, 4, 3), strict=True))
    net, plain = make(sizes), make()
    (x, present), (x0, present0) = rows(5, sizes), rows(5)
    assert torch.equal(flat(net(x, present)), flat(plain(x0, present0)))
    assert list(net.groups()) == [*(f"{kind}/{m}" for m in names for kind in ("encoder", "route", "head")), "fused"]


@pytest.mark.parametrize("n", [1, 2, 5])
def test_any_number_of_modalities(make, rows, n: int) -> None:
    sizes = {f"m{i}": i + 1 for i in range(n)}
    x, present = rows(6, sizes)
    net = make(sizes)
    assert torch.isfinite(flat(net(x, present))).all()
    assert {id(p) for g in net.groups().values() for p in g} == {id(p) for p in net.parameters()}
    assert sum(map(len, net.groups().values())) == len(list(net.parameters())), "each parameter serves one purpose"


def test_reordering_modalities_reorders_results(make, rows) -> None:
    sizes, order = {"rna": 5, "atac": 4, "protein": 3}, ["protein", "rna", "atac"]
    net, moved = make(sizes), make({m: sizes[m] for m in order}, seed=5)
    x, present = rows(7)
    for m, i in zip(order, range(3), strict=True):
        j = net.modalities.index(m)
        for there, here in ((moved.encoders, net.encoders), (moved.heads, net.heads), (moved.fusion.project, net.fusion.project)):
            there[i].load_state_dict(here[j].state_dict())
    moved.joint_head.load_state_dict(net.joint_head.state_dict())
    before, after = net(x, present), moved(x, present)
    for name in ("joint", "fused"):
        torch.testing.assert_close(getattr(after, name), getattr(before, name))
    for m in sizes:
        torch.testing.assert_close(after.z[m], before.z[m])
        torch.testing.assert_close(after.unimodal[m], before.unimodal[m])


def test_one_seed_makes_one_net_and_leaves_the_global_generator_alone(make) -> None:
    state = torch.random.get_rng_state()
    first, second, other = (make(seed=s).state_dict() for s in (0, 0, 1))
    assert all(torch.equal(first[n], second[n]) for n in first)
    assert not torch.equal(first["encoders.0.mlp.0.weight"], other["encoders.0.mlp.0.weight"])
    assert torch.equal(state, torch.random.get_rng_state())


def test_the_linear_route_is_there_when_asked_and_starts_at_zero() -> None:
    from omicsbal.config import NetConfig
    from omicsbal.nn.net import MultiOmicsNet

    nets = {
        route: MultiOmicsNet({"rna": 5}, 2, members=2, config=NetConfig(linear_route=route), generator=torch.Generator())
        for route in (True, False)
    }
    assert [tuple(p.shape) for p in nets[True].groups()["route/rna"]] == [(2, 5, 32), (2, 1, 32)]
    assert not any(p.any() for p in nets[True].groups()["route/rna"])
    assert "route/rna" not in nets[False].groups()


def test_tilt_prefers_leading_columns_and_keeps_the_mean_row_norm(make) -> None:
    encoder = make({"rna": 3}).encoders[0]
    x = torch.tensor([[4.0, 2.0, 0.0], [-4.0, -2.0, 0.0], [4.0, -2.0, 0.0], [-4.0, 2.0, 0.0]])  # column sd 4, 2, 0
    encoder.set_tilt(x, 1.0)
    # factors 1, 1/2, 0 turn rows into (4, 1, 0), of squared norm 17, to be scaled to 3
    torch.testing.assert_close(encoder.tilt, torch.tensor([1.0, 0.5, 0.0]) * math.sqrt(3 / 17))
    assert ((x * encoder.tilt) ** 2).sum(1).mean().item() == pytest.approx(3)
    encoder.set_tilt(torch.zeros(4, 3), 1.0)
    assert torch.isfinite(encoder.tilt).all()
