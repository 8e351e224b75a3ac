"""MSES: modality-specific early stopping."""

import torch
from torch import Tensor

from omicsbal._types import Batch, FitState, Outputs
from omicsbal._validate import check_number
from omicsbal.balance._base import Strategy
from omicsbal.balance._updates import freeze


class Mses(Strategy):
    """Each modality's encoder stops learning for good once its own predictions of held-out rows no longer improve.

    Parameters
    ----------
    patience
        Evaluations without improvement after which an encoder is frozen, >= 1; a fit has ``FitConfig.evaluations``.
    tolerance
        By how much the metric must rise to count as improvement, >= 0.

    Raises
    ------
    ValueError, TypeError
        A number outside its range.

    Notes
    -----
    ``L = L_0``. The metric of m is the out-of-fold one of a unimodal head on embeddings without gradient: one number for all
    members, which so stop together. A frozen encoder gets no step at all, while a zero gradient would leave momentum and decay at
    work; the fused part and the unimodal heads go on. It stays where it is then, not where it was best.

    A control, as in the code of Li et al. The paper trains unimodal heads along with the fused one (multitask) and stops each;
    here they watch alone, so that stopping is the only difference from the `Joint` training of the fused head.

    Examples
    --------
    >>> Mses(patience=3).heads(["rna"])
    ['fused', 'rna']
    """

    probes = True
    paper, confidence = "Fujimori et al. 2019 (ACPR); code of Li et al. 2023, arXiv:2308.07686", "our reconstruction"
    needs, cost = "held-out scores", 1.3
    best: Tensor  # (M,) best metric so far
    waited: Tensor  # (M,) evaluations since

    def __init__(self, patience: int = 4, tolerance: float = 0.0) -> None:
        super().__init__()
        self.patience = check_number("patience", patience, low=1, integer=True)
        self.tolerance = check_number("tolerance", tolerance, low=0)
        self.stopped: list[str] = []

    def setup(self, state: FitState) -> None:
        for name, value in {"best": -torch.inf, "waited": 0.0}.items():
            self.register_buffer(name, torch.full((len(state.data.x),), value, device=state.scored.device))

    def start_epoch(self, state: FitState) -> None:
        if state.held_out is not None:  # there was an evaluation
            told = [state.oof.get(f"oof_{state.metric}:{m}", torch.nan) for m in state.data.x]
            scores = torch.tensor(told, device=self.best.device)
            better, running = scores > self.best + self.tolerance, self.waited < self.patience
            self.waited = torch.where(better & running, 0.0, self.waited + ~scores.isnan())
            self.best = torch.where(better, scores, self.best)
        self.stopped = [m for m, waited in zip(state.data.x, self.waited.tolist(), strict=True) if waited >= self.patience]
        state.signals |= {f"stopped:{m}": float(m in self.stopped) for m in state.data.x}

    def weights(self, state: FitState, losses: dict[str, Tensor], outputs: Outputs, batch: Batch) -> dict[str, Tensor | float]:
        for m in self.stopped:
            freeze(state, m)
        return {}

    def finish(self) -> None:
        del self.best, self.waited
