"""MLA: modalities take turns at one shared classifier."""

import torch
from torch import Tensor, nn
from torch.nn import functional

from omicsbal._types import FUSED, Batch, FitState, Outputs
from omicsbal._validate import check_number
from omicsbal.balance._base import Strategy
from omicsbal.balance._entropy import entropy_fused
from omicsbal.balance._projection import absorbed
from omicsbal.balance._scores import masked


class Mla(Strategy):
    """Modalities take turns: each trains its encoder and one shared classifier alone; the surer modality then speaks louder.

    Parameters
    ----------
    damping
        alpha > 0; the smaller, the further the classifier's gradient is kept away from the mean embeddings of the visits before.
        None: no such projection, turns alone.

    Raises
    ------
    ValueError, TypeError
        `damping` not above 0.

    Notes
    -----
    A batch is M optimiser steps, in the order of the modalities; step m has the loss ``L_m`` of ``h(z_m)``, h linear and shared.
    From the second visit of an epoch on, the step of W is projected, ``W <- W_old + P (W - W_old)``; after each visit, r the
    mean embedding, ``k = P r``, ``P <- P - k k' / (alpha + r' k)``. Prediction: ``sum_m w_m h(z_m)``, w a softmax over the
    present modalities of minus the entropy. There is no fused loss, so what only two modalities together tell (XOR) cannot be
    learned.

    Zhang et al. (2024, arXiv:2311.10707). Departures, of which the first four undo errors of released code: the projection runs;
    P absorbs a modality after its step was projected, not before; the denominator is the scalar; the entropy is over classes and
    not over the batch. Embeddings have unit length in r and P begins anew each epoch, since an exact P otherwise shrinks towards
    0 in every direction and the classifier stops to learn. alpha is constant, where the code has 0.1 to 0.01. The classifier
    starts from ``sqrt(M)`` times the mean of M draws, which has the spread of one draw. Numbers have no entropy: their weights
    are the inverse of each modality's newest squared error on held-out rows, equal until there is one (our choice). The step is
    projected and not the gradient, from which Adam's momentum and scaling would turn it away; under plain gradient descent both
    are the same. The classifier has no weight decay.

    Examples
    --------
    >>> Mla(damping=None).heads(["rna", "atac"])
    ['fused', 'rna', 'atac']
    """

    paper, confidence = "Zhang et al. 2024, arXiv:2311.10707", "faithful"
    needs, cost = "M updates a batch", 1.1
    weight: Tensor
    bias: Tensor
    projector: Tensor
    precision: Tensor  # (M, K)

    def __init__(self, damping: float | None = 0.1) -> None:
        super().__init__()
        self.damping = None if damping is None else check_number("damping", damping, low=0, open_low=True)
        self.visited: Tensor | None = None  # mean embedding (K, k) of the current visit
        self.before: Tensor | None = None  # the classifier before its step

    def setup(self, state: FitState) -> None:
        drawn = torch.stack([parts[0].detach() for name, parts in state.net.groups().items() if name.startswith("head/")])  # type: ignore[operator]
        self.weight = nn.Parameter(drawn.mean(0) * len(drawn) ** 0.5)
        self.bias = nn.Parameter(torch.zeros_like(drawn[0, :, :1]))
        self.register_buffer("projector", self._whole())
        self.register_buffer("precision", drawn.new_ones(drawn.shape[:2]))

    def _whole(self) -> Tensor:
        """The identity (K, k, k): nothing visited yet."""
        members, k, _ = self.weight.shape
        return torch.eye(k, device=self.weight.device).expand(members, k, k).clone()

    def start_epoch(self, state: FitState) -> None:
        self.projector = self._whole()
        if state.held_out is not None and state.task.n_out == 1:
            data, said = state.data, state.held_out.unimodal
            off = [masked(state.task.loss(s, data.y), state.scored * data.present[m], data.weight) for m, s in said.items()]
            self.precision = 1 / torch.stack(off).nan_to_num(nan=1.0).clamp(min=1e-6)

    def passes(self, state: FitState, names: list[str]) -> list[list[str]]:
        turns = [[name] for name in names if name != FUSED]
        turns[-1] = [FUSED, *turns[-1]]  # so that it is in the history
        return turns

    def own_heads(self, z: dict[str, Tensor]) -> dict[str, Tensor]:
        return {m: torch.baddbmm(self.bias, v, self.weight) for m, v in z.items()}

    def weights(self, state: FitState, losses: dict[str, Tensor], outputs: Outputs, batch: Batch) -> dict[str, Tensor | float]:
        now = next(m for m in outputs.unimodal if m in losses)
        rows = functional.normalize(outputs.z[now].detach(), dim=-1)
        mask = (batch.scored * batch.present[now]).unsqueeze(-2)
        self.visited = masked(rows.transpose(-1, -2), mask, batch.weight).nan_to_num(nan=0.0)
        return {FUSED: 0.0}

    def backward(self, state: FitState, losses: dict[str, Tensor], weights: dict[str, Tensor | float]) -> None:
        super().backward(state, losses, weights)
        self.before = self.weight.detach().clone()

    @torch.no_grad()
    def stepped(self, state: FitState) -> None:
        if self.damping is not None and self.visited is not None and self.before is not None:
            self.weight.copy_(self.before + self.projector @ (self.weight - self.before))
            self.projector = absorbed(self.projector, self.visited, damping=self.damping)
        self.visited = self.before = None

    def fuse(self, outputs: Outputs, present: dict[str, Tensor]) -> Tensor:
        if outputs.fused.shape[-1] > 1:
            return entropy_fused(outputs.unimodal, present)
        share = torch.stack([w.unsqueeze(-1) * present[m] for w, m in zip(self.precision, outputs.unimodal, strict=True)])
        share = (share / share.sum(0).clamp(min=1e-12)).unsqueeze(-1)
        return sum(w * said for w, said in zip(share, outputs.unimodal.values(), strict=True))

    def finish(self) -> None:
        del self.projector
