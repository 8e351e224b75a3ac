"""What each modality contributes: shares beside what it does alone and on top of the rest, by class, and confusions."""

from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from omicsbal import _keys
from omicsbal._validate import problem
from omicsbal.pl._around import legend_below, name_rows
from omicsbal.pl._contribution_classes import LISTED, confusion_list, need_map
from omicsbal.pl._panels import finish, panels
from omicsbal.pl._slots import read_table
from omicsbal.pl._style import GREY, INK, Look, head_line, metric_label, modality_looks, shorten, text_width

if TYPE_CHECKING:
    from collections.abc import Callable

    from matplotlib.axes import Axes
    from mudata import MuData

    from omicsbal.pl._panels import AxesLike, Drawn

RUN = "ob.tl.contribution(model, mdata)"
WORDS, NUMBERS = ("modality", "class", "rows", "note"), ("value", "low", "high", "n")  # columns of both tables
BARS = {"shapley": "share (Shapley)", "solo": "alone", "need": "on top of the rest"}
FILL: dict[str, dict[str, Any]] = {"shapley": {}, "solo": {"alpha": 0.4}, "need": {"fill": False, "linewidth": 1.3}}
PLACE = {"shapley": (-0.2, 0.36), "solo": (0.1, 0.18), "need": (0.32, 0.18)}  # centre and height in the row of a modality


def contribution(
    mdata: "MuData",
    *,
    key_added: str = _keys.KEY,
    ax: "AxesLike | None" = None,
    show: bool | None = None,
    return_fig: bool = False,
) -> "Drawn":
    """Draw what each modality contributes: overall, to which classes, and which confusions it resolves.

    Parameters
    ----------
    mdata
        MuData that ``ob.tl.contribution`` was run on.
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
    Axes, two and one more for each value that was shared out (``None`` when shown). For each value: three bars a modality, its
    Shapley share (thick), what it does alone (pale) and on top of the rest (outline), and, where it was measured, a diamond at
    what is lost when it is permuted. Next, for classes: what each class loses in nats a cell
    without a modality (blue: it needs it; red: it is better off without); a dot where q < 0.05, hatched where the class has
    fewer than 20 rows. Last: the confusions that are most surely resolved by one modality, as the share of a class that is taken
    for another one without it and not with it; the words are that share without and with. Thin lines are 95 % intervals.

    Raises
    ------
    KeyError
        If there are no such tables, because ``ob.tl.contribution`` has not been run, or if they lack a column.
    ValueError
        If the table holds no number, or `ax` holds another number of Axes than there are panels.

    Examples
    --------
    >>> import pandas as pd, omicsbal as ob
    >>> mdata = ob.datasets.simulate(n_obs=60, random_state=0)
    >>> row = {"measure": "information", "class": "", "low": 0.1, "high": 0.3, "n": 60, "p": 0.01, "q": 0.02, "note": ""}
    >>> row |= {"value": 0.2, "rows": "out-of-fold", "modality": "rna"}
    >>> rows = [row | {"kind": kind} for kind in ("total", "shapley", "solo", "need")]
    >>> pair = row | {"class": "T", "taken_for": "B", "without": 0.3, "with": 0.1}
    >>> tables = {"contribution": pd.DataFrame([*rows, row | {"kind": "need", "class": "T"}]), "confusions": pd.DataFrame([pair])}
    >>> mdata.uns["omicsbal"] = tables  # ob.tl.contribution writes these
    >>> ob.pl.contribution(mdata)[0].get_title(loc="left").splitlines()
    ['Contribution to 0.20 nats', 'rna 0.20', 'out-of-fold, n = 60; lines: 95% intervals']
    """
    own: dict[str, Any] = {"words": (*WORDS, "kind", "measure"), "numbers": (*NUMBERS, "p", "q"), "run": RUN}
    table = read_table(mdata, key_added, _keys.CONTRIBUTION, **own)
    pairs: dict[str, Any] = {"words": (*WORDS, "taken_for"), "numbers": (*NUMBERS, "without", "with"), "run": RUN}
    confusions = read_table(mdata, key_added, _keys.CONFUSIONS, **pairs)
    whole, each = table[table["class"] == ""], table[(table["class"] != "") & (table["measure"] == "information")]
    shares = whole[whole["kind"] == "shapley"]
    measures, modalities = list(dict.fromkeys(shares["measure"])), list(dict.fromkeys(shares["modality"]))
    if not shares["value"].notna().any():
        said = str(table["note"].iloc[0]) if len(table) else "none"
        where = f"mdata.uns[{key_added!r}][{_keys.CONTRIBUTION!r}]"
        raise ValueError(problem(where, expected="some numbers", found=said, do="Nothing can be drawn."))
    looks, needs = modality_looks(modalities), each[each["kind"] == "need"]
    classes = list(dict.fromkeys(needs["class"]))
    high = 0.62 * len(modalities) + 1.5
    drawn: list[tuple[Callable[[Axes], None], float]]  # what draws a panel, and the inches it needs
    drawn = [(partial(_bars, table=whole[whole["measure"] == measure], looks=looks), high) for measure in measures]
    if classes:
        drawn.append((partial(need_map, table=needs, modalities=modalities), 0.27 * len(classes) + 1.3))
        drawn.append((partial(confusion_list, table=confusions, looks=looks), 0.34 * min(max(len(confusions), 2), LISTED) + 1.5))
    heights = [max(inches for _, inches in drawn[i : i + 2]) for i in range(0, len(drawn), 2)]
    width = 7.6 + text_width(shorten(classes), 8.5) + text_width(shorten(confusions["class"], 18), 8.5)
    axes = panels(ax, len(drawn), figsize=(width, sum(heights)), columns=2, height_ratios=heights)
    for one, (draw, _) in zip(axes, drawn, strict=True):
        draw(one)
    facts = f"{shares['rows'].iloc[0]}, n = {int(shares['n'].max()):,}; lines: 95% intervals"
    head_line(axes[0], f"{axes[0].get_title(loc='left')}\n{facts}")
    return finish(axes, show=show, return_fig=return_fig)


