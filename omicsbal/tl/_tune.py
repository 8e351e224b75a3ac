"""The settings that matter, tuned on out-of-fold loss, with the default beside them on outer folds."""

import warnings
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pandas as pd

from omicsbal import _keys
from omicsbal._keys import TUNE_KEY
from omicsbal._store import check_writable
from omicsbal._validate import OmicsbalWarning, check_number
from omicsbal.balance import Strategy, fresh
from omicsbal.config import FitConfig, NetConfig
from omicsbal.model import FittedModel, pick_device
from omicsbal.pp import find_groups
from omicsbal.pp.checks import check_mdata
from omicsbal.pp.sources import Options
from omicsbal.tl._design import check_head_names, make_design
from omicsbal.tl._fit import fit
from omicsbal.tl._tune_nested import ALL, facts_of, run_searches
from omicsbal.tl._tune_scores import MEAN, outer_parts
from omicsbal.tl._tune_search import Rows, optuna_module
from omicsbal.tl._tune_space import COMPONENTS, Base, parse_settings, resized
from omicsbal.tl._write import check_key
from omicsbal.train.checkpoint import fingerprint

if TYPE_CHECKING:
    from mudata import MuData


@dataclass(frozen=True, repr=False)
class Tuned:
    """What `tune` found.

    Attributes
    ----------
    model
        The `FittedModel` at the best settings, on all rows.
    best
        Arguments of `fit`: ``ob.tl.fit(mdata, label_key=..., **tuned.best)`` gives the same model.
    settings
        The tuned ones among them, by name.
    trials, scores
        The tables that were written.
    verdict
        Whether it was worth it on the outer folds, in a sentence.
    """

    model: FittedModel
    best: dict[str, Any]
    settings: dict[str, Any]
    trials: pd.DataFrame
    scores: pd.DataFrame
    verdict: str

    def __repr__(self) -> str:
        values = ", ".join(f"{name} {value:.3g}" for name, value in self.settings.items())
        return f"Tuned after {len(self.trials)} trials: {values}\n{self.verdict}"


