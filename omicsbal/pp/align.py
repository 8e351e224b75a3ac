"""From a MuData to matrices: which rows have a modality, its matrix, and a model's features in query data."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import scipy.sparse as sp

from omicsbal._validate import listed, nearest, problem

from ._linear import Matrix
from .options import per_modality

if TYPE_CHECKING:
    from mudata import MuData


def presence(mdata: "MuData") -> dict[str, np.ndarray]:
    """Say which rows have which modality, from ``mdata.obsmap``, never from values.

    Parameters
    ----------
    mdata
        Left as it is.

    Returns
    -------
    One (n,) bool array a modality, in the order of ``mdata.mod``.

    Raises
    ------
    ValueError
        A modality was changed without ``mdata.update()``.

    Examples
    --------
    >>> import omicsbal as ob
    >>> {m: int(p.sum()) for m, p in presence(ob.datasets.simulate(n_obs=60, random_state=0)).items()}
    {'rna': 60, 'atac': 60, 'protein': 60}
    """
    return {m: _places(mdata, m) >= 0 for m in mdata.mod}


def _places(mdata: "MuData", m: str) -> np.ndarray:
    """Row in the modality for each row of the MuData, -1 where absent; checked against the names."""
    place = np.asarray(mdata.obsmap[m]).astype(np.int64).reshape(mdata.n_obs) - 1
    here, names = place >= 0, mdata.mod[m].obs_names
    if here.sum() != len(names) or place.max(initial=-1) >= len(names) or not (names[place[here]] == mdata.obs_names[here]).all():
        found = f"{int(here.sum())} mapped rows for {len(names)} cells, or other names"
        raise ValueError(problem(m, expected="rows that agree with the MuData", found=found, do="Call mdata.update()."))
    return place


def modality_pattern(mdata: "MuData", *, modalities: Sequence[str] | None = None) -> pd.Series:
    """Say in words which modalities each cell has.

    Parameters
    ----------
    mdata
        Left as it is.
    modalities
        Those to look at; all when None. The order is always that of ``mdata.mod``.

    Returns
    -------
    Categorical Series over ``mdata.obs_names`` with values such as "rna+protein", or "none"; categories by falling count.

    Raises
    ------
    KeyError
        Unknown modality.

    Examples
    --------
    >>> import omicsbal as ob
    >>> mdata = ob.datasets.simulate(n_obs=60, random_state=0)
    >>> modality_pattern(mdata, modalities=["rna", "protein"]).cat.categories.tolist()
    ['rna+protein']
    """
    here = presence(mdata)
    chosen = per_modality("modalities", dict.fromkeys(modalities or here, True), list(here))
    words = np.full(mdata.n_obs, "", dtype=object)
    for m in here:
        if chosen[m]:
            words = np.where(here[m], np.where(words == "", m, words + f"+{m}"), words)
    pattern = pd.Series(np.where(words == "", "none", words), index=mdata.obs_names, name="modality_pattern", dtype=str)
    return pattern.astype(pd.CategoricalDtype(pattern.value_counts().index.astype(str)))


def matrix_of(
    mdata: "MuData", m: str, *, layer: str | None = None, use_rep: str | None = None
) -> tuple[Matrix, np.ndarray, list[str]]:
    """Take the matrix of a modality, rows in the order of the MuData.

    Parameters
    ----------
    mdata
        In memory or backed; left as it is.
    m
        Name of the modality.
    layer
        Layer to read instead of ``X``.
    use_rep
        Entry of the modality's ``obsm`` to read instead.

    Returns
    -------
    X (n_present, p) CSR matrix or array; the rows of the MuData it belongs to (n_present,); names of the p features,
    for an ``obsm`` array ``"<use_rep>_0"`` and so on.

    Raises
    ------
    KeyError
        Unknown modality, layer or representation.
    ValueError
        Both `layer` and `use_rep`; a modality with no ``X``; or one changed without ``mdata.update()``.

    Examples
    --------
    >>> import omicsbal as ob
    >>> X, rows, names = matrix_of(ob.datasets.simulate(n_obs=60, random_state=0), "rna")
    >>> X.shape == (len(rows), len(names))
    True
    """
    if m not in mdata.mod:
        raise KeyError(problem("modality", expected="a modality of the MuData", found=repr(m), do=nearest(m, mdata.mod)))
    if layer is not None and use_rep is not None:
        raise ValueError(problem(m, expected="layer or use_rep", found="both", do="Pass one of them."))
    adata, place = mdata.mod[m], _places(mdata, m)
    rows = np.flatnonzero(place >= 0)
    names = [str(v) for v in adata.var_names]
    if use_rep is not None:
        X = _entry(adata.obsm, use_rep, "use_rep", f"mdata[{m!r}].obsm")
        frame = isinstance(X, pd.DataFrame)
        names = [str(c) for c in X.columns] if frame else [f"{use_rep}_{j}" for j in range(X.shape[1])]
        X = X.to_numpy() if frame else X
    else:
        X = adata.X if layer is None else _entry(adata.layers, layer, "layer", f"mdata[{m!r}].layers")
    if X is None:
        raise ValueError(problem(m, expected="values in X", found="none", do="Pass layer=... or use_rep=...."))
    return _in_memory(X, place[rows]), rows, names


def _entry(slots: Mapping[str, Any], key: str, option: str, where: str) -> Any:
    """An entry of layers or obsm, or a KeyError with the nearest name."""
    if key not in slots:
        raise KeyError(problem(option, expected=f"an entry of {where}", found=repr(key), do=nearest(key, slots)))
    return slots[key]


def _in_memory(X: Any, order: np.ndarray) -> Matrix:
    """Rows `order` of X as a CSR matrix or array; reads what lies on disk (h5py, backed sparse) or waits (dask)."""
    for read in ("to_memory", "compute"):
        X = getattr(X, read)() if hasattr(X, read) else X
    X = sp.csr_matrix(X) if sp.issparse(X) else np.asarray(X[...] if hasattr(X, "id") else X)
    straight = len(order) == X.shape[0] and np.array_equal(order, np.arange(len(order)))
    return X if straight else X[order]


def match_features(model_names: Sequence[str], query_names: Sequence[str]) -> tuple[np.ndarray, float]:
    """Find the model's features among those of a query.

    Parameters
    ----------
    model_names
        Features the model was trained on, p of them.
    query_names
        Features of the query, in any order; those the model does not know are ignored.

    Returns
    -------
    Positions in the query (p,) int64, -1 where missing; and the share found, in [0, 1].

    Raises
    ------
    ValueError
        A name occurs twice in the query.

    Examples
    --------
    >>> match_features(["a", "b", "c"], ["c", "x", "a"])
    (array([ 2, -1,  0]), 0.6666666666666666)
    """
    query = pd.Index(query_names)
    if not query.is_unique:
        twice = listed(query[query.duplicated()].unique(), 3)
        raise ValueError(problem("query", expected="unique feature names", found=f"repeated {twice}", do="Make them unique."))
    positions = np.asarray(query.get_indexer(pd.Index(model_names)), dtype=np.int64)
    return positions, float((positions >= 0).mean()) if len(positions) else 0.0


def take_features(X: Matrix, positions: np.ndarray, *, fill: float) -> Matrix:
    """Reorder columns to those of a model.

    Parameters
    ----------
    X
        (n, q) sparse matrix or array of the query.
    positions
        (p,) from `match_features`.
    fill
        What stands where the query lacks a feature; ``Recipe.fill`` says what the recipe expects: 0 for rna and atac, NaN
        for protein and dense. Pass ``missing=positions < 0`` to ``transform`` as well.

    Returns
    -------
    (n, p), sparse when X is and the fill is 0, else an array (float32 where a NaN needs a float).

    Examples
    --------
    >>> take_features(np.array([[1, 2]]), np.array([1, -1]), fill=0)
    array([[2, 0]])
    """
    missing = positions < 0
    if not missing.any():
        return X[:, positions]
    if sp.issparse(X):
        padded = sp.hstack([X, sp.csr_matrix((X.shape[0], 1), dtype=X.dtype)], format="csr")
        out = padded[:, np.where(missing, X.shape[1], positions)]
        if fill == 0:
            return out
        out = out.toarray()
    else:
        out = X[:, np.where(missing, 0, positions)] if X.shape[1] else np.zeros((X.shape[0], len(positions)), np.float32)
    if not np.isfinite(fill):
        out = out.astype(np.result_type(out.dtype, np.float32) if out.dtype.kind == "f" else np.float32)
    out[:, missing] = fill
    return out
