"""What a runner reads and writes: a runner is started as `python run_<peer>.py FOLDER [argument]` in its own environment.

FOLDER holds train.h5mu (`obs["label"]`, and `obs["batch"]` where the data have batches), test.h5mu (no label) and task.json
(`classes`, sorted, and `batch`, the column or null). A runner calls `answer` with one or more heads: it writes out.npz, the
probabilities (n_test, c) of each, and out.json: versions, the peak of resident memory of this process in MiB, and wall and CPU
seconds since `begin` was called (imports and reading excluded). No peer's code is here, only calls of its public functions.
"""

import json
import sys
import time
import warnings
from pathlib import Path

import numpy as np

CLOCKS = {"wall": time.perf_counter, "cpu": time.process_time}


def task() -> tuple[Path, dict]:
    """Folder and task.json; one thread for torch."""
    import torch

    warnings.filterwarnings("ignore")
    torch.set_num_threads(1)
    folder = Path(sys.argv[1])
    return folder, json.loads((folder / "task.json").read_text())


def begin() -> dict[str, float]:
    """Clocks now."""
    return {name: clock() for name, clock in CLOCKS.items()}


def since(start: dict[str, float]) -> dict[str, float]:
    """Seconds by each clock."""
    return {name: clock() - start[name] for name, clock in CLOCKS.items()}


def read(folder: Path):
    """Training and test MuData."""
    import mudata

    return mudata.read_h5mu(folder / "train.h5mu"), mudata.read_h5mu(folder / "test.h5mu")


def peak_mib() -> float:
    """Largest resident memory of this process so far: of itself alone, unlike getrusage's, which a large parent leaks into."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) / 1024


def answer(folder: Path, start: dict[str, float], heads: dict[str, np.ndarray], packages: list[str], spent: dict | None = None):
    """Write the probabilities of each head; `spent` has the seconds each took for itself, not to be charged to the others."""
    from importlib.metadata import version

    said = {"work": since(start), "spent": spent or {head: dict.fromkeys(CLOCKS, 0.0) for head in heads}, "peak_mib": peak_mib()}
    said["versions"] = {package: version(package) for package in [*packages, "torch"]}
    np.savez(folder / "out.npz", **{head or "only": proba for head, proba in heads.items()})
    (folder / "out.json").write_text(json.dumps(said))
