"""Put simulated arrays into a MuData."""

from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from omicsbal.datasets._cells import Cells
from omicsbal.datasets._emission import Array, Emission
from omicsbal.datasets._kinds import KINDS, Kind
from omicsbal.datasets._presets import PRESETS
from omicsbal.datasets._settings import Settings

if TYPE_CHECKING:
    from anndata import AnnData
    from mudata import MuData


def assemble(
    settings: Settings,
    emissions: Mapping[str, Emission],
    cells: Cells,
    values: Mapping[str, Array],
    present: Mapping[str, NDArray[np.bool_]],
    oracles: Mapping[str, Array],
    truth: dict[str, Any],
    classes: list[str],
) -> "MuData":
    """One AnnData per modality with the cells it was measured in; labels, oracles and truth on the MuData."""
    from mudata import MuData

    names = pd.Index([f"cell_{i:0{len(str(settings.n_obs))}d}" for i in range(1, settings.n_obs + 1)])
    kinds = {name: KINDS[PRESETS[settings.preset].kinds[name]] for name in settings.modalities}
    mods = {m: _modality(kinds[m], values[m], emissions[m].markers, present[m], names) for m in settings.modalities}
    with _no_pulling():
        mdata = MuData(mods)
    # The union of unequal modalities comes in mudata's own order. It is kept: mudata 0.3 cannot read a file back whose rows are
    # in another order while `obsm` holds DataFrames.
    order = names.get_indexer(mdata.obs_names)
    label, donor = cells.label[order], cells.donor[order]
    batches = [f"batch_{b}" for b in range(settings.n_batches)]
    mdata.obs["cell_type"] = pd.Categorical.from_codes(label, classes)
    mdata.obs["batch"] = pd.Categorical.from_codes(donor % settings.n_batches, batches)
    mdata.obs["donor"] = pd.Categorical.from_codes(donor, [f"donor_{d}" for d in range(settings.n_donors)])
    for subset, logs in oracles.items():
        mdata.obsm[f"oracle_{subset}"] = pd.DataFrame(logs[order], index=mdata.obs_names, columns=classes)
    mdata.uns["truth"] = truth
    return mdata


def _no_pulling() -> AbstractContextManager[Any]:
    """Let mudata 0.3 behave as 0.4 does without being asked: columns stay with their modality, and nothing is warned of."""
    import mudata

    if hasattr(mudata, "set_options"):  # gone in 0.4
        return mudata.set_options(pull_on_update=False)
    return nullcontext()


def _modality(kind: Kind, values: Array, markers: NDArray[np.bool_], present: NDArray[np.bool_], names: pd.Index) -> "AnnData":
    """The rows that have the modality, float32."""
    from anndata import AnnData

    values = values[present].astype(np.float32)
    width = max(4, len(str(values.shape[1])))
    features = [f"{kind.prefix}_{j:0{width}d}" for j in range(1, values.shape[1] + 1)]
    var = pd.DataFrame({"feature_types": kind.feature_type, "marker": markers}, index=features)
    return AnnData(csr_matrix(values) if kind.sparse else values, obs=pd.DataFrame(index=names[present]), var=var)
