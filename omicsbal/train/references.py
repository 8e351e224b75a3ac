"""Stage 0: each modality alone, through the same loop, cross-fitted so that it may teach."""

import numpy as np
import torch
from torch import Tensor

from omicsbal._types import Arrays, Outputs, References
from omicsbal._validate import problem
from omicsbal.balance._base import Strategy
from omicsbal.nn.net import MultiOmicsNet
from omicsbal.train.alignment import rigid_motion
from omicsbal.train.forward import everyone
from omicsbal.train.intervals import half_width
from omicsbal.train.members import Members
from omicsbal.train.outcome import Outcome

FEWEST_FOLDS = 3  # with two, a teacher that has seen neither the row nor the student's held-out fold has seen nothing


class Alone(Strategy):
    """Unimodal losses only: encoders that never meet."""

    fused = False


def check_folds(n_folds: int) -> None:
    """Refuse cross-fitted teaching on two folds.

    Raises
    ------
    ValueError
        Fewer than three folds.
    """
    if n_folds < FEWEST_FOLDS:
        do = "Pass a larger n_folds, or a strategy without teachers, such as strategy='uniform'."
        raise ValueError(problem("n_folds", expected="at least 3 for a strategy with teachers", found=n_folds, do=do))


def whole(net: MultiOmicsNet, strategy: Strategy, data: Arrays) -> dict[str, tuple[Tensor, Tensor]]:
    """``{m: (outputs (K, n, c), embeddings (K, n, k))}`` of every member on every row."""
    parts: list[Outputs] = list(everyone(net, strategy, data))
    return {m: (torch.cat([p.unimodal[m] for p in parts], 1), torch.cat([p.z[m] for p in parts], 1)) for m in net.modalities}


def references_of(
    net: MultiOmicsNet, strategy: Strategy, data: Arrays, members: Members, outcome: Outcome, *, n_students: int
) -> References:
    """What a trained stage 0 has to say to `n_students` members: fold members first, then members that saw every row."""
    device, rows = data.y.device, torch.arange(len(data), device=data.y.device)
    folds = members.fold_of(device)
    teacher = torch.from_numpy(members.teachers(n_students)).to(device)[:, folds]  # (K, n): who teaches member k about row i
    y = data.y.cpu().numpy()
    scores, held_out, targets, embeddings, spaces = {}, {}, {}, {}, {}
    seen: dict[str, float] = {}
    unseen: dict[str, float] = {}
    scored = members.scored(device)
    for m, (raw, z) in whole(net, strategy, data).items():
        here = data.present[m].cpu().numpy()
        own = outcome.link(raw[folds, rows].cpu().double().numpy())
        temperature = outcome.temperature(y[here], own[here])
        scores[m] = outcome.scores(y[here], outcome.soften(own[here], temperature))[outcome.metric]

        def calibrated(raw: Tensor, temperature: float = temperature) -> Tensor:
            return torch.from_numpy(outcome.soften(outcome.link(raw.cpu().double().numpy()), temperature)).float().to(device)

        held_out[m] = calibrated(raw[folds, rows])
        targets[m] = calibrated(raw[teacher, rows])
        embeddings[m], spaces[m] = z[folds, rows], z
        sure = outcome.task.score(calibrated(raw), data.y)  # (members, n)
        for told, mask in ((seen, scored), (unseen, 1 - scored)):
            share = mask * data.present[m] * data.weight
            told[m] = float((sure * share).sum() / share.sum())

    def features(m: str) -> Tensor:
        return _features(spaces[m], data.present[m], folds, teacher)

    return References(folds, scores, held_out, targets, embeddings, features, seen, unseen)


def _features(z: Tensor, present: Tensor, folds: Tensor, teacher: Tensor) -> Tensor:
    """Embeddings (K, n, k) that each student may learn from.

    A student has one teacher a fold, each with coordinates of its own. They are moved rigidly onto those of the first of them, on
    the rows that have the modality; none of them knows the labels that the student is judged by.
    """
    rows = torch.arange(z.shape[1], device=z.device)
    found = torch.empty(len(teacher), *z.shape[1:], device=z.device)
    for k, who in enumerate(teacher):
        home = z[who[folds != k][0]]
        for member in who.unique():
            mine = who == member
            centre, turn, target = rigid_motion(z[member][present], home[present])
            found[k, mine] = (z[member][rows[mine]] - centre) @ turn + target
    return found


def reference_table(references: References, data: Arrays, outcome: Outcome) -> list[dict[str, float | str]]:
    """One record a modality: out-of-fold scores of the network trained on it alone, with intervals over folds."""
    y, folds, records = data.y.cpu().numpy(), references.folds.cpu().numpy(), []
    for m, prediction in references.held_out.items():
        here, told = data.present[m].cpu().numpy(), prediction.cpu().double().numpy()
        record: dict[str, float | str] = {"modality": m, "n": float(here.sum()), **outcome.scores(y[here], told[here])}
        parts = [here & (folds == k) for k in range(int(folds.max()) + 1)]
        for metric in (outcome.metric, outcome.loss):
            half = half_width(np.array([outcome.scores(y[p], told[p])[metric] for p in parts if p.any()]))
            low, high = outcome.ranges[metric]
            value = float(record[metric])
            record |= {f"{metric}_low": max(value - half, low), f"{metric}_high": min(value + half, high)}
        records.append(record)
    return records
