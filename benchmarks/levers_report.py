"""Table and figure from levers_run.jsonl: what `levers.py report` writes into benchmarks/results/."""

import json
from pathlib import Path

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from scipy import stats

DEFAULT = "default"


def over_tasks(values: np.ndarray) -> tuple[float, float, float]:
    """Mean of the tasks' mean differences, half its 95 % t interval, two-sided p; tasks are the units."""
    n = len(values)
    error = values.std(ddof=1) / np.sqrt(n) if n > 1 else np.nan
    if not error > 0:
        return float(values.mean()), np.nan, np.nan
    return (
        float(values.mean()),
        float(stats.t.ppf(0.975, n - 1) * error),
        float(2 * stats.t.sf(abs(values.mean()) / error, n - 1)),
    )


def differences(frame: pd.DataFrame) -> pd.DataFrame:
    """A row a lever: gains over the default of the same folds (log-loss: default minus lever), and its time."""
    rows = []
    base = frame[frame["lever"] == DEFAULT].set_index(["data", "fold"])
    for lever, part in frame[frame["lever"] != DEFAULT].groupby("lever", sort=False):
        mine = part.set_index(["data", "fold"])
        both = mine.index.intersection(base.index)
        row = {"lever": lever, "tasks": both.get_level_values(0).nunique(), "folds": len(both)}
        for metric, sign in (("f1", 1), ("nll", -1)):
            gain = sign * (mine.loc[both, metric] - base.loc[both, metric]).groupby(level=0).mean()
            value, half, p = over_tasks(gain.to_numpy())
            row |= {metric: value, f"{metric}_half": half, f"{metric}_p": p, f"{metric}_up": int((gain > 1e-9).sum())}
        trained = mine["seconds"].median() > 1  # changes of the pool alone take no time worth a ratio
        row["time"] = float((mine.loc[both, "seconds"] / base.loc[both, "seconds"]).median()) if trained else np.nan
        rows.append(row)
    return pd.DataFrame(rows)


def table(found: pd.DataFrame) -> str:
    """Markdown."""
    lines = [
        "| lever | macro-F1 gain | p | better on | log-loss gain | p | better on | tasks, folds | CPU time |",
        "|---" * 9 + "|",
    ]
    for r in found.itertuples():
        cells = [f"{getattr(r, m):+.4f} ± {getattr(r, f'{m}_half'):.4f} | {getattr(r, f'{m}_p'):.2f}" for m in ("f1", "nll")]
        cells = [c.replace("nan", "-") for c in cells]
        ends = f"{r.tasks}, {r.folds} | {'-' if np.isnan(r.time) else f'{r.time:.1f}'} |"
        lines.append(f"| {r.lever} | {cells[0]} | {r.f1_up} | {cells[1]} | {r.nll_up} | {ends}")
    return "\n".join(lines)


def kept(found: pd.DataFrame, p: float) -> str:
    """Which levers would earn a change of the default at this p, for 2 tests a lever."""
    limit = p / (2 * len(found))
    sure = {m: found[(found[f"{m}_p"] < limit) & (found[m] > 0)]["lever"].tolist() for m in ("f1", "nll")}
    worse = {m: found[(found[f"{m}_p"] < limit) & (found[m] < 0)]["lever"].tolist() for m in ("f1", "nll")}

    def said(names: list[str]) -> str:
        return ", ".join(names) or "none"

    return (
        f"At p < {p} over {2 * len(found)} tests (Bonferroni, p < {limit:.4f}): macro-F1 better with {said(sure['f1'])}, "
        f"worse with {said(worse['f1'])}; log-loss better with {said(sure['nll'])}, worse with {said(worse['nll'])}."
    )


def draw(found: pd.DataFrame, path: Path) -> None:
    """Gains with intervals, levers in the order of macro-F1."""
    shown = found.sort_values("f1").reset_index(drop=True)
    figure, axes = plt.subplots(1, 2, figsize=(10, 0.22 * len(shown) + 1.4), sharey=True, layout="constrained")
    for ax, metric, name in zip(axes, ("f1", "nll"), ("macro-F1", "log-loss (nats, positive is better)"), strict=True):
        ax.errorbar(shown[metric], shown.index, xerr=shown[f"{metric}_half"], fmt="o", markersize=3, color="#0072b2", linewidth=1)
        ax.axvline(0, color="0.5", linewidth=0.8)
        ax.set_xlabel(f"gain over the default, {name}")
        ax.spines[["top", "right"]].set_visible(False)
        ax.set_xlim(-0.05, 0.05)
    axes[0].set_yticks(shown.index, shown["lever"], fontsize="small")
    figure.savefig(path, dpi=130)
    plt.close(figure)


