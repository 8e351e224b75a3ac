"""One space for the embeddings of all members: rigid motions onto a reference member."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from omicsbal._types import FUSED, Arrays, Outputs
from omicsbal.balance._base import Strategy
from omicsbal.nn.net import MultiOmicsNet
from omicsbal.train.forward import everyone
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

    def move(self, name: str, z: np.ndarray, which: slice) -> np.ndarray:
        """Aligned embeddings (K', n, k) of the members `which`."""
        centred = z - self.centre[name][which][:, None]
        return (centred @ self.turn[name][which] + self.home[name][which][:, None]).astype(np.float32)


def rigid_motion(z: Tensor, target: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Centre (k,), turn (k, k) and home (k,): ``(z - centre) @ turn + home`` is closest to the target, both (n, k)."""
    centre, home = z.mean(0), target.mean(0)
    left, _, right = torch.linalg.svd((z - centre).T @ (target - home))
    return centre, left @ right, home


def align(net: MultiOmicsNet, strategy: Strategy, data: Arrays, members: Members) -> Alignment:
    """Learn the motions on the rows that both the member and the reference, the first deployed member, were trained on.

    Where there are none (two folds and no all-row member), all rows serve.
    """
    scored = members.scored(data.y.device)
    shared = scored * scored[members.reference]
    shared[shared.sum(1) == 0] = 1.0
    sums: dict[str, list[Tensor]] = {}
    start = 0
    for outputs in everyone(net, strategy, data):
        stop = start + outputs.joint.shape[1]
        for name, z in spaces(outputs).items():
            here = torch.ones_like(data.y[start:stop], dtype=torch.bool) if name == FUSED else data.present[name][start:stop]
            weight, z = (shared[:, start:stop] * here).unsqueeze(-1), z.to(shared.dtype)
            target = z[members.reference]
            parts = [weight.sum(1), (z * weight).sum(1), (target * weight).sum(1), (z * weight).transpose(1, 2) @ target]
            sums[name] = [a + b for a, b in zip(sums[name], parts, strict=True)] if name in sums else parts
        start = stop
    centre, turn, home = {}, {}, {}
    for name, (mass, own, theirs, cross) in sums.items():
        mass = mass.clamp(min=1)
        mean, target = own / mass, theirs / mass
        left, _, right = torch.linalg.svd(cross / mass.unsqueeze(-1) - mean.unsqueeze(2) * target.unsqueeze(1))
        centre[name], turn[name], home[name] = mean.cpu().numpy(), (left @ right).cpu().numpy(), target.cpu().numpy()
    return Alignment(centre, turn, home)
