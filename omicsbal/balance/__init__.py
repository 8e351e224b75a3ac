"""Balancing strategies by name, and a table of them.

Examples
--------
>>> import omicsbal as ob
>>> "uniform" in set(ob.balance.strategies()["name"])
True
"""

import inspect
from typing import TYPE_CHECKING

from omicsbal._validate import check_choice, problem
from omicsbal.balance._base import Strategy
from omicsbal.balance._distill import Distill
from omicsbal.balance.joint import Joint
from omicsbal.balance.late import Late
from omicsbal.balance.modality_dropout import ModalityDropout
from omicsbal.balance.mutual import Mutual
from omicsbal.balance.uniform import Uniform
from omicsbal.balance.unimodal import Unimodal

if TYPE_CHECKING:
    import pandas as pd

__all__ = [
    "Distill",
    "Joint",
    "Late",
    "ModalityDropout",
    "Mutual",
    "Strategy",
    "Uniform",
    "Unimodal",
    "fresh",
    "name_of",
    "strategies",
]

STRATEGIES: dict[str, type[Strategy]] = {
    "distill": Distill,
    "joint": Joint,
    "late": Late,
    "modality_dropout": ModalityDropout,
    "mutual": Mutual,
    "uniform": Uniform,
    "unimodal": Unimodal,
}


def strategies() -> "pd.DataFrame":
    """All strategies: name, one line, constructor arguments, and which heads get a loss.

    Returns
    -------
    DataFrame with columns ``name``, ``summary``, ``arguments``, ``fused`` and ``unimodal``, a row a strategy.

    Examples
    --------
    >>> strategies()["name"].tolist()
    ['distill', 'joint', 'late', 'modality_dropout', 'mutual', 'uniform', 'unimodal']
    """
    import pandas as pd

    rows = [
        (
            name,
            (inspect.getdoc(cls) or "").split("\n", 1)[0],
            str(inspect.signature(cls)).split(" ->")[0],
            cls.fused,
            cls.unimodal,
        )
        for name, cls in STRATEGIES.items()
    ]
    return pd.DataFrame(rows, columns=["name", "summary", "arguments", "fused", "unimodal"])


def fresh(strategy: str | Strategy) -> Strategy:
    """A strategy that no fit has touched: by name with its defaults, or with the settings of an instance.

    Parameters
    ----------
    strategy
        A name of `strategies`, or an instance, which stays as it is.

    Returns
    -------
    A new instance.

    Raises
    ------
    ValueError
        Unknown name; the nearest one is given.
    TypeError
        Neither a name nor a strategy.

    Examples
    --------
    >>> fresh(ModalityDropout(rate=0.5)).rate
    0.5
    """
    if isinstance(strategy, Strategy):
        return type(strategy)(**strategy.settings())
    if not isinstance(strategy, str):
        do = "Pass a name from ob.balance.strategies(), or an instance such as ob.balance.ModalityDropout(rate=0.5)."
        raise TypeError(problem("strategy", expected="a name or a Strategy", found=type(strategy).__name__, do=do))
    return STRATEGIES[check_choice("strategy", strategy, STRATEGIES)]()


def name_of(strategy: Strategy) -> str:
    """The name a strategy goes by: that in the registry, else that of its class.

    Parameters
    ----------
    strategy
        Any instance.

    Returns
    -------
    The name.

    Examples
    --------
    >>> name_of(Uniform())
    'uniform'
    """
    return next((name for name, cls in STRATEGIES.items() if type(strategy) is cls), type(strategy).__name__)
