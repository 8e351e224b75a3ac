"""What was aimed at and what was reached, from the same tables as the rest of accuracy.md."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
from accuracy_peers_report import paired, ratios, read
from levers_report import error_of

SURE = 0.05  # corrected p
THIRD = 4  # of twelve tasks
CALIBRATED = 0.05
TIMES = {"matilda": 5, "scanvi": 20}  # how many times our CPU time they are to take
QUICK = ["cite_pbmc10k", "snare_mouse_cortex"]  # where a fit is to be no slower than lr:concat


def counts(pairs: pd.DataFrame, rival: str) -> tuple[int, int]:
    """Tasks that are significantly better, and worse."""
    part = pairs[(pairs["rival"] == rival) & (pairs["p"] < SURE)]
    return int((part["difference"] > 0).sum()), int((part["difference"] < 0).sum())


def aims(f1: pd.DataFrame, nll: pd.DataFrame, pairs: dict[str, pd.DataFrame], ranks: dict[str, pd.Series]) -> str:
    """One line an aim. `f1`, `nll`: tasks in rows, systems in columns; `ranks`: mean ranks by metric, 1 the best."""
    ours, lines = "omicsbal", []

    def add(what: str, numbers: str, *, ok: bool) -> None:
        lines.append(_line(what, numbers, ok=ok))

    for metric, name in (("f1", "macro-F1"), ("nll", "log-loss")):
        first, second = ranks[metric].sort_values().iloc[:2].items()
        add(f"first in mean rank by {name}", f"{first[0]} {first[1]:.2f}, {second[0]} {second[1]:.2f}", ok=first[0] == ours)
    for rival in ("lr:concat", "lr:late", "lr:stack", "rf:concat"):
        better, worse = counts(pairs["f1"], rival)
        what = f"macro-F1 significantly better than {rival} on at least {THIRD} tasks, worse on none"
        add(what, f"{better} and {worse}", ok=better >= THIRD and not worse)
    better, worse = counts(pairs["f1"], "lr:pool")
    what = "macro-F1 significantly better than lr:pool on at least 3 tasks, worse on none"
    add(what, f"{better} and {worse}", ok=better >= 3 and not worse)
    lower = int((nll[ours] < nll["lr:pool"]).sum())
    add("log-loss lower than that of lr:pool on at least 9 tasks", f"{lower} of {len(nll)}", ok=lower >= 9)
    gap = f1[ours] - f1["lr:best-uni"]
    far = gap[gap < -0.01]
    said = ", ".join(f"{task} {d:+.4f}" for task, d in far.items()) or f"lowest {gap.min():+.4f} on {gap.idxmin()}"
    add("nowhere more than 0.01 of macro-F1 below lr:best-uni", said, ok=far.empty)
    add("better than lr:best-uni in the mean", f"{gap.mean():+.4f}", ok=gap.mean() > 0)
    return "\n".join(lines)


def _line(what: str, numbers: str, *, ok: bool) -> str:
    """One aim."""
    return f"- {'reached' if ok else '**missed**'}: {what} ({numbers})"


def aims_beside_peers(path: Path) -> str:
    """Scores and time against the peers, from peers.jsonl; "" without lines."""
    if not path.exists():
        return ""
    scored = read(path)
    scored = scored[scored["f1"].notna()]
    pairs, lines = paired(scored), []
    for rival, part in pairs[pairs["rival"] != "lr:concat"].groupby("rival", sort=False):
        better, worse = counts(pairs, rival)
        what = f"macro-F1 significantly better than {rival} on at least a third of the tasks it can take, worse on none"
        said = f"{better} and {worse} of {len(part)}; {part['folds'].min()} to {part['folds'].max()} folds; higher on "
        said += f"{int((part['difference'] > 0).sum())}"
        lines.append(_line(what, said, ok=3 * better >= len(part) and not worse))
    table = ratios(scored).set_index(["system", "data"])
    for rival, times in TIMES.items():
        part = pairs[pairs["rival"] == rival].set_index("data")
        found = table.loc[rival, "cpu_ratio"]
        ahead = (found >= times) & (part["difference"].reindex(found.index) > 0)
        said = ", ".join(f"{task} {value:.1f}" for task, value in found.items())
        what = f"CPU time at most 1/{times} of that of {rival}, at a higher macro-F1"
        lines.append(_line(what, f"times ours: {said}", ok=bool(ahead.all())))
    found = table.loc["lr:concat"].reindex(QUICK)
    said = ", ".join(f"{task} {1 / row['work_cpu_ratio']:.1f}" for task, row in found.iterrows())
    what = "no slower than lr:concat on the two tasks of 4,000 training rows"
    lines.append(_line(what, f"times its CPU time after start-up: {said}", ok=bool((found["work_cpu_ratio"] >= 1).all())))
    return "\n".join(lines)


def aim_of_calibration(path: Path) -> str:
    """Calibration error of each task, from levers_confidence.jsonl; "" without lines."""
    if not path.exists():
        return ""
    frame = pd.DataFrame(map(json.loads, path.read_text().splitlines())).drop_duplicates(["data", "fold"], keep="last")
    errors = {
        task: error_of(np.concatenate(part["confidence"].tolist()), np.concatenate(part["hit"].tolist()))
        for task, part in frame.groupby("data")
    }
    above = {task: e for task, e in errors.items() if e >= CALIBRATED}
    said = f"{len(errors) - len(above)} of {len(errors)}" + "".join(f"; {task} {e:.3f}" for task, e in above.items())
    what = f"calibration error under {CALIBRATED} (what chance alone gives: benchmarks/results/levers.md)"
    return _line(what, said, ok=not above)


def losses(pairs: pd.DataFrame) -> str:
    """Tasks on which a rival's mean macro-F1 is higher, with the paired interval."""
    behind = pairs[pairs["difference"] < 0].sort_values("difference")
    lines = ["| task | rival | omicsbal minus rival | 95 % interval | p |", "|---" * 5 + "|"]
    for r in behind.itertuples():
        ends = f"{r.difference - r.half:+.3f} to {r.difference + r.half:+.3f}"
        lines.append(f"| {r.data} | {r.rival} | {r.difference:+.4f} | {ends} | {r.p:.2f} |")
    return "\n".join(lines)
