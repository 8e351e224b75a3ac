"""What tuning was worth on outer folds, and what each setting did to the loss."""

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from omicsbal import _keys
from omicsbal.pl._panels import columns_for, finish, panels
from omicsbal.pl._signed import signed, spanned
from omicsbal.pl._slots import read_table
from omicsbal.pl._style import ALARM, GREY, INK, dress, head_line, metric_label

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from mudata import MuData

    from omicsbal.pl._panels import AxesLike, Drawn

RUN = "ob.tl.tune(mdata, label_key=...)"
TRIALS = {"words": ("search", "state"), "numbers": ("trial", "loss", "evaluations", "seconds", "best", "default")}
SCORES = {"words": ("measure", "fold"), "numbers": ("tuned", "default", "gain", "low", "high")}
LOGARITHMIC = ("width", "weight_decay", "learning_rate", "components")
LABELS = {"components": "components (× default)", "kd_weight": "KD weight"}
ALL, MEAN = "all", "mean"  # the search on all rows; the mean over outer folds


def tune(
    mdata: "MuData",
    *,
    key_added: str = _keys.TUNE_KEY,
    ax: "AxesLike | None" = None,
    show: bool | None = None,
    return_fig: bool = False,
) -> "Drawn":
    """Draw the scores of tuned and default fits on outer folds, and the trials against each setting.

    Parameters
    ----------
    mdata
        MuData that ``ob.tl.tune`` was run on.
    key_added
        Name under which the result was stored.
    ax
        Axes to draw into, one for the scores and one a setting; by default a new figure.
    show
        Whether to call ``plt.show()``; by default no.
    return_fig
        Return the Figure instead of the Axes.

    Returns
    -------
    Axes, one and one a setting (``None`` when shown). First: the task's loss on the rows that each search never saw, a grey line
    an outer fold and a black one for their mean. Then the trials of the search on all rows: out-of-fold loss against the setting;
    the default as a black diamond, the best with an orange ring, ticks at the top for trials that were not finished.

    Raises
    ------
    KeyError
        If there are no such tables, because ``ob.tl.tune`` has not been run, or if one lacks a column.
    ValueError
        If `ax` holds another number of Axes than there are panels.

    Examples
    --------
    >>> import omicsbal as ob
    >>> mdata = ob.datasets.simulate(n_obs=60, n_classes=2, modalities=["rna", "protein"], n_truth=100, random_state=0)
    >>> short = {"n_trials": 1, "outer_folds": 2, "n_folds": 2, "config": ob.FitConfig(max_epochs=1), "progress": False}
    >>> tuned = ob.tl.tune(mdata, label_key="cell_type", settings=["dropout"], **short)
    >>> [ax.get_xlabel() for ax in ob.pl.tune(mdata)]
    ['fit', 'dropout']
    """
    scores = read_table(mdata, key_added, _keys.TUNE_SCORES, **SCORES, run=RUN)
    trials = read_table(mdata, key_added, _keys.TUNE, **TRIALS, run=RUN)
    outer, trials = trials[trials["search"] != ALL], trials[trials["search"] == ALL]
    departed = bool((outer.loc[outer["best"] > 0, "default"] == 0).any())  # whether a search chose anything but the default
    names = [str(name) for name in trials.columns if name not in (*TRIALS["words"], *TRIALS["numbers"])]
    columns = columns_for(len(names) + 1, 4)
    rows = -(-(len(names) + 1) // columns)
    axes = panels(ax, len(names) + 1, figsize=(3.3 * columns, 3.1 * rows), columns=columns)
    _outer(axes[0], scores, departed=departed)
    for one, name in zip(axes[1:], names, strict=True):
        _setting(one, trials, name)
    signs = "◆ default, ○ best" + ("" if trials["loss"].notna().all() else ", | not finished")
    tried = f"{len(trials)} trials" if len(trials) > 1 else "the default alone"
    head_line(axes[1], f"Search on all rows, {tried}:\n{signs}")
    return finish(axes, show=show, return_fig=return_fig)


def _outer(ax: "Axes", scores: pd.DataFrame, *, departed: bool) -> None:
    """Default beside tuned, fold by fold."""
    measure = scores["measure"].iloc[0]  # the task's loss is told first
    part = scores[scores["measure"] == measure]
    mean = part["fold"] == MEAN
    for row in part[~mean].to_dict("records"):
        ax.plot([0, 1], [row["default"], row["tuned"]], color=GREY, linewidth=1, marker="o", markersize=3.5)
    (whole,) = part[mean].to_dict("records")
    ax.plot([0, 1], [whole["default"], whole["tuned"]], color=INK, linewidth=2.2, marker="o", markersize=6, zorder=3)
    ax.set_xticks([0, 1], ["default", "tuned"])
    ax.set_xlim(-0.35, 1.35)
    dress(ax, grid="y")
    ax.set_xlabel("fit", fontsize="small")
    ax.set_ylabel(f"{metric_label(measure)} on outer folds", fontsize="small")
    ends = f" ({spanned(whole['low'], whole['high'], 3)})" if np.isfinite(whole["low"]) else ""
    said = f"Gain {signed(whole['gain'], 3)}{ends}" if departed else "Nothing but the default was chosen"
    head_line(ax, f"{said},\nn = {int((~mean).sum())} outer folds")


def _setting(ax: "Axes", trials: pd.DataFrame, name: str) -> None:
    """Loss against one setting."""
    x, loss = trials[name].to_numpy(dtype=float), trials["loss"].to_numpy(dtype=float)
    default, best = (trials[c].to_numpy(dtype=bool) for c in ("default", "best"))
    done = np.isfinite(loss)
    dots: dict[str, Any] = {"linewidths": 0.6, "edgecolor": "white", "zorder": 3}
    ax.scatter(x[done & ~default], loss[done & ~default], s=26, color=GREY, **dots)
    ax.scatter(x[done & default], loss[done & default], s=42, marker="D", color=INK, **dots)
    ax.scatter(x[best], loss[best], s=130, facecolor="none", edgecolor=ALARM, linewidths=1.8, zorder=4)
    if not done.all():
        place = ax.get_xaxis_transform()
        ax.plot(x[~done], np.full((~done).sum(), 0.985), "|", color=GREY, markersize=7, transform=place)
    if name in LOGARITHMIC and (x > 0).all():
        from matplotlib.ticker import LogLocator, NullFormatter, NullLocator

        ax.set_xscale("log")
        if x.max() / x.min() < 100:  # too short for decades to tell where one is
            ax.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
            ax.xaxis.set_minor_locator(NullLocator())
            ax.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
        ax.xaxis.set_minor_formatter(NullFormatter())
    if len(set(x)) == 1:  # one value, one tick: matplotlib would make up a range around it
        ax.set_xticks(x[:1], [f"{x[0]:g}"])
        ax.minorticks_off()
    if len(set(loss[done])) == 1:
        ax.set_yticks(loss[done][:1], [f"{loss[done][0]:.3f}"])
    dress(ax)
    ax.margins(0.12)
    ax.set_xlabel(LABELS.get(name, name.replace("_", " ")), fontsize="small")
    ax.set_ylabel("out-of-fold loss", fontsize="small")
