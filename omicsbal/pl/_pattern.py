"""Which modalities are present together, in how many rows."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from omicsbal._validate import check_choice
from omicsbal.pl._panels import finish, panels
from omicsbal.pl._slots import check_mudata
from omicsbal.pl._style import FAINT, GREY, INK, dress, head_line, modality_looks, shorten

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from mudata import MuData

    from omicsbal.pl._panels import Drawn

STEP = 0.32  # inches from one column of dots to the next
MOST = 31  # rows of the grid: all patterns of five modalities


def pattern(
    mdata: "MuData",
    *,
    modalities: Sequence[str] | None = None,
    ax: "Axes | None" = None,
    show: bool | None = None,
    return_fig: bool = False,
) -> "Drawn":
    """Draw which modalities are present together, and in how many rows; no fit is needed.

    Parameters
    ----------
    mdata
        Any MuData.
    modalities
        Modalities to look at, by default all of them.
    ax
        Axes to draw the bars into; the grid of dots is placed at their left.
    show
        Whether to call ``plt.show()``; by default no.
    return_fig
        Return the Figure instead of the Axes.

    Returns
    -------
    Axes of the bars: one row a pattern, the most frequent on top; a filled dot says that the modality is present.
    The 31 most frequent patterns are drawn, the title counts the others. ``None`` when shown.

    Raises
    ------
    TypeError
        If `mdata` is not a MuData.
    KeyError
        If a modality is unknown.

    Notes
    -----
    Presence is what ``mdata.obsmap`` says, never a sum of zero.

    Examples
    --------
    >>> import omicsbal as ob
    >>> mdata = ob.datasets.simulate(n_obs=60, random_state=0)
    >>> ob.pl.pattern(mdata).get_xlabel()
    'rows'
    """
    from omicsbal.pp import modality_pattern

    check_mudata(mdata)
    names = (
        list(mdata.mod) if modalities is None else [check_choice("modalities", m, mdata.mod, error=KeyError) for m in modalities]
    )
    counts = modality_pattern(mdata, modalities=names).astype(str).value_counts()
    drawn = counts.iloc[:MOST]
    (one,) = panels(ax, 1, figsize=(4.2 + STEP * len(names), max(1.6, 0.9 + 0.28 * len(drawn))))
    _dots(one, drawn, names)
    _bars(one, drawn, total=int(counts.sum()))
    rest = counts.iloc[MOST:]
    more = f"\n{len(rest)} rarer patterns ({rest.sum():,} rows) not drawn" if len(rest) else ""
    patterns = "1 pattern" if len(counts) == 1 else f"{len(counts)} patterns"
    of = "1 modality" if len(names) == 1 else f"{len(names)} modalities"
    head_line(one, f"{patterns} of {of}, n = {counts.sum():,}{more}")
    return finish([one], show=show, return_fig=return_fig)


def _bars(ax: "Axes", counts: pd.Series, *, total: int) -> None:
    """A bar a pattern with its count and share."""
    rows = np.arange(len(counts))
    ax.barh(rows, counts.to_numpy(), color=GREY, height=0.62)
    for row, count in zip(rows, counts, strict=True):
        ax.annotate(
            f"{count:,} ({count / total:.0%})",
            (count, row),
            xytext=(3, 0),
            textcoords="offset points",
            va="center",
            fontsize="x-small",
        )
    dress(ax, grid="x")
    ax.set_xlabel("rows", fontsize="small")
    ax.set(ylim=(len(counts) - 0.4, -0.6), xlim=(0, 1.3 * counts.max()))
    ax.locator_params(axis="x", nbins=4)
    ax.tick_params(axis="y", left=False, labelleft=False)


def _dots(ax: "Axes", counts: pd.Series, names: list[str]) -> None:
    """The grid at the left of the bars: a column a modality, a filled dot where it is present."""
    from matplotlib.transforms import ScaledTranslation, blended_transform_factory

    looks = modality_looks(names)
    origin: Any = ax.transAxes  # annotated as a Transform, though it is the affine one asked for
    inches = ax.figure.dpi_scale_trans + ScaledTranslation(0, 0, origin)  # fixed size, so that the layout settles at once
    place: dict[str, Any] = {"transform": blended_transform_factory(inches, ax.transData), "clip_on": False}
    x = STEP * (np.arange(len(names)) - len(names)) + STEP / 4
    for row, text in enumerate(counts.index):
        columns = [names.index(m) for m in names if m in str(text).split("+")]
        ax.scatter(x, [row] * len(x), s=32, color=FAINT, zorder=1, **place)
        ax.scatter(x[columns], [row] * len(columns), s=38, color=[looks[names[j]].color for j in columns], zorder=3, **place)
        if columns:
            ax.plot(x[[columns[0], columns[-1]]], [row, row], color=INK, linewidth=1, zorder=2, **place)
    below = blended_transform_factory(inches, ax.transAxes)
    for at, name in zip(x, shorten(names, 14), strict=True):
        ax.text(
            at,
            -0.06 / len(counts),
            name,
            transform=below,
            rotation=45,
            ha="right",
            va="top",
            rotation_mode="anchor",
            fontsize="small",
        )
