"""A fitted model: recipes, predictor and what is known of its training rows; saved as arrays and JSON alone."""

import platform
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import torch

import omicsbal
from omicsbal._store import frame_from_json, frame_to_json, read_folder, write_folder
from omicsbal._types import Arrays
from omicsbal._validate import check_choice, nearest, problem
from omicsbal.balance import STRATEGIES, name_of
from omicsbal.config import NetConfig
from omicsbal.loader import to_arrays
from omicsbal.nn.net import MultiOmicsNet
from omicsbal.pp.recipes import RECIPES
from omicsbal.pp.sources import Source
from omicsbal.train.alignment import Alignment
from omicsbal.train.classes import Classes
from omicsbal.train.experts import Expert
from omicsbal.train.members import Members
from omicsbal.train.outcome import Outcome
from omicsbal.train.predictor import Pool, Predictor
from omicsbal.train.values import Values

if TYPE_CHECKING:
    from mudata import MuData

SCHEMA = 1  # format of the folder; raised when an older omicsbal could not read it
OUTCOMES: dict[str, Any] = {"classification": Classes, "regression": Values}
LIBRARIES = ("numpy", "scipy", "pandas", "sklearn", "torch", "anndata", "mudata")


def versions() -> dict[str, str]:
    """Of Python, omicsbal and the libraries that numbers depend on."""
    from importlib.metadata import version

    names = {"sklearn": "scikit-learn"}
    return {"python": platform.python_version(), "omicsbal": omicsbal.__version__} | {
        n: version(names.get(n, n)) for n in LIBRARIES
    }


def pick_device(device: str) -> torch.device:
    """The device by name; "auto" is the GPU if there is one."""
    if device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    known = ["auto", "cpu", *(f"cuda:{i}" for i in range(torch.cuda.device_count())), *["cuda"] * torch.cuda.is_available()]
    return torch.device(check_choice("device", device, known))


