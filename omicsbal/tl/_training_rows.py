"""Which rows of a MuData a model was trained on, so that they are never taken for new ones."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from omicsbal import _keys
from omicsbal._keys import Keys
from omicsbal._types import FUSED
from omicsbal._validate import problem
from omicsbal.model import FittedModel

if TYPE_CHECKING:
    from mudata import MuData

CLOSE = 0.05  # of the embedding's spread: rounding on another device moves it by far less, another order of rows by far more


def training_folds(mdata: "MuData", model: FittedModel, key_added: str) -> tuple[np.ndarray, str] | None:
    """The model's folds (n_obs,), -1 where a row was not trained on, and the key they stand under; None: all rows are new.

    Looked for under `key_added`, then under every other key, for a result under a new key is no reason to forget the fit.

    Raises
    ------
    ValueError
        The folds under `key_added` are those of another fit, or of other rows.
    """
    ours = model.predictor.members.folds
    for key in dict.fromkeys([key_added, *mdata.uns]):
        entry = mdata.uns.get(key)
        if not hasattr(entry, "keys") or _keys.FOLDS not in entry:
            continue
        folds = np.ravel(entry[_keys.FOLDS])
        if len(folds) == mdata.n_obs and np.array_equal(folds[folds >= 0], ours):
            return folds, key
        if key == key_added:
            found = f"folds of {len(folds)} rows for the {mdata.n_obs} of the MuData, {int((folds >= 0).sum())} trained on"
            do = "Pass the whole MuData that this model was fitted on, in its order; on other rows pass another key_added."
            where = f"mdata.uns[{key!r}][{_keys.FOLDS!r}]"
            raise ValueError(problem(where, expected=f"those of this model, which trained on {len(ours)}", found=found, do=do))
    return None


def check_same_rows(mdata: "MuData", keys: Keys, rows: np.ndarray, embedding: np.ndarray) -> None:
    """Refuse training rows in another order, or with other values, than at the fit: their folds would be wrong.

    Parameters
    ----------
    mdata, keys
        Where the fit left its out-of-fold embedding; nothing is checked where that was removed.
    rows
        Positions of the training rows.
    embedding
        (len(rows), k) the same embedding, made again.

    Raises
    ------
    ValueError
        They differ.
    """
    if keys.embedding not in mdata.obsm:
        return
    before = np.asarray(mdata.obsm[keys.embedding])[rows]
    if before.shape == embedding.shape:
        off = np.abs(before - embedding).max(axis=1) > CLOSE * max(float(np.std(embedding)), 1e-6)
        if not off.any():
            return
    found = "an embedding of another width" if before.shape != embedding.shape else f"{int(off.sum())} rows that differ"
    do = "Pass the MuData as it was fitted: the same rows in the same order, with the same values."
    where = f"mdata.obsm[{keys.embedding!r}]"
    raise ValueError(problem(where, expected="what the model says of these rows", found=found, do=do))


def check_never_seen(mdata: "MuData", keys: Keys, rows: np.ndarray, embeddings: Mapping[str, np.ndarray]) -> None:
    """Refuse rows that lost their folds, as those of an AnnData do, but still carry the out-of-fold embeddings of the fit.

    Parameters
    ----------
    mdata, keys
        Where a fit leaves its embeddings: in the MuData, and in each modality.
    rows
        Positions of as many labelled rows as the model was trained on.
    embeddings
        ``{m: (len(rows), k)}`` what its out-of-fold embeddings would be if these were the training rows.

    Raises
    ------
    ValueError
        One of them is what is stored.
    """
    for m, again in embeddings.items():
        place = mdata if m == FUSED else mdata.mod.get(m)
        if place is None or keys.embedding not in place.obsm:
            continue
        index = place.obs_names.get_indexer(mdata.obs_names[rows])
        here = (index >= 0) & np.isfinite(again).all(axis=1)
        before, now = np.asarray(place.obsm[keys.embedding])[index[here]], again[here]
        if before.shape == now.shape and len(now) and np.abs(before - now).max() <= CLOSE * max(float(np.std(now)), 1e-6):
            found, do = (
                "those that it was trained on, without their folds",
                "Pass the MuData that was fitted; of an AnnData make one first.",
            )
            raise ValueError(problem("mdata", expected="rows that the model never saw", found=found, do=do))
