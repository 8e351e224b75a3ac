"""Which rows a fitted network tells right however it is shown them, in which modality, and which labels look wrong."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import torch

from omicsbal._types import FUSED, Arrays, Outputs
from omicsbal.diagnostics._jackknife import Estimate, block_sums, jackknife
from omicsbal.train.forward import out_of_fold
from omicsbal.train.predictor import Predictor

HIDDEN = 0.5  # chance that a modality is hidden in a pass: every subset that is left is then as likely as any other
MASKED = 0.2  # share of the recipe's outputs that are set to their mean, 0
LEVEL = 0.95  # of all intervals here


@dataclass(frozen=True)
class Success:
    """How often rows are told right over stochastic passes."""

    joint: np.ndarray  # (n,) in [0, 1]
    variability: np.ndarray  # (n,) standard deviation of p(y)
    alone: dict[str, np.ndarray]  # (n,) of each modality's own head; NaN where it is absent


def success(predictor: Predictor, data: Arrays, y: np.ndarray, *, passes: int, random_state: int = 0) -> Success:
    """Success ``a_i = mean over passes of 1[argmax = y_i]`` of each training row, by the fold member that never saw it.

    In each pass a fifth of each row's features is set to the mean. The joint prediction also has modalities hidden at random, at
    least one left; it is the fused head's, or where that was not trained the product of the modalities' heads. A modality's own
    success is that of its head, shown the masked features.

    Parameters
    ----------
    predictor
        Of classes.
    data
        Training rows, in their order.
    y
        (n,) class codes.
    passes
        At least 2.
    random_state
        Seed of masks and hiding.

    Returns
    -------
    Success of the rows together and by modality, and the standard deviation over passes of the probability of the label.

    Notes
    -----
    Rates of hiding and masking are our choice. Easy and hard are properties of this network and these data.
    """
    hits, told = [], []
    alone: dict[str, list[np.ndarray]] = {m: [] for m in predictor.modalities if m in predictor.trained}
    for hidden, shown in _passes(predictor, data, passes, random_state):
        logits = _joint(predictor, *hidden)
        hits.append(logits.argmax(1) == y)
        told.append(np.exp(predictor.outcome.link(logits))[np.arange(len(y)), y])
        for m, found in alone.items():
            found.append(shown.unimodal[m][0].cpu().numpy().argmax(1) == y)
    here = {m: data.present[m].cpu().numpy() for m in alone}
    each = {m: np.where(here[m], np.mean(found, axis=0), np.nan) for m, found in alone.items()}
    return Success(np.mean(hits, axis=0), np.std(told, axis=0), each)


def _passes(
    predictor: Predictor, data: Arrays, passes: int, random_state: int
) -> Iterator[tuple[tuple[Outputs, dict[str, np.ndarray]], Outputs]]:
    """Outputs with modalities hidden, with what was left, and outputs with all that is present; features masked in both."""
    rng, device = np.random.default_rng(random_state), data.y.device
    here = np.stack([data.present[m].cpu().numpy() for m in data.x], axis=1)
    for _ in range(passes):
        kept = {m: torch.from_numpy(rng.random(tuple(v.shape)) >= MASKED).to(device) for m, v in data.x.items()}
        masked = replace(data, x={m: v * kept[m] for m, v in data.x.items()})
        left = here & (rng.random(here.shape) >= HIDDEN)
        spared = np.where(here, rng.random(here.shape), -1.0).argmax(1)  # the one that stays where all would go
        none = ~left.any(1)
        left[none, spared[none]] = here[none, spared[none]]
        present = {m: torch.from_numpy(left[:, j].copy()).to(device) for j, m in enumerate(data.x)}
        few = out_of_fold(predictor.net, predictor.strategy, replace(masked, present=present), predictor.members)
        full = out_of_fold(predictor.net, predictor.strategy, masked, predictor.members)
        yield (few, {m: left[:, j] for j, m in enumerate(data.x)}), full


def _joint(predictor: Predictor, outputs: Outputs, visible: dict[str, np.ndarray]) -> np.ndarray:
    """Logits (n, c) of all that is visible."""
    if FUSED in predictor.trained:
        return np.asarray(outputs.fused[0].cpu().double().numpy())
    heads = [m for m in predictor.modalities if m in predictor.trained]
    logs = [predictor.outcome.link(outputs.unimodal[m][0].cpu().double().numpy()) * visible[m][:, None] for m in heads]
    return np.asarray(np.sum(logs, axis=0))


def suspect_labels(proba: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Labels that look wrong, by confident learning (Northcutt et al. 2021, doi:10.1613/jair.1.12125).

    With t_c the mean probability of c over rows labelled c, a row is suspect where ``p(y) < t_y`` and some other class has
    ``p(c) >= t_c``.

    Parameters
    ----------
    proba
        (n, c) probabilities from models that never saw the row; rows of NaN are never suspect.
    y
        (n,) class codes.

    Returns
    -------
    (n,) bool; and (n,) code of the most probable class that reaches its threshold, -1 where the row is not suspect.

    Examples
    --------
    >>> proba = np.array([[0.9, 0.1], [0.8, 0.2], [0.9, 0.1], [0.1, 0.9], [0.2, 0.8]])
    >>> suspect_labels(proba, np.array([0, 0, 1, 1, 1]))[0].tolist()
    [False, False, True, False, False]
    """
    n, n_classes = proba.shape
    mean = [np.nanmean(proba[y == c, c]) if np.isfinite(proba[y == c, c]).any() else np.inf for c in range(n_classes)]
    threshold = np.array(mean)
    own = proba[np.arange(n), y]
    reached = np.where((proba >= threshold) & (np.arange(n_classes) != y[:, None]), proba, -1.0)
    suspect = (own < threshold[y]) & (reached.max(1) >= 0)
    return suspect, np.where(suspect, reached.argmax(1), -1)


