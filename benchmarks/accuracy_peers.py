"""Peers under the project's protocol: each in its own environment and process, on identical folds, one at a time.

    bash benchmarks/peers/make_env.sh                      once: the environments, outside the checkout
    python benchmarks/accuracy.py peers [--tasks ...] [--systems ...] [--folds 0 1 ...]

Each piece (task, fold, system) is one process: `peers/exchange.py` says what it reads and writes. A line in peers.jsonl has the
fields of `protocol.record`, and of the whole process wall and CPU seconds and the peak of resident memory; `work_*` leaves out
imports and reading. On a machine with other work CPU seconds are the fair measure; every process has one thread. Pieces that are
in the file are skipped, so it may be killed and started again; a piece that failed has a line with `error` and no scores (delete
it to try again). omicsbal is that of this checkout. Peers need raw counts: a task takes part if its modalities are counts of RNA,
proteins or peaks (`unfit` says why not).
"""

import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parent.parent
PEERS = ROOT / "benchmarks" / "peers"
ENVS = Path(os.environ.get("OMICSBAL_PEER_ENVS", ROOT.parent / "peer_envs"))
LIMIT = 4 * 3600  # CPU seconds a piece may take
THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS")
COUNTS = {"rna", "protein", "atac"}
# system: (python, runner, argument, modalities that the task must have)
RUNNERS: dict[str, tuple[Path, str, str, set[str]]] = {
    "omicsbal": (Path(sys.executable), "run_omicsbal.py", "", {"rna"}),
    "lr": (Path(sys.executable), "run_linear.py", "", {"rna"}),  # lr:concat, as a yardstick of time
    "matilda": (ENVS / "matilda/bin/python", "run_matilda.py", "", {"rna"}),
    "scanvi": (ENVS / "scvi/bin/python", "run_scvi.py", "scanvi", {"rna"}),
    "totalvi": (ENVS / "scvi/bin/python", "run_scvi.py", "totalvi", {"rna", "protein"}),
    "multivi": (ENVS / "scvi/bin/python", "run_scvi.py", "multivi", {"rna", "atac"}),
}


def unfit(mdata, kind) -> str | None:
    """Why no peer can take this task, None if they can."""
    kinds = {m: kind(m, a.X) for m, a in mdata.mod.items()}
    if kinds.get("rna") != "rna":
        return "no RNA counts"
    others = [m for m, k in kinds.items() if k not in COUNTS]
    return f"not counts of RNA, protein or peaks: {', '.join(others)}" if others else None


def write(folder: Path, mdata, label: str, rows: dict[str, np.ndarray], batch: str | None) -> None:
    """train.h5mu and test.h5mu with the counts and nothing else but the training label and the batch."""
    from anndata import AnnData
    from mudata import MuData

    for name, index in rows.items():
        part = mdata[index]
        cells = {m: a[part.obs_names] for m, a in part.mod.items()}
        out = MuData({m: AnnData(a.X.copy(), var=a.var[[]].copy(), obs=a.obs[[]].copy()) for m, a in cells.items()})
        if batch:
            out.obs["batch"] = part.obs[batch].astype(str).astype("category").to_numpy()
        if name == "train":
            out.obs["label"] = part.obs[label].astype(str).astype("category").to_numpy()
        out.write(folder / f"{name}.h5mu")


def piece(folder: Path, system: str) -> dict:
    """Run one process to its end: what it and the kernel say, or `error`."""
    python, runner, argument, _ = RUNNERS[system]
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"} | dict.fromkeys(THREADS, "1")
    environment |= {"CUDA_VISIBLE_DEVICES": "", "PYTHONDONTWRITEBYTECODE": "1"}
    if system == "omicsbal":
        environment["PYTHONPATH"] = str(ROOT)  # the package of this checkout
    start = time.perf_counter()
    with (folder / "log.txt").open("w") as log:
        command = [str(python), str(PEERS / runner), str(folder), argument]
        child = subprocess.Popen(command, cwd=folder, env=environment, stdout=log, stderr=subprocess.STDOUT)
        resource.prlimit(child.pid, resource.RLIMIT_CPU, (LIMIT, LIMIT))
        _, status, usage = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    spent = {"wall": time.perf_counter() - start, "cpu": usage.ru_utime + usage.ru_stime}
    if child.returncode:
        last = (folder / "log.txt").read_text().strip().splitlines()[-1:] or ["no output"]
        return spent | {"error": f"exit {child.returncode}: {last[0][:300]}"}
    return spent | json.loads((folder / "out.json").read_text())


