"""Integrated gradients of a network's log-odds of a class, each member on rows of its own."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from omicsbal._types import FUSED, Arrays
from omicsbal.train.forward import decoded
from omicsbal.train.predictor import Predictor

if TYPE_CHECKING:
    from torch import Tensor

POINTS = 16384  # rows times members times points of the path in one pass: bounds memory


@dataclass(frozen=True)
class PathGradients:
    """What the network says between a baseline and each cell, K members with b cells each."""

    mean: dict[str, np.ndarray]  # {m: (K, b, d_m)} gradient averaged along the straight path, nats per unit of the column
    gain: np.ndarray  # (K, b) log-odds of the cell less those of the baseline, nats
    error: np.ndarray  # (K, b) sum of all attributions less the gain: 0 if the path were integrated exactly


def captum_gradients() -> Any:
    """captum's `IntegratedGradients`.

    Raises
    ------
    ImportError
        captum is not installed.
    """
    try:
        from captum.attr import IntegratedGradients
    except ImportError as error:
        msg = "Integrated gradients need captum: pip install 'omicsbal[attributions]'."
        raise ImportError(msg) from error
    return IntegratedGradients


def path_gradients(
    predictor: Predictor,
    data: Arrays,
    *,
    head: str,
    code: int,
    rows: np.ndarray,
    baseline: Mapping[str, np.ndarray],
    n_steps: int,
) -> PathGradients:
    """Gradients of ``log p_c / (1 - p_c)`` averaged along the straight path from a baseline to each cell.

    With f the calibrated log-odds of class c and x' the baseline, mean gradient g = integral of grad f(x' + t (x - x')) over t in
    [0, 1], by Gauss-Legendre quadrature; (x - x') g are the integrated gradients, which sum to f(x) - f(x') over all columns of
    all modalities (Sundararajan et al. 2017, arXiv:1703.01365). All modalities move together; absent ones stay absent.

    Parameters
    ----------
    predictor
        Fitted, without a graph: there a cell's links change along the path.
    data
        Rows to choose from.
    head
        "fused", or a modality, which then is all that is seen.
    code
        Of the class.
    rows
        (K, b) rows of `data` that each member reads, K all members.
    baseline
        ``{m: (K, d_m)}``, each member's.
    n_steps
        Points of the quadrature.
    """
    seen = [m for m in predictor.modalities if head in (FUSED, m)]
    method = captum_gradients()(_LogOdds(predictor, head, code, seen), multiply_by_inputs=False)
    width = max(POINTS // (n_steps * len(rows)), 1)
    parts = [
        _chunk(method, data, seen, rows[:, start : start + width], baseline, n_steps) for start in range(0, rows.shape[1], width)
    ]
    return PathGradients(
        {m: np.concatenate([p.mean[m] for p in parts], 1) for m in seen},
        np.concatenate([p.gain for p in parts], 1),
        np.concatenate([p.error for p in parts], 1),
    )


def _chunk(
    method: Any, data: Arrays, seen: list[str], rows: np.ndarray, baseline: Mapping[str, np.ndarray], n_steps: int
) -> PathGradients:
    """A few cells of every member, flattened to what captum wants: one row a cell, in the order of members."""
    shape, index = rows.shape, torch.from_numpy(rows.ravel()).to(data.y.device)
    cells = tuple(data.x[m][index] for m in seen)
    starts = tuple(torch.from_numpy(np.repeat(baseline[m], shape[1], axis=0)).to(x) for m, x in zip(seen, cells, strict=True))
    present = torch.stack([data.present[m][index] for m in seen], 1)
    method.forward_func.shape = shape
    found = method.attribute(cells, starts, additional_forward_args=(present,), n_steps=n_steps, method="gausslegendre")
    with torch.no_grad():
        gain = method.forward_func(*cells, present) - method.forward_func(*starts, present)
    total = sum(((x - s) * g).sum(1) for x, s, g in zip(cells, starts, found, strict=True))
    mean = {m: g.cpu().double().numpy().reshape(*shape, -1) for m, g in zip(seen, found, strict=True)}
    return PathGradients(mean, *(v.cpu().double().numpy().reshape(shape) for v in (gain, total - gain)))


class _LogOdds:
    """Calibrated log-odds of one class against the rest; captum stacks points of the path in front of the rows."""

    shape: tuple[int, int]  # members, and cells of each

    def __init__(self, predictor: Predictor, head: str, code: int, seen: list[str]) -> None:
        self.predictor, self.head, self.code, self.seen = predictor, head, code, seen
        predictor.net.eval()

    def __call__(self, *given: "Tensor") -> "Tensor":
        net, members, cells = self.predictor.net, *self.shape
        *blocks, present = given
        steps = len(present) // (members * cells)

        def by_member(t: "Tensor") -> "Tensor":
            return t.reshape(steps, members, cells, -1).transpose(0, 1).reshape(members, steps * cells, -1)

        x = {m: by_member(block) for m, block in zip(self.seen, blocks, strict=True)}
        here = dict(zip(self.seen, by_member(present).unbind(-1), strict=True))
        some = x[self.seen[0]]
        for m, encoder in zip(net.modalities, net.encoders, strict=True):
            if m not in x:  # hidden
                x[m] = some.new_zeros(members, steps * cells, len(encoder.tilt))  # type: ignore[arg-type]
                here[m] = torch.zeros_like(here[self.seen[0]])
        # some strategies cut heads off from the encoders in training; what a head says depends on the cell all the same
        outputs = decoded(net, self.predictor.strategy, net.encode(x, here), here, probes=False)
        logits = outputs.head(self.head) / self.predictor.temperatures[self.head]
        other = torch.arange(logits.shape[-1], device=logits.device) != self.code
        odds = logits[..., self.code] - logits[..., other].logsumexp(-1)
        # a strategy's fusion may leave a modality out; captum asks for its gradient all the same
        odds = odds + 0 * sum(block.sum() for block in blocks)
        return odds.reshape(members, steps, cells).transpose(0, 1).reshape(-1)
