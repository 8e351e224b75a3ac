"""Diagnosing and re-learning: encoders that have learned their rows by heart go part of the way back to where they began."""

import numpy as np
import torch
from torch import Tensor

from omicsbal._types import FitState
from omicsbal._validate import check_number
from omicsbal.balance._base import Strategy
from omicsbal.balance._embedded import embedded
from omicsbal.balance._grads import encoder_parameters
from omicsbal.balance._purity import learning_gap
from omicsbal.balance._scores import note
from omicsbal.balance._updates import encoder_groups

FEWEST = 5  # rows of a side below which nothing is diagnosed


class Relearning(Strategy):
    """An encoder whose classes are clearer on training rows than on held-out ones is reset part of the way, and learns again.

    Parameters
    ----------
    strength
        lambda >= 0: how much of a gap resets how much. At 0 this is `Joint`.
    times
        Number of resets, at equal distances, at least 0.
    until
        Share in (0, 1) of the epochs at which the last one is. The learning rate falls along a cosine: at 0.4, 30 % of all
        learning are left.

    Raises
    ------
    ValueError, TypeError
        A number outside its range.

    Notes
    -----
    ``a_m = tanh(lambda |P_train - P_held_out|)``, ``theta_m <- a_m theta_m(start) + (1 - a_m) theta_m`` for all parameters of
    the encoder; heads stay, the optimiser's moments of the encoder are dropped. P is the purity of k-means on the embeddings,
    five seeds averaged. Each fold member has its own gap, between the rows it learns from and those it does not: of the latter's
    labels it is told this one number a modality. Members that learn from every row get the mean over the others. Numbers: R^2 of
    a ridge regression in place of P, below 0 counted as 0 (our choice).

    Wei et al. (2024, arXiv:2407.09705). Departures: the held-out rows are a member's own fold and not a validation set; both
    purities are of equally many rows, at most 1,000, since purity grows when there are fewer; moments are dropped, which the
    code does not do; resets at shares of the epochs and early, where the code has every 20th epoch of 90, three times, at a
    steadier learning rate.

    Examples
    --------
    >>> Relearning(times=2).heads(["rna", "atac"])
    ['fused']
    """

    unimodal = False
    paper = "Wei et al. 2024, arXiv:2407.09705"
    cost = 1.5
    confidence = "faithful"
    needs = "held-out rows, k-means"

    def __init__(self, strength: float = 3.0, times: int = 3, until: float = 0.4) -> None:
        super().__init__()
        self.strength = check_number("strength", strength, low=0)
        self.times = check_number("times", times, low=0, integer=True)
        self.until = check_number("until", until, low=0, high=0.99, open_low=True)

    def setup(self, state: FitState) -> None:
        for i, m in enumerate(state.data.x):
            for j, p in enumerate(encoder_parameters(state.net, m)):
                self.register_buffer(f"start_{i}_{j}", p.detach().clone())

    def due(self, state: FitState) -> bool:
        """Whether a reset comes before this epoch."""
        last = self.until * state.n_epochs
        epochs = {min(max(1, round(last * (i + 1) / self.times)), state.n_epochs - 1) for i in range(self.times)}
        return self.strength > 0 and state.epoch in epochs

    @torch.no_grad()
    def start_epoch(self, state: FitState) -> None:
        if not self.due(state):
            return
        share = torch.tanh(self.strength * self.gaps(state))  # (K, M)
        note(state, "reset", share)
        for i, m in enumerate(state.data.x):
            for j, p in enumerate(encoder_parameters(state.net, m)):
                a = share[:, i].reshape(-1, *[1] * (p.dim() - 1)).to(p.dtype)
                p.copy_(torch.where(a == 0, p, a * getattr(self, f"start_{i}_{j}") + (1 - a) * p))
            state.forget.update(encoder_groups(m))

    @torch.no_grad()
    def gaps(self, state: FitState) -> Tensor:
        """Gap (K, M) of each member and modality; 0 where there are too few rows."""
        data, parts = state.data, [z for _, _, z in embedded(state)]
        learned, y = state.scored.cpu().numpy() > 0, data.y.cpu().numpy()
        found = np.full((len(learned), len(data.x)), np.nan)
        for i, m in enumerate(data.x):
            z, there = torch.cat([part[m] for part in parts], 1).cpu().numpy(), data.present[m].cpu().numpy()
            for k, mine in enumerate(learned):
                seen, unseen = np.flatnonzero(there & mine), np.flatnonzero(there & ~mine)
                if min(len(seen), len(unseen)) >= FEWEST:
                    found[k, i] = learning_gap(z[k], y, seen, unseen, classes=state.task.n_out > 1)
        known = ~np.isnan(found)
        mean = np.nansum(found, axis=0) / known.sum(axis=0).clip(min=1)
        found[learned.all(axis=1)] = mean
        return torch.from_numpy(found).nan_to_num(nan=0.0).to(state.scored.device, torch.float32)

    def finish(self) -> None:
        for name in list(self._buffers):
            delattr(self, name)
