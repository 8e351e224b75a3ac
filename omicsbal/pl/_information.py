"""What modalities tell of the label together: decomposed bars, and a matrix of who tells and who shares what."""

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from omicsbal import _keys
from omicsbal._validate import problem
from omicsbal.pl._around import legend_below, name_rows
from omicsbal.pl._panels import finish, panels
from omicsbal.pl._slots import read_table
from omicsbal.pl._style import FAINT, GREY, INK, Look, head_line, modality_looks, shorten

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from mudata import MuData

    from omicsbal.pl._panels import AxesLike, Drawn

WORDS, NUMBERS = ("kind", "source_1", "source_2", "rows", "note"), ("value", "low", "high", "n", "lower_bound")
PARTS = ("unique_1", "redundant", "unique_2", "synergistic")  # along a bar: what is common lies between what is not
SHARED, REST = "#BDBDBD", "#7A7A7A"
BOUND: dict[str, Any] = {"facecolor": "white", "edgecolor": INK, "linestyle": (0, (3, 2)), "linewidth": 1.1}
CLEAR = 0.01  # nats that the interval has to clear before a part makes the title
ROW, CELL = 0.62, 0.95  # inches of a bar and of a cell


def information(
    mdata: "MuData",
    *,
    key_added: str = _keys.KEY,
    ax: "AxesLike | None" = None,
    show: bool | None = None,
    return_fig: bool = False,
) -> "Drawn":
    """Draw what modalities tell of the label: the parts of every pair, and a matrix of what each tells and two share.

    Parameters
    ----------
    mdata
        MuData that ``ob.tl.information`` was run on.
    key_added
        Name under which the result was stored.
    ax
        Two Axes to draw into; by default a new figure.
    show
        Whether to call ``plt.show()``; by default no.
    return_fig
        Return the Figure instead of the Axes.

    Returns
    -------
    Two Axes. First: a bar a pair, and from three modalities on one for each modality against the rest, in nats: unique to the
    first (its colour), redundant (grey), unique to the second, synergistic; the last is a dashed outline where it is a lower
    bound. Thin lines below a bar: the 95 % interval of where each part ends if the parts before it are as drawn. Faint line:
    H(Y), all that could be told. Second: on the diagonal, framed, I(Z; Y) of each modality, elsewhere I(Z; Z') of two, with
    their intervals. ``None`` when shown.

    Raises
    ------
    KeyError
        If there are no such tables, because ``ob.tl.information`` has not been run, or if they lack a column.
    ValueError
        If there is a single modality, or `ax` does not hold two Axes.

    Examples
    --------
    >>> import pandas as pd, omicsbal as ob
    >>> mdata = ob.datasets.simulate(n_obs=60, random_state=0)
    >>> row = {"source_1": "rna", "source_2": "atac", "value": 0.2, "low": 0.1, "high": 0.3, "n": 60}
    >>> row |= {"lower_bound": 0, "rows": "out-of-fold", "note": ""}
    >>> label = [row | {"kind": "label", "source_1": m, "source_2": ""} for m in ("rna", "atac")]
    >>> parts = [row | {"kind": part} for part in ("redundant", "unique_1", "unique_2", "synergistic", "total")]
    >>> told = pd.DataFrame([row | {"kind": "entropy"}, *label, row | {"kind": "between"}])
    >>> mdata.uns["omicsbal"] = {"information": told, "pid": pd.DataFrame(parts)}  # ob.tl.information writes these
    >>> ob.pl.information(mdata)[0].get_title(loc="left").splitlines()[0]
    'What pairs tell of the label, out-of-fold, n = 60'
    """
    told, pid, modalities = _tables(mdata, key_added)
    looks = modality_looks(modalities)
    bars = pid[["source_1", "source_2"]].drop_duplicates().to_records(index=False).tolist()
    height = max(ROW * len(bars) + 2.1, CELL * len(modalities) + 1.3, 3.2)
    widths = [5.4, CELL * len(modalities) + 1.5]
    axes = panels(ax, 2, figsize=(sum(widths), height), columns=2, width_ratios=widths)
    entropy = float(told.loc[told["kind"] == "entropy", "value"].iloc[0]) if "entropy" in set(told["kind"]) else np.nan
    for place, pair in enumerate(bars):
        mine = (pid["source_1"] == pair[0]) & (pid["source_2"] == pair[1])
        _bar(axes[0], place, pair, pid[mine].set_index("kind"), looks)
    _name_bars(axes[0], bars, pid, entropy)
    _legend(axes[0], pid, looks, entropy)
    lines = [f"What pairs tell of the label, {pid['rows'].iloc[0]}, n = {int(told['n'].max()):,}"]
    head_line(axes[0], "\n".join([*lines, *_finding(pid)]))
    _matrix(axes[1], told, modalities)
    return finish(axes, show=show, return_fig=return_fig)


