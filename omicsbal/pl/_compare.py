"""What one system gains on each of the others, and where they all rank."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from omicsbal import _keys
from omicsbal._validate import check_choice, problem
from omicsbal.pl._around import name_rows
from omicsbal.pl._panels import finish, panels
from omicsbal.pl._signed import signed
from omicsbal.pl._slots import read_table
from omicsbal.pl._style import FAINT, GREY, INK, head_line, larger_is_better, metric_label, shorten, text_width

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from mudata import MuData

    from omicsbal.pl._panels import AxesLike, Drawn

WORDS, NUMBERS = ("metric", "system", "against"), ("n", "rank", "gain", "gain_low", "gain_high", "p_holm")
BETTER, WORSE = "#0072B2", "#D55E00"
SURE = 0.05
HINDSIGHT = "lr:best-uni"
RUN = "ob.tl.compare(mdata, label_key=...)"


def compare(
    mdata: "MuData",
    *,
    metric: str | Sequence[str] = ("macro_f1", "log_loss"),
    key_added: str = _keys.COMPARE_KEY,
    ax: "AxesLike | None" = None,
    show: bool | None = None,
    return_fig: bool = False,
) -> "Drawn":
    """Draw what a system gains on each rival, and the mean ranks of all systems.

    Parameters
    ----------
    mdata
        MuData that ``ob.tl.compare`` was run on.
    metric
        One or several of its scores, a panel each; the last panel ranks by the first.
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
    Axes, one a metric and one of ranks (``None`` when shown). A forest: the mean paired difference on each rival with its
    corrected 95 % interval, to the right where the system is better than the rival, in log-loss too, the number above; filled
    where p < 0.05 after Holm, in blue where better and orange where worse; "lr:best-uni", the best single modality with
    hindsight, as a diamond. Last: mean rank over folds, 1 the best; the line is the rank of the system compared, and a grey bar
    joins those to it, drawn open, that the test cannot tell from it.

    Raises
    ------
    KeyError
        If there is no such table, because ``ob.tl.compare`` has not been run, or if it lacks a column.
    ValueError
        If `metric` is none of the scores, there is no rival, or `ax` holds another number of Axes than there are panels.

    Examples
    --------
    >>> import omicsbal as ob
    >>> mdata = ob.datasets.simulate(n_obs=60, n_classes=2, modalities=["rna", "protein"], n_truth=100, random_state=0)
    >>> table = ob.tl.compare(mdata, label_key="cell_type", systems=["lr:pool", "lr:rna"], folds=2, progress=False)
    >>> [ax.get_xlabel() for ax in ob.pl.compare(mdata, metric="accuracy")]
    ['gain in accuracy', 'mean rank by accuracy (1: best)']
    """
    table = read_table(mdata, key_added, _keys.COMPARE_SUMMARY, words=WORDS, numbers=NUMBERS, run=RUN)
    wanted = [metric] if isinstance(metric, str) else list(dict.fromkeys(metric))
    for name in wanted or [""]:  # none is no choice either
        check_choice("metric", name, dict.fromkeys(table["metric"]))
    ours = str(table["against"].iloc[0])
    order = table[(table["metric"] == wanted[0]) & (table["system"] != HINDSIGHT)].sort_values("rank", kind="stable")
    rivals = [str(s) for s in order["system"] if s != ours]
    if not rivals:
        do = "Compare with a rival: systems=['omicsbal', 'lr:pool']."
        raise ValueError(problem("mdata", expected="two systems or more", found=f"only {ours!r}", do=do))
    if HINDSIGHT in set(table["system"]):
        rivals.append(HINDSIGHT)
    width = 3.3 * (len(wanted) + 1) + 2 * text_width(shorten([*rivals, ours]), 8.5)
    size = (width, 2.1 + 0.27 * (len(rivals) + 1))
    axes = panels(ax, len(wanted) + 1, figsize=size, columns=len(wanted) + 1, gridspec_kw={"wspace": 0.08})
    for i, (one, name) in enumerate(zip(axes, wanted, strict=False)):
        _forest(one, table[table["metric"] == name].set_index("system").loc[rivals], name)
        name_rows(one, shorten(rivals) if i == 0 else [""] * len(rivals))
    _ranks(axes[-1], order, wanted[0], ours)
    about = f"n = {int(table['n'].max())} folds, corrected 95% intervals"
    marks = f"filled: p < {SURE} (Holm)" + ("; diamond: with hindsight" if HINDSIGHT in rivals else "")
    head_line(axes[0], f"{shorten([ours])[0]} against each rival\n{about}\n{marks}")
    return finish(axes, show=show, return_fig=return_fig)


def _forest(ax: "Axes", part: pd.DataFrame, metric: str) -> None:
    """Paired differences, best rival on top."""
    ax.axvline(0, color=GREY, linewidth=1)
    for y, (name, row) in enumerate(part.iterrows()):
        sure = row["p_holm"] < SURE
        color = (BETTER if row["gain"] > 0 else WORSE) if sure else INK
        ax.plot([row["gain_low"], row["gain_high"]], [y, y], color=color, linewidth=1.6, solid_capstyle="round")
        marker = "D" if name == HINDSIGHT else "o"
        ax.scatter([row["gain"]], [y], s=36, marker=marker, facecolor=color if sure else "white", edgecolor=color, zorder=3)
        if np.isfinite(row["gain"]):
            digits = 1 if metric == "seconds" else 3
            above: dict[str, Any] = {"xytext": (0, 4), "textcoords": "offset points", "ha": "center", "va": "bottom"}
            above["bbox"] = {"facecolor": "white", "edgecolor": "none", "pad": 0.6}
            ax.annotate(signed(row["gain"], digits), (row["gain"], y), fontsize="x-small", color=color, **above)
    ax.margins(x=0.12)  # room for the number above a point at the edge
    ax.locator_params(axis="x", nbins=5)
    ax.set_xlabel(
        f"gain in {metric_label(metric)}" + ("" if larger_is_better(metric) and metric != "seconds" else ",\nright: lower")
    )


def _ranks(ax: "Axes", order: pd.DataFrame, metric: str, ours: str) -> None:
    """Mean ranks, and which of them the corrected tests cannot tell from the system compared."""
    from matplotlib.ticker import MaxNLocator

    name_rows(ax, shorten(order["system"]))
    own = float(order.loc[order["system"] == ours, "rank"].iloc[0])
    ax.axvline(own, color=GREY, linewidth=1)
    for y, row in enumerate(order.to_dict("records")):
        sure = row["p_holm"] < SURE
        color = INK if row["system"] == ours or not sure else BETTER if row["gain"] > 0 else WORSE
        face = color if sure or row["system"] == ours else "white"
        if not sure:
            ax.plot([own, row["rank"]], [y, y], color=FAINT, linewidth=5, solid_capstyle="butt", zorder=2)
        ax.scatter(
            [row["rank"]], [y], s=36, marker="s" if row["system"] == ours else "o", facecolor=face, edgecolor=color, zorder=3
        )
    ax.get_yticklabels()[list(order["system"]).index(ours)].set_fontweight("bold")
    ax.xaxis.set_major_locator(MaxNLocator("auto", integer=True))
    ax.set_xlim(0.6, len(order) + 0.4)
    ax.set_xlabel(f"mean rank by {metric_label(metric)} (1: best)")
    head_line(ax, f"Ranks; open, with a grey bar:\nnot told from {shorten([ours], 20)[0]}")
