"""Which modality may teach which: the gate's matrix, and whether the gap foretold what teaching brought."""

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from omicsbal import _keys
from omicsbal._validate import problem
from omicsbal.pl._kd_gain import gain_scatter
from omicsbal.pl._kd_words import finding
from omicsbal.pl._panels import finish, panels
from omicsbal.pl._signed import signed, spanned
from omicsbal.pl._slots import check_mudata, read_table
from omicsbal.pl._style import FAINT, GREY, INK, head_line, larger_is_better, metric_label, modality_looks, shorten

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from mudata import MuData

    from omicsbal.pl._panels import AxesLike, Drawn

RUN = "ob.tl.kd_gate(mdata, label_key=...)"
WORDS, NUMBERS = ("teacher", "student", "metric", "decision"), ["score_teacher", "score_student", "chosen", "weight", "n"]
NUMBERS += [f"{what}{end}" for what in ("gap", "gain") for end in ("", "_low", "_high")]
WIDE, HIGH = 1.35, 0.95  # inches of a cell: four lines of small print
BESIDE = 4.8  # inches of the second panel

# border of a cell by decision, and its line in the legend; a decision of no known name looks like "unmeasured"
BORDERS: dict[str, tuple[dict[str, Any], str]] = {
    "pass": ({"linestyle": "-", "linewidth": 2.2, "edgecolor": INK}, "pass"),
    "uncertain": ({"linestyle": (0, (3, 2)), "linewidth": 1.6, "edgecolor": INK}, "uncertain"),
    "fail": ({"linestyle": "-", "linewidth": 0.6, "edgecolor": GREY}, "fail"),
    "weaker": ({"linestyle": "-", "linewidth": 0.4, "edgecolor": FAINT, "hatch": "////"}, "not the better classifier"),
    "unmeasured": ({"linestyle": "-", "linewidth": 0.4, "edgecolor": FAINT}, "no estimate"),
}
PALE = "#F2F2F2"  # cells whose gap decides nothing


