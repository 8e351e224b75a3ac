"""Can the diagnostics be trusted: against truth, at what price, and beside what leaving a modality out really does.

    python benchmarks/diagnostics.py oracle [--seeds 20]     exact posteriors: bias, error, coverage of the estimators alone
    python benchmarks/diagnostics.py trained [--seeds 5]     the same of trained models, which know less than there is to know
    python benchmarks/diagnostics.py cost [--sizes ...]      time and peak memory of each verb at 500, 5,000, 50,000 cells
    python benchmarks/diagnostics.py verdicts                100 data sets whose verdicts are known, never used to write the rules
    python benchmarks/diagnostics.py tasks [--folds 2]       the project's tasks: what is said, and refits without a modality
    python benchmarks/diagnostics.py report

One JSON line per number in benchmarks/results/diagnostics_<action>.jsonl; pieces that are there are skipped, so that a run may be
killed and started again, and `--part i n` shares it out. Truth is that of ob.datasets.simulate, whose features are so strong here
that the decomposition of the hidden states is that of the data as well.
"""

import argparse
import inspect
import json
import resource
import subprocess
import sys
import tempfile
import time
import warnings
from pathlib import Path

import numpy as np
import torch
from accuracy import RESULTS, protocol
from diagnostics_numbers import WORLDS, by_model, by_oracle, lines_of, truth_of, what_is_said, world
from diagnostics_worlds import KINDS, Starved, verdict_world
from main_method import Log, tasks_of

import omicsbal as ob

SHORT = ob.FitConfig(max_steps=300, evaluations=10, n_members=0)  # fold members predict; 300 steps as in main_method.py
VERBS = ("contribution", "information", "modality_snr", "cell_difficulty", "utilization", "robustness", "feature_importance")
SEEDS_OF_VERDICTS = range(1000, 1100)


def oracle(args) -> None:
    log = Log("oracle", "world", "n", "seed", script="diagnostics")
    for seed in range(args.part[0], args.seeds or 20, args.part[1]):
        for name in WORLDS:
            for n in args.sizes or (200, 1000, 5000):
                piece = {"world": name, "n": n, "seed": seed}
                if not log.has(**piece):
                    mdata = world(name, n, seed)
                    log.add(lines_of(piece, by_oracle(mdata, seed), truth_of(mdata)))
        print("oracle", seed, flush=True)


def trained(args) -> None:
    log = Log("trained", "world", "n", "seed", "strategy", script="diagnostics")
    for seed in range(args.part[0], args.seeds or 5, args.part[1]):
        for name in WORLDS:
            for n in args.sizes or (500, 2000):
                for strategy in ("uniform", "modality_dropout"):
                    piece = {"world": name, "n": n, "seed": seed, "strategy": strategy}
                    if log.has(**piece):
                        continue
                    mdata = world(name, n, seed)
                    fit = {"label_key": "cell_type", "strategy": strategy, "config": SHORT, "progress": False}
                    model = ob.tl.fit(mdata, **fit, random_state=seed)
                    log.add(lines_of(piece, by_model(mdata, model), truth_of(mdata)))
        print("trained", seed, flush=True)


def cost(args) -> None:
    """Each verb in a process of its own, whose peak less that of a process that only loads is what it takes."""
    log = Log("cost", "n", "verb", script="diagnostics")
    verbs = ["nothing", *(v for v in VERBS if hasattr(ob.tl, v))]
    for n in args.sizes or (500, 5000, 50_000):
        left = [v for v in verbs if not log.has(n=n, verb=v)]
        if not left:
            continue
        with tempfile.TemporaryDirectory() as folder:
            sizes = {"rna": 1000, "atac": 2000, "protein": 50}
            mdata = ob.datasets.simulate(n_obs=n, n_truth=100, preset="mixed", n_features=sizes, random_state=0)
            start = time.process_time()
            model = ob.tl.fit(mdata, label_key="cell_type", config=ob.FitConfig(max_steps=60, n_members=0), progress=False)
            fit = {"n": n, "verb": "fit, 60 steps", "seconds": time.process_time() - start, "peak_mb": float("nan")}
            log.add([] if log.has(n=n, verb=fit["verb"]) else [fit])
            model.save(Path(folder) / "model")
            mdata.write(Path(folder) / "data.h5mu")
            for verb in left:
                command = [sys.executable, __file__, "one", "--verb", verb, "--folder", folder]
                ran = subprocess.run(command, capture_output=True, text=True, check=False)
                said = json.loads(ran.stdout.splitlines()[-1]) if ran.returncode == 0 else {"error": ran.stderr[-300:]}
                log.add([{"n": n, "verb": verb} | said])
                print(n, verb, said, flush=True)


