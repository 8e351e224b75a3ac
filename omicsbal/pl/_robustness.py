"""How predictions hold up under damage to one modality, and what each subset of the modalities is good for."""

from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from omicsbal import _keys
from omicsbal._validate import check_choice
from omicsbal.diagnostics.damage import DAMAGES
from omicsbal.pl._around import legend_below, name_rows
from omicsbal.pl._panels import finish, panels
from omicsbal.pl._slots import read_table
from omicsbal.pl._style import GREY, INK, Look, dress, head_line, metric_label, modality_looks, shorten, text_width

if TYPE_CHECKING:
    from collections.abc import Callable

    from matplotlib.axes import Axes
    from mudata import MuData

    from omicsbal.pl._panels import AxesLike, Drawn

RUN = "ob.tl.robustness(model, mdata)"
WORDS = ("kind", "modality", "pattern", "head", "measure", "class", "rows", "note")
NUMBERS = ("level", "value", "low", "high", "n")
TOLD = {  # what happens, the name of the axis, and how a level is written
    "removed": ("Some cells lose a modality", "cells that lose it", "{:.0%}"),
    "thinned": ("A modality is measured less deeply", "counts kept", "{:.0%}"),
    "noised": ("A modality is noisy", "noise (standard deviations)", "{:g}"),
}
APART = 0.09  # of the width: levels closer than this share a label


