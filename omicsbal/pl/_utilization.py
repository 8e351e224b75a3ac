"""Is a modality wasted: used, learned and ceiling of each, with the verdict; and how fast each learnt."""

from textwrap import fill
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from omicsbal import _keys
from omicsbal._validate import problem
from omicsbal.pl._around import legend_below, name_rows
from omicsbal.pl._panels import finish, panels
from omicsbal.pl._slots import read_table
from omicsbal.pl._style import ALARM, GREY, INK, Look, dress, head_line, metric_label, modality_looks, shorten, text_width

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from mudata import MuData

    from omicsbal.pl._panels import AxesLike, Drawn

RUN = "ob.tl.utilization(model, mdata)"
WORDS, NUMBERS = ("kind", "measure", "modality", "rows", "note"), ("value", "low", "high", "n")
SAID = ("modality", "verdict", "leaning", "sentence")
DOTS = {"solo": "used by the fused head", "learned": "learned by the encoder", "ceiling": "ceiling: trained alone"}
FILL = {"solo": "none", "learned": "left", "ceiling": "full"}
OFF = {"solo": 0.2, "learned": 0.0, "ceiling": -0.2}  # of a row, so that intervals do not lie on each other
ALARMS = ("under-used", "dominant")


def utilization(
    mdata: "MuData",
    *,
    key_added: str = _keys.KEY,
    ax: "AxesLike | None" = None,
    show: bool | None = None,
    return_fig: bool = False,
) -> "Drawn":
    """Draw what each modality could tell, what its encoder learned, what is used, with the verdict; and how fast heads learned.

    Parameters
    ----------
    mdata
        MuData that ``ob.tl.utilization`` was run on.
    key_added
        Name under which the result was stored.
    ax
        Axes to draw into, two; by default a new figure.
    show
        Whether to call ``plt.show()``; by default no.
    return_fig
        Return the Figure instead of the Axes.

    Returns
    -------
    Two Axes (``None`` when shown). First a row a modality, the widest gap on top: ring, what the fused head says with this
    modality alone; half-filled, what a probe finds in its encoder; filled, what it tells when trained alone; thin lines are 95 %
    intervals, the dotted line is all together. On the right the verdict and how sure it is. Second: the out-of-fold score of each
    head by epoch, from the history of the fit; a bar at the epoch where it had 90 % of its gain.

    Raises
    ------
    KeyError
        If there are no such tables, because ``ob.tl.utilization`` has not been run, or if they lack a column.
    ValueError
        If the table holds no number, or `ax` holds another number of Axes.

    Examples
    --------
    >>> import pandas as pd, omicsbal as ob
    >>> mdata = ob.datasets.simulate(n_obs=60, random_state=0)
    >>> row = {"measure": "information", "modality": "rna", "low": 0.1, "high": 0.3, "n": 60, "rows": "out-of-fold", "note": ""}
    >>> rows = [row | {"kind": k, "value": v} for k, v in {"ceiling": 0.25, "learned": 0.2, "solo": 0.15}.items()]
    >>> said = [{"modality": "rna", "verdict": "fair", "certainty": 0.9, "leaning": "", "sentence": "rna: fair."}]
    >>> mdata.uns["omicsbal"] = {"utilization": pd.DataFrame(rows), "verdicts": pd.DataFrame(said)}  # ob.tl.utilization's
    >>> ob.pl.utilization(mdata)[0].get_title(loc="left").splitlines()
    ['Nothing is wasted', 'out-of-fold, n = 60; lines: 95% intervals']
    """
    table = read_table(mdata, key_added, _keys.UTILIZATION, words=WORDS, numbers=NUMBERS, run=RUN)
    verdicts = read_table(mdata, key_added, _keys.VERDICTS, words=SAID, numbers=("certainty",), run=RUN)
    nats = table[(table["measure"] == "information") & table["kind"].isin(DOTS)]
    if not nats["value"].notna().any():
        said = str(table["note"].iloc[0]) if len(table) else "none"
        where = f"mdata.uns[{key_added!r}][{_keys.UTILIZATION!r}]"
        raise ValueError(problem(where, expected="some numbers", found=said, do="Nothing can be drawn."))
    values = nats.pivot_table(index="modality", columns="kind", values="value").reindex(columns=list(DOTS))
    order = list((values["ceiling"] - values[["learned", "solo"]].min(axis=1)).sort_values(ascending=False).index)
    looks = modality_looks(verdicts["modality"])
    width = 9.4 + text_width(shorten(order, 16), 8.5)
    axes = panels(ax, 2, figsize=(width, 0.75 * len(order) + 2.1), columns=2, width_ratios=(1.5, 1))
    _dumbbells(axes[0], nats, verdicts.set_index("modality"), {m: looks[m] for m in order})
    total = table[(table["kind"] == "total") & (table["measure"] == "information")]["value"]
    if len(total) and np.isfinite(total.iloc[0]):
        axes[0].axvline(total.iloc[0], color=INK, linestyle=":", linewidth=1.2, label="_total", zorder=1)
    wasted = list(verdicts.loc[verdicts["verdict"] == "under-used", "modality"])
    strong = list(verdicts.loc[verdicts["verdict"] == "dominant", "modality"])
    parts = [f"{', '.join(shorten(who, 16))} {word}" for who, word in ((wasted, "under-used"), (strong, "dominant")) if who]
    facts = f"{nats['rows'].iloc[0]}, n = {int(nats['n'].max()):,}; lines: 95% intervals"
    head_line(axes[0], f"{fill('; '.join(parts) or 'Nothing is wasted', 60)}\n{facts}")
    _curves(axes[1], mdata.uns[key_added].get(_keys.HISTORY), table, {m: looks[m] for m in verdicts["modality"]})
    return finish(axes, show=show, return_fig=return_fig)


