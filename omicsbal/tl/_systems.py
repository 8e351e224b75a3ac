"""The systems that `compare` knows by name, and those that the user describes."""

import hashlib
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sklearn.base import clone

from omicsbal._validate import check_choice, listed, nearest, problem
from omicsbal.balance import STRATEGIES, Strategy, fresh, name_of
from omicsbal.diagnostics.baselines import baselines_of

OURS = "omicsbal"
SETTINGS = ("strategy", "encoder", "recipe", "net", "config", "experts", "modalities", "n_folds", "rare", "head")
SLOW = ("knn:wnn",)  # muon compiles its search anew in each process: tens of seconds a fold, whatever the data
ADDRESS = re.compile(r" at 0x[0-9a-f]+")  # of an object without a repr of its own: another one in each run


@dataclass(frozen=True)
class System:
    """One system: a fit with settings of its own, a baseline (neither settings nor estimator), or a classifier."""

    name: str
    settings: Mapping[str, Any] | None = None  # of `tl.fit`, and the head that predicts
    estimator: Any = None
    digest: str = field(default="")

    @property
    def is_fit(self) -> bool:
        """Whether it is a fit of ours."""
        return self.settings is not None


def parse_systems(systems: Any, modalities: list[str]) -> list[System]:
    """The systems asked for, in order; None: `default_names`.

    Raises
    ------
    KeyError, TypeError, ValueError
        An unknown name, strategy or setting; two systems of one name; none; something that is no classifier with probabilities.
    """
    if systems is None:
        systems = default_names(modalities)
    given = [systems] if isinstance(systems, str | Mapping) or not isinstance(systems, Iterable) else list(systems)
    parsed: list[System] = []
    for one in given:
        if not isinstance(one, str | Mapping):
            do = 'Pass names, or {"my svm": SVC(probability=True)}.'
            raise TypeError(problem("systems", expected="names and dictionaries", found=type(one).__name__, do=do))
        described = {one: one} if isinstance(one, str) else one
        parsed += [_parse(str(name), what, modalities) for name, what in described.items()]
    names = [s.name for s in parsed]
    if not names or len(set(names)) < len(names):
        found = f"{listed(sorted(n for n in set(names) if names.count(n) > 1))} twice" if names else "none"
        raise ValueError(problem("systems", expected="systems with names of their own", found=found, do="Rename one."))
    return parsed


def default_names(modalities: Sequence[str]) -> list[str]:
    """The default fit, then the baselines but for the slow one; with one modality, also without those that would repeat it."""
    if len(modalities) < 2:
        return [OURS, f"lr:{modalities[0]}", "rf:concat", "gb:concat"]
    return [OURS, *(name for name in baselines_of(modalities) if name not in SLOW)]


def _parse(name: str, what: Any, modalities: list[str]) -> System:
    """One system from its name or its description."""
    if isinstance(what, str):
        return _named(name, what, modalities)
    if isinstance(what, Mapping):
        settings = dict(what)
        for key in settings:
            check_choice(f"systems[{name!r}]", key, SETTINGS, error=KeyError)
        unknown = [m for m in settings.get("modalities") or [] if m not in modalities]
        if unknown:
            do = nearest(unknown[0], modalities)
            raise KeyError(problem(f"systems[{name!r}]", expected="modalities that are used", found=repr(unknown[0]), do=do))
        fresh(settings.get("strategy", "uniform"))
        return System(name, settings=settings, digest=_digest(settings))
    if not all(hasattr(what, method) for method in ("fit", "predict_proba", "get_params")):
        do = "Pass a scikit-learn classifier with probabilities, or a dictionary of arguments of ob.tl.fit."
        raise TypeError(problem(f"systems[{name!r}]", expected="fit and predict_proba", found=type(what).__name__, do=do))
    estimator = clone(what)
    return System(name, estimator=estimator, digest=_digest({"class": type(what).__name__, **estimator.get_params()}))


def _named(name: str, known: str, modalities: list[str]) -> System:
    """One system that the package has a name for."""
    family, _, strategy = known.partition(":")
    if family == OURS:
        settings = {"strategy": check_choice("systems", strategy, STRATEGIES)} if ":" in known else {}
        return System(name, settings=settings, digest=_digest({"known": known}))
    names = [OURS, f"{OURS}:<strategy>", *baselines_of(modalities)]
    check_choice("systems", known, names, error=KeyError)
    if name != known:
        do = f"Call it {known!r}; other names are for settings and classifiers of your own."
        raise ValueError(problem("systems", expected="the name of a baseline as it is", found=repr(name), do=do))
    return System(name, digest=_digest({"known": known}))


def _plain(value: Any) -> Any:
    """Something JSON-able that tells two settings apart."""
    if isinstance(value, Strategy):
        return {"strategy": name_of(value), **value.settings()}
    return value.as_dict() if hasattr(value, "as_dict") else ADDRESS.sub("", repr(value))


def _digest(facts: Mapping[str, Any]) -> str:
    """Short SHA-256 of a description."""
    return hashlib.sha256(json.dumps(facts, sort_keys=True, default=_plain).encode()).hexdigest()[:16]
