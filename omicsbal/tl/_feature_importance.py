"""Which genes, peaks and proteins carry each class, within each modality."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from omicsbal import _keys
from omicsbal._keys import KEY, Keys
from omicsbal._types import FUSED
from omicsbal._validate import check_choice, check_number, problem
from omicsbal.diagnostics.attribution import captum_gradients
from omicsbal.model import FittedModel
from omicsbal.pp.checks import check_mdata
from omicsbal.tl._importance_rows import asked_of, class_scores, feature_rows, rows_to_ask, stability_row
from omicsbal.tl._labelled import labelled_rows
from omicsbal.tl._named_features import Named, named_features
from omicsbal.tl._predict import as_model
from omicsbal.tl._write import write_tables

if TYPE_CHECKING:
    from mudata import MuData

COLUMNS = ["class", "modality", "feature", "rank", "importance", "low", "high", "sd", "stability", "n", "mean_class", "mean_rest"]


def feature_importance(
    model: FittedModel | str | Path,
    mdata: "MuData",
    *,
    head: str = FUSED,
    n_top: int = 50,
    n_steps: int = 32,
    max_cells_per_class: int = 200,
    min_coverage: float = 0.8,
    device: str = "auto",
    key_added: str = KEY,
    random_state: int = 0,
    progress: bool = True,
) -> pd.DataFrame:
    """Which genes, peaks and proteins carry each class: integrated gradients of a network, carried back to named features.

    Needs captum: ``pip install 'omicsbal[attributions]'``.

    Parameters
    ----------
    model
        A `FittedModel` of a classification, or the folder it was saved in.
    mdata
        The MuData it was fitted on: each cell is then explained by the member that never saw it. Or labelled rows that it never
        saw ("held-out"), explained by all members that predict new rows.
    head
        "fused", or a modality, whose own head is then explained.
    n_top
        Features listed of each class and modality, at least 1.
    n_steps
        Points of the path, at least 2. Raise it where ``error`` is not small.
    max_cells_per_class
        Cells that are drawn of each class, at least 1.
    min_coverage, device
        As in `omicsbal.tl.predict`.
    key_added
        Names the slots.
    random_state
        Seed of that draw.
    progress
        Show a bar over classes.

    Returns
    -------
    A DataFrame, a row a feature among the `n_top` of a class in a modality, fewer where fewer have any part: ``class``,
    ``modality``, ``feature``, ``rank`` by size; ``importance``, nats, mean over cells of the class, above 0 if it speaks for the
    class; ``low``, ``high``, ``sd``, the smallest and largest value and the standard deviation over members; ``stability``, share
    of members that have it among their own `n_top`, or first half where there are fewer than twice as many features; ``n`` cells;
    ``mean_class``, ``mean_rest``, mean value in the class and in others; ``note``.

    Written: this table to ``uns["omicsbal"]["feature_importance"]``. To ``uns["omicsbal"]["feature_stability"]`` a row a class
    and modality: ``n`` cells that have it, ``members``, ``features``; ``sum`` of the importances, nats; ``total``, the log-odds
    that the class's cells gain over the baseline, the sum over modalities where no cell lacks one; ``error``, mean size of what
    the integral misses of it; ``spearman``, mean rank correlation of the importances of two members; ``overlap``, mean Jaccard
    overlap of their ``top`` features; ``unit`` of the mean values; ``rows``; ``note``. To
    ``mod[m].varm["omicsbal_importance_<label>"]`` a DataFrame, a column a class, float32, the importance of every feature, NaN
    for those that the recipe does not use and for classes of which no cell was explained.

    Raises
    ------
    ImportError
        captum is not installed.
    TypeError, KeyError, ValueError, FileNotFoundError
        Not a model, or one of a regression or with a graph; a head without a network of its own or without data; no row with a
        label of the model's; features missing as in `omicsbal.tl.predict`. The MuData is as it was.

    Notes
    -----
    *What is explained*: calibrated log-odds ``log p_c / (1 - p_c)``, nats, of the class c against all others, which unlike the
    probability do not flatten where the network is sure (our choice). Attribution of feature j is ``(v_j - v'_j)`` times the
    gradient averaged along the straight path from v' to v; over all features of all modalities attributions sum to the log-odds
    of the cell less those of the baseline (Sundararajan et al. 2017, arXiv:1703.01365).

    *Values* v are what the recipe hands to its last, linear step (``unit``): its centring and rotation are undone exactly. What
    comes before, such as a cell's depth, is taken as given.

    *Baseline* v': the class-balanced mean, of the rows that the member trained on, or of the held-out rows given; zero counts are
    no neutral cell (our choice). A feature that is low in a class can so speak for it: compare ``mean_class`` to ``mean_rest``.

    A sum within one modality is not a contribution to compare with another's: that is `omicsbal.tl.contribution`. Of features
    that go together, a network may use any; ``stability`` says which do not depend on the member. Members share training rows, so
    that they agree more than fits to new cells would. Linear experts and the pool are not explained.

    Examples
    --------
    >>> import omicsbal as ob
    >>> mdata = ob.datasets.simulate(n_obs=90, n_truth=200, modalities=["rna", "protein"], random_state=0)
    >>> model = ob.tl.fit(mdata, label_key="cell_type", config=ob.FitConfig(max_epochs=2), progress=False)
    >>> table = ob.tl.feature_importance(model, mdata, n_top=3, max_cells_per_class=10, progress=False)
    >>> table["rank"].tolist()[:4]
    [1, 2, 3, 1]
    """
    captum_gradients()
    for name, value, low in (("n_top", n_top, 1), ("n_steps", n_steps, 2), ("max_cells_per_class", max_cells_per_class, 1)):
        check_number(name, value, low=low, integer=True)
    check_number("random_state", random_state, low=0, high=2**32 - 1, integer=True)
    model = as_model(model)
    mdata = check_mdata(mdata)
    do = "Features behind the prediction of a number are not defined here yet."
    options: dict[str, Any] = {"min_coverage": min_coverage, "device": device, "key_added": key_added}
    found = labelled_rows(model, mdata, group_key=None, do=do, **options)
    here = {FUSED, *(m for m in found.modalities if found.data.present[m].any())}
    check_choice("head", head, [h for h in model.predictor.trained if h in here])
    if model.predictor.net.graph is not None:
        do = "Fit with net=NetConfig(encoder='mlp'); with a graph a cell's neighbours change along the path."
        raise ValueError(problem("model", expected="a network without a graph", found="one with a graph", do=do))
    asked = asked_of(
        model, found, named_features(model, mdata, found, min_coverage=min_coverage), head=head, n_steps=n_steps, n_top=n_top
    )
    rows: list[dict[str, Any]] = []
    stable: list[dict[str, Any]] = []
    full = {m: np.full((len(f.names), len(model.classes)), np.nan, np.float32) for m, f in asked.named.items()}
    rng = np.random.default_rng(random_state)
    for code in _bar(np.unique(found.y), wanted=progress):
        cells, valid = rows_to_ask(asked, code, max_cells_per_class, rng)
        if not valid.any():
            continue  # none has the modality of the head
        by_modality, told = class_scores(asked, code, cells, valid)
        for m in asked.named:
            stable.append(stability_row(asked, code, m, scores=by_modality.get(m), told=told, valid=valid))
            if m in by_modality:
                rows += feature_rows(asked, code, m, by_modality[m], stable[-1]["note"])
                full[m][asked.named[m].known, code] = by_modality[m].mean[asked.named[m].known]
    table = pd.DataFrame(rows, columns=[*COLUMNS, "note"])
    _write(mdata, Keys(key_added, model.label_key), model, table, pd.DataFrame(stable), asked.named, full)
    return table


def _bar(codes: np.ndarray, *, wanted: bool) -> Any:
    """A bar over classes."""
    from tqdm.auto import tqdm

    return tqdm(codes.tolist(), desc="feature importance", unit="class", disable=not wanted, leave=False)


def _write(
    mdata: "MuData",
    keys: Keys,
    model: FittedModel,
    table: pd.DataFrame,
    stable: pd.DataFrame,
    named: Mapping[str, Named],
    full: dict[str, np.ndarray],
) -> None:
    """Two tables, and all scores beside the features."""
    for m, features in named.items():
        if features.in_var:
            scores = pd.DataFrame(full[m], index=features.names, columns=model.classes)
            mdata.mod[m].varm[keys.importance] = scores.reindex(mdata.mod[m].var_names.astype(str)).set_axis(
                mdata.mod[m].var_names
            )
        else:
            mdata.mod[m].varm.pop(keys.importance, None)
    write_tables(mdata, keys.key_added, model, named, {_keys.IMPORTANCE: table, _keys.STABILITY: stable})
