"""The tutorials run from top to bottom, on real data where they are at hand, and on the simulation where they are not."""

import os
import re
from pathlib import Path

import pytest

TUTORIALS = sorted((Path(__file__).resolve().parent.parent / "tutorials").glob("*.ipynb"))
QUICK = {"N_OBS, MAX_EPOCHS = 1000, None": "N_OBS, MAX_EPOCHS = 1000, 12"}  # as written, but for the length of the training


NO_FILE = {'ob.datasets.load("cite_pbmc10k")': "open('/nowhere/cite_pbmc10k.h5mu')"}


def execute(path: Path, folder: Path, changes: dict[str, str]):
    """The notebook after all its cells ran, in a folder of its own."""
    nbformat, nbclient = pytest.importorskip("nbformat"), pytest.importorskip("nbclient")
    notebook = nbformat.read(path, as_version=4)
    for old, new in changes.items():
        hits = [cell for cell in notebook.cells if old in cell.source]
        assert len(hits) == 1, f"{old!r} is to stand in {path.name} once"
        hits[0].source = hits[0].source.replace(old, new)
    nbclient.NotebookClient(notebook, timeout=300, resources={"metadata": {"path": str(folder)}}).execute()
    return notebook


def outputs(notebook) -> list:
    return [out for cell in notebook.cells if cell.cell_type == "code" for out in cell.outputs]


def images(notebook) -> int:
    return sum("image/png" in out.get("data", {}) for out in outputs(notebook))


@pytest.fixture
def elsewhere(tmp_path, monkeypatch):
    """The kernel inherits this environment."""
    monkeypatch.delenv("MPLBACKEND", raising=False)  # Agg would keep figures out of the notebook
    monkeypatch.setenv("OMP_NUM_THREADS", os.environ.get("OMP_NUM_THREADS", "1"))
    return tmp_path


def check(notebook) -> None:
    assert images(notebook) == 6, "pattern, scores, confusion, history, calibration, embedding"
    text = "".join(out.get("text", "") + out.get("data", {}).get("text/plain", "") for out in outputs(notebook))
    assert "FittedModel of 'cell_type'" in text
    said = [out["text"] for out in outputs(notebook) if out.get("name") == "stderr"]
    assert all("OmicsbalWarning" in line for line in said), "of warnings, only our own"  # what became of rare classes
    assert all("site-packages" not in line for line in said), "a warning points to the reader's line"
    (accuracy,) = re.findall(r"^all\s+([\d.]+)\s+[\d.]+$", text, re.MULTILINE)
    assert float(accuracy) > 0.5


@pytest.mark.slow
@pytest.mark.parametrize("path", TUTORIALS, ids=lambda path: path.stem)
def test_on_real_data(repository, data_dir, elsewhere, monkeypatch, path):
    monkeypatch.setenv("OMICSBAL_DATA", str(data_dir))
    notebook = execute(path, elsewhere, QUICK)
    check(notebook)
    assert "Simulated data instead" not in str(outputs(notebook))


@pytest.mark.slow
@pytest.mark.parametrize("path", TUTORIALS, ids=lambda path: path.stem)
def test_on_the_simulation(repository, elsewhere, path):
    notebook = execute(path, elsewhere, QUICK | NO_FILE)
    check(notebook)
    assert "Simulated data instead" in str(outputs(notebook))


def test_there_is_a_tutorial(repository):
    assert [path.stem for path in TUTORIALS] == ["01_quickstart"]
