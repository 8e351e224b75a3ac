"""One space for the embeddings of all members: rigid motions onto a reference member."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from omicsbal._types import FUSED, Arrays, Outputs
from omicsbal.balance._base import Strategy
from omicsbal.nn.net import MultiOmicsNet
from omicsbal.train.forward import all_members
from omicsbal.train.members import Members


def spaces(outputs: Outputs) -> dict[str, Tensor]:
    """The embeddings that are aligned: fused, and one a modality."""
    return {FUSED: outputs.joint, **outputs.z}


@dataclass(frozen=True)
class Alignment:
    """``z -> (z - centre_k) Q_k + home_k``, per space and member k (orthogonal Procrustes, Schönemann 1966).

    Each member invents its own coordinates. Moving them rigidly onto one reference keeps all distances, and lets rows that were
    embedded by different fold members share a plot.
    """

    centre: dict[str, np.ndarray]  # {space: (K, k)}, means of the member
    turn: dict[str, np.ndarray]  # {space: (K, k, k)}, orthogonal
    home: dict[str, np.ndarray]  # {space: (K, k)}, means of the reference over the same rows

    def apply(self, outputs: Outputs, which: slice) -> dict[str, np.ndarray]:
        """Mean aligned embedding (n, k) of the members `which`."""
        return {name: self.move(name, z.cpu().numpy()[which], which).mean(0) for name, z in spaces(outputs).items()}

    def move(self, name: str, z: np.ndarray, which: slice) -> np.ndarray:
        """Aligned embeddings (K', n, k) of the members `which`."""
        centred = z - self.centre[name][which][:, None]
        return (centred @ self.turn[name][which] + self.home[name][which][:, None]).astype(np.float32)


def align(net: MultiOmicsNet, strategy: Strategy, data: Arrays, members: Members) -> Alignment:
    """Learn the motions on the rows that both the member and the reference were trained on.

    The reference is the first deployed member.
    """
    reference = members.deployed.start or 0
    scored, parts = members.scored(data.y.device), [spaces(p) for p in all_members(net, strategy, data)]
    centre, turn, home = {}, {}, {}
    for name in parts[0]:
        here = torch.ones_like(data.y, dtype=torch.bool) if name == FUSED else data.present[name]
        share = scored * scored[reference] * here
        share = (share / share.sum(1, keepdim=True).clamp(min=1)).unsqueeze(-1)  # (K, n, 1)
        z = torch.cat([p[name] for p in parts], 1)  # (K, n, k)
        mean, target = (z * share).sum(1), (z[reference] * share).sum(1)
        cross = ((z - mean[:, None]) * share).transpose(1, 2) @ (z[reference] - target[:, None])
        left, _, right = torch.linalg.svd(cross)
        centre[name], turn[name], home[name] = mean.cpu().numpy(), (left @ right).cpu().numpy(), target.cpu().numpy()
    return Alignment(centre, turn, home)
