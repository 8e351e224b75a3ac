"""Links from new rows to the rows of a graph, by whatever modalities they have."""

from collections.abc import Mapping

import torch
from torch import Tensor

from omicsbal.graph.affinity import MU, NEIGHBOURS

TINY = torch.finfo(torch.float64).tiny  # a sum of no weights, so that 0 / 0 is 0


def attach(
    x: Mapping[str, Tensor],
    present: Mapping[str, Tensor],
    anchors: Mapping[str, Tensor],
    usable: Mapping[str, Tensor],
    scale: Mapping[str, Tensor],
    links: tuple[Tensor, Tensor],
    *,
    own: Tensor | None = None,
    neighbours: int = NEIGHBOURS,
    mu: float = MU,
) -> tuple[Tensor, Tensor]:
    """Link new rows to the anchors that resemble them, in G graphs at once.

    In each modality that a row has, the kernel of `omicsbal.graph.affinity.affinity` gives its affinity to the K nearest anchors
    that may be used, scaled to sum to 1. With a the mean over those modalities, (n, a), and A the links among the anchors, the k
    largest entries of ``a + a A`` are kept and scaled to sum to 1. A row's links depend on no other new row.

    Parameters
    ----------
    x, present
        ``{m: (n, d_m)}`` and ``{m: (n,) bool}`` of the new rows; anything in x where the modality is absent.
    anchors
        ``{m: (a, d_m)}`` of the graphs' rows.
    usable
        ``{m: (G, a) bool}``: anchors that belong to the graph and have the modality.
    scale
        ``{m: (G, a)}`` local scales of the anchors in each graph.
    links
        Positions and weights (G, a, k) of the anchors' own neighbours.
    own
        (n,) position of the anchor that is the new row itself, which is left out; -1 for none.
    neighbours, mu
        K and mu of the kernel.

    Returns
    -------
    Positions (G, n, k) int64 among the anchors and weights (G, n, k) float32; weight 0 where a row has fewer links, and for a row
    that has no modality.

    Notes
    -----
    Our reconstruction: the paper does not say how new samples enter its network. Fusing them in would make a row's links
    depend on the other new rows. The step along the anchors' links, ``a A``, stands in for the diffusion that fusion gives
    the rows it saw.

    Examples
    --------
    >>> anchors, usable = {"a": torch.tensor([[0.0], [1.0], [5.0], [6.0]])}, {"a": torch.ones(1, 4, dtype=torch.bool)}
    >>> links = torch.tensor([[[1, 2], [0, 2], [3, 1], [2, 1]]]), torch.tensor([0.9, 0.1]).expand(1, 4, 2)
    >>> new, here = {"a": torch.tensor([[0.2], [5.9]])}, {"a": torch.tensor([True, True])}
    >>> attach(new, here, anchors, usable, {"a": torch.ones(1, 4)}, links, neighbours=2)[0]
    tensor([[[0, 1],
             [3, 2]]])
    """
    index, weight = links
    apart = {m: _distances(x[m].masked_fill(~here.unsqueeze(-1), 0.0), anchors[m], own) for m, here in present.items()}
    count = torch.stack(list(present.values())).sum(0).clamp(min=1)[:, None]
    lists = []
    for g in range(len(index)):
        parts = [_kernel(d, usable[m][g], scale[m][g].double(), neighbours, mu) * present[m][:, None] for m, d in apart.items()]
        affinity = torch.stack(parts).sum(0) / count
        value, where = affinity.topk(min(neighbours * len(parts), affinity.shape[1]), dim=-1)
        onward = value[..., None] * weight[g][where]
        affinity.scatter_add_(1, index[g][where].long().flatten(1), onward.flatten(1))
        if own is not None:
            known = (own >= 0).nonzero().squeeze(1)
            affinity[known, own[known]] = 0
        value, found = affinity.topk(index.shape[-1], dim=-1)
        lists.append((found, value / value.sum(-1, keepdim=True).clamp(min=TINY)))
    return torch.stack([found for found, _ in lists]), torch.stack([value for _, value in lists]).float()


def _distances(x: Tensor, anchors: Tensor, own: Tensor | None) -> Tensor:
    """Euclidean distances (n, a) float64, infinite between a row and the anchor that is itself."""
    # always by the product, lest one row alone be measured to other digits than a row among many
    distance = torch.cdist(x.double(), anchors.double(), compute_mode="use_mm_for_euclid_dist")
    if own is not None:
        known = (own >= 0).nonzero().squeeze(1)
        distance[known, own[known]] = torch.inf
    return distance


def _kernel(distance: Tensor, usable: Tensor, scale: Tensor, neighbours: int, mu: float) -> Tensor:
    """Affinities (n, a) to the nearest usable anchors, each row scaled to sum to 1, or 0 where there is none."""
    near, where = distance.masked_fill(~usable, torch.inf).topk(min(neighbours, len(usable)), largest=False)
    known = near.isfinite()
    near = near.masked_fill(~known, 0.0)
    mine = near.sum(-1, keepdim=True) / known.sum(-1, keepdim=True).clamp(min=1)
    sigma = (mine + scale[where] + near) / 3
    ratio = torch.where(sigma > 0, near / sigma, 0.0)  # between copies sigma is 0
    value = torch.exp(-0.5 * (ratio / mu) ** 2) * known
    value = value / value.sum(-1, keepdim=True).clamp(min=TINY)
    return torch.zeros_like(distance).scatter(-1, where, value)