def kd_gate(
    mdata: "MuData",
    *,
    key_added: str = _keys.KEY,
    ax: "AxesLike | None" = None,
    show: bool | None = None,
    return_fig: bool = False,
) -> "Drawn":
    """Draw which modality may teach which by knowledge distillation (KD), and what teaching brought where it was tried.

    Parameters
    ----------
    mdata
        MuData that ``ob.tl.kd_gate``, or ``ob.tl.fit`` with KD, was run on.
    key_added
        Name under which the result was stored.
    ax
        Axes to draw into: one, or two where the gain of KD was measured; by default a new figure.
    show
        Whether to call ``plt.show()``; by default no.
    return_fig
        Return the Figure instead of the Axes.

    Returns
    -------
    Axes of the matrix, teachers down and students across, each with its own out-of-fold score, the best first. Colour and
    first lines of a cell: the gap (nats) with its 90% interval; border: the decision; star: the teacher that was taken, with the
    weight of the KD term; last lines: the change of the student's metric that KD brought, with its 95% interval. Grey and
    hatched: the teacher is not the better classifier, so the gap decides nothing. Where a gain was measured, an array of two
    Axes: the second has gain against gap, and in orange the pairs that lie on the wrong side, filled if their gain's interval
    leaves out 0; pairs whose teacher is not the better classifier are crosses and are not counted. ``None`` when shown.

    Raises
    ------
    KeyError
        If there is no table, because ``ob.tl.kd_gate`` has not been run, or if it lacks a column.
    ValueError
        If there is a single modality, or `ax` holds another number of Axes than there are panels.

    Notes
    -----
    The gap is ``I(T; S) - I(S; Y)`` of what teacher and student say out-of-fold and the label: by the cross-modal complementarity
    hypothesis the student gains from the teacher where it is positive. The condition is a sufficient one: a gain at a negative
    gap, though on the wrong side, is a chance missed and no contradiction; a loss at a positive gap is one.

    References
    ----------
    Xie, Xu & Sanguinetti 2025, arXiv:2510.13182.

    Examples
    --------
    >>> import pandas as pd, omicsbal as ob
    >>> mdata = ob.datasets.simulate(n_obs=60, random_state=0)
    >>> pair = {"teacher": "rna", "student": "atac", "metric": "macro_f1", "score_teacher": 0.8, "score_student": 0.6, "n": 60}
    >>> pair |= {"gap": 0.2, "gap_low": 0.1, "gap_high": 0.3, "decision": "pass", "chosen": 1, "weight": 0.3}
    >>> pair |= dict.fromkeys(["gain", "gain_low", "gain_high"], float("nan"))
    >>> mdata.uns["omicsbal"] = {"kd_gate": pd.DataFrame([pair])}  # ob.tl.kd_gate writes this
    >>> ob.pl.kd_gate(mdata).get_title(loc="left").splitlines()
    ['rna may teach atac; gain not measured', '1 of 1 pair passes; n = 60']
    """
    table, modalities = _gate_table(mdata, key_added)
    own = _own_scores(table)
    names = sorted(modalities, key=own.__getitem__, reverse=larger_is_better(table["metric"].iloc[0]))
    size, both = len(names), table[table["gain"].notna() & table["gap"].notna()]
    matrix = (WIDE * size + 3.0, max(HIGH * size + 1.3, 3.0))
    if len(both):
        size_of_both = (matrix[0] + BESIDE, max(matrix[1], 3.8))
        axes = panels(ax, 2, figsize=size_of_both, columns=2, width_ratios=[matrix[0], BESIDE])
        gain_scatter(axes[1], both, modality_looks(modalities))
    else:
        axes = panels(ax, 1, figsize=matrix)
    _cells(axes[0], table, names)
    _name_axes(axes[0], names, own, metric_label(table["metric"].iloc[0]))
    _legend(axes[0], table)
    head_line(axes[0], finding(table, width=int((matrix[0] - 0.9) / 0.082)))  # inches of a character
    return finish(axes, show=show, return_fig=return_fig)


def _gate_table(mdata: "MuData", key_added: str) -> tuple[pd.DataFrame, list[str]]:
    """The gate's table with plain dtypes, and its modalities in the order of the fit where that is known."""
    check_mudata(mdata)
    known = [str(m) for m in np.ravel(mdata.uns.get(key_added, {}).get(_keys.MODALITIES, []))]
    alone = len(known) == 1
    table = pd.DataFrame() if alone else read_table(mdata, key_added, _keys.KD_GATE, words=WORDS, numbers=NUMBERS, run=RUN)
    if table.empty:
        where, found = f"mdata.uns[{key_added!r}][{_keys.KD_GATE!r}]", f"one modality, {known[0]!r}" if alone else "none"
        do = "With one modality there is nobody to teach it."
        raise ValueError(problem(where, expected="at least one pair of modalities", found=found, do=do))
    named = list(dict.fromkeys([*table["teacher"], *table["student"]]))
    return table, [m for m in known if m in named] + [m for m in named if m not in known]


