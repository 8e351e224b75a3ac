"""Tables and figures from main_method_*.jsonl: what `main_method.py report` writes into benchmarks/results/."""

import re
from pathlib import Path

import pandas as pd
from accuracy_report import TOTAL, markdown
from main_method_figures import forest, sweep_curves
from main_method_gates import gates_part
from main_method_numbers import (
    CELL,
    CONTRASTS,
    FUSED,
    METRICS,
    NOT_RUN,
    PLAIN,
    STATIC,
    UNGATED,
    WEAK,
    WHOLE,
    cell,
    compare,
    counts,
    fused,
    grid,
    half_width,
    is_weak,
    kd_gains,
    read,
    shared_folds,
    taught,
)
from main_method_tasks import tasks_part

from omicsbal import FitConfig

VARIANTS = {  # in the order of the tables
    "unimodal": "every modality alone; its best one, chosen with hindsight for each metric",
    "concatenation": "one fused head on all embeddings, no unimodal losses (`joint`)",
    "concatenation + graph": "the same, encoders on the fused similarity graph",
    "uniform": "fused and unimodal losses, one weight each",
    "uniform, twice the steps": "the same, with as many steps as two stages have",
    "static": "the multitask loss of `mutual` with equal weights; no KD",
    "static + KD ungated": "static, KD from the best classifier to every weaker modality inside the loss",
    "static + KD gated": "static, KD where the gate lets it happen",
    "static + KD reversed": "static, KD from the weakest modality to all others",
    "static + KD shuffled": "ungated, with the teachers' rows exchanged at random",
    "static + KD first": "ungated KD in a stage of its own, then static",
    "KD alone": "every modality alone, the weaker ones with ungated KD; its best one, chosen with hindsight",
    "F1 only": "gated KD, weights by macro-F1 alone",
    "MI only": "gated KD, weights by mutual information alone",
    "MI sign flipped": "gated KD, weights by macro-F1 that favour complementary modalities",
    "full": "`mutual`: gated KD inside the loss, weights by macro-F1 and mutual information",
    "full, KD first": "`mutual(kd='first')`: gated KD in a stage of its own, as in the paper",
    "full + graph": "full, encoders on the fused similarity graph",
}


def differences(pairs: pd.DataFrame, of: str) -> str:
    """A row a system named in column `of`, the tasks in columns."""
    tasks = [t for t in pairs["data"].unique() if t != TOTAL]
    rows = []
    for system, part in pairs.groupby(of, sort=False):
        at = {r["data"]: cell(r) for _, r in part.iterrows()}
        total = at[TOTAL] + (f", {len(part) - 1} tasks" if len(part) - 1 < len(tasks) else "")
        rows.append([system, *(at.get(t, "not run") for t in tasks), total, counts(part[part["data"] != TOTAL])])
    return grid([of, *tasks, TOTAL, "better / no difference / worse"], rows)


def scores(frame: pd.DataFrame, metric: str, order: list[str]) -> str:
    """Means over folds, variants in rows, best of each column bold; mean and rank of the variants that have every task."""
    table = frame.pivot_table(index="system", columns="data", values=metric).reindex(order)
    complete = table.dropna().index
    seconds = frame.groupby(["system", "data"])["seconds"].mean().groupby("system").mean()
    ranks = table.loc[complete].rank(ascending=metric == "nll").mean(axis=1)
    table = table.assign(**{"mean": table.loc[complete].mean(axis=1), "mean rank": ranks})
    lowest = {c: metric == "nll" or c == "mean rank" for c in table}
    digits = {c: 2 if c == "mean rank" else 3 for c in table}
    best = {c: round(table[c].min() if lowest[c] else table[c].max(), digits[c]) for c in table}
    texts = {c: [_score(v, digits[c], best[c]) for v in table[c]] for c in table}
    rows = [[v, *(texts[c][i] for c in table), f"{seconds[v]:.0f}" if v in complete else "–"] for i, v in enumerate(order)]
    return grid(["variant", *table, "CPU seconds a fit"], rows)


def _score(value: float, digits: int, best: float) -> str:
    if pd.isna(value):
        return "–"
    text = f"{value:.{digits}f}"
    return f"**{text}**" if round(value, digits) == best else text


