"""Keep a linear map away from directions that were used already."""

from torch import Tensor


def absorbed(projector: Tensor, direction: Tensor, *, damping: float) -> Tensor:
    """``P - k k' / (damping + r' k)``, ``k = P r``: P (K, k, k) without most of the direction r (K, k).

    Afterwards ``r' P r <= damping r' r / (damping + r' r)``, with equality from ``P = I``.
    """
    k = (projector @ direction.unsqueeze(-1)).squeeze(-1)
    return projector - k.unsqueeze(-1) * k.unsqueeze(-2) / (damping + (direction * k).sum(-1))[..., None, None]
