"""AMCo: what the dominant modality says is masked in part, so that the others have to be right as well."""

from math import floor, pi, sin

import torch
from torch import Tensor, nn

from omicsbal._types import FUSED, Batch, FitState, Outputs
from omicsbal._validate import check_number
from omicsbal.balance._base import Strategy
from omicsbal.balance._scores import masked, note
from omicsbal.nn.fusion import mean_over_present
from omicsbal.objectives.supervised import masked_mean


class Amco(Strategy):
    """Late fusion in which some logits of the modality that dominates are masked in training, more and more of them.

    Parameters
    ----------
    strength
        Largest share in [0, 1] of the classes to mask. 0 masks none.
    unimodal_weight
        Weight >= 0 of each unimodal loss.
    dominance
        A modality dominates when its share of the probability is above this many, at least 1, times an equal share.
    until
        Share in (0, 1] of the epochs over which the masks grow.
    linear
        Whether a learned linear map of the classes follows the sum. Without it, masks and unimodal losses this is `Late`.

    Raises
    ------
    ValueError, TypeError
        A number outside its range. When a fit begins: a numeric label, which has no classes to mask.

    Notes
    -----
    ``l = W mean_(m in A) s_m + b``, W = 1 and b = 0 at the start, ``L = L_0(l with masked s_m) + u sum_m L_m``. The modalities'
    logits of a row compete in one softmax over all classes of all modalities that the row has; the share of m is its mass. Where
    the mean over rows of share times number of modalities is above `dominance`, N = floor(strength C sin(pi/2 min(1, t/until)))
    logits of s_m, drawn per row, are set to 0; t is the share of epochs done. With strength 1 these are all its logits from
    `until` on, as in the port. Rows with a single modality neither count nor are masked. Nothing is masked at prediction.

    An equal share times 1.5 is the half of the original for three modalities, and goes on meaning the same for other numbers: of
    two, it asks for a share of .75 where the original has .5. The mean in place of a sum keeps its scale where modalities are
    missing; the start at `Late` is our choice. With few classes N takes few values. Zhou et al. (2023), after the port in
    BalanceBenchmark (arXiv:2502.10816).

    Examples
    --------
    >>> Amco(until=0.5).heads(["rna", "atac"])
    ['fused', 'rna', 'atac']
    """

    tasks = ("classification",)
    paper, confidence = "Zhou et al. 2023, doi:10.1109/ICASSP49357.2023.10096641", "faithful"
    cost = 1.4

    def __init__(
        self,
        strength: float = 1.0,
        unimodal_weight: float = 1.0,
        dominance: float = 1.5,
        until: float = 0.3,
        *,
        linear: bool = True,
    ) -> None:
        super().__init__()
        self.strength = check_number("strength", strength, low=0, high=1)
        self.unimodal_weight = check_number("unimodal_weight", unimodal_weight, low=0)
        self.dominance = check_number("dominance", dominance, low=1)
        self.until, self.linear = check_number("until", until, low=0, high=1, open_low=True), bool(linear)

    def setup(self, state: FitState) -> None:
        if self.linear:
            members, c = len(state.scored), state.task.n_out
            self.mix = nn.Parameter(torch.eye(c, device=state.scored.device).expand(members, c, c).clone())
            self.shift = nn.Parameter(state.scored.new_zeros(members, 1, c))

    def fuse(self, outputs: Outputs, present: dict[str, Tensor]) -> Tensor:
        mean = mean_over_present(outputs.unimodal, present)
        return torch.baddbmm(self.shift, mean, self.mix) if self.linear else mean

    def _masked(self, state: FitState) -> int:
        """How many logits of a dominant modality are masked in this epoch."""
        grown = sin(pi / 2 * min(1.0, state.epoch / (self.until * state.n_epochs)))
        return floor(self.strength * state.task.n_out * grown) if len(state.data.x) > 1 else 0

    @torch.no_grad()
    def shares(self, outputs: Outputs, batch: Batch) -> Tensor:
        """Mean (K, M) over scored rows of each modality's probability mass, in equal shares; NaN where it never has company."""
        here = torch.stack([batch.present[m] for m in outputs.unimodal], -1)  # (n, M)
        logits = torch.stack(list(outputs.unimodal.values()), -2).masked_fill(~here.unsqueeze(-1), -torch.inf)  # (K, n, M, C)
        mass = logits.flatten(-2).softmax(-1).unflatten(-1, logits.shape[-2:]).sum(-1).nan_to_num(nan=0.0)  # NaN: none is there
        count = here.sum(-1, keepdim=True)
        rows = batch.scored.unsqueeze(-1) * (here & (count > 1))
        return masked((mass * count).transpose(-1, -2), rows.transpose(-1, -2), batch.weight)

    def terms(self, state: FitState, outputs: Outputs, batch: Batch) -> dict[str, tuple[Tensor, Tensor]]:
        number = self._masked(state)
        if number == 0:
            return {}
        shares = self.shares(outputs, batch)
        note(state, "share", shares.nan_to_num(nan=1.0))
        draw = torch.empty(len(batch.y), state.task.n_out, device=batch.y.device).uniform_(generator=state.generator)
        several = torch.stack(list(batch.present.values())).sum(0) > 1
        hidden = (draw.argsort(-1).argsort(-1) < number) & several.unsqueeze(-1)  # (n, C), the same draw for all modalities
        dominant = (shares > self.dominance)[..., None, None].unbind(1)
        said = {m: s.masked_fill(flag & hidden, 0.0) for (m, s), flag in zip(outputs.unimodal.items(), dominant, strict=True)}
        fused = self.fuse(Outputs(outputs.z, outputs.joint, outputs.fused, said), batch.present)
        return {"masked:fused": masked_mean(state.task.loss(fused, batch.y), batch.scored, batch.weight)}

    def weights(self, state: FitState, losses: dict[str, Tensor], outputs: Outputs, batch: Batch) -> dict[str, Tensor | float]:
        found: dict[str, Tensor | float] = dict.fromkeys(outputs.unimodal, self.unimodal_weight)
        return found | ({FUSED: 0.0} if self._masked(state) else {})  # the masked loss stands in for it
