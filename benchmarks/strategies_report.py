"""Tables and figures from the lines of strategies.py: what `strategies.py report` writes into benchmarks/results/."""

import json
from collections.abc import Iterable
from pathlib import Path

import matplotlib
import numpy as np
import pandas as pd
from accuracy_report import TOTAL, means
from main_method_numbers import compare
from scipy import stats

matplotlib.use("Agg")
import matplotlib.pyplot as plt

FUSED, JOINT, UNIFORM = "fused", "joint", "uniform"
KEYS = {"simulation": ["level", "seed", "variant"], "tasks": ["data", "fold", "variant", "head"]}
WEAK = ["atac", "protein"]
CLAIMS = {  # what the papers say, as (with, without)
    "a unimodal loss beside the fused one": ("uniform", "joint"),
    "G2D with SMP, against joint training": ("g2d", "joint"),
    "G2D with SMP, against G2D without": ("g2d", "g2d, no SMP"),
    "complete against partial suppression": ("g2d", "g2d, partial SMP"),
    "SMP on the joint loss": ("joint + SMP", "joint"),
    "SMP on late fusion": ("late + SMP", "late"),
    "longer SMP against none": ("g2d, longer SMP", "g2d, no SMP"),
    "longer SMP on the joint loss": ("joint + longer SMP", "joint"),
    "longer SMP on late fusion": ("late + longer SMP", "late"),
    "SMP on the uniform loss": ("uniform + SMP", "uniform"),
    "SMP on the UMT loss of G2D": ("umt + SMP", "umt as g2d"),
    "ranked on training confidence instead of held-out": ("g2d, ranked on train", "g2d"),
    "ranked by the gap instead of held-out": ("g2d, ranked by gap", "g2d"),
}


def read(folder: Path, action: str) -> pd.DataFrame | None:
    """Lines of one action, each piece once; None where it has not run."""
    path = folder / f"strategies_{action}.jsonl"
    lines = path.read_text().splitlines() if path.exists() else []
    return pd.DataFrame(map(json.loads, lines)).drop_duplicates(KEYS[action], keep="last") if lines else None


def interval(values: np.ndarray) -> str:
    """Mean and half of its 95 % t-interval over seeds."""
    if len(values) < 2 or np.isnan(values).any():
        return "-" if np.isnan(values).all() else f"{np.nanmean(values):.3f}"
    half = stats.t.ppf(0.975, len(values) - 1) * values.std(ddof=1) / np.sqrt(len(values))
    return f"{values.mean():+.3f} ± {half:.3f}"


def simulation_part(frame: pd.DataFrame) -> list[str]:
    """Levels by strategy, and the papers' claims as paired differences."""
    frame = frame.copy()
    frame["weak retention"] = frame[[f"retention:{m}" for m in WEAK]].mean(axis=1)
    frame["weak share"] = frame[[f"shapley:{m}" for m in WEAK]].sum(axis=1, min_count=1)
    columns = {"fused": "macro-F1", "weak retention": "retention", "weak share": "Shapley"}
    levels = list(dict.fromkeys(frame["level"]))
    table = frame.pivot_table(index="variant", columns="level", values=list(columns), sort=False)
    order = table["fused"].mean(axis=1).sort_values(ascending=False).index if "fused" in table else table.index
    order = [*order, *(v for v in dict.fromkeys(frame["variant"]) if v not in set(order))]
    seeds = frame.groupby("variant")["seed"].nunique()
    head = ["strategy", "worlds", *(f"{name}, {level}" for name in columns.values() for level in levels)]
    lines = ["| " + " | ".join(head) + " |", "|---" * len(head) + "|"]
    for v in order:
        cells = [table.loc[v, (c, level)] if (c, level) in table.columns else np.nan for c in columns for level in levels]
        lines.append(f"| {v} | {seeds[v]} | " + " | ".join("-" if np.isnan(x) else f"{x:.3f}" for x in cells) + " |")
    wide = {c: frame.pivot_table(index=["level", "seed"], columns="variant", values=c) for c in columns}
    claims = [
        "| claim | " + " | ".join(f"{n}, all levels" for n in columns.values()) + " | retention, strong |",
        "|---|---|---|---|---|",
    ]
    for claim, (one, other) in CLAIMS.items():
        cells = []
        for c in columns:
            both = wide[c][[one, other]].dropna() if {one, other} <= set(wide[c].columns) else pd.DataFrame()
            by_seed = (both[one] - both[other]).groupby("seed").mean().to_numpy() if len(both) else np.array([np.nan])
            cells.append(interval(by_seed))
        both = wide["weak retention"]
        strong = (both[one] - both[other]).loc["strong"].to_numpy() if {one, other} <= set(both.columns) else np.array([np.nan])
        claims.append(f"| {claim}: {one} - {other} | " + " | ".join([*cells, interval(strong)]) + " |")
    ceilings = ", ".join(f"{m} {frame[f'ceiling:{m}'].mean():.2f}" for m in ("rna", *WEAK))
    return [
        f"Three modalities that all read the whole label, six classes, 600 training and 1,000 test rows, {seeds.max()} worlds. "
        "RNA's state is random with chance .30 (mild), .15 (medium), .05 (strong); that of ATAC and protein with .35. "
        "`macro-F1`: fused head on test rows. `retention`: accuracy of a linear probe on the encoders of ATAC and protein over "
        f"that of tuned logistic regression on their features (accuracy: {ceilings}), mean of the two; 1 = nothing is lost. "
        "`Shapley`: what ATAC and protein contribute together to the accuracy of the fused head. Means over worlds.",
        "\n".join(lines),
        "### The papers' claims in kind",
        "Paired differences, mean ± half of the 95 % t-interval over worlds (each the mean of its three levels).",
        "\n".join(claims),
    ]