def _cells(ax: "Axes", table: pd.DataFrame, names: list[str]) -> None:
    """A cell a pair: colour, numbers, border, star."""
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import Normalize
    from matplotlib.patches import Rectangle

    decides = ~table["decision"].isin(["weaker"]) & table["gap"].notna()
    ends = table.loc[decides, ["gap", "gap_low", "gap_high"]].abs().to_numpy()
    most = float(np.nanmax(ends)) if decides.any() and np.nanmax(ends) > 0 else 1.0  # a gap is dark if large beside its interval
    colors = ScalarMappable(Normalize(-most, most), "RdBu")  # red and blue: safe for colour-blind readers
    for row, coloured in zip(table.to_dict("records"), decides, strict=True):
        x, y = names.index(row["student"]), names.index(row["teacher"])
        face = colors.to_rgba(row["gap"]) if coloured else PALE
        border = BORDERS.get(row["decision"], BORDERS["unmeasured"])[0]
        pair = f"_{row['teacher']}>{row['student']}"
        ax.add_patch(Rectangle((x - 0.47, y - 0.46), 0.94, 0.92, facecolor=face, label=pair, **border))
        dark = coloured and abs(row["gap"]) > 0.5 * most
        ink = "white" if dark else INK if coloured else GREY
        taken = row["chosen"] > 0
        middle: dict[str, Any] = {"ha": "center", "va": "center", "linespacing": 1.25}
        words = ax.text(x, y + 0.08 * taken, _numbers(row), fontsize="x-small", color=ink, **middle)
        if "hatch" in border:
            words.set_bbox({"facecolor": PALE, "edgecolor": "none", "pad": 1})
        if taken:
            ax.scatter([x - 0.36], [y - 0.34], marker="*", s=52, color=ink, linewidths=0, zorder=3)
            ax.text(x - 0.28, y - 0.33, f"λ = {row['weight']:g}", va="center", fontsize="x-small", color=ink)
    ax.set(xlim=(-0.52, len(names) - 0.48), ylim=(len(names) - 0.48, -0.52))
    if not decides.any():
        return
    bar = ax.figure.colorbar(colors, cax=ax.inset_axes((1.03, 0, 0.12 / (WIDE * len(names)), 0.46)))
    bar.set_label("gap I(T;S) \N{MINUS SIGN} I(S;Y)\n(nats, 90% interval)", fontsize="x-small")
    bar.ax.tick_params(labelsize="x-small", width=0.6)
    bar.outline.set_visible(False)


def _numbers(row: dict[Any, Any]) -> str:
    """What a cell says: gap and, where KD was run, gain, each with its interval."""
    lines = ["no estimate"]
    if np.isfinite(row["gap"]):
        lines = [signed(row["gap"], 2), f"({spanned(row['gap_low'], row['gap_high'], 2)})"]
    if np.isfinite(row["gain"]):
        lines += [f"KD: {signed(row['gain'], 3)}", f"({spanned(row['gain_low'], row['gain_high'], 3)})"]
    return "\n".join(lines)


def _own_scores(table: pd.DataFrame) -> dict[str, float]:
    """What each modality gets alone; NaN, which sorts anyhow, reads as the worst."""
    worst = -np.inf if larger_is_better(table["metric"].iloc[0]) else np.inf
    rows = table.fillna({"score_teacher": worst, "score_student": worst}).to_dict("records")
    return {row[role]: row[f"score_{role}"] for row in rows for role in ("teacher", "student")}


def _name_axes(ax: "Axes", names: list[str], own: dict[str, float], score: str) -> None:
    """Modalities with their own scores on both axes."""
    short = shorten(names, 16)
    labels = [f"{name}\n{own[m]:.3f}" if np.isfinite(own[m]) else name for m, name in zip(names, short, strict=True)]
    ax.set_xticks(range(len(names)), labels, fontsize="small")
    ax.set_yticks(range(len(names)), labels, fontsize="small")
    ax.tick_params(length=0)
    ax.spines[:].set_visible(False)
    ax.set_xlabel(f"student (out-of-fold {score} alone)", fontsize="small")
    ax.set_ylabel("teacher", fontsize="small")


def _legend(ax: "Axes", table: pd.DataFrame) -> None:
    """The borders that occur, in order, and the star."""
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    seen = set(table["decision"])
    handles: list[Any] = [
        Patch(facecolor=PALE if "hatch" in border else "white", label=label, **border)
        for name, (border, label) in BORDERS.items()
        if name in seen
    ]
    if (table["chosen"] > 0).any():
        star = "taken as teacher,\nλ: weight of KD"
        handles.append(Line2D([], [], linestyle="", marker="*", markersize=7, color=INK, label=star))
    ax.legend(handles=handles, loc="upper left", bbox_to_anchor=(1.01, 1.02), frameon=False, fontsize="x-small", borderaxespad=0)