def _tables(mdata: "MuData", key_added: str) -> tuple[pd.DataFrame, pd.DataFrame, list[str]]:
    """Both tables, and the modalities in order."""
    read: dict[str, Any] = {"words": WORDS, "numbers": NUMBERS, "run": "ob.tl.information(model, mdata)"}
    told, pid = (read_table(mdata, key_added, name, **read) for name in (_keys.INFORMATION, _keys.PID))
    if pid.empty:
        do = "With one modality there is nothing to compare it with: its row in the table is all there is."
        where = f"mdata.uns[{key_added!r}][{_keys.PID!r}]"
        raise ValueError(problem(where, expected="at least one pair of modalities", found="none", do=do))
    shared = told[told["kind"] == "between"]
    return told, pid, list(dict.fromkeys([*shared["source_1"], *shared["source_2"]]))


def _bar(ax: "Axes", place: int, pair: tuple[str, str], parts: pd.DataFrame, looks: dict[str, Look]) -> None:
    """One stacked bar and its intervals; words where there is none."""
    if parts["value"].isna().all():
        ax.text(0.0, place, f" {parts['note'].iloc[0]}", fontsize="x-small", color=GREY, va="center")
        return
    start = 0.0
    for step, part in enumerate(PARTS):
        row = parts.loc[part]
        style = _style(part, pair, looks, bound=bool(row["lower_bound"]))
        ax.barh(place - 0.1, row["value"], 0.44, left=start, label=f"_{pair[0]}|{pair[1]}:{part}", **style)
        edge = style["edgecolor"] if part == "synergistic" else style["facecolor"]
        ends = [start + row["low"], start + row["high"]]
        ax.plot(ends, [place + 0.19 + 0.065 * step] * 2, color=edge, linewidth=1.6, solid_capstyle="butt")
        start += row["value"]
    ax.text(start, place - 0.1, f" {start:.2f}", fontsize="x-small", va="center")


def _style(part: str, pair: tuple[str, str], looks: dict[str, Look], *, bound: bool) -> dict[str, Any]:
    """Fill and edge of a part."""
    if part == "synergistic":
        return BOUND if bound else {"facecolor": INK, "edgecolor": INK}
    names = {"unique_1": pair[0], "unique_2": pair[1]}
    color = SHARED if part == "redundant" else looks[names[part]].color if names[part] in looks else REST
    return {"facecolor": color, "edgecolor": "white", "linewidth": 0.6}


def _name_bars(ax: "Axes", bars: list[tuple[str, str]], pid: pd.DataFrame, entropy: float) -> None:
    """Pairs down the side, nats along the bottom, H(Y) as a faint line."""
    size = {(r["source_1"], r["source_2"]): int(r["n"]) for r in pid.to_dict("records")}
    labels = []
    for one, two in bars:
        first, second = shorten([one, two], 14)
        second = "rest" if "+" in two else second
        labels.append(f"{first} | {second}\nn = {size[one, two]:,}")
    name_rows(ax, labels, size="x-small")
    ax.set_xlabel("information about the label (nats), bars with 95% intervals", fontsize="small")
    if np.isfinite(entropy):
        ax.axvline(entropy, color=FAINT, linewidth=2.5, zorder=0.5)
    most = float(np.nanmax([entropy, *pid["high"], *pid["value"], 0.0]))
    ax.set_xlim(0, 1.12 * most or 1.0)  # a single class has nothing to be told


