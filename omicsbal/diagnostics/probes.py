"""What frozen encoders know: a tuned linear probe on each fold member's own embeddings."""

import warnings

import numpy as np
import torch
from sklearn.exceptions import ConvergenceWarning

from omicsbal._types import Arrays
from omicsbal.balance._base import Strategy
from omicsbal.nn.net import MultiOmicsNet
from omicsbal.train.forward import all_members
from omicsbal.train.members import Members
from omicsbal.train.outcome import Outcome

PLENTY = 5000  # rows a probe learns from: a few dozen columns gain nothing from more


def member_embeddings(net: MultiOmicsNet, strategy: Strategy, data: Arrays, members: Members) -> dict[str, np.ndarray]:
    """``{m: (K, n, k)}``: every row as each fold member embeds it, each in coordinates of its own.

    On a graph a row's neighbours are found by all it shows, so there each modality is embedded with the rest hidden.
    """
    index, parts = torch.arange(len(data), device=data.y.device), {m: list[torch.Tensor]() for m in net.modalities}
    for only in [None] if net.graph is None else [frozenset({m}) for m in net.modalities]:
        for outputs in all_members(net, strategy, data, only=only, index=index):
            for m in only or net.modalities:
                parts[m].append(outputs.z[m][: members.n_folds].cpu())
    return {m: torch.cat(z, 1).numpy() for m, z in parts.items()}


def probe(z: np.ndarray, y: np.ndarray, rows: np.ndarray, folds: np.ndarray, outcome: Outcome) -> np.ndarray | None:
    """Out-of-fold raw predictions of an L2-penalised linear model on frozen embeddings.

    The probe of fold k learns from the rows that member k was trained on and speaks of fold k; no probe sees two members, whose
    coordinates have nothing in common. The penalty is the outcome's path from strong to weak, cut at the first that is worse
    out-of-fold. An encoder embeds what it was trained on more sharply than new rows, so the predictions have to be calibrated.

    Parameters
    ----------
    z
        (K, n, k) embeddings of all rows by K members; member k has not trained on fold k.
    y
        (n,) codes of the classes.
    rows
        (n,) bool, rows that have the modality; the others are neither learnt from nor spoken of.
    folds
        (n,) codes 0 to K - 1.
    outcome
        What the label asks for.

    Returns
    -------
    (n, c) log-probabilities, NaN outside `rows`; None where a training part has a single class.

    Examples
    --------
    >>> import pandas as pd
    >>> from omicsbal.train.classes import Classes
    >>> y, folds = np.arange(40) % 2, np.arange(40) // 2 % 2
    >>> flipped = np.stack([y - 0.5, 0.5 - y])[..., None]  # two members with opposite coordinates
    >>> told = probe(flipped, y, np.ones(40, bool), folds, Classes.learn(pd.Series(list("ab") * 20)))
    >>> bool((told.argmax(axis=1) == y).all())
    True
    """
    parts = []
    for k, mine in enumerate(z.astype(np.float64)):
        known, held = np.flatnonzero(rows & (folds != k)), np.flatnonzero(rows & (folds == k))
        known = known[:: -(-len(known) // PLENTY)] if len(known) else known
        if len(np.unique(y[known])) < 2:
            return None
        centre = mine[known].mean(axis=0)
        scale = np.sqrt(((mine[known] - centre) ** 2).mean()) or 1.0  # penalties are made for columns of unit mean square
        parts.append(((mine[known] - centre) / scale, y[known], (mine[held] - centre) / scale, held))
    best, kept = np.inf, np.full((len(y), outcome.task.n_out), np.nan)
    fitted = [None] * len(parts)
    for strength in outcome.strengths:
        told = np.full_like(kept, np.nan)
        for k, (x, labels, new, held) in enumerate(parts):
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", ConvergenceWarning)  # of a weak penalty, which is then judged as it is
                fitted[k] = outcome.expert(strength, fitted[k]).fit(x, labels)
            coef, intercept = outcome.linear(fitted[k])
            told[held] = outcome.link(new @ coef + intercept)
        value = outcome.criterion(y[rows], told[rows])
        if value >= best:
            break
        best, kept = value, told
    return kept
