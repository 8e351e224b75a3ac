"""What single settings of the default fit do, paired on the same folds, under the project's protocol (../shared/measure).

    python benchmarks/settings.py [--tasks ...] [--folds 3] [--variants ...] [--out FILE]

Each variant changes one setting. One JSON line per (task, fold, variant, head); lines that are there are kept. Then writes
settings.md beside the lines.
"""

import argparse
import json
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
from accuracy import RESULTS, protocol
from accuracy_report import markdown

LARGE = {"cite_pbmc10k", "snare_mouse_cortex"}  # left out unless named: minutes a fold with all variants


def variants() -> dict[str, dict]:
    """Arguments of ob.tl.fit by variant."""
    import omicsbal as ob

    return {
        "default": {},
        "tilt 0": {"net": ob.NetConfig(tilt=0.0)},
        "no linear route": {"net": ob.NetConfig(linear_route=False)},
        "2 all-row members": {"config": ob.FitConfig(n_members=2)},
    }


def fit_and_score(P, mdata, label: str, train: np.ndarray, test: np.ndarray, options: dict) -> dict[str, dict[str, float]]:
    """Scores of the fused head and of the pool on the held-out rows."""
    import omicsbal as ob

    y = mdata.obs[label].astype(str).to_numpy()
    model = ob.tl.fit(mdata[train].copy(), label_key=label, progress=False, rare="error", **options)
    query = mdata[test].copy()
    scores = {}
    for head in ("fused", "pool"):
        ob.tl.predict(model, query, head=head, key_added=head)
        scores[head] = P.metrics(y[test], query.obsm[f"{head}_proba_{label}"].to_numpy(), np.unique(y))
    return scores


def report(out: Path) -> None:
    """Mean over tasks by variant and head."""
    frame = pd.DataFrame(map(json.loads, out.read_text().splitlines()))
    parts = [
        "# Single settings",
        f"Made by `python benchmarks/settings.py`: {frame['data'].nunique()} tasks of ../shared/measure, the first "
        f"{frame['fold'].nunique()} folds of each, one seed; one setting changed at a time. A hundredth is within noise.",
    ]
    for head in ("fused", "pool"):
        for metric, name in (("f1", "macro-F1"), ("nll", "log-loss (nats)")):
            table = frame[frame["head"] == head].pivot_table(index="data", columns="variant", values=metric)
            table = table[[v for v in variants() if v in table]]
            table.loc["mean over tasks"] = table.mean()
            parts += [f"## {name} of the {'fused head' if head == 'fused' else 'pool'}", markdown(table, largest=metric == "f1")]
    out.with_suffix(".md").write_text("\n\n".join(parts) + "\n")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tasks", nargs="*", default=[])
    parser.add_argument("--folds", type=int, default=3)
    parser.add_argument("--variants", nargs="*", default=[])
    parser.add_argument("--out", type=Path, default=RESULTS / "settings.jsonl")
    args = parser.parse_args()
    import torch

    torch.set_num_threads(1)
    warnings.filterwarnings("ignore", category=FutureWarning)
    P, _ = protocol()
    lines = args.out.read_text().splitlines() if args.out.exists() else []
    there = {(r["data"], r["fold"], r["variant"]) for r in map(json.loads, lines)}
    for task in args.tasks or [t for t in P.NAMES if t not in LARGE]:
        mdata, label = P.load(task)
        folds = P.folds(mdata.obs[label].astype(str).to_numpy())[: args.folds]
        for fold, (train, test) in enumerate(folds):
            for name, options in variants().items():
                if (task, fold, name) in there or (args.variants and name not in args.variants):
                    continue
                for head, scores in fit_and_score(P, mdata, label, train, test, options).items():
                    P.record(args.out, data=task, fold=fold, variant=name, head=head, **scores)
        print(task, "done", flush=True)
    report(args.out)


if __name__ == "__main__":
    main()
