"""A fit that takes about a second, and the means to prove that nothing was touched."""

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp

if TYPE_CHECKING:
    from collections.abc import Callable

    from mudata import MuData

    from omicsbal import FittedModel


@pytest.fixture
def quick() -> "Callable[..., FittedModel]":
    """`tl.fit` with a small net and two epochs: ``quick(mdata, label_key="cell_type")``."""
    import omicsbal as ob

    def _fit(mdata: "MuData", **options: Any) -> "FittedModel":
        options = {"label_key": "cell_type", "n_folds": 2, "experts": False, "progress": False, "device": "cpu", **options}
        options.setdefault("config", ob.FitConfig(max_epochs=2, n_members=2))
        options.setdefault("net", ob.NetConfig(width=8, depth=1, latent=4))
        return ob.tl.fit(mdata, **options)

    return _fit


@pytest.fixture
def tri(simulated: "Callable[..., MuData]") -> "MuData":
    """90 cells of 3 types in rna, atac, protein, all complete."""
    return simulated(n_obs=90, n_truth=200, preset="redundant", n_classes=3, n_features=SIZES, random_state=0)


@pytest.fixture
def holed(simulated: "Callable[..., MuData]") -> "MuData":
    """The same with a third of the cells lacking protein and a fifth atac."""
    missing = {"protein": 0.3, "atac": 0.2}
    return simulated(n_obs=90, n_truth=200, preset="redundant", n_classes=3, n_features=SIZES, missing=missing, random_state=0)


SIZES = {"rna": 60, "atac": 80, "protein": 12}


def _frozen(value: Any) -> Any:
    """Something that compares equal only if every bit does."""
    if isinstance(value, pd.DataFrame):
        return ("frame", tuple(value.index), tuple((str(c), _frozen(value[c])) for c in value))
    if isinstance(value, pd.Series | pd.Index):
        return (str(value.dtype), tuple(map(repr, value)))
    if sp.issparse(value):
        return (value.format, value.shape, *(_frozen(getattr(value, k)) for k in ("data", "indices", "indptr")))
    if isinstance(value, np.ndarray):
        return (str(value.dtype), value.shape, tuple(map(repr, value.ravel())) if value.dtype.kind == "O" else value.tobytes())
    if hasattr(value, "items"):
        return tuple((str(k), _frozen(v)) for k, v in value.items())
    return repr(value)


@pytest.fixture
def frozen() -> "Callable[[Any], Any]":
    """All contents of a MuData or AnnData as nested tuples: compare before and after."""

    def _all(data: Any) -> Any:
        own = ("obs", "var", "obsm", "varm", "obsp", "varp", "uns")
        parts = {k: _frozen(getattr(data, k)) for k in own}
        if hasattr(data, "mod"):
            return parts | {"obsmap": _frozen(data.obsmap), "mod": {m: _all(a) for m, a in data.mod.items()}}
        return parts | {"X": _frozen(data.X), "layers": _frozen(data.layers)}

    return _all
