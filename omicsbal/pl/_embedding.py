"""The latent space of the fused network and of each modality."""

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pandas as pd

from omicsbal import _keys
from omicsbal._validate import check_choice, problem
from omicsbal.pl._bases import BASES
from omicsbal.pl._colors import class_colors
from omicsbal.pl._panels import columns_for, finish, panels
from omicsbal.pl._slots import FIT_FIRST, Slots, read_slots
from omicsbal.pl._style import FAINT, head_line, shorten, text_width

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from mudata import MuData

    from omicsbal.pl._panels import AxesLike, Drawn

NUMBERED = 8  # more categories than this are numbered on the points too: no palette keeps so many apart
LONG = 17  # entries of the legend beside one panel


class Coloring(NamedTuple):
    """How the rows of the MuData are coloured: numbers, or codes (-1 = none) into names and colours."""

    values: np.ndarray
    names: list[str]
    colors: list[str]


def embedding(
    mdata: "MuData",
    *,
    basis: str = "umap",
    color: str | None = None,
    modality: str | None = None,
    key_added: str = _keys.KEY,
    random_state: int = 0,
    ax: "AxesLike | None" = None,
    show: bool | None = None,
    return_fig: bool = False,
) -> "Drawn":
    """Draw the latent space in two dimensions, coloured by the label or any other column of obs.

    Parameters
    ----------
    mdata
        MuData that ``ob.tl.fit`` or ``ob.tl.predict`` wrote embeddings to. Nothing but colours is written to it.
    basis
        ``"umap"`` (scanpy, shows groups) or ``"pca"`` (scikit-learn, fast, keeps distances).
    color
        Column of obs, looked for in the MuData and then in its modalities; by default the label.
        Colours are taken from ``mdata.uns["<color>_colors"]`` and written there if they had to be chosen.
    modality
        ``"fused"`` (the default), a modality, or ``"all"`` for a panel each.
    key_added
        Name under which the fit was stored.
    random_state
        Seed of UMAP and of the order in which points are drawn.
    ax
        Axes to draw into, one a panel; by default a new figure.
    show
        Whether to call ``plt.show()``; by default no.
    return_fig
        Return the Figure instead of the Axes.

    Returns
    -------
    Axes, an array if there are several. Rows without an embedding (no modality present) are left out, the title says how many;
    rows without a value of `color` are pale grey. ``None`` when shown.

    Raises
    ------
    KeyError
        If there is no embedding, because ``ob.tl.fit`` has not been run, or if `modality` or `color` is unknown.
    ValueError
        If `basis` is unknown, or an embedding has too few rows or columns for it.

    References
    ----------
    McInnes et al. 2018, UMAP, arXiv:1802.03426.

    Examples
    --------
    >>> import numpy as np, omicsbal as ob
    >>> mdata = ob.datasets.simulate(n_obs=60, random_state=0)
    >>> mdata.uns["omicsbal"] = {"label_key": "cell_type"}  # ob.tl.fit writes this, and the next line
    >>> mdata.obsm["X_omicsbal"] = np.random.default_rng(0).normal(size=(60, 8))
    >>> ob.pl.embedding(mdata, basis="pca").get_title(loc="left")
    'fused, n = 60'
    """
    check_choice("basis", basis, BASES)
    slots = read_slots(mdata, key_added)
    choices = ["fused", "all", *mdata.mod]
    asked = check_choice("modality", "fused" if modality is None else modality, choices, error=KeyError)
    spaces = ["fused", *mdata.mod] if asked == "all" else [asked]
    key = slots.keys.label if color is None else color
    is_class = key == slots.keys.label and slots.entries.get(_keys.TASK) == "classification"
    coloring = _coloring(mdata, key, is_class=is_class)
    columns = columns_for(len(spaces), 3)
    rows_of_panels = -(-len(spaces) // columns)
    legend_columns = -(-(len(coloring.names) + 1) // (LONG * rows_of_panels))
    wide = legend_columns * (0.45 + text_width(shorten(coloring.names), 7)) if coloring.names else 0.7
    size = (3.2 * columns + max(wide, 0.9), 3.3 * rows_of_panels)
    axes = panels(ax, len(spaces), figsize=size, columns=columns)
    for one, space in zip(axes, spaces, strict=True):
        latent = _latent(slots, space)
        rows = np.flatnonzero(np.isfinite(latent).all(axis=1))
        points = BASES[basis](latent[rows], random_state)
        drawn = _scatter(one, points, coloring, rows, random_state)
        _frame(one, basis, f"{space}, n = {len(rows):,}", mdata.n_obs - len(rows))
    _explain(axes, coloring, key, drawn, columns=legend_columns, own=ax is None)
    return finish(axes, show=show, return_fig=return_fig)


def _latent(slots: Slots, space: str) -> np.ndarray:
    """(n, k) embedding in the MuData's rows, NaN where there is none."""
    name, mdata = slots.keys.embedding, slots.mdata
    if space == "fused":
        return np.asarray(slots.column("obsm", name), dtype=float)
    if name not in mdata.mod[space].obsm:
        where = f"mdata[{space!r}].obsm"
        raise KeyError(problem(where, expected=f"the slot {name!r}", found="nothing of that name", do=FIT_FIRST))
    own = np.asarray(mdata.mod[space].obsm[name], dtype=float)
    position = np.ravel(mdata.obsmap[space]).astype(int)  # 0 where the modality is absent, else its row + 1
    latent = np.full((mdata.n_obs, own.shape[1]), np.nan)
    latent[position > 0] = own[position[position > 0] - 1]
    return latent


def _coloring(mdata: "MuData", key: str, *, is_class: bool) -> Coloring:
    """Values of a column of obs: categories with colours (for a class also where it is a number), or numbers."""
    from omicsbal.pp.labels import find_label

    column = find_label(mdata, key)
    if not is_class and pd.api.types.is_numeric_dtype(column) and not pd.api.types.is_bool_dtype(column):
        return Coloring(column.to_numpy(float), [], [])
    if not isinstance(column.dtype, pd.CategoricalDtype):
        column = column.astype("string").astype("category")
    names = [str(name) for name in column.cat.categories]
    return Coloring(column.cat.codes.to_numpy(), names, class_colors(mdata, key, names))


def _scatter(ax: "Axes", points: np.ndarray, coloring: Coloring, rows: np.ndarray, random_state: int) -> Any:
    """Points in random order, so that no group hides another; those without a value first and pale."""
    values = coloring.values[rows]
    valued = values >= 0 if coloring.names else np.isfinite(values)
    style: dict[str, Any] = {"s": float(np.clip(24_000 / len(rows), 1.5, 18)), "linewidths": 0, "rasterized": len(rows) > 2000}
    if not valued.all():
        ax.scatter(points[~valued, 0], points[~valued, 1], color=FAINT, **style)
    order = np.random.default_rng(random_state).permutation(np.flatnonzero(valued))
    if not coloring.names:
        return ax.scatter(points[order, 0], points[order, 1], c=values[order], cmap="viridis", **style)
    drawn = ax.scatter(
        points[order, 0], points[order, 1], color=np.array(coloring.colors, dtype=object)[values[order]].tolist(), **style
    )
    if len(coloring.names) > NUMBERED:
        _number(ax, points, values, len(coloring.names))
    return drawn


def _number(ax: "Axes", points: np.ndarray, codes: np.ndarray, n: int) -> None:
    """The number of each category at its median."""
    from matplotlib.patheffects import withStroke

    for code in range(n):
        if (codes == code).any():
            x, y = np.median(points[codes == code], axis=0)
            halo = [withStroke(linewidth=2, foreground="white")]
            ax.text(x, y, str(code + 1), fontsize="x-small", ha="center", va="center", path_effects=halo)


def _frame(ax: "Axes", basis: str, title: str, left_out: int) -> None:
    """Axes without ticks (their units mean nothing) and a title that counts."""
    ax.spines[["top", "right"]].set_visible(False)
    ax.set(xticks=[], yticks=[])
    ax.set_xlabel(f"{basis.upper()} 1", fontsize="small", loc="left")
    ax.set_ylabel(f"{basis.upper()} 2", fontsize="small", loc="bottom")
    head_line(ax, title + (f"\nabsent rows not drawn: {left_out:,}" if left_out else ""))


def _explain(axes: "list[Axes]", coloring: Coloring, key: str, drawn: Any, *, columns: int, own: bool) -> None:
    """Legend, or colour bar, outside at the right of all panels, or of the last one of the user's."""
    figure = axes[0].figure
    if not coloring.names:
        bar = figure.colorbar(drawn, ax=axes if own else axes[-1], shrink=0.7, aspect=18, pad=0.02)
        bar.set_label(key, fontsize="small")
        bar.ax.tick_params(labelsize="x-small", width=0.6)
        bar.outline.set_visible(False)
        return
    from matplotlib.lines import Line2D

    used = np.bincount(coloring.values[coloring.values >= 0], minlength=len(coloring.names)) > 0
    numbered = len(coloring.names) > NUMBERED
    entries = []
    for code, (name, color) in enumerate(zip(shorten(coloring.names), coloring.colors, strict=True)):
        if used[code]:
            label = f"{code + 1}  {name}" if numbered else name
            entries.append(Line2D([], [], marker="o", linestyle="", markersize=5, color=color, label=label))
    if (coloring.values < 0).any():
        label = f"no value ({(coloring.values < 0).sum():,})"
        entries.append(Line2D([], [], marker="o", linestyle="", markersize=5, color=FAINT, label=label))
    place: dict[str, Any] = {"loc": "outside right upper"} if own else {"loc": "upper left", "bbox_to_anchor": (1.02, 1.02)}
    (figure if own else axes[-1]).legend(
        handles=entries,
        title=key,
        **place,
        frameon=False,
        fontsize="x-small",
        title_fontsize="small",
        ncols=columns,
        handletextpad=0.2,
        alignment="left",
        borderaxespad=0,
    )
