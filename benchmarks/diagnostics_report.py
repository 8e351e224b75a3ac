"""Tables and the figure from the lines of diagnostics.py: what `diagnostics.py report` writes into benchmarks/results/."""

import itertools
import json
from pathlib import Path
from typing import TYPE_CHECKING

import matplotlib
import numpy as np
import pandas as pd
from scipy import stats

matplotlib.use("Agg")
import matplotlib.pyplot as plt

if TYPE_CHECKING:
    from collections.abc import Callable

ORDER = ["shapley", "need", "information", "redundant", "unique_1", "unique_2", "synergistic", "synergy_kmeans"]
PANELS = {"shapley": "Shapley value", "need": "need", "information": "I(Z; Y)", "synergistic": "synergy"}
SOURCES = {"oracle": "exact posteriors", "trained": "trained models"}
COLORS = {"oracle": "#0072B2", "trained": "#E69F00"}
ROUNDING = 1e-3  # nats: the truth itself is known to about this
DRAWS = 1000
LOST = {"lost_f1": ("loss of macro-F1", 1), "lost_nll": ("rise of log-loss", -1)}  # and the sign that makes a loss positive
LEVELS = [0.0, 0.6, 0.8, 0.95, 1.01]  # of certainty


def read(folder: Path, action: str) -> pd.DataFrame | None:
    """Lines of one action; None where it has not run."""
    path = folder / f"diagnostics_{action}.jsonl"
    lines = path.read_text().splitlines() if path.exists() else []
    return pd.DataFrame(map(json.loads, lines)) if lines else None


def wilson(hits: int, n: int) -> str:
    """A share with its 95 % interval."""
    low, high = stats.binomtest(hits, n).proportion_ci(method="wilson")
    return f"{hits / n:.2f} ({low:.2f} to {high:.2f})"


def lines_of(head: list[str], rows: list[list[str]]) -> str:
    """A table in Markdown."""
    return "\n".join("| " + " | ".join(map(str, row)) + " |" for row in [head, ["---"] * len(head), *rows])


def truth_part(frame: pd.DataFrame) -> list[str]:
    """Bias, error, coverage by quantity and size; data sets are what is independent, so coverage is counted over them."""
    keys = [c for c in ("strategy", "n") if c in frame]
    frame = frame.assign(
        off=frame["value"] - frame["truth"],
        held=(frame["low"] - ROUNDING <= frame["truth"]) & (frame["truth"] <= frame["high"] + ROUNDING),
        above=frame["low"] - ROUNDING > frame["truth"],
    )
    rows = []
    for quantity in [q for q in ORDER if q in set(frame["quantity"])]:
        for key, mine in frame[frame["quantity"] == quantity].groupby(keys, sort=True):
            sets = mine.groupby(["world", "seed"])["held"].mean()
            error = sets.std(ddof=1) / np.sqrt(len(sets)) if len(sets) > 1 else np.nan
            numbers = [mine["off"].mean(), np.sqrt((mine["off"] ** 2).mean()), sets.mean(), 1.96 * error, mine["above"].mean()]
            words = [f"{numbers[0]:+.3f}", f"{numbers[1]:.3f}", f"{numbers[2]:.2f} ± {numbers[3]:.2f}", f"{numbers[4]:.2f}"]
            rows.append([quantity, *key, len(mine), *words])
    worlds = [[name, f"{w['off'].mean():+.3f}", f"{w['held'].mean():.2f}"] for name, w in frame.groupby("world", sort=False)]
    return [
        f"{frame.groupby(['world', 'n', 'seed']).ngroups} data sets of {frame['world'].nunique()} worlds. Bias and root mean "
        "squared error in nats; coverage: share of 95 % intervals that hold the truth, ± 1.96 standard errors over data sets; "
        "above: share of intervals that lie above the truth, and so claim what is not there."
        + " The truth is what the data hold: a model that has not learnt all of it is right to say less."
        * ("strategy" in keys),
        lines_of(["quantity", *keys, "numbers", "bias", "RMSE", "coverage", "above"], rows),
        "By world, all quantities:",
        lines_of(["world", "bias", "coverage"], worlds),
    ]


