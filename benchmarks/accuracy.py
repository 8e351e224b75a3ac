"""Accuracy of omicsbal and of what a user would pick instead, under the project's protocol (../shared/measure).

    python benchmarks/accuracy.py run [--tasks ...] [--systems ...] [--out FILE] [--threads 1]
    python benchmarks/accuracy.py peers [--tasks ...] [--systems ...] [--folds 0 1 ...]
    python benchmarks/accuracy.py losses [--tasks ...]
    python benchmarks/accuracy.py report

`run` appends one JSON line per (task, fold, system) and skips those that are there, so it may be killed and started again.
`peers` does the same for matilda-sc and scvi-tools, and for omicsbal beside them, each in its own process and environment, with
time and memory (accuracy_peers.py). `losses` looks into the tasks where a rival is ahead (accuracy_losses.py). `report` writes
the tables and the figure in benchmarks/results/ and the marked part of README.md. The protocol is read from $OMICSBAL_MEASURE,
else from ../shared/measure beside the checkout.
"""

import argparse
import json
import os
import sys
import time
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from accuracy_peers import RUNNERS
from accuracy_peers import run as run_peers

if TYPE_CHECKING:
    from collections.abc import Callable

ROOT = Path(__file__).resolve().parent.parent
MEASURE = Path(os.environ.get("OMICSBAL_MEASURE", ROOT.parent / "shared" / "measure"))
RESULTS = ROOT / "benchmarks" / "results"
NETWORK = "omicsbal:"  # systems beginning with it are the fused head alone, under one strategy
SYSTEMS = ["omicsbal", "omicsbal:joint", "omicsbal:uniform", "omicsbal:late", "baselines"]


def protocol():
    """The measure's modules."""
    sys.dont_write_bytecode = True
    sys.path.insert(0, str(MEASURE))
    import baselines
    import protocol

    return protocol, baselines


def ours(mdata, label: str, train: np.ndarray, test: np.ndarray, strategy: str | None) -> dict[str, np.ndarray]:
    """Class probabilities of the held-out rows, {system: (n, c)}: the default pool, and the fused head of the strategy."""
    import omicsbal as ob

    learn, query = mdata[train].copy(), mdata[test].copy()
    del query.obs[label]  # nothing of the held-out label is at hand
    options = {} if strategy is None else {"strategy": strategy, "experts": False}
    model = ob.tl.fit(learn, label_key=label, progress=False, rare="error", n_folds=None, **options)
    heads = {"omicsbal": "pool"} if strategy is None else {f"{NETWORK}{strategy}": "fused"}
    if strategy is None:
        heads[f"{NETWORK}{model.params['strategy']}"] = "fused"  # the same fit serves both
    found = {}
    for system, head in heads.items():
        ob.tl.predict(model, query, head=head, key_added=f"out_{head}")
        found[system] = query.obsm[f"out_{head}_proba_{label}"].to_numpy()
    return found


def done(path: Path) -> set[tuple[str, int, str]]:
    """Pieces that are in the file."""
    if not path.exists():
        return set()
    return {(r["data"], r["fold"], r["system"]) for r in map(json.loads, path.read_text().splitlines())}


def run_baselines(P, B, out: Path, task: str) -> None:
    """The measure's own runner, one task at a time, unless its lines are there."""
    if (task, 0, "rf:concat") not in done(out):
        B.run(str(out), [task])


def run(tasks: list[str], systems: list[str], out: Path, threads: int) -> None:
    import torch

    torch.set_num_threads(threads)
    warnings.filterwarnings("ignore", category=FutureWarning)
    P, B = protocol()
    out.parent.mkdir(parents=True, exist_ok=True)
    for task in tasks or P.NAMES:
        if "baselines" in systems:
            run_baselines(P, B, out, task)
        mdata, label = P.load(task)
        y = mdata.obs[label].astype(str).to_numpy()
        classes = np.unique(y)
        for fold, (train, test) in enumerate(P.folds(y)):
            for system in [s for s in systems if s != "baselines"]:
                if (task, fold, system) in done(out):
                    continue
                start = time.time()
                strategy = None if system == "omicsbal" else system.removeprefix(NETWORK)
                for name, proba in ours(mdata, label, train, test, strategy).items():
                    if (task, fold, name) not in done(out):
                        scores = P.metrics(y[test], proba, classes)
                        P.record(out, data=task, fold=fold, system=name, seconds=time.time() - start, **scores)
        print(task, "done", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("action", choices=["run", "peers", "losses", "report"])
    parser.add_argument("--tasks", nargs="*", default=[])
    parser.add_argument("--systems", nargs="*", default=[], help=f"of run: {' '.join(SYSTEMS)}; of peers: {' '.join(RUNNERS)}")
    parser.add_argument("--folds", nargs="*", type=int, default=list(range(10)), help="of peers alone")
    parser.add_argument("--out", type=Path, default=RESULTS / "accuracy.jsonl")
    parser.add_argument("--threads", type=int, default=1)
    args = parser.parse_args()
    actions: dict[str, Callable[[], None]] = {"run": lambda: run(args.tasks, args.systems or SYSTEMS, args.out, args.threads)}
    actions["peers"] = lambda: run_peers(
        protocol()[0], args.tasks, args.systems or list(RUNNERS), args.out.with_name("peers.jsonl"), args.folds
    )
    if args.action == "losses":
        from accuracy_losses import run as run_losses
        from accuracy_report import behind

        warnings.filterwarnings("ignore")
        actions["losses"] = lambda: run_losses(*protocol(), args.tasks or behind(args.out), args.out.with_name("losses.jsonl"))
    if args.action == "report":
        from accuracy_report import report

        actions["report"] = lambda: report(args.out)
    actions[args.action]()


if __name__ == "__main__":
    main()
