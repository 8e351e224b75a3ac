"""Embed query data in the space of a model."""

from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from omicsbal._keys import KEY, Keys
from omicsbal._types import FUSED
from omicsbal._validate import check_number
from omicsbal.model import FittedModel
from omicsbal.pp.checks import check_mdata
from omicsbal.tl._predict import as_model, check_query
from omicsbal.tl._write import write_embeddings

if TYPE_CHECKING:
    from mudata import MuData


def embed(
    model: FittedModel | str | Path,
    mdata: "MuData",
    *,
    modalities: list[str] | None = None,
    min_coverage: float = 0.8,
    device: str = "auto",
    key_added: str = KEY,
) -> pd.DataFrame:
    """Put new cells into the model's embedding, fused and per modality.

    Parameters
    ----------
    model
        A `FittedModel`, or the folder it was saved in.
    mdata
        Raw values as in the fit; any subset of the modalities.
    modalities
        Pretend that these alone were measured; None: all that are there.
    min_coverage
        Least share in [0, 1] of a modality's features that must be there.
    device
        "auto", "cpu", "cuda".
    key_added
        Names the slots.

    Returns
    -------
    DataFrame (n, k) of the fused embedding over ``mdata.obs_names``. Written: ``obsm["X_omicsbal"]`` (n, k) float32, and the
    same of each modality; NaN where nothing is present. The coordinates are those of the training rows' embedding.

    Raises
    ------
    TypeError, KeyError, ValueError, FileNotFoundError
        As `omicsbal.tl.predict`; the MuData is as it was.

    Notes
    -----
    New cells are embedded by the first all-row member (the first fold member where there is none), and training rows by the fold
    member that did not see them, moved onto that one by the rigid motion that fits the training rows best (orthogonal Procrustes,
    Schönemann 1966, doi:10.1007/BF02289451). The motion takes away what is arbitrary in the coordinates; that the members are
    different networks it cannot.

    Examples
    --------
    >>> import omicsbal as ob
    >>> mdata = ob.datasets.simulate(n_obs=100, n_truth=200, random_state=0)
    >>> train, query = mdata[:80].copy(), mdata[80:].copy()
    >>> model = ob.tl.fit(train, label_key="cell_type", config=ob.FitConfig(max_epochs=2), progress=False)
    >>> ob.tl.embed(model, query).shape
    (20, 32)
    """
    model = as_model(model)
    mdata = check_mdata(mdata)
    check_query(mdata, key_added)
    check_number("min_coverage", min_coverage, low=0, high=1)
    data, _ = model.arrays(mdata, modalities=modalities, min_coverage=min_coverage, device=device)
    embeddings = model.predictor.embed(data)
    shared = {name: z for name, z in embeddings.items() if name == FUSED or name in mdata.mod}
    write_embeddings(mdata, Keys(key_added, model.label_key), shared)
    fused = embeddings[FUSED]
    return pd.DataFrame(fused, index=mdata.obs_names, columns=[f"{key_added}_{j}" for j in range(fused.shape[1])])
