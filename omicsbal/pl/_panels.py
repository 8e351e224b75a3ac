"""Axes in and Axes out: the convention that all figures share."""

from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from omicsbal._validate import problem

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    AxesLike: TypeAlias = "Axes | Sequence[Axes] | np.ndarray"
    Drawn: TypeAlias = "Axes | np.ndarray | Figure | None"


def panels(ax: "AxesLike | None", n: int, *, figsize: tuple[float, float], columns: int = 1, **kwargs: Any) -> "list[Axes]":
    """The user's `n` Axes, checked, or those of a new figure with a constrained layout, row by row."""
    if ax is None:
        from matplotlib import pyplot as plt

        rows = -(-n // columns)
        grid = plt.subplots(rows, columns, figsize=figsize, layout="constrained", squeeze=False, **kwargs)[1].ravel()
        for unused in grid[n:]:
            unused.remove()
        return list(grid[:n])
    from matplotlib.axes import Axes

    given = [ax] if isinstance(ax, Axes) else list(np.ravel(np.asarray(ax, dtype=object)))
    wanted = "one matplotlib Axes" if n == 1 else f"a sequence of {n} matplotlib Axes, one a panel"
    if not all(isinstance(one, Axes) for one in given):
        raise TypeError(problem("ax", expected=wanted, found=type(ax).__name__, do="Pass what plt.subplots returns, or nothing."))
    if len(given) != n:
        raise ValueError(problem("ax", expected=wanted, found=f"{len(given)} Axes", do="Pass as many, or nothing."))
    return given


def columns_for(n: int, most: int) -> int:
    """Columns of a grid of `n` panels with at most `most` across and its rows about equally full."""
    return -(-n // -(-n // most))


def finish(axes: "list[Axes]", *, show: bool | None, return_fig: bool) -> "Drawn":
    """Show if asked, and return Axes (one, or an array of several) or the Figure."""
    figure = axes[0].get_figure(root=True)
    if show:
        from matplotlib import pyplot as plt

        plt.show()
    if return_fig:
        return figure
    if show:
        return None
    return axes[0] if len(axes) == 1 else np.array(axes, dtype=object)
