"""Training rows as a graph: who is whose neighbour, for each set of rows that some member is trained on."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from omicsbal.graph.attach import attach

Links = tuple[Tensor, Tensor]  # positions among the graph's rows, int64, and weights, both (..., n, k)


class PatientGraph(nn.Module):
    """The rows of G graphs ("anchors"), their links in each, and which graph each of K members uses; all in buffers.

    Parameters
    ----------
    modalities
        Names, in the order of the net.
    state
        Buffers by name, as `omicsbal.graph.build.fused_graph` makes them and `state_dict` gives them: ``x_0``, ``x_1``, ...
        (a, d_m) float32, zero where absent; ``have`` (M, a) bool; ``inside`` (G, a) bool, anchors that the graph was fused on;
        ``scale`` (G, M, a) float32; ``index`` (G, a, k) int32 and ``weight`` (G, a, k) float32, the links of each anchor;
        ``graph_of`` (K,) int64.
    """

    have: Tensor
    inside: Tensor
    scale: Tensor
    index: Tensor
    weight: Tensor
    graph_of: Tensor

    def __init__(self, modalities: list[str], state: Mapping[str, Tensor]) -> None:
        super().__init__()
        self.place = {m: i for i, m in enumerate(modalities)}
        for name in (*(f"x_{i}" for i in range(len(modalities))), *PatientGraph.__annotations__):
            self.register_buffer(name, state[name])

    @property
    def size(self) -> int:
        """Number of anchors, a."""
        return self.have.shape[1]

    def anchors(self, modality: str) -> Tensor:
        """Values (a, d_m) of the anchors, zero where they lack the modality."""
        return self.get_buffer(f"x_{self.place[modality]}")

    def settled(self) -> Links:
        """Links (K, a, k) of every anchor, as each member sees them."""
        return self.index[self.graph_of].long(), self.weight[self.graph_of]

    def intact(self, present: Mapping[str, Tensor], index: Tensor) -> Tensor:
        """Which of the anchors `index`, (n,) or (K, n), show every modality that they have."""
        return torch.stack([p == self.have[self.place[m]][index] for m, p in present.items()]).all(0)

    def links(self, x: Mapping[str, Tensor], present: Mapping[str, Tensor], index: Tensor | None) -> Links:
        """Links (K, n, k) of rows by what they show.

        Anchors (`index`) that show every modality they have keep their links; those that hide some are attached by the rest, to
        others than themselves; rows without an index are new and are attached.
        """
        links = self._attached(x, present, index)
        if index is None:
            return links
        at = index.expand(len(self.graph_of), -1)
        whole = self.intact(present, index).expand_as(at).unsqueeze(-1)
        graph = self.graph_of.unsqueeze(-1)
        kept = self.index[graph, at].long(), self.weight[graph, at]
        return torch.where(whole, kept[0], links[0]), torch.where(whole, kept[1], links[1])

    def _attached(self, x: Mapping[str, Tensor], present: Mapping[str, Tensor], own: Tensor | None) -> Links:
        """Links (K, n, k) by `attach`: all members' at once where they share rows, else member by member."""
        if next(iter(x.values())).dim() == 2:
            index, weight = self.attach(x, present, slice(None), own)
            return index[self.graph_of], weight[self.graph_of]
        found = []
        for member, g in enumerate(self.graph_of.tolist()):
            rows, here = {m: v[member] for m, v in x.items()}, {m: p[member] for m, p in present.items()}
            found.append(self.attach(rows, here, slice(g, g + 1), None if own is None else own[member]))
        return torch.cat([index for index, _ in found]), torch.cat([weight for _, weight in found])

    def attach(self, x: Mapping[str, Tensor], present: Mapping[str, Tensor], graphs: slice, own: Tensor | None = None) -> Links:
        """Links (G', n, k) of rows x, {m: (n, d_m)}, in some of the graphs: see `omicsbal.graph.attach.attach`."""
        anchors = {m: self.anchors(m) for m in self.place}
        usable = {m: self.inside[graphs] & self.have[i] for m, i in self.place.items()}
        scale = {m: self.scale[graphs, i] for m, i in self.place.items()}
        return attach(x, present, anchors, usable, scale, (self.index[graphs], self.weight[graphs]), own=own)

    def among(self, modality: str, links: Links) -> Links:
        """The links with weights of neighbours that lack the modality passed on to those that have it."""
        index, weight = links
        weight = weight * self.have[self.place[modality]][index]
        return index, weight / weight.sum(-1, keepdim=True).clamp(min=torch.finfo(weight.dtype).tiny)
