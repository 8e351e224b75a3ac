"""Data to learn and test on: a simulator whose right answers are known, and a registry of public data sets.

Examples
--------
>>> import omicsbal as ob
>>> ob.datasets.simulate(n_obs=60, n_truth=200).n_obs
60
"""

from importlib import import_module
from typing import Any

from omicsbal.datasets.simulate import simulate

_FROM_REGISTRY = ("available", "load")
__all__ = ["available", "load", "simulate"]


def __getattr__(name: str) -> Any:
    if name in _FROM_REGISTRY:
        return getattr(import_module("omicsbal.datasets.registry"), name)
    msg = f"module {__name__!r} has no attribute {name!r}"
    raise AttributeError(msg)


def __dir__() -> list[str]:
    return sorted(__all__)