def ablation_part(ablation: pd.DataFrame | None, folder: Path) -> list[str]:
    """Section 1."""
    if ablation is None:
        return [NOT_RUN]
    frame = fused(ablation)
    there = set(frame["system"])
    order = [v for v in VARIANTS if v in there] + [v for v in dict.fromkeys(frame["system"]) if v not in VARIANTS]
    missing = [v for v in VARIANTS if v not in there]
    even = shared_folds(frame)
    folds = frame.groupby(["data", "system"]).size().unstack(fill_value=0)[order]
    said = [f"{t} {int(r.max())}" + "".join(f", {v} {int(n)}" for v, n in r.items() if n < r.max()) for t, r in folds.iterrows()]
    parts = [
        "\n".join(f"- **{v}**: {VARIANTS.get(v, 'no description')}" for v in order),
        "Folds, with the variants that have fewer: " + "; ".join(said) + ".",
        *(["Not run on any task: " + ", ".join(missing) + "."] if missing else []),
        "The two tables of scores are over the folds that all variants with half of a task's folds share ("
        + ", ".join(f"{t} {n}" for t, n in even.groupby("data")["fold"].nunique().items())
        + "); a variant that lacks some of them has no mean there, and one that lacks a task no mean over tasks and no rank. "
        "Differences are over all folds that the two have in common. Seconds leave out stage 0, the unimodal references, which "
        "the variants that need them share.",
    ]
    for metric, name in METRICS.items():
        parts += [f"### {name}, fused head", scores(even, metric, order)]
    forests = {}
    for rival in (STATIC, PLAIN):
        for metric, name in METRICS.items():
            found = compare(frame, metric, [(v, rival) for v in order if v != rival])
            forests[rival, metric] = found
            parts += [f"### Each variant minus {rival}, {name}", CELL, differences(found, "ours") if len(found) else NOT_RUN]
    for metric, name in METRICS.items():
        found = compare(frame, metric, [(WHOLE, v) for v in order if v != WHOLE])
        parts += [f"### {WHOLE} minus each other, {name}", CELL, differences(found, "rival") if len(found) else NOT_RUN]
    forest({m: forests[PLAIN, m] for m in METRICS}, METRICS, PLAIN, folder / "main_method_ablation.png")
    return parts


def kd_part(ablation: pd.DataFrame | None) -> list[str]:
    """Section 2."""
    if ablation is None:
        return [NOT_RUN]
    students = taught(ablation)
    weak = is_weak(students)
    share = students.set_index(["data", "variant", "head"])["share"].to_dict()
    teachers = students[students["variant"].isin([UNGATED, "KD alone"])]
    teachers = teachers.drop_duplicates(["data", "head"]).set_index(["data", "head"])["teacher"].to_dict()
    ours = {name: pair[0] for name, pair in CONTRASTS.items()}
    parts = [
        "A head's own score with KD minus without. Weak students are the heads that ungated KD taught in most folds; their "
        f"teacher is named. In brackets: heads that were no student in most folds of that variant. `{WEAK}`: their mean in each "
        "fold, then compared. Shuffled teachers show what softened targets do by themselves, so only ungated minus shuffled is "
        "the teacher's knowledge. " + CELL,
    ]
    for metric, name in METRICS.items():
        gains = kd_gains(ablation, metric, weak)
        if gains.empty:
            parts += [f"### {name}", NOT_RUN]
            continue
        rows, sums = [], []
        for (task, head), part in gains[gains["data"] != TOTAL].groupby(["data", "head"], sort=False):
            by = {r["contrast"]: r for _, r in part.iterrows()}
            shown = [
                "–"
                if c not in by
                else cell(by[c])
                if head in (FUSED, WEAK) or share.get((task, ours[c], head), 0) > 0.5
                else f"({cell(by[c])})"
                for c in CONTRASTS
            ]
            rows.append([task, head, teachers.get((task, head), "–"), *shown])
        for head in (WEAK, FUSED):
            part = gains[(gains["data"] == TOTAL) & (gains["head"] == head)].set_index("contrast")
            sums.append([TOTAL, head, "–", *(cell(part.loc[c]) if c in part.index else "–" for c in CONTRASTS)])
        rows.sort(key=lambda r: (r[0], [r[2] == "–", r[1] == FUSED, r[1] == WEAK]))
        parts += [f"### {name}", grid(["task", "head", "teacher", *CONTRASTS], rows + sums), kd_sentences(gains, weak)]
    return parts


def kd_sentences(gains: pd.DataFrame, weak: set[tuple[str, str]]) -> str:
    """What the contrasts say of the weak students."""
    at = [pair in weak for pair in zip(gains["data"], gains["head"], strict=True)]
    lines = []
    for contrast in CONTRASTS:
        part, total = gains[at][gains[at]["contrast"] == contrast], gains[(gains["contrast"] == contrast)]
        total = total[(total["data"] == TOTAL) & (total["head"] == WEAK)]
        if len(part):
            sides = f"better / no difference / worse in {counts(part)} of {len(part)} weak students"
            lines.append(f"- {contrast}: {cell(total.iloc[0])} over {total.iloc[0]['tasks']} tasks; {sides}.")
    return "\n".join(lines)


