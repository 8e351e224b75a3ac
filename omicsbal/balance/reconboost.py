"""ReconBoost: modalities are added up as boosting adds up learners."""

import torch
from torch import Tensor, nn

from omicsbal._types import FUSED, Batch, FitState, Outputs
from omicsbal._validate import check_number, problem
from omicsbal.balance._base import Strategy
from omicsbal.objectives.supervised import masked_mean


def summed(unimodal: dict[str, Tensor], present: dict[str, Tensor]) -> Tensor:
    """Sum (..., n, c) of the outputs of the modalities that a row has."""
    return torch.stack([said * present[m].unsqueeze(-1) for m, said in unimodal.items()]).sum(0)


class Reconboost(Strategy):
    """Modalities take turns at learning what the sum of the others gets wrong; then all are tuned together.

    Parameters
    ----------
    stage
        Share in [0, 1] of the epochs that one turn takes: half of it, at least an epoch, is the modality's own, the other half
        tunes all together. At 0 there are no turns.
    base, residual
        ``w1 > 0`` and ``w2`` in [0, w1]: a row that the others get right weighs ``w1 - w2``, one they get wrong ``w1``.
    memory
        alpha >= 0 of the agreement with the modality whose turn was before.

    Raises
    ------
    ValueError, TypeError
        A number outside its range.

    Notes
    -----
    Fused prediction ``b sum_m s_m``, over the modalities that a row has, b learned from 1. Turn of m: only its encoder and head
    move, with ``J = b sum_(k != m) s_k`` held fixed and ``L = mean -(w1 - w2 p_y(J)) / c log p_y(s_m) + alpha |p(s_m) -
    p(s_prev)|^2 / c``. Then all move with ``L_0`` of the fused prediction. Numbers: m fits the residual, ``(b s_m + J - y)^2``,
    without memory, since a residual is not to resemble others; s_m is then no prediction of its own, and only the fused head is
    reported. The first turn has nobody to remember.

    Hua et al. (2024, arXiv:2405.09321). Departures: the memory term is alive (released code detaches both of its sides); each
    modality has a linear head of its own in place of a shared hidden layer; one optimiser with one schedule, where the code
    starts a new one each phase; encoders are not pretrained. Turns go by the order of the modalities.

    Examples
    --------
    >>> Reconboost(stage=0.2).stage
    0.2
    """

    paper = "Hua et al. 2024, arXiv:2405.09321"
    cost = 1.2
    confidence = "faithful"
    rate: Tensor

    def __init__(self, stage: float = 0.05, base: float = 5.0, residual: float = 1.0, memory: float = 0.5) -> None:
        super().__init__()
        self.stage = check_number("stage", stage, low=0, high=1)
        self.base = check_number("base", base, low=0, open_low=True)
        self.residual = check_number("residual", residual, low=0)
        self.memory = check_number("memory", memory, low=0)
        if residual > base:
            do = "Pass a smaller residual: rows that the others get right would be unlearned."
            raise ValueError(problem("residual", expected=f"a number of at most base ({base:g})", found=residual, do=do))

    def check_task(self, kind: str) -> None:
        super().check_task(kind)
        self.unimodal = self.stage > 0 and kind == "classification"

    def setup(self, state: FitState) -> None:
        self.rate = nn.Parameter(torch.ones(len(state.scored), 1, 1, device=state.scored.device))

    def turn(self, state: FitState) -> tuple[str | None, str | None]:
        """The modality whose turn it is, None where all are tuned together; and the one before it, None in the first turn."""
        names = list(state.data.x)
        phase = state.epoch // max(1, round(self.stage * state.n_epochs / 2))
        at = phase // 2 % len(names)
        return (names[at] if self.stage and phase % 2 == 0 else None), (names[at - 1] if phase and len(names) > 1 else None)

    def start_epoch(self, state: FitState) -> None:
        now, _ = self.turn(state)
        state.signals |= {f"turn:{m}": float(now in (None, m)) for m in state.data.x}

    def terms(self, state: FitState, outputs: Outputs, batch: Batch) -> dict[str, tuple[Tensor, Tensor]]:
        now, before = self.turn(state)
        if now is None:
            return {}
        own, task, mask = outputs.unimodal[now], state.task, batch.scored * batch.present[now]
        rate = self.rate.detach()
        fixed = {m: said.detach() * (m != now) for m, said in outputs.unimodal.items()}
        others = rate * summed(fixed, batch.present)
        if task.n_out == 1:
            return {f"boost:{now}": masked_mean(task.loss(others + rate * own, batch.y), mask, batch.weight)}
        share = (self.base - self.residual * task.score(others, batch.y)) / task.n_out
        apart = (own.softmax(-1) - outputs.unimodal[before or now].detach().softmax(-1)).square().mean(-1)
        found = {f"boost:{now}": masked_mean(share * task.loss(own, batch.y), mask, batch.weight)}
        if before is not None:
            found[f"memory:{now}"] = masked_mean(apart, mask * batch.present[before], batch.weight)
        return found

    def weights(self, state: FitState, losses: dict[str, Tensor], outputs: Outputs, batch: Batch) -> dict[str, Tensor | float]:
        now, _ = self.turn(state)
        unused = dict.fromkeys(outputs.unimodal, 0.0)
        return {**unused, FUSED: 1.0 if now is None else 0.0, f"memory:{now}": self.memory}

    def fuse(self, outputs: Outputs, present: dict[str, Tensor]) -> Tensor:
        return self.rate * summed(outputs.unimodal, present)
