"""Mutual information in nats, with standard errors and with what chance gives.

`between` two representations and `with_labels`; beside them the named alternatives for comparison. The neural ones load torch when
used.

Examples
--------
>>> import numpy as np
>>> from omicsbal import mi
>>> x, noise = np.random.default_rng(0).normal(size=(2, 500, 3))
>>> mi.between(x, x + noise).detected
True
"""

from importlib import import_module
from typing import Any

_HOMES = {
    "Information": "_result",
    "between": "between",
    "complementarity": "gate",
    "copula_mi": "gaussian",
    "infonce": "neural",
    "ksg": "knn",
    "mine": "neural",
    "ross": "knn",
    "usable": "probe",
    "with_labels": "labels",
}
__all__ = ["Information", "between", "complementarity", "copula_mi", "infonce", "ksg", "mine", "ross", "usable", "with_labels"]


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    msg = f"module {__name__!r} has no attribute {name!r}"
    raise AttributeError(msg)


def __dir__() -> list[str]:
    return sorted(__all__)