def mean_success(values: np.ndarray, blocks: np.ndarray) -> Estimate:
    """Mean of values (n,) with a 95 % interval by leaving out blocks (n,)."""
    sums = block_sums(np.stack([values, np.ones(len(values))], axis=1), blocks)
    return jackknife(sums, lambda s: s[:, 0] / s[:, 1], n=len(values), level=LEVEL, ratio=False)


def depth_correlation(values: np.ndarray, depth: np.ndarray, blocks: np.ndarray) -> Estimate:
    """Pearson correlation of values (n,) with the log of the depth (n,), 95 % interval by leaving out blocks (n,)."""
    a, b = values - values.mean(), _log(depth)
    sums = block_sums(np.stack([np.ones(len(a)), a, b, a * b, a * a, b * b], axis=1), blocks)
    return jackknife(sums, _correlation, n=len(a), level=LEVEL, ratio=False)


def at_equal_depth(values: np.ndarray, depth: np.ndarray, y: np.ndarray, blocks: np.ndarray) -> dict[int, Estimate]:
    """Mean of values (n,) of each class if all classes had the same depth.

    ``mean_c - slope (d_c - d)`` with d the log of the depth, and one slope from within all classes (analysis of covariance).

    Parameters
    ----------
    values, depth
        (n,); total counts.
    y
        (n,) class codes.
    blocks
        (n,) what is left out together for the 95 % interval.

    Returns
    -------
    An estimate for each class that occurs.

    Examples
    --------
    >>> y, depth = np.repeat([0, 1], 100), np.exp(np.tile(np.linspace(0, 1, 100), 2) + np.repeat([0, 1], 100))
    >>> found = at_equal_depth(np.log(depth) / 4, depth, y, np.arange(200) % 20)  # class 1 is easy because it is deep
    >>> [round(found[c].value, 3) for c in (0, 1)]
    [0.249, 0.251]
    """
    classes = np.unique(y)
    d = _log(depth)
    columns = np.stack([np.ones(len(y)), values, d, d * values, d * d], axis=1)
    sums = np.stack([block_sums(columns * (y == c)[:, None], blocks) for c in classes], axis=1)
    sizes = {c: int((y == c).sum()) for c in classes}
    return {
        int(c): jackknife(sums, lambda s, k=k: _adjusted(s)[:, k], n=sizes[c], level=LEVEL, ratio=False)  # type: ignore[misc]
        for k, c in enumerate(classes)
    }


def _log(depth: np.ndarray) -> np.ndarray:
    """log(1 + depth) less its mean, as float64."""
    logs = np.log1p(np.asarray(depth, dtype=np.float64))
    return np.asarray(logs - logs.mean())


def _correlation(s: np.ndarray) -> np.ndarray:
    """(k,) from sums (k, 6) of 1, a, b, ab, aa, bb; 0 where one side is constant."""
    n, a, b, ab, aa, bb = s.T
    spread = (aa - a * a / n) * (bb - b * b / n)
    return np.where(spread > 1e-18, (ab - a * b / n) / np.sqrt(np.maximum(spread, 1e-18)), 0.0)


def _adjusted(s: np.ndarray) -> np.ndarray:
    """Adjusted means (k, C) from sums (k, C, 5) of 1, value, d, d value, d d."""
    n, v, d, dv, dd = np.moveaxis(s, -1, 0)
    with np.errstate(invalid="ignore", divide="ignore"):
        spread = np.nansum(dd - d * d / n, axis=-1, keepdims=True)
        slope = np.nansum(dv - d * v / n, axis=-1, keepdims=True) / np.maximum(spread, 1e-12)
        overall = d.sum(-1, keepdims=True) / n.sum(-1, keepdims=True)
        return np.asarray(v / n - slope * (d / n - overall))
