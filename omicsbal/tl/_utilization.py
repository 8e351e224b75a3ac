"""Is a modality wasted by the joint training: what it could tell, what its encoder knows, what the fused head uses."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from omicsbal import _keys
from omicsbal._keys import KEY
from omicsbal._validate import check_number, problem
from omicsbal.diagnostics.ceilings import Unimodal, speed
from omicsbal.diagnostics.utilization import COLUMNS, Utilized, utilization_rows
from omicsbal.diagnostics.verdicts import verdict_rows
from omicsbal.model import FittedModel
from omicsbal.pp.checks import check_mdata
from omicsbal.tl._labelled import labelled_rows
from omicsbal.tl._predict import as_model
from omicsbal.tl._utilized import alone_as_in, utilized_from
from omicsbal.tl._write import write_tables
from omicsbal.train.stages import MAIN

if TYPE_CHECKING:
    from mudata import MuData


def utilization(
    model: FittedModel | str | Path,
    mdata: "MuData",
    *,
    group_key: str | None = None,
    min_coverage: float = 0.8,
    device: str = "auto",
    key_added: str = KEY,
    random_state: int = 0,
    progress: bool = True,
) -> pd.DataFrame:
    """Is a modality wasted by the joint training? What it could tell, what its encoder knows, what is used; with a verdict.

    Every modality is trained once more, alone, with the encoder, folds, budget and seed of the fit, so this takes about as long
    as the fit did. On a graph it gets a graph of its own, and encoders are probed with the other modalities hidden.

    Parameters
    ----------
    model
        A `FittedModel` of a classification, or the folder it was saved in.
    mdata
        The MuData it was fitted on; every number is out-of-fold.
    group_key
        Column of donors, drawn whole in every interval; by default that of the fit, if it had one.
    min_coverage, device
        As in `omicsbal.tl.predict`.
    key_added
        Names the slots.
    random_state
        Seed of the bootstrap and, above eight modalities, of the orders that are sampled for shares.
    progress
        Show a progress bar.

    Returns
    -------
    A DataFrame, a row a number: ``kind``, ``measure`` ("information": mean of log p(y | .) - log prior(y), nats; "macro_f1": gain
    over 1 / c, the score of guessing), ``modality``, ``value``, ``low`` and ``high`` (95 % interval), ``n`` rows, ``rows``,
    ``note``. By modality m:

    ``ceiling``
        c, what m tells alone: the calibrated pool of ``alone``, the network trained on m alone, and ``linear``, the tuned linear
        model of m.
    ``learned``
        l, a tuned linear probe on the frozen encoder of the joint model (`omicsbal.diagnostics.probes.probe`); ``alone_probe``,
        the same on the encoder trained alone.
    ``solo``, ``need``
        Used by the fused head with the rest hidden, v({m}), and v(all) - v(all but m).
    ``retention``
        learned / alone_probe, like with like: 1 where joint training lost nothing. ``retention_of_ceiling``, learned / ceiling,
        also counts what the architecture costs. ``lost`` = alone_probe - learned; ``gap`` = ceiling - learned; ``ignored`` =
        learned - solo; ``utilization`` = need / v(all), conditional utilisation (after Wu et al. 2022, arXiv:2202.05306);
        ``share``, of the positive Shapley values of the fused head.
    ``speed``, ``speed_alone``
        Training until the head's out-of-fold score, above chance, was 90 % of its last one: ``measure`` "epoch", or "share" of
        all epochs; of the joint model where it trained that head, and alone.

    Of all together: ``total`` = v(all); ``competition``, the best ceiling - v(all), above 0 where joint training loses to one
    modality; ``fusion_value``, v(all) - the calibrated prior-corrected product of the ceilings, what fusing gains over
    combining what was learnt apart.

    Written: this table to ``uns["omicsbal"]["utilization"]``; to ``uns["omicsbal"]["verdicts"]`` a row a modality: ``verdict``,
    "dominant", "fair", "under-used", "uninformative" (the rule is in `omicsbal.diagnostics.verdicts.rule`), empty where nothing
    can be measured; ``certainty``, share of bootstrap draws that give it; ``leaning``, another verdict that most draws give, in
    too few to be sure; ``sentence`` with the numbers that led to it; these numbers.

    Raises
    ------
    TypeError, KeyError, ValueError, FileNotFoundError
        As `omicsbal.tl.contribution`; and rows that the model was not fitted on. The MuData is as it was.

    Notes
    -----
    Rows are those that have every modality. All posteriors are calibrated on the other folds for the plain log-loss. Gaps after
    Du et al. 2023 (arXiv:2305.01233), the probes on fold members and the verdicts our own. A linear probe reads much from an
    encoder that never learnt, if the modality has few features: a random map of 20 proteins keeps most of them.

    *Intervals* (bias-corrected percentiles of 500 bootstrap draws, the same for every number) are over rows, or donors, with the
    networks as they are: encoders start from the same weights in the fit and alone, and what another seed would change is not
    counted, some hundredths of retention.

    Examples
    --------
    >>> import omicsbal as ob
    >>> mdata = ob.datasets.simulate(n_obs=90, n_truth=200, modalities=["rna", "atac"], random_state=0)
    >>> model = ob.tl.fit(mdata, label_key="cell_type", config=ob.FitConfig(max_epochs=2), progress=False)
    >>> table = ob.tl.utilization(model, mdata, progress=False)
    >>> list(mdata.uns["omicsbal"]["verdicts"]["modality"])
    ['rna', 'atac']
    """
    model = as_model(model)
    mdata = check_mdata(mdata)
    check_number("random_state", random_state, low=0, high=2**32 - 1, integer=True)
    asked: dict[str, Any] = {"group_key": group_key, "min_coverage": min_coverage, "device": device, "key_added": key_added}
    found = labelled_rows(model, mdata, **asked, do="Utilization of the prediction of a number is not defined here yet.")
    if not found.trained_on:
        do = "Pass the MuData that the model was fitted on: modalities are trained alone on its folds."
        raise ValueError(problem("mdata", expected="rows that the model was trained on", found="none of them", do=do))
    alone = alone_as_in(model, mdata, found, min_coverage, progress=progress)
    used, complete = utilized_from(model, found, alone, random_state)
    rows = list(utilization_rows(used))
    left_out = f"Left out: {int((~complete).sum())} rows that lack a modality." if not complete.all() else ""
    for row in rows:
        if row["kind"] == "total":
            row["note"] = " ".join(filter(None, [row["note"], left_out]))
    table = pd.DataFrame(rows + _speeds(model, alone, used), columns=COLUMNS)
    verdicts = pd.DataFrame(verdict_rows(used, advice=_advice(model)))
    write_tables(mdata, key_added, model, found.modalities, {_keys.UTILIZATION: table, _keys.VERDICTS: verdicts})
    return table


def _advice(model: FittedModel) -> str:
    """What to try where a modality is under-used."""
    other = {"joint": "uniform", "late": "uniform", "mutual": "g2d"}.get(str(model.params["strategy"]), "mutual")
    return f"Try another strategy, such as strategy={other!r}; ob.tl.compare says whether it predicts better."


def _speeds(model: FittedModel, alone: Unimodal, used: Utilized) -> list[dict[str, Any]]:
    """When heads got there, in the joint training and alone."""
    history = model.history
    if "stage" in history:
        history = history[history["stage"].astype(str) == MAIN]
    rows = []
    for kind, tables in (("speed", dict.fromkeys(used.names, history)), ("speed_alone", alone.history)):
        for m, table in tables.items():
            epoch, share, note = speed(table, f"oof_{model.outcome.metric}:{m}", model.outcome.chance)
            common = {"kind": kind, "modality": m, "low": np.nan, "high": np.nan, "n": len(model.predictor.members.folds)}
            rows += [
                common | {"measure": unit, "value": value, "rows": used.told.rows, "note": note}
                for unit, value in (("epoch", epoch), ("share", share))
            ]
    return rows
