"""Colours of classes, from and to ``mdata.uns`` as scanpy keeps them."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from omicsbal.pl._style import FAMILIES, INK, OTHERS

if TYPE_CHECKING:
    from mudata import MuData


def class_colors(mdata: "MuData", key: str, categories: Sequence[str]) -> list[str]:
    """A colour a category: ``uns[f"{key}_colors"]`` of the MuData or a modality if enough, else new ones; written back."""
    slot = f"{key.replace('/', '_')}_colors"
    kept: Sequence[str] = next((holder.uns[slot] for holder in (mdata, *mdata.mod.values()) if slot in holder.uns), [])
    colors = [str(color) for color in kept][: len(categories)]
    if len(colors) < len(categories):
        colors = fresh_colors(len(categories))
    mdata.uns[slot] = colors
    return colors


def fresh_colors(n: int) -> list[str]:
    """Okabe and Ito's for up to eight categories; beyond them scanpy's longer palettes, so that both packages agree."""
    safe = [look.color for look in (*FAMILIES.values(), *OTHERS)]
    if n <= len(safe):
        return safe[:n]
    from scanpy.plotting.palettes import default_20, default_28, default_102

    longer = next((palette for palette in (default_20, default_28, default_102) if n <= len(palette)), None)
    return list(longer[:n]) if longer is not None else [*default_102, *[INK] * (n - len(default_102))]
