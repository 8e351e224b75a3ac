"""Cells by how often two modalities tell them right: easy in both, in one, in none."""

from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pandas as pd

from omicsbal import _keys
from omicsbal._validate import check_choice, nearest, problem
from omicsbal.pl._colors import class_colors
from omicsbal.pl._panels import finish, panels
from omicsbal.pl._slots import read_slots
from omicsbal.pl._style import ALARM, FAINT, GREY, INK, dress, head_line, shorten

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from mudata import MuData

    from omicsbal.pl._panels import AxesLike, Drawn
    from omicsbal.pl._slots import Slots

FIRST = "Run ob.tl.cell_difficulty(model, mdata) first, or pass the key_added it was run with."
MANY = 12  # classes in a legend


def cell_difficulty(
    mdata: "MuData",
    *,
    modalities: tuple[str, str] | None = None,
    color: Literal["class", "suspect"] = "class",
    key_added: str = _keys.KEY,
    ax: "AxesLike | None" = None,
    show: bool | None = None,
    return_fig: bool = False,
) -> "Drawn":
    """Draw each cell by its success in two modalities; the corners are easy in both, in one only, in neither.

    Parameters
    ----------
    mdata
        MuData that ``ob.tl.cell_difficulty`` was run on.
    modalities
        The two, across and up; None: the first two that have a success of their own.
    color
        "class": cells by label, suspect labels with a ring. "suspect": suspects alone stand out.
    key_added
        Name under which the result was stored.
    ax
        Axes to draw into; by default a new figure.
    show
        Whether to call ``plt.show()``; by default no.
    return_fig
        Return the Figure instead of the Axes.

    Returns
    -------
    Axes. Cells that have both modalities, moved by a little noise because success takes few values; the share of cells in each
    corner, with 1/2 as the border, is written there. Out-of-fold. ``None`` when shown.

    Raises
    ------
    KeyError
        If ``ob.tl.cell_difficulty`` has not been run, or `modalities` names one without a success of its own.
    ValueError
        If there are fewer than two modalities, or no cell has both.

    Examples
    --------
    >>> import numpy as np, omicsbal as ob
    >>> mdata = ob.datasets.simulate(n_obs=60, random_state=0)
    >>> mdata.uns["omicsbal"] = {"label_key": "cell_type", "modalities": ["rna", "protein"]}  # ob.tl.fit writes this
    >>> for slot in ("success_rna", "success_protein", "suspect"):  # ob.tl.cell_difficulty writes these
    ...     mdata.obs[f"omicsbal_{slot}"] = np.arange(60) < 30
    >>> ob.pl.cell_difficulty(mdata).get_xlabel()
    'success in rna alone'
    """
    check_choice("color", color, ("class", "suspect"))
    slots = read_slots(mdata, key_added)
    across, up = _pair(slots, modalities)
    cells = pd.DataFrame({"x": _column(slots, across), "y": _column(slots, up)}).astype(float)
    cells["suspect"] = np.asarray(mdata.obs[slots.keys.suspect], dtype=bool)
    cells["class"] = slots.truth().astype(object).astype(str).to_numpy()
    cells = cells.dropna(subset=["x", "y"])
    if not len(cells):
        found, do = "none", "Choose two modalities that were measured together."
        raise ValueError(problem("modalities", expected=f"cells that have {across!r} and {up!r}", found=found, do=do))
    (one,) = panels(ax, 1, figsize=(6.2, 4.8))
    points = _scatter(one, cells, mdata, slots, color)
    _corners(one, cells, *shorten([across, up], 16))
    n_suspect = int(cells["suspect"].sum())
    words = f"{n_suspect} suspect label{'' if n_suspect == 1 else 's'} (ring)"
    head_line(one, f"Cells told right out-of-fold, n = {len(cells):,}\n{words}")
    if points:
        one.legend(handles=points, frameon=False, fontsize="x-small", loc="center left", bbox_to_anchor=(1.01, 0.5))
    return finish([one], show=show, return_fig=return_fig)


