"""What stands around a panel: names of its rows, and a legend below."""

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from omicsbal.pl._style import FAINT, dress

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def name_rows(ax: "Axes", names: Iterable[str], *, size: str = "small") -> None:
    """Names down the side from top to bottom, a row each, on light axes without a left spine."""
    names = list(names)
    dress(ax, grid="x")
    ax.set_ylim(len(names) - 0.4, -0.6)
    ax.set_yticks(range(len(names)), names, fontsize=size)
    ax.tick_params(axis="y", length=0)
    ax.spines["left"].set_visible(False)
    ax.spines["bottom"].set_color(FAINT)


def legend_below(ax: "Axes", handles: list[Any] | None = None, *, columns: int = 3, inches: float = 0.48, **kwargs: Any) -> None:
    """A legend under the name of the axis: so many inches below the panel, however high that is."""
    from matplotlib.transforms import ScaledTranslation

    below = ScaledTranslation(0, -inches, ax.figure.dpi_scale_trans)
    place: dict[str, Any] = {"loc": "upper left", "bbox_to_anchor": (0, 0), "bbox_transform": ax.transAxes + below}
    place |= {"borderaxespad": 0, "columnspacing": 1.0, "frameon": False, "fontsize": "x-small", "ncols": columns}
    ax.legend(handles=handles, **place | kwargs)
