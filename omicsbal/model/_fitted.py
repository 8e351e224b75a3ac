"""A fitted model: recipes, predictor and what is known of its training rows; saved as arrays and JSON alone."""

import platform
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import torch

import omicsbal
from omicsbal._types import Arrays
from omicsbal._validate import check_choice, check_number, nearest, problem
from omicsbal.loader import to_arrays
from omicsbal.model._archive import read, write
from omicsbal.model._training_rows import TrainingRows
from omicsbal.pp.checks import check_mdata
from omicsbal.pp.sources import Source
from omicsbal.train.outcome import Outcome
from omicsbal.train.predictor import Predictor

if TYPE_CHECKING:
    from mudata import MuData

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
    training_rows
        What `trained_on` knows the rows of the fit by.

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
    training_rows: TrainingRows = field(default_factory=TrainingRows)

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
        shown = self.heads[["kind", metric, f"{metric}_low", f"{metric}_high", self.outcome.loss, "weight"]].round(3)
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
            No modality asked for, too few features found, or values that the recipe refuses.
        """
        shared = [m for m in self.modalities if m in mdata.mod]
        for m in modalities or []:
            if m not in shared:
                where = "a modality of the model" if m not in self.modalities else "a modality of the query"
                raise KeyError(problem("modalities", expected=where, found=repr(m), do=nearest(m, shared)))
        if not shared:
            do = f"Rename the query's modalities to the model's: {self.modalities}."
            raise KeyError(problem("mdata", expected=f"at least one of {self.modalities}", found=list(mdata.mod), do=do))
        if modalities is not None and not modalities:
            do = f"Choose from {shared}, or leave it out to use all."
            raise ValueError(problem("modalities", expected="at least one modality", found="none", do=do))
        n, used = mdata.n_obs, shared if modalities is None else modalities
        blocks, present, coverage = {}, {}, {}
        for m, source in self.sources.items():
            if m in used:
                blocks[m], present[m], coverage[m] = source.block(mdata, min_coverage=min_coverage)
            else:
                blocks[m], present[m] = np.zeros((n, source.recipe.n_out), np.float32), np.zeros(n, dtype=bool)
        data = to_arrays(blocks, present, y=np.zeros(n, dtype=np.int64), weight=np.ones(n), device=pick_device(device))
        self.predictor.net.to(data.y.device)
        self.predictor.strategy.to(data.y.device)
        return data, coverage

    def trained_on(self, mdata: "MuData", *, modalities: list[str] | None = None, min_coverage: float = 0.0) -> np.ndarray:
        """Which rows the model was trained on: predictions of these are in-sample, whatever became of the results of the fit.

        Parameters
        ----------
        mdata
            Raw values as in the fit; left as it is.
        modalities, min_coverage
            As in `arrays`; nothing is predicted, so any features will do.

        Returns
        -------
        (n_obs,) bool. A row counts if it bears the name of a training row and has about its values in at least half of the
        modalities that both have; one that was renamed, or changed further than that, is taken for a new one.

        Raises
        ------
        ValueError
            The model was saved by a version of omicsbal that kept nothing of its training rows; `min_coverage` outside [0, 1].
        TypeError, KeyError, ValueError
            As `arrays`, and for what is no MuData.

        Examples
        --------
        >>> import omicsbal as ob
        >>> mdata = ob.datasets.simulate(n_obs=80, n_truth=200, random_state=0)
        >>> train = mdata[:70].copy()
        >>> model = ob.tl.fit(train, label_key="cell_type", n_folds=2, config=ob.FitConfig(max_epochs=2), progress=False)
        >>> mdata[~model.trained_on(mdata)].n_obs
        10
        """
        if not len(self.training_rows):
            do = "Fit it again to have it know them."
            raise ValueError(problem("model", expected="one that knows its training rows", found="an older one", do=do))
        mdata = check_mdata(mdata)
        check_number("min_coverage", min_coverage, low=0, high=1)
        where = str(next(self.predictor.net.parameters()).device)  # leave the net where it is
        data, coverage = self.arrays(mdata, modalities=modalities, min_coverage=min_coverage, device=where)
        return self.training_rows.among(mdata.obs_names, data, coverage)

    def save(self, path: Path | str, *, overwrite: bool = False) -> Path:
        """Write the model as a folder: weights and recipes as safetensors, the rest as JSON; no pickle.

        Of the training rows it holds the folds, a hash of each name and six random projections of each block, which is all
        there is of a block of six columns or fewer (`trained_on`); with a graph encoder also their features.

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
        write(self, Path(path), overwrite=overwrite)
        return Path(path)

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
        return cls(**read(Path(path)))
