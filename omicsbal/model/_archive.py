"""A fitted model as a folder and back."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from omicsbal._store import frame_from_json, frame_to_json, read_folder, write_folder
from omicsbal._validate import check_choice, problem
from omicsbal.balance import STRATEGIES, name_of
from omicsbal.config import NetConfig
from omicsbal.graph.patients import PatientGraph
from omicsbal.model._training_rows import TrainingRows
from omicsbal.nn.net import MultiOmicsNet
from omicsbal.pp.recipes import RECIPES
from omicsbal.pp.sources import Source
from omicsbal.train.alignment import Alignment
from omicsbal.train.classes import Classes
from omicsbal.train.experts import Expert
from omicsbal.train.members import Members
from omicsbal.train.predictor import Pool, Predictor
from omicsbal.train.values import Values

if TYPE_CHECKING:
    from omicsbal.model._fitted import FittedModel

SCHEMA = 1  # format of the folder; raised when an older omicsbal could not read it
OUTCOMES: dict[str, Any] = {"classification": Classes, "regression": Values}


def write(model: "FittedModel", path: Path, *, overwrite: bool) -> None:
    """The folder that `read` understands."""
    p = model.predictor
    weights = {f"net/{k}": v.cpu().numpy() for k, v in p.net.state_dict().items()}
    weights |= {f"strategy/{k}": v.cpu().numpy() for k, v in p.strategy.state_dict().items()}
    for part in ("centre", "turn", "home"):
        weights |= {f"{part}/{space}": v for space, v in getattr(p.alignment, part).items()}
    weights["folds"] = p.members.folds
    for name, expert in p.experts.items():
        weights |= {f"coef/{name}": expert.coef, f"intercept/{name}": expert.intercept}
    recipes = {f"{m}/{k}": v for m, s in model.sources.items() for k, v in s.recipe.state().items()}
    files = {"weights": weights, "recipes": recipes, "training_rows": model.training_rows.state()}
    write_folder(path, _manifest(model), {name: arrays for name, arrays in files.items() if arrays}, overwrite=overwrite)


def _manifest(model: "FittedModel") -> dict[str, Any]:
    """Everything that is no array."""
    p = model.predictor
    return {
        "schema": SCHEMA,
        "label_key": model.label_key,
        "versions": model.written_by,
        "params": model.params,
        "outcome": model.outcome.state(),
        "strategy": {"name": name_of(p.strategy), "settings": p.strategy.settings()},
        "trained": list(p.trained),
        "n_full": p.members.n_full,
        "temperatures": p.temperatures,
        "errors": p.errors,
        "experts": {name: {"modalities": list(e.modalities), "strength": e.strength} for name, e in p.experts.items()},
        "pools": [
            {
                "pattern": sorted(k),
                "heads": v.heads,
                "temperatures": list(v.temperatures),
                "weights": list(v.weights),
                "n": v.n,
                "error": v.error,
            }
            for k, v in p.pools.items()
        ],
        "sources": [_source_manifest(s) for s in model.sources.values()],
        "tables": {name: frame_to_json(t) for name, t in model.tables.items()},
    }


def read(path: Path) -> dict[str, Any]:
    """Arguments of a `FittedModel`; nothing in the folder is run."""
    facts, arrays = read_folder(path, schema=SCHEMA)
    try:
        return _facts(facts, arrays)
    except (KeyError, TypeError, RuntimeError) as error:  # RuntimeError: shapes that torch cannot load
        expected, found = "a folder written by model.save", f"contents that do not fit together ({type(error).__name__}: {error})"
        raise ValueError(problem("path", expected=expected, found=found, do="Save the model again.")) from error


def _facts(facts: Mapping[str, Any], arrays: Mapping[str, Mapping[str, np.ndarray]]) -> dict[str, Any]:
    """Arguments of a `FittedModel` from the manifest and the files."""
    recipes = _grouped(arrays["recipes"])
    sources = {s["name"]: _source(s, recipes[s["name"]]) for s in facts["sources"]}
    return {
        "label_key": facts["label_key"],
        "sources": sources,
        "predictor": _predictor(facts, sources, arrays["weights"]),
        "params": facts["params"],
        "tables": {name: frame_from_json(t) for name, t in facts["tables"].items()},
        "written_by": facts["versions"],
        "training_rows": TrainingRows.from_state(arrays.get("training_rows", {})),
    }


def _source_manifest(source: Source) -> dict[str, Any]:
    """A source without its arrays."""
    names = ("name", "features", "layer", "use_rep", "why")
    recipe = {"name": source.recipe.name, "params": source.recipe.get_params()}
    return {n: getattr(source, n) for n in names} | {"recipe": recipe}


def _grouped(arrays: Mapping[str, np.ndarray]) -> dict[str, dict[str, np.ndarray]]:
    """{"a/b": x} to {"a": {"b": x}}; the last slash counts, since a modality's name may hold one."""
    groups: dict[str, dict[str, np.ndarray]] = {}
    for key, value in arrays.items():
        group, _, name = key.rpartition("/")
        groups.setdefault(group, {})[name] = value
    return groups


def _source(facts: Mapping[str, Any], state: Mapping[str, np.ndarray]) -> Source:
    """Inverse of `_source_manifest`."""
    kind = RECIPES[check_choice("recipe", facts["recipe"]["name"], RECIPES)]
    recipe = kind.from_state(facts["recipe"]["params"], state)
    return Source(facts["name"], recipe, tuple(facts["features"]), facts["layer"], facts["use_rep"], facts["why"])


def _predictor(facts: Mapping[str, Any], sources: Mapping[str, Source], arrays: Mapping[str, np.ndarray]) -> Predictor:
    """The predictor from the manifest and the weights."""
    parts: dict[str, dict[str, np.ndarray]] = {}
    for key, value in arrays.items():
        kind, _, name = key.partition("/")
        parts.setdefault(kind, {})[name] = value
    outcome = OUTCOMES[facts["outcome"]["kind"]].from_state(facts["outcome"])
    members = Members(parts["folds"][""], facts["n_full"])
    sizes = {m: s.recipe.n_out for m, s in sources.items()}
    config = NetConfig(**facts["params"]["net"])
    tensors = {k: torch.from_numpy(v) for k, v in parts["net"].items()}
    links = {k.removeprefix("graph."): v for k, v in tensors.items() if k.startswith("graph.")}
    graph = PatientGraph(list(sizes), links) if links else None
    net = MultiOmicsNet(sizes, outcome.task.n_out, members=members.total, config=config, generator=torch.Generator(), graph=graph)
    net.load_state_dict(tensors)
    named = facts["strategy"]
    strategy = STRATEGIES[check_choice("strategy", named["name"], STRATEGIES)](**named["settings"])
    memory = {k: torch.from_numpy(v) for k, v in parts.get("strategy", {}).items()}
    for name in memory.keys() - strategy.state_dict().keys():  # made in its set-up, for which the training rows would be needed
        strategy.register_buffer(name, memory[name])
    strategy.load_state_dict(memory)
    experts = {
        name: Expert(tuple(e["modalities"]), parts["coef"][name], parts["intercept"][name], e["strength"])
        for name, e in facts["experts"].items()
    }
    pools = {
        frozenset(q["pattern"]): Pool(tuple(q["heads"]), np.array(q["temperatures"]), np.array(q["weights"]), q["n"], q["error"])
        for q in facts["pools"]
    }
    alignment = Alignment(parts["centre"], parts["turn"], parts["home"])
    trained = tuple(facts["trained"])
    return Predictor(net, strategy, members, outcome, trained, experts, alignment, facts["temperatures"], pools, facts["errors"])