def _dumbbells(ax: "Axes", nats: pd.DataFrame, verdicts: pd.DataFrame, looks: dict[str, Look]) -> None:
    """Three marks a modality and the line between them; the verdict on the right."""
    for y, (m, look) in enumerate(looks.items()):
        mine = nats[nats["modality"] == m].set_index("kind")
        kinds = [k for k in DOTS if k in mine.index]
        places = [y + OFF[k] for k in kinds]
        ax.plot(mine.loc[kinds, "value"], places, color=look.color, linewidth=2.5, alpha=0.35, zorder=2, label=f"_{m}")
        for kind, place in zip(kinds, places, strict=True):
            row = mine.loc[kind]
            ax.plot([row["low"], row["high"]], [place] * 2, color=look.color, linewidth=1.1, solid_capstyle="butt", zorder=3)
            style: dict[str, Any] = (
                {"markerfacecolor": "white"} if kind == "solo" else {"fillstyle": FILL[kind], "markerfacecoloralt": "white"}
            )
            ax.plot([row["value"]], [place], color=look.color, marker="o", markersize=8, zorder=4, label=f"_{m}:{kind}", **style)
        said = verdicts.loc[m]
        sure = "" if np.isnan(said["certainty"]) else f"\n{_sure(said['certainty'])}"
        sure = f"\nperhaps {said['leaning']}" if said["leaning"] else sure
        color = ALARM if said["verdict"] in ALARMS else INK
        at: dict[str, Any] = {"transform": ax.get_yaxis_transform(), "va": "center", "fontsize": "small"}
        ax.text(1.02, y, f"{said['verdict']}{sure}", color=color, **at)
    ax.axvline(0, color=GREY, linewidth=0.8, zorder=1)
    name_rows(ax, shorten(looks, 16))
    ax.set_xlabel("information about the label (nats); dotted: all together", fontsize="small")
    _legend(ax)


def _sure(share: float) -> str:
    """A share as words, never more than draws can tell."""
    return ">99% sure" if share > 0.99 else f"{100 * share:.0f}% sure"


def _legend(ax: "Axes") -> None:
    """What the marks are, under the name of the axis however high the panel."""
    from matplotlib.lines import Line2D

    marks: dict[str, Any] = {"color": GREY, "marker": "o", "linestyle": "", "markerfacecoloralt": "white", "markersize": 6}
    legend_below(ax, [Line2D([], [], label=words, fillstyle=FILL[kind], **marks) for kind, words in DOTS.items()])


def _curves(ax: "Axes", history: Any, table: pd.DataFrame, looks: dict[str, Look]) -> None:
    """Out-of-fold score of each head by epoch, of the last stage, with bars where 90 % of the gain was reached."""
    rows = pd.DataFrame() if history is None else history
    if "stage" in rows:
        rows = rows[rows["stage"].astype(str) == str(rows["stage"].iloc[-1])]
    parts = {c: c.replace("/", ":", 1).partition(":") for c in map(str, rows.columns) if c.startswith("oof_")}
    heads = {c: (kind, head) for c, (kind, _, head) in parts.items() if head in looks and kind != "oof_log_loss"}
    speeds = table[(table["kind"] == "speed") & (table["measure"] == "epoch")].set_index("modality")["value"]
    dress(ax)
    for column, (_, head) in heads.items():
        drawn, look = rows[["epoch", column]].astype(float).dropna(), looks[head]
        some = max(1, len(drawn) // 6)
        ax.plot(drawn["epoch"], drawn[column], color=look.color, marker=look.marker, markersize=4, markevery=some, label=head)
        if np.isfinite(speeds.get(head, np.nan)):
            ax.axvline(speeds[head], ymax=0.06, color=look.color, linewidth=2.5, label=f"_speed:{head}")
    ax.set_xlabel("epoch", fontsize="small")
    if not heads:
        why = "no head of a single modality\nwas trained in this fit" if len(rows) else "no history of the fit\nunder this key"
        ax.text(0.5, 0.5, why, ha="center", transform=ax.transAxes, color=GREY)
        ax.set(xticks=[], yticks=[])
        head_line(ax, "How fast each learned")
        return
    ax.set_ylabel(f"out-of-fold {metric_label(next(iter(heads.values()))[0].removeprefix('oof_'))}", fontsize="small")
    ax.legend(frameon=False, fontsize="x-small", loc="best")
    head_line(ax, "How fast each learned\nbars: 90% of the gain")