def sweep_part(frame: pd.DataFrame | None, what: str) -> list[str]:
    """Section 4, one sweep."""
    if frame is None:
        return [NOT_RUN]
    frame = frame[frame["head"] == FUSED].rename(columns={"variant": "system"})
    frame = frame.assign(data=frame["level"].map("{:.2f}".format))
    order = [v for v in VARIANTS if v in set(frame["system"])]
    even = shared_folds(frame)
    folds = even.groupby(["data", "system"]).size()
    parts = [f"{what} Folds: {folds.min()}" + ("." if folds.min() == folds.max() else f" to {folds.max()}.")]
    for metric, name in METRICS.items():
        table = even.pivot_table(index="data", columns="system", values=metric).reindex(columns=order)
        half = even.groupby(["data", "system"])[metric].agg(half_width)
        text = markdown(table, largest=metric == "f1").replace("| task |", "| level |").replace("| nan", "| not run")
        pairs = compare(frame, metric, [(v, PLAIN) for v in order if v != PLAIN])
        levels = sorted(set(frame["data"]))
        found = {(r["data"], r["ours"]): cell(r) for _, r in pairs.iterrows()}
        rivals = [v for v in order if v != PLAIN]
        rows = [[level, *(found.get((level, v), "not run") for v in rivals)] for level in levels]
        widths = f"Half of the corrected 95 % interval of these means: {half.min():.3f} to {half.max():.3f}."
        parts += [f"### {name}", text, widths, f"Minus {PLAIN}. {CELL}", grid(["level", *rivals], rows)]
    return parts


def about(config: FitConfig) -> str:
    """What all sections have in common."""
    usual = FitConfig()
    return (
        "Made by `python benchmarks/main_method.py {ablation,gates,noise,rows,tasks,report}`. Tasks and folds of "
        "../shared/measure: five folds, repeated twice up to 2,000 rows. One seed. A stage has about "
        f"{config.max_steps} optimiser steps (default {usual.max_steps}) and {config.n_members} members that saw all training "
        f"rows (default {usual.n_members}); variants with KD first have a second stage. All share folds, recipes and "
        "unimodal references. Scores are of rows that no part of the fit has seen. Intervals and p are over the folds of one "
        "data set, corrected for the training rows that folds share (Nadeau & Bengio 2003, doi:10.1023/A:1024068626366): they "
        "say nothing of other seeds or data sets. The mean over tasks takes the tasks as fixed. No p is adjusted for the number "
        "of comparisons. CPU, one thread."
    )


def with_unchanged(frame: pd.DataFrame | None, ablation: pd.DataFrame | None, task: str, level: float) -> pd.DataFrame | None:
    """A sweep with its unchanged case, which stands in the ablation."""
    if frame is None or ablation is None:
        return frame
    same = ablation[(ablation["data"] == task) & ablation["variant"].isin(set(frame["variant"]))].assign(level=level)
    both = pd.concat([frame, same[frame.columns]], ignore_index=True)
    return both.drop_duplicates(["level", "fold", "variant", "head"])


def report(folder: Path) -> None:
    """Write main_method.md and its figures from whatever lines there are."""
    from main_method import CONFIG, SWEEP  # here, since main_method imports this file

    ablation, gates = read(folder, "ablation"), read(folder, "gates")
    unchanged = {"noise": 0.0, "rows": 1.0}
    sweeps = {a: with_unchanged(read(folder, a), ablation, SWEEP, level) for a, level in unchanged.items()}
    sweep_curves(sweeps, METRICS, list(VARIANTS), SWEEP, folder / "main_method_sweeps.png")
    mixed = (
        f"Level: share of noise in the RNA of {SWEEP}, in training and held-out rows; 1 is noise alone, 0 the ablation's fits."
    )
    share = (
        f"Level: share of the training rows of {SWEEP}, every class with six at least; 1 is the ablation's fits. The correction "
        "is that of whole folds (1/4), since subsamples share fewer rows than folds do."
    )
    parts = [
        "# The main method against its parts", about(CONFIG),
        "## 1. Ablation", *ablation_part(ablation, folder),
        "## 2. What KD brings to a student", *kd_part(ablation),
        "## 3. The gate as a predictor", *gates_part(gates, folder),
        "## 4. One channel degraded", *sweep_part(sweeps["noise"], mixed),
        "## 5. Fewer training rows", *sweep_part(sweeps["rows"], share),
        "## 6. On all tasks", *tasks_part(folder, ablation),
    ]  # fmt: skip
    text = re.sub(r"\+?\bnan\b", "–", "\n\n".join(parts))  # an interval of a single fold
    (folder / "main_method.md").write_text(text + "\n")
    print(f"{folder / 'main_method.md'} written")
