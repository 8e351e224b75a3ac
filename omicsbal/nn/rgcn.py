"""The revised graph convolution: the MLP encoder with a term for the neighbours in each hidden layer."""

from collections.abc import Mapping
from typing import Any, Protocol

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from omicsbal.config import NetConfig
from omicsbal.nn.encoders import Encoder

Links = tuple[Tensor, Tensor]  # positions among the anchors, int64, and weights, both (K, n, k)
Reverse = tuple[Tensor | None, Tensor | None]  # (K n k) order of the links by what they lead to; (K a) where each of these begins
BLOCK = 4  # modules of one hidden layer of the encoder: linear map, norm, activation, dropout


class Graph(Protocol):
    """What the net asks of a graph over the training rows, its anchors; `omicsbal.graph.patients.PatientGraph` is one."""

    @property
    def size(self) -> int:
        """Number of anchors, a."""

    def anchors(self, modality: str) -> Tensor:
        """Values (a, d_m), zero where absent."""

    def settled(self) -> Links:
        """Links (K, a, k) of the anchors."""

    def links(self, x: Mapping[str, Tensor], present: Mapping[str, Tensor], index: Tensor | None) -> Links:
        """Links (K, n, k) of any rows by what they show; `index` says which anchors they are, if they are."""

    def intact(self, present: Mapping[str, Tensor], index: Tensor) -> Tensor:
        """Which of the anchors `index` show all that they have."""

    def among(self, modality: str, links: Links) -> Links:
        """The links with the weight of neighbours without the modality passed on to the others."""


class _Sums(torch.autograd.Function):
    """Weighted sums of rows, whose gradient is again one: over the links that lead to each row, in the order of the linking rows.

    That of `embedding_bag` adds in an order that depends on all links, so that links of rows without any part in the loss would
    change the last digit; it is also several times slower.
    """

    @staticmethod
    def forward(ctx: Any, values: Tensor, index: Tensor, weight: Tensor, order: Tensor | None, starts: Tensor | None) -> Tensor:
        ctx.save_for_backward(weight, order, starts)
        return nn.functional.embedding_bag(index, values, per_sample_weights=weight, mode="sum")

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None, None, None]:
        weight, order, starts = ctx.saved_tensors
        source = order // weight.shape[1]
        back = nn.functional.embedding_bag(
            source, gradient.contiguous(), starts, per_sample_weights=weight.flatten()[order], mode="sum"
        )
        return back, None, None, None, None


def gather(values: Tensor, links: Links, reverse: Reverse | None = None) -> Tensor:
    """Weighted sums (K, n, w) over the links of values (K, a, w); each member has its own links.

    `reverse` is `reversed_links` of them, to save the sorting of links that are used more than once.
    """
    index, weight = links
    members, a, width = values.shape
    order, starts = reverse or reversed_links(index, a)
    sums: Tensor = _Sums.apply(
        values.reshape(-1, width), _flat(index, a).flatten(0, 1), weight.to(values.dtype).flatten(0, 1), order, starts
    )
    return sums.view(members, -1, width)


def _flat(index: Tensor, a: int) -> Tensor:
    """Positions (K, n, k) among the a anchors of each member as positions among those of all."""
    return index + torch.arange(len(index), device=index.device).view(-1, 1, 1) * a


def reversed_links(index: Tensor, a: int) -> Reverse:
    """The links (K, n, k) from the other end, for gradients: see `Reverse`; nothing where none are taken."""
    if not torch.is_grad_enabled():
        return None, None
    flat = _flat(index, a).flatten()
    arriving = torch.bincount(flat, minlength=len(index) * a)
    return flat.argsort(stable=True), arriving.cumsum(0) - arriving


def pick(values: Tensor, index: Tensor) -> Tensor:
    """Rows `index`, (n,) or (K, n), of values (a, w) or (K, a, w)."""
    if values.dim() == 2:
        return values[index]
    if index.dim() == 1:
        return values[:, index]
    return values[torch.arange(len(values), device=index.device).unsqueeze(-1), index]


class NeighbourLinear(nn.Module):
    """K linear maps without a bias, zero at first: (a, d) shared rows, or (K, a, d), to (K, a, out)."""

    def __init__(self, members: int, d_in: int, d_out: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(members, d_in, d_out))

    def forward(self, x: Tensor) -> Tensor:
        if x.dim() == 3:
            return torch.bmm(x, self.weight)
        members, d_in, d_out = self.weight.shape
        wide = x @ self.weight.transpose(0, 1).reshape(d_in, members * d_out)
        return wide.view(len(x), members, d_out).transpose(0, 1)


class GraphEncoder(Encoder):
    """Rows of one modality on a graph fused from all: `Encoder` with neighbours in each hidden layer.

    ``H' = phi(H W_self + A H W_nbr + b)``, A being row-normalised, without a diagonal, with k entries a row; phi is norm, GELU
    and dropout as in the MLP. After the hidden layers come the same linear map and linear route as there.

    Only "features of one modality, edges fused from all" is known of the paper's layer (arXiv:2511.00987); this form is our
    reconstruction. A separate W_self lets W_nbr = 0 be the MLP, and there it starts, so that a bad graph has nothing to undo.
    """

    def __init__(self, members: int, d_in: int, config: NetConfig, generator: torch.Generator) -> None:
        super().__init__(members, d_in, config, generator)
        widths = [d_in] + [config.width] * (config.depth - 1)
        self.neighbours = nn.ModuleList(NeighbourLinear(members, width, config.width) for width in widths)

    def _hidden(self, depth: int, h: Tensor, around: Tensor) -> Tensor:
        """One hidden layer: own rows h, and what the neighbours add to its linear map."""
        start = depth * BLOCK
        return self.mlp[start + 1 : start + BLOCK](self.mlp[start](h) + around)

    def on_graph(self, x: Tensor, anchors: Tensor, settled: Links, reverse: Reverse, rows: Links | Tensor) -> Tensor:
        """Embeddings (K, n, k).

        Parameters
        ----------
        x
            Rows (n, d) or (K, n, d).
        anchors, settled, reverse
            (a, d) rows of the graph and their links (K, a, k), from either end.
        rows
            Links (K, n, k) of the rows x; or which anchors they are, (n,) or (K, n), whose hidden layers then serve.
        """
        mesh, h = anchors * self.tilt, x * self.tilt
        own, last = h, len(self.neighbours) - 1
        for depth, neighbour in enumerate(self.neighbours):
            message = neighbour(mesh)
            if not isinstance(rows, Tensor):
                h = self._hidden(depth, h, gather(message, rows))
            if depth < last:
                mesh = self._hidden(depth, mesh, gather(message, settled, reverse))
            elif isinstance(rows, Tensor):
                h = self._hidden(depth, pick(mesh, rows), pick(gather(message, settled, reverse), rows))
        z = self.mlp[-1](h)
        return z if self.route is None else z + self.route(own)
