"""Late fusion in which, row by row, the modality that is surer of itself speaks louder."""

import torch
from torch import Tensor


def entropy_weights(unimodal: dict[str, Tensor], present: dict[str, Tensor]) -> Tensor:
    """Weights (M, ..., n): a softmax over the present modalities of minus the entropy (nats) of their class probabilities.

    0 for an absent modality; all 0 where a row has none. With one output a head (numbers) there is no entropy and the present
    modalities share equally. The entropy is over classes, row by row: over the batch, as released code has it, a prediction
    would depend on its neighbours.
    """
    stack = torch.stack(list(unimodal.values()))  # (M, ..., n, c)
    here = torch.stack([present[m].expand(stack.shape[1:-1]) for m in unimodal])
    log_p = stack.log_softmax(-1)
    surety = (log_p.exp() * log_p).sum(-1) if stack.shape[-1] > 1 else torch.zeros_like(stack[..., 0])
    weights = surety.masked_fill(~here, torch.finfo(stack.dtype).min).softmax(0)
    return torch.where(here, weights, 0.0)


def entropy_fused(unimodal: dict[str, Tensor], present: dict[str, Tensor]) -> Tensor:
    """Sum (..., n, c) of the unimodal outputs under `entropy_weights`."""
    return (entropy_weights(unimodal, present).unsqueeze(-1) * torch.stack(list(unimodal.values()))).sum(0)
