"""The whole net: encoders, masked fusion, a fused head and one head a modality."""

from typing import cast

import torch
from torch import Tensor, nn

from omicsbal._types import Outputs
from omicsbal._validate import problem
from omicsbal.config import NetConfig
from omicsbal.nn.encoders import Encoder
from omicsbal.nn.fusion import JointHead, MeanFusion
from omicsbal.nn.layers import Dropout, MemberLinear
from omicsbal.nn.rgcn import Graph, GraphEncoder, reversed_links


class MultiOmicsNet(nn.Module):
    """K nets side by side over M modalities.

    Parameters
    ----------
    sizes
        ``{m: d_m}``; the order is the order of the modalities.
    n_out
        c: classes, or 1 for regression.
    members
        K.
    config
        Width, depth, latent width, dropout, linear route.
    generator
        On the CPU; draws the initial weights and, until `draw_from`, the dropout.
    graph
        Over the training rows, for ``config.encoder`` "graph"; None for "mlp".

    Raises
    ------
    ValueError
        A graph without an encoder that looks at it, or the reverse.
    """

    graph: Graph | None

    def __init__(
        self,
        sizes: dict[str, int],
        n_out: int,
        *,
        members: int,
        config: NetConfig,
        generator: torch.Generator,
        graph: nn.Module | None = None,
    ) -> None:
        super().__init__()
        if (config.encoder == "graph") != (graph is not None):
            found = f"{'no' if graph is None else 'a'} graph for encoder {config.encoder!r}"
            do = "Make one with omicsbal.graph.build.fused_graph for encoder='graph', and for no other."
            raise ValueError(problem("graph", expected="one exactly where the encoder uses it", found=found, do=do))
        kind = Encoder if graph is None else GraphEncoder
        self.modalities = list(sizes)
        self.members = members
        # lists, not ModuleDict: a modality may have any name, "a.b" or "train" among them
        self.encoders = nn.ModuleList(kind(members, d, config, generator) for d in sizes.values())
        self.heads = nn.ModuleList(MemberLinear(members, config.latent, n_out, generator) for _ in sizes)
        self.fusion = MeanFusion(self.modalities, members, config.latent, generator)
        self.joint_head = JointHead(members, n_out, config, generator)
        self.graph = cast("Graph | None", graph)

    def draw_from(self, generator: torch.Generator) -> None:
        """Let dropout draw from this generator, which must be on the device the net is on."""
        for module in self.modules():
            if isinstance(module, Dropout):
                module.generator = generator

    def set_tilt(self, x: dict[str, Tensor], present: dict[str, Tensor], power: float) -> None:
        """Learn the encoders' column factors from the training rows that have their modality."""
        for m, encoder in zip(self.modalities, self.encoders, strict=True):
            cast("Encoder", encoder).set_tilt(x[m][present[m]], power)

    def encode(self, x: dict[str, Tensor], present: dict[str, Tensor], index: Tensor | None = None) -> dict[str, Tensor]:
        """Embeddings ``{m: (K, n, k)}``, zero where the modality is absent whatever x holds there.

        `index`, (n,) or (K, n), says which training rows these are; None: new ones. Only encoders on a graph ask.
        """
        masks = {m: present[m].unsqueeze(-1) for m in self.modalities}
        clean = {m: x[m].masked_fill(~mask, 0.0) for m, mask in masks.items()}
        if self.graph is not None:
            return {m: z * masks[m] for m, z in self._on_graph(self.graph, clean, present, index).items()}
        return {m: encoder(clean[m]) * masks[m] for m, encoder in zip(self.modalities, self.encoders, strict=True)}

    def _on_graph(
        self, graph: Graph, x: dict[str, Tensor], present: dict[str, Tensor], index: Tensor | None
    ) -> dict[str, Tensor]:
        """Embeddings before the mask: links are looked up for training rows that show all they have, else found."""
        known = index is not None and bool(graph.intact(present, index).all())
        links, settled, z = None if known else graph.links(x, present, index), graph.settled(), {}
        reverse = reversed_links(settled[0], graph.size)
        for m, encoder in zip(self.modalities, self.encoders, strict=True):
            rows = cast("Tensor", index) if links is None else graph.among(m, links)
            z[m] = cast("GraphEncoder", encoder).on_graph(x[m], graph.anchors(m), graph.among(m, settled), reverse, rows)
        return z

    def decode(
        self,
        z: dict[str, Tensor],
        present: dict[str, Tensor],
        *,
        shown: dict[str, Tensor] | None = None,
        probes: bool = False,
    ) -> Outputs:
        """Heads on embeddings; absent modalities take no part in the fused head.

        `shown` is what the fusion sees in place of z. With `probes` no gradient of the unimodal heads reaches z.
        """
        joint = self.fusion(z if shown is None else shown, present)
        unimodal = {m: head(z[m].detach() if probes else z[m]) for m, head in zip(self.modalities, self.heads, strict=True)}
        return Outputs(z=z, joint=joint, fused=self.joint_head(joint), unimodal=unimodal)

    def forward(self, x: dict[str, Tensor], present: dict[str, Tensor], index: Tensor | None = None) -> Outputs:
        return self.decode(self.encode(x, present, index), present)

    def groups(self) -> dict[str, list[nn.Parameter]]:
        """Parameters by what they serve: "encoder/<m>", its linear route "route/<m>", "head/<m>", and "fused"."""
        groups: dict[str, list[nn.Parameter]] = {}
        for m, encoder, head in zip(self.modalities, self.encoders, self.heads, strict=True):
            for name, parameter in encoder.named_parameters():
                groups.setdefault(f"{'route' if name.startswith('route.') else 'encoder'}/{m}", []).append(parameter)
            groups[f"head/{m}"] = list(head.parameters())
        return groups | {"fused": [*self.fusion.parameters(), *self.joint_head.parameters()]}
