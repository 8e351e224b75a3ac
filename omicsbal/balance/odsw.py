"""Online difficulty: rows weigh by how well they are told now, easy ones first, hard ones last."""

import math
from dataclasses import replace

import torch
from torch import Tensor

from omicsbal._types import Batch, FitState, Outputs
from omicsbal._validate import check_number
from omicsbal.balance._base import Strategy
from omicsbal.balance._coalitions import fused_of

NEVER = 0.05  # success of a row that has been told wrong since it was first seen; an average never gets to 0
FLOOR = 0.05  # of any row's weight before classes are evened out: no row is forgotten


def emphasis(success: Tensor) -> Tensor:
    """F (3, ...) of success in [0, 1], for the easy, the medium and the hard stage.

    ``bump = cos(pi (a - 1/2))`` is 0 at a = 0 and 1, and 1 at 1/2. Easy: the bump below 1/2, else 1. Medium: the bump. Hard: 1 up
    to 1/2, else the bump, and 1/4 up to 0.05, of rows that are as good as never told.
    """
    bump, low = torch.cos(math.pi * (success - 0.5)).clamp(min=0.0), success <= 0.5
    easy = torch.where(low, bump, 1.0)
    hard = torch.where(low, 1.0, bump)
    return torch.stack([easy, bump, torch.where(success <= NEVER, 0.25, hard)])


class Odsw(Strategy):
    """Uniform multitask training in which each row weighs by how often it is told right: easy rows first, hard ones last.

    Parameters
    ----------
    strength
        In [0, 1]: weight ``1 - strength + strength F``. At 0 this is `Uniform`.
    rate
        Chance in [0, 0.99] that a present modality is hidden where success is measured; a row keeps one.
    memory
        Share in [0, 0.99] of the old success that each new one, an epoch later, is averaged with.
    warm_up
        Share in [0, 1] of the epochs before the first stage, with equal weights.

    Raises
    ------
    ValueError, TypeError
        A number outside its range; when the fit begins, a numeric label, which has no right or wrong.

    Notes
    -----
    ``a_i <- memory a_i + (1 - memory) 1[argmax = y_i]`` per member, of the fused head when it is shown a random subset of the
    row's modalities, from a first value of 1/2. After the warm-up come three stages in which the learning rate, a cosine that
    ends at 0, has the same sum, with ``F = cos(pi (a - 1/2))`` at its core: easy (1 above 1/2), medium, hard (1 up to 1/2, 1/4
    up to 0.05). Weights are at least 0.05; then each class gets back the weight it had among the batch's rows that the member
    learns from, as rare types would starve in the easy stage; so the only row of its class in a batch always has its old weight.
    ``L = L_0 + sum_m L_m`` under these weights.

    Our own method on an idea of VL-Cogito (arXiv:2507.22607), which scales advantages in reinforcement learning by the success
    of rollouts. There, prompts always or never solved have no advantage anyway; here they have a gradient, so the same F acts
    otherwise. Success is measured on rows that are trained on, and what is learned by heart looks easy; rows with a wrong label
    look hard, and the last stage raises them. That easy comes first is a hypothesis.

    Examples
    --------
    >>> Odsw(strength=0.5).heads(["rna"])
    ['fused', 'rna']
    """

    tasks = ("classification",)
    paper, confidence = "idea of VL-Cogito, arXiv:2507.22607", "own"
    cost = 1.4
    success: Tensor

    def __init__(self, strength: float = 1.0, rate: float = 0.3, memory: float = 0.9, warm_up: float = 0.1) -> None:
        super().__init__()
        self.strength = check_number("strength", strength, low=0, high=1)
        self.rate = check_number("rate", rate, low=0, high=0.99)
        self.memory = check_number("memory", memory, low=0, high=0.99)
        self.warm_up = check_number("warm_up", warm_up, low=0, high=1)

    def setup(self, state: FitState) -> None:
        self.register_buffer("success", torch.full_like(state.scored, 0.5))

    def stage(self, state: FitState) -> int:
        """0 easy, 1 medium, 2 hard; -1 before."""
        done = min(1.0, state.epoch / max(1, state.n_epochs))
        first, here = (d + math.sin(math.pi * d) / math.pi for d in (self.warm_up, done))  # share of all learning done by then
        return -1 if done < self.warm_up else min(2, int(3 * (here - first) / max(1e-9, 1 - first) + 1e-9))

    def rows(self, state: FitState, batch: Batch) -> Batch:
        stage = self.stage(state)
        if self.strength == 0 or stage < 0:
            return batch
        raised = 1 - self.strength + self.strength * emphasis(self.success[:, batch.index])[stage]
        wanted = raised.clamp(min=FLOOR) * batch.weight
        classes = torch.nn.functional.one_hot(batch.y, state.task.n_out).to(wanted.dtype)  # (n, c)
        before, after = ((batch.scored * weight) @ classes for weight in (batch.weight, wanted))  # (K, c)
        return replace(batch, weight=wanted * (before / after.clamp(min=1e-12))[:, batch.y])

    def weights(self, state: FitState, losses: dict[str, Tensor], outputs: Outputs, batch: Batch) -> dict[str, Tensor | float]:
        if self.strength > 0:
            self.update(state, outputs, batch)
        return {}

    @torch.no_grad()
    def update(self, state: FitState, outputs: Outputs, batch: Batch) -> None:
        """Average in whether each row was told right."""
        shown = batch.present
        if self.rate > 0:
            here = torch.stack(list(batch.present.values()))  # (M, n)
            draw = torch.empty(here.shape, device=here.device).uniform_(generator=state.generator)
            kept = here & ((draw >= self.rate) | (draw == draw.masked_fill(~here, -1.0).amax(0)))  # the largest draw always stays
            shown = dict(zip(batch.present, kept, strict=True))
        right = (fused_of(state.net, outputs.z, shown, shown).argmax(-1) == batch.y).to(self.success.dtype)
        fresh = self.memory * self.success[:, batch.index] + (1 - self.memory) * right
        self.success = self.success.index_copy(1, batch.index, fresh)
        state.signals["success:fused"] = float((fresh * batch.scored).sum() / batch.scored.sum().clamp(min=1e-12))

    def finish(self) -> None:
        del self.success
