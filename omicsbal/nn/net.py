"""The whole net: encoders, masked fusion, a fused head and one head a modality."""

from typing import cast

import torch
from torch import Tensor, nn

from omicsbal._types import Outputs
from omicsbal.config import NetConfig
from omicsbal.nn.encoders import Encoder
from omicsbal.nn.fusion import JointHead, MeanFusion
from omicsbal.nn.layers import Dropout, MemberLinear


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
    """

    def __init__(self, sizes: dict[str, int], n_out: int, *, members: int, config: NetConfig, generator: torch.Generator) -> None:
        super().__init__()
        self.modalities = list(sizes)
        self.members = members
        # lists, not ModuleDict: a modality may have any name, "a.b" or "train" among them
        self.encoders = nn.ModuleList(Encoder(members, d, config, generator) for d in sizes.values())
        self.heads = nn.ModuleList(MemberLinear(members, config.latent, n_out, generator) for _ in sizes)
        self.fusion = MeanFusion(self.modalities, members, config.latent, generator)
        self.joint_head = JointHead(members, n_out, config, generator)

    def draw_from(self, generator: torch.Generator) -> None:
        """Let dropout draw from this generator, which must be on the device the net is on."""
        for module in self.modules():
            if isinstance(module, Dropout):
                module.generator = generator

    def set_tilt(self, x: dict[str, Tensor], present: dict[str, Tensor], power: float) -> None:
        """Learn the encoders' column factors from the training rows that have their modality."""
        for m, encoder in zip(self.modalities, self.encoders, strict=True):
            cast("Encoder", encoder).set_tilt(x[m][present[m]], power)

    def encode(self, x: dict[str, Tensor], present: dict[str, Tensor]) -> dict[str, Tensor]:
        """Embeddings ``{m: (K, n, k)}``, zero where the modality is absent whatever x holds there."""
        z = {}
        for m, encoder in zip(self.modalities, self.encoders, strict=True):
            mask = present[m].unsqueeze(-1)
            z[m] = encoder(x[m].masked_fill(~mask, 0.0)) * mask
        return z

    def decode(self, z: dict[str, Tensor], present: dict[str, Tensor]) -> Outputs:
        """Heads on embeddings; absent modalities take no part in the fused head."""
        joint = self.fusion(z, present)
        unimodal = {m: head(z[m]) for m, head in zip(self.modalities, self.heads, strict=True)}
        return Outputs(z=z, joint=joint, fused=self.joint_head(joint), unimodal=unimodal)

    def forward(self, x: dict[str, Tensor], present: dict[str, Tensor]) -> Outputs:
        return self.decode(self.encode(x, present), present)

    def groups(self) -> dict[str, list[nn.Parameter]]:
        """Parameters by what they serve: "encoder/<m>", its linear route "route/<m>", "head/<m>", and "fused"."""
        groups: dict[str, list[nn.Parameter]] = {}
        for m, encoder, head in zip(self.modalities, self.encoders, self.heads, strict=True):
            for name, parameter in encoder.named_parameters():
                groups.setdefault(f"{'route' if name.startswith('route.') else 'encoder'}/{m}", []).append(parameter)
            groups[f"head/{m}"] = list(head.parameters())
        return groups | {"fused": [*self.fusion.parameters(), *self.joint_head.parameters()]}