def tune(
    mdata: "MuData",
    *,
    label_key: str,
    minutes: float = 10.0,
    n_trials: int | None = None,
    settings: Any = None,
    outer_folds: int = 3,
    strategy: str | Strategy = "uniform",
    task: str = "auto",
    group_key: str | None = None,
    modalities: list[str] | None = None,
    recipe: Mapping[str, Any] | str | None = None,
    use_rep: Mapping[str, str] | str | None = None,
    layer: Mapping[str, str] | str | None = None,
    n_folds: int | None = None,
    rare: Literal["drop", "merge", "fewer_folds", "error"] = "drop",
    experts: bool = True,
    encoder: str | None = None,
    net: NetConfig | None = None,
    config: FitConfig | None = None,
    checkpoint: Path | str | None = None,
    device: str = "auto",
    key_added: str = TUNE_KEY,
    random_state: int = 0,
    progress: bool = True,
) -> Tuned:
    """Search better settings of a fit by successive halving, and say on outer folds whether that beats the default.

    Parameters
    ----------
    mdata, label_key
        As for `omicsbal.tl.fit`.
    minutes
        Time for all searches; shared evenly over one in each outer fold and one on all rows. Each does at least the default, and
        the model is fitted after it. How many trials this gives depends on the machine.
    n_trials
        Trials a search, in place of `minutes`: the result is then the same on every run.
    settings
        What is tuned: names, or ``{name: (low, high)}``, ``{name: [values]}``, None in place of either for the usual range. Each
        range is widened to hold the default, which is the first trial. Of "width", "dropout" (of the net), "weight_decay",
        "learning_rate" (of the loop), "components" (factors on the number of components that recipes make), "kd_weight" (of a
        strategy that distils). None: all that this fit has.
    outer_folds
        Folds for scores, at least 2.
    strategy, net, config, recipe
        The default that trials depart from, else as in `omicsbal.tl.fit`.
    task, group_key, modalities, use_rep, layer, n_folds, rare, experts, encoder, device
        As in `omicsbal.tl.fit`; donors stay whole in outer folds too.
    checkpoint
        File of optuna's journal. Call the same again after a kill, or with more trials or minutes, and it goes on.
    key_added
        Prefix of all slots that are written; its own by default, so that neither `omicsbal.tl.fit` nor this takes away what the
        other wrote. Diagnostics of the tuned model are given the same.
    random_state
        Seed of folds, fits and proposals.
    progress
        Show a progress bar.

    Returns
    -------
    A `Tuned`: ``model``, ``best``, ``settings``, ``trials``, ``scores``, ``verdict``. Written: all that `omicsbal.tl.fit` writes,
    at the best settings; to ``uns["omicsbal_tune"]["tune"]`` a row a trial: ``search`` (outer fold, or "all"), ``trial``, a
    column a setting, ``loss``, ``state`` ("done", "stopped" at a rung, "out of time", "failed" with a loss that is no number),
    ``evaluations`` seen, ``seconds``, ``best``, ``default``; and to ``uns["omicsbal_tune"]["tune_scores"]`` a row a ``measure``
    (the task's loss and metric) and outer ``fold``: ``tuned``, ``default``, ``gain`` (positive where tuning is better), and for
    ``fold`` "mean" ``low``, ``high`` (corrected 95 % interval, `omicsbal.train.intervals.corrected`), ``p``, ``note``.

    Raises
    ------
    ImportError
        optuna is not there: ``pip install 'omicsbal[tune]'``.
    TypeError, KeyError, ValueError, OSError
        Before any training: as `omicsbal.tl.fit`; an unknown setting or a range it may not have; no time; fewer rows or donors
        than outer folds ask for; a checkpoint of another search. The MuData is as it was.
    FloatingPointError
        A loss of the default became NaN; the MuData is as it was.

    Notes
    -----
    A trial is judged by the out-of-fold criterion of the pool on training rows (for classes the half-balanced log-loss, nats). It
    trains fold members alone. After a fifth and three fifths of its evaluations it goes on only if its fused head's best loss
    is in the first third of the trials that got there, or the best of fewer than three (successive halving, Li et al. 2020,
    arXiv:1810.05934). New values are proposed by a tree-structured Parzen estimator (Bergstra et al. 2011), both by optuna (Akiba
    et al. 2019, arXiv:1907.10902).

    The least of many losses is optimistic, and is not reported as a score. In each outer fold the whole search, recipes included,
    is run on the training rows; its choice and the default are then fitted on these and scored on the rows left out.

    Examples
    --------
    >>> import omicsbal as ob
    >>> mdata = ob.datasets.simulate(n_obs=60, n_classes=2, modalities=["rna", "protein"], n_truth=100, random_state=0)
    >>> short = {"n_trials": 1, "outer_folds": 2, "n_folds": 2, "config": ob.FitConfig(max_epochs=1), "progress": False}
    >>> tuned = ob.tl.tune(mdata, label_key="cell_type", settings=["width", "dropout"], **short)
    >>> tuned.settings
    {'width': 64, 'dropout': 0.5}
    """
    optuna_module()
    mdata = check_mdata(mdata, modalities=modalities)
    check_key(mdata, key_added)
    check_number("random_state", random_state, low=0, high=2**32 - 1, integer=True)
    check_number("minutes", minutes, low=0, open_low=True)
    check_number("outer_folds", outer_folds, low=2, integer=True)
    if n_trials is not None:
        check_number("n_trials", n_trials, low=1, integer=True)
    path = None if checkpoint is None else check_writable(checkpoint, what="checkpoint")
    names = list(mdata.mod) if modalities is None else list(dict.fromkeys(modalities))
    check_head_names(names)
    shape, where = net or NetConfig(), pick_device(device)
    base = Base(fresh(strategy), shape if encoder is None else replace(shape, encoder=encoder), config or FitConfig())
    told: dict[str, Any] = {"task": task, "group_key": group_key, "n_folds": n_folds, "rare": rare, "random_state": random_state}
    design = make_design(mdata, label_key=label_key, modalities=names, **told)
    base.strategy.check_task(design.outcome.kind)
    donors = None if group_key is None else find_groups(mdata, group_key)[design.training].to_numpy()
    outer = outer_parts(design, donors, n_folds=outer_folds, random_state=random_state)
    common = (Options(recipe, use_rep, layer, names), where, np.flatnonzero(~design.training), experts, random_state)
    rows = Rows(mdata, design, *common)
    whole = rows.blocks(1.0)
    space = parse_settings(settings, base, [source.recipe for source in whole.sources.values()])
    rest = {"experts": experts, "seed": random_state, "donors": None if donors is None else donors.tolist()}
    mark = fingerprint(whole.everything, facts_of(design, outer, base, space, **rest))
    parts = [*((str(k), Rows(mdata, part.design, *common), part) for k, part in enumerate(outer)), (ALL, rows, None)]
    budget: dict[str, Any] = {"minutes": minutes, "n_trials": n_trials, "label": label_key if progress else ""}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", OmicsbalWarning)  # all that these could say was said above
        trials, scores, chosen = run_searches(parts, base, space, design, mark=mark, path=path, **budget)
        best = _arguments(base, chosen, whole.sources, recipe) | told
        best |= {"modalities": modalities, "use_rep": use_rep, "layer": layer, "experts": experts}
        model = fit(mdata, label_key=label_key, device=device, key_added=key_added, progress=progress, **best)
    mdata.uns[key_added] |= {_keys.TUNE: trials.copy(), _keys.TUNE_SCORES: scores.copy()}
    verdict = str(scores.loc[(scores["fold"] == MEAN) & (scores["measure"] == design.outcome.loss), "note"].iloc[0])
    return Tuned(model, best, chosen, trials, scores, verdict)


def _arguments(base: Base, values: Mapping[str, Any], sources: Mapping[str, Any], recipe: Any) -> dict[str, Any]:
    """What a fit must be given for these settings."""
    own, factor = base.changed(values), float(values.get(COMPONENTS, 1.0))
    recipes = recipe if factor == 1 else resized(sources, factor)
    return {"strategy": own.strategy, "net": own.net, "config": own.config, "recipe": recipes}
