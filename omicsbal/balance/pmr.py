"""PMR: slow modalities are drawn towards the centres of their classes."""

import torch
from torch import Tensor
from torch.nn.functional import one_hot

from omicsbal._types import Batch, FitState, Outputs
from omicsbal._validate import check_number
from omicsbal.balance._base import Strategy
from omicsbal.balance._embedded import embedded
from omicsbal.balance._scores import masked, note
from omicsbal.objectives.supervised import masked_mean

FAR = -1e9  # similarity to a class without prototype


class Pmr(Strategy):
    """A modality that tells classes apart worse than the best one is drawn towards its class centres as well.

    Parameters
    ----------
    strength
        alpha >= 0 of the prototype losses. At 0 this is `Joint`.
    until
        Share in [0, 1] of the epochs after which they stop.
    momentum
        Share in [0, 0.99] of the old prototype that a new one is averaged with.

    Raises
    ------
    ValueError, TypeError
        A number outside its range; when the fit begins, a numeric label, which has no classes.

    Notes
    -----
    Prototype ``mu_mc``: mean embedding of class c, anew before each epoch. ``q_mc = -|z_m - mu_mc|`` (Euclidean, not squared),
    ``L = L_0 + alpha sum_m beta_m CE(q_m, y)``, ``beta_m = clip(c_best / c_m - 1, 0, 1)`` without gradient, c_m the mean of
    ``softmax(q_m)_y`` over the batch's rows that have m. A class that no row shows keeps its prototype.

    Fan et al. (2023, arXiv:2211.07089). Departures: prototypes from all rows a member learns from, without dropout, where the
    code takes a tenth of the batches; the graded beta of the paper, where the code switches on and off; every modality
    behind the best one, where the paper has two; no entropy term for the strong modality in the first epochs. Prototypes are
    a modality's scores here, so unimodal heads are not trained.

    Examples
    --------
    >>> Pmr(strength=2.0).heads(["rna", "atac"])
    ['fused']
    """

    unimodal = False
    tasks = ("classification",)
    paper = "Fan et al. 2023, arXiv:2211.07089"
    confidence = "faithful"
    needs = "a forward pass an epoch"
    cost = 1.2
    prototypes: Tensor

    def __init__(self, strength: float = 1.0, until: float = 0.5, momentum: float = 0.0) -> None:
        super().__init__()
        self.strength = check_number("strength", strength, low=0)
        self.until = check_number("until", until, low=0, high=1)
        self.momentum = check_number("momentum", momentum, low=0, high=0.99)

    def setup(self, state: FitState) -> None:
        width = state.net.groups()[f"head/{next(iter(state.data.x))}"][0].shape[1]  # type: ignore[operator]
        shape = len(state.scored), len(state.data.x), state.task.n_out, width
        self.register_buffer("prototypes", torch.full(shape, torch.nan, device=state.scored.device))

    def active(self, state: FitState) -> bool:
        """Whether there is anything but joint training in this epoch."""
        return self.strength > 0 and state.epoch < self.until * state.n_epochs

    @torch.no_grad()
    def start_epoch(self, state: FitState) -> None:
        if not self.active(state):
            return
        total, count = torch.zeros_like(self.prototypes), self.prototypes.new_zeros(*self.prototypes.shape[:3], 1)
        for rows, here, z in embedded(state):
            member = one_hot(state.data.y[rows], state.task.n_out) * state.scored[:, rows, None]  # (K, n, c)
            for i, m in enumerate(z):
                shown = (member * here[m].unsqueeze(-1)).transpose(-1, -2)
                total[:, i] += shown @ z[m]
                count[:, i] += shown.sum(-1, keepdim=True)
        mean, old = total / count, self.prototypes
        mean = torch.where(old.isnan(), mean, self.momentum * old + (1 - self.momentum) * mean)
        self.prototypes = torch.where(count > 0, mean, old)

    def similarity(self, outputs: Outputs, batch: Batch) -> dict[str, tuple[Tensor, Tensor]]:
        """``{m: (q (K, n, c), rows that count (K, n))}``."""
        found = {}
        for i, m in enumerate(outputs.z):
            known = ~self.prototypes[:, i, :, 0].isnan()  # (K, c)
            home = self.prototypes[:, i].nan_to_num(nan=0.0)
            q = -torch.cdist(outputs.z[m], home, compute_mode="donot_use_mm_for_euclid_dist")
            found[m] = q.masked_fill(~known.unsqueeze(1), FAR), batch.scored * batch.present[m] * known[:, batch.y]
        return found

    def terms(self, state: FitState, outputs: Outputs, batch: Batch) -> dict[str, tuple[Tensor, Tensor]]:
        near = self.similarity(outputs, batch) if self.active(state) else {}
        return {f"prototype:{m}": masked_mean(state.task.loss(q, batch.y), rows, batch.weight) for m, (q, rows) in near.items()}

    @torch.no_grad()
    def weights(self, state: FitState, losses: dict[str, Tensor], outputs: Outputs, batch: Batch) -> dict[str, Tensor | float]:
        if not self.active(state):
            return {}
        near = self.similarity(outputs, batch).values()
        scores = torch.stack([masked(state.task.score(q, batch.y), rows, batch.weight) for q, rows in near], -1)  # (K, M)
        best = scores.nan_to_num(nan=0.0).amax(-1, keepdim=True)
        beta = (best / scores - 1).clamp(0, 1).nan_to_num(nan=0.0)
        note(state, "beta", beta)
        return {f"prototype:{m}": self.strength * beta[:, i] for i, m in enumerate(outputs.z)}

    def finish(self) -> None:
        del self.prototypes
