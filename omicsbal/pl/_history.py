"""Learning curves of one fit."""

import re
from textwrap import fill
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from omicsbal import _keys
from omicsbal._validate import problem
from omicsbal.pl._panels import finish, panels
from omicsbal.pl._slots import read_slots
from omicsbal.pl._style import FAINT, GREY, JOINT, Look, dress, head_line, look_of, metric_label, modality_in, modality_looks

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from mudata import MuData

    from omicsbal.pl._panels import AxesLike, Drawn

GROUP = re.compile("[/:]")  # anndata is about to refuse "/" in the column names of what it writes to h5, so ":" does as well
LOSS, OOF, SIGNAL = "loss", "oof_", "signal"
STAGE = "stage"
X, RUN = "_x", "_run"  # epochs counted through all stages, and the run of training that a row belongs to
SIGNALS = {  # label of a panel by the first part of the signal's name, the neutral value, and where its scale begins
    "weight": ("weight of the loss\n(1 = equal)", 1.0, None),
    "kappa": ("score of each head\n(0 chance, 1 perfect)", None, 0.0),
    "kd_weight": ("weight of KD\nby student", None, 0.0),
    "dependence": ("shared with the others\n(0 nothing, 1 all)", None, 0.0),
}
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
    A fit in stages has them side by side in each panel, named at the top: epochs count on from one to the next.

    Raises
    ------
    KeyError
        If there is no history, because ``ob.tl.fit`` has not been run.
    ValueError
        If the history has nothing to draw, or `ax` holds another number of Axes than there are panels.

    Notes
    -----
    The dashed vertical line marks the epoch whose weights were kept, by the number it has in its stage. Signals with different
    names have different units and so panels of their own. What the strategy ``"mutual"`` writes is, per modality: the *weight*
    of its loss (a dotted line at 1, the equal weight), its *score* as the share of the way from chance to perfect (macro-F1; R²),
    and what it *shares* with the others, ``1 - exp(-2 I)`` of the mutual information I in nats, averaged over them.

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
    table = _through_stages(slots.table(_keys.HISTORY, ["epoch"]))
    looks = modality_looks(slots.names(_keys.MODALITIES))
    groups = _groups(table)
    if not groups:
        found = "no column named loss/..., oof_.../... or signal/..."
        raise ValueError(problem("history", expected="at least one curve", found=found, do="Run ob.tl.fit again."))
    axes = panels(ax, len(groups), figsize=(6.8, 0.6 + 1.75 * len(groups)), sharex=True)
    for one, (label, curves) in zip(axes, groups.items(), strict=True):
        _curves(one, table, curves, looks, thick=label != "training loss")
        one.set_ylabel(label, fontsize="small")
        _scale(one, label)
    stages = _mark_stages(axes, table)
    kept = _mark_chosen(axes, table)
    axes[-1].set_xlabel("epoch, counted through the stages" if stages else "epoch", fontsize="small")
    head_line(axes[0], fill(f"Training of {len(table)} epochs{stages}{kept}; scores are out-of-fold", 78))
    return finish(axes, show=show, return_fig=return_fig)


def _through_stages(table: pd.DataFrame) -> pd.DataFrame:
    """The table with its x: the epoch, plus the epochs of earlier stages where counting starts again."""
    table = table.reset_index(drop=True)
    x = table["epoch"].astype(float)
    stage = table[STAGE].astype(str) if STAGE in table else pd.Series("", index=table.index)
    run = (stage.ne(stage.shift()) | (x.diff() <= 0)).cumsum()  # a stage may train several times
    last = 0.0
    for rows in run.groupby(run).groups.values():
        if x[rows].min() <= last:
            x[rows] += last
        last = x[rows].max()
    return table.assign(**{X: x, STAGE: stage, RUN: run})


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
            label = SIGNALS[kind][0] if kind in SIGNALS else f"signal:\n{kind}"
            signals.setdefault(label, {})[column] = whose or kind
    return losses | scores | signals


def _curves(ax: "Axes", table: pd.DataFrame, curves: dict[str, str], looks: dict[str, Look], *, thick: bool) -> None:
    """One panel: a line a column, colour and marker by modality, dashes for terms that are not a head's own."""
    dashes: dict[str, object] = {}
    for column, name in curves.items():
        look = look_of(name, looks)
        own = name in looks or name in JOINT
        prefix = name.partition(":")[0] if modality_in(name, looks) else name
        style = "-" if own and name != "product" else dashes.setdefault(prefix, DASHES[len(dashes) % len(DASHES)])
        drawn = table[[X, column, RUN]].dropna()
        every = max(1, len(drawn) // 8)
        ends = np.flatnonzero(drawn[RUN].diff() != 0)[1:]  # a line does not lead from one run into the next
        ax.plot(
            np.insert(drawn[X].to_numpy(float), ends, np.nan),
            np.insert(drawn[column].to_numpy(float), ends, np.nan),
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


def _scale(ax: "Axes", label: str) -> None:
    """The neutral value of a signal as a dotted line, and the lower end of its scale."""
    for name, neutral, lowest in SIGNALS.values():
        if name == label and neutral is not None:
            ax.axhline(neutral, color=GREY, linestyle=":", linewidth=1, zorder=1)
        if name == label and lowest is not None:
            ax.set_ylim(bottom=lowest)


def _mark_stages(axes: "list[Axes]", table: pd.DataFrame) -> str:
    """Every other stage shaded, their names above the first panel; returns the words for the title, none for a single stage."""
    spans = table.groupby(STAGE, sort=False)[X].agg(["min", "max"])
    if len(spans) < 2:
        return ""
    edges = np.r_[spans["min"].iloc[0], spans["min"].to_numpy()[1:] - 0.5, spans["max"].iloc[-1]]
    for ax in axes:
        for left, right in zip(edges[1:-1:2], edges[2::2], strict=False):
            ax.axvspan(left, right, color=FAINT, alpha=0.35, linewidth=0, zorder=0)
    names = axes[0].secondary_xaxis("top")  # an axis, because the title makes room for it
    names.set_xticks((edges[:-1] + edges[1:]) / 2, list(spans.index), fontsize="x-small", fontstyle="italic", color=GREY)
    names.tick_params(length=0, pad=1)
    names.spines[:].set_visible(False)
    return f" in {len(spans)} stages"


def _mark_chosen(axes: "list[Axes]", table: pd.DataFrame) -> str:
    """A vertical line at each epoch that was kept; returns the words for the title."""
    if "chosen" not in table:
        return ""
    chosen = table[table["chosen"].to_numpy().astype(bool)].drop_duplicates(X)
    for ax in axes:
        for x in chosen[X]:
            ax.axvline(x, color=GREY, linewidth=1, linestyle=(0, (4, 2)), zorder=1)
    several = table[STAGE].nunique() > 1
    epochs = [f"{e:g} of {s}" if several else f"{e:g}" for e, s in zip(chosen["epoch"], chosen[STAGE], strict=True)]
    return f", weights of epoch {', '.join(epochs)} kept" if epochs else ""
