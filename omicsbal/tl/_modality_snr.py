"""Is a modality too shallow to help, or private, or noise? Signal-to-noise ratios without training a network."""

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from omicsbal import _keys
from omicsbal._keys import KEY
from omicsbal._validate import check_choice, check_number, problem
from omicsbal.diagnostics._jackknife import make_folds
from omicsbal.model import versions
from omicsbal.pp.checks import check_mdata
from omicsbal.pp.labels import find_groups, find_label
from omicsbal.pp.sources import Options, plan
from omicsbal.tl._snr_table import COLUMNS, Measured, cross_rows, label_rows, split_rows
from omicsbal.tl._write import check_key

if TYPE_CHECKING:
    from mudata import MuData

METHODS = ("split", "label", "cross")
FOLDS = 3  # two thirds of the cells for the axes, and every cell held out once
COMPONENTS = 20


def modality_snr(
    mdata: "MuData",
    *,
    label_key: str | None = None,
    methods: Sequence[str] = METHODS,
    group_key: str | None = None,
    modalities: list[str] | None = None,
    layer: Mapping[str, str] | str | None = None,
    recipe: Mapping[str, Any] | str | None = None,
    key_added: str = KEY,
    random_state: int = 0,
    progress: bool = True,
) -> pd.DataFrame:
    """Signal-to-noise ratio of each modality: reproducible at all, related to the label, shared with another modality.

    Parameters
    ----------
    mdata
        Raw counts, or dense blocks, for which the split form is not available. A cell counts where it has the modality.
    label_key
        Classes, needed for the label form; as in `omicsbal.tl.fit`.
    methods
        Any of "split", "label", "cross"; see Notes.
    group_key
        Donors: folds keep them whole, and intervals come from leaving them out one at a time.
    modalities
        Those to measure; None: all.
    layer, recipe
        As in `omicsbal.tl.fit`.
    key_added
        Names the slot.
    random_state
        Seed of the thinning, the folds and the permutations.
    progress
        Show a bar.

    Returns
    -------
    DataFrame: ``modality``; ``method``; ``measure``, "snr2" (a ratio of power, no unit: 1 is as much signal as noise) or "nats";
    ``partner``, the other modality of the cross form; ``class``, empty for all together; ``value`` with its 95 % interval ``low``
    to ``high``; ``p`` (label form, 199 permutations); ``n`` cells; ``note``, what it means, or why there is no value; ``recipe``,
    because ratios depend on it. Written: ``uns["omicsbal"]["snr"]``.

    Raises
    ------
    TypeError, KeyError, ValueError
        As `omicsbal.tl.fit` for data and names; an unknown method; a group missing for some cell, or a single group; `key_added`
        holding a fit of another label.

    Notes
    -----
    All forms look at the 20 leading components of a modality's recipe, scaled as the networks see them (those of ATAC have equal
    variance). Intervals: jackknife over donors, else over 40 blocks of cells, on the scale of log(1 + SNR^2), with t quantiles;
    our choice.

    *split*: counts are dealt out to two halves, components come from the first halves of two thirds of the cells, and r is the
    correlation of the halves over held-out cells: SNR^2 = 2 r / (1 - r). Noise that the halves share (ambient RNA, doublets,
    staining) counts as signal. Peak counts that are cut sites are made fragments first.

    *label*: variance between classes over variance within, sum (MSB - MSW) / n0 / sum MSW, without the bias of small classes.

    *cross*: ten held-out ridge canonical correlations, sum rho^2 / (1 - rho^2) and -1/2 sum log(1 - rho^2) nats. Linear: a lower
    bound in practice. Batch and depth that both modalities carry are shared signal too.

    Low split: measure deeper or denoise. High split, low label: real, but about something else. High label, low cross: what the
    modality knows is private, and losses that align it with the other may hurt it. After Huang et al. 2024, arXiv:2411.02837.

    Examples
    --------
    >>> import omicsbal as ob
    >>> mdata = ob.datasets.simulate(n_obs=200, preset="useless", n_truth=200, random_state=0)
    >>> table = ob.tl.modality_snr(mdata, label_key="cell_type", methods=["label"], progress=False)
    >>> table[table["class"] == ""].set_index("modality")["p"].round(3).lt(0.05).to_dict()
    {'rna': True, 'atac': True, 'protein': False}
    """
    mdata = check_mdata(mdata, modalities=modalities)
    check_key(mdata, key_added)
    check_number("random_state", random_state, low=0, high=2**32 - 1, integer=True)
    wanted = [check_choice("methods", m, METHODS) for m in ([methods] if isinstance(methods, str) else methods)]
    names = list(mdata.mod) if modalities is None else list(dict.fromkeys(modalities))
    held = mdata.uns.get(key_added, {})
    if label_key is not None and held.get(_keys.LABEL_KEY, label_key) != label_key:
        found, do = f"results for {held[_keys.LABEL_KEY]!r} in uns[{key_added!r}]", "Pass another key_added."
        raise ValueError(problem("key_added", expected=f"a free slot or one for {label_key!r}", found=found, do=do))
    labels = None if label_key is None else find_label(mdata, label_key)
    groups = None if group_key is None else _groups(mdata, group_key)
    n_folds = FOLDS if groups is None else min(FOLDS, len(np.unique(groups)))
    folds = make_folds(mdata.n_obs, groups=groups, n_folds=n_folds, random_state=random_state)
    plans = plan(mdata, Options(recipe, None, layer, names), np.ones(mdata.n_obs, dtype=bool))
    blocks = [Measured.of(p, COMPONENTS, folds, groups, random_state) for p in plans]
    rows = _measure(blocks, wanted, labels, wanted_bar=progress)
    table = pd.DataFrame(rows, columns=COLUMNS)
    entry = {_keys.MODALITIES: np.array(names, dtype=str), _keys.VERSIONS: json.dumps(versions())}
    entry |= {} if label_key is None else {_keys.LABEL_KEY: label_key}
    mdata.uns[key_added] = entry | dict(held) | {_keys.SNR: table.copy()}
    return table


def _groups(mdata: "MuData", group_key: str) -> np.ndarray:
    """The donor of every cell as a string."""
    groups = find_groups(mdata, group_key)
    if groups.isna().any():
        found = f"none for {int(groups.isna().sum())} of {len(groups)}"
        raise ValueError(
            problem("group_key", expected="a group for every cell", found=found, do="Fill in or leave out the cells.")
        )
    if groups.nunique() < 2:
        raise ValueError(problem("group_key", expected="at least two groups", found=groups.nunique(), do="Leave out group_key."))
    return groups.astype(str).to_numpy()


def _measure(blocks: list[Measured], methods: list[str], labels: "pd.Series | None", *, wanted_bar: bool) -> list[dict[str, Any]]:
    """Rows of the table, modality by modality."""
    from tqdm.auto import tqdm

    rows: list[dict[str, Any]] = []
    for block in tqdm(blocks, desc="signal to noise", unit="modality", disable=not wanted_bar, leave=False):
        split = label = None
        if "split" in methods:
            row, split = split_rows(block)
            rows.append(row)
        if "label" in methods:
            more, label = label_rows(block, labels, split)
            rows += more
        if "cross" in methods:
            for other in blocks:
                rows += cross_rows(block, other, label) if other is not block else []
    return rows
