"""How much of each modality is signal, how much of that the label is, and what is shared."""

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from omicsbal import _keys
from omicsbal._validate import problem
from omicsbal.pl._around import legend_below, name_rows
from omicsbal.pl._panels import finish, panels
from omicsbal.pl._slots import read_table
from omicsbal.pl._style import GREY, INK, head_line, modality_looks, shorten, text_width

if TYPE_CHECKING:
    from collections.abc import Callable

    from matplotlib.axes import Axes
    from mudata import MuData

    from omicsbal.pl._panels import AxesLike, Drawn

RUN = "ob.tl.modality_snr(mdata, label_key=...)"
WORDS, NUMBERS = ("modality", "method", "measure", "partner", "class"), ("value", "low", "high", "n")
NOISE = "#EFEFEF"


def modality_snr(
    mdata: "MuData",
    *,
    key_added: str = _keys.KEY,
    ax: "AxesLike | None" = None,
    show: bool | None = None,
    return_fig: bool = False,
) -> "Drawn":
    """Draw how much of each modality is signal, which classes stand apart in it, and what two modalities share.

    Parameters
    ----------
    mdata
        MuData that ``ob.tl.modality_snr`` was run on.
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
    Axes, those of the forms that were measured (an array if several). First: the variance of a modality's leading components as
    a bar; pale, what two halves of its counts agree on; full, what lies between classes; grey, the rest. Second: the same share
    for each class. Third: nats that two modalities share. Shares are SNR^2 / (1 + SNR^2), so that half is as much signal as
    noise; lines are 95% intervals. ``None`` when shown.

    Raises
    ------
    KeyError
        If there is no table, because ``ob.tl.modality_snr`` has not been run, or if it lacks a column.
    ValueError
        If the table holds no number at all, or `ax` holds another number of Axes than there are panels.

    Examples
    --------
    >>> import omicsbal as ob
    >>> mdata = ob.datasets.simulate(n_obs=100, n_truth=100, random_state=0)
    >>> table = ob.tl.modality_snr(mdata, label_key="cell_type", progress=False)
    >>> [one.get_xlabel() for one in ob.pl.modality_snr(mdata)]
    ['share of variance', 'share of variance', 'shared information (nats)']
    """
    table = read_table(mdata, key_added, _keys.SNR, words=WORDS, numbers=NUMBERS, run=RUN)
    modalities = list(dict.fromkeys(table["modality"]))
    shares = table[table["measure"] == "snr2"].copy()
    shares[["value", "low", "high"]] = shares[["value", "low", "high"]].transform(lambda v: v / (1 + v))
    whole = shares[(shares["class"] == "") & (shares["partner"] == "")]
    each = shares[shares["class"] != ""]
    nats = table[(table["measure"] == "nats") & table["value"].notna()]
    drawn: list[tuple[Callable[..., None], pd.DataFrame, int, list[str]]] = []
    if whole["value"].notna().any():
        drawn.append((_bars, whole, len(modalities), modalities))
    if each["value"].notna().any():
        drawn.append((_classes, each, each["class"].nunique(), list(each["class"])))
    pairs = _once(nats)
    if len(pairs):
        drawn.append(
            (_shared, pairs, len(pairs), [f"{a} and {b}" for a, b in zip(pairs["modality"], pairs["partner"], strict=True)])
        )
    if not drawn:
        found, do = "none", "Its column 'note' says why."
        raise ValueError(problem(f"mdata.uns[{key_added!r}][{_keys.SNR!r}]", expected="some numbers", found=found, do=do))
    width = sum(2.7 + text_width(shorten(names), 8.5) for *_, names in drawn)
    axes = panels(ax, len(drawn), figsize=(width, 1.9 + 0.3 * max(rows for _, _, rows, _ in drawn)), columns=len(drawn))
    looks = modality_looks(modalities)
    for one, (draw, part, *_) in zip(axes, drawn, strict=True):
        draw(one, part, looks)
    head_line(axes[0], f"{_finding(whole)}\nn = {int(table['n'].max()):,} cells; lines: 95% intervals")
    return finish(axes, show=show, return_fig=return_fig)


def _once(nats: pd.DataFrame) -> pd.DataFrame:
    """Each pair once, the most shared first."""
    pair = [" ".join(sorted(p)) for p in zip(nats["modality"], nats["partner"], strict=True)]
    return nats[~pd.Series(pair, index=nats.index, dtype=str).duplicated()].sort_values("value", ascending=False)