def robustness(
    mdata: "MuData",
    *,
    head: str = "pool",
    key_added: str = _keys.KEY,
    ax: "AxesLike | None" = None,
    show: bool | None = None,
    return_fig: bool = False,
) -> "Drawn":
    """Draw scores along growing damage to each modality, and from each subset of the modalities.

    Parameters
    ----------
    mdata
        MuData that ``ob.tl.robustness`` was run on.
    head
        "pool", or "fused" where such a head was trained.
    key_added
        Name under which the result was stored.
    ax
        Axes to draw into, one a panel; by default a new figure.
    show
        Whether to call ``plt.show()``; by default no.
    return_fig
        Return the Figure instead of the Axes.

    Returns
    -------
    Axes, one for each kind of damage that could be done, and a last one for the subsets (``None`` when shown). Curves: macro-F1,
    or R², with 95% bands; in the legend the area under each curve as a share of the undamaged score; dotted, the score of the
    prior. Subsets: the same score with 95% intervals, best first, and for classes the calibration error (ECE).

    Raises
    ------
    KeyError
        If there is no such table, because ``ob.tl.robustness`` has not been run, or if it lacks a column.
    ValueError
        If it does not know the head, or `ax` holds another number of Axes than there are panels.

    Examples
    --------
    >>> import pandas as pd, omicsbal as ob
    >>> mdata = ob.datasets.simulate(n_obs=60, random_state=0)
    >>> row = {"modality": "", "level": 0.0, "pattern": "", "head": "pool", "measure": "macro_f1", "class": "", "value": 0.8}
    >>> row |= {"low": 0.7, "high": 0.9, "n": 60, "rows": "out-of-fold", "note": ""}
    >>> one = row | {"kind": "removed", "modality": "rna"}
    >>> rows = [one, one | {"level": 1.0, "value": 0.5}, one | {"measure": "area", "level": None, "value": 0.81}]
    >>> rows += [row | {"kind": "pattern", "pattern": "rna"}, row | {"kind": "floor", "head": "prior", "value": 0.3}]
    >>> mdata.uns["omicsbal"] = {"robustness": pd.DataFrame(rows)}  # ob.tl.robustness writes this
    >>> ob.pl.robustness(mdata)[0].get_legend().get_texts()[0].get_text()
    'rna 0.81'
    """
    table = read_table(mdata, key_added, _keys.ROBUSTNESS, words=WORDS, numbers=NUMBERS, run=RUN)
    floor = table[table["kind"] == "floor"]
    check_choice("head", head, list(dict.fromkeys(table.loc[table["kind"] == "pattern", "head"])))
    metric, mine = str(floor["measure"].iloc[0]), table[(table["head"] == head) & (table["class"] == "")]
    looks = modality_looks(dict.fromkeys(m for m in table["modality"] if m))
    prior = float(floor.loc[floor["measure"] == metric, "value"].iloc[0])
    patterns = mine[mine["kind"] == "pattern"]
    scores = mine[(mine["measure"] == metric) & mine["kind"].isin(TOLD)]
    same: dict[str, Any] = {"metric": metric, "looks": looks, "prior": prior}
    kinds = [k for k in TOLD if scores.loc[scores["kind"] == k, "value"].notna().any()]
    drawn: list[Callable[[Axes], None]] = [partial(_curves, kind=k, table=mine[mine["kind"] == k], **same) for k in kinds]
    drawn.append(partial(_patterns, table=patterns, **same))
    names = _names(patterns[patterns["measure"] == metric])
    columns = 3 if len(drawn) == 3 else min(len(drawn), 2)
    rows = -(-len(drawn) // columns)
    heights = [3.1] * (rows - 1) + [max(3.1, 0.26 * len(names) + 1.5)]
    size = (3.9 * columns + text_width(names, 9.0) + 0.5, sum(heights))
    axes = panels(ax, len(drawn), figsize=size, columns=columns, height_ratios=heights)
    for one, draw in zip(axes, drawn, strict=True):
        draw(one)
    _same_height(axes[:-1], scores, prior)
    facts = f"{head}, {patterns['rows'].iloc[0]}, n = {int(mine['n'].max()):,}; 95% intervals; dotted: prior"
    head_line(axes[0], f"{axes[0].get_title(loc='left')}\n{facts}")
    return finish(axes, show=show, return_fig=return_fig)


def _curves(ax: "Axes", *, kind: str, table: pd.DataFrame, metric: str, looks: dict[str, Look], prior: float) -> None:
    """A curve with its band for each modality."""
    title, name, form = TOLD[kind]
    told = table[(table["measure"] == "area") & table["value"].notna()].set_index("modality").sort_values("value")
    areas = told["value"]
    scores = table[(table["measure"] == metric) & table["value"].notna()]
    for short, (m, look) in zip(shorten(looks, 14), looks.items(), strict=True):
        mine = scores[scores["modality"] == m]
        if len(mine):
            x = DAMAGES[kind].axis(mine["level"].to_numpy())
            ax.fill_between(x, mine["low"], mine["high"], color=look.color, alpha=0.15, linewidth=0, zorder=2)
            left = f" {areas[m]:.2f}" if m in areas else ""
            style: dict[str, Any] = {"color": look.color, "marker": look.marker, "markersize": 4.5, "linewidth": 1.5}
            ax.plot(x, mine["value"], label=f"{short}{left}", zorder=3, **style)
    ax.axhline(prior, color=GREY, linestyle=":", linewidth=1.2, zorder=1.5)
    dress(ax, grid="y")
    _ticks(ax, kind, sorted(set(scores["level"])), form)
    ax.set_xlabel(name, fontsize="small")
    ax.set_ylabel(metric_label(metric), fontsize="small")
    kept: dict[str, Any] = {"title_fontsize": "x-small", "alignment": "left", "handlelength": 1.4}
    legend_below(ax, title="area under the curve, 1: nothing is lost", **kept)
    rest = shorten([m for m in looks if m not in set(scores["modality"])], 14)
    head_line(ax, "\n".join(filter(None, [title, _finding(told), f"no counts: {', '.join(rest)}" if rest else ""])))


def _finding(areas: pd.DataFrame) -> str:
    """The modality that most is lost with, if the intervals tell it from the next."""
    if len(areas) < 2:
        return ""
    first, second = areas.iloc[0], areas.iloc[1]
    if first["high"] < second["low"]:
        return f"most is lost with {shorten(areas.index, 16)[0]}"
    return "no clear loss" if first["high"] >= 1 else "intervals overlap: no modality is clearly first"


def _ticks(ax: "Axes", kind: str, levels: list[float], form: str) -> None:
    """Levels at their places; where two are too close the milder one stays nameless, unless it is that without damage."""
    levels = DAMAGES[kind].ordered(levels)
    x = DAMAGES[kind].axis(np.array(levels))
    kept = [0]
    for i in range(len(x) - 1, 0, -1):
        if all(abs(x[i] - x[j]) >= APART * x[-1] for j in kept):
            kept.append(i)
    ax.set_xticks(x, [form.format(level) if i in kept else "" for i, level in enumerate(levels)])
    ax.tick_params(axis="x", labelsize="small")


def _same_height(axes: "list[Axes]", scores: pd.DataFrame, prior: float) -> None:
    """One range for all curves."""
    seen = scores[["value", "low", "high"]].to_numpy()
    if np.isfinite(seen).any():
        low, high = min(prior, float(np.nanmin(seen))), float(np.nanmax(seen))
        for ax in axes:
            ax.set_ylim(low - 0.06 * (high - low), high + 0.06 * (high - low))


def _names(scores: pd.DataFrame) -> list[str]:
    """Subsets, with their rows where these differ."""
    names, sizes = shorten(scores["pattern"]), scores["n"].astype(int)
    return names if sizes.nunique() < 2 else [f"{name} ({n:,})" for name, n in zip(names, sizes, strict=True)]


def _patterns(ax: "Axes", *, table: pd.DataFrame, metric: str, looks: dict[str, Look], prior: float) -> None:
    """Subsets from best to worst: score with interval, and calibration error in words."""
    scores = table[table["measure"] == metric].sort_values("value", ascending=False, kind="stable", na_position="last")
    errors = table[table["measure"] == "ece"].set_index("pattern")["value"]
    for y, row in enumerate(scores.to_dict("records")):
        look = looks.get(row["pattern"], Look(INK, "D"))
        ax.plot([row["low"], row["high"]], [y, y], color=look.color, linewidth=1.6, solid_capstyle="round", zorder=3)
        ax.plot(row["value"], y, color=look.color, marker=look.marker, markersize=5, label=f"_{row['pattern']}", zorder=4)
        if np.isfinite(errors.get(row["pattern"], np.nan)):
            ax.text(1.02, y, f"{errors[row['pattern']]:.2f}", transform=ax.get_yaxis_transform(), va="center", fontsize="x-small")
    ax.axvline(prior, color=GREY, linestyle=":", linewidth=1.2, zorder=1.5)
    name_rows(ax, _names(scores))
    ax.set_xlabel(metric_label(metric), fontsize="small")
    if len(errors):
        ax.text(1.02, 1, "ECE", transform=ax.transAxes, va="bottom", fontsize="x-small", color=GREY)
    best = scores.iloc[0]
    brackets = " (rows)" if scores["n"].nunique() > 1 else ""
    head_line(ax, f"With these modalities alone{brackets}\nbest: {shorten([best['pattern']])[0]}, {best['value']:.2f}")
