"""The package as a whole: what importing it costs, what it promises in its metadata, and that the promises agree."""

import json
import os
import re
import subprocess
import sys
import tomllib
from importlib.metadata import metadata, requires, version

import pytest

import omicsbal

HEAVY = ["torch", "scanpy", "muon", "matplotlib", "anndata", "mudata", "sklearn", "pandas", "scipy"]
CPU = "import resource as r; u = r.getrusage(r.RUSAGE_SELF); print(u.ru_utime + u.ru_stime)"
LOADED = f"import sys; print([m for m in {HEAVY} if m in sys.modules])"


def run(code: str) -> str:
    """Output of a fresh interpreter that starts outside the checkout."""
    env = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd="/", env=env)
    return done.stdout.strip()


def test_import_loads_nothing_heavy():
    assert run(f"import omicsbal; {LOADED}") == "[]"


def test_import_costs_less_than_half_a_second():
    bare = min(float(run(CPU)) for _ in range(3))
    ours = min(float(run(f"import omicsbal; {CPU}")) for _ in range(3))
    assert ours - bare < 0.5


@pytest.mark.parametrize("part", ["pp", "pl", "io", "datasets"])
def test_data_side_comes_without_torch(part):
    loaded = run(f"import omicsbal as ob; ob.{part}; {LOADED}")
    assert not {"torch", "scanpy", "muon", "matplotlib"} & set(re.findall(r"'(\w+)'", loaded)), loaded


def test_import_leaves_no_global_trace():
    # scikit-learn sets two KMP_ variables for OpenMP when it is imported; that is not ours to undo.
    state = "({k: v for k, v in os.environ.items() if k[:4] != 'KMP_'}, random.getstate(), logging.getLogger().handlers[:])"
    load = "import omicsbal; [getattr(omicsbal, n) for n in ('pp', 'pl', 'io', 'datasets')]"
    assert run(f"import logging, os, random; before = {state}; {load}; print(before == {state})") == "True"


def test_every_public_name_can_be_reached():
    assert dir(omicsbal) == sorted(omicsbal.__all__)
    for name in omicsbal.__all__:
        part = getattr(omicsbal, name)
        for inner in getattr(part, "__all__", []):
            assert getattr(part, inner) is not None, f"{name}.{inner}"
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        omicsbal.nonsense  # noqa: B018 (the look-up is the test)


def test_metadata_agree_with_the_package():
    assert version("omicsbal") == omicsbal.__version__
    facts = metadata("omicsbal")
    assert facts["License-Expression"] == "BSD-3-Clause"
    assert facts["Requires-Python"] == ">=3.11"
    core = {re.split(r"[><=; \[]", line)[0] for line in requires("omicsbal") or [] if "extra ==" not in line}
    assert {"torch", "anndata", "mudata", "muon", "scanpy", "scikit-learn", "matplotlib", "safetensors", "tqdm"} <= core
    assert not {"lightning", "torch-geometric", "snfpy", "typer", "igraph", "leidenalg"} & core


def test_constraints_name_every_dependency_once(repository):
    lines = (repository / "constraints.txt").read_text().splitlines()
    pins = [line for line in lines if line and not line.startswith("#")]
    assert pins[0] == "torch==2.13.0"
    assert all(re.fullmatch(r"[\w.-]+==[\w.!]+", pin) for pin in pins), (
        "a path, an address or a build tag would not install elsewhere"
    )
    held = [pin.split("==")[0].lower().replace("_", "-") for pin in pins]
    assert len(set(held)) == len(held)
    assert "omicsbal" not in held
    project = tomllib.loads((repository / "pyproject.toml").read_text())["project"]
    asked = [*project["dependencies"], *(d for extra in project["optional-dependencies"].values() for d in extra)]
    missing = {name for line in asked if (name := re.split(r"[><=\[]", line)[0].lower()) not in held} - {"omicsbal"}
    assert not missing


def test_changelog_has_the_heading_for_moved_numbers(repository):
    parts = (repository / "CHANGELOG.md").read_text().split("\n## ")[1:]
    assert parts
    assert all("### Results change" in part for part in parts), "every version says whether numbers moved"


def test_notebooks_are_stored_without_outputs(repository):
    for notebook in (repository / "tutorials").rglob("*.ipynb"):
        cells = json.loads(notebook.read_text())["cells"]
        kept = [c for c in cells if c["cell_type"] == "code" and (c["outputs"] or c["execution_count"])]
        assert not kept, f"{notebook.name}: {len(kept)} cells with outputs"


def test_no_data_or_large_files_in_git(repository):
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=repository, capture_output=True, text=True, check=False)
    if listed.returncode:
        pytest.skip("not a git checkout")
    files = [repository / name for name in listed.stdout.split("\0") if name and (repository / name).is_file()]
    assert len(files) > 20
    heavy = [
        f.name for f in files if f.stat().st_size > 1_000_000 or f.suffix in {".h5", ".h5ad", ".h5mu", ".npz", ".pt", ".pkl"}
    ]
    assert not heavy
