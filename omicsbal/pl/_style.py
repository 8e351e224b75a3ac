"""The look of every figure: one colour and marker for each modality and joint head, light axes, no rcParams."""

import re
from collections.abc import Iterable
from typing import TYPE_CHECKING, Literal, NamedTuple

if TYPE_CHECKING:
    from matplotlib.axes import Axes

INK, GREY, FAINT, ALARM = "#000000", "#6E6E6E", "#D9D9D9", "#D55E00"


class Look(NamedTuple):
    """Colour and marker of one line or point, so that colour is never the only cue."""

    color: str
    marker: str


# Okabe and Ito's colour-blind safe palette (https://jfly.uni-koeln.de/color/) and a brown; its yellow is last: pale on white.
FAMILIES = {"rna": Look("#0072B2", "o"), "atac": Look("#E69F00", "s"), "protein": Look("#009E73", "^")}
OTHERS = (Look("#CC79A7", "v"), Look("#56B4E9", "P"), Look("#D55E00", "X"), Look("#8C6D31", "p"), Look("#F0E442", "h"))
ALIASES = {
    "gex": "rna",
    "mrna": "rna",
    "gene expression": "rna",
    "peaks": "atac",
    "prot": "protein",
    "adt": "protein",
    "rppa": "protein",
}
JOINT = {"pool": Look(INK, "D"), "fused": Look(INK, "o"), "product": Look(GREY, "d"), "concat": Look(GREY, "o")}
UNKNOWN = Look(GREY, ".")

METRICS = {  # label on an axis, and whether larger is better
    "macro_f1": ("macro-F1", True),
    "accuracy": ("accuracy", True),
    "balanced_accuracy": ("balanced accuracy", True),
    "log_loss": ("log-loss (nats)", False),
    "ece": ("ECE", False),
    "r2": ("R²", True),
    "rmse": ("RMSE", False),
}


def metric_label(name: str) -> str:
    """Name of a metric as written on an axis."""
    return METRICS.get(name, (name.replace("_", " "), True))[0]


def larger_is_better(name: str) -> bool:
    """Direction of a metric; one that is not known counts as a score."""
    return METRICS.get(name, (name, True))[1]


def modality_looks(modalities: Iterable[str]) -> dict[str, Look]:
    """A look for each modality: by family where the name tells it, else the next free one in fixed order."""
    looks: dict[str, Look] = {}
    for name in modalities:
        family = FAMILIES.get(ALIASES.get(name.lower(), name.lower()))
        free = [look for look in (*OTHERS, *FAMILIES.values()) if look not in looks.values()]
        fallback = free[0] if free else OTHERS[len(looks) % len(OTHERS)]
        looks[name] = family if family is not None and family not in looks.values() else fallback
    return looks


def modality_in(name: str, modalities: Iterable[str]) -> str | None:
    """The modality a head, loss term or signal speaks of ('lr:rna' -> 'rna'); the last one named where there are several."""
    tokens = [name, *(token.strip("- ") for token in re.split(r"[:/>]", name))]
    return next((token for token in reversed(tokens) if token in set(modalities)), None)


def look_of(name: str, looks: dict[str, Look]) -> Look:
    """Look of a head, loss term or signal by the modality or joint head that it names."""
    found = modality_in(name, [*JOINT, *looks])
    return UNKNOWN if found is None else {**JOINT, **looks}[found]


def dress(ax: "Axes", *, grid: Literal["both", "x", "y"] | None = "both") -> None:
    """Light axes: no top and right spine, pale grid behind the data, small ticks (relative to the user's font size)."""
    ax.spines[["top", "right"]].set_visible(False)
    ax.set_axisbelow(True)
    if grid is not None:
        ax.grid(visible=True, axis=grid, color=FAINT, linewidth=0.6)
    ax.tick_params(labelsize="small", width=0.6)
    for spine in ax.spines.values():
        spine.set_linewidth(0.6)


def head_line(ax: "Axes", text: str) -> None:
    """Left-aligned title, the place where each figure says what is shown."""
    ax.set_title(text, loc="left", fontsize="medium")


def shorten(names: Iterable[str], most: int = 28) -> list[str]:
    """Names cut in the middle to about `most` characters, or to as many more as keep them apart."""
    names = [str(name) for name in names]
    for length in range(most, max(map(len, names), default=0)):
        front = (length - 1) // 2
        cut = [name if len(name) <= length else f"{name[:front]}…{name[front + 1 - length :]}" for name in names]
        if len(set(cut)) == len(set(names)):
            return cut
    return names


def text_width(names: Iterable[str], size: float) -> float:
    """Inches that the longest of `names` takes at a font size in points (0.6 of it a character, generous for DejaVu Sans)."""
    return max((len(str(name)) for name in names), default=0) * 0.6 * size / 72
