"""Balancing strategies by name, and a table of them; and what strategies of one's own are made of.

`confidence` says how well each modality does on a batch, `ratios` compares them, `scale_update` and `freeze` set how far an
encoder moves; see CONTRIBUTING.md and tutorials/05_write_a_strategy.ipynb.

Examples
--------
>>> import omicsbal as ob
>>> "uniform" in set(ob.balance.strategies()["name"])
True
"""

from typing import TYPE_CHECKING

from omicsbal._validate import check_choice, problem
from omicsbal.balance._base import Strategy
from omicsbal.balance._distill import Distill
from omicsbal.balance._registry import check_registrable, table_of
from omicsbal.balance._scores import confidence, ratios
from omicsbal.balance._updates import freeze, scale_update
from omicsbal.balance.agm import Agm
from omicsbal.balance.amco import Amco
from omicsbal.balance.arm import Arm
from omicsbal.balance.cggm import Cggm
from omicsbal.balance.cml import Cml
from omicsbal.balance.dyncim import Dyncim
from omicsbal.balance.g2d import G2d
from omicsbal.balance.gblend import Gblend
from omicsbal.balance.gradnorm import Gradnorm
from omicsbal.balance.greedy import Greedy
from omicsbal.balance.joint import Joint
from omicsbal.balance.late import Late
from omicsbal.balance.lfm import Lfm
from omicsbal.balance.mbsd import Mbsd
from omicsbal.balance.mla import Mla
from omicsbal.balance.mmcosine import Mmcosine
from omicsbal.balance.mmpareto import Mmpareto
from omicsbal.balance.modality_dropout import ModalityDropout
from omicsbal.balance.mses import Mses
from omicsbal.balance.mslr import Mslr
from omicsbal.balance.mutual import Mutual
from omicsbal.balance.odsw import Odsw
from omicsbal.balance.ogm_ge import OgmGe
from omicsbal.balance.opm import Opm
from omicsbal.balance.pcgrad import Pcgrad
from omicsbal.balance.pmr import Pmr
from omicsbal.balance.reconboost import Reconboost
from omicsbal.balance.relearning import Relearning
from omicsbal.balance.smv import Smv
from omicsbal.balance.udi import Udi
from omicsbal.balance.ume import Ume
from omicsbal.balance.umt import Umt
from omicsbal.balance.uncertainty import Uncertainty
from omicsbal.balance.uniform import Uniform
from omicsbal.balance.unimodal import Unimodal

if TYPE_CHECKING:
    import pandas as pd

__all__ = [
    "Agm",
    "Amco",
    "Arm",
    "Cggm",
    "Cml",
    "Distill",
    "Dyncim",
    "G2d",
    "Gblend",
    "Gradnorm",
    "Greedy",
    "Joint",
    "Late",
    "Lfm",
    "Mbsd",
    "Mla",
    "Mmcosine",
    "Mmpareto",
    "ModalityDropout",
    "Mses",
    "Mslr",
    "Mutual",
    "Odsw",
    "OgmGe",
    "Opm",
    "Pcgrad",
    "Pmr",
    "Reconboost",
    "Relearning",
    "Smv",
    "Strategy",
    "Udi",
    "Ume",
    "Umt",
    "Uncertainty",
    "Uniform",
    "Unimodal",
    "confidence",
    "freeze",
    "fresh",
    "name_of",
    "ratios",
    "register",
    "scale_update",
    "strategies",
]

STRATEGIES: dict[str, type[Strategy]] = {
    "agm": Agm,
    "amco": Amco,
    "arm": Arm,
    "cggm": Cggm,
    "cml": Cml,
    "distill": Distill,
    "dyncim": Dyncim,
    "g2d": G2d,
    "gblend": Gblend,
    "gradnorm": Gradnorm,
    "greedy": Greedy,
    "joint": Joint,
    "late": Late,
    "lfm": Lfm,
    "mbsd": Mbsd,
    "mla": Mla,
    "mmcosine": Mmcosine,
    "mmpareto": Mmpareto,
    "modality_dropout": ModalityDropout,
    "mses": Mses,
    "mslr": Mslr,
    "mutual": Mutual,
    "odsw": Odsw,
    "ogm_ge": OgmGe,
    "opm": Opm,
    "pcgrad": Pcgrad,
    "pmr": Pmr,
    "reconboost": Reconboost,
    "relearning": Relearning,
    "smv": Smv,
    "udi": Udi,
    "ume": Ume,
    "umt": Umt,
    "uncertainty": Uncertainty,
    "uniform": Uniform,
    "unimodal": Unimodal,
}


def strategies() -> "pd.DataFrame":
    """All strategies: what each does, where it comes from, what it asks for and costs.

    Returns
    -------
    DataFrame, a row a strategy, sorted by name. ``name``; ``summary``; ``paper``, with its arXiv id or DOI; ``needs``, what it
    asks for beyond one pass a batch; ``cost``, time of a fit relative to `joint` (benchmarks/results/strategies.md; teachers come
    on top); ``tasks`` it supports; ``confidence``: "faithful" to paper or code up to what its docstring lists, "our
    reconstruction" where the formulas were not to be had, "own" where there is no paper; ``arguments`` of the constructor;
    ``fused`` and ``unimodal``, which heads get a loss.

    Examples
    --------
    >>> table = strategies().set_index("name")
    >>> table.loc["modality_dropout", ["paper", "confidence"]].tolist()
    ['Neverova et al. 2016, arXiv:1501.00102', 'faithful']
    """
    return table_of(STRATEGIES)


def register(name: str, cls: type[Strategy]) -> None:
    """Let a strategy of your own go by a name: in `ob.tl.fit(strategy=...)`, `strategies` and saved models.

    A saved model says only the name: register the class again before `FittedModel.load` in another session.

    Parameters
    ----------
    name
        Lower case, a Python identifier; not that of another class. Registering a class again under its name replaces it, as
        running a notebook cell twice does.
    cls
        Subclass of `Strategy` that can be made without arguments and keeps each argument as an attribute of the same name.

    Raises
    ------
    TypeError
        Not a subclass of `Strategy`, or one that needs arguments.
    ValueError
        A name that is no lower-case identifier, or is taken by a strategy of this package or by another class; an argument that
        is not kept.

    Examples
    --------
    >>> class Louder(Strategy):
    ...     "The first modality weighs twice."
    ...
    ...     def weights(self, state, losses, outputs, batch):
    ...         return {next(iter(outputs.unimodal)): 2.0}
    >>> register("louder", Louder)
    >>> fresh("louder").heads(["rna"])
    ['fused', 'rna']
    """
    check_registrable(name, cls, STRATEGIES)
    STRATEGIES[name] = cls


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
