"""The features behind a model's blocks, under their names, as its recipes hand them to their last, linear step."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from omicsbal.model import FittedModel
from omicsbal.tl._labelled import Labelled

if TYPE_CHECKING:
    from mudata import MuData


@dataclass(frozen=True)
class Named:
    """q features of one modality, of which the d columns of its block are a linear map."""

    values: Any  # (n, q) array or CSR matrix, anything where the modality is absent
    names: np.ndarray  # (q,) str
    known: np.ndarray  # (q,) bool: the MuData has them
    axes: np.ndarray | None  # (q, d); None where features are columns
    gain: float
    unit: str
    note: str  # why names are not those of features; empty if they are

    @property
    def in_var(self) -> bool:
        """Whether the names are those of the modality's features."""
        return not self.note


def named_features(model: FittedModel, mdata: "MuData", found: Labelled, *, min_coverage: float) -> dict[str, Named]:
    """Of the rows found, by modality; the columns of the block themselves where a recipe does not end in a linear step."""
    named = {}
    for m in found.modalities:
        source = model.sources[m]
        step, rows, missing = source.linear(mdata, min_coverage=min_coverage)
        if step is None:
            x = found.data.x[m].cpu().numpy()
            names = np.array([f"{m}_{j}" for j in range(x.shape[1])])
            note = f"The recipe {source.recipe.name!r} has no linear last step: its columns, not features."
            named[m] = Named(x, names, np.ones(len(names), bool), None, 1.0, "column of the recipe", note)
            continue
        place = np.zeros(mdata.n_obs, dtype=np.int64)
        place[rows] = np.arange(len(rows))
        note = f"Columns of obsm[{source.use_rep!r}], not features." if source.use_rep else ""
        names, known = np.array(source.features, dtype=str)[step.columns], ~missing[step.columns]
        named[m] = Named(step.values[place[found.positions]], names, known, step.axes, step.gain, step.unit, note)
    return named
