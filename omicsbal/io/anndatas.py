"""Several AnnData objects as one MuData."""

import warnings
from collections.abc import Mapping
from typing import TYPE_CHECKING

from omicsbal._validate import OmicsbalWarning, problem
from omicsbal.pp.checks import check_mdata
from omicsbal.pp.labels import find_label

if TYPE_CHECKING:
    import pandas as pd
    from anndata import AnnData
    from mudata import MuData


def from_anndatas(adatas: "Mapping[str, AnnData]") -> "MuData":
    """Join AnnData objects by cell name; a cell may be absent from some of them.

    Parameters
    ----------
    adatas
        AnnData by modality name; copied.

    Returns
    -------
    MuData over the union of the cells, in order of first mention. Columns that every modality's ``obs`` has, with the same
    value wherever two of them hold a cell, are in ``mdata.obs``; all others stay in their modality.

    Raises
    ------
    TypeError
        Not a mapping from name to AnnData.
    ValueError
        Nothing given; repeated cell or feature names; a modality without features.

    Warns
    -----
    OmicsbalWarning
        Two modalities share no cell.

    Examples
    --------
    >>> import numpy as np
    >>> from anndata import AnnData
    >>> mdata = from_anndatas({"rna": AnnData(np.eye(3, dtype="float32")), "protein": AnnData(np.eye(2, dtype="float32"))})
    >>> mdata.shape
    (3, 5)
    """
    from anndata import AnnData

    if not isinstance(adatas, Mapping) or not all(isinstance(a, AnnData) for a in adatas.values()):
        raise TypeError(problem("adatas", expected="a mapping from modality name to AnnData", found=_types(adatas), do=_EXAMPLE))
    if not adatas:
        raise ValueError(problem("adatas", expected="at least one AnnData", found="none", do=_EXAMPLE))
    for m, adata in adatas.items():
        if not adata.obs_names.is_unique:
            raise ValueError(problem(m, expected="unique cell names", found="repeated ones", do="Call obs_names_make_unique()."))
    mdata = build({m: adata.copy() for m, adata in adatas.items()})
    check_mdata(mdata)
    _pull(mdata)
    _warn_apart(mdata)
    return mdata


_EXAMPLE = 'Pass {"rna": adata_rna, "protein": adata_protein}.'


def build(adatas: "dict[str, AnnData]") -> "MuData":
    """A MuData, without mudata's announcements of what its next version will do."""
    from mudata import MuData

    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="From 0.4 .update", category=FutureWarning)
        # The same feature name in two modalities (copy number and RNA of a gene) is no fault.
        warnings.filterwarnings("ignore", message="Cannot join columns with the same name", category=UserWarning)
        return MuData(adatas)


def _types(adatas: object) -> str:
    """Types of what was given."""
    if not isinstance(adatas, Mapping):
        return type(adatas).__name__
    return ", ".join(f"{k}: {type(v).__name__}" for k, v in adatas.items())


def _pull(mdata: "MuData") -> None:
    """Put into mdata.obs the columns that all modalities have and agree on."""
    frames = [a.obs for a in mdata.mod.values()]
    shared = [c for c in frames[0].columns if all(c in f.columns for f in frames[1:])]
    pulled: dict[str, pd.Series] = {}
    for column in shared:
        try:
            pulled[column] = find_label(mdata, column)
        except ValueError:
            # Each modality has its own, such as total counts.
            continue
    for column, values in pulled.items():
        mdata.obs[column] = values


def _warn_apart(mdata: "MuData") -> None:
    """Warn when no cell is in two modalities: mostly a barcode suffix."""
    names = {m: a.obs_names for m, a in mdata.mod.items()}
    if len(names) > 1 and sum(len(n) for n in names.values()) == mdata.n_obs:
        examples = ", ".join(f"{m}: {n[0]!r}" for m, n in names.items() if len(n))
        warnings.warn(
            problem("adatas", expected="cells shared by modalities", found=f"none ({examples})", do="Check the cell names."),
            OmicsbalWarning,
            stacklevel=3,
        )
