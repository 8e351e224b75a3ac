"""The tutorials run from top to bottom, on real data where they are at hand, and on the simulation where they are not."""

import os
import re
from pathlib import Path

import pytest

TUTORIALS = sorted((Path(__file__).resolve().parent.parent / "tutorials").glob("*.ipynb"))
QUICK = {"N_OBS, MAX_EPOCHS = 1000, None": "N_OBS, MAX_EPOCHS = 1000, 12"}  # as written, but for the length of the training


NO_FILE = {'ob.datasets.load("cite_pbmc10k")': "open('/nowhere/cite_pbmc10k.h5mu')"}


def execute(path: Path, folder: Path, changes: dict[str, str], *, times: int | None = 1):
    """The notebook after all its cells ran, in a folder of its own; each change is made in `times` cells, None: at least one."""
    nbformat, nbclient = pytest.importorskip("nbformat"), pytest.importorskip("nbclient")
    notebook = nbformat.read(path, as_version=4)
    for old, new in changes.items():
        hits = [cell for cell in notebook.cells if cell.cell_type == "code" and old in cell.source]
        assert len(hits) == times if times else hits, f"{old!r} is to stand in {times or 'some'} cells of {path.name}"
        for cell in hits:
            cell.source = cell.source.replace(old, new)
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


OTHERS = {"snare_mouse_cortex": "cell_type", "tcga_brca_incomplete": "pam50", "cite_pbmc_mosaic": "cell_type"}


@pytest.mark.slow
@pytest.mark.parametrize("name", OTHERS)
def test_quickstart_on_other_data(repository, data_dir, elsewhere, monkeypatch, name):
    """Other modalities, gaps, another label: a reader changes the name and the label, and nothing else."""
    monkeypatch.setenv("OMICSBAL_DATA", str(data_dir))
    label = OTHERS[name]
    changes = {"N_OBS, MAX_EPOCHS = 1000, None": "N_OBS, MAX_EPOCHS = 300, 2", "cite_pbmc10k": name}
    if label != "cell_type":
        changes["cell_type"] = label
    notebook = execute(TUTORIALS[0], elsewhere, changes, times=None)
    assert images(notebook) == 6
    assert "Simulated data instead" not in str(outputs(notebook))
    text = "".join(out.get("text", "") + out.get("data", {}).get("text/plain", "") for out in outputs(notebook))
    assert f"FittedModel of '{label}'" in text
    known = ("OmicsbalWarning", "Cannot join columns with the same name")  # mudata: genes of two modalities share names
    said = [out["text"] for out in outputs(notebook) if out.get("name") == "stderr"]
    assert not [line for line in said if not any(words in line for words in known)]


def test_there_is_a_tutorial(repository):
    assert [path.stem for path in TUTORIALS] == ["01_quickstart"]
