"""Whether probabilities, or intervals, can be taken at their word."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from omicsbal import _keys
from omicsbal._validate import check_choice
from omicsbal.pl._panels import columns_for, finish, panels
from omicsbal.pl._slots import Slots, read_slots
from omicsbal.pl._style import ALARM, FAINT, FAMILIES, GREY, Look, dress, head_line, look_of, modality_looks

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from mudata import MuData

    from omicsbal.pl._panels import AxesLike, Drawn


def calibration(
    mdata: "MuData",
    *,
    heads: Sequence[str] | None = None,
    key_added: str = _keys.KEY,
    ax: "AxesLike | None" = None,
    show: bool | None = None,
    return_fig: bool = False,
) -> "Drawn":
    """Draw how often confident predictions are right; for regression, how often the 90% interval holds the truth.

    Parameters
    ----------
    mdata
        MuData that ``ob.tl.fit`` was run on.
    heads
        Classification: heads to draw, a panel each; by default the pool, the fused network and the network of each modality,
        because those are the heads that ``ob.tl.predict`` offers. Regression draws the pool.
    key_added
        Name under which the fit was stored.
    ax
        Axes to draw into, one a head; by default a new figure.
    show
        Whether to call ``plt.show()``; by default no.
    return_fig
        Return the Figure instead of the Axes.

    Returns
    -------
    Axes, an array if there are several. Classification: accuracy against mean confidence in bins of equal mass,
    the diagonal, and at the bottom the rows in each bin (tallest bar = the fullest bin). Regression: true against predicted
    values with their intervals. ``None`` when shown.

    Raises
    ------
    KeyError
        If there is no calibration table (or interval), because ``ob.tl.fit`` has not been run.
    ValueError
        If a head has no calibration.

    Notes
    -----
    ECE = sum over bins of n_b / n * abs(accuracy_b - confidence_b), computed by ``ob.tl.fit`` from out-of-fold probabilities.

    References
    ----------
    Guo et al. 2017, On calibration of modern neural networks, arXiv:1706.04599.

    Examples
    --------
    >>> import pandas as pd, omicsbal as ob
    >>> mdata = ob.datasets.simulate(n_obs=60, random_state=0)
    >>> bins = pd.DataFrame({"head": "fused", "bin": [0, 1], "confidence": [0.5, 0.9], "accuracy": [0.4, 0.9], "n": [30, 30]})
    >>> mdata.uns["omicsbal"] = {"task": "classification", "modalities": ["rna"], "calibration": bins}  # ob.tl.fit writes this
    >>> ob.pl.calibration(mdata).get_xlabel()
    'out-of-fold confidence'
    """
    slots = read_slots(mdata, key_added)
    if str(slots.entry(_keys.TASK)) == "regression":
        (one,) = panels(ax, 1, figsize=(4.6, 4.2))
        _intervals(one, slots)
        return finish([one], show=show, return_fig=return_fig)
    table = slots.table(_keys.CALIBRATION, ["head", "confidence", "accuracy", "n"])
    looks = modality_looks(slots.names(_keys.MODALITIES))
    available = list(dict.fromkeys(table["head"].astype(str)))
    usual = [head for head in ("pool", "fused", *looks) if head in available]
    drawn = (usual or available) if heads is None else [check_choice("heads", head, available) for head in heads]
    columns = columns_for(len(drawn), 4)
    size = (0.4 + 2.3 * columns, 0.4 + 2.5 * -(-len(drawn) // columns))
    axes = panels(ax, len(drawn), figsize=size, columns=columns, sharex=True, sharey=True)
    for position, (one, head) in enumerate(zip(axes, drawn, strict=True)):
        _reliability(one, table[table["head"].astype(str) == head], look_of(head, looks))
        head_line(one, f"{head}{_error(slots, head)}")
        if position % columns == 0:
            one.set_ylabel("accuracy", fontsize="small")
        if position + columns >= len(drawn):
            one.set_xlabel("out-of-fold confidence", fontsize="small")
            one.tick_params(labelbottom=True)
    return finish(axes, show=show, return_fig=return_fig)


def _error(slots: Slots, head: str) -> str:
    """ECE and n of a head as words for its title, where the scores are there."""
    table = slots.entries.get(_keys.HEADS)
    if table is None or "ece" not in table:
        return ""
    row = table[table["head"].astype(str) == head]
    return f"\nECE {row['ece'].iloc[0]:.3f}, n = {int(row['n'].iloc[0]):,}" if len(row) else ""


def _reliability(ax: "Axes", bins: pd.DataFrame, look: Look) -> None:
    """One head: accuracy against confidence, the diagonal, and the mass of each bin at the bottom."""
    bins = bins[bins["n"] > 0].sort_values("confidence")
    ax.plot([0, 1], [0, 1], color=GREY, linestyle=":", linewidth=1, zorder=1)
    mass = 0.12 * bins["n"] / max(bins["n"].max(), 1)
    ax.bar(bins["confidence"], mass, width=0.02, color=look.color, alpha=0.3, linewidth=0, zorder=2)
    ax.vlines(bins["confidence"], bins["confidence"], bins["accuracy"], color=look.color, linewidth=1, alpha=0.5, zorder=2)
    ax.plot(bins["confidence"], bins["accuracy"], color=look.color, marker=look.marker, markersize=4.5, linewidth=1.4, zorder=3)
    dress(ax)
    ticks = np.linspace(0, 1, 6)
    ax.set(xlim=(-0.02, 1.02), ylim=(0, 1.02), xticks=ticks, yticks=ticks, aspect="equal")


def _intervals(ax: "Axes", slots: Slots) -> None:
    """Regression: true against predicted, intervals as vertical lines, those that miss the truth in another colour."""
    rows = slots.trained()
    predicted = np.asarray(slots.column("obs", slots.keys.prediction), dtype=float)[rows]
    true = slots.truth().astype(float).to_numpy()[rows]
    interval = pd.DataFrame(slots.column("obsm", slots.keys.interval))[["low", "high"]].to_numpy(float)[rows]
    held = (true >= interval[:, 0]) & (true <= interval[:, 1])
    many = len(true) > 500
    ax.vlines(predicted, *interval.T, color=FAINT, linewidth=0.6, alpha=0.3 if many else 0.9, zorder=1, rasterized=many)
    for inside, look, name in ((held, FAMILIES["rna"], "inside"), (~held, Look(ALARM, "X"), "outside")):
        label = f"{name} (n = {inside.sum():,})"
        options: dict[str, Any] = {"s": 10 if many else 18, "linewidths": 0, "alpha": 0.7, "rasterized": many}
        ax.scatter(predicted[inside], true[inside], color=look.color, marker=look.marker, label=label, zorder=3, **options)
    ax.axline((float(true.mean()),) * 2, slope=1, color=GREY, linestyle=":", linewidth=1, zorder=2)
    dress(ax)
    ax.set_xlabel(f"predicted {slots.keys.label}, out-of-fold", fontsize="small")
    ax.set_ylabel(f"true {slots.keys.label}", fontsize="small")
    ax.legend(
        title="90% interval",
        frameon=False,
        fontsize="x-small",
        title_fontsize="x-small",
        loc="upper left",
        bbox_to_anchor=(1.01, 1),
    )
    head_line(ax, f"The 90% interval holds {held.mean():.0%} of n = {len(true):,}{_r2(slots)}")


def _r2(slots: Slots) -> str:
    """The pool's R² as words for the title, where the scores are there."""
    heads = slots.entries.get(_keys.HEADS)
    pool = [] if heads is None or "r2" not in heads else heads.loc[heads["head"].astype(str) == "pool", "r2"].tolist()
    return f"; R² {pool[0]:.2f}" if pool else ""
