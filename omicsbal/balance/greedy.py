"""Greedy: balanced multi-modal learning by the conditional learning speed."""

import torch
from torch import Tensor, nn

from omicsbal._types import Batch, FitState, Outputs
from omicsbal._validate import check_number
from omicsbal.balance._base import Strategy
from omicsbal.balance._gates import energy, gates, held_next, running
from omicsbal.balance._grads import encoder_parameters
from omicsbal.balance._scores import note


class Greedy(Strategy):
    """Modalities turn each other up or down by gates; the one that relies most on its gate has it held for some steps.

    Parameters
    ----------
    threshold
        Difference of learning speeds, >= 0, in powers of ten, above which a gate is held. 0.01, the paper's, is a difference of
        2 %, which is nearly always there: after `warm_up` some gate is held in most steps.
    window
        Steps for which it is, >= 0; at 0 the gates are only trained.
    warm_up
        Share of the epochs, in [0, 1], before the first.

    Raises
    ------
    ValueError, TypeError
        A number outside its range.

    Notes
    -----
    The fusion sees ``z_m * g_m``, ``g_m = 2 sigmoid(s G_m + b_m)``, ``s = relu(mean over present k of z_k S_k)``. Energies
    ``sum |grad|^2 / sum |w|^2`` of a gate (S, G_m, b_m) and of encoder m, summed over steps, give its speed
    ``log10(gate / encoder)``. Where the largest exceeds the smallest by `threshold`, that gate is its running mean (no gradient)
    for `window` steps, and the encoder has to learn. Each member decides for itself. At prediction all gates are live.

    Departures. (1) The paper gates hidden layers between branches (MMTM); our branches meet in the fusion alone, so embeddings
    are gated. (2) G and b start at 0, so every gate at exactly 1, and S as the fusion's projections: the first step is that of
    `Joint`. (3) Energies are pooled over the tensors of a part, as a ratio a tensor is infinite for weights that start at 0; they
    rest while a gate is held (our choice). (4) The released mean of the second modality takes the first one's gate; not here.
    No setting is joint training, except with one modality, which has no gate.

    Examples
    --------
    >>> Greedy(window=3).window
    3
    """

    unimodal = False
    paper, confidence, cost = "Wu et al. 2022, arXiv:2202.05306", "our reconstruction", 1.6
    squeeze: Tensor  # (K, M, k, k) S
    gate: Tensor  # (K, M, k, k) G
    shift: Tensor  # (K, M, 1, k) b
    energies: Tensor  # (K, M, 2) summed energies of gate and encoder
    average: Tensor  # (K, M, k) running mean of the gates
    count: Tensor  # (K, M) steps behind it
    held: Tensor  # (K, M) 1 where a gate is held
    left: Tensor  # (K,) steps for which it still is

    def __init__(self, threshold: float = 0.01, window: int = 5, warm_up: float = 0.05) -> None:
        super().__init__()
        self.threshold, self.training_step = check_number("threshold", threshold, low=0), False
        self.window = check_number("window", window, low=0, integer=True)
        self.warm_up = check_number("warm_up", warm_up, low=0, high=1)

    def setup(self, state: FitState) -> None:
        if len(state.data.x) == 1:
            return
        start = torch.stack([p.weight.detach() for p in state.net.fusion.project], 1)  # type: ignore[union-attr]
        self.squeeze, self.gate = nn.Parameter(start.clone()), nn.Parameter(torch.zeros_like(start))
        self.shift = nn.Parameter(torch.zeros_like(start[:, :, :1]))
        for name, size in {"energies": (2,), "average": start.shape[-1:], "count": (), "held": ()}.items():
            self.register_buffer(name, start.new_zeros(*start.shape[:2], *size))
        self.register_buffer("left", start.new_zeros(len(start)))

    def live(self, z: dict[str, Tensor], present: dict[str, Tensor]) -> dict[str, Tensor]:
        """Gates (K, n, k) a modality, of the row alone."""
        return gates(z, present, self.squeeze, self.gate, self.shift)

    def features(self, state: FitState, z: dict[str, Tensor], batch: Batch) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        self.training_step = len(z) > 1  # until `backward`: gates are held in training alone
        return z, batch.present

    def modulate(self, z: dict[str, Tensor], present: dict[str, Tensor]) -> dict[str, Tensor]:
        if len(z) == 1:
            return z
        factors = self.live(z, present)
        if self.training_step:
            held, average = self.held[..., None, None] > 0, self.average.unsqueeze(2)
            factors = {m: torch.where(held[:, i], average[:, i], g) for i, (m, g) in enumerate(factors.items())}
        return {m: v * factors[m] for m, v in z.items()}

    @torch.no_grad()
    def weights(self, state: FitState, losses: dict[str, Tensor], outputs: Outputs, batch: Batch) -> dict[str, Tensor | float]:
        if self.training_step:
            seen = torch.stack(list(self.live(outputs.z, batch.present).values()), 1)
            masks = torch.stack([batch.scored * batch.present[m] * batch.weight for m in outputs.z], 1)
            self.average, self.count = running(self.average, self.count, seen, masks, self.held == 0)
        return {}

    def backward(self, state: FitState, losses: dict[str, Tensor], weights: dict[str, Tensor | float]) -> None:
        super().backward(state, losses, weights)
        if not self.training_step:
            return
        self.training_step, now = False, []
        for i, m in enumerate(state.data.x):
            own = [(p[:, i], p.grad if p.grad is None else p.grad[:, i]) for p in (self.gate, self.shift)]
            main = [(p, p.grad) for p in encoder_parameters(state.net, m)]
            now.append(torch.stack([energy([*own, (self.squeeze, self.squeeze.grad)]), energy(main)], -1))
        self.energies = self.energies + (self.left == 0).reshape(-1, 1, 1) * torch.stack(now, 1)
        window = self.window if state.epoch >= self.warm_up * state.n_epochs else 0
        speed, self.held, self.left = held_next(self.energies, self.held, self.left, self.threshold, window)
        note(state, "speed", speed)
        note(state, "held", self.held)

    def finish(self) -> None:
        for name in list(self._buffers):
            delattr(self, name)
