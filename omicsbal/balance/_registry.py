"""What the registry of strategies shows, and whom it takes in."""

import inspect
from collections.abc import Mapping
from typing import TYPE_CHECKING

from omicsbal._validate import problem
from omicsbal.balance._base import Strategy

if TYPE_CHECKING:
    import pandas as pd


def needs_of(cls: type[Strategy]) -> list[str]:
    """What a strategy asks for, declared or to be seen from its flags."""
    flags = {"unimodal references": cls.references is True, "probe heads": cls.probes}
    return [name for name, there in flags.items() if there] + ([cls.needs] if cls.needs else [])


def table_of(registry: Mapping[str, type[Strategy]]) -> "pd.DataFrame":
    """A row a strategy, sorted by name; see `omicsbal.balance.strategies`."""
    import pandas as pd

    rows = {
        name: {
            "summary": (inspect.getdoc(cls) or "").split("\n", 1)[0],
            "paper": cls.paper,
            "needs": ", ".join(needs_of(cls)),
            "cost": cls.cost,
            "tasks": ", ".join(cls.tasks),
            "confidence": cls.confidence,
            "arguments": str(inspect.signature(cls)).split(" ->")[0],
            "fused": cls.fused,
            "unimodal": cls.unimodal,
        }
        for name, cls in sorted(registry.items())
    }
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("name").reset_index()


def check_registrable(name: str, cls: type[Strategy], registry: Mapping[str, type[Strategy]]) -> None:
    """Refuse what `omicsbal.balance.register` cannot take; its docstring says what that is."""
    if not (isinstance(cls, type) and issubclass(cls, Strategy)):
        found = cls.__name__ if isinstance(cls, type) else type(cls).__name__
        raise TypeError(problem("cls", expected="a subclass of ob.balance.Strategy", found=found, do="Pass the class itself."))
    if not (isinstance(name, str) and name.isidentifier() and name == name.lower()):
        do = "Choose a name such as 'my_method'."
        raise ValueError(problem("name", expected="a lower-case Python identifier", found=repr(name), do=do))
    there = registry.get(name)
    if there is not None and (there.__module__.startswith(__package__) or there.__qualname__ != cls.__qualname__):
        found = f"{name!r}, which is {there.__name__}"
        raise ValueError(problem("name", expected="one that is free", found=found, do="Choose another."))
    unset = [p.name for p in inspect.signature(cls).parameters.values() if p.default is p.empty]
    if unset:
        expected = "a class that can be made without arguments"
        raise TypeError(problem("cls", expected=expected, found=f"{unset} without default", do="Give each a default."))
    made = cls()
    lost = [argument for argument in inspect.signature(cls).parameters if not hasattr(made, argument)]
    if lost:
        expected = "each argument kept as an attribute of its name"
        do = "Set self.<argument> = <argument> in __init__: copies and saved models are made from these."
        raise ValueError(problem("cls", expected=expected, found=f"{lost} missing", do=do))