def lines(result: dict, folder: Path, system: str) -> list[tuple[str, dict, np.ndarray | None]]:
    """(system, fields, probabilities) of a piece, one for each head; without probabilities where it failed."""
    if "error" in result:
        return [(system, {**result, "seconds": result["wall"]}, None)]
    out, proba = [], np.load(folder / "out.npz")
    for head in result["spent"]:
        others = [spent for name, spent in result["spent"].items() if name != head]
        less = {clock: sum(spent[clock] for spent in others) for clock in ("wall", "cpu")}
        fields = {clock: result[clock] - less[clock] for clock in less}
        fields |= {f"work_{clock}": result["work"][clock] - less[clock] for clock in less}
        fields |= {"seconds": fields["wall"], "peak_mib": result["peak_mib"], "versions": result["versions"]}
        out.append((f"{system}:{head}" if head else system, fields, proba[head or "only"]))
    return out


def done(path: Path) -> set[tuple[str, int, str]]:
    """Pieces in the file, by the name of the process."""
    if not path.exists():
        return set()
    return {(r["data"], r["fold"], r["system"].split(":")[0]) for r in map(json.loads, path.read_text().splitlines())}


def commit() -> str:
    """The checkout's commit, with a plus sign if tracked files of the package differ from it."""
    git = ["git", "-C", str(ROOT)]
    name = subprocess.run([*git, "rev-parse", "--short", "HEAD"], capture_output=True, text=True).stdout.strip()
    return name + ("+" if subprocess.run([*git, "diff", "--quiet", "HEAD", "--", "omicsbal"]).returncode else "")


def run(P, tasks: list[str], systems: list[str], out: Path, folds: list[int]) -> None:
    """Fold by fold over all tasks, so that every task has its first folds early."""
    os.environ["OMICSBAL_MEASURE"] = str(Path(P.__file__).parent)
    tasks = tasks or P.NAMES
    for system in [s for s in systems if not RUNNERS[s][0].exists()]:
        print(f"{system} left out: no {RUNNERS[system][0]}; make it with bash benchmarks/peers/make_env.sh", flush=True)
        systems = [s for s in systems if s != system]
    out.parent.mkdir(parents=True, exist_ok=True)
    for fold in folds:
        for task in tasks:
            todo = [s for s in systems if (task, fold, s) not in done(out)]
            if todo:
                _fold(P, task, fold, todo, out)


def _fold(P, task: str, fold: int, systems: list[str], out: Path) -> None:
    """The systems on one fold of one task, one after the other."""
    mdata, label = P.load(task)
    why = unfit(mdata, P.kind)
    y = mdata.obs[label].astype(str).to_numpy()
    splits = P.folds(y)
    if why or fold >= len(splits):
        print(task, fold, "left out:", why or "no such fold", flush=True)
        return
    rows = dict(zip(("train", "test"), splits[fold], strict=True))
    batch = "batch" if "batch" in mdata.obs and mdata.obs["batch"].nunique() > 1 else None
    classes = np.unique(y)
    with tempfile.TemporaryDirectory(prefix="peer_") as name:
        folder = Path(name)
        write(folder, mdata, label, rows, batch)
        (folder / "task.json").write_text(json.dumps({"classes": classes.tolist(), "batch": "batch" if batch else None}))
        for system in systems:
            if not RUNNERS[system][3] <= set(mdata.mod) or (task, fold, system) in done(out):
                continue
            for stale in ("out.npz", "out.json"):
                (folder / stale).unlink(missing_ok=True)
            about = {"data": task, "fold": fold, "n_train": len(rows["train"]), "load": round(os.getloadavg()[0], 1)}
            about |= {"commit": commit()} if system == "omicsbal" else {}
            for title, fields, proba in lines(piece(folder, system), folder, system):
                scores = {} if proba is None else P.metrics(y[rows["test"]], proba, classes)
                P.record(out, **about, system=title, **fields, **scores)
                said = {k: round(v, 3) for k, v in (fields | scores).items() if isinstance(v, float)}
                print(task, fold, title, said, fields.get("error", ""), flush=True)
