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
    """``z -> (z - centre_k) Q_k + centre_ref``, per space and member k (orthogonal Procrustes, Schönemann 1966).

    Each member invents its own coordinates. Rotating them onto one reference keeps all distances, and lets rows that were embedded
    by different fold members share a plot.
    """

    centre: dict[str, np.ndarray]  # {space: (K, k)}
    turn: dict[str, np.ndarray]  # {space: (K, k, k)}
    reference: int  # member

    def apply(self, outputs: Outputs, which: slice) -> dict[str, np.ndarray]:
        """Mean aligned embedding (n, k) of the members `which`."""
        return {name: self.move(name, z.cpu().numpy()[which], which).mean(0) for name, z in spaces(outputs).items()}

    def move(self, name: str, z: np.ndarray, which: slice | np.ndarray) -> np.ndarray:
        """Aligned embeddings (K', n, k) of the members `which`."""
        centred = z - self.centre[name][which][:, None]
        return (centred @ self.turn[name][which] + self.centre[name][self.reference]).astype(np.float32)


def align(net: MultiOmicsNet, strategy: Strategy, data: Arrays, members: Members) -> Alignment:
    """Learn the motions on the training rows each member was trained on; the reference is the first deployed member."""
    reference = members.deployed.start or 0
    scored, parts = members.scored(data.y.device), all_members(net, strategy, data)
    bounds = np.cumsum([0] + [p.joint.shape[1] for p in parts])
    centre, turn = {}, {}
    for name in spaces(parts[0]):
        here = torch.ones_like(data.y, dtype=torch.bool) if name == FUSED else data.present[name]
        weight = (scored * scored[reference] * here).unsqueeze(-1)  # rows that both member and reference learned from
        pieces = [(spaces(p)[name], weight[:, a:b]) for p, a, b in zip(parts, bounds[:-1], bounds[1:], strict=True)]
        mass = sum(w.sum(1) for _, w in pieces).clamp(min=1)
        mean = sum((z * w).sum(1) for z, w in pieces) / mass  # (K, k)
        target = sum((z[reference] * w).sum(1) for z, w in pieces) / mass  # the reference's mean over the same rows
        cross = sum(
            ((z - mean[:, None]) * w).transpose(1, 2).double() @ (z[reference] - target[:, None]).double() for z, w in pieces
        )
        left, _, right = torch.linalg.svd(cross)
        centre[name], turn[name] = mean.cpu().numpy(), (left @ right).float().cpu().numpy()
    return Alignment(centre, turn, reference)
