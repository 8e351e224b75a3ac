from typing import Any

import numpy as np
import pytest
import torch

from omicsbal.config import NetConfig
from omicsbal.graph.build import fused_graph
from omicsbal.nn.encoders import Encoder
from omicsbal.nn.net import MultiOmicsNet
from omicsbal.nn.rgcn import GraphEncoder, gather, pick, reversed_links

SIZES = {"rna": 5, "atac": 4, "protein": 3}
N = 24
FOLDS = np.arange(N) % 3


def scored() -> torch.Tensor:
    mask = np.ones((4, N), dtype=np.float32)
    mask[FOLDS, np.arange(N)] = 0
    return torch.from_numpy(mask)


@pytest.fixture
def graph_net(rows):
    """Maker of a net on a graph of 24 rows, with these rows: every parameter random, those that start at zero too."""

    def _make(
        *, sizes: dict[str, int] = SIZES, complete: bool = False, stir: bool = True, form: str = "inductive", **options: Any
    ):
        x, present = rows(N, sizes)
        present = {m: torch.ones_like(p) if complete or m == next(iter(sizes)) else p for m, p in present.items()}
        config = NetConfig(**{"width": 6, "latent": 4, "dropout": 0.0, "encoder": "graph", **options})
        graph = fused_graph(x, present, scored(), k=5)
        generator = torch.Generator().manual_seed(0)
        net = MultiOmicsNet(sizes, 3, members=4, config=config, generator=generator, graph=graph)
        with torch.no_grad():
            for parameter in net.parameters() if stir else ():
                parameter.add_(0.3 * torch.randn(parameter.shape, generator=generator))
        return net, x, present

    return _make


def flat(outputs) -> torch.Tensor:
    return torch.cat([outputs.joint, outputs.fused, *outputs.z.values(), *outputs.unimodal.values()], -1)


def test_gather_and_pick_by_hand():
    values = torch.tensor([[[1.0, 10.0], [2.0, 20.0], [3.0, 30.0]], [[4.0, 40.0], [5.0, 50.0], [6.0, 60.0]]])
    links = torch.tensor([[[0, 2]], [[1, 1]]]), torch.tensor([[[0.25, 0.75]], [[0.5, 0.0]]])
    assert gather(values, links).tolist() == [[[2.5, 25.0]], [[2.5, 25.0]]]
    assert pick(values, torch.tensor([2, 0]))[1].tolist() == [[6, 60], [4, 40]]
    assert pick(values, torch.tensor([[2], [0]])).tolist() == [[[3, 30]], [[4, 40]]]
    assert pick(values[0], torch.tensor([[2], [0]])).tolist() == [[[3, 30]], [[1, 10]]]


