"""The best modality, trained alone, guides the others; no fused loss."""

import torch
from torch import Tensor
from torch.nn import functional

from omicsbal._types import FUSED, Batch, FitState, Outputs, References
from omicsbal._validate import check_choice, check_number
from omicsbal.balance._anchor import anchor_of, disagreement, overlap, residual
from omicsbal.balance._base import Strategy
from omicsbal.balance._entropy import entropy_fused, entropy_weights
from omicsbal.balance._grads import cosine, gradient
from omicsbal.balance._scores import note
from omicsbal.objectives.supervised import masked_mean


class Udi(Strategy):
    """The best modality, trained alone, tells the others what it predicts and what they need not learn again.

    Parameters
    ----------
    controller
        "gradients": w by the cosines below; "fixed": v below is 1.
    consistency, complement
        Of the two terms, >= 0. The second is small, since chance alone makes ``k mean C^2`` about k / n in a batch of n rows.
    strength
        Factor >= 0 of all w. At 0 every modality is trained alone.
    memory, sharpness
        Share in [0, 1] of the old value in the running q, and the temperature > 0 of its softmax.

    Raises
    ------
    ValueError, TypeError
        A number outside its range, an unknown controller.

    Notes
    -----
    ``L = L_A + sum_(m != A) (L_m + w_1 JS(p_m || p_A) + w_2 k mean C^2)``, C the correlations of the dimensions of z_m and z_A
    within class (for numbers: given the label), or the term would take away what both know of it. ``w = strength (consistency,
    complement) v``, ``v = 2 softmax(q / sharpness)``, q the running cosines, from 0, of the gradients of the two terms at z_m
    with that of L_m. The fused prediction is ``sum_m v_m p_m``, v the softmax of minus the entropies. For numbers JS is the
    squared difference and all v are equal. The anchor A has the best reference; within 0.01, the surest of the best.

    In the style of the paper: anchor, JS and a controller that reads gradients are its own; the other term, the controller's
    formula, the fusion and "within class" are ours. p_A and z_A are those of the cross-fitted reference, which does not change,
    while the anchor's branch here learns from L_A alone. All followers learn at once, from one anchor and from scratch.

    Examples
    --------
    >>> Udi(controller="fixed").settings()["complement"]
    0.1
    """

    references, cost = True, 1.8
    paper, confidence = "Wang et al. 2025, arXiv:2509.02281", "our reconstruction"
    agreement: Tensor  # (K, M, 2) running cosines of consistency and complement

    def __init__(
        self, controller: str = "gradients", consistency: float = 1.0, complement: float = 0.1, strength: float = 1.0,
        memory: float = 0.9, sharpness: float = 0.5,
    ) -> None:  # fmt: skip
        super().__init__()
        self.controller = check_choice("controller", controller, ("gradients", "fixed"))
        self.consistency = check_number("consistency", consistency, low=0)
        self.complement = check_number("complement", complement, low=0)
        self.strength, self.memory = check_number("strength", strength, low=0), check_number("memory", memory, low=0, high=1)
        self.sharpness = check_number("sharpness", sharpness, low=0, open_low=True)

    def setup(self, state: FitState) -> None:
        known: References = state.references  # type: ignore[assignment]
        self.register_buffer("agreement", torch.zeros(len(state.scored), len(state.data.x), 2))
        self.anchor = anchor_of(known, state.data.present)
        self.space = known.features(self.anchor)

    def terms(self, state: FitState, outputs: Outputs, batch: Batch) -> dict[str, tuple[Tensor, Tensor]]:
        found: dict[str, tuple[Tensor, Tensor]] = {}
        if not self.strength:
            return found
        target = state.references.targets[self.anchor][:, batch.index]  # type: ignore[union-attr]
        y = batch.y.float() if state.task.n_out == 1 else functional.one_hot(batch.y, state.task.n_out).float()
        basis = torch.stack([torch.ones_like(y), y], -1) if state.task.n_out == 1 else y
        for m in [m for m in outputs.z if m != self.anchor]:
            mask = batch.scored * (batch.present[m] & batch.present[self.anchor])
            apart = disagreement(outputs.unimodal[m], target)
            found[f"consistency:{m}"] = masked_mean(apart, mask, batch.weight)
            own, other = (residual(v, basis, mask) for v in (outputs.z[m], self.space[:, batch.index]))
            found[f"complement:{m}"] = overlap(own, other), mask.sum(-1)
        return found

    def weights(self, state: FitState, losses: dict[str, Tensor], outputs: Outputs, batch: Batch) -> dict[str, Tensor | float]:
        found: dict[str, Tensor | float] = {FUSED: 0.0}
        used = torch.zeros_like(self.agreement)
        fixed = [self.strength * self.consistency, self.strength * self.complement]
        for i, m in enumerate(outputs.z):
            names = [f"consistency:{m}", f"complement:{m}"]
            if names[0] not in losses:
                continue
            used[:, i] = used.new_tensor(fixed)
            found |= dict(zip(names, fixed, strict=True))
            if self.controller == "gradients":
                own, *others = (gradient(losses[name], [outputs.z[m]]) for name in (m, *names))
                newest, old = torch.stack([cosine(own, g) for g in others], -1), self.agreement[:, i]
                # a cosine of 0 is that of a term without rows
                self.agreement[:, i] = torch.where(newest == 0, old, self.memory * old + (1 - self.memory) * newest)
                used[:, i] *= 2 * (self.agreement[:, i] / self.sharpness).softmax(-1)
                found |= dict(zip(names, used[:, i].unbind(-1), strict=True))
        state.signals[f"anchor:{self.anchor}"] = 1.0
        for place, kind in enumerate(("consistency", "complement")):
            note(state, kind, used[..., place])
        return found

    def fuse(self, outputs: Outputs, present: dict[str, Tensor]) -> Tensor:
        if outputs.fused.shape[-1] == 1:
            return entropy_fused(outputs.unimodal, present)
        shares = entropy_weights(outputs.unimodal, present).unsqueeze(-1)
        mean = (shares * torch.stack(list(outputs.unimodal.values())).softmax(-1)).sum(0)
        return mean.clamp(min=torch.finfo(mean.dtype).tiny).log()

    def finish(self) -> None:
        self.space, self._buffers = torch.empty(0), {}