def _finding(whole: pd.DataFrame) -> str:
    """The first line of the title: reproducible shares, from high to low."""
    split = whole[(whole["method"] == "split") & whole["value"].notna()].sort_values("value", ascending=False)
    parts = [f"{m} {max(v, 0):.0%}" for m, v in zip(shorten(split["modality"], 16), split["value"], strict=True)]
    if not parts:
        return "Signal in each modality"
    return "Reproducible: " + ", ".join(parts if len(parts) < 4 else [*parts[:2], "…", parts[-1]])


def _interval(ax: "Axes", row: dict[Any, Any], y: float, color: str) -> None:
    """A line from low to high."""
    ax.plot([row["low"], row["high"]], [y, y], color=color, linewidth=1.6, solid_capstyle="round", zorder=3)


def _bars(ax: "Axes", table: pd.DataFrame, looks: dict[str, Any]) -> None:
    """A bar a modality: label, other reproducible signal, the rest."""
    for y, (name, look) in enumerate(looks.items()):
        mine = table[table["modality"] == name].set_index("method")
        ax.barh(y, 1, height=0.62, color=NOISE, zorder=1)
        for method, alpha, at in (("split", 0.4, y - 0.14), ("label", 1.0, y + 0.14)):
            if method in mine.index and np.isfinite(mine.loc[method, "value"]):
                row = mine.loc[method].to_dict()
                ax.barh(y, max(row["value"], 0), height=0.62, color=look.color, alpha=alpha, zorder=2)
                _interval(ax, row, at, INK)
        if "split" in mine.index and np.isnan(mine.loc["split", "value"]):
            ax.text(0.98, y, "no halves to compare", ha="right", va="center", fontsize="x-small", color=GREY, zorder=4)
    ax.axvline(0.5, color=GREY, linewidth=0.8, linestyle=":", zorder=2.5)
    name_rows(ax, shorten(looks))
    ax.set_xlim(min(0, 1.05 * np.nanmin(table["low"].to_numpy(), initial=0)), 1)
    ax.set_xlabel("share of variance", fontsize="small")
    _key(ax, set(table.loc[table["value"].notna(), "method"]))


def _key(ax: "Axes", methods: set[str]) -> None:
    """What the parts of a bar are, below the panel."""
    from matplotlib.patches import Patch

    parts = [("label", INK, 1.0, "between classes"), ("split", INK, 0.4, "reproducible"), ("", NOISE, 1.0, "rest")]
    handles = [Patch(facecolor=c, alpha=a, label=text) for name, c, a, text in parts if name in methods or not name]
    legend_below(ax, handles, inches=0.45, handlelength=1.2)


def _classes(ax: "Axes", table: pd.DataFrame, looks: dict[str, Any]) -> None:
    """A row a class, a marker a modality; the best told class first."""
    best = table.groupby("class")["value"].max().fillna(-1)
    names = list(best.sort_values(ascending=False, kind="stable").index)
    offsets = np.linspace(-0.25, 0.25, len(looks)) if len(looks) > 1 else [0.0]
    points: list[Any] = []
    short = shorten(looks, 16)
    for offset, name, (modality, look) in zip(offsets, short, looks.items(), strict=True):
        mine = table[(table["modality"] == modality) & table["value"].notna()]
        heights = [names.index(c) + offset for c in mine["class"]]
        for row, y in zip(mine.to_dict("records"), heights, strict=True):
            _interval(ax, row, y, look.color)
        style: dict[str, Any] = {"marker": look.marker, "color": look.color, "linewidths": 0, "zorder": 4, "label": name}
        points.append(ax.scatter(mine["value"], heights, s=28, **style))
    ax.axvline(0, color=GREY, linewidth=0.8, zorder=1)
    name_rows(ax, shorten(names))
    ax.set_xlabel("share of variance", fontsize="small")
    head_line(ax, "Which classes stand apart")
    legend_below(ax, points, inches=0.45, handlelength=1.2)


def _shared(ax: "Axes", table: pd.DataFrame, looks: dict[str, Any]) -> None:
    """A row a pair, the left half of the point in one modality's colour, the right in the other's."""
    names = []
    for y, row in enumerate(table.to_dict("records")):
        pair = [row["modality"], row["partner"]]
        _interval(ax, row, y, INK)
        style: dict[str, Any] = {"markersize": 8, "marker": "o", "markeredgecolor": "white", "fillstyle": "left", "zorder": 4}
        ax.plot(row["value"], y, color=looks[pair[0]].color, markerfacecoloralt=looks[pair[1]].color, **style)
        names.append("\n".join(shorten(pair, 16)))
    ax.axvline(0, color=GREY, linewidth=0.8, zorder=1)
    name_rows(ax, shorten(names))
    ax.set_xlabel("shared information (nats)", fontsize="small")
    head_line(ax, "What two modalities share")
