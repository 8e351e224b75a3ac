"""Which rows of a MuData a model was trained on, so that they are never taken for new ones."""

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from omicsbal import _keys
from omicsbal._keys import Keys
from omicsbal._types import Arrays
from omicsbal._validate import problem
from omicsbal.model import FittedModel

if TYPE_CHECKING:
    from mudata import MuData

CLOSE = 0.05  # of the embedding's spread: rounding on another device moves it by far less, another fit by far more


def training_folds(mdata: "MuData", model: FittedModel, key_added: str) -> tuple[np.ndarray, str] | None:
    """The model's folds (n_obs,), -1 where a row was not trained on, and the key they stand under; None: all rows are new.

    Looked for under `key_added`, then under every other key, for a result under a new key is no reason to forget the fit.

    Raises
    ------
    ValueError
        What stands under `key_added` are the folds of another fit, or of other rows.
    """
    ours, same = model.predictor.members.folds, {}
    for key in dict.fromkeys([key_added, *mdata.uns]):
        folds = _folds(mdata.uns.get(key))
        if folds is None:
            continue
        if len(folds) == mdata.n_obs and np.array_equal(folds[folds >= 0], ours):
            same[key] = folds
        elif key == key_added:
            found = f"folds of {len(folds)} rows for the {mdata.n_obs} of the MuData, {int((folds >= 0).sum())} trained on"
            do = "Pass the whole MuData that this model was fitted on, in its order; on other rows pass another key_added."
            mine = next((k for k in mdata.uns if k != key and _is_of(mdata.uns[k], model)), None)
            do = do if mine is None else f"This model's fit stands under {mine!r}: pass key_added={mine!r}."
            where = f"mdata.uns[{key!r}][{_keys.FOLDS!r}]"
            raise ValueError(problem(where, expected=f"those of this model, which trained on {len(ours)}", found=found, do=do))
    mine = next((key for key in same if _is_of(mdata.uns[key], model)), None)
    if mine is not None and key_added in same and not _is_of(mdata.uns[key_added], model):
        do = f"This model's fit stands under {mine!r}: pass key_added={mine!r}."
        where = f"mdata.uns[{key_added!r}]"
        raise ValueError(problem(where, expected="the fit of this model", found="another fit on the same folds", do=do))
    key = mine or next(iter(same), None)
    return None if key is None else (same[key], key)


def _folds(entry: Any) -> np.ndarray | None:
    """The folds that a fit left in an entry of uns; None where it is none."""
    if not hasattr(entry, "keys") or not {_keys.FOLDS, _keys.VERSIONS} <= set(entry.keys()):
        return None
    folds = np.ravel(entry[_keys.FOLDS])
    return folds if np.issubdtype(folds.dtype, np.number) else None


def _is_of(entry: Any, model: FittedModel) -> bool:
    """Whether an entry of uns holds the scores of this very model."""
    if _folds(entry) is None or _keys.HEADS not in entry:
        return False
    theirs, ours = entry[_keys.HEADS], model.tables[_keys.HEADS]
    loss = model.outcome.loss
    if not {"head", loss} <= set(getattr(theirs, "columns", ())) or list(theirs["head"]) != list(ours["head"]):
        return False
    return bool(np.allclose(theirs[loss].to_numpy(float), ours[loss].to_numpy(float), rtol=1e-9, equal_nan=True))


def check_as_fitted(model: FittedModel, names: Iterable[str], data: Arrays, coverage: Mapping[str, float]) -> None:
    """Refuse training rows in another order, or with other values, than at the fit: their folds would be wrong.

    Parameters
    ----------
    model
        Nothing is checked where it keeps nothing of its training rows.
    names, data, coverage
        Of the rows that have a fold, in their order; they may have been renamed. The latter two as of `FittedModel.arrays`.

    Raises
    ------
    ValueError
        They differ.
    """
    if not len(model.training_rows):
        return
    changed = model.training_rows.changed(names, data)
    if changed.any():
        found = f"{int(changed.sum())} of {len(changed)} in another place, with other values, or without a modality"
        short = [f"{m} has {share:.1%} of its features" for m, share in coverage.items() if share < 1]
        found += f" ({', '.join(short)})" if short else ""
        do = "Pass the MuData as it was fitted: the same rows in the same order, with the same values."
        raise ValueError(problem("mdata", expected="training rows as they were at the fit", found=found, do=do))


def check_same_fit(mdata: "MuData", keys: Keys, rows: np.ndarray, embedding: np.ndarray) -> None:
    """Refuse the results of another fit with the same folds: what is found now would be written beside them.

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
    do = "Pass the model and the MuData of one fit: the same rows in the same order, with the same values."
    where = f"mdata.obsm[{keys.embedding!r}]"
    raise ValueError(problem(where, expected="what the model says of these rows", found=found, do=do))


def check_never_seen(model: FittedModel, names: Iterable[str], data: Arrays, coverage: Mapping[str, float]) -> None:
    """Refuse rows without folds that the model was trained on: what it says of them is in-sample.

    Parameters
    ----------
    model
        Nothing is checked where it keeps nothing of its training rows.
    names, data, coverage
        Of the rows that are to be judged; as `FittedModel.arrays` gives the latter two.

    Raises
    ------
    ValueError
        It was trained on some of them.
    """
    known = model.training_rows.among(names, data, coverage)
    if known.any():
        found = f"{int(known.sum())} of {len(known)} that it was trained on, without their folds"
        do = "Pass the MuData that was fitted, whole and with its uns (of an AnnData make one before the fit)"
        rest = "" if known.all() else ", or leave these rows out: mdata[~model.trained_on(mdata)].copy()"
        raise ValueError(problem("mdata", expected="rows that the model never saw", found=found, do=f"{do}{rest}."))
