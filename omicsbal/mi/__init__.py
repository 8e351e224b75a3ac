"""Mutual information in nats, with standard errors and with what chance gives.

`between` two representations and `with_labels`; beside them the named alternatives for comparison, of which the neural ones load
torch when used.

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

from omicsbal.mi._between import between
from omicsbal.mi._result import Information
from omicsbal.mi.gate import complementarity
from omicsbal.mi.gaussian import copula_mi
from omicsbal.mi.knn import ksg, ross
from omicsbal.mi.labels import with_labels
from omicsbal.mi.probe import usable

_NEURAL = ("infonce", "mine")
__all__ = ["Information", "between", "complementarity", "copula_mi", "infonce", "ksg", "mine", "ross", "usable", "with_labels"]


def __getattr__(name: str) -> Any:
    if name in _NEURAL:
        return getattr(import_module(f"{__name__}.neural"), name)
    msg = f"module {__name__!r} has no attribute {name!r}"
    raise AttributeError(msg)


def __dir__() -> list[str]:
    return sorted(__all__)
