"""ARM-style: modalities that tell little of the label are amplified before fusion, by measured information."""

from collections.abc import Callable

import torch
from torch import Tensor

from omicsbal._types import FUSED, Batch, FitState, Outputs
from omicsbal._validate import check_choice, check_number
from omicsbal.balance._base import Strategy
from omicsbal.balance._coalitions import fused_of
from omicsbal.balance._information import blank_loss, gap, louder, marginal_and_joint, mean_of_others
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
        Copies >= 0, with that modality alone, of a row in which it knows nothing, for each 1 by which its weight exceeds 1.
    least
        Nats >= 0 of marginal information below which a modality counts as noise and keeps weight 1.
    memory
        Share in [0, 1) of the old weights at each step.
    form
        "sum", or "released", the shape of the released code.

    Raises
    ------
    ValueError, TypeError
        A number outside its range, an unknown form.

    Notes
    -----
    ``I(S) = H(y) - CE of the fused head shown S``, in nats, at least 0; for numbers ``log(Var(y) / MSE) / 2``; H(y) of all rows
    that a member learns from. ``MI_m = I(m)`` on rows with m, ``CMI_m = I(all) - I(all but m)`` on rows with m and another.
    S_m = MI_m + CMI_m ("sum") or c_0 MI_m + c_-m (MI_m - CMI_m), c_0 the mean score of the fused head, c_-m that of the others
    alone. The fusion sees w_m z_m, w the running mean over steps of ``clip(mean S / S_m, 1/3, 3)`` among the modalities that tell
    more than `least`: noise, else, would be amplified most. ``L = [L_0 + copies] + mu (max L(m) - min L(m))``, L(m) the loss with
    m alone; a row has ``resample max(0, w_m - 1) (1 - score of m alone)`` copies with m alone, and [.] is the mean over rows and
    copies. The smallest L(m) is a constant: otherwise the best modality would be made worse.

    Our reconstruction of Gao et al. (2025), who released the fusion weights alone. Theirs come from histograms of features and
    the batch's labels, at test time too; these from predictions, frozen after training. Min-max and resampling are our choice.

    Examples
    --------
    >>> Arm(form="released").heads(["rna", "atac"])
    ['fused']
    """

    unimodal = False
    paper, confidence = "Gao et al. 2025, arXiv:2501.01240", "our reconstruction"
    needs, cost = "2M + 1 calls of the fused head a batch", 1.1
    loudness: Tensor  # (K, M), running weights
    blank: Tensor  # (K,), loss of a constant

    def __init__(
        self, strength: float = 1.0, minmax: float = 0.1, resample: float = 1.0,
        least: float = 0.02, memory: float = 0.9, form: str = "sum",
    ) -> None:  # fmt: skip
        super().__init__()
        self.strength, self.minmax = check_number("strength", strength, low=0, high=1), check_number("minmax", minmax, low=0)
        self.resample, self.least = check_number("resample", resample, low=0), check_number("least", least, low=0)
        self.memory, self.form = check_number("memory", memory, low=0, high=0.999), check_choice("form", form, FORMS)

    def setup(self, state: FitState) -> None:
        self.register_buffer("loudness", state.scored.new_ones(len(state.scored), len(state.data.x)))
        self.register_buffer("blank", blank_loss(state.data.y, state.scored * state.data.weight))

    def modulate(self, z: dict[str, Tensor], present: dict[str, Tensor]) -> dict[str, Tensor]:
        return {m: v * self.loudness[:, i, None, None] for i, (m, v) in enumerate(z.items())}

    def terms(self, state: FitState, outputs: Outputs, batch: Batch) -> dict[str, tuple[Tensor, Tensor]]:
        if len(batch.present) == 1 or self.strength == self.minmax == 0:
            return {}
        rows = batch.scored.unsqueeze(1) * torch.stack(list(batch.present.values()))  # (K, M, n)
        z = self.modulate(outputs.z, batch.present)
        said = torch.stack([fused_of(state.net, z, batch.present, {m}) for m in batch.present], 1)  # (K, M, n, c)
        alone = state.task.loss(said.flatten(0, 1), batch.y).unflatten(0, said.shape[:2])
        score = state.task.score(said.detach().flatten(0, 1), batch.y).unflatten(0, said.shape[:2])
        self._listen(state, z, alone.detach(), score, rows, batch)
        copies = self.resample * (self.loudness - 1).clamp(min=0).unsqueeze(-1) * (1 - score) * rows
        self.totals = (copies * batch.weight).sum(-1)  # (K, M)
        found = {f"copy:{m}": masked_mean(alone[:, i], copies[:, i], batch.weight) for i, m in enumerate(batch.present)}
        return found | {"gap:fused": (gap(masked(alone, rows, batch.weight)), rows.sum((-1, -2)))}

    @torch.no_grad()
    def _listen(self, state: FitState, z: dict[str, Tensor], alone: Tensor, score: Tensor, rows: Tensor, batch: Batch) -> None:
        """Bring the running weights up to date with losses (K, M, n) of each modality alone on its rows."""
        marginal, joint, sure = marginal_and_joint(state, z, alone, rows, batch, self.blank)
        scores = FORMS[self.form](marginal, joint, sure, mean_of_others(masked(score, rows, batch.weight)))
        aim = 1 + self.strength * (louder(scores, marginal > self.least) - 1)
        change = (1 - self.memory) * (aim - self.loudness)
        self.loudness = self.loudness + change.masked_fill(marginal.isnan(), 0.0)  # NaN: no row of the batch has it
        note(state, "information", marginal.nan_to_num(nan=0.0))
        note(state, "loudness", self.loudness)

    def weights(self, state: FitState, losses: dict[str, Tensor], outputs: Outputs, batch: Batch) -> dict[str, Tensor | float]:
        if "gap:fused" not in losses:
            return {}
        rows = (batch.scored * batch.weight).sum(-1)
        whole = (rows + self.totals.sum(-1)).clamp(min=1e-12)
        shares = {f"copy:{m}": total / whole for m, total in zip(batch.present, self.totals.unbind(-1), strict=True)}
        return {FUSED: rows / whole, "gap:fused": self.minmax} | shares

    def finish(self) -> None:
        del self.blank
