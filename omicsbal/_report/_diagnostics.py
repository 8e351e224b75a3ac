"""The diagnostics that a report shows: which slot they write, how they are called, and what to say if one is not there."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from omicsbal import _keys
from omicsbal._report._html import reason

if TYPE_CHECKING:
    from mudata import MuData

    from omicsbal.model import FittedModel


@dataclass(frozen=True)
class Asked:
    """With what diagnostics are run."""

    model: "FittedModel"
    mdata: "MuData"
    group_key: str | None
    device: str
    key_added: str
    random_state: int
    progress: bool

    def options(self, *names: str) -> dict[str, Any]:
        """Options of a verb by name."""
        return {k: getattr(self, k) for k in names}


@dataclass(frozen=True)
class Diagnostic:
    """A verb and the table that it writes."""

    slot: str
    call: str  # to type, for a reader who wants it
    run: Callable[[Asked], Any] | None  # None: too slow to be run unasked
    classes_only: bool = False


def _modality_snr(asked: Asked) -> None:
    """Signal-to-noise ratios of the matrices that the model reads."""
    from omicsbal import tl

    read = {m: s for m, s in asked.model.sources.items() if m in asked.mdata.mod and not s.use_rep}
    if not read:
        raise ValueError("The model reads entries of obsm, not counts.")
    options: dict[str, Any] = {
        "label_key": None if asked.model.task == "regression" else asked.model.label_key,
        "group_key": asked.group_key or str(asked.model.params.get("group_key", "")) or None,
        "modalities": list(read),
        "layer": {m: s.layer for m, s in read.items() if s.layer} or None,
        "recipe": {m: s.recipe for m, s in read.items()},
    }
    tl.modality_snr(asked.mdata, **options, **asked.options("key_added", "random_state", "progress"))


def _with_model(verb: str, *more: str) -> Callable[[Asked], Any]:
    """Runs a verb of `omicsbal.tl` that takes the model; `more` are options that not every verb has."""

    def run(asked: Asked) -> Any:
        from omicsbal import tl

        return getattr(tl, verb)(asked.model, asked.mdata, **asked.options("device", "key_added", "random_state", *more))

    return run


def _feature_importance(asked: Asked) -> None:
    """Of the network on all modalities; where a strategy trains none, of the best one on a single modality."""
    from omicsbal import tl

    trained = asked.model.predictor.trained
    heads = asked.mdata.uns[asked.key_added][_keys.HEADS].set_index("head")[str(asked.model.outcome.metric)]
    head = "fused" if "fused" in trained else str(heads.reindex(list(trained)).idxmax())
    tl.feature_importance(asked.model, asked.mdata, head=head, **asked.options("device", "key_added", "random_state", "progress"))


_REFIT = "ob.tl.fit(mdata, label_key=..., strategy='mutual')"
_ALL = ("group_key", "progress")
DIAGNOSTICS = (
    Diagnostic(_keys.CONTRIBUTION, "ob.tl.contribution(model, mdata)", _with_model("contribution", "group_key")),
    Diagnostic(_keys.UTILIZATION, "ob.tl.utilization(model, mdata)", _with_model("utilization", *_ALL), classes_only=True),
    Diagnostic(_keys.INFORMATION, "ob.tl.information(model, mdata)", _with_model("information", "group_key"), classes_only=True),
    Diagnostic(_keys.ROBUSTNESS, "ob.tl.robustness(model, mdata)", _with_model("robustness", *_ALL)),
    Diagnostic(_keys.SNR, "ob.tl.modality_snr(mdata, label_key=...)", _modality_snr),
    Diagnostic(
        _keys.DIFFICULTY, "ob.tl.cell_difficulty(model, mdata)", _with_model("cell_difficulty", "group_key"), classes_only=True
    ),
    Diagnostic(
        _keys.IMPORTANCE,
        "ob.tl.feature_importance(model, mdata)",
        _feature_importance,
        classes_only=True,
    ),
    Diagnostic(_keys.KD_GATE, _REFIT, None),
)
BY_SLOT = {d.slot: d for d in DIAGNOSTICS}


def gather(asked: Asked, *, compute: bool) -> dict[str, str]:
    """Run what is missing; returns, for each table that is still not there, why."""
    from tqdm.auto import tqdm

    missing = {}
    absent = [d for d in DIAGNOSTICS if d.slot not in asked.mdata.uns[asked.key_added]]
    for one in tqdm(absent, desc="diagnostics", unit="diagnostic", disable=not (asked.progress and compute), leave=False):
        why = _why_not(one, asked, compute=compute)
        if not why and one.run is not None:
            try:
                one.run(asked)
            except (KeyError, ValueError, ImportError) as error:  # a refusal in words: told where the table would have been
                why = reason(error)
        if why:
            missing[one.slot] = why
    return missing


def _why_not(one: Diagnostic, asked: Asked, *, compute: bool) -> str:
    """The reason to leave a diagnostic out; empty if it is to be run."""
    if one.classes_only and asked.model.task == "regression":
        return "It is defined for classes, and this label is a number."
    if one.run is None:
        return "It takes a training of its own and is not run for a report."
    return "" if compute else "It was not run before, and the report was asked to compute nothing."


def params_of(entries: dict[str, Any]) -> dict[str, Any]:
    """The settings of the fit."""
    return dict(json.loads(str(entries.get(_keys.PARAMS, "{}"))))
