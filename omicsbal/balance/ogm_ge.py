"""OGM-GE: on-the-fly gradient modulation with generalisation enhancement."""

import torch
from torch import Tensor

from omicsbal._types import Batch, FitState, Outputs
from omicsbal._validate import check_number
from omicsbal.balance._base import Strategy
from omicsbal.balance._grads import encoder_parameters
from omicsbal.balance._scores import confidence, note, ratios
from omicsbal.balance._updates import scale_update


class OgmGe(Strategy):
    """Whichever modality is ahead learns more slowly, so that the others can catch up; noise keeps its fit from narrowing.

    Parameters
    ----------
    alpha
        How strongly the leader is slowed, >= 0; 0 slows nobody.
    noise
        Whether gradients of encoder weights get noise of their own spread (GE); False is plain OGM.
    until
        Share of the epochs, in [0, 1], in which it acts; joint training afterwards. At 0 the training of the fused head is that
        of `Joint`.

    Raises
    ------
    ValueError, TypeError
        A number outside its range.

    Notes
    -----
    ``kappa_m = 1 - tanh(alpha rho_m)`` where ``rho_m > 1``, else 1; ``rho_m = c_m / mean_(k != m) c_k``; c_m the batch's mean
    score of modality m (probability of the true class, for numbers ``exp(-squared error)``). At rho = 1 kappa jumps to ``1 -
    tanh(alpha)``: that is the paper's formula. Defaults are those of the audio-visual work (alpha 0.1 to 0.8, first half).

    Departures. (1) c_m comes from a unimodal head on embeddings without gradient, since our fused head is not linear and has no
    slices. (2) kappa scales the update and not the gradient: under Adam a scaled gradient is divided by its own size again, and
    nothing happens. Under SGD both are the same. (3) GE adds ``N(0, std(g)^2)`` to the gradient g of each weight matrix, std
    that of g before any scaling, one a tensor and member, the draw shared by the members; the paper leaves it unscaled by kappa,
    here it is part of the update and so scaled along, and Adam smooths it over steps like any gradient. Biases and norms get
    none. (4) The released code touches convolution kernels alone and would do nothing here. One modality is left alone.

    Examples
    --------
    >>> OgmGe(alpha=0.5).kappa(torch.tensor([0.8, 1.0, 2.0]))
    tensor([1.0000, 1.0000, 0.2384])
    """

    probes = True
    paper, confidence, cost = "Peng et al. 2022, arXiv:2203.15332", "faithful", 1.5

    def __init__(self, alpha: float = 0.3, noise: bool = True, until: float = 0.5) -> None:  # noqa: FBT001, FBT002
        super().__init__()
        self.alpha, self.noise = check_number("alpha", alpha, low=0), bool(noise)
        self.until = check_number("until", until, low=0, high=1)

    def kappa(self, rho: Tensor) -> Tensor:
        """Factor of the update, in (0, 1]."""
        return torch.where(rho > 1, 1 - torch.tanh(self.alpha * rho), 1.0)

    def acts(self, state: FitState) -> bool:
        """Whether the schedule still runs and there is somebody to compare with."""
        return state.epoch < self.until * state.n_epochs and len(state.data.x) > 1

    def weights(self, state: FitState, losses: dict[str, Tensor], outputs: Outputs, batch: Batch) -> dict[str, Tensor | float]:
        if self.acts(state):
            scores = confidence(state, outputs, batch)
            kappa = self.kappa(ratios(scores))
            for i, m in enumerate(outputs.unimodal):
                scale_update(state, m, kappa[..., i])
            note(state, "confidence", scores)
            note(state, "kappa", kappa)
        return {}

    def backward(self, state: FitState, losses: dict[str, Tensor], weights: dict[str, Tensor | float]) -> None:
        super().backward(state, losses, weights)
        if not (self.noise and self.acts(state)):
            return
        for m in state.data.x:
            for p in encoder_parameters(state.net, m):
                if p.grad is not None and p.shape[1] > 1:  # (K, in, out); biases and norms are (K, 1, out)
                    spread = p.grad.flatten(1).std(1, correction=0).reshape(-1, 1, 1)
                    p.grad += spread * torch.empty_like(p.grad[0]).normal_(generator=state.generator)
