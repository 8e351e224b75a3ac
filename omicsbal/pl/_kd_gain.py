"""The honesty panel: did the gap foretell the gain?"""

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from omicsbal.pl._style import ALARM, GREY, INK, Look, dress, head_line, larger_is_better, look_of, metric_label, shorten

if TYPE_CHECKING:
    from matplotlib.axes import Axes

NAMED = 16  # most points that are all named; beyond them only those on the wrong side
APART = 0.06  # least distance of two names, as a share of the panel's height


def gain_scatter(ax: "Axes", table: pd.DataFrame, looks: dict[str, Look]) -> None:
    """Gain of KD against the gap, both with intervals; in orange the pairs on the wrong side of 0."""
    metric = str(table["metric"].iloc[0])
    table = table[table["gap"].notna()].sort_values("gain").reset_index(drop=True)
    better = table["gain"] if larger_is_better(metric) else -table["gain"]
    counted = table["decision"] != "weaker"
    wrong = counted & (table["gap"] * better < 0)
    certain = (table["gain_low"] > 0) | (table["gain_high"] < 0)
    for at, row in enumerate(table.to_dict("records")):
        color = ALARM if wrong[at] else INK if counted[at] else GREY
        look = look_of(row["student"], looks) if counted[at] else Look(GREY, "x")
        line: dict[str, Any] = {"color": color, "linewidth": 1, "alpha": 0.7, "zorder": 2}
        ax.plot([row["gap_low"], row["gap_high"]], [row["gain"]] * 2, **line)
        ax.plot([row["gap"]] * 2, [row["gain_low"], row["gain_high"]], **line)
        face = color if certain[at] or not counted[at] else "white"
        edge: dict[str, Any] = {} if look.marker == "x" else {"edgecolor": color, "linewidths": 1.4}
        ax.scatter([row["gap"]], [row["gain"]], s=40, marker=look.marker, color=face, zorder=3, label=_pair(row), **edge)
    ax.axhline(0, color=GREY, linewidth=1, linestyle=":", zorder=1)
    ax.axvline(0, color=GREY, linewidth=1, linestyle=":", zorder=1)
    dress(ax)
    ax.margins(0.12)
    ax.set_xlabel("gap I(T;S) \N{MINUS SIGN} I(S;Y) (nats, 90% interval)", fontsize="small")
    ax.set_ylabel(f"change of the student's {metric_label(metric)} by KD\n(95% interval)", fontsize="small")
    _name_points(ax, table, wrong, counted)
    n = int(counted.sum())
    sides = (
        f"{int(wrong.sum())} of {n} {'pair' if n == 1 else 'pairs'} on the wrong side" if n else "No pair where the gap decides"
    )
    beyond = int((wrong & certain).sum())
    head_line(ax, sides + (f",\n{beyond} by more than the interval of its gain" if beyond else ""))


def _pair(row: dict[Any, Any]) -> str:
    """Teacher and student as they stand beside a point."""
    return " → ".join(shorten([str(row["teacher"]), str(row["student"])], 12))


def _name_points(ax: "Axes", table: pd.DataFrame, wrong: pd.Series, counted: pd.Series) -> None:
    """Names at the right of the panel in the order of their gains, each with a thin line from its point."""
    named = np.flatnonzero(wrong | (len(table) <= NAMED))
    bottom, top = ax.get_ylim()
    heights = _apart([float((table["gain"][at] - bottom) / (top - bottom)) for at in named])
    for at, height in zip(named, heights, strict=True):
        ax.annotate(
            _pair(table.loc[at].to_dict()),
            (table["gap"][at], table["gain"][at]),
            xytext=(1.03, height),
            textcoords="axes fraction",
            va="center",
            fontsize="x-small",
            fontweight="bold" if wrong[at] else "normal",
            color=ALARM if wrong[at] else INK if counted[at] else GREY,
            arrowprops={"arrowstyle": "-", "color": GREY, "linewidth": 0.5, "alpha": 0.6, "shrinkA": 2, "shrinkB": 4},
        )


def _apart(heights: list[float]) -> list[float]:
    """Ascending heights moved so that neighbours are `APART`, from below, and from above where that leaves the panel.

    Examples
    --------
    >>> _apart([0.2, 0.2, 0.95])
    [0.2, 0.26, 0.95]
    """
    for at in range(1, len(heights)):
        heights[at] = max(heights[at], heights[at - 1] + APART)
    ceiling = 1.0
    for at in reversed(range(len(heights))):
        heights[at] = min(heights[at], ceiling)
        ceiling = heights[at] - APART
    return heights
