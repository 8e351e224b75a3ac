"""ARM-style: modalities that tell little of the label are amplified before fusion, by measured information."""

from collections.abc import Callable

import torch
from torch import Tensor

from omicsbal._types import FUSED, Batch, FitState, Outputs
from omicsbal._validate import check_choice, check_number
from omicsbal.balance._base import Strategy
from omicsbal.balance._coalitions import fused_of
from omicsbal.balance._information import gap, louder, mean_of_others, measured
from omicsbal.balance._scores import masked, note
from omicsbal.objectives.supervised import masked_mean

FORMS: dict[str, Callable[..., Tensor]] = {  # of marginal and joint information, mean scores of all and of the others
    "sum": lambda marginal, joint, _all, _others: marginal + joint,
    "released": lambda marginal, joint, all_, others: all_ * marginal + others * (marginal - joint),
}


class Arm(Strategy):
    """Modalities that add little information are made louder before fusion and practised alone (ARM-style).

    Parameters
    ----------
    strength
        How far, in [0, 1], weights go from 1 to what the information says.
    minmax
        mu >= 0 of the gap between the worst and the best modality.
    resample
        Copies >= 0 of each row with that modality alone, if it knows nothing, for each 1 by which its weight exceeds 1.
    least
        Nats >= 0 of marginal information up to which a modality counts as noise and keeps weight 1.
    memory
        Share in [0, 1) of the old weights at each evaluation.
    form
        "sum", or "released", the shape of the released code.

    Raises
    ------
    ValueError, TypeError
        A number outside its range, an unknown form.

    Notes
    -----
    ``I(S) = H(y) - CE of the fused head shown S``, in nats, at least 0; for numbers ``log(Var(y) / MSE) / 2``. Both are
    out-of-fold, taken after each evaluation: on rows they learned from, nets are right whatever a modality tells. ``MI_m = I(m)``
    on rows with m, ``CMI_m = I(all) - I(all but m)`` on rows with m and another. S_m = MI_m + CMI_m ("sum") or c_0 MI_m + c_-m
    (MI_m - CMI_m), c_m the mean score of the fused head shown m alone, c_0 shown all, c_-m the mean over the others. The fusion
    sees w_m z_m, w the running mean over evaluations (1 before the first) of ``clip(mean S / S_m, 1/3, 3)`` among the modalities
    that tell more than `least`: noise, else, would be amplified most. All members have the same w and c, which thus know of
    out-of-fold losses of all rows: a few numbers. ``L = [L_0 + copies] + mu (max L(m) - min L(m))``, L(m) the batch's loss with m
    alone; a row has ``resample max(0, w_m - 1) (1 - c_m)`` copies with m alone, and [.] is the mean over rows and copies. The
    smallest L(m) is a constant: otherwise the best modality would be made worse. L(m) and copies are without dropout in the fused
    head, L_0 with it.

    Our reconstruction of Gao et al. (2025), who released the fusion weights alone. Theirs come from histograms of features and
    the batch's labels, at test time too; these from predictions, frozen after training. Min-max and resampling are our choice.

    Examples
    --------
    >>> Arm(form="released").heads(["rna", "atac"])
    ['fused']
    """

    unimodal = False
    paper, confidence = "Gao et al. 2025, arXiv:2501.01240", "our reconstruction"
    needs, cost = "held-out losses, M calls of the fused head a batch", 1.5
    loudness: Tensor  # (M,), running weights
    copies: Tensor  # (M,), of each row, with that modality alone

    def __init__(
        self, strength: float = 1.0, minmax: float = 0.1, resample: float = 1.0,
        least: float = 0.02, memory: float = 0.7, form: str = "sum",
    ) -> None:  # fmt: skip
        super().__init__()
        self.strength, self.minmax = check_number("strength", strength, low=0, high=1), check_number("minmax", minmax, low=0)
        self.resample, self.least = check_number("resample", resample, low=0), check_number("least", least, low=0)
        self.memory, self.form = check_number("memory", memory, low=0, high=0.999), check_choice("form", form, FORMS)

    def setup(self, state: FitState) -> None:
        self.register_buffer("loudness", state.scored.new_ones(len(state.data.x)))
        self.register_buffer("copies", state.scored.new_zeros(len(state.data.x)))

    def start_epoch(self, state: FitState) -> None:
        if state.held_out is None or state.folds is None or self.strength == 0 or len(state.data.x) == 1:
            return
        marginal, joint, score, whole = measured(state, self.modulate)
        scores = FORMS[self.form](marginal, joint, whole, mean_of_others(score))
        aim = 1 + self.strength * (louder(scores, marginal > self.least) - 1)
        self.loudness = self.memory * self.loudness + (1 - self.memory) * aim
        self.copies = self.resample * (self.loudness - 1).clamp(min=0) * (1 - score.nan_to_num(nan=1.0))
        note(state, "information", marginal.nan_to_num(nan=0.0))
        note(state, "loudness", self.loudness)

    def modulate(self, z: dict[str, Tensor], present: dict[str, Tensor]) -> dict[str, Tensor]:
        return {m: v * self.loudness[i] for i, (m, v) in enumerate(z.items())}

    def terms(self, state: FitState, outputs: Outputs, batch: Batch) -> dict[str, tuple[Tensor, Tensor]]:
        if len(batch.present) == 1 or self.strength == self.minmax == 0:
            return {}
        rows = batch.scored.unsqueeze(1) * torch.stack(list(batch.present.values()))  # (K, M, n)
        z = self.modulate(outputs.z, batch.present)
        said = torch.stack([fused_of(state.net, z, batch.present, {m}) for m in batch.present], 1)  # (K, M, n, c)
        alone = state.task.loss(said.flatten(0, 1), batch.y).unflatten(0, said.shape[:2])
        found = {f"copy:{m}": masked_mean(alone[:, i], rows[:, i], batch.weight) for i, m in enumerate(batch.present)}
        return found | {"gap:fused": (gap(masked(alone, rows, batch.weight)), rows.sum((-1, -2)))}

    def weights(self, state: FitState, losses: dict[str, Tensor], outputs: Outputs, batch: Batch) -> dict[str, Tensor | float]:
        if "gap:fused" not in losses:
            return {}
        rows = (batch.scored * batch.weight).sum(-1)
        here = {m: (batch.scored * p * batch.weight).sum(-1) for m, p in batch.present.items()}
        copies = {f"copy:{m}": count * h for count, (m, h) in zip(self.copies, here.items(), strict=True)}
        whole = (rows + torch.stack(list(copies.values())).sum(0)).clamp(min=1e-12)
        return {FUSED: rows / whole, "gap:fused": self.minmax} | {name: total / whole for name, total in copies.items()}

    def finish(self) -> None:
        del self.copies
