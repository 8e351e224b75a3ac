import numpy as np
import pytest
import torch

from omicsbal.graph.affinity import affinity
from omicsbal.graph.build import fused_graph
from omicsbal.graph.patients import PatientGraph
from omicsbal.graph.snf import fuse, nearest

N = 45
FOLDS = np.arange(N) % 3


def scored(n_full: int = 2) -> torch.Tensor:
    mask = np.ones((3 + n_full, N), dtype=np.float32)
    mask[FOLDS, np.arange(N)] = 0
    return torch.from_numpy(mask)


@pytest.fixture
def rows(blobs):
    """Maker: {m: (45, d)} float32 and presence, complete or with holes."""

    def _rows(absent: float = 0.0, seed: int = 0):
        x = {m: torch.from_numpy(v).float() for m, v in blobs(N, seed=seed)[0].items()}
        present = {m: torch.from_numpy(np.random.default_rng(i).random(N) >= absent) for i, m in enumerate(x)}
        present["a"] |= ~present["b"]
        return x, present

    return _rows


def links_of(graph: PatientGraph, member: int) -> list[dict[int, float]]:
    index, weight = graph.settled()
    return [
        {int(j): float(w) for j, w in zip(i, v, strict=True) if w > 0} for i, v in zip(index[member], weight[member], strict=True)
    ]


def same(first: PatientGraph, second: PatientGraph, *, but: tuple[str, ...] = ()) -> bool:
    one, two = first.state_dict(), second.state_dict()
    return all(torch.equal(one[name], two[name]) for name in one if name not in but)


def test_a_members_rows_are_linked_as_fused_on_them_alone(rows):
    x, present = rows()
    graph = fused_graph(x, present, scored(), k=5)
    assert graph.graph_of[3] == graph.graph_of[4] and len(graph.inside) == 4 and graph.size == N
    for member, mine in enumerate([FOLDS != 0, FOLDS != 1, FOLDS != 2, FOLDS >= 0]):
        here = np.flatnonzero(mine)
        index, weight = nearest(fuse({m: affinity(v[here].double().numpy()) for m, v in x.items()}), k=5)
        for i, j, w in zip(here, here[index], weight, strict=True):
            assert links_of(graph, member)[i] == pytest.approx(dict(zip(j.tolist(), w, strict=True)), rel=1e-4)


@pytest.mark.parametrize("absent", [0.0, 0.4])
def test_no_member_looks_at_what_it_was_not_trained_on(rows, absent):
    graph = fused_graph(*rows(absent), scored(), k=6)
    for member in range(3):
        assert all(FOLDS[j] != member for found in links_of(graph, member) for j in found)
    weight = graph.settled()[1]
    torch.testing.assert_close(weight.sum(-1), torch.ones(5, N))


def test_held_out_rows_are_linked_as_new_rows_are(rows):
    x, present = rows(0.3)
    graph = fused_graph(x, present, scored(), k=6)
    index, weight = graph.links(x, present, None)
    for member in range(3):
        out = member == FOLDS
        assert torch.equal(graph.settled()[0][member, out], index[member, out])
        torch.testing.assert_close(graph.settled()[1][member, out], weight[member, out])


def test_the_inductive_graph_of_a_member_does_not_depend_on_held_out_rows(rows):
    x, present = rows()
    moved = {m: v.clone() for m, v in x.items()}
    for v in moved.values():
        v[FOLDS == 1] *= -3
    first, second = (fused_graph(v, present, scored(), k=6) for v in (x, moved))
    at, kept = int(first.graph_of[1]), FOLDS != 1
    for name in ("index", "weight"):
        one, two = first.get_buffer(name)[at], second.get_buffer(name)[at]
        assert torch.equal(one[kept], two[kept])
    assert torch.equal(first.scale[at], second.scale[at])
    assert not torch.equal(first.weight[int(first.graph_of[0])], second.weight[int(second.graph_of[0])])


def test_one_held_out_row_does_not_touch_another(rows):
    x, present = rows()
    moved = {m: v.clone() for m, v in x.items()}
    row = int(np.flatnonzero(FOLDS == 1)[0])
    for v in moved.values():
        v[row] *= -3
    first, second = (fused_graph(v, present, scored(), k=6) for v in (x, moved))
    others, at = np.arange(N) != row, int(first.graph_of[1])
    assert torch.equal(first.index[at, others], second.index[at, others])
    assert torch.equal(first.weight[at, others], second.weight[at, others])


def test_the_transductive_graph_is_one_for_all_and_takes_in_rows_without_a_label(rows):
    x, present = rows()
    graph = fused_graph(x, present, scored()[:, :30], k=5, form="transductive")
    index, weight = nearest(fuse({m: affinity(v.double().numpy()) for m, v in x.items()}), k=5)
    assert len(graph.inside) == 1 and graph.graph_of.tolist() == [0] * 5 and graph.size == N
    for i in range(N):
        assert links_of(graph, 2)[i] == pytest.approx(dict(zip(index[i].tolist(), weight[i], strict=True)), rel=1e-4)
    assert any(j >= 30 for found in links_of(graph, 0)[:30] for j in found)