@pytest.mark.parametrize("depth", [1, 2, 3])
def test_it_is_the_formula(graph_net, depth):
    """Against dense matrices, one member and one layer at a time: phi(H W_self + A H W_nbr + b)."""
    net, x, present = graph_net(depth=depth)
    index, weight = net.graph.settled()
    for m, encoder in zip(net.modalities, net.encoders, strict=True):
        z = net.encode(x, present, torch.arange(N))[m]
        for k in range(4):
            a = torch.zeros(N, N)
            for i in range(N):
                for j, w in zip(index[k, i], weight[k, i], strict=True):
                    a[i, j] += w * present[m][j]
            a = a / a.sum(1, keepdim=True).clamp(min=1e-30)
            own = (x[m] * present[m][:, None]) * encoder.tilt
            h = own
            for layer in range(depth):
                linear, norm = encoder.mlp[4 * layer], encoder.mlp[4 * layer + 1]
                h = h @ linear.weight[k] + a @ h @ encoder.neighbours[layer].weight[k] + linear.bias[k]
                h = torch.nn.functional.gelu(torch.nn.functional.layer_norm(h, h.shape[-1:]) * norm.gain[k] + norm.shift[k])
            h = h @ encoder.mlp[-1].weight[k] + encoder.mlp[-1].bias[k] + own @ encoder.route.weight[k] + encoder.route.bias[k]
            torch.testing.assert_close(z[k], h * present[m][:, None], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("route", [True, False])
def test_it_starts_as_the_mlp_of_the_same_seed(graph_net, route):
    net, x, present = graph_net(stir=False, linear_route=route)
    config = NetConfig(width=6, latent=4, dropout=0.0, linear_route=route)
    plain = MultiOmicsNet(SIZES, 3, members=4, config=config, generator=torch.Generator().manual_seed(0))
    shared = {name: v for name, v in net.state_dict().items() if not name.startswith("graph.") and ".neighbours." not in name}
    assert shared.keys() == plain.state_dict().keys()
    assert all(torch.equal(v, shared[name]) for name, v in plain.state_dict().items())
    torch.testing.assert_close(flat(net(x, present)), flat(plain(x, present)))
    torch.testing.assert_close(flat(net(x, present, torch.arange(N))), flat(plain(x, present)))


def test_without_neighbour_weights_it_is_the_mlp(graph_net):
    for encoder in graph_net()[0].encoders:
        plain = Encoder(4, encoder.mlp[0].weight.shape[1], NetConfig(width=6, latent=4, dropout=0.0), torch.Generator())
        plain.load_state_dict({k: v for k, v in encoder.state_dict().items() if "neighbours" not in k})
        assert isinstance(encoder, GraphEncoder)
        before = encoder.on_graph(torch.ones(2, plain.mlp[0].weight.shape[1]), *_one_link(encoder))
        with torch.no_grad():
            for neighbour in encoder.neighbours:
                neighbour.weight.zero_()
        after = encoder.on_graph(torch.ones(2, plain.mlp[0].weight.shape[1]), *_one_link(encoder))
        torch.testing.assert_close(after, plain(torch.ones(2, plain.mlp[0].weight.shape[1])))
        assert not torch.allclose(before, after), "the neighbours did matter"


def _one_link(encoder: GraphEncoder):
    d = encoder.mlp[0].weight.shape[1]
    links = torch.zeros(4, 2, 1, dtype=torch.int64), torch.ones(4, 2, 1)
    return torch.arange(2.0 * d).view(2, d), links, reversed_links(links[0], 2), links


@pytest.mark.parametrize("members_rows", [False, True])
def test_training_rows_are_looked_up_as_they_would_be_computed(graph_net, members_rows):
    """The hidden layers of anchors serve rows asked for by index; links given one by one lead to the same."""
    net, x, present = graph_net()
    at = torch.tensor([[3, 7, 7], [0, 1, 2], [23, 4, 5], [6, 9, 8]]) if members_rows else torch.tensor([5, 0, 23, 5])
    seen, here = {m: v[at] for m, v in x.items()}, {m: p[at] for m, p in present.items()}
    looked_up = flat(net(seen, here, at))
    index, weight = net.graph.settled()
    own = (pick(index, at), pick(weight, at))
    net.graph.links = lambda *_: own  # type: ignore[method-assign]
    net.graph.intact = lambda present, index: torch.tensor(False)  # type: ignore[method-assign]
    torch.testing.assert_close(looked_up, flat(net(seen, here, at)))


def test_permuting_the_rows_of_the_graph_permutes_what_comes_out(graph_net, rows):
    net, x, present = graph_net()
    order = torch.randperm(N, generator=torch.Generator().manual_seed(3))
    turned, here = {m: v[order] for m, v in x.items()}, {m: p[order] for m, p in present.items()}
    graph = fused_graph(turned, here, scored()[:, order], k=5)
    config = NetConfig(width=6, latent=4, dropout=0.0, encoder="graph")
    other = MultiOmicsNet(SIZES, 3, members=4, config=config, generator=torch.Generator(), graph=graph)
    own = other.state_dict()
    other.load_state_dict({name: own[name] if name.startswith("graph.") else v for name, v in net.state_dict().items()})
    before, after = (flat(n(v, p, torch.arange(N))) for n, v, p in ((net, x, present), (other, turned, here)))
    torch.testing.assert_close(after, before[:, order], rtol=1e-4, atol=1e-5)
    new, seen = rows(5, seed=9)
    torch.testing.assert_close(flat(other(new, seen)), flat(net(new, seen)), rtol=1e-4, atol=1e-5)


def test_gradients_are_those_of_finite_differences(graph_net):
    net, x, present = graph_net(sizes={"rna": 3, "atac": 2}, width=3)
    net.double()
    x, at = {m: v.double() for m, v in x.items()}, torch.arange(6)
    seen, here = {m: v[at] for m, v in x.items()}, {m: p[at] for m, p in present.items()}
    encoder = net.encoders[0]
    parameters = [encoder.neighbours[0].weight, encoder.neighbours[1].weight, encoder.mlp[0].weight]

    def loss(*_: torch.Tensor) -> torch.Tensor:
        return (net(seen, here, at).unimodal["rna"] ** 2).sum()

    assert torch.autograd.gradcheck(loss, parameters)


def test_a_members_loss_moves_that_member_alone(graph_net):
    net, x, present = graph_net()
    outputs = net(x, present, torch.arange(N))
    sum((v[1] ** 2).sum() for v in (outputs.fused, *outputs.unimodal.values())).backward()
    for name, parameter in net.named_parameters():
        assert parameter.grad[1].any(), name
        assert not parameter.grad[[0, 2, 3]].any(), name


def test_new_rows_together_and_one_by_one(graph_net, rows):
    net, _, _ = graph_net()
    x, present = rows(9, seed=4)
    whole = flat(net(x, present))
    for i in range(9):
        one = flat(net({m: v[i : i + 1] for m, v in x.items()}, {m: p[i : i + 1] for m, p in present.items()}))
        torch.testing.assert_close(one[:, 0], whole[:, i], rtol=1e-4, atol=1e-5)


def test_values_of_an_absent_modality_change_nothing(graph_net, rows):
    net, x, present = graph_net()
    new, seen = rows(9, seed=4)
    for v, p, at in ((x, present, torch.arange(N)), (new, seen, None)):
        spoilt = {m: t.masked_fill(~p[m].unsqueeze(-1), float("nan")) for m, t in v.items()}
        assert torch.equal(flat(net(v, p, at)), flat(net(spoilt, p, at)))
        assert all(not z[:, ~p[m]].any() for m, z in net.encode(v, p, at).items())


def test_a_hidden_modality_takes_no_part_in_finding_neighbours(graph_net):
    net, x, present = graph_net(complete=True)
    at = torch.arange(N)
    hidden = {**present, "atac": torch.zeros(N, dtype=torch.bool)}
    spoilt = {**x, "atac": torch.full_like(x["atac"], float("nan"))}
    assert torch.equal(flat(net(x, hidden, at)), flat(net(spoilt, hidden, at)))
    assert not torch.allclose(net.encode(x, hidden, at)["rna"], net.encode(x, present, at)["rna"])


@pytest.mark.parametrize("names", [["rna"], ["rna", "atac"]])
def test_one_and_two_modalities(graph_net, names):
    net, x, present = graph_net(sizes={m: SIZES[m] for m in names})
    assert torch.isfinite(flat(net(x, present, torch.arange(N)))).all() and torch.isfinite(flat(net(x, present))).all()
    groups = net.groups()
    assert {id(p) for g in groups.values() for p in g} == {id(p) for p in net.parameters()}
    assert {id(p) for p in net.encoders[0].neighbours.parameters()} <= {id(p) for p in groups["encoder/rna"]}


@pytest.mark.parametrize(("encoder", "found"), [("graph", "no graph"), ("mlp", "a graph")])
def test_encoder_and_graph_go_together(graph_net, encoder, found):
    graph = None if encoder == "graph" else graph_net()[0].graph
    with pytest.raises(ValueError, match=found):
        MultiOmicsNet(SIZES, 3, members=4, config=NetConfig(encoder=encoder), generator=torch.Generator(), graph=graph)
