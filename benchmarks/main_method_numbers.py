"""Numbers of the main-method report: scores, paired differences and gates as frames, from the lines of main_method.py."""

import json
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pandas as pd
from accuracy_report import RATIO, TOTAL, corrected, paired
from scipy import stats

FUSED, POOL, WEAK = "fused", "pool", "weak students"
PLAIN, STATIC, WHOLE = "concatenation", "static", "full"
UNGATED = "static + KD ungated"
CONTRASTS = {  # what KD brings: (with, without)
    "KD alone": ("KD alone", "unimodal"),
    "KD in the multitask loss": (UNGATED, STATIC),
    "gated": ("static + KD gated", STATIC),
    "shuffled teacher": ("static + KD shuffled", STATIC),
    "reversed": ("static + KD reversed", STATIC),
    "ungated minus shuffled": (UNGATED, "static + KD shuffled"),
}
METRICS = {"f1": "macro-F1", "nll": "log-loss (nats)"}
NOT_RUN = "Not run."
CELL = "Cells: difference ± half of the corrected 95 % interval (p), positive is better; bold: p < 0.05."
KEYS = {
    "tasks": ["data", "fold", "variant", "head"],
    "ablation": ["data", "fold", "variant", "head"],
    "gates": ["data", "fold", "teacher", "student"],
    "noise": ["level", "fold", "variant", "head"],
    "rows": ["level", "fold", "variant", "head"],
}


def read(folder: Path, action: str) -> pd.DataFrame | None:
    """Lines of one action, each piece once; None where it has not run."""
    path = folder / f"main_method_{action}.jsonl"
    lines = path.read_text().splitlines() if path.exists() else []
    if not lines:
        return None
    return pd.DataFrame(map(json.loads, lines)).drop_duplicates(KEYS[action], keep="last")


def fused(ablation: pd.DataFrame) -> pd.DataFrame:
    """One system a variant: its fused head, or, where it has none, its best modality, chosen with hindsight for each metric."""
    found = []
    for (_, variant), part in ablation[ablation["head"] != POOL].groupby(["data", "variant"], sort=False):
        best = part[part["head"] == FUSED].copy()
        if best.empty:
            scores = part.groupby("head")[["f1", "nll"]].mean()
            best = part[part["head"] == scores["f1"].idxmax()].copy()
            by_loss = part[part["head"] == scores["nll"].idxmin()].set_index("fold")["nll"]
            best["nll"] = best["fold"].map(by_loss)
        found.append(best.assign(system=variant))
    return pd.concat(found, ignore_index=True)


def shared_folds(frame: pd.DataFrame) -> pd.DataFrame:
    """Of each task the folds that every system has which has half of them at least, and the systems that have them all.

    A killed run leaves a fold half done; means over different folds are not comparable.
    """
    folds = frame.groupby(["data", "system"])["fold"].transform("nunique")
    most = folds.groupby(frame["data"]).transform("max")
    broad = frame[folds >= most / 2]
    size = broad.groupby(["data", "fold"])["system"].nunique()
    wanted = broad.groupby("data")["system"].nunique().loc[size.index.get_level_values("data")]
    kept = set(size.index[size.to_numpy() == wanted.to_numpy()])
    part = frame[[piece in kept for piece in zip(frame["data"], frame["fold"], strict=True)]]
    own = part.groupby(["data", "system"])["fold"].transform("nunique")
    return part[own == own.groupby(part["data"]).transform("max")]


def pooled(pairs: pd.DataFrame) -> tuple[float, float, float]:
    """Mean over tasks, 95 % half-width and p: the tasks are fixed, their corrected errors independent (Welch-Satterthwaite)."""
    free = pairs["folds"] - 1
    variance = (pairs["half"] / stats.t.ppf(0.975, free)) ** 2
    mean, error = float(pairs["difference"].mean()), float(np.sqrt(variance.sum())) / len(pairs)
    if error == 0:
        return mean, 0.0, 1.0 if mean == 0 else 0.0
    freedom = float(variance.sum() ** 2 / (variance**2 / free).sum())
    return mean, float(stats.t.ppf(0.975, freedom) * error), float(2 * stats.t.sf(abs(mean) / error, freedom))


