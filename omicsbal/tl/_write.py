"""Results into the slots of `_keys`, all at once, after everything has been computed."""

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from omicsbal import _keys
from omicsbal._keys import Keys
from omicsbal._types import FUSED
from omicsbal._validate import problem
from omicsbal.model import FittedModel
from omicsbal.train.values import Values

if TYPE_CHECKING:
    from mudata import MuData

LEVEL = 1.6449  # standard normal quantile of a central 90 % interval


def check_key(mdata: "MuData", key_added: str) -> None:
    """Refuse to overwrite what is not ours, and a view: mudata makes it a copy at the first write, in another order of cells.

    Raises
    ------
    ValueError
        `mdata` is a view; `key_added` is empty, names a modality, or holds something else in ``uns``.
    """
    if mdata.is_view:
        found = f"a view of {mdata.n_obs} cells of another one"
        raise ValueError(
            problem("mdata", expected="a MuData to write to", found=found, do="Copy it first: mdata = mdata[...].copy().")
        )
    do = "Pass another key_added."
    if not key_added or "/" in key_added or key_added in mdata.mod:
        raise ValueError(problem("key_added", expected="a name that is no modality and has no '/'", found=repr(key_added), do=do))
    held = mdata.uns.get(key_added)
    if held is not None and not (hasattr(held, "keys") and _keys.VERSIONS in held):
        raise ValueError(problem("key_added", expected="a free slot", found=f"mdata.uns[{key_added!r}] of another origin", do=do))


def prediction_columns(
    model: FittedModel, prediction: np.ndarray, names: pd.Index, keys: Keys
) -> tuple[dict[str, pd.Series], dict[str, pd.DataFrame]]:
    """Predictions (n, c) as a user reads them: columns of obs, and entries of obsm, by slot."""
    outcome = model.outcome
    if isinstance(outcome, Values):
        value = outcome.mean + outcome.sd * prediction[:, 0]
        half = LEVEL * float(model.heads.loc["pool", "rmse"])
        interval = pd.DataFrame({"low": value - half, "high": value + half}, index=names)
        return {keys.prediction: pd.Series(value, index=names)}, {keys.interval: interval}
    proba = pd.DataFrame(np.exp(prediction), index=names, columns=list(outcome.names))
    known = proba.notna().all(axis=1).to_numpy()
    codes = np.where(known, np.nan_to_num(prediction, nan=-np.inf).argmax(1), -1)
    label = pd.Series(pd.Categorical.from_codes(codes, categories=list(outcome.names)), index=names)
    return {keys.prediction: label, keys.confidence: proba.max(axis=1)}, {keys.proba: proba}


def write_predictions(mdata: "MuData", obs: dict[str, pd.Series], obsm: dict[str, pd.DataFrame]) -> None:
    """Fill the slots."""
    for slot, column in obs.items():
        mdata.obs[slot] = column
    for slot, frame in obsm.items():
        mdata.obsm[slot] = frame


def write_embeddings(mdata: "MuData", keys: Keys, embeddings: dict[str, np.ndarray]) -> None:
    """Fused to the MuData, the others to their modality, in the modality's own order of cells."""
    mdata.obsm[keys.embedding] = embeddings[FUSED]
    for m, z in embeddings.items():
        if m != FUSED and m in mdata.mod:
            place = mdata.obs_names.get_indexer(mdata.mod[m].obs_names)
            mdata.mod[m].obsm[keys.embedding] = z[place]
