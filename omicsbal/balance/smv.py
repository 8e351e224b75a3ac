"""SMV: what each modality is worth in each row, by Shapley's rule, and more practice where it is worth little."""

from collections.abc import Callable

import torch
from torch import Tensor

from omicsbal._types import FUSED, Batch, FitState, Outputs
from omicsbal._validate import check_choice, check_number, problem
from omicsbal.balance._base import Strategy
from omicsbal.balance._coalitions import MOST, fused_of
from omicsbal.balance._scores import masked, note
from omicsbal.balance._valuation import copies_by_modality, copies_by_row, row_values
from omicsbal.objectives.supervised import masked_mean

LEVELS: dict[str, Callable[..., Tensor]] = {"sample": copies_by_row, "modality": copies_by_modality}


class Smv(Strategy):
    """Rows to whose prediction a modality adds little are shown again with that modality alone.

    Parameters
    ----------
    strength
        Weight >= 0 of a copy relative to a row; 0 is `Joint`.
    level
        "sample": up to three copies by what the modality is worth in that row; "modality": the same number for all rows.
    warm_up
        Share in [0, 1] of the epochs without copies.

    Raises
    ------
    ValueError, TypeError
        An unknown level, or a number outside its range. When a fit begins: more than six modalities, whose subsets are too many.

    Notes
    -----
    phi_m is the Shapley value in row i of ``v(S) = |S| [the fused head, shown S, is right]``, S among the modalities of the row;
    for numbers ``v(S) = |S| exp(-squared error)``. Copies k_m are 1 for phi_m in [0.4, 1), 2 in [-0.1, 0.4), 3 below ("sample");
    or ``2/3 max(0, mean over the others of phi - phi_m)`` with means over rows ("modality"). Values are taken anew at the
    start of each epoch, members apart, from the rows that a member learns from, without dropout. A modality that a row
    lacks is worth 0 and gets no copy. A row with a single modality gets none, since it would be that row again, and has no
    part in the means. For numbers at level "sample" phi_m is first divided by the row's own exp(-squared error) with all it
    has, at least 1e-6, which makes a fair share 1 (our choice): undivided it is nearly always below 1.

    Data do not grow: a copy is a term "copy:m", the loss of the fused head that is shown m alone, with weight s k_m on its row,
    and the sum over a batch is divided by the weight of its rows and copies together. That is the mean loss, and its gradient,
    of a batch with all copies of its rows; an epoch has as many steps as before, where the original takes more. The original
    estimates the means of "modality" from a fifth of the rows, here all are there, and compares two modalities only. The copies'
    losses are without dropout in the fused head. Wei et al. (2024).

    Examples
    --------
    >>> Smv(level="modality").heads(["rna", "atac"])
    ['fused']
    """

    unimodal = False
    paper, confidence = "Wei et al. 2024, arXiv:2309.06255", "faithful"
    needs, cost = "2^M calls of the fused head a row and epoch", 1.6
    copies: Tensor  # (K, M, n) of the training rows

    def __init__(self, strength: float = 1.0, level: str = "sample", warm_up: float = 0.1) -> None:
        super().__init__()
        self.strength, self.level = check_number("strength", strength, low=0), check_choice("level", level, LEVELS)
        self.warm_up = check_number("warm_up", warm_up, low=0, high=1)

    def setup(self, state: FitState) -> None:
        if len(state.data.x) > MOST:
            do = "Take another strategy, or fit fewer modalities."
            raise ValueError(problem("modalities", expected=f"at most {MOST} for Smv", found=len(state.data.x), do=do))
        members, n = state.scored.shape
        self.register_buffer("copies", state.scored.new_zeros(members, len(state.data.x), n))

    def _on(self, state: FitState) -> bool:
        return self.strength > 0 and len(state.data.x) > 1 and state.epoch >= self.warm_up * state.n_epochs

    def start_epoch(self, state: FitState) -> None:
        if self._on(state):
            here = torch.stack(list(state.data.present.values()))
            here = here & (here.sum(0) > 1)  # alone, a modality's copy would be the row itself
            phi, mask = row_values(state, relative=self.level == "sample"), state.scored.unsqueeze(1) * here
            self.copies = LEVELS[self.level](phi, here, mask, state.data.weight)
            note(state, "copies", masked(self.copies, mask, state.data.weight).nan_to_num())

    def terms(self, state: FitState, outputs: Outputs, batch: Batch) -> dict[str, tuple[Tensor, Tensor]]:
        if not self._on(state):
            return {}
        found = {}
        for m, mask in self._masks(batch).items():
            alone = fused_of(state.net, outputs.z, batch.present, {m})
            found[f"copy:{m}"] = masked_mean(state.task.loss(alone, batch.y), mask, batch.weight)
        return found

    def _masks(self, batch: Batch) -> dict[str, Tensor]:
        """Copies (K, n) of the rows of a batch as far as a member learns from them."""
        counts = self.strength * self.copies[:, :, batch.index] * batch.scored.unsqueeze(1)
        return dict(zip(batch.present, counts.unbind(1), strict=True))

    def weights(self, state: FitState, losses: dict[str, Tensor], outputs: Outputs, batch: Batch) -> dict[str, Tensor | float]:
        if not self._on(state):
            return {}
        total = {FUSED: (batch.scored * batch.weight).sum(-1)}
        total |= {f"copy:{m}": (mask * batch.weight).sum(-1) for m, mask in self._masks(batch).items()}
        whole = torch.stack(list(total.values())).sum(0).clamp(min=1e-12)
        return {name: part / whole for name, part in total.items()}

    def finish(self) -> None:
        del self.copies
