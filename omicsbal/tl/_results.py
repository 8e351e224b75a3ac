"""What a fit leaves in the MuData."""

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from omicsbal import _keys
from omicsbal._keys import Keys
from omicsbal._types import Arrays
from omicsbal.model import FittedModel, versions
from omicsbal.pp.sources import Source
from omicsbal.tl._design import Design
from omicsbal.tl._write import clear, write_embeddings, write_predictions
from omicsbal.train.fitting import Fit
from omicsbal.train.predictor import POOL, subset
from omicsbal.train.tables import calibration_table, fold_scores, head_table, pool_table

if TYPE_CHECKING:
    from mudata import MuData


def tables_of(fitted: Fit, design: Design, sources: Mapping[str, Source]) -> dict[str, pd.DataFrame]:
    """Everything tabular that is known of the fit."""
    y = design.outcome.encode(design.labels)
    by_fold = fold_scores(fitted, y, design.outcome)
    history = pd.DataFrame(fitted.history)
    history["epoch"] = history["epoch"].astype(int)
    history["chosen"] = history.pop("chosen")  # last
    if history["stage"].nunique() == 1:
        del history["stage"]
    recipes = [(m, s.recipe.name, len(s.features), s.recipe.n_out, s.why, s.recipe.note) for m, s in sources.items()]
    return {
        _keys.HEADS: head_table(fitted, y, design.outcome, by_fold),
        _keys.FOLD_SCORES: by_fold,
        _keys.HISTORY: history,
        _keys.CALIBRATION: calibration_table(fitted, y, design.outcome),
        _keys.POOLS: pool_table(fitted.predictor),
        _keys.RECIPES: pd.DataFrame(recipes, columns=["modality", "recipe", "features", "components", "why", "note"]),
        **{name: pd.DataFrame(records) for name, records in fitted.tables.items() if records},
    }


def write_fit(mdata: "MuData", model: FittedModel, fitted: Fit, design: Design, everything: Arrays, *, key_added: str) -> None:
    """Predict the rows that were not trained on, then fill every slot; those of an earlier fit under the key go first."""
    keys = Keys(key_added, model.label_key)
    training, rest = design.training, np.flatnonzero(~design.training)
    prediction = np.full((mdata.n_obs, fitted.predictor.outcome.task.n_out), np.nan)
    prediction[training] = fitted.predictions[POOL]
    embeddings = {}
    for name, z in fitted.embeddings.items():
        embeddings[name] = np.full((mdata.n_obs, z.shape[1]), np.nan, dtype=np.float32)
        embeddings[name][training] = z
    if len(rest):
        others = subset(everything, rest)
        index = fitted.predictor.unlabelled(len(rest))
        prediction[rest] = fitted.predictor.predict(others, index=index)
        for name, z in fitted.predictor.embed(others, index=index).items():
            embeddings[name][rest] = z
    folds = np.full(mdata.n_obs, -1, dtype=np.int64)
    folds[training] = design.folds
    readable = model.outcome.readable(prediction, mdata.obs_names, fitted.predictor.error(everything))

    clear(mdata, key_added)
    write_predictions(mdata, keys, readable)
    write_embeddings(mdata, keys, embeddings)
    mdata.uns[key_added] = {
        _keys.LABEL_KEY: model.label_key,
        _keys.TASK: model.task,
        _keys.METRIC: model.outcome.metric,
        _keys.CLASSES: np.array(model.classes, dtype=str),
        _keys.MODALITIES: np.array(model.modalities, dtype=str),
        _keys.STRATEGY: model.params["strategy"],
        _keys.RANDOM_STATE: model.params["random_state"],
        _keys.VERSIONS: json.dumps(versions()),
        _keys.PARAMS: json.dumps(model.params),
        _keys.FOLDS: folds,
        **{name: table.copy() for name, table in model.tables.items()},
    }