def test_rows_without_a_label_take_no_part_in_the_inductive_form(rows):
    graph = fused_graph(*rows(), scored()[:, :30], k=5)
    assert all(j < 30 for member in range(5) for found in links_of(graph, member) for j in found)


def test_graphs_made_before_are_taken_over(rows, monkeypatch):
    x, present = rows(0.3)
    before = fused_graph(x, present, scored(n_full=1), k=5)
    more = torch.cat([scored(n_full=0)[[2, 0, 1]], scored()[3:]])
    fresh = fused_graph(x, present, more, k=5)
    monkeypatch.setattr("omicsbal.graph.build.fuse", lambda *_: pytest.fail("fused once more"))
    again = fused_graph(x, present, more, k=5, known=before)
    assert same(fresh, again)
    with pytest.raises(pytest.fail.Exception, match="once more"):
        fused_graph(x, present, scored(0)[:1] * scored(0)[1:2], k=5, known=before)


def test_a_training_row_keeps_its_links_until_it_hides_something(rows):
    x, present = rows(0.3)
    graph = fused_graph(x, present, scored(), k=6)
    at = torch.tensor([4, 9, 30, 31])
    part, seen = {m: v[at] for m, v in x.items()}, {m: p[at] for m, p in present.items()}
    index, weight = graph.links(part, seen, at)
    assert torch.equal(index, graph.settled()[0][:, at]) and torch.equal(weight, graph.settled()[1][:, at])
    hidden = {"a": seen["a"], "b": torch.zeros_like(seen["b"])}
    changed = seen["b"]
    assert changed.any() and torch.equal(graph.intact(hidden, at), ~changed)
    index, weight = graph.links(part, hidden, at)
    assert torch.equal(index[:, ~changed], graph.settled()[0][:, at[~changed]])
    assert not (weight[:, changed][index[:, changed] == at[changed].view(1, -1, 1)]).any(), "a row is no neighbour of its own"
    alone = graph.links(part, hidden, None)
    for member in range(3):  # as a new row, where the member never saw it
        out = changed & torch.from_numpy(FOLDS[at] == member)
        assert torch.equal(index[member, out], alone[0][member, out])


def test_members_with_rows_of_their_own_are_linked_as_with_shared_rows(rows):
    x, present = rows(0.3)
    graph, (new, here) = fused_graph(x, present, scored(), k=6), rows(0.3, seed=5)
    shared = graph.links(new, here, None)
    own = graph.links({m: v.expand(5, -1, -1) for m, v in new.items()}, {m: p.expand(5, -1) for m, p in here.items()}, None)
    assert torch.equal(own[0], shared[0])
    torch.testing.assert_close(own[1], shared[1])
    at = torch.arange(N)
    hidden = {"a": present["a"], "b": torch.zeros_like(present["b"])}
    one = graph.links(x, hidden, at)
    two = graph.links(
        {m: v.expand(5, -1, -1) for m, v in x.items()}, {m: p.expand(5, -1) for m, p in hidden.items()}, at.expand(5, -1)
    )
    assert torch.equal(one[0], two[0])


def test_weights_of_neighbours_without_the_modality_go_to_the_others(rows):
    x, present = rows(0.5)
    graph = fused_graph(x, present, scored(), k=6)
    index, weight = graph.among("b", graph.settled())
    have = present["b"][index]
    assert not weight[~have].any() and torch.equal(index, graph.settled()[0])
    total = weight.sum(-1)
    assert torch.allclose(total[have.any(-1)], torch.ones(())) and not total[~have.any(-1)].any()


def test_its_buffers_make_it_again(rows):
    x, present = rows(0.3)
    graph = fused_graph(x, present, scored(), k=4)
    again = PatientGraph(["a", "b"], {name: v.clone() for name, v in graph.state_dict().items()})
    assert same(graph, again) and len(list(graph.parameters())) == 0
    for one, two in zip(graph.links(x, present, None), again.links(x, present, None), strict=True):
        assert torch.equal(one, two)


def test_values_where_absent_change_nothing(rows):
    x, present = rows(0.4)
    spoilt = {m: v.masked_fill(~present[m][:, None], float("nan")) for m, v in x.items()}
    assert same(fused_graph(x, present, scored(), k=4), fused_graph(spoilt, present, scored(), k=4))


@pytest.mark.parametrize("n", [1, 2, 4])
def test_few_rows(n):
    x, here = {"a": torch.randn(n, 2, generator=torch.Generator().manual_seed(0))}, {"a": torch.ones(n, dtype=torch.bool)}
    graph = fused_graph(x, here, torch.ones(1, n), k=20)
    assert graph.index.shape == (1, n, max(n - 1, 1))
    assert graph.weight.sum(-1).tolist() == [[float(n > 1)] * n]


@pytest.mark.parametrize(
    ("n", "options", "message"),
    [
        (5001, {"k": 5}, "encoder='mlp'"),
        (3, {"k": 0}, "graph_neighbours"),
        (3, {"k": 5, "form": "inductiv"}, "Did you mean 'inductive'"),
    ],
)
def test_what_cannot_be_built_is_refused(n, options, message):
    with pytest.raises(ValueError, match=message):
        fused_graph({"a": torch.zeros(n, 1)}, {"a": torch.ones(n, dtype=torch.bool)}, torch.ones(1, n), **options)
