"""The settings that can be tuned: ranges, their values in a default, and what a choice of values means for a fit."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from sklearn.base import clone

from omicsbal._validate import check_choice, check_number, listed, problem
from omicsbal.balance import Distill, Strategy, fresh
from omicsbal.config import FitConfig, NetConfig
from omicsbal.pp.sources import Source

COMPONENTS, KD = "components", "kd_weight"
NET, CONFIG = ("width", "dropout"), ("weight_decay", "learning_rate")  # fields of `NetConfig` and of `FitConfig`


@dataclass(frozen=True)
class Range:
    """What a setting may be: from low to high, or one of a few choices."""

    low: float = 0.0
    high: float = 1.0
    log: bool = False
    whole: bool = False
    choices: tuple[Any, ...] = ()

    def suggest(self, trial: Any, name: str) -> Any:
        """A value that optuna proposes."""
        if self.choices:
            return trial.suggest_categorical(name, list(self.choices))
        ask = trial.suggest_int if self.whole else trial.suggest_float
        return ask(name, self.low, self.high, log=self.log)

    def holding(self, value: Any) -> "Range":
        """Widened to hold a value."""
        if self.choices:
            return self if value in self.choices else replace(self, choices=(*self.choices, value))
        return replace(self, low=min(self.low, value), high=max(self.high, value), log=self.log and min(self.low, value) > 0)


# Four-fold and more to either side of the defaults, which were chosen on a dozen data sets: our choice.
RANGES = {
    "width": Range(16, 256, log=True, whole=True),
    "dropout": Range(0.0, 0.8),
    "weight_decay": Range(0.05, 20.0, log=True),
    "learning_rate": Range(5e-4, 2e-2, log=True),
    COMPONENTS: Range(choices=(0.25, 0.5, 1.0, 2.0)),
    KD: Range(0.0, 0.9),
}


def kd_argument(strategy: Strategy) -> str:
    """The argument of a strategy that weighs distillation; empty if it has none."""
    return KD if KD in strategy.settings() else "weight" if isinstance(strategy, Distill) else ""


@dataclass(frozen=True)
class Base:
    """The default that trials depart from."""

    strategy: Strategy
    net: NetConfig
    config: FitConfig

    def values(self, names: Sequence[str]) -> dict[str, Any]:
        """Of these settings."""
        known: dict[str, Any] = {COMPONENTS: 1.0, KD: self.strategy.settings().get(kd_argument(self.strategy))}
        known |= {name: getattr(self.net, name) for name in NET} | {name: getattr(self.config, name) for name in CONFIG}
        return {name: known[name] for name in names}

    def changed(self, values: Mapping[str, Any]) -> "Base":
        """With other values.

        Raises
        ------
        ValueError, TypeError
            A value outside what the setting may be.
        """
        net = replace(self.net, **{k: v for k, v in values.items() if k in NET})
        config = replace(self.config, **{k: v for k, v in values.items() if k in CONFIG})
        own = {kd_argument(self.strategy): values[KD]} if KD in values else {}
        strategy = type(self.strategy)(**self.strategy.settings() | own) if own else fresh(self.strategy)
        return Base(strategy, net, config)


def resized(sources: Mapping[str, Source], factor: float) -> dict[str, Any]:
    """Unfitted recipes with `factor` times the components; those that make none are as they were."""
    found = {}
    for m, source in sources.items():
        recipe: Any = clone(source.recipe)
        if has_components(recipe):
            recipe.set_params(n_components=max(1, round(factor * source.recipe.n_out)))
        found[m] = recipe
    return found


def has_components(recipe: Any) -> bool:
    """Whether a recipe makes components, so that their number can be tuned."""
    return recipe.get_params().get("n_components") is not None


def parse_settings(settings: Any, base: Base, recipes: Sequence[Any]) -> dict[str, Range]:
    """What is tuned, and where; each range holds the default.

    Raises
    ------
    TypeError, ValueError
        An unknown setting; one that this strategy, or none of these recipes, has; a range that is empty or holds what may not be.
    """
    lacking = {KD: not kd_argument(base.strategy), COMPONENTS: not any(map(has_components, recipes))}
    if settings is None:
        settings = [name for name in RANGES if not lacking.get(name)]
    if isinstance(settings, str):
        settings = [settings]
    if not isinstance(settings, Mapping):
        settings = dict.fromkeys(settings)
    if not settings:
        do = "Leave it out for the default."
        raise ValueError(problem("settings", expected=f"some of {listed(RANGES)}", found="none", do=do))
    space = {}
    for name, wanted in settings.items():
        check_choice("settings", name, RANGES)
        if lacking.get(name):
            found = "a strategy without distillation" if name == KD else "recipes without components"
            do = f"Leave {name!r} out" + (", or pass strategy='mutual'." if name == KD else ".")
            raise ValueError(problem("settings", expected=f"settings that this fit has, not {name!r}", found=found, do=do))
        space[name] = RANGES[name] if wanted is None else _own_range(name, wanted, base)
    default = base.values(list(space))
    return {name: place.holding(default[name]) for name, place in space.items()}


def _own_range(name: str, wanted: Any, base: Base) -> Range:
    """A range of the user's: (low, high), or a list of choices."""
    told = f"settings[{name!r}]"
    expected = "a list of factors" if name == COMPONENTS else "(low, high) with low < high, or a list of values"
    if isinstance(wanted, list) and wanted:
        place, ends = replace(RANGES[name], choices=tuple(dict.fromkeys(wanted))), wanted
    elif isinstance(wanted, tuple) and len(wanted) == 2 and name != COMPONENTS:
        low, high = (check_number(told, v, low=0, integer=RANGES[name].whole) for v in wanted)
        if not low < high:
            raise ValueError(problem(told, expected=expected, found=repr(wanted), do="Swap them, or leave the setting out."))
        place, ends = replace(RANGES[name], low=low, high=high, log=RANGES[name].log and low > 0), list(wanted)
    else:
        raise TypeError(problem(told, expected=expected, found=repr(wanted), do="Pass a tuple of two numbers, or a list."))
    for value in ends:
        if name == COMPONENTS:
            check_number(told, value, low=0, open_low=True)
        else:
            base.changed({name: value})
    return place
