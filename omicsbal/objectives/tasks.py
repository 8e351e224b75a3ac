"""What a label asks for: the loss, a score in (0, 1], a distance to a teacher.

A task works on tensors with a leading member axis: predictions (K, n, c), targets (n,), results (K, n), one value a row.
"""

from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor
from torch.nn import functional


class Task(Protocol):
    """What losses, strategies and teachers need to know of a label."""

    n_out: int

    def loss(self, pred: Tensor, y: Tensor) -> Tensor: ...
    def score(self, pred: Tensor, y: Tensor) -> Tensor: ...
    def distance(self, pred: Tensor, teacher: Tensor, temperature: float = 1.0) -> Tensor: ...
    def standard(self, pred: Tensor) -> Tensor: ...


@dataclass(frozen=True)
class Classification:
    """Class codes 0..c-1; cross-entropy in nats.

    Examples
    --------
    >>> import torch
    >>> task = Classification(n_out=2)
    >>> task.loss(torch.zeros(1, 1, 2), torch.tensor([1])).item()  # ln 2
    0.6931471824645996
    """

    n_out: int

    def loss(self, pred: Tensor, y: Tensor) -> Tensor:
        """Cross-entropy (K, n), nats."""
        return -pred.log_softmax(-1).gather(-1, y.expand(pred.shape[:-1]).unsqueeze(-1)).squeeze(-1)

    def score(self, pred: Tensor, y: Tensor) -> Tensor:
        """Probability given to the true class (K, n), in (0, 1]."""
        return pred.softmax(-1).gather(-1, y.expand(pred.shape[:-1]).unsqueeze(-1)).squeeze(-1)

    def distance(self, pred: Tensor, teacher: Tensor, temperature: float = 1.0) -> Tensor:
        """T^2 KL(teacher || pred) (K, n), nats, both softened by T (Hinton et al. 2015, arXiv:1503.02531)."""
        log_q = (pred / temperature).log_softmax(-1)
        log_p = (teacher / temperature).log_softmax(-1)
        return temperature**2 * (log_p.exp() * (log_p - log_q)).sum(-1)

    def standard(self, pred: Tensor) -> Tensor:
        """Log-probabilities (K, n, c), nats: predictions without what does not show in them."""
        return pred.log_softmax(-1)


@dataclass(frozen=True)
class Regression:
    """Standardised values (mean 0, variance 1 over the training rows), so a squared error of 1 is what the mean gets.

    Examples
    --------
    >>> import torch
    >>> Regression().loss(torch.zeros(1, 1, 1), torch.tensor([2.0])).item()
    4.0
    """

    n_out: int = 1

    def loss(self, pred: Tensor, y: Tensor) -> Tensor:
        """Squared error (K, n) in units of the label's training variance."""
        return (pred.squeeze(-1) - y) ** 2

    def score(self, pred: Tensor, y: Tensor) -> Tensor:
        """exp(-squared error) (K, n), in (0, 1]."""
        return torch.exp(-self.loss(pred, y))

    def distance(self, pred: Tensor, teacher: Tensor, temperature: float = 1.0) -> Tensor:
        """Squared difference of predictions (K, n); `temperature` has no meaning here and is ignored."""
        return functional.mse_loss(pred, teacher.expand_as(pred), reduction="none").squeeze(-1)

    def standard(self, pred: Tensor) -> Tensor:
        """The values as they are."""
        return pred