def _column(slots: "Slots", modality: str) -> np.ndarray:
    """Success of every cell in a modality."""
    return np.asarray(slots.mdata.obs[f"{slots.keys.success}_{modality}"], dtype=float)


def _pair(slots: "Slots", asked: tuple[str, str] | None) -> tuple[str, str]:
    """The two modalities."""
    known = [m for m in slots.names(_keys.MODALITIES) if f"{slots.keys.success}_{m}" in slots.mdata.obs]
    if not known or slots.keys.suspect not in slots.mdata.obs:
        found = f"no columns {slots.keys.success + '_<modality>'!r} and {slots.keys.suspect!r}"
        raise KeyError(problem("mdata.obs", expected="the success of cells", found=found, do=FIRST))
    wanted = known[:2] if asked is None else list(asked)
    for m in wanted:
        if m not in known:
            raise KeyError(problem("modalities", expected="modalities with a success", found=repr(m), do=nearest(m, known)))
    if len(set(wanted)) != 2:
        do = "With one modality, look at the histogram of its column."
        raise ValueError(problem("modalities", expected="two modalities", found=wanted, do=do))
    return wanted[0], wanted[1]


def _scatter(ax: "Axes", cells: pd.DataFrame, mdata: "MuData", slots: "Slots", color: str) -> list[Any]:
    """Points with a little noise, rings around suspects; handles for a legend."""
    values = np.unique(cells[["x", "y"]].to_numpy())
    step = np.diff(values).min() if len(values) > 1 else 0.1
    place = cells[["x", "y"]].to_numpy() + np.random.default_rng(0).uniform(-0.35, 0.35, (len(cells), 2)) * min(step, 0.2)
    size = float(np.clip(3000 / len(cells), 3, 22))
    classes = sorted(set(cells["class"]))
    palette = [FAINT] * len(classes) if color == "suspect" else class_colors(mdata, slots.keys.label, classes)
    points: list[Any] = []
    for name, tint in zip(classes, palette, strict=True):
        mine = (cells["class"] == name).to_numpy()
        points.append(
            ax.scatter(place[mine, 0], place[mine, 1], s=size, color=tint, linewidths=0, alpha=0.75, label=name, rasterized=True)
        )
    rings = cells["suspect"].to_numpy()
    ring = ALARM if color == "suspect" else INK
    ax.scatter(
        place[rings, 0],
        place[rings, 1],
        s=2.2 * size,
        facecolor="none",
        edgecolor=ring,
        linewidths=0.9,
        zorder=3,
        label="suspect",
    )
    few = len(classes) <= MANY and color == "class"
    for handle, short in zip(points, shorten(classes, 24), strict=True):
        handle.set_label(short)
    return points if few else []


def _corners(ax: "Axes", cells: pd.DataFrame, across: str, up: str) -> None:
    """Names of the corners with their shares, axes with room for them."""
    right, top = cells["x"] > 0.5, cells["y"] > 0.5
    corners = {
        (1.09, 1.16, "right"): ("easy in both", right & top),
        (-0.09, 1.16, "left"): (f"only {up}", ~right & top),
        (1.09, -0.16, "right"): (f"only {across}", right & ~top),
        (-0.09, -0.16, "left"): ("hard in both", ~right & ~top),
    }
    for (x, y, side), (name, mine) in corners.items():
        ax.text(x, y, f"{name}: {mine.mean():.0%}", ha=side, va="center", fontsize="small", color=INK)
    for line in (ax.axvline, ax.axhline):
        line(0.5, color=GREY, linewidth=0.8, linestyle=":", zorder=1)
    dress(ax)
    ax.set(xlim=(-0.12, 1.12), ylim=(-0.23, 1.23))
    ax.set_xticks([0, 0.5, 1])
    ax.set_yticks([0, 0.5, 1])
    ax.set_xlabel(f"success in {across} alone", fontsize="small")
    ax.set_ylabel(f"success in {up} alone", fontsize="small")
