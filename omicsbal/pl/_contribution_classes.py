"""Panels of `omicsbal.pl.contribution` that speak of classes: who needs what, and what is kept apart."""

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from omicsbal.pl._around import name_rows
from omicsbal.pl._style import GREY, INK, Look, head_line, shorten

if TYPE_CHECKING:
    from matplotlib.axes import Axes

FEW = 20  # rows of a class below which it is hatched
SURE = 0.05  # q below which a need gets a dot
LISTED = 8  # confusions


def need_map(ax: "Axes", *, table: pd.DataFrame, modalities: list[str]) -> None:
    """Classes down, modalities across: nats a cell that are lost without it."""
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import Normalize
    from matplotlib.patches import Rectangle

    cells = {(r["class"], r["modality"]): r for r in table.to_dict("records")}
    sizes = table.groupby("class", sort=False)["n"].first()
    most = float(np.nanmax(np.abs(table["value"]), initial=1e-9))
    colors = ScalarMappable(Normalize(-most, most), "RdBu")
    for i, name in enumerate(sizes.index):
        for j, m in enumerate(modalities):
            row = cells.get((name, m), {"value": np.nan, "q": np.nan})
            known = np.isfinite(row["value"])
            face = colors.to_rgba(row["value"]) if known else "#F2F2F2"
            hatch = "////" if sizes[name] < FEW else None
            edge: dict[str, Any] = {"edgecolor": "#9A9A9A" if hatch else "white", "linewidth": 0.0 if hatch else 0.6}
            ax.add_patch(Rectangle((j - 0.48, i - 0.46), 0.96, 0.92, facecolor=face, hatch=hatch, label=f"_{name}|{m}", **edge))
            ink = "white" if known and abs(row["value"]) > 0.65 * most else INK
            words = f"{row['value']:+.2f}".replace("-", "\N{MINUS SIGN}") if known else "–"
            box = {"facecolor": "white", "edgecolor": "none", "pad": 0.8} if hatch else None
            ink = INK if hatch else ink
            ax.text(j, i, words, ha="center", va="center", fontsize="x-small", color=ink, bbox=box)
            if row["q"] < SURE:
                ax.plot(j + 0.38, i, marker="o", markersize=3, color=ink, linestyle="none", label=f"_sure:{name}|{m}")
    ax.set(xlim=(-0.52, len(modalities) - 0.48), ylim=(len(sizes) - 0.48, -0.52))
    ax.set_xticks(range(len(modalities)), shorten(modalities, 12), fontsize="small")
    labels = [f"{c} ({int(n):,})" for c, n in zip(shorten(sizes.index), sizes, strict=True)]
    ax.set_yticks(range(len(sizes)), labels, fontsize="small")
    ax.tick_params(length=0)
    ax.spines[:].set_visible(False)
    hatched = f"; hatched: n < {FEW}" if (sizes < FEW).any() else ""
    head_line(ax, f"What a class loses without it\nnats a cell; dot: q < {SURE}{hatched}")


def confusion_list(ax: "Axes", *, table: pd.DataFrame, looks: dict[str, Look]) -> None:
    """A bar a pair of classes, in the colour of the modality that keeps them apart; the surest first."""
    order = table["low"].fillna(table["value"]).sort_values(ascending=False, kind="stable").index[:LISTED]
    rows = table.loc[order].to_dict("records")
    pairs = zip(*(shorten([r[c] for r in rows], 18) for c in ("class", "taken_for")), strict=True)
    name_rows(ax, [f"{a}\nas {b}" for a, b in pairs], size="x-small")
    head_line(ax, "Kept apart by one modality alone\nwords: taken for the other without it → with it")
    if not rows:
        ax.text(0.5, 0.5, "no confusion grows when a modality is left out", color=GREY, fontsize="small", ha="center")
        ax.set(xlim=(0, 1), ylim=(0, 1), xticks=[], yticks=[])
        return
    ends = [np.nanmax([r["high"], r["value"]]) for r in rows]
    for y, (row, end) in enumerate(zip(rows, ends, strict=True)):
        look = looks.get(row["modality"], Look(GREY, "."))
        pair = f"_{row['modality']}:{row['class']}>{row['taken_for']}"
        ax.barh(y, row["value"], height=0.5, color=look.color, alpha=0.9, label=pair)
        ax.plot([row["low"], row["high"]], [y, y], color=INK, linewidth=1.2, solid_capstyle="butt", zorder=3)
        words = f" {row['modality']}: {row['without']:.0%} → {row['with']:.0%}"
        ax.text(end, y, words, va="center", fontsize="x-small")
    ax.set_xlim(min(0.0, float(np.nanmin([0.0, *(r["low"] for r in rows)]))), 1.6 * max(ends))
    ax.set_xticks([t for t in ax.get_xticks() if ax.get_xlim()[0] <= t <= min(1.0, 1.1 * max(ends))])  # words stand further right
    ax.axvline(0, color=GREY, linewidth=0.8, zorder=1)
    ax.set_xlabel("share of the class", fontsize="small")
