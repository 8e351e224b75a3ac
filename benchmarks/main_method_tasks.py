"""Section of the main-method report: `mutual` against joint training on every task, and against the best single modality."""

from pathlib import Path

import pandas as pd
from accuracy_report import TOTAL, markdown, means, tally
from accuracy_report import read as read_accuracy
from main_method_numbers import FUSED, METRICS, NOT_RUN, PLAIN, WHOLE, compare, read

UNIFORM, BEST = "uniform", "lr:best-uni"


def together(folder: Path, ablation: pd.DataFrame | None) -> pd.DataFrame:
    """Fused heads of both runs, and the tuned best single modality of accuracy.jsonl, on the folds that all have."""
    parts = [f for f in (read(folder, "tasks"), ablation) if f is not None]
    frame = pd.concat(parts, ignore_index=True).rename(columns={"variant": "system"})
    frame = frame[(frame["head"] == FUSED) & frame["system"].isin([PLAIN, UNIFORM, WHOLE])]
    tuned = read_accuracy(folder / "accuracy.jsonl")
    frame = pd.concat([frame, tuned[tuned["system"] == BEST]], ignore_index=True)
    frame = frame.drop_duplicates(["data", "fold", "system"])
    return frame[frame.groupby(["data", "fold"])["system"].transform("nunique") == 4]


def tasks_part(folder: Path, ablation: pd.DataFrame | None) -> list[str]:
    """Scores, ranks and corrected tests."""
    if ablation is None:
        return [NOT_RUN]
    frame = together(folder, ablation)
    order, count = [WHOLE, UNIFORM, PLAIN, BEST], frame.groupby("data")["fold"].nunique()
    parts = [
        f"Fused heads, and `{BEST}`: tuned logistic regression on the best single modality, chosen with hindsight. Tasks with "
        "their folds: " + ", ".join(f"{t} {n}" for t, n in count.items()) + "."
    ]
    for metric, name in METRICS.items():
        table = means(frame, metric, order)
        ranks = table.drop(TOTAL).rank(axis=1, ascending=metric != "f1").mean()
        pairs = compare(frame, metric, [(WHOLE, v) for v in order[1:]])
        pairs = pairs[pairs["data"] != TOTAL]
        parts += [
            f"### {name}",
            markdown(table, largest=metric == "f1"),
            "Mean rank: " + ", ".join(f"{v} {r:.2f}" for v, r in ranks.items()) + ".",
            f"{WHOLE} against each, corrected p < 0.05 counts:",
            tally(pairs),
        ]
    f1 = means(frame, "f1", order).drop(TOTAL)
    gap = (f1[WHOLE] - f1[BEST]).sort_values()
    low = ", ".join(f"{t} {d:+.3f}" for t, d in gap[gap < -0.01].items())
    parts.append(f"More than 0.01 below `{BEST}`: {low or 'nowhere'}.")
    return parts