def _bars(ax: "Axes", *, table: pd.DataFrame, looks: dict[str, Look]) -> None:
    """Three bars a modality, of one value."""
    for y, (m, look) in enumerate(looks.items()):
        mine = table[table["modality"] == m].set_index("kind")
        for kind in [k for k in BARS if k in mine.index]:
            row, (off, height) = mine.loc[kind], PLACE[kind]
            style = {"color": look.color, **FILL[kind]} if kind != "need" else {"edgecolor": look.color, **FILL[kind]}
            ax.barh(y + off, row["value"], height=height, label=f"_{m}:{kind}", **style)
            ax.plot([row["low"], row["high"]], [y + off] * 2, color=INK, linewidth=1.2, solid_capstyle="butt", zorder=3)
        if "permutation" in mine.index:
            row, at = mine.loc["permutation"], y + 0.47
            ax.plot([row["low"], row["high"]], [at] * 2, color=look.color, linewidth=0.8, zorder=3)
            ax.plot(row["value"], at, marker="D", markersize=3.5, color=look.color, zorder=4, label=f"_{m}:permutation")
    ax.axvline(0, color=GREY, linewidth=0.8, zorder=2)
    name_rows(ax, shorten(looks, 16))
    name = table["measure"].iloc[0]
    unit = "nats" if name == "information" else metric_label(name)
    known = {"information": "information about the label (nats)", "r2": f"{unit}, out of 1"}
    ax.set_xlabel(known.get(name, f"gain in {unit} over guessing"), fontsize="small")
    _legend(ax, permuted="permutation" in set(table["kind"]))
    total = table.loc[table["kind"] == "total", "value"]
    best = table[table["kind"] == "shapley"].sort_values("value", ascending=False)
    first = [f"{m} {v:.2f}" for m, v in zip(shorten(best["modality"], 14), best["value"], strict=True)]
    words = ", ".join(first if len(first) < 4 else [*first[:2], "…", first[-1]])
    head_line(ax, f"Contribution to {total.iloc[0] if len(total) else np.nan:.2f} {unit}\n{words}")


def _legend(ax: "Axes", *, permuted: bool) -> None:
    """What the bars are, under the name of the axis however high the panel."""
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    styles = {k: {"color": GREY, **FILL[k]} if k != "need" else {"edgecolor": GREY, **FILL[k]} for k in BARS}
    handles: list[Any] = [Patch(label=BARS[kind], **style) for kind, style in styles.items()]
    if permuted:
        handles.append(Line2D([], [], color=GREY, marker="D", markersize=3.5, linestyle="none", label="lost when permuted"))
    legend_below(ax, handles, columns=2 if permuted else 3)
