"""How much each modality's predictions depend on the others', from out-of-fold rows."""

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor

from omicsbal._types import FitState
from omicsbal.mi.chance import null_distribution
from omicsbal.mi.gate import label_facing
from omicsbal.mi.gaussian import copula_mi

FEW = 100  # rows below which the estimate moves by chance alone: it is then left as it is
PLENTY = 5000  # rows beyond which nothing is gained: an even sample of about that many is used
LEVEL = 0.999  # quantile of the null below which dependence counts as none: pairs and epochs are many, chance must not promote


def label_coordinates(told: Tensor, folds: Tensor) -> np.ndarray:
    """Out-of-fold predictions (n, c) of rows in `folds` (n,) as label-facing coordinates (n, q).

    Each fold's mean goes first. A network that has learned nothing predicts the class frequencies of its training part, which
    differ from fold to fold in the same way for all modalities: a dependence that is none.
    """
    centred = told.detach().double().clone()
    for k in folds.unique():
        centred[folds == k] -= centred[folds == k].mean(0)
    return label_facing(centred.cpu().numpy())


def squared_correlation(a: np.ndarray, b: np.ndarray) -> float:
    """``1 - exp(-2 I)``, I the copula mutual information (nats); rho^2 for two Gaussian columns, 0 where it could be chance."""
    value = copula_mi(a, b)[0]
    return float(1 - np.exp(-2 * value)) if value > null_distribution(len(a), (a.shape[1], b.shape[1])).ppf(LEVEL) else 0.0


def mean_dependence(told: Mapping[str, Tensor], present: Mapping[str, Tensor], folds: Tensor) -> Tensor:
    """(M,) float32 in [0, 1): of each modality the mean over the others, on the rows that both have; 0 for a single modality.

    NaN where no pair has enough rows.
    """
    found: dict[str, list[float]] = {m: [] for m in told}
    names = list(told)
    for i, m in enumerate(names):
        for other in names[i + 1 :]:
            rows = (present[m] & present[other]).nonzero().squeeze(1)
            if len(rows) < FEW:
                continue
            rows = rows[:: -(-len(rows) // PLENTY)]
            value = squared_correlation(*(label_coordinates(told[x][rows], folds[rows]) for x in (m, other)))
            found[m].append(value)
            found[other].append(value)
    means = [float(np.mean(v)) if v else (0.0 if len(names) == 1 else np.nan) for v in found.values()]
    return torch.tensor(means, dtype=torch.float32, device=folds.device)


def newest_signals(state: FitState) -> tuple[Tensor, Tensor] | None:
    """Out-of-fold metric and dependence (M,) of the modalities, where an evaluation has just been made; NaN where not known."""
    if state.held_out is None or state.folds is None:
        return None
    told = {m: state.task.standard(state.held_out.unimodal[m][0]) for m in state.data.x}
    metric = torch.tensor([state.oof.get(f"oof_{state.metric}:{m}", torch.nan) for m in told], device=state.folds.device)
    return metric, mean_dependence(told, state.data.present, state.folds)