@dataclass
class FittedModel:
    """What `omicsbal.tl.fit` returns: everything needed to predict raw counts of new cells.

    Attributes
    ----------
    label_key
        The label it predicts.
    sources
        How each modality is read and turned into numbers.
    predictor
        Nets, linear experts and pools.
    params
        Arguments of the fit, JSON-able.
    tables
        DataFrames "heads", "fold_scores", "history", "calibration", "pools", "recipes"; all scores out-of-fold.
    written_by
        Versions of the libraries at the time of the fit.

    Examples
    --------
    >>> import omicsbal as ob
    >>> mdata = ob.datasets.simulate(n_obs=80, n_truth=200, random_state=0)
    >>> model = ob.tl.fit(mdata, label_key="cell_type", config=ob.FitConfig(max_epochs=2), progress=False)
    >>> model.modalities
    ['rna', 'atac', 'protein']
    """

    label_key: str
    sources: dict[str, Source]
    predictor: Predictor
    params: dict[str, Any]
    tables: dict[str, pd.DataFrame]
    written_by: dict[str, str] = field(default_factory=versions)

    @property
    def outcome(self) -> Outcome:
        """What the label asks for."""
        return self.predictor.outcome

    @property
    def task(self) -> str:
        """Either "classification" or "regression"."""
        return self.outcome.kind

    @property
    def classes(self) -> list[str]:
        """Class names; empty for regression."""
        return list(self.outcome.names)

    @property
    def modalities(self) -> list[str]:
        """Names, in order."""
        return list(self.sources)

    @property
    def heads(self) -> pd.DataFrame:
        """Out-of-fold scores of every head, expert and pool."""
        return self.tables["heads"].set_index("head")

    @property
    def history(self) -> pd.DataFrame:
        """Losses, out-of-fold metrics and signals by epoch."""
        return self.tables["history"]

    def __repr__(self) -> str:
        metric = self.outcome.metric
        shown = self.heads[["kind", metric, f"{metric}_low", f"{metric}_high", "log_loss", "weight"]].round(3)
        sizes = ", ".join(f"{m} ({len(s.features)} features)" for m, s in self.sources.items())
        what = f"{len(self.classes)} classes" if self.classes else "a number"
        title = f"FittedModel of {self.label_key!r} ({what}) from {sizes}; strategy {self.params['strategy']!r}"
        return f"{title}\nOut-of-fold scores, 95 % intervals over folds:\n{shown.to_string(na_rep='')}"

    def arrays(
        self, mdata: "MuData", *, modalities: list[str] | None = None, min_coverage: float = 0.8, device: str = "auto"
    ) -> tuple[Arrays, dict[str, float]]:
        """Raw data through the recipes.

        Parameters
        ----------
        mdata
            With at least one of the model's modalities; left as it is.
        modalities
            Use these alone; None: all that are there.
        min_coverage
            Least share in [0, 1] of a modality's features that must be found by name.
        device
            Where the tensors go.

        Returns
        -------
        Arrays of all rows, and the share of features found by modality.

        Raises
        ------
        KeyError
            A modality that the model does not know or the data do not have.
        ValueError
            Too few features found, or values that the recipe refuses.
        """
        shared = [m for m in self.modalities if m in mdata.mod]
        for m in modalities or []:
            if m not in shared:
                where = "a modality of the model" if m not in self.modalities else "a modality of the query"
                raise KeyError(problem("modalities", expected=where, found=repr(m), do=nearest(m, shared)))
        if not shared:
            do = f"Rename the query's modalities to the model's: {self.modalities}."
            raise KeyError(problem("mdata", expected=f"at least one of {self.modalities}", found=list(mdata.mod), do=do))
        blocks, present, coverage = {}, {}, {}
        for m, source in self.sources.items():
            blocks[m], present[m], coverage[m] = source.block(mdata, min_coverage=min_coverage)
            if modalities is not None and m not in modalities:
                present[m] = np.zeros_like(present[m])
        n = mdata.n_obs
        data = to_arrays(blocks, present, y=np.zeros(n, dtype=np.int64), weight=np.ones(n), device=pick_device(device))
        self.predictor.net.to(data.y.device)
        return data, {m: c for m, c in coverage.items() if m in shared}

    def save(self, path: Path | str, *, overwrite: bool = False) -> Path:
        """Write the model as a folder: weights and recipes as safetensors, the rest as JSON; no pickle.

        Parameters
        ----------
        path
            New folder, inside one that exists. It appears complete or not at all.
        overwrite
            Replace an omicsbal model that is already there.

        Returns
        -------
        The path.

        Raises
        ------
        FileExistsError
            Something is there already.
        OSError
            The folder cannot be written.
        """
        p = self.predictor
        weights = {f"net/{k}": v.cpu().numpy() for k, v in p.net.state_dict().items()}
        weights |= {f"strategy/{k}": v.cpu().numpy() for k, v in p.strategy.state_dict().items()}
        for part in ("centre", "turn", "home"):
            weights |= {f"{part}/{k}": v for k, v in getattr(p.alignment, part).items()}
        weights["folds"] = p.members.folds
        for name, expert in p.experts.items():
            weights |= {f"coef/{name}": expert.coef, f"intercept/{name}": expert.intercept}
        recipes = {f"{m}/{k}": v for m, s in self.sources.items() for k, v in s.recipe.state().items()}
        write_folder(Path(path), self._manifest(), {"weights": weights, "recipes": recipes}, overwrite=overwrite)
        return Path(path)

    def _manifest(self) -> dict[str, Any]:
        """Everything that is no array."""
        p = self.predictor
        return {
            "schema": SCHEMA,
            "label_key": self.label_key,
            "versions": self.written_by,
            "params": self.params,
            "outcome": self.outcome.state(),
            "strategy": {"name": name_of(p.strategy), "settings": p.strategy.settings()},
            "trained": list(p.trained),
            "n_full": p.members.n_full,
            "temperatures": p.temperatures,
            "experts": {name: {"modalities": list(e.modalities), "strength": e.strength} for name, e in p.experts.items()},
            "pools": [
                {
                    "pattern": sorted(k),
                    "heads": v.heads,
                    "temperatures": list(v.temperatures),
                    "weights": list(v.weights),
                    "n": v.n,
                }
                for k, v in p.pools.items()
            ],
            "sources": [_source_manifest(s) for s in self.sources.values()],
            "tables": {name: frame_to_json(t) for name, t in self.tables.items()},
        }

    @classmethod
    def load(cls, path: Path | str) -> "FittedModel":
        """Read a folder written by `save`; nothing in it is run.

        Parameters
        ----------
        path
            The folder.

        Returns
        -------
        The model; its predictions are those of the one that was saved.

        Raises
        ------
        FileNotFoundError
            No model there, or a file missing.
        ValueError
            Files altered, a newer format, or a strategy that is not registered here.
        """
        facts, arrays = read_folder(Path(path), schema=SCHEMA)
        recipes = _grouped(arrays["recipes"])
        sources = {s["name"]: _source(s, recipes[s["name"]]) for s in facts["sources"]}
        predictor = _predictor(facts, sources, arrays["weights"])
        tables = {name: frame_from_json(t) for name, t in facts["tables"].items()}
        return cls(facts["label_key"], sources, predictor, facts["params"], tables, facts["versions"])


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
    net = MultiOmicsNet(sizes, outcome.task.n_out, members=members.total, config=config, generator=torch.Generator())
    net.load_state_dict({k: torch.from_numpy(v) for k, v in parts["net"].items()})
    named = facts["strategy"]
    strategy = STRATEGIES[check_choice("strategy", named["name"], STRATEGIES)](**named["settings"])
    strategy.load_state_dict({k: torch.from_numpy(v) for k, v in parts.get("strategy", {}).items()})
    experts = {
        name: Expert(tuple(e["modalities"]), parts["coef"][name], parts["intercept"][name], e["strength"])
        for name, e in facts["experts"].items()
    }
    pools = {
        frozenset(q["pattern"]): Pool(tuple(q["heads"]), np.array(q["temperatures"]), np.array(q["weights"]), q["n"])
        for q in facts["pools"]
    }
    alignment = Alignment(parts["centre"], parts["turn"], parts["home"])
    trained = tuple(facts["trained"])
    return Predictor(net, strategy, members, outcome, trained, experts, alignment, facts["temperatures"], pools)