def fused_heads(frame: pd.DataFrame) -> pd.DataFrame:
    """One system a strategy: its fused head, or, where it has none, its best single head with hindsight."""
    found = []
    for (_, _), part in frame.groupby(["data", "variant"], sort=False):
        best = part[part["head"] == FUSED]
        if best.empty:
            best = part[part["head"] == part.groupby("head")["f1"].mean().idxmax()]
        found.append(best)
    return pd.concat(found, ignore_index=True).rename(columns={"variant": "system"})


def complete(frame: pd.DataFrame) -> pd.DataFrame:
    """The folds that every system has."""
    systems = frame["system"].nunique()
    return frame[frame.groupby(["data", "fold"])["system"].transform("nunique") == systems]


def nemenyi(n_systems: int, n_tasks: int) -> float:
    """Critical difference of mean ranks at 5 % (Demsar 2006, jmlr.org/papers/v7/demsar06a.html)."""
    q = stats.studentized_range.ppf(0.95, n_systems, np.inf) / np.sqrt(2)
    return float(q * np.sqrt(n_systems * (n_systems + 1) / (6 * n_tasks)))


def critical_differences(ranks: dict[str, pd.Series], cd: float, n_tasks: int, path: Path) -> None:
    """Mean ranks of both metrics; the band holds what cannot be told from the best."""
    figure, axes = plt.subplots(1, len(ranks), figsize=(9, 0.19 * len(next(iter(ranks.values()))) + 1.2), layout="constrained")
    for ax, (name, rank) in zip(axes, ranks.items(), strict=True):
        rank = rank.sort_values(ascending=False)
        colours = ["#c44e52" if s == JOINT else "#4c72b0" if s == UNIFORM else "#888888" for s in rank.index]
        ax.axvspan(rank.min(), rank.min() + cd, color="#f0e6c8", zorder=0, label=f"critical difference {cd:.1f}")
        ax.hlines(range(len(rank)), rank.min(), rank, color="#cccccc", linewidth=1)
        ax.scatter(rank, range(len(rank)), c=colours, s=22, zorder=3)
        ax.set_yticks(range(len(rank)), rank.index, fontsize=7)
        ax.set_xlabel(f"mean rank in {name} over {n_tasks} tasks", fontsize=8)
        ax.tick_params(axis="x", labelsize=7)
        ax.spines[["top", "right"]].set_visible(False)
        ax.legend(fontsize=7, loc="lower left", frameon=False)
    figure.savefig(path, dpi=140)
    plt.close(figure)


