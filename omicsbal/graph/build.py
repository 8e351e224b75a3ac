"""From training rows to their graphs."""

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor

from omicsbal._validate import check_choice, check_number
from omicsbal.config import GRAPH_FORMS
from omicsbal.graph.affinity import distances, kernel, local_scale
from omicsbal.graph.patients import PatientGraph
from omicsbal.graph.snf import check_rows, fuse, nearest


def fused_graph(
    x: Mapping[str, Tensor],
    present: Mapping[str, Tensor],
    scored: Tensor,
    *,
    k: int,
    form: str = "inductive",
    known: PatientGraph | None = None,
) -> PatientGraph:
    """Fuse the modalities of training rows into one graph for each set of rows that members are trained on.

    Parameters
    ----------
    x, present
        ``{m: (n, d_m)}`` and ``{m: (n,) bool}``; anything in x where the modality is absent.
    scored
        (K, n'), not 0 where member k trains on the row; n' at most n, and further rows have no label.
    k
        Neighbours that are kept.
    form
        "inductive": a member's graph is fused on the rows that it trains on; all others are attached to it, each by itself, so
        that neither training nor the other predictions touch a held-out row. "transductive": one graph of all n rows serves
        every member; features of held-out rows, never labels, then shape what training sees.
    known
        Graphs of the same rows with the same k for other members: those on a training set that is asked for again are reused.

    Returns
    -------
    The `PatientGraph`, on the device of x.

    Raises
    ------
    ValueError, TypeError
        More than 5,000 rows; a form or k that does not exist.

    Notes
    -----
    `omicsbal.graph.snf.fuse`, then `omicsbal.graph.snf.nearest`; held-out rows by `omicsbal.graph.attach.attach`. One graph a
    training set, each made once: with K folds K + 1 of them.

    Examples
    --------
    >>> x, here = {"a": torch.tensor([[0.0], [0.1], [5.0], [5.2]])}, {"a": torch.ones(4, dtype=torch.bool)}
    >>> graph = fused_graph(x, here, torch.tensor([[1, 1, 1, 1], [0, 1, 1, 1]]), k=1)
    >>> index, _ = graph.settled()  # (2, 4, 1)
    >>> index[0].squeeze(-1), bool((index[1] == 0).any())  # the second member never looks at row 0
    (tensor([1, 0, 3, 2]), False)
    """
    k = check_number("graph_neighbours", k, low=1, integer=True)
    n = len(next(iter(present.values())))
    check_rows(n)
    sets, graph_of = np.ones((1, n), dtype=bool), np.zeros(len(scored), dtype=np.int64)
    if check_choice("graph_form", form, GRAPH_FORMS) == "inductive":
        trained = np.pad(scored.bool().cpu().numpy(), ((0, 0), (0, n - scored.shape[1])))
        sets, graph_of = np.unique(trained, axis=0, return_inverse=True)
    clean = [v.masked_fill(~present[m].unsqueeze(-1), 0.0) for m, v in x.items()]
    have = np.stack([present[m].cpu().numpy() for m in x])
    made = {} if known is None else _made(known)
    apart = [distances(v.cpu().numpy()) for v in clean] if any(s.tobytes() not in made for s in sets) else []
    parts = [made.get(s.tobytes()) or _one_graph(apart, have, s, min(k, n - 1) or 1) for s in sets]
    arrays = {name: np.stack([part[i] for part in parts]) for i, name in enumerate(("scale", "index", "weight"))}
    arrays |= {"have": have, "inside": sets, "graph_of": graph_of.astype(np.int64)}
    device = next(iter(x.values())).device
    state = {name: torch.from_numpy(value).to(device) for name, value in arrays.items()}
    graph = PatientGraph(list(x), state | {f"x_{i}": v for i, v in enumerate(clean)})
    _attach_held_out(graph)
    return graph


def _made(graph: PatientGraph) -> dict[bytes, tuple[np.ndarray, ...]]:
    """Scale, index and weight of each graph by the rows that it was fused on."""
    arrays = [v.cpu().numpy() for v in (graph.inside, graph.scale, graph.index, graph.weight)]
    return {inside.tobytes(): parts for inside, *parts in zip(*arrays, strict=True)}  # type: ignore[misc]


def _one_graph(apart: list[np.ndarray], have: np.ndarray, inside: np.ndarray, k: int) -> tuple[np.ndarray, ...]:
    """Scale (M, n), index and weight (n, k) of the graph fused on the rows `inside`; the others' links are empty."""
    n, rows = len(inside), np.flatnonzero(inside)
    scale, affinities = np.zeros((len(have), n), dtype=np.float32), {}
    for i, (distance, here) in enumerate(zip(apart, have, strict=True)):
        mine = np.flatnonzero(here & inside)
        scale[i, mine] = local_scale(distance[np.ix_(mine, mine)])
        affinities[str(i)] = kernel(distance[np.ix_(rows, rows)], scale[i, rows].astype(np.float64))
    near, value = nearest(fuse(affinities, {str(i): here[rows] for i, here in enumerate(have)}), k=k)
    index, weight = np.zeros((n, k), dtype=np.int32), np.zeros((n, k), dtype=np.float32)
    index[rows, : near.shape[1]], weight[rows, : near.shape[1]] = rows[near], value
    return scale, index, weight


def _attach_held_out(graph: PatientGraph) -> None:
    """Fill in the links of the anchors that a graph was not fused on."""
    for g, inside in enumerate(graph.inside):
        out = (~inside).nonzero().squeeze(1)
        rows = {m: graph.anchors(m)[out] for m in graph.place}
        index, weight = graph.attach(rows, {m: graph.have[i][out] for m, i in graph.place.items()}, slice(g, g + 1))
        graph.index[g, out], graph.weight[g, out] = index[0].int(), weight[0]
