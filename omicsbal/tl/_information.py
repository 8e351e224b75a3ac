"""How much each modality tells of the label, what it shares with the others, and what only both together tell."""

from itertools import combinations
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from omicsbal import _keys
from omicsbal._keys import KEY
from omicsbal._validate import check_number
from omicsbal.diagnostics.information_tables import Told, information_rows, pid_rows
from omicsbal.diagnostics.posteriors import having
from omicsbal.model import FittedModel
from omicsbal.pp.checks import check_mdata
from omicsbal.tl._labelled import Labelled, labelled_rows, log_posteriors
from omicsbal.tl._predict import as_model
from omicsbal.tl._write import write_tables

if TYPE_CHECKING:
    from mudata import MuData


def information(
    model: FittedModel | str | Path,
    mdata: "MuData",
    *,
    group_key: str | None = None,
    min_coverage: float = 0.8,
    device: str = "auto",
    key_added: str = KEY,
    random_state: int = 0,
) -> pd.DataFrame:
    """What each modality tells of the label, what two share, and its parts: redundant, unique, synergistic. All in nats.

    Parameters
    ----------
    model
        A `FittedModel` of a classification, or the folder it was saved in.
    mdata
        The MuData it was fitted on: every number is then out-of-fold. Or labelled rows that it never saw ("held-out"). Training
        rows are known by the folds that the fit left in ``uns``; without them they would be taken for new and look too good.
    group_key
        Column of donors, drawn whole in every interval; by default that of the fit, if it had one.
    min_coverage, device
        As in `omicsbal.tl.predict`.
    key_added
        Names the slot.
    random_state
        Seed of k-means, bootstrap draws and null permutations.

    Returns
    -------
    DataFrame with a row a number: ``kind``, ``source_1``, ``source_2``, ``value``, ``low`` and ``high`` (95 % interval), ``n``
    rows, ``lower_bound`` (1 where no more than a lower bound is claimed), ``rows`` ("out-of-fold" or "held-out"), ``method``,
    ``note`` (why a number is missing or to be read with care). Kinds, all on rows that have every modality named:

    ``entropy``
        H(Y), the most that could be told.
    ``label``
        I(Z_S; Y) of a modality, a pair, and all (``source_1``, as in "rna+atac"): usable information ``H(Y) - CE`` of the
        calibrated posteriors (`omicsbal.diagnostics.information.usable_information`).
    ``between``
        I(Z_1; Z_2) of the embeddings of two modalities, by `omicsbal.mi.between` without the labels, whose form fits three
        classifiers; out-of-fold embeddings come from several networks, moved onto one, which loses some of what they share.
    ``redundant``, ``unique_1``, ``unique_2``, ``synergistic``, ``total``
        The decomposition of each pair and, from three modalities on, of each modality against the rest together
        (`omicsbal.diagnostics.anchored.anchored_pid`).
    ``synergy_kmeans``
        A second opinion where synergy is a lower bound: counted in clusters of the embeddings, no part of the total
        (`omicsbal.diagnostics.second_opinion.kmeans_synergy`).

    Written: the first three kinds to ``uns["omicsbal"]["information"]``, the others to ``uns["omicsbal"]["pid"]``.

    Raises
    ------
    TypeError, KeyError, ValueError, FileNotFoundError
        Not a model, or one of a regression; no row with a label of the model's; a slot that holds the results of another fit;
        features missing as in `omicsbal.tl.predict`. The MuData is as it was.

    Notes
    -----
    The posterior of a subset is a log-linear pool of all heads and linear experts that can speak for it, calibrated on the other
    folds by the plain log-loss (temperatures of Guo et al. 2017, arXiv:1706.04599; the pool is ours). A network that was not
    trained with modalities missing has little to say of a subset, and then of synergy. Numbers are properties of the model and
    the data: what no head has learnt is not counted. Intervals are over rows, or donors, with the model as it is.

    Examples
    --------
    >>> import omicsbal as ob
    >>> mdata = ob.datasets.simulate(n_obs=90, n_truth=200, modalities=["rna", "atac"], random_state=0)
    >>> model = ob.tl.fit(mdata, label_key="cell_type", config=ob.FitConfig(max_epochs=2), progress=False)
    >>> table = ob.tl.information(model, mdata)
    >>> table["kind"].value_counts().to_dict()["label"], set(table["rows"])
    (3, {'out-of-fold'})
    """
    model = as_model(model)
    mdata = check_mdata(mdata)
    check_number("random_state", random_state, low=0, high=2**32 - 1, integer=True)
    do = "Information about a number has no such decomposition here; see ob.mi.between."
    asked: dict[str, Any] = {"group_key": group_key, "min_coverage": min_coverage, "device": device, "key_added": key_added}
    found = labelled_rows(model, mdata, **asked, do=do)
    told = _told(model, found, random_state)
    about, parts = list(information_rows(told)), list(pid_rows(told))
    table = pd.DataFrame(about + parts)
    tables = {_keys.INFORMATION: table[: len(about)], _keys.PID: table[len(about) :].reset_index(drop=True)}
    write_tables(mdata, key_added, model, found.modalities, tables)
    return table


def _told(model: FittedModel, found: Labelled, seed: int) -> Told:
    """Posteriors of every subset that is asked for."""
    modalities, whole = found.modalities, frozenset(found.modalities)
    patterns = [frozenset(s) for size in (1, 2) for s in combinations(modalities, size)]
    patterns = list(dict.fromkeys([*patterns, *(whole - {m} for m in modalities), whole]))
    logs = dict(log_posteriors(model, found, [p for p in patterns if p], random_state=seed))
    present = {p: having(found.data, p) for p in logs}
    return Told(modalities, logs, present, found.embeddings, found.y, found.groups, found.rows, seed)