def half_width(values: pd.Series) -> float:
    """Half of the corrected 95 % interval of a mean over folds; NaN for one."""
    return corrected(values.to_numpy(), RATIO)[1]


def compare(frame: pd.DataFrame, metric: str, pairs: Iterable[tuple[str, str]]) -> pd.DataFrame:
    """Ours minus rival (positive is better) on common folds, a row a task that has two of them at least, and their mean."""
    rows = [pd.DataFrame(columns=["data", "ours", "rival", "folds", "difference", "half", "p", "tasks"])]
    for ours, rival in pairs:
        both = frame[frame["system"].isin([ours, rival])]
        size = both.groupby(["data", "fold"])["system"].nunique().eq(2).groupby("data").sum()
        both = both[both["data"].isin(size.index[size >= 2])]
        if both.empty:
            continue
        part = paired(both, metric, [rival], ours)
        mean, half, p = pooled(part)
        total = {"data": TOTAL, "rival": rival, "folds": part["folds"].sum(), "difference": mean, "half": half, "p": p}
        rows.append(pd.concat([part, pd.DataFrame([total])]).assign(ours=ours, tasks=len(part)))
    return pd.concat(rows[1:] or rows, ignore_index=True)


def taught(ablation: pd.DataFrame) -> pd.DataFrame:
    """Share of the folds in which a head was a student, and of whom, a row (data, variant, head)."""
    pieces = ablation.drop_duplicates(["data", "fold", "variant"])
    rows = [
        {"data": r.data, "variant": r.variant, "head": student, "teacher": teacher}
        for r in pieces.itertuples()
        for student, teacher in r.taught.items()
    ]
    found = pd.DataFrame(rows, columns=["data", "variant", "head", "teacher"])
    folds = pieces.groupby(["data", "variant"]).size().rename("folds")
    keys = ["data", "variant", "head"]
    known = found.groupby(keys)["teacher"].agg(["size", lambda t: " / ".join(t.value_counts().index)])
    known.columns = ["times", "teacher"]
    known = known.reset_index().merge(folds.reset_index(), on=["data", "variant"])
    return known.assign(share=known["times"] / known["folds"])


def is_weak(students: pd.DataFrame) -> set[tuple[str, str]]:
    """(data, head) that ungated KD taught in most folds: those below another modality."""
    part = students[students["variant"].isin([UNGATED, "KD alone"]) & (students["share"] > 0.5)]
    return set(zip(part["data"], part["head"], strict=True))


def kd_gains(ablation: pd.DataFrame, metric: str, weak: set[tuple[str, str]]) -> pd.DataFrame:
    """`CONTRASTS` of every head of every task, and of the mean over a task's weak students."""
    heads = ablation[ablation["head"] != POOL].rename(columns={"variant": "system"})
    at = [pair in weak for pair in zip(heads["data"], heads["head"], strict=True)]
    mean = heads[at].groupby(["data", "fold", "system"], as_index=False)[["f1", "nll"]].mean().assign(head=WEAK)
    found = [
        compare(part, metric, CONTRASTS.values()).assign(head=head)
        for head, part in pd.concat([heads, mean]).groupby("head", sort=False)
    ]
    gains = pd.concat([f for f in found if len(f)] or found, ignore_index=True)
    names = {pair: name for name, pair in CONTRASTS.items()}
    return gains.assign(contrast=[names[pair] for pair in zip(gains["ours"], gains["rival"], strict=True)])


def grid(heads: list[str], rows: Iterable[list[str]]) -> str:
    """A table of texts."""
    return "\n".join("| " + " | ".join(r) + " |" for r in [heads, ["---"] * len(heads), *rows])


def cell(row: pd.Series) -> str:
    """A paired difference."""
    text = f"{row['difference']:+.3f} ± {row['half']:.3f} ({row['p']:.2g})"
    return f"**{text}**" if row["p"] < 0.05 else text


def counts(part: pd.DataFrame) -> str:
    """Tasks in which ours is better, no different, worse."""
    sure = part["p"] < 0.05
    better, worse = int((sure & (part["difference"] > 0)).sum()), int((sure & (part["difference"] < 0)).sum())
    return f"{better} / {len(part) - better - worse} / {worse}"