def one(args) -> None:
    """One verb on one saved model: seconds of the call, and the peak of the whole process in MB."""
    import mudata

    mdata, folder = mudata.read_h5mu(args.folder / "data.h5mu"), args.folder / "model"
    model = ob.FittedModel.load(folder)
    start = time.process_time()
    if args.verb == "modality_snr":
        ob.tl.modality_snr(mdata, label_key="cell_type")
    elif args.verb != "nothing":
        verb = getattr(ob.tl, args.verb)
        verb(model, mdata, **({"progress": False} if "progress" in inspect.signature(verb).parameters else {}))
    seconds = time.process_time() - start
    print(json.dumps({"seconds": seconds, "peak_mb": peak_mb()}))


def peak_mb() -> float:
    """Most memory this program has held. Not ru_maxrss, which on Linux a process inherits from the one that started it."""
    status = Path("/proc/self/status")
    if status.exists():
        return int(status.read_text().split("VmHWM:")[1].split()[0]) / 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20  # bytes on a Mac


def verdicts(args) -> None:
    """Kinds in turn; what is allowed is fixed by how the world was made."""
    log = Log("verdicts", "seed", script="diagnostics")
    for seed in SEEDS_OF_VERDICTS[args.part[0] :: args.part[1]]:
        if log.has(seed=seed):
            continue
        kind = list(KINDS)[seed % len(KINDS)]
        mdata, truth = verdict_world(kind, seed)
        strategy = Starved("atac") if kind == "starved" else KINDS[kind].strategy
        fit = {"label_key": "cell_type", "strategy": strategy, "config": SHORT, "progress": False, "random_state": seed}
        model = ob.tl.fit(mdata, **fit)
        ob.tl.utilization(model, mdata, progress=False)
        said = mdata.uns["omicsbal"]["verdicts"].to_dict("records")
        log.add([
            {"seed": seed, "kind": kind, "modality": r["modality"], "truth": "/".join(truth[r["modality"]])}
            | {"verdict": r["verdict"], "certainty": float(r["certainty"])}
            for r in said
        ])  # fmt: skip
        print(seed, kind, flush=True)


def tasks(P, args) -> None:
    """What is said of the training rows of a fold, and what a refit without the modality loses on the held-out rows."""
    log = Log("tasks", "data", "fold", script="diagnostics")
    for task, fold, mdata, label, train, test in tasks_of(P, args.tasks or P.NAMES, args.part):
        if fold >= args.folds or log.has(data=task, fold=fold) or len(mdata.mod) < 2:
            continue
        y = mdata.obs[label].astype(str).to_numpy()
        scores, said = {}, None
        for m in ("", *mdata.mod):
            learn, query = mdata[train].copy(), mdata[test].copy()
            del query.obs[label]
            names = [o for o in mdata.mod if o != m]
            fit = {"label_key": label, "modalities": names, "config": SHORT, "rare": "error", "progress": False}
            model = ob.tl.fit(learn, **fit)
            ob.tl.predict(model, query, key_added="out")
            scores[m] = P.metrics(y[test], query.obsm[f"out_proba_{label}"].to_numpy(), np.unique(y))
            said = what_is_said(model, learn) if not m else said
        log.add([
            {"data": task, "fold": fold, "modality": m, **said[m]}
            | {f"lost_{k}": float(scores[""][k] - scores[m][k]) for k in scores[""] if isinstance(scores[""][k], float)}
            for m in mdata.mod
        ])  # fmt: skip
        print(task, fold, flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("action", choices=["oracle", "trained", "cost", "one", "verdicts", "tasks", "report"])
    parser.add_argument("--tasks", nargs="*", default=[])
    parser.add_argument("--folds", type=int, default=2, help="of each task")
    parser.add_argument("--seeds", type=int, default=0, help="data sets a world and size; 20 with exact posteriors, else 5")
    parser.add_argument("--sizes", type=int, nargs="*", default=[])
    parser.add_argument("--part", type=int, nargs=2, default=[0, 1], help="i n: every n-th seed or fold from the i-th on")
    parser.add_argument("--verb", default="nothing", help="of `one`, which `cost` starts")
    parser.add_argument("--folder", type=Path)
    args = parser.parse_args()
    torch.set_num_threads(1)
    warnings.filterwarnings("ignore")
    if args.action == "report":
        from diagnostics_report import report

        report(RESULTS)
        return
    actions = {"oracle": oracle, "trained": trained, "cost": cost, "one": one, "verdicts": verdicts}
    actions["tasks"] = lambda args: tasks(protocol()[0], args)
    actions[args.action](args)


if __name__ == "__main__":
    main()
