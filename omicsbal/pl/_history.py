"""Learning curves of one fit."""

import re
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from omicsbal import _keys
from omicsbal._validate import problem
from omicsbal.pl._panels import finish, panels
from omicsbal.pl._slots import read_slots
from omicsbal.pl._style import GREY, JOINT, Look, dress, head_line, look_of, metric_label, modality_in, modality_looks

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from mudata import MuData

    from omicsbal.pl._panels import AxesLike, Drawn

GROUP = re.compile("[/:]")  # anndata is about to refuse "/" in the column names of what it writes to h5, so ":" does as well
LOSS, OOF, SIGNAL = "loss", "oof_", "signal"
DASHES = ("--", ":", "-.", (0, (5, 1, 1, 1, 1, 1)))


def history(
    mdata: "MuData",
    *,
    key_added: str = _keys.KEY,
    ax: "AxesLike | None" = None,
    show: bool | None = None,
    return_fig: bool = False,
) -> "Drawn":
    """Draw the learning curves: training loss of each term, out-of-fold scores of each head, signals of the strategy.

    Parameters
    ----------
    mdata
        MuData that ``ob.tl.fit`` was run on.
    key_added
        Name under which the fit was stored.
    ax
        Axes to draw into, one a panel; by default a new figure.
    show
        Whether to call ``plt.show()``; by default no, so that a notebook shows the figure once.
    return_fig
        Return the Figure instead of the Axes.

    Returns
    -------
    Axes from top to bottom, sharing x (epochs): training loss (thin lines), one panel for each out-of-fold metric (thick lines),
    one for each kind of signal if the strategy wrote any. One Axes if there is one panel, else an array. ``None`` when shown.

    Raises
    ------
    KeyError
        If there is no history, because ``ob.tl.fit`` has not been run.
    ValueError
        If the history has nothing to draw, or `ax` holds another number of Axes than there are panels.

    Notes
    -----
    The vertical line marks the epoch whose weights were kept. Signals with different names
    have different units and so panels of their own.

    Examples
    --------
    >>> import pandas as pd, omicsbal as ob
    >>> mdata = ob.datasets.simulate(n_obs=60, random_state=0)
    >>> epochs = pd.DataFrame({"epoch": [1, 2], "loss/fused": [1.1, 0.7], "chosen": [0, 1]})
    >>> mdata.uns["omicsbal"] = {"modalities": ["rna"], "history": epochs}  # ob.tl.fit writes this
    >>> ob.pl.history(mdata).get_ylabel()
    'training loss'
    """
    slots = read_slots(mdata, key_added)
    table = slots.table(_keys.HISTORY, ["epoch"])
    looks = modality_looks(slots.names(_keys.MODALITIES))
    groups = _groups(table)
    if not groups:
        found = "no column named loss/..., oof_.../... or signal/..."
        raise ValueError(problem("history", expected="at least one curve", found=found, do="Run ob.tl.fit again."))
    axes = panels(ax, len(groups), figsize=(6.8, 0.6 + 1.75 * len(groups)), sharex=True)
    for one, (label, curves) in zip(axes, groups.items(), strict=True):
        _curves(one, table, curves, looks, thick=label != "training loss")
        one.set_ylabel(label, fontsize="small")
    kept = _mark_chosen(axes, table)
    axes[-1].set_xlabel("epoch", fontsize="small")
    head_line(axes[0], f"Training of {len(table)} epochs{kept}; scores are out-of-fold")
    return finish(axes, show=show, return_fig=return_fig)


def _groups(table: pd.DataFrame) -> dict[str, dict[str, str]]:
    """Panels in order: axis label -> {column: name of its curve}."""
    losses: dict[str, dict[str, str]] = {}
    scores: dict[str, dict[str, str]] = {}
    signals: dict[str, dict[str, str]] = {}
    for column in map(str, table.columns):
        group, *rest = GROUP.split(column, maxsplit=1)
        if not rest or not table[column].notna().any():
            continue
        name = rest[0]
        if group == LOSS:
            losses.setdefault("training loss", {})[column] = name
        elif group.startswith(OOF):
            scores.setdefault(f"out-of-fold\n{metric_label(group.removeprefix(OOF))}", {})[column] = name
        elif group == SIGNAL:
            kind, _, whose = name.partition(":")
            signals.setdefault(f"signal:\n{kind}", {})[column] = whose or kind
    return losses | scores | signals


def _curves(ax: "Axes", table: pd.DataFrame, curves: dict[str, str], looks: dict[str, Look], *, thick: bool) -> None:
    """One panel: a line a column, colour and marker by modality, dashes for terms that are not a head's own."""
    dashes: dict[str, object] = {}
    for column, name in curves.items():
        look = look_of(name, looks)
        own = name in looks or name in JOINT
        prefix = name.partition(":")[0] if modality_in(name, looks) else name
        style = "-" if own and name != "product" else dashes.setdefault(prefix, DASHES[len(dashes) % len(DASHES)])
        drawn = table[["epoch", column]].dropna()
        every = max(1, len(drawn) // 8)
        ax.plot(
            drawn["epoch"],
            drawn[column].astype(float),
            color=look.color,
            linestyle=style,
            linewidth=1.8 if thick else 0.9,
            marker=look.marker,
            markersize=4 if thick else 2.5,
            markevery=(every // 2, every),
            label=name,
            zorder=3 if name in JOINT else 2,
        )
    dress(ax)
    ax.margins(x=0.02)
    columns = -(-len(curves) // 8)
    ax.legend(loc="upper left", bbox_to_anchor=(1.01, 1.03), frameon=False, fontsize="x-small", ncols=columns, borderaxespad=0)


def _mark_chosen(axes: "list[Axes]", table: pd.DataFrame) -> str:
    """A vertical line at the epoch that was kept; returns the words for the title."""
    if "chosen" not in table:
        return ""
    epochs = table.loc[table["chosen"].to_numpy().astype(bool), "epoch"].to_numpy()
    for ax in axes:
        for epoch in epochs:
            ax.axvline(epoch, color=GREY, linewidth=1, linestyle=(0, (4, 2)), zorder=1)
    return f", weights of epoch {', '.join(f'{e:g}' for e in np.unique(epochs))} kept" if len(epochs) else ""
