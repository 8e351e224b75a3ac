"""Which features carry which class, a panel a modality."""

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from omicsbal import _keys
from omicsbal._validate import check_choice, check_number, problem
from omicsbal.pl._around import name_rows
from omicsbal.pl._panels import columns_for, finish, panels
from omicsbal.pl._slots import read_table
from omicsbal.pl._style import GREY, INK, Look, dress, head_line, modality_looks, shorten, text_width

if TYPE_CHECKING:
    from collections.abc import Callable

    from matplotlib.axes import Axes
    from mudata import MuData

    from omicsbal.pl._panels import AxesLike, Drawn

RUN = "ob.tl.feature_importance(model, mdata)"
NUMBERS = ("rank", "importance", "low", "high", "stability", "n", "mean_class", "mean_rest")
WORDS = ("class", "modality", "feature")
EACH, MOST, ALONE = 4, 36, 15  # features of a class; of a map; of one class alone
SMALL, LARGE = 12.0, 78.0  # area of a dot in points squared: in the list of no member, of all


def feature_importance(
    mdata: "MuData",
    *,
    classes: str | Sequence[str] | None = None,
    modalities: str | Sequence[str] | None = None,
    n_top: int | None = None,
    key_added: str = _keys.KEY,
    ax: "AxesLike | None" = None,
    show: bool | None = None,
    return_fig: bool = False,
) -> "Drawn":
    """Draw the features that carry each class: a map of dots a modality, or bars for one class.

    Parameters
    ----------
    mdata
        MuData that ``ob.tl.feature_importance`` was run on.
    classes, modalities
        Those to draw; by default all. One class alone is drawn as bars.
    n_top
        First features of each class. By default 4, fewer where a map would have more than 36 rows; 15 of one class.
    key_added
        Name under which the result was stored.
    ax
        Axes to draw into, one a modality; by default a new figure.
    show
        Whether to call ``plt.show()``; by default no.
    return_fig
        Return the Figure instead of the Axes.

    Returns
    -------
    Axes, one a modality (an array if several; ``None`` when shown). A map has the features that are among the first of any class
    down and classes across. A dot where the feature was listed for the class: blue speaks for it, red against it, on a scale of
    the panel's own, because nats of two modalities are not to be compared; the larger, the more members of the model list it too;
    a triangle where it is lower in the class than elsewhere. Bars: the same nats, full where the feature is higher in the class,
    pale where lower; lines from the smallest to the largest member; the words are the share of members that list it.

    Raises
    ------
    KeyError
        If there is no table, because ``ob.tl.feature_importance`` has not been run, or if it lacks a column.
    ValueError
        If a class or modality is not in the table, nothing is left of it, or `ax` holds another number of Axes than there are
        panels.

    Examples
    --------
    >>> import pandas as pd, omicsbal as ob
    >>> mdata = ob.datasets.simulate(n_obs=60, random_state=0)
    >>> row = {"class": "T", "modality": "rna", "feature": "CD3D", "rank": 1, "importance": 0.3, "low": 0.2, "high": 0.4}
    >>> row |= {"stability": 1.0, "n": 60, "mean_class": 2.0, "mean_rest": 0.5}
    >>> mdata.uns["omicsbal"] = {"feature_importance": pd.DataFrame([row])}  # ob.tl.feature_importance writes this
    >>> ob.pl.feature_importance(mdata).get_title(loc="left").splitlines()[0]
    'rna: what carries T'
    """
    table = read_table(mdata, key_added, _keys.IMPORTANCE, words=WORDS, numbers=NUMBERS, run=RUN)
    for option, column, asked in (("classes", "class", classes), ("modalities", "modality", modalities)):
        if asked is not None:
            known = list(dict.fromkeys(table[column]))
            wanted = [check_choice(option, name, known) for name in ([asked] if isinstance(asked, str) else asked)]
            table = table[table[column].isin(wanted)]
    if table.empty:
        where, do = f"mdata.uns[{key_added!r}][{_keys.IMPORTANCE!r}]", "Nothing can be drawn."
        raise ValueError(problem(where, expected="some features", found="none of what was asked for", do=do))
    names, shown = list(dict.fromkeys(table["class"])), list(dict.fromkeys(table["modality"]))
    looks = modality_looks(dict.fromkeys(_all_modalities(mdata, shown)))
    alone = len(names) == 1
    each = (ALONE if alone else max(min(EACH, MOST // len(names)), 1)) if n_top is None else n_top
    each = check_number("n_top", each, low=1, integer=True)
    drawn: list[Callable[[Axes], None]] = []
    sizes = []
    for m in shown:
        mine = table[table["modality"] == m]
        features = list(dict.fromkeys(mine.loc[mine["rank"] <= each, "feature"]))
        label = text_width(shorten(features, 20), 8.5)
        if alone:
            drawn.append(partial(_bars, table=mine[mine["rank"] <= each], look=looks[m]))
            sizes.append((label + 3.0, 0.21 * len(features) + 1.2))
        else:
            drawn.append(partial(_dots, table=mine, features=features, classes=names))
            sizes.append((label + 0.3 * len(names) + 1.3, 0.21 * len(features) + 1.8 + text_width(shorten(names, 20), 8.5)))
    columns = columns_for(len(shown), 3)
    heights = [max(high for _, high in sizes[i : i + columns]) for i in range(0, len(sizes), columns)]
    widths = [max(wide for wide, _ in sizes[j::columns]) for j in range(columns)]
    figure: dict[str, Any] = {"height_ratios": heights, "width_ratios": widths}
    axes = panels(ax, len(shown), figsize=(max(sum(widths), 4.2 * columns), sum(heights)), columns=columns, **figure)
    for one, draw in zip(axes, drawn, strict=True):
        draw(one)
    return finish(axes, show=show, return_fig=return_fig)


def _all_modalities(mdata: "MuData", shown: list[str]) -> list[str]:
    """Those of the MuData, so that colours do not depend on what is shown, and any that the table alone has."""
    return [*mdata.mod, *(m for m in shown if m not in mdata.mod)]


def _dots(ax: "Axes", *, table: pd.DataFrame, features: list[str], classes: list[str]) -> None:
    """Features down, classes across."""
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import Normalize
    from matplotlib.lines import Line2D

    here = table[table["feature"].isin(features)]
    most = float(np.nanmax(np.abs(here["importance"]), initial=1e-9))
    colors = ScalarMappable(Normalize(-most, most), "RdBu")
    at = here.assign(x=[classes.index(c) for c in here["class"]], y=[features.index(f) for f in here["feature"]])
    lower = at["mean_class"] < at["mean_rest"]
    for name, marker, some in (("higher", "o", at[~lower]), ("lower", "v", at[lower])):
        size = SMALL + (LARGE - SMALL) * some["stability"].fillna(0.5)
        style: dict[str, Any] = {"cmap": colors.cmap, "norm": colors.norm, "edgecolors": GREY, "linewidths": 0.4, "zorder": 3}
        ax.scatter(some["x"], some["y"], s=size, c=some["importance"], marker=marker, label=f"_{name}", **style)
    dress(ax)
    ax.spines[:].set_visible(False)
    ax.set(xlim=(-0.6, len(classes) - 0.4), ylim=(len(features) - 0.4, -0.6))
    ax.xaxis.tick_top()
    ax.set_xticks(range(len(classes)), shorten(classes, 20), rotation=90, fontsize="small")
    ax.set_yticks(range(len(features)), shorten(features, 20), fontsize="small")
    ax.tick_params(length=0)
    n = table.groupby("class")["n"].first()
    sizes = f"{int(n.min())}" if n.min() == n.max() else f"{int(n.min())} to {int(n.max())}"
    head = f"{table['modality'].iloc[0]}: what carries a class\nn = {sizes} cells a class"
    ax.set_title(head, loc="left", fontsize="medium", pad=10)  # clear of the names on top
    bar = ax.figure.colorbar(colors, ax=ax, aspect=30, pad=0.02, shrink=min(1.0, 12 / max(len(features), 1)), anchor=(0, 1))
    bar.set_label("for the class (nats)", fontsize="small")
    bar.ax.tick_params(labelsize="x-small", width=0.6)
    bar.outline.set_visible(False)
    words = {"listed by no member": (SMALL, "o"), "by all": (LARGE, "o"), "lower in the class": (LARGE, "v")}
    keys = [
        Line2D([], [], marker=mark, markersize=size**0.5, color="white", markeredgecolor=GREY, linestyle="none", label=word)
        for word, (size, mark) in words.items()
    ]
    place: dict[str, Any] = {"loc": "upper left", "bbox_to_anchor": (0, 0), "borderaxespad": 0.2, "handletextpad": 0.1}
    ax.legend(handles=keys, frameon=False, fontsize="x-small", ncols=1, **place)


def _bars(ax: "Axes", *, table: pd.DataFrame, look: Look) -> None:
    """A bar a feature of one class, the largest first."""
    name_rows(ax, shorten(table["feature"], 20))
    end = float(np.nanmax([table["high"].max(), table["importance"].max(), 0.0]))
    start = float(np.nanmin([table["low"].min(), table["importance"].min(), 0.0]))
    for y, row in enumerate(table.to_dict("records")):
        alpha = 0.95 if row["mean_class"] >= row["mean_rest"] else 0.35
        ax.barh(y, row["importance"], height=0.62, color=look.color, alpha=alpha, label=f"_{row['feature']}")
        ax.plot([row["low"], row["high"]], [y, y], color=INK, linewidth=1.2, solid_capstyle="butt", zorder=3)
        if np.isfinite(row["stability"]):
            far = np.nanmax([row["high"], row["importance"], 0.0]) + 0.02 * (end - start)
            ax.text(far, y, f"{row['stability']:.0%}", va="center", fontsize="x-small", color=GREY)
    ax.axvline(0, color=GREY, linewidth=0.8, zorder=1)
    ax.set_xlim(1.05 * start, end + 0.16 * max(end - start, 1e-9))
    ax.set_xlabel("for the class (nats)", fontsize="small")
    first = table.iloc[0]
    pale = "; pale: lower in the class" if (table["mean_class"] < table["mean_rest"]).any() else ""
    head_line(ax, f"{first['modality']}: what carries {shorten([first['class']], 20)[0]}\nn = {int(first['n'])} cells{pale}")