def cost_part(frame: pd.DataFrame) -> list[str]:
    """Seconds and megabytes by verb and size."""
    base = frame[frame["verb"] == "nothing"].set_index("n")["peak_mb"]
    rows = []
    for verb in [v for v in dict.fromkeys(frame["verb"]) if v != "nothing"]:
        cells = []
        for n in sorted(frame["n"].unique()):
            mine = frame[(frame["verb"] == verb) & (frame["n"] == n)].to_dict("records")
            if not mine:
                cells.append("-")
            elif not np.isfinite(mine[0].get("seconds", np.nan)):
                cells.append("failed")
            else:
                more = mine[0]["peak_mb"] - base.get(n, np.nan)
                cells.append(f"{mine[0]['seconds']:.1f} s" + (f", {max(more, 0):,.0f} MB" if np.isfinite(more) else ""))
        rows.append([verb, *cells])
    held = ", ".join(f"{mb:,.0f} MB at {n:,}" for n, mb in base.items())
    return [
        "CPU time of one call on one thread, and the peak of its process above that of one that only loads model and data "
        f"({held}). RNA 1,000, ATAC 2,000, protein 50 features, 8 classes.",
        lines_of(["verb", *(f"{n:,} cells" for n in sorted(frame["n"].unique()))], rows),
    ]


def verdict_part(frame: pd.DataFrame) -> list[str]:
    """Confusions, accuracy with Wilson intervals, and whether a certainty of 0.9 is right nine times in ten."""
    frame = frame[frame["truth"] != ""].copy()
    frame["right"] = [v in t.split("/") for v, t in zip(frame["verdict"], frame["truth"], strict=True)]
    table = pd.crosstab(frame["truth"], frame["verdict"])
    told = [[t, *table.loc[t], wilson(int(g["right"].sum()), len(g))] for t, g in frame.groupby("truth")]
    kinds = [[k, wilson(int(g["right"].sum()), len(g)), wilson(int(g.groupby("seed")["right"].all().sum()), g["seed"].nunique())]
             for k, g in frame.groupby("kind")]  # fmt: skip
    sure = [
        [f"{low:.2f} to {min(high, 1):.2f}", f"{g['certainty'].mean():.2f}", wilson(int(g["right"].sum()), len(g))]
        for low, high in itertools.pairwise(LEVELS)
        if len(g := frame[(frame["certainty"] >= low) & (frame["certainty"] < high)])
    ]
    return [
        f"{frame['seed'].nunique()} data sets, {len(frame)} verdicts whose truth follows from how the world was made "
        f"(`diagnostics_worlds.py`): right {wilson(int(frame['right'].sum()), len(frame))}, Wilson 95 %.",
        lines_of(["truth", *table.columns, "right"], told),
        lines_of(["kind of world", "verdicts right", "data sets all right"], kinds),
        "Certainty against how often it is right:",
        lines_of(["certainty", "mean", "right"], sure),
    ]


def tasks_part(frame: pd.DataFrame) -> list[str]:
    """Rank correlation over modalities and tasks between what is said and what a refit without the modality loses."""
    mean = frame.groupby(["data", "modality"]).mean(numeric_only=True).reset_index()
    said = [c for c in mean if ", " in c]
    rng, names = np.random.default_rng(0), list(mean["data"].unique())
    groups = dict(iter(mean.groupby("data")))
    again = [pd.concat([groups[names[i]] for i in rng.integers(len(names), size=len(names))]) for _ in range(DRAWS)]
    rows = []
    for column in said:
        cells = [column]
        for lost, (_, sign) in LOST.items():
            value = stats.spearmanr(mean[column], sign * mean[lost], nan_policy="omit").statistic
            draws = [stats.spearmanr(a[column], sign * a[lost], nan_policy="omit").statistic for a in again]
            low, high = np.nanquantile(draws, [0.025, 0.975])
            cells.append(f"{value:.2f} ({low:.2f} to {high:.2f})")
        rows.append(cells)
    head = [name for name, _ in LOST.values()]
    chosen = [c for c in ("need, information", "need, macro_f1", "shapley, macro_f1", "lost_f1") if c in mean]
    each = [[r["data"], r["modality"], *(f"{r[c]:+.3f}" for c in chosen)] for r in mean.to_dict("records")]
    return [
        f"{len(mean)} modalities of {len(names)} tasks, mean over folds. Spearman's rank correlation with what held-out "
        "rows lose when the model is fitted again without the modality; 95 % intervals by drawing whole tasks.",
        lines_of(["said on training rows, out-of-fold", *head], rows),
        lines_of(["task", "modality", *chosen[:-1], "macro-F1 lost by refit"], each),
    ]


