"""The main verb: from raw MuData to a cross-fitted model and out-of-fold results."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from omicsbal._keys import KEY
from omicsbal._validate import check_number
from omicsbal.balance import Strategy, fresh, name_of
from omicsbal.config import FitConfig, NetConfig
from omicsbal.model import FittedModel, TrainingRows, pick_device, versions
from omicsbal.pp.checks import check_mdata
from omicsbal.pp.sources import Options
from omicsbal.tl._blocks import read_blocks
from omicsbal.tl._design import check_head_names, make_design
from omicsbal.tl._progress import progress_bar
from omicsbal.tl._results import tables_of, write_fit
from omicsbal.tl._write import check_key
from omicsbal.train.checkpoint import Checkpoint, fingerprint
from omicsbal.train.fitting import fit_predictor
from omicsbal.train.predictor import subset

if TYPE_CHECKING:
    from mudata import MuData


def fit(
    mdata: "MuData",
    *,
    label_key: str,
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
    key_added: str = KEY,
    random_state: int = 0,
    progress: bool = True,
) -> FittedModel:
    """Learn a label from all modalities, and say out-of-fold how well each of them and all together do.

    Parameters
    ----------
    mdata
        Raw counts or any other values, sparse or dense; cells may lack modalities. An AnnData is taken as one modality.
    label_key
        Column with the label: of ``mdata.obs``, or of the modalities' ``obs``. Rows where it is missing are not trained on; they
        are predicted.
    strategy
        How modalities are balanced: a name of ``ob.balance.strategies()`` or an instance with settings of its own.
    task
        "classification", "regression", or "auto": regression if the label is numeric with more than 20 distinct values.
    group_key
        Column with donors or patients; none is split over folds, so that scores hold for new ones.
    modalities
        Use these alone; None: all.
    recipe
        By modality, or one for all: "rna", "atac", "protein", "dense", or a `pp.Recipe`; None: see ``ob.pp.describe``.
    use_rep, layer
        Read this entry of the modality's ``obsm``, or this layer, instead of ``X``; by modality, or one for all.
    n_folds
        K, at least 2; None: 5, and 3 above 3,000 training rows.
    rare
        What to do about classes with fewer rows than folds: "drop", "merge", "fewer_folds" or "error". What was done is said in a
        warning.
    experts
        Fit linear models beside the net. They cost little, and the pool falls back on them where the net does not earn its
        weight.
    encoder
        "mlp", each row by itself, or "graph", for cohorts of up to 5,000 rows: each row also sees its neighbours in a similarity
        network fused from all modalities. None: as `net` says, where its form is chosen too. A graph model is saved with the
        features of its training rows.
    net, config
        Shape of the net, settings of the loop; None: the defaults of `NetConfig` and `FitConfig`.
    checkpoint
        File that the training state is kept in. Call the same fit again after a kill, and it goes on where it was. Stages before
        the last keep files of their own beside it, ``<name>.reference`` and so on.
    device
        "auto" (GPU if there is one), "cpu", "cuda".
    key_added
        Prefix of all slots that are written.
    random_state
        Seed of folds, weights, dropout and minibatches. Two runs agree bit for bit on one CPU.
    progress
        Show a progress bar.

    Returns
    -------
    The `FittedModel`. In the MuData are written, with training rows out-of-fold throughout: ``obs["omicsbal_<label>"]``,
    categorical (float for regression); ``obs["omicsbal_confidence"]``, probability of that class;
    ``obsm["omicsbal_proba_<label>"]``, DataFrame (n, classes), for regression ``obsm["omicsbal_interval_<label>"]`` with a 90 %
    interval; ``obsm["X_omicsbal"]`` (n, k) float32, also in each modality; ``uns["omicsbal"]``, tables and settings
    (docs/slots.md). NaN where a cell has no modality.

    Raises
    ------
    TypeError, KeyError, ValueError, OSError
        Before any training, for anything that cannot be learnt from; the MuData is as it was.
    FloatingPointError
        A loss became NaN; the MuData is as it was.

    Notes
    -----
    K fold members and R all-row members are trained at once. What is reported of a training row comes from the fold member that
    never saw its label; new rows are predicted by the R members (by the fold members where R is 0). The recipes (scaling,
    variable genes, PCA) see the features of all training rows, never their labels. One epoch and one penalty an expert are
    chosen on the out-of-fold predictions, which makes their scores optimistic by little; temperatures and pool weights are
    cross-fitted. Against that, what is reported is a single network trained on part of the rows, and new rows get the mean of R
    trained on all.

    Examples
    --------
    >>> import omicsbal as ob
    >>> mdata = ob.datasets.simulate(n_obs=80, n_truth=200, random_state=0)
    >>> model = ob.tl.fit(mdata, label_key="cell_type", config=ob.FitConfig(max_epochs=2), progress=False)
    >>> mdata.obs["omicsbal_cell_type"].dtype.name
    'category'
    """
    mdata = check_mdata(mdata, modalities=modalities)
    check_key(mdata, key_added)
    check_number("random_state", random_state, low=0, high=2**32 - 1, integer=True)
    names = list(mdata.mod) if modalities is None else list(dict.fromkeys(modalities))
    check_head_names(names)
    balancer, net, config, where = fresh(strategy), net or NetConfig(), config or FitConfig(), pick_device(device)
    net = net if encoder is None else replace(net, encoder=encoder)
    design = make_design(
        mdata,
        label_key=label_key,
        modalities=names,
        task=task,
        group_key=group_key,
        n_folds=n_folds,
        rare=rare,
        random_state=random_state,
    )
    balancer.check_task(design.outcome.kind)
    params = {
        "strategy": name_of(balancer),
        "strategy_settings": balancer.settings(),
        "label_key": label_key,
        "task": design.outcome.kind,
        "group_key": group_key or "",
        "n_folds": int(design.folds.max()) + 1,
        "rare": design.said or rare,
        "modalities": names,
        "experts": experts,
        "net": net.as_dict(),
        "config": config.as_dict(),
        "random_state": int(random_state),
    }
    if checkpoint is not None:
        Checkpoint(checkpoint, mark="")  # finds a closed door now and not after the recipes
    sources, everything = read_blocks(mdata, Options(recipe, use_rep, layer, names), design, where)
    data = subset(everything, np.flatnonzero(design.training))
    facts = params | {"folds": design.folds.tolist(), "versions": versions(), "device": str(where)}
    seen = everything if net.encoder == "graph" else data  # a graph may hold rows without a label
    keeper = None if checkpoint is None else Checkpoint(checkpoint, fingerprint(seen, facts))
    bar, report = progress_bar(f"fit {label_key}", wanted=progress)
    try:
        fitted = fit_predictor(
            data, design.folds, design.outcome, balancer, net=net, config=config, random_state=random_state,
            experts=experts, checkpoint=keeper, progress=report,
            unlabelled=subset(everything, np.flatnonzero(~design.training)),
        )  # fmt: skip
    finally:
        bar.close()
    params["chosen_epoch"] = fitted.chosen_epoch
    rows = TrainingRows.of(mdata.obs_names[design.training], data)
    model = FittedModel(label_key, sources, fitted.predictor, params, tables_of(fitted, design, sources), training_rows=rows)
    write_fit(mdata, model, fitted, design, everything, key_added=key_added)
    return model
