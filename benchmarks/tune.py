"""What `ob.tl.tune` is worth: tuned beside default on outer folds of tasks of ../shared/measure.

    python benchmarks/tune.py run [--tasks ...] [--trials 12] [--outer-folds 3] [--threads 1] [--out FILE]
    python benchmarks/tune.py report [--out FILE]

`run` appends one JSON line a task and skips those that are there; within a task it goes on from the journal beside the lines.
`report` writes tune.md there. The protocol is read as by accuracy.py.
"""

import argparse
import json
import time
import warnings
from pathlib import Path

import pandas as pd
from accuracy import RESULTS, protocol

TASKS = ["cptac_coad", "tcga_brca_cnv_rna_rppa", "teaseq_pbmc_rna_adt", "multiome_bmmc_starter"]  # two bulk, two of single cells


def lines(path: Path) -> list[dict]:
    """Finished tasks."""
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def run(tasks: list[str], trials: int, outer_folds: int, threads: int, out: Path) -> None:
    import torch

    import omicsbal as ob

    torch.set_num_threads(threads)
    warnings.filterwarnings("ignore", category=FutureWarning)
    P, _ = protocol()
    out.parent.mkdir(parents=True, exist_ok=True)
    for task in tasks:
        if task in {line["data"] for line in lines(out)}:
            continue
        mdata, label = P.load(task)
        journal, begin = out.with_name(f"tune_{task}.journal"), time.time()
        options = {"n_trials": trials, "outer_folds": outer_folds, "checkpoint": journal, "progress": False}
        tuned = ob.tl.tune(mdata, label_key=label, **options)
        told = {"data": task, "n": mdata.n_obs, "trials": trials, "outer_folds": outer_folds}
        told |= {"seconds": time.time() - begin, "trial_seconds": float(tuned.trials["seconds"].sum())}
        told |= {"states": tuned.trials["state"].value_counts().to_dict(), "settings": tuned.settings, "verdict": tuned.verdict}
        best = tuned.trials[tuned.trials["best"]].drop(columns=["seconds", "best"])
        told |= {
            "chosen": json.loads(best.to_json(orient="records")),
            "scores": json.loads(tuned.scores.to_json(orient="records")),
        }
        with out.open("a") as file:
            file.write(json.dumps(told) + "\n")
        journal.unlink()
        print(task, tuned.verdict, flush=True)


def report(out: Path) -> None:
    """A row a task and measure, and what each search chose."""
    told = lines(out)
    rows, chosen = [], []
    for line in told:
        done, ended = line["states"].get("done", 0), sum(line["states"].values())
        for score in line["scores"]:
            if score["fold"] == "mean":
                ends = f"{score['low']:+.3f} to {score['high']:+.3f}"
                cells = [line["data"], line["n"], score["measure"], f"{score['default']:.3f}", f"{score['tuned']:.3f}"]
                rows.append(
                    [*cells, f"{score['gain']:+.3f}", ends, f"{score['p']:.2f}", f"{done} of {ended}", f"{line['seconds']:.0f}"]
                )
        for best in line["chosen"]:
            settings = {k: v for k, v in best.items() if k in line["settings"]}
            chosen.append(
                [line["data"], best["search"], *(f"{v:.3g}" for v in settings.values()), "yes" if best["default"] else ""]
            )
    names = list(told[0]["settings"]) if told else []
    head = ["task", "rows", "measure", "default", "tuned", "gain", "corrected 95 %", "p", "trials finished", "seconds"]
    page = [
        "# Tuning\n",
        "Made by `python benchmarks/tune.py report`. `ob.tl.tune` beside the default on the same outer folds; a gain above 0",
        "is for tuning. Trials that were not finished were stopped at a rung. Seconds on a shared machine.\n",
        table(rows, head),
        "\nWhat each search chose (`all`: on all rows):\n",
        table(chosen, ["task", "search", *names, "the default"]),
        "",
        *(f"- {line['data']}: {line['verdict']}" for line in told),
    ]
    out.with_name("tune.md").write_text("\n".join(page) + "\n")


def table(rows: list[list], head: list[str]) -> str:
    """Markdown."""
    frame = pd.DataFrame(rows, columns=head).astype(str)
    return "\n".join("| " + " | ".join(cells) + " |" for cells in [head, ["---"] * len(head), *frame.to_numpy().tolist()])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("action", choices=["run", "report"])
    parser.add_argument("--tasks", nargs="*", default=TASKS)
    parser.add_argument("--trials", type=int, default=12)
    parser.add_argument("--outer-folds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--out", type=Path, default=RESULTS / "tune.jsonl")
    args = parser.parse_args()
    if args.action == "run":
        run(args.tasks, args.trials, args.outer_folds, args.threads, args.out)
    else:
        report(args.out)


if __name__ == "__main__":
    main()
