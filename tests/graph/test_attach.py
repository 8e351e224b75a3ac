import math

import numpy as np
import pytest
import torch

from omicsbal.graph.affinity import distances, local_scale
from omicsbal.graph.attach import attach


def none(graphs: int, a: int, k: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Anchors without links, so that a row's own affinities stand alone."""
    return torch.zeros(graphs, a, k, dtype=torch.int64), torch.zeros(graphs, a, k)


@pytest.fixture
def scene():
    """30 anchors and 12 new rows in two modalities, two graphs; the second lacks the first ten anchors."""
    rng = np.random.default_rng(0)
    anchors = {m: rng.normal(size=(30, d)) for m, d in {"a": 3, "b": 2}.items()}
    usable = {m: np.stack([rng.random(30) < 0.8, np.arange(30) >= 10]) for m in anchors}
    scale = {m: np.zeros((2, 30)) for m in anchors}
    for m, table in scale.items():
        for g, row in enumerate(table):
            mine = np.flatnonzero(usable[m][g])
            row[mine] = local_scale(distances(anchors[m][mine]), neighbours=4)
    x = {m: rng.normal(size=(12, v.shape[1])) for m, v in anchors.items()}
    links = rng.integers(10, 30, size=(2, 30, 6)), rng.dirichlet(np.ones(6), size=(2, 30))
    tensors = [{m: torch.from_numpy(v) for m, v in part.items()} for part in (x, anchors, usable, scale)]
    present = {"a": torch.arange(12) % 3 != 0, "b": torch.arange(12) % 3 != 1}
    return tensors[0], present, *tensors[1:], (torch.from_numpy(links[0]), torch.from_numpy(links[1]))


def test_by_hand():
    # anchors 0, 1, 5 of local scales 1, 1, 4; a new row at 2, K = 2: nearest are 1 (distance 1) and 0 (distance 2), mean 1.5
    # sigma to anchor 1: (1.5 + 1 + 1) / 3 = 7/6, ratio 6/7; to anchor 0: (1.5 + 1 + 2) / 3 = 3/2, ratio 4/3; W = exp(-2 ratio^2)
    w = [math.exp(-2 * (4 / 3) ** 2), math.exp(-2 * (6 / 7) ** 2)]
    x, here = {"a": torch.tensor([[2.0]])}, {"a": torch.tensor([True])}
    sides = (
        {"a": torch.tensor([[0.0], [1.0], [5.0]])},
        {"a": torch.ones(1, 3, dtype=torch.bool)},
        {"a": torch.tensor([[1.0, 1, 4]])},
    )
    index, weight = attach(x, here, *sides, none(1, 3, 2), neighbours=2)
    assert index.tolist() == [[[1, 0]]]
    assert weight.flatten().tolist() == pytest.approx([w[1] / sum(w), w[0] / sum(w)], rel=1e-6)
    # with links 0 -> 1, 1 -> 2, 2 -> 1: a = (a0, a1, 0), a A = (0, a0, a1); the sum (a0, a1 + a0, a1) has mass 2
    links = torch.tensor([[[1], [2], [1]]]), torch.ones(1, 3, 1)
    index, weight = attach(x, here, *sides, links, neighbours=2)
    assert index.tolist() == [[[1]]] and weight.tolist() == [[[1.0]]]
    links = tuple(torch.cat([part, torch.zeros_like(part)], -1) for part in links)
    index, weight = attach(x, here, *sides, links, neighbours=2)
    assert index.tolist() == [[[1, 2]]]
    assert weight.flatten().tolist() == pytest.approx([1 / (1 + w[1] / sum(w)), w[1] / sum(w) / (1 + w[1] / sum(w))], rel=1e-6)


def test_a_rows_links_depend_on_no_other_row(scene):
    x, present, *rest = scene
    index, weight = attach(x, present, *rest, neighbours=4)
    for i in range(12):
        one = attach({m: v[i : i + 1] for m, v in x.items()}, {m: p[i : i + 1] for m, p in present.items()}, *rest, neighbours=4)
        assert torch.equal(one[0][:, 0], index[:, i])
        torch.testing.assert_close(one[1][:, 0], weight[:, i])


def test_a_modality_that_a_row_lacks_takes_no_part(scene):
    x, present, *rest = scene
    spoilt = {m: v.masked_fill(~present[m][:, None], float("nan")) for m, v in x.items()}
    for one, two in zip(attach(x, present, *rest), attach(spoilt, present, *rest), strict=True):
        assert torch.equal(one, two)
    rows = ~present["a"]
    alone = attach(
        {"b": x["b"][rows]}, {"b": present["b"][rows]}, *({"b": part["b"]} for part in rest[:3]), rest[3], neighbours=4
    )
    both = attach(x, present, *rest, neighbours=4)
    assert torch.equal(both[0][:, rows], alone[0])
    torch.testing.assert_close(both[1][:, rows], alone[1])


def test_a_row_without_anything_has_no_links(scene):
    x, present, *rest = scene
    _, weight = attach(x, {m: torch.zeros_like(p) for m, p in present.items()}, *rest)
    assert weight.shape == (2, 12, 6) and not weight.any()


def test_only_usable_anchors_are_linked_and_weights_sum_to_one(scene):
    x, present, anchors, usable, scale, _ = scene
    index, weight = attach(x, present, anchors, usable, scale, none(2, 30, 8), neighbours=4)
    assert (index[1][weight[1] > 0] >= 10).all()
    torch.testing.assert_close(weight.sum(-1), torch.ones(2, 12))
    any_usable = usable["a"] | usable["b"]
    assert all(any_usable[g][index[g][weight[g] > 0]].all() for g in range(2))
    poor = {m: torch.zeros_like(u) for m, u in usable.items()}
    assert not attach(x, present, anchors, poor, scale, none(2, 30, 8))[1].any()


def test_kept_neighbours_are_the_nearest(scene):
    x, present, anchors, usable, scale, _ = scene
    one = {"a": usable["a"]}
    index, _ = attach(
        {"a": x["a"]},
        {"a": torch.ones_like(present["a"])},
        {"a": anchors["a"]},
        one,
        {"a": scale["a"]},
        none(2, 30, 4),
        neighbours=4,
    )
    distance = torch.cdist(x["a"], anchors["a"])
    for g in range(2):
        nearest = distance.masked_fill(~usable["a"][g], torch.inf).topk(4, largest=False).indices
        assert torch.equal(index[g].sort(-1).values, nearest.sort(-1).values)


def test_an_anchor_is_not_its_own_neighbour(scene):
    _, _, anchors, usable, scale, links = scene
    rows = torch.tensor([12, 20, 29, 3])
    here = {m: torch.ones(4, dtype=torch.bool) for m in anchors}
    x, own = {m: v[rows] for m, v in anchors.items()}, torch.tensor([12, 20, -1, 3])
    index, weight = attach(x, here, anchors, usable, scale, links, own=own)
    among = [[bool((index[g, i][weight[g, i] > 0] == rows[i]).any()) for i in range(4)] for g in range(2)]
    assert not any(row[i] for row in among for i in (0, 1, 3)) and among[1][2]


def test_copies_of_a_row_are_no_trouble():
    x, here = {"a": torch.ones(2, 3)}, {"a": torch.ones(2, dtype=torch.bool)}
    _, weight = attach(
        x, here, {"a": torch.ones(5, 3)}, {"a": torch.ones(1, 5, dtype=torch.bool)}, {"a": torch.zeros(1, 5)}, none(1, 5, 2)
    )
    torch.testing.assert_close(weight, torch.full((1, 2, 2), 0.5))
