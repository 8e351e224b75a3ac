"""What is taken for what, out-of-fold."""

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from omicsbal import _keys
from omicsbal._validate import listed, problem
from omicsbal.pl._panels import finish, panels
from omicsbal.pl._slots import Slots, read_slots
from omicsbal.pl._style import head_line, metric_label, shorten, text_width

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from mudata import MuData

    from omicsbal.pl._panels import Drawn

WRITTEN = 12  # most classes for which counts still fit into the cells


def confusion(
    mdata: "MuData",
    *,
    normalize: bool = True,
    key_added: str = _keys.KEY,
    ax: "Axes | None" = None,
    show: bool | None = None,
    return_fig: bool = False,
) -> "Drawn":
    """Draw true against predicted classes of the training rows, each predicted while it was held out.

    Parameters
    ----------
    mdata
        MuData that ``ob.tl.fit`` was run on, for a classification.
    normalize
        Colour by the share of each true class (rows sum to 1), so that rare classes are seen as well as frequent ones;
        with ``False`` by the number of rows.
    key_added
        Name under which the fit was stored.
    ax
        Axes to draw into; by default a new figure that grows with the number of classes.
    show
        Whether to call ``plt.show()``; by default no.
    return_fig
        Return the Figure instead of the Axes.

    Returns
    -------
    Axes with true classes down and predicted classes across; cells hold numbers of rows if there are at most 12 classes.
    ``None`` when shown.

    Raises
    ------
    KeyError
        If there are no predictions, because ``ob.tl.fit`` has not been run.
    ValueError
        If the label is a number, or the MuData has other rows or other classes than the one that was fitted.

    Examples
    --------
    >>> import omicsbal as ob
    >>> mdata = ob.datasets.simulate(n_obs=60, random_state=0)
    >>> mdata.obs["omicsbal_cell_type"] = mdata.obs["cell_type"]  # ob.tl.fit writes this, and the next line
    >>> fit = {"label_key": "cell_type", "task": "classification", "classes": mdata.obs["cell_type"].unique(), "folds": [0] * 60}
    >>> mdata.uns["omicsbal"] = fit
    >>> ob.pl.confusion(mdata).get_xlabel()
    'predicted'
    """
    slots = read_slots(mdata, key_added)
    if slots.is_regression:
        found = f"a regression of {slots.keys.label!r}"
        raise ValueError(problem("key_added", expected="the fit of a classification", found=found, do="Use ob.pl.calibration."))
    classes = slots.names(_keys.CLASSES)
    counts = count_pairs(slots, classes)
    side = max(2.4, (0.2 if len(classes) > WRITTEN else 0.45) * len(classes))
    names = text_width(shorten(classes), 8)
    (one,) = panels(ax, 1, figsize=(side + names + 2.0, side + names * (0.75 if len(classes) <= WRITTEN else 1) + 1.1))
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    _heat(one, shares if normalize else counts, counts, normalize=normalize)
    _name_classes(one, classes, counts)
    head_line(one, f"Out-of-fold predictions\nn = {counts.sum():,}{_score(slots)}")
    return finish([one], show=show, return_fig=return_fig)


def count_pairs(slots: Slots, classes: list[str]) -> np.ndarray:
    """(c, c) int: numbers of training rows by true and predicted class."""
    from omicsbal.pp.folds import MERGED

    rows = slots.trained()
    predicted = pd.Series(slots.column("obs", slots.keys.prediction)).astype(str).to_numpy()[rows]
    true = slots.truth().astype(str).to_numpy()[rows]
    codes_true, codes_predicted = (pd.Index(classes).get_indexer(values) for values in (true, predicted))
    if MERGED in classes:  # classes with few rows were trained as this one
        codes_true[codes_true < 0] = classes.index(MERGED)
    for codes, values, what in ((codes_true, true, slots.keys.label), (codes_predicted, predicted, slots.keys.prediction)):
        if (codes < 0).any():
            found = listed(pd.unique(values[codes < 0]))
            do = "Run ob.tl.fit again if the column was changed since."
            raise ValueError(problem(what, expected="only classes of the fit on its training rows", found=found, do=do))
    counts = np.zeros((len(classes), len(classes)), dtype=int)
    np.add.at(counts, (codes_true, codes_predicted), 1)
    return counts


def _score(slots: Slots) -> str:
    """The pool's first metric as words for the title, where the scores are there."""
    heads, metric = slots.entries.get(_keys.HEADS), str(slots.entries.get(_keys.METRIC, ""))
    if heads is None or metric not in heads:
        return ""
    pool = heads.loc[heads["head"].astype(str) == "pool", metric]
    return f", {metric_label(metric)} {pool.iloc[0]:.3f}" if len(pool) else ""


def _heat(ax: "Axes", values: np.ndarray, counts: np.ndarray, *, normalize: bool) -> None:
    """The matrix with its colour bar, and counts in the cells when they fit."""
    most = 1.0 if normalize else max(float(values.max()), 1.0)
    image = ax.imshow(values, cmap="Blues", vmin=0, vmax=most, aspect="equal", interpolation="nearest")
    edges = np.arange(len(values) + 1) - 0.5
    ax.hlines(edges, edges[0], edges[-1], color="white", linewidth=0.6)
    ax.vlines(edges, edges[0], edges[-1], color="white", linewidth=0.6)
    if len(values) <= WRITTEN:
        for row, column in zip(*np.nonzero(counts), strict=True):
            color = "white" if values[row, column] > 0.55 * most else "black"
            ax.text(column, row, f"{counts[row, column]:,}", ha="center", va="center", fontsize="x-small", color=color)
    bar = ax.figure.colorbar(image, cax=ax.inset_axes((1.03, 0.2, 0.03, 0.6)))
    bar.set_label("share of the true class" if normalize else "rows", fontsize="small")
    bar.ax.tick_params(labelsize="x-small", width=0.6)
    bar.outline.set_visible(False)


def _name_classes(ax: "Axes", classes: list[str], counts: np.ndarray) -> None:
    """Class names on both axes, with n on the true one."""
    size = "small" if len(classes) <= WRITTEN else "x-small"
    ticks, names = range(len(classes)), shorten(classes)
    tilt = {"rotation": 45, "rotation_mode": "anchor"} if len(classes) <= WRITTEN else {"rotation": 90}
    ax.set_xticks(ticks, names, ha="right" if len(classes) <= WRITTEN else "center", fontsize=size, **tilt)
    ax.set_yticks(ticks, [f"{name} ({n:,})" for name, n in zip(names, counts.sum(axis=1), strict=True)], fontsize=size)
    ax.tick_params(length=0)
    ax.spines[:].set_visible(False)
    ax.set_xlabel("predicted", fontsize="small")
    ax.set_ylabel("true (n)", fontsize="small")
