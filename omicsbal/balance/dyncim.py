"""DynCIM-style: easy and steady rows first, the loss that lags first, and a gate before fusion."""

from dataclasses import replace

import torch
from torch import Tensor, nn

from omicsbal._types import Batch, FitState, Outputs
from omicsbal._validate import check_number
from omicsbal.balance._base import Strategy
from omicsbal.balance._curriculum import MEMORY, difficulties, gates, hardness, lagging, mean_losses
from omicsbal.balance._scores import masked

SPREAD = 0.3  # of difficulty: the hardest row starts with a weight of exp(-1 / 0.3) = .04


class Dyncim(Strategy):
    """Easy rows first; the fused head or the slowest modality is pushed, whichever lags; a gate before fusion (DynCIM-style).

    Parameters
    ----------
    strength
        Steepness >= 0 of the rows' weights in their difficulty; 0: all rows alike.
    eta, unimodal_weight
        Weights >= 0 of the modality curriculum, and of all unimodal losses together.
    until
        Share in (0, 1] of the epochs after which all rows weigh the same.
    floor, gate
        Least factor, in [0, 1], that the gate gives to a modality; whether there is a gate.

    Raises
    ------
    ValueError, TypeError
        A number outside its range.

    Notes
    -----
    ``L = L_0 + (u / M) sum_m L_m - eta R``, means over rows weighted by ``v_i = exp(-strength (1 - s) d_i / 0.3)``, ``s = min(1,
    (e + 1) / (until E))`` in epoch e; in epoch 0 all v_i are 1. d_i sums, with weights alpha, a row's ranks for deviation ``L_0 +
    mean_m L_m``, disagreement ``mean_m |p_m - p_0| / 2`` and instability ``mean_m H(p_m) / log C`` (of numbers: distance from the
    fused head, spread of the modalities), as seen in the last epoch. Ranks lie in [0, 1], among rows of one class that the member
    learns from, lest rare classes starve. ``alpha = softmax(-V / mean V)``, V the running mean of relative changes between
    epochs. ``R = l log GMR + (1 - l) sum_m D_m softmax_m(-D_m)``, ``GMR = (prod L_m)^(1/M) / L_0``, ``D_m = (P_m - L_m) / P_m``,
    P_m a running mean, ``l = sigmoid(5 (HMIR - log GMR))`` of running means, ``HMIR = M / sum_m 1 / max(D_m, .01)``. In GMR the
    L_m are constants: raising them would pay. The formula of l is kept though log GMR on training rows has no bound: after about
    a fifth of a fit l is near 0. The fusion sees g_m z_m, g at first exactly 1. One modality: `Uniform` times u.

    Our reconstruction of Qian et al. (2025) from summaries: difficulties and their volatility, GMR, HMIR and gate are theirs;
    each formula is our choice and not checked against the paper.

    Examples
    --------
    >>> Dyncim(eta=0.2).heads(["rna", "atac"])
    ['fused', 'rna', 'atac']
    """

    paper, confidence, cost = "Qian et al. 2025, arXiv:2503.06456", "our reconstruction", 1.8
    difficulty: Tensor  # (K, 3, n)
    ease: Tensor  # (K, n), weights of rows
    level: Tensor  # (K, 3), mean difficulty in the last epoch
    volatility: Tensor  # (K, 3)
    before: Tensor  # (K, M), running losses
    pace: Tensor  # (K, 2), running log GMR and HMIR

    def __init__(
        self, strength: float = 1.0, eta: float = 0.1, unimodal_weight: float = 1.0,
        until: float = 0.5, floor: float = 0.2, *, gate: bool = True,
    ) -> None:  # fmt: skip
        super().__init__()
        self.strength, self.eta = check_number("strength", strength, low=0), check_number("eta", eta, low=0)
        self.unimodal_weight = check_number("unimodal_weight", unimodal_weight, low=0)
        self.until = check_number("until", until, low=0, high=1, open_low=True)
        self.floor, self.gate = check_number("floor", floor, low=0, high=1), bool(gate)

    def setup(self, state: FitState) -> None:
        (members, n), size, new = state.scored.shape, len(state.data.x), state.scored.new_zeros
        shapes = {"difficulty": (3, n), "ease": (n,), "level": (3,), "volatility": (3,), "before": (size,), "pace": (2,)}
        for name, shape in shapes.items():
            self.register_buffer(name, new(members, *shape))
        self.ease, self.before = self.ease + 1, self.before + torch.nan
        if self.gate:
            eye = torch.eye(state.net.heads[0].weight.shape[1], device=state.scored.device)  # type: ignore[union-attr, index]
            self.key = nn.Parameter(torch.cat([eye, -eye]).repeat(members, 1, 1))  # what sets m apart from the mean
            self.query = nn.Parameter(new(members, len(eye), 1))

    def _curious(self, state: FitState) -> bool:
        return self.strength > 0 and len(state.data.x) > 1 and state.epoch < self.until * state.n_epochs

    def start_epoch(self, state: FitState) -> None:
        if not self._curious(state) or state.epoch == 0:
            return
        mean = masked(self.difficulty, state.scored.unsqueeze(1), state.data.weight).nan_to_num(nan=0.0)
        change = (mean - self.level).abs() / self.level.clamp(min=1e-12) * (self.level > 0)
        self.volatility, self.level = MEMORY * self.volatility + (1 - MEMORY) * change, mean
        hard = hardness(self.difficulty, self.volatility, state.data.y, state.scored)
        self.ease = (-self.strength * (1 - min(1.0, (state.epoch + 1) / (self.until * state.n_epochs))) * hard / SPREAD).exp()

    def rows(self, state: FitState, batch: Batch) -> Batch:
        return replace(batch, weight=batch.weight * self.ease[:, batch.index]) if self._curious(state) else batch

    def modulate(self, z: dict[str, Tensor], present: dict[str, Tensor]) -> dict[str, Tensor]:
        if not self.gate or len(z) == 1:
            return z
        g = gates(z, present, self.key, self.query, self.floor)
        return {m: v * g[..., i : i + 1] for i, (m, v) in enumerate(z.items())}

    def terms(self, state: FitState, outputs: Outputs, batch: Batch) -> dict[str, tuple[Tensor, Tensor]]:
        if self._curious(state):
            self.difficulty[:, :, batch.index] = difficulties(state.task, outputs, batch)
        if self.eta == 0 or len(batch.present) == 1:
            return {}
        term, share, self.before, self.pace = lagging(*mean_losses(state.task, outputs, batch), self.before, self.pace)
        state.signals["global_share:fused"] = float(share.mean())
        return {"lag:fused": (term, batch.scored.sum(-1))}

    def weights(self, state: FitState, losses: dict[str, Tensor], outputs: Outputs, batch: Batch) -> dict[str, Tensor | float]:
        return dict.fromkeys(outputs.unimodal, self.unimodal_weight / len(outputs.unimodal)) | {"lag:fused": self.eta}

    def finish(self) -> None:
        del self.difficulty, self.ease, self.level, self.volatility, self.before, self.pace
