"""Results into the slots of `_keys`, all at once, after everything has been computed."""

import json
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from omicsbal import _keys
from omicsbal._keys import Keys
from omicsbal._types import FUSED
from omicsbal._validate import problem
from omicsbal.model import FittedModel, versions

if TYPE_CHECKING:
    from mudata import MuData


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


def write_tables(
    mdata: "MuData", key_added: str, model: FittedModel, modalities: Iterable[str], tables: Mapping[str, pd.DataFrame]
) -> None:
    """Tables of a diagnostic beside what the key holds; under a key of their own, with what says whose they are."""
    about: dict[str, Any] = {
        _keys.LABEL_KEY: model.label_key,
        _keys.TASK: model.task,
        _keys.MODALITIES: np.array(list(modalities), dtype=str),
        _keys.VERSIONS: json.dumps(versions()),
    }
    mdata.uns[key_added] = about | dict(mdata.uns.get(key_added, {})) | {slot: table.copy() for slot, table in tables.items()}


def write_predictions(mdata: "MuData", keys: Keys, readable: Mapping[str, pd.Series | pd.DataFrame]) -> None:
    """Fill the slots of what an outcome made readable: Series to obs, DataFrames to obsm."""
    slots = {"prediction": keys.prediction, "confidence": keys.confidence, "proba": keys.proba, "interval": keys.interval}
    for kind, values in readable.items():
        where = mdata.obs if isinstance(values, pd.Series) else mdata.obsm
        where[slots[kind]] = values


def clear(mdata: "MuData", key_added: str) -> None:
    """Remove what an earlier fit or prediction wrote under the key, so that no slot speaks of another model than ``uns`` does."""
    if key_added not in mdata.uns:
        return
    keys = Keys(key_added, str(mdata.uns[key_added].get(_keys.LABEL_KEY, "")))
    written = {keys.prediction, keys.confidence, keys.success, keys.variability, keys.suspect}
    of_modalities = f"{keys.success}_"
    mdata.obs.drop(columns=[c for c in mdata.obs if c in written or str(c).startswith(of_modalities)], inplace=True)
    for slots in (mdata.obsm, *(a.obsm for a in mdata.mod.values())):
        for slot in (keys.embedding, keys.proba, keys.interval, keys.contribution):
            if slot in slots:
                del slots[slot]
    for adata in mdata.mod.values():
        adata.varm.pop(keys.importance, None)
    del mdata.uns[key_added]


def write_embeddings(mdata: "MuData", keys: Keys, embeddings: dict[str, np.ndarray]) -> None:
    """Fused to the MuData, the others to their modality, in the modality's own order of cells."""
    mdata.obsm[keys.embedding] = embeddings[FUSED]
    for m, z in embeddings.items():
        if m != FUSED and m in mdata.mod:
            place = mdata.obs_names.get_indexer(mdata.mod[m].obs_names)
            mdata.mod[m].obsm[keys.embedding] = z[place]
