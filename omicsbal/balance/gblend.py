"""Gradient-Blending: heads that generalise weigh more than heads that overfit."""

import torch
from torch import Tensor

from omicsbal._types import FUSED, Arrays, Batch, FitState, Outputs
from omicsbal._validate import check_number
from omicsbal.balance._base import Strategy
from omicsbal.balance._embedded import embedded
from omicsbal.objectives.supervised import masked_mean

FLOOR = 0.01  # nats (squared error), of the growth of a gap
LEAST = 0.01  # nats (squared error), of the largest gain: on a plateau gains are chance, and weights of them as well


def blend(gain: Tensor, growth: Tensor, before: Tensor) -> Tensor:
    """Weights (1 + M,), proportional to gain / growth^2, that sum to 1 + M; `before` where no gain reaches `LEAST`."""
    raw = gain.clamp(min=0) / growth.clamp(min=FLOOR) ** 2
    return torch.where(gain.max() >= LEAST, raw / raw.sum().clamp(min=1e-12) * len(raw), before)


def means(losses: dict[str, Tensor], data: Arrays, rows: Tensor) -> Tensor:
    """Mean (1 + M,) of each head's losses (K, n), members together, over rows (K, n) that have the head's modality."""
    here = {FUSED: rows} | {m: rows * data.present[m] for m in data.x}
    weight = data.weight.expand_as(rows).flatten()
    return torch.stack([masked_mean(losses[h].flatten(), mask.flatten(), weight)[0] for h, mask in here.items()])


class Gblend(Strategy):
    """Heads whose loss on unseen rows falls weigh more; heads that only get better on rows they train on weigh less.

    Parameters
    ----------
    window
        Share in (0, 1] of all epochs over which gain and overfitting are measured, at least one evaluation.
    least
        Part in [0, 1] of each weight that stays as it is; 0 is the paper, 1 is `Uniform`.

    Raises
    ------
    ValueError, TypeError
        An argument is not a number in its range.

    Notes
    -----
    Over a window ``G_k = Lval_k(start) - Lval_k(end)``, at least 0, and ``O_k`` = how much ``Lval_k - Ltrain_k`` grew, at least
    0.01. ``w_k = least + (1 - least) (1 + M) v_k / sum_j v_j`` with ``v_k = G_k / O_k^2``; 1 until the first window ends; v as
    it was where no head gained 0.01 (both in nats, for numbers squared errors of standardised values; our choice). Lval is the
    out-of-fold loss, Ltrain that of the same nets, at the same time and without dropout, on rows they train on. All members have
    the same weights, which thus know of out-of-fold losses of all rows.

    Wang, Tran & Feiszli (2020, arXiv:1905.12681). Departures: the paper trains a throw-away copy of the net a head in each
    window, at (M + 2) times the cost; here gain and gap are those of the run itself, in which heads learn from one another. So a
    head at weight 0 could not show a gain again: hence `least`, our choice.

    Examples
    --------
    >>> Gblend(window=0.2).heads(["rna", "cnv"])
    ['fused', 'rna', 'cnv']
    """

    paper = "Wang, Tran & Feiszli 2020, arXiv:1905.12681"
    cost = 1.4
    confidence = "our reconstruction"
    needs = "held-out losses, a pass a window"
    weight: Tensor  # (1 + M,), the fused head first
    start: Tensor  # (3, 1 + M): epoch, held-out loss and gap at the window's start; NaN before the first

    def __init__(self, window: float = 0.1, least: float = 0.2) -> None:
        super().__init__()
        self.window = check_number("window", window, low=0, high=1, open_low=True)
        self.least = check_number("least", least, low=0, high=1)

    def setup(self, state: FitState) -> None:
        ones = torch.ones(1 + len(state.data.x), device=state.scored.device)
        self.register_buffer("weight", ones)
        self.register_buffer("start", torch.full((3, len(ones)), torch.nan, device=ones.device))

    def start_epoch(self, state: FitState) -> None:
        if state.held_out is None:
            return
        first = bool(self.start.isnan().any())
        if not first and state.epoch - float(self.start[0, 0]) < self.window * state.n_epochs:
            return
        unseen = self.unseen(state, state.held_out)
        gap = unseen - self.seen(state)
        if not first:
            self.weight.copy_(blend(self.start[1] - unseen, gap - self.start[2], self.weight))
        self.start.copy_(torch.stack([torch.full_like(gap, state.epoch), unseen, gap]))

    def unseen(self, state: FitState, outputs: Outputs) -> Tensor:
        """Mean out-of-fold loss (1 + M,) of each head."""
        losses = {h: state.task.loss(outputs.head(h), state.data.y) for h in [FUSED, *state.data.x]}
        return means(losses, state.data, torch.ones_like(state.data.weight).unsqueeze(0))

    @torch.no_grad()
    def seen(self, state: FitState) -> Tensor:
        """Mean loss (1 + M,) of each head of the fold members on the rows they train on, the net as at prediction."""
        data, parts = state.data, []
        folds = len(state.scored) if state.folds is None else int(state.folds.max()) + 1
        for rows, here, z in embedded(state):
            outputs = state.net.decode(z, here)  # type: ignore[operator]
            parts.append({h: state.task.loss(outputs.head(h), data.y[rows])[:folds] for h in [FUSED, *data.x]})
        return means({h: torch.cat([part[h] for part in parts], -1) for h in parts[0]}, data, state.scored[:folds])

    def weights(self, state: FitState, losses: dict[str, Tensor], outputs: Outputs, batch: Batch) -> dict[str, Tensor | float]:
        weight = self.least + (1 - self.least) * self.weight
        heads = [FUSED, *state.data.x]
        state.signals |= {f"weight:{head}": float(w) for head, w in zip(heads, weight, strict=True)}
        return dict(zip(heads, weight.clone(), strict=True))

    def finish(self) -> None:
        del self.weight, self.start
