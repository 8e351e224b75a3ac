"""What the utilization of modalities is computed from: modalities trained alone, and posteriors of all that is compared."""

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import torch

from omicsbal._types import FUSED
from omicsbal.balance import Strategy
from omicsbal.config import FitConfig, NetConfig
from omicsbal.diagnostics.answers import Answers
from omicsbal.diagnostics.ceilings import Unimodal, linear_alone, only, train_alone
from omicsbal.diagnostics.posteriors import calibrated, having, out_of_fold_raw
from omicsbal.diagnostics.probes import member_embeddings, probe
from omicsbal.diagnostics.shapley import make_game
from omicsbal.diagnostics.utilization import PRODUCT, Utilized, product_of
from omicsbal.model import FittedModel
from omicsbal.tl._labelled import Labelled
from omicsbal.tl._progress import progress_bar
from omicsbal.train.predictor import subset

if TYPE_CHECKING:
    from mudata import MuData

UNMASKED = "The fused head was not trained with modalities hidden: what it says of a part errs (strategy='modality_dropout')."
NO_FUSED = "No fused head: a calibrated pool of the modalities' heads stands in."


def alone_as_in(model: FittedModel, mdata: "MuData", found: Labelled, min_coverage: float, *, progress: bool) -> Unimodal:
    """The modalities on their own, as the fit trained them together."""
    outcome, net = model.outcome, NetConfig(**model.params["net"])
    device, unlabelled = found.data.y.device, None
    if net.encoder == "graph" and net.graph_form == "transductive":
        everything, _ = model.arrays(mdata, min_coverage=min_coverage, device=str(device))
        rest = subset(everything, np.setdiff1d(np.arange(mdata.n_obs), found.positions))
        unlabelled = only(rest, found.modalities)
    weight = torch.from_numpy(outcome.weights(found.y).astype(np.float32)).to(device)
    labelled = replace(only(found.data, found.modalities), y=torch.from_numpy(found.y).to(device), weight=weight)
    bar, report = progress_bar(f"alone {model.label_key}", wanted=progress)
    try:
        return train_alone(
            labelled, model.predictor.members.folds, outcome, net=net,
            config=FitConfig(**model.params["config"]),
            random_state=model.params["random_state"], progress=report, unlabelled=unlabelled,
        )  # fmt: skip
    finally:
        bar.close()


def utilized_from(model: FittedModel, found: Labelled, alone: Unimodal, seed: int) -> tuple[Utilized, np.ndarray]:
    """Posteriors of everything that is compared, of the rows that have every modality, and which rows these are."""
    predictor, y, folds = model.predictor, found.y, model.predictor.members.folds
    outcome, game = model.outcome, make_game(found.modalities, random_state=seed)
    complete = having(found.data, frozenset(found.modalities))
    raw = out_of_fold_raw(predictor, found.data, y, [c for c in game.coalitions if c])
    joint = member_embeddings(predictor.net, predictor.strategy, found.data, predictor.members)
    prior = np.log(np.bincount(y[complete], minlength=len(model.classes)) / max(int(complete.sum()), 1) + 1e-300)
    columns, extra, ceilings = [np.broadcast_to(prior, (len(y), len(prior)))], {}, []

    def told(heads: dict[str, np.ndarray | None], rows: np.ndarray) -> np.ndarray:
        return calibrated({h: v for h, v in heads.items() if v is not None}, y, rows, folds, outcome)

    for coalition in [c for c in game.coalitions if c]:
        heads = [FUSED] if FUSED in raw[coalition] else [h for h in raw[coalition] if h in predictor.trained]
        columns.append(told({h: raw[coalition][h] for h in heads}, having(found.data, coalition)))
    for m in found.modalities:
        rows, name = having(found.data, frozenset({m})), f"{outcome.expert_prefix}:{m}"
        linear = raw[frozenset({m})].get(name)
        if linear is None:
            linear = linear_alone(found.data.x[m].cpu().numpy(), y, rows, folds, outcome)
        ceilings.append(told({"alone": alone.raw[m], "linear": linear}, rows))
        some = {
            "ceiling": ceilings[-1],
            "alone": told({"alone": alone.raw[m]}, rows),
            "alone_probe": told({"probe": probe(alone.embeddings[m], y, rows, folds, outcome)}, rows),
            "learned": told({"probe": probe(joint[m], y, rows, folds, outcome)}, rows),
        } | ({} if linear is None else {"linear": told({"linear": linear}, rows)})
        for kind, values in some.items():
            extra[kind, m] = len(columns)
            columns.append(values)
    whole = "+".join(found.modalities)
    extra[PRODUCT, whole] = len(columns)
    columns.append(told({PRODUCT: product_of(ceilings, outcome)}, complete))
    truth, guess = _kept(columns, y, complete)
    groups = None if found.groups is None else found.groups[complete]
    answers = Answers(game, truth, guess, y[complete], groups, tuple(model.classes), found.rows, seed)
    return Utilized(answers, extra, _notes(model, found, extra), saw_masks(model)), complete


def _kept(columns: list[np.ndarray], y: np.ndarray, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Of each posterior the log-probability of the truth and the most probable class (n, Q)."""
    here = np.flatnonzero(rows)
    truth = np.stack([values[here, y[here]] for values in columns], axis=1)
    return truth, np.stack([np.nan_to_num(values[here], nan=-np.inf).argmax(axis=1) for values in columns], axis=1)


def _notes(model: FittedModel, found: Labelled, extra: dict[tuple[str, str], int]) -> dict[tuple[str, str], str]:
    """What must be said of numbers because of how the model was fitted."""
    fused = FUSED in model.predictor.trained
    said = "" if saw_masks(model) or (fused and len(found.modalities) < 2) else UNMASKED if fused else NO_FUSED
    notes = {(kind, m): said for m in found.modalities for kind in ("solo", "need", "ignored", "utilization", "share")}
    for m in found.modalities:
        notes["ceiling", m] = (
            "Calibrated pool of the network alone and the linear model."
            if ("linear", m) in extra
            else "Calibrated network alone."
        )
    return notes | ({} if fused else {("total", "+".join(found.modalities)): NO_FUSED})


def saw_masks(model: FittedModel) -> bool:
    """Whether there is a fused head that was trained to do without a modality, or that is made of single heads."""
    strategy = model.predictor.strategy
    return FUSED in model.predictor.trained and (strategy.hides or type(strategy).fuse is not Strategy.fuse)