def by_class(lines: pd.DataFrame) -> str:
    """Where the networks add to the linear experts, and where they take away."""
    mean = lines.groupby(["data", "class"]).agg(
        folds=("fold", "nunique"), n=("n", "sum"), f1=("f1_default", "mean"), f1_experts=("f1_experts", "mean"),
        nll=("nll_default", "mean"), nll_experts=("nll_experts", "mean"),
    )  # fmt: skip
    mean["f1_gain"], mean["nll_gain"] = mean["f1"] - mean["f1_experts"], mean["nll_experts"] - mean["nll"]
    rows = mean.sort_values("f1_gain", ascending=False)
    better, lower = int((rows["f1_gain"] > 0).sum()), int((rows["nll_gain"] > 0).sum())
    folds, worse = rows["folds"].max(), int((rows["f1_gain"] < 0).sum())
    parts = [
        "## Where the networks add to the linear experts, class by class",
        f"`python benchmarks/levers.py classes`: {folds} folds of each task. Of {len(rows)} classes F1 is higher with the "
        f"networks in {better}, lower in {worse}; log-loss is lower in {lower}. Most gained and most lost:",
    ]
    cells = ["| task | class | held-out rows | F1, experts alone | F1 | gain | log-loss gain |", "|---" * 7 + "|"]
    for (data, name), r in pd.concat([rows.head(8), rows.tail(8)]).iterrows():
        gains = f"{r.f1_experts:.3f} | {r.f1:.3f} | {r.f1_gain:+.3f} | {r.nll_gain:+.3f} |"
        cells.append(f"| {data} | {name} | {int(r.n)} | {gains}")
    return "\n\n".join([*parts, "\n".join(cells)])


def calibration(lines: pd.DataFrame) -> str:
    """Expected calibration error of each task: 15 equal-mass bins of the held-out rows of all folds."""
    cells = ["| task | held-out rows | calibration error | the same if calibrated |", "|---" * 4 + "|"]
    for task, part in lines.groupby("data"):
        sure, hit = np.concatenate(part["confidence"].tolist()), np.concatenate(part["hit"].tolist())
        rng = np.random.default_rng(0)
        by_chance = np.mean([error_of(sure, rng.random(len(sure)) < sure) for _ in range(100)])
        cells.append(f"| {task} | {len(sure)} | {error_of(sure, hit):.3f} | {by_chance:.3f} |")
    head = "## Calibration of the default on held-out rows"
    said = (
        "Mean over 15 equal-mass bins of |confidence - accuracy|. By chance a calibrated prediction is off as well: last column."
    )
    return "\n\n".join([head, said, "\n".join(cells)])


def error_of(sure: np.ndarray, hit: np.ndarray, bins: int = 15) -> float:
    """ECE."""
    parts = np.array_split(np.argsort(sure, kind="stable"), min(bins, len(sure)))
    return float(sum(len(p) * abs(sure[p].mean() - hit[p].mean()) for p in parts) / len(sure))


def lines_of(path: Path, *key: str) -> pd.DataFrame:
    """The newest line of each piece; empty where there is no file."""
    lines = pd.DataFrame(map(json.loads, path.read_text().splitlines())) if path.exists() else pd.DataFrame(columns=[*key])
    return lines.drop_duplicates([*key], keep="last")


def report(folder: Path) -> None:
    """Write levers.md and levers.png."""
    frame = lines_of(folder / "levers_run.jsonl", "data", "fold", "lever")
    found = differences(frame).sort_values("f1", ascending=False)
    draw(found, folder / "levers.png")
    folds = frame[frame["lever"] == DEFAULT].groupby("data")["fold"].nunique()
    parts = [
        "# Levers of the default",
        f"Made by `python benchmarks/levers.py run` and `report`: {len(folds)} tasks of ../shared/measure, {folds.sum()} folds "
        "in all, one seed, one change at a time; the pool is scored. Gains are paired "
        "on the same folds and averaged over tasks, with the 95 % t interval over tasks; a positive gain in log-loss is a lower "
        "loss. CPU time is that of the networks, relative to the default's. A lever that changes nothing on a task, such as a "
        "number of rows a step that the default takes there anyway, counts there as a gain of 0 or was not run.",
        kept(found, 0.05),
        table(found),
        "![levers](levers.png)",
    ]
    worlds = lines_of(folder / "levers_simulated.jsonl", "data", "fold", "lever")
    if len(worlds):
        parts += simulated(worlds)
    for name, key, part in (("classes", ("data", "fold", "class"), by_class), ("confidence", ("data", "fold"), calibration)):
        lines = lines_of(folder / f"levers_{name}.jsonl", *key)
        if len(lines):
            parts.append(part(lines))
    (folder / "levers.md").write_text("\n\n".join(parts) + "\n")


def simulated(frame: pd.DataFrame) -> list[str]:
    """The same table over simulated worlds."""
    found = differences(frame).sort_values("f1", ascending=False)
    seeds = frame[frame["lever"] == DEFAULT].groupby("data")["fold"].nunique()
    worlds = ", ".join(f"{world} ({n})" for world, n in seeds.items())
    return [
        "## On simulated worlds",
        f"`python benchmarks/levers.py simulated`: worlds (seeds) {worlds}; benchmarks/levers_worlds.py says what they are. A "
        "world counts as a task; 2/3 of the rows are trained on, the rest is scored.",
        kept(found, 0.05),
        table(found),
    ]