def _legend(ax: "Axes", pid: pd.DataFrame, looks: dict[str, Look], entropy: float) -> None:
    """Below the bars: what the colours are."""
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    names = shorten(looks, 14)
    handles: list[Any] = [Patch(facecolor=look.color, label=f"{m} alone") for m, look in zip(names, looks.values(), strict=True)]
    if pid["source_2"].str.contains("+", regex=False).any():
        handles.append(Patch(facecolor=REST, label="rest alone"))
    handles.append(Patch(facecolor=SHARED, label="redundant"))
    synergy = pid[pid["kind"] == "synergistic"]
    if (synergy["lower_bound"] > 0).any():
        handles.append(Patch(**BOUND, label="synergistic, at least"))
    if (synergy["lower_bound"] == 0).any():
        handles.append(Patch(facecolor=INK, label="synergistic"))
    if np.isfinite(entropy):
        handles.append(Line2D([], [], color=FAINT, linewidth=2.5, label=f"H(Y) = {entropy:.2f}"))
    legend_below(ax, handles, inches=0.55, columnspacing=2.0)


def _finding(pid: pd.DataFrame) -> list[str]:
    """The pair that overlaps most and the one with most synergy, a line each."""
    pairs = pid[~pid["source_2"].str.contains("+", regex=False)]
    best = {}
    for kind in ("redundant", "synergistic"):
        rows = pairs[(pairs["kind"] == kind) & pairs["value"].notna()]
        if len(rows):
            best[kind] = rows.loc[rows["value"].idxmax()]
    words = []
    for kind, row in best.items():
        one, two = shorten([row["source_1"], row["source_2"]], 14)
        words += [f"most {kind}: {one} | {two}, {row['value']:.2f}"] if row["low"] > CLEAR else []
    return words or ["no pair is clearly redundant or synergistic"]


def _matrix(ax: "Axes", told: pd.DataFrame, names: list[str]) -> None:
    """I(Z;Y) on the framed diagonal, I(Z;Z') elsewhere."""
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import Normalize
    from matplotlib.patches import Rectangle

    cells = {(r["source_1"], r["source_1"]): r for r in told[told["kind"] == "label"].to_dict("records")}
    for row in told[told["kind"] == "between"].to_dict("records"):
        cells[row["source_1"], row["source_2"]] = cells[row["source_2"], row["source_1"]] = row
    values = [cells[a, b]["value"] for a in names for b in names if (a, b) in cells]
    most = float(np.nanmax(values)) if np.isfinite(values).any() else 1.0
    colors = ScalarMappable(Normalize(0, max(most, 1e-9)), "Blues")
    for i, one in enumerate(names):
        for j, two in enumerate(names):
            row = cells.get((one, two), {"value": np.nan, "low": np.nan, "high": np.nan})
            known = np.isfinite(row["value"])
            frame: dict[str, Any] = {"edgecolor": INK, "linewidth": 1.6} if i == j else {"edgecolor": "white", "linewidth": 0.6}
            face = colors.to_rgba(row["value"]) if known else "#F2F2F2"
            ax.add_patch(Rectangle((j - 0.47, i - 0.47), 0.94, 0.94, facecolor=face, label=f"_{one}|{two}", **frame))
            words = f"{row['value']:.2f}" if known else "–"
            words += f"\n({row['low']:.2f} to {row['high']:.2f})" if np.isfinite(row["low"]) else ""
            ink = "white" if known and row["value"] > 0.6 * most else INK
            ax.text(j, i, words, ha="center", va="center", fontsize="x-small", color=ink, linespacing=1.25)
    ax.set(xlim=(-0.52, len(names) - 0.48), ylim=(len(names) - 0.48, -0.52))
    short = shorten(names, 12)
    ax.set_xticks(range(len(names)), short, fontsize="small")
    ax.set_yticks(range(len(names)), short, fontsize="small")
    ax.tick_params(length=0)
    ax.spines[:].set_visible(False)
    head_line(ax, "I(Z; Z') of two,\nframed: I(Z; label), nats")
