"""What every test may ask for: real data, small simulated data, and the promise that the right package is tested."""

import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

os.environ.setdefault("MPLBACKEND", "Agg")  # before anything imports pyplot
os.environ.setdefault("OMP_NUM_THREADS", "1")  # before numpy or torch: bit-for-bit repeats, and no two workers on one core

if TYPE_CHECKING:
    from collections.abc import Callable

    from anndata import AnnData
    from mudata import MuData

REPOSITORY = Path(__file__).resolve().parent.parent


def pytest_sessionstart() -> None:
    """Refuse to test the checkout when the wheel is meant: tests/wheel_check.sh sets OMICSBAL_EXPECT."""
    expected = os.environ.get("OMICSBAL_EXPECT")
    if not expected:
        return
    import omicsbal

    found = Path(omicsbal.__file__).resolve()
    if not found.is_relative_to(Path(expected).resolve()):
        pytest.exit(f"omicsbal was to come from {expected}; found {found}", returncode=3)


@pytest.fixture(scope="session")
def repository() -> Path:
    """Root of the checkout; skips where only the installed package is at hand."""
    if not (REPOSITORY / "Makefile").exists():
        pytest.skip("needs the checkout: the installed package is being tested")
    return REPOSITORY


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """Folder of the real data sets: $OMICSBAL_DATA, else ../shared/data beside the checkout."""
    folder = Path(os.environ.get("OMICSBAL_DATA") or REPOSITORY.parent / "shared" / "data")
    if not any(folder.glob("*.h5mu")):
        reason = f"no .h5mu file in {folder}: set OMICSBAL_DATA to the folder that data/README.md describes"
        # On CI a silent skip would let every claim about real data go untested.
        (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)(reason)
    return folder


@pytest.fixture(scope="session")
def read(data_dir: Path) -> "Callable[[str], MuData]":
    """Reader of one real data set by name, as a fresh object each time: ``read("cite_pbmc10k")``."""
    import mudata

    def _read(name: str) -> "MuData":
        return mudata.read_h5mu(data_dir / f"{name}.h5mu")

    return _read


@pytest.fixture(scope="session")
def _shelf() -> "dict[str, MuData]":
    """Simulated data made so far in this session, by their arguments."""
    return {}


@pytest.fixture
def simulated(_shelf: "dict[str, MuData]") -> "Callable[..., MuData]":
    """Maker of simulated data, as a copy that the test may spoil: ``simulated(n_obs=120, preset="small")``."""
    from omicsbal.datasets import simulate

    def _make(**options: object) -> "MuData":
        key = repr(sorted(options.items()))
        if key not in _shelf:
            _shelf[key] = simulate(**options)
        return _shelf[key].copy()

    return _make


@pytest.fixture
def write_10x() -> "Callable[[Path, AnnData], None]":
    """Writer of one AnnData (counts, ``var["feature_types"]``) in the layout of Cell Ranger 3."""
    import h5py
    import numpy as np
    from scipy.sparse import csc_matrix

    def _write(path: "Path", adata: "AnnData") -> None:
        columns = csc_matrix(np.asarray(adata.to_df(), dtype=np.int32).T)
        told = {"id": [f"id{i}" for i in range(adata.n_vars)], "name": adata.var_names, "genome": ["GRCh38"] * adata.n_vars}
        told["feature_type"] = adata.var["feature_types"]
        with h5py.File(path, "w") as file:
            matrix = file.create_group("matrix")
            for key in ("data", "indices", "indptr"):
                matrix[key] = getattr(columns, key)
            matrix["shape"] = np.array(columns.shape)
            matrix["barcodes"] = np.array(adata.obs_names, dtype="S")
            for key, values in told.items():
                matrix[f"features/{key}"] = np.array(values, dtype="S")

    return _write


@pytest.fixture
def cells(simulated: "Callable[..., MuData]") -> "MuData":
    """120 simulated cells with rna, atac and protein, label in ``obs["cell_type"]``; every modality everywhere."""
    return simulated(n_obs=120, random_state=0)


@pytest.fixture
def gappy(simulated: "Callable[..., MuData]") -> "MuData":
    """The same with one cell in five lacking protein."""
    return simulated(n_obs=120, random_state=0, missing={"protein": 0.2})
