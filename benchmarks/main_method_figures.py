"""Figures of the main-method report."""

from pathlib import Path

import matplotlib
import numpy as np
import pandas as pd
from accuracy_report import TOTAL
from main_method_numbers import FUSED, half_width

matplotlib.use("Agg")
import matplotlib.pyplot as plt  # the backend is chosen first
from matplotlib.ticker import MaxNLocator

BLUE, ORANGE = "#0072B2", "#D55E00"
COLOURS = ["#999999", "#56B4E9", "#E69F00", "#000000", "#009E73", "#CC79A7"]  # Okabe-Ito


def forest(pairs: dict[str, pd.DataFrame], metrics: dict[str, str], rival: str, path: Path) -> None:
    """Paired differences against `rival`: metrics in rows, the mean over tasks and each task in columns."""
    found = pd.concat([p for p in pairs.values() if len(p)] or [next(iter(pairs.values()))])
    if found.empty:
        return
    tasks = [TOTAL, *(t for t in found["data"].unique() if t != TOTAL)]
    variants = list(dict.fromkeys(found["ours"]))[::-1]
    size = (2.4 + 2.1 * len(tasks), 0.26 * len(variants) * len(pairs) + 1.8)
    fig, axes = plt.subplots(len(pairs), len(tasks), figsize=size, sharey=True, layout="constrained", squeeze=False)
    for row, (metric, part) in zip(axes, pairs.items(), strict=True):
        for ax, task in zip(row, tasks, strict=True):
            here = part[part["data"] == task]
            at = [variants.index(v) for v in here["ours"]]
            ax.axvline(0, color="0.5", lw=1)
            ax.errorbar(here["difference"], at, xerr=here["half"], fmt="none", ecolor="0.6", lw=1.2)
            filled = np.where(here["p"] < 0.05, BLUE, "white")
            ax.scatter(here["difference"], at, c=filled, edgecolors=BLUE, zorder=3, s=26)
            ax.set_yticks(range(len(variants)), variants, fontsize=8)
            ax.set_ylim(-0.6, len(variants) - 0.4)
            ax.tick_params(axis="x", labelsize=8)
            ax.xaxis.set_major_locator(MaxNLocator(4))
            ax.set_xlabel(metrics[metric] + ("\n(positive: lower)" if metric == "nll" else ""), fontsize=8)
            ax.grid(axis="y", color="0.93", lw=0.8)
            ax.spines[["top", "right"]].set_visible(False)
            if metric == next(iter(pairs)):
                ax.set_title(task, fontsize=9, fontweight="bold" if task == TOTAL else None)
    fig.suptitle(f"Variant minus {rival}, fused head; corrected 95 % intervals over folds; filled: p < 0.05", fontsize=10)
    fig.savefig(path, dpi=130)
    plt.close(fig)


def gate_scatter(pairs: pd.DataFrame, metrics: dict[str, str], path: Path) -> None:
    """Gap against KD gain, a point an ordered pair."""
    fig, axes = plt.subplots(1, len(metrics), figsize=(5 * len(metrics), 4.2), layout="constrained")
    for ax, (metric, name) in zip(axes, metrics.items(), strict=True):
        ax.axhline(0, color="0.5", lw=1)
        ax.axvline(0, color="0.5", lw=1)
        for label, colour, marker, here in (
            ("teacher is the stronger", BLUE, "o", pairs[pairs["lead"] > 0]),
            ("teacher is the weaker", ORANGE, "^", pairs[~(pairs["lead"] > 0)]),
        ):
            ends = np.abs([here["gap"] - here["gap_low"], here["gap_high"] - here["gap"]])
            ax.errorbar(
                here["gap"], here[f"gain_{metric}"], xerr=ends, yerr=here[f"half_{metric}"], fmt=marker, color=colour, ms=5,
                elinewidth=0.6, ecolor=(*matplotlib.colors.to_rgb(colour), 0.3), label=f"{label} ({len(here)})",
            )  # fmt: skip
        ax.set_xlabel("gap I(T;S) - I(S;Y) in nats, with its 90 % interval", fontsize=9)
        ax.set_ylabel(f"KD gain, {name}" + (", before - after" if metric == "nll" else ""), fontsize=9)
        ax.spines[["top", "right"]].set_visible(False)
    fig.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=2, frameon=False, fontsize=9)
    fig.suptitle("Does the gap foresee the gain? Mean over folds; vertical: corrected 95 % interval over folds", fontsize=10)
    fig.savefig(path, dpi=130)
    plt.close(fig)


def sweep_curves(
    sweeps: dict[str, pd.DataFrame | None], metrics: dict[str, str], order: list[str], task: str, path: Path
) -> None:
    """Both sweeps as curves of the fused head: metrics in rows."""
    there = {a: f[f["head"] == FUSED] for a, f in sweeps.items() if f is not None}
    if not there:
        return
    labels = {"noise": "share of noise in RNA", "rows": "share of the training rows"}
    variants = [v for v in order if any(v in set(f["variant"]) for f in there.values())]
    colours = dict(zip(variants, COLOURS, strict=False))
    size = (4.8 * len(there), 3.4 * len(metrics))
    fig, axes = plt.subplots(len(metrics), len(there), figsize=size, layout="constrained", squeeze=False)
    for row, (metric, name) in zip(axes, metrics.items(), strict=True):
        for ax, (action, frame) in zip(row, there.items(), strict=True):
            step = 0.008 * (len(variants) - 1)
            for shift, variant in zip(np.linspace(-step, step, len(variants)), variants, strict=True):
                groups = frame[frame["variant"] == variant].groupby("level")[metric]
                mean = groups.mean()
                half = groups.agg(half_width)
                ax.errorbar(
                    mean.index + shift, mean, yerr=half, color=colours.get(variant, "0.7"), marker="o", ms=4, lw=1.4,
                    elinewidth=0.8, label=variant,
                )  # fmt: skip
            ax.set_xticks(sorted(frame["level"].unique()))
            ax.set_xlabel(labels[action], fontsize=9)
            ax.set_ylabel(name, fontsize=9)
            ax.spines[["top", "right"]].set_visible(False)
    axes[0, 0].legend(frameon=False, fontsize=8)
    fig.suptitle(f"{task}, fused head; corrected 95 % intervals of the mean over folds", fontsize=10)
    fig.savefig(path, dpi=130)
    plt.close(fig)
