"""Predict raw query data, whatever modalities it has."""

import json
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from omicsbal import _keys
from omicsbal._keys import KEY, Keys
from omicsbal._validate import OmicsbalWarning, check_choice, check_number, problem
from omicsbal.model import FittedModel, versions
from omicsbal.pp.checks import check_mdata
from omicsbal.tl._write import check_key, write_predictions
from omicsbal.train.predictor import POOL

if TYPE_CHECKING:
    from mudata import MuData


def as_model(model: FittedModel | str | Path) -> FittedModel:
    """The model, read from its folder if need be.

    Raises
    ------
    TypeError
        Neither a model nor a path.
    """
    if isinstance(model, str | Path):
        return FittedModel.load(model)
    if not isinstance(model, FittedModel):
        do = "Call ob.tl.predict(model, mdata): the model comes first."
        raise TypeError(problem("model", expected="a FittedModel or its folder", found=type(model).__name__, do=do))
    return model


def check_query(mdata: "MuData", key_added: str) -> None:
    """Refuse to write over the out-of-fold results of a fit.

    Raises
    ------
    ValueError
        This MuData was fitted under the same key: predictions of rows that the model was trained on would look better than they
        are.
    """
    check_key(mdata, key_added)
    if _keys.FOLDS in mdata.uns.get(key_added, {}):
        found = f"the out-of-fold results of a fit in uns[{key_added!r}]"
        do = "Pass another key_added, such as key_added='query'; on training rows keep the fit's own results."
        raise ValueError(problem("key_added", expected="a MuData that was not fitted under this key", found=found, do=do))


def predict(
    model: FittedModel | str | Path,
    mdata: "MuData",
    *,
    head: str = POOL,
    modalities: list[str] | None = None,
    min_coverage: float = 0.8,
    device: str = "auto",
    key_added: str = KEY,
) -> pd.DataFrame:
    """Predict the label of new cells from raw data; any subset of the model's modalities will do.

    Parameters
    ----------
    model
        A `FittedModel`, or the folder it was saved in.
    mdata
        Raw values as in the fit; features are matched by name, further ones are ignored. An AnnData is taken as one modality.
    head
        "pool", "product", "fused", a modality, or a linear expert such as "lr:rna": a row of ``model.heads``.
    modalities
        Pretend that these alone were measured; None: all that are there.
    min_coverage
        Least share in [0, 1] of a modality's features that must be there; the missing ones stand at their training mean. A
        prediction from few features does not look less sure, hence a refusal and no mere warning.
    device
        "auto", "cpu", "cuda".
    key_added
        Prefix of the slots that are written.

    Returns
    -------
    DataFrame over ``mdata.obs_names``: ``prediction`` and ``confidence``, for regression ``prediction``, ``low`` and ``high``.
    Written to the MuData: ``obs["omicsbal_<label>"]``, ``obs["omicsbal_confidence"]``, ``obsm["omicsbal_proba_<label>"]`` (n,
    classes), for regression ``obsm["omicsbal_interval_<label>"]``; ``uns["omicsbal"]`` with the coverage by modality. NaN where
    a cell lacks every modality that the head needs.

    Raises
    ------
    TypeError, KeyError, ValueError, FileNotFoundError
        Not a model; no shared modality; too few features; values the recipe refuses; unknown head; a MuData that was fitted
        under the same `key_added`. The MuData is as it was.

    Warns
    -----
    OmicsbalWarning
        Some rows are rows that the model was trained on (`FittedModel.trained_on`): predictions of these are in-sample.

    Examples
    --------
    >>> import omicsbal as ob
    >>> mdata = ob.datasets.simulate(n_obs=100, n_truth=200, random_state=0)
    >>> train, query = mdata[:80].copy(), mdata[80:].copy()
    >>> model = ob.tl.fit(train, label_key="cell_type", config=ob.FitConfig(max_epochs=2), progress=False)
    >>> ob.tl.predict(model, query, modalities=["rna"]).shape
    (20, 2)
    """
    model = as_model(model)
    mdata = check_mdata(mdata)
    check_query(mdata, key_added)
    check_choice("head", head, model.predictor.head_names)
    check_number("min_coverage", min_coverage, low=0, high=1)
    data, coverage = model.arrays(mdata, modalities=modalities, min_coverage=min_coverage, device=device)
    seen = int(model.training_rows.among(mdata.obs_names, data, coverage).sum())
    if seen:
        found = f"{seen} of {len(data)} that it was trained on"
        do = "Predictions of these are in-sample and look better than they are; out-of-fold ones are in the MuData of the fit."
        text = problem("mdata", expected="rows that the model never saw", found=found, do=do)
        warnings.warn(text, OmicsbalWarning, stacklevel=2)
    error = model.predictor.error(data, head=head)
    readable = model.outcome.readable(model.predictor.predict(data, head=head), mdata.obs_names, error)
    write_predictions(mdata, Keys(key_added, model.label_key), readable)
    mdata.uns[key_added] = {
        _keys.LABEL_KEY: model.label_key,
        _keys.TASK: model.task,
        _keys.CLASSES: np.array(model.classes, dtype=str),
        _keys.MODALITIES: np.array(list(coverage), dtype=str),
        _keys.STRATEGY: model.params["strategy"],
        _keys.VERSIONS: json.dumps(versions()),
        _keys.COVERAGE: pd.DataFrame({"modality": list(coverage), "coverage": list(coverage.values())}),
    }
    table = pd.DataFrame({kind: values for kind, values in readable.items() if isinstance(values, pd.Series)})
    return table.join(readable["interval"]) if "interval" in readable else table
