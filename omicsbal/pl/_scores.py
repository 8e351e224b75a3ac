"""How well each head and expert does, out-of-fold."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from omicsbal import _keys
from omicsbal._validate import check_choice
from omicsbal.pl._panels import finish, panels
from omicsbal.pl._slots import read_slots
from omicsbal.pl._style import FAINT, GREY, Look, dress, head_line, larger_is_better, look_of, metric_label, modality_looks

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from mudata import MuData

    from omicsbal.pl._panels import AxesLike, Drawn

KINDS = {"pool": "pool", "network": "networks", "expert": "linear experts"}  # from top to bottom, and the heading of each group
NOT_METRICS = {"head", "kind", "modality", "n", "temperature", "weight"}


def scores(
    mdata: "MuData",
    *,
    metric: str | Sequence[str] | None = None,
    key_added: str = _keys.KEY,
    ax: "AxesLike | None" = None,
    show: bool | None = None,
    return_fig: bool = False,
) -> "Drawn":
    """Draw the out-of-fold scores of every head and expert with intervals, and the weight each has in the pool.

    Parameters
    ----------
    mdata
        MuData that ``ob.tl.fit`` was run on.
    metric
        One metric or several, a panel each: ``"macro_f1"``, ``"accuracy"``, ``"balanced_accuracy"``, ``"log_loss"``, ``"ece"``,
        for regression ``"r2"``, ``"rmse"``, ``"log_loss"``. By default the task's first metric and the log-loss, because
        a head may rank well by one and badly by the other.
    key_added
        Name under which the fit was stored.
    ax
        Axes to draw into, one a metric; by default a new figure.
    show
        Whether to call ``plt.show()``; by default no.
    return_fig
        Return the Figure instead of the Axes.

    Returns
    -------
    Axes, one a metric (an array if there are several). Large point: score over all out-of-fold rows; line: 95% interval over
    folds; small points: single folds; dotted line: best single modality; bars at the right: weight in the pool.
    ``None`` when shown.

    Raises
    ------
    KeyError
        If there are no scores, because ``ob.tl.fit`` has not been run.
    ValueError
        If `metric` is not a column of the scores.

    Examples
    --------
    >>> import pandas as pd, omicsbal as ob
    >>> mdata = ob.datasets.simulate(n_obs=60, random_state=0)
    >>> heads = pd.DataFrame({"head": ["fused"], "kind": ["network"], "modality": [""], "n": [60], "accuracy": [0.9]})
    >>> mdata.uns["omicsbal"] = {"modalities": ["rna"], "metric": "accuracy", "heads": heads}  # ob.tl.fit writes this
    >>> ob.pl.scores(mdata, metric="accuracy").get_xlabel()
    'accuracy'
    """
    slots = read_slots(mdata, key_added)
    table = slots.table(_keys.HEADS, ["head", "kind", "modality", "n"])
    available = [c for c in table.columns if c not in NOT_METRICS and not c.endswith(("_low", "_high"))]
    default = dict.fromkeys([str(slots.entry(_keys.METRIC)), "log_loss" if "log_loss" in table else "rmse"])
    wanted = list(default) if metric is None else [metric] if isinstance(metric, str) else list(metric)
    for name in wanted:
        check_choice("metric", name, available)
    looks = modality_looks(slots.names(_keys.MODALITIES))
    table, heights = _arranged(table, by=wanted[0])
    folds = slots.entries.get(_keys.FOLD_SCORES)
    axes = panels(ax, len(wanted), figsize=(2.9 + 2.6 * len(wanted), 1.3 + 0.27 * heights[-1]), columns=len(wanted), sharey=True)
    for position, (one, name) in enumerate(zip(axes, wanted, strict=True)):
        _forest(one, table, heights, folds, name, looks)
        one.tick_params(axis="y", labelleft=position == 0)
    _name_groups(axes[0], table, heights)
    _weights(axes[-1], table, heights, looks)
    n_folds = 0 if folds is None else folds["fold"].nunique()
    intervals = f", 95% intervals over {n_folds} folds" if any(f"{m}_low" in table for m in wanted) and n_folds else ""
    head_line(axes[0], f"Out-of-fold scores, n = {int(table['n'].max()):,}{intervals}")
    return finish(axes, show=show, return_fig=return_fig)


def _arranged(table: pd.DataFrame, *, by: str) -> tuple[pd.DataFrame, np.ndarray]:
    """Heads by kind and then from good to bad, and their heights, with a gap between kinds."""
    rank = {kind: i for i, kind in enumerate(KINDS)}
    order = pd.DataFrame({"kind": table["kind"].astype(str).map(rank).fillna(len(rank)), "score": table[by].astype(float)})
    order = order.sort_values(["kind", "score"], ascending=[True, not larger_is_better(by)])
    table = table.loc[order.index].reset_index(drop=True)
    first = table["kind"].astype(str).ne(table["kind"].astype(str).shift()).to_numpy()
    return table, np.arange(len(table)) + 0.9 * np.cumsum(first)


def _forest(
    ax: "Axes", table: pd.DataFrame, heights: np.ndarray, folds: pd.DataFrame | None, metric: str, looks: dict[str, Look]
) -> None:
    """One panel: point, interval and folds of each head, and the best single modality as a dotted line."""
    for row, y in zip(table.to_dict("records"), heights, strict=True):
        look = look_of(str(row["head"]), looks)
        if folds is not None and metric in folds:
            single = folds.loc[folds["head"].astype(str) == str(row["head"]), metric].astype(float)
            ax.scatter(single, [y + 0.28] * len(single), s=7, color=look.color, alpha=0.45, linewidths=0, zorder=2)
        low, high = row.get(f"{metric}_low", np.nan), row.get(f"{metric}_high", np.nan)
        ax.plot([low, high], [y, y], color=look.color, linewidth=1.8, solid_capstyle="round", zorder=3)
        filled = look.color if row["kind"] != "expert" else "white"
        ax.scatter([row[metric]], [y], s=44, marker=look.marker, facecolor=filled, edgecolor=look.color, linewidths=1.4, zorder=4)
    direction = "" if larger_is_better(metric) else ", lower is better"
    ax.set_xlabel(f"{metric_label(metric)}{direction}{_best_single(ax, table, metric, looks)}", fontsize="small")
    dress(ax, grid="x")
    ax.set_ylim(heights[-1] + 0.7, 0.0)
    ax.set_yticks(heights, _tick_names(table), fontsize="small")
    ax.tick_params(axis="y", length=0)
    ax.spines["left"].set_visible(False)


def _name_groups(ax: "Axes", table: pd.DataFrame, heights: np.ndarray) -> None:
    """Headings of the groups above the names of their heads; a group that is one head of the same name needs none."""
    kinds = table["kind"].astype(str)
    for kind in dict.fromkeys(kinds):
        members = (kinds == kind).to_numpy()
        if table["head"][members].astype(str).tolist() != [kind]:
            ax.annotate(
                KINDS.get(kind, kind),
                (0, heights[members][0] - 0.8),
                xycoords=ax.get_yaxis_transform(),
                xytext=(-4, 0),
                textcoords="offset points",
                ha="right",
                va="center",
                fontsize="x-small",
                fontstyle="italic",
                color=GREY,
            )


def _tick_names(table: pd.DataFrame) -> list[str]:
    """Names of the heads, with n where it differs from the largest (a modality that some rows lack)."""
    most = table["n"].max()
    pairs = zip(table["head"].astype(str), table["n"], strict=True)
    return [head if n == most else f"{head} (n = {int(n):,})" for head, n in pairs]


def _best_single(ax: "Axes", table: pd.DataFrame, metric: str, looks: dict[str, Look]) -> str:
    """Dotted line at the best head of a single modality; returns the words that explain it."""
    single = table[table["modality"].astype(str).isin(looks) & table[metric].notna()]
    if single.empty:
        return ""
    ranked = single.sort_values(metric, ascending=not larger_is_better(metric))
    best, name = ranked[metric].iloc[0], str(ranked["head"].iloc[0])
    color = look_of(name, looks).color
    ax.axvline(best, color=color, linestyle=":", linewidth=1.3, zorder=1)
    return f"\n(dotted: best single modality, {name})"


def _weights(ax: "Axes", table: pd.DataFrame, heights: np.ndarray, looks: dict[str, Look]) -> None:
    """Bars of the pool's weights at the right of the last panel, with their numbers."""
    if "weight" not in table or not table["weight"].notna().any():
        return
    bars = ax.inset_axes((1.04, 0, 0.3, 1), sharey=ax)
    for head, weight, y in zip(table["head"].astype(str), table["weight"].astype(float), heights, strict=True):
        if np.isnan(weight):
            continue
        bars.barh(y, weight, height=0.5, color=look_of(head, looks).color if weight > 0 else FAINT)
        bars.annotate(f"{weight:.2f}", (weight, y), xytext=(3, 0), textcoords="offset points", va="center", fontsize="x-small")
    bars.spines[["top", "right", "bottom"]].set_visible(False)
    bars.spines["left"].set_color(FAINT)
    bars.set_xlim(0, 1.35 * max(float(table["weight"].max()), 1e-9))
    bars.set_xticks([])
    bars.tick_params(axis="y", length=0, labelleft=False)
    bars.set_xlabel("weight in pool", fontsize="small", labelpad=15)  # below the tick labels of the panel, which may reach over