def tasks_part(frame: pd.DataFrame, folder: Path) -> list[str]:
    """Scores, ranks and corrected differences from joint and uniform training."""
    frame = complete(fused_heads(frame))
    folds = frame.groupby("data")["fold"].nunique()
    systems = sorted(frame["system"].unique())
    ranks, parts = {}, []
    cd = nemenyi(len(systems), len(folds))
    for metric, name in {"f1": "macro-F1", "nll": "log-loss"}.items():
        table = means(frame, metric, systems)
        rank = table.drop(TOTAL).rank(axis=1, ascending=metric != "f1").mean()
        ranks[name] = rank
        against = {}
        for rival in (JOINT, UNIFORM):
            pairs = compare(frame, metric, [(s, rival) for s in systems if s != rival])
            against[rival] = pairs
        lines = [
            "| strategy | mean rank | mean | - joint | better / worse than joint | - uniform | better / worse than uniform |"
        ]
        lines.append("|---" * 7 + "|")
        for s in rank.sort_values().index:
            cells = [f"{rank[s]:.1f}", f"{table.loc[TOTAL, s]:.3f}"]
            for rival in (JOINT, UNIFORM):
                mine = against[rival][against[rival]["ours"] == s] if s != rival else None
                cells += ["-", "-"] if mine is None else verdict(mine)
            lines.append(f"| {s} | " + " | ".join(cells) + " |")
        parts += [
            f"### {name}",
            "\n".join(lines),
            "<details><summary>by task</summary>\n",
            by_task(table, rank.sort_values().index, largest=metric == "f1"),
            "\n</details>",
        ]
    critical_differences(ranks, cd, len(folds), folder / "strategies_ranks.png")
    return [
        "Fused heads; a strategy without one is represented by its best modality, chosen with hindsight. Tasks with the folds "
        f"that all strategies have: {', '.join(f'{t} {n}' for t, n in folds.items())}. Differences with half of the corrected "
        "95 % interval of the mean over tasks; positive is better. Better / worse: tasks with corrected p < 0.05. Friedman and "
        f"Nemenyi: mean ranks closer than {cd:.1f} cannot be told apart.",
        "![mean ranks](strategies_ranks.png)",
        *parts,
    ]


def by_task(table: pd.DataFrame, order: Iterable[str], *, largest: bool) -> str:
    """Strategies in rows, tasks in columns, the best of each task in bold."""
    best = table.max(axis=1) if largest else table.min(axis=1)
    lines = ["| strategy | " + " | ".join(table.index) + " |", "|---" * (len(table) + 1) + "|"]
    for s in order:
        cells = [f"**{v:.3f}**" if round(v, 3) == round(best[t], 3) else f"{v:.3f}" for t, v in table[s].items()]
        lines.append(f"| {s} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def verdict(pairs: pd.DataFrame) -> list[str]:
    """Mean difference with interval, and on how many tasks it is there."""
    whole, each = pairs[pairs["data"] == TOTAL].iloc[0], pairs[pairs["data"] != TOTAL]
    sure = each[each["p"] < 0.05]["difference"]
    return [f"{whole['difference']:+.3f} ± {whole['half']:.3f}", f"{(sure > 0).sum()} / {(sure < 0).sum()}"]


def time_part(frame: pd.DataFrame) -> list[str]:
    """CPU time of a fit over that of `joint` on the same task and fold."""
    once = frame.drop_duplicates(["data", "fold", "variant"]).pivot(index=["data", "fold"], columns="variant", values="seconds")
    ratio = once.div(once[JOINT], axis=0).median().sort_values()
    return [
        "CPU time of a fit (teachers not counted, gates are) over that of `joint` on the same task and fold; median over tasks "
        "and folds. This is `cost` in `ob.balance.strategies()`.",
        ", ".join(f"{name} {r:.1f}" for name, r in ratio.items()) + ".",
    ]


def report(folder: Path) -> None:
    """Write strategies.md and its figure."""
    sections = {
        "On simulations with one dominant modality": ("simulation", simulation_part),
        "On the 12 tasks": ("tasks", lambda frame: tasks_part(frame, folder)),
        "Time": ("tasks", time_part),
    }
    lines = [
        "# Balancing strategies against one another",
        "",
        "Made by `benchmarks/strategies.py report`; what is measured how is in that script.",
        "",
    ]
    for title, (action, part) in sections.items():
        frame = read(folder, action)
        lines += [f"## {title}", "", "\n\n".join(part(frame) if frame is not None else ["Not run."]), ""]
    (folder / "strategies.md").write_text("\n".join(lines))