def figure(frames: dict[str, pd.DataFrame], path: Path) -> None:
    """Truth against estimate, and coverage by size."""
    fig, axes = plt.subplots(1, len(PANELS) + 1, figsize=(3.1 * (len(PANELS) + 1), 3.3), layout="constrained")
    for ax, (quantity, name) in zip(axes, PANELS.items(), strict=False):
        for source, frame in frames.items():
            mine = frame[(frame["quantity"] == quantity) & (frame["n"] >= 500)]
            mine = mine.sample(min(len(mine), 400), random_state=0)
            ax.scatter(mine["truth"], mine["value"], s=7, alpha=0.4, color=COLORS[source], label=SOURCES[source], linewidths=0)
        ends = np.array([min(ax.get_xlim()[0], 0), ax.get_xlim()[1]])
        ax.plot(ends, ends, color="#777777", linewidth=0.9, zorder=0)
        ax.set_title(name, loc="left", fontsize="medium")
        ax.set_xlabel("truth (nats)")
    axes[0].set_ylabel("estimate (nats), n of 500 and more")
    axes[0].legend(frameon=False, fontsize="small", loc="upper left")
    for source, frame in frames.items():
        held = (frame["low"] - ROUNDING <= frame["truth"]) & (frame["truth"] <= frame["high"] + ROUNDING)
        for quantity, style in (("shapley", "-"), ("redundant", "--")):
            mine = held[frame["quantity"] == quantity].groupby(frame["n"]).mean()
            axes[-1].plot(mine.index, mine, style, marker="o", markersize=4, color=COLORS[source], label=f"{quantity}, {source}")
    axes[-1].axhline(0.95, color="#777777", linewidth=0.9)
    axes[-1].set(xscale="log", ylim=(0, 1.02), xlabel="cells")
    sizes = sorted({int(n) for frame in frames.values() for n in frame["n"]})
    axes[-1].set_xticks(sizes, [f"{n:,}" for n in sizes], fontsize="small")
    axes[-1].minorticks_off()
    axes[-1].set_title("coverage of 95% intervals", loc="left", fontsize="medium")
    axes[-1].legend(frameon=False, fontsize="x-small", loc="lower left", handlelength=3.5)
    for ax in axes:
        ax.spines[["top", "right"]].set_visible(False)
    fig.savefig(path, dpi=130)
    plt.close(fig)


def report(folder: Path) -> None:
    """Write diagnostics.md and its figure."""
    sections: dict[str, tuple[str, Callable[[pd.DataFrame], list[str]]]] = {
        "Estimators on exact posteriors": ("oracle", truth_part),
        "Trained models": ("trained", truth_part),
        "Time and memory": ("cost", cost_part),
        "Verdicts of `ob.tl.utilization`": ("verdicts", verdict_part),
        "Beside leaving the modality out and fitting again": ("tasks", tasks_part),
    }
    lines = ["# Can the diagnostics be trusted", ""]
    lines += ["Made by `benchmarks/diagnostics.py report`; what is measured how is in that script.", ""]
    found = {source: frame for source in SOURCES if (frame := read(folder, source)) is not None}
    if found:
        figure(found, folder / "diagnostics.png")
        lines += ["![estimates against truth](diagnostics.png)", ""]
    for title, (action, part) in sections.items():
        frame = read(folder, action)
        lines += [f"## {title}", "", "\n\n".join(part(frame) if frame is not None else ["Not run."]), ""]
    (folder / "diagnostics.md").write_text("\n".join(lines))
