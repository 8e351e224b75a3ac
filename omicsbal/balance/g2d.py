"""Distillation from unimodal teachers while the weakest modalities learn first."""

import torch
from torch import Tensor

from omicsbal._types import Batch, FitState, Outputs
from omicsbal._validate import check_choice, check_number, problem
from omicsbal.balance._base import Strategy
from omicsbal.balance._phases import SUPPRESSION, multipliers, out_of_fold_confidence, phase_of, weakest_first
from omicsbal.balance._updates import scale_update
from omicsbal.nn.fusion import mean_over_present
from omicsbal.objectives.supervised import masked_mean


class G2d(Strategy):
    """Teachers of single modalities guide embeddings and prediction; weak ones learn first while the strong stand still.

    Parameters
    ----------
    feature, logit, unimodal_weight, temperature
        alpha, beta, u >= 0 and T > 0 of the loss below; the paper has no u.
    per_teacher
        A row's logit KD is the "mean" over its teachers, or their "sum", as in the paper, which grows with their number.
    smp, strength
        Prioritisation: "complete", only the active encoder moves; "partial", others at ``1 - tanh(strength relu(r - 1))``, r the
        teacher's confidence over the mean of the others', strength >= 0; "none".
    rank_on
        Weakest first by the teachers' confidence "held_out" or, as in the code, on "train" rows; "gap": largest first of the
        teacher's minus the student's out-of-fold confidence, at the first evaluation after a tenth of the epochs.
    share, fusion
        Share in [0, 1] of all epochs for each of the M - 1 phases (0.5 in the code, M = 2), cut at 0.75 / (M - 1); "late", the
        mean of the unimodal outputs, or "net", the net's own.

    Raises
    ------
    ValueError, TypeError
        Number out of range; unknown name; a gap without trained unimodal heads.

    Notes
    -----
    ``L = L_0 + alpha sum_m mean_d (z_m - t_m)^2 + beta T^2 mean_m KL(teacher m || fused) + u sum_m L_m``; for numbers squared
    differences in place of KL. Phase j moves encoder j and all heads; later all move. The code ranks each batch anew and zeroes
    gradients of 4-D tensors, which an MLP lacks; here the order is settled once, and who waits gets no step. The mean over
    dimensions is the code's (paper: sum). Teachers are cross-fitted, not memorised. Partial and gap are our choice.

    Examples
    --------
    >>> G2d(unimodal_weight=1).heads(["rna", "cnv"])
    ['fused', 'rna', 'cnv']
    """

    unimodal, references, cost = False, True, 1.2
    paper, confidence = "Rakib & Bagavathi 2025, arXiv:2506.21514", "faithful"
    rank: Tensor  # (M,) phase in which each modality is active; all -1 while unsettled
    begun: Tensor  # () epoch in which the first phase began

    def __init__(
        self, feature: float = 1.0, logit: float = 1.0, temperature: float = 1.0, per_teacher: str = "mean",
        unimodal_weight: float = 0.0, smp: str = "complete", strength: float = 1.0, rank_on: str = "held_out",
        share: float = 0.1, fusion: str = "late",
    ) -> None:  # fmt: skip
        super().__init__()
        self.feature, self.logit = check_number("feature", feature, low=0), check_number("logit", logit, low=0)
        self.temperature = check_number("temperature", temperature, low=0, open_low=True)
        self.unimodal_weight = check_number("unimodal_weight", unimodal_weight, low=0)
        self.strength, self.share = check_number("strength", strength, low=0), check_number("share", share, low=0, high=1)
        self.per_teacher = check_choice("per_teacher", per_teacher, ("mean", "sum"))
        self.smp = check_choice("smp", smp, SUPPRESSION)
        self.rank_on = check_choice("rank_on", rank_on, ("held_out", "train", "gap"))
        self.fusion, self.unimodal = check_choice("fusion", fusion, ("late", "net")), self.unimodal_weight > 0
        if rank_on == "gap" and fusion == "net" and not self.unimodal:
            do = "Pass fusion='late', or a unimodal_weight above 0."
            raise ValueError(problem("rank_on", expected="unimodal heads that are trained, for a gap", found="none", do=do))
        self.finish()

    def setup(self, state: FitState) -> None:
        known, names = state.references, list(state.data.x)
        self.register_buffer("rank", torch.full((len(names),), -1))
        self.register_buffer("begun", torch.tensor(0))
        self.spaces = {m: known.features(m) for m in names} if self.feature else {}  # type: ignore[union-attr]
        sure = known.seen if self.rank_on == "train" else known.unseen  # type: ignore[union-attr]
        self.taught = torch.tensor([sure[m] for m in names])
        self.rank.copy_(self.rank if self.rank_on == "gap" else weakest_first(self.taught))

    def start_epoch(self, state: FitState) -> None:
        if int(self.rank[0]) < 0 and state.held_out is not None and 10 * state.epoch >= state.n_epochs:
            self.rank.copy_(weakest_first(out_of_fold_confidence(state, state.held_out).cpu() - self.taught))
            self.begun.fill_(state.epoch)
        phase = phase_of(state.epoch, state.n_epochs, share=self.share, n_phases=len(self.rank) - 1, begun=int(self.begun))
        factors = multipliers(self.rank.cpu(), phase, SUPPRESSION[self.smp](self.taught, self.strength))
        self.moves = dict(zip(state.data.x, factors, strict=True))
        state.signals |= {f"phase:{m}": factor for m, factor in self.moves.items()}

    def terms(self, state: FitState, outputs: Outputs, batch: Batch) -> dict[str, tuple[Tensor, Tensor]]:
        found, targets = {}, state.references.targets  # type: ignore[union-attr]
        here = {m: batch.present[m] * batch.scored for m in outputs.z}
        count = torch.stack(list(here.values())).sum(0).clamp(min=1) if self.per_teacher == "mean" else 1.0
        for m, z in outputs.z.items():
            if self.feature:
                found[f"feature:{m}"] = masked_mean((z - self.spaces[m][:, batch.index]).square().mean(-1), here[m], batch.weight)
            if self.logit:
                apart = state.task.distance(outputs.fused, targets[m][:, batch.index], self.temperature)
                found[f"kd:{m}"] = masked_mean(apart * here[m] / count, batch.scored, batch.weight)
        return found

    def weights(self, state: FitState, losses: dict[str, Tensor], outputs: Outputs, batch: Batch) -> dict[str, Tensor | float]:
        kinds = {"": self.unimodal_weight, "feature:": self.feature, "kd:": self.logit}
        return {kind + m: weight for m in outputs.z for kind, weight in kinds.items()}

    def backward(self, state: FitState, losses: dict[str, Tensor], weights: dict[str, Tensor | float]) -> None:
        super().backward(state, losses, weights)
        for m, factor in self.moves.items():
            scale_update(state, m, factor)

    def fuse(self, outputs: Outputs, present: dict[str, Tensor]) -> Tensor | None:
        return mean_over_present(outputs.unimodal, present) if self.fusion == "late" else None

    def finish(self) -> None:
        self.spaces, self.taught, self.moves = {}, torch.empty(0), {}
        self._buffers.clear()
