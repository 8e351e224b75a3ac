"""Balanced multi-omics learning on MuData: fit a label, see which modality matters, find the one that is wasted.

Sub-packages load when first used, so ``import omicsbal`` costs almost nothing and needs neither torch nor scanpy.

Examples
--------
>>> import omicsbal as ob
>>> mdata = ob.datasets.simulate(n_obs=60, random_state=0)
>>> sorted(mdata.mod)
['atac', 'protein', 'rna']
"""

from importlib import import_module
from typing import Any

__version__ = "0.1.0"
_SUBPACKAGES = ("balance", "datasets", "io", "mi", "pl", "pp", "tl")
_NAMES = {"FitConfig": "config", "FittedModel": "model", "NetConfig": "config", "report": "_report"}
__all__ = ["FitConfig", "FittedModel", "NetConfig", "__version__", "balance", "datasets", "io", "mi", "pl", "pp", "report", "tl"]


def __getattr__(name: str) -> Any:
    if name in _SUBPACKAGES:
        return import_module(f"{__name__}.{name}")
    if name in _NAMES:
        return getattr(import_module(f"{__name__}.{_NAMES[name]}"), name)
    msg = f"module {__name__!r} has no attribute {name!r}"
    raise AttributeError(msg)


def __dir__() -> list[str]:
    return sorted(__all__)
