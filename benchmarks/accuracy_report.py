"""Tables and a figure from accuracy.jsonl: what `accuracy.py report` writes, into benchmarks/results/ and README.md."""

import json
import re
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pandas as pd
from accuracy_aims import aim_of_calibration, aims, aims_beside_peers, losses
from accuracy_losses import section as why
from accuracy_peers_report import section as peers
from accuracy_peers_report import summary
from accuracy_tasks import section as over_tasks
from accuracy_tasks import sentence

from omicsbal.train.intervals import corrected

ROOT = Path(__file__).resolve().parent.parent
TOTAL = "mean over tasks"
RATIO = 0.25  # test rows over training rows, five folds: the correction of Nadeau & Bengio 2003
FIXED = {"lr:concat", "lr:late", "lr:stack", "lr:pool", "rf:concat"}
ORDER = ["omicsbal", "lr:pool", "lr:concat", "lr:best-uni", "lr:late", "lr:stack", "rf:concat"]
SHOWN = ["lr:pool", "lr:concat", "lr:best-uni", "rf:concat"]  # in the figure
HEADS = ["omicsbal:uniform", "omicsbal:joint", "omicsbal:late"]
MARK = re.compile(r"(<!-- accuracy:start -->\n).*?(<!-- accuracy:end -->)", re.DOTALL)


def read(path: Path) -> pd.DataFrame:
    """Lines as a frame; the best single modality, chosen with hindsight, becomes the system lr:best-uni for each metric."""
    frame = pd.DataFrame(map(json.loads, path.read_text().splitlines()))
    frame = frame.drop_duplicates(["data", "fold", "system"], keep="last")
    single = frame[frame["system"].str.startswith("lr:") & ~frame["system"].isin(FIXED)]
    best = []
    for task, part in single.groupby("data"):
        means = part.groupby("system")[["f1", "nll"]].mean()
        winner = part[part["system"] == means["f1"].idxmax()].copy()
        by_loss = part[part["system"] == means["nll"].idxmin()].set_index("fold")["nll"]
        best.append(winner.assign(system="lr:best-uni", nll=winner["fold"].map(by_loss), data=task))
    return pd.concat([frame.drop(single.index), *best], ignore_index=True)


def paired(frame: pd.DataFrame, metric: str, rivals: Iterable[str], ours: str = "omicsbal") -> pd.DataFrame:
    """Differences ours minus rival per task (for log-loss: rival minus ours, so that positive is better)."""
    wide = frame.pivot_table(index=["data", "fold"], columns="system", values=metric)
    sign, rows = -1 if metric == "nll" else 1, []
    for task, part in wide.groupby("data", sort=False):
        for rival in rivals:
            both = part[[ours, rival]].dropna()
            mean, half, p = corrected(sign * (both[ours] - both[rival]).to_numpy(), RATIO)
            rows.append({"data": task, "rival": rival, "folds": len(both), "difference": mean, "half": half, "p": p})
    return pd.DataFrame(rows)


def behind(path: Path) -> list[str]:
    """Tasks on which some rival's mean macro-F1 is higher."""
    pairs = paired(read(path), "f1", ORDER[1:])
    return pairs[pairs["difference"] < 0]["data"].unique().tolist()


def means(frame: pd.DataFrame, metric: str, systems: list[str]) -> pd.DataFrame:
    """Mean over folds, tasks in rows, and the mean over tasks last."""
    table = frame.pivot_table(index="data", columns="system", values=metric, aggfunc="mean")[systems]
    table.loc[TOTAL] = table.mean()
    return table


def markdown(table: pd.DataFrame, digits: int = 3, *, largest: bool = True) -> str:
    """A table with the best of each row in bold."""
    lines = ["| task | " + " | ".join(table.columns) + " |", "|---" * (len(table.columns) + 1) + "|"]
    for name, row in table.iterrows():
        best = row.max() if largest else row.min()
        cells = [f"**{v:.{digits}f}**" if round(v, digits) == round(best, digits) else f"{v:.{digits}f}" for v in row]
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def tally(pairs: pd.DataFrame) -> str:
    """Wins, draws and losses against each rival at corrected p < 0.05."""
    lines = ["| rival | better | no difference | worse | mean difference |", "|---|---|---|---|---|"]
    for rival, part in pairs.groupby("rival", sort=False):
        sure = part["p"] < 0.05
        win, loss = int((sure & (part["difference"] > 0)).sum()), int((sure & (part["difference"] < 0)).sum())
        lines.append(f"| {rival} | {win} | {len(part) - win - loss} | {loss} | {part['difference'].mean():+.3f} |")
    return "\n".join(lines)


def figure(pairs: dict[str, pd.DataFrame], path: Path) -> None:
    """Forests of paired differences: rivals in columns, macro-F1 above, log-loss below."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    names = {"f1": "macro-F1", "nll": "log-loss, nats (positive: ours is lower)"}
    fig, axes = plt.subplots(len(names), len(SHOWN), figsize=(3.1 * len(SHOWN), 7.4), sharey=True, layout="constrained")
    for row, (metric, name) in zip(axes, names.items(), strict=True):
        for ax, rival in zip(row, SHOWN, strict=True):
            part = pairs[metric][pairs[metric]["rival"] == rival].iloc[::-1]
            sure = (part["p"] < 0.05).to_numpy()
            ax.axvline(0, color="0.5", lw=1)
            ax.errorbar(part["difference"], range(len(part)), xerr=part["half"], fmt="none", ecolor="0.6", lw=1.2)
            colours = np.where(sure, "#0072B2", "white")
            ax.scatter(part["difference"], range(len(part)), c=colours, edgecolors="#0072B2", zorder=3, s=28)
            ax.set_yticks(range(len(part)), part["data"])
            ax.set_title(f"against {rival}", fontsize=10)
            ax.set_xlabel(name, fontsize=9)
            ax.spines[["top", "right"]].set_visible(False)
    folds = sorted(set(pairs["f1"]["folds"]))
    fig.suptitle(
        f"omicsbal against its rivals, {folds[0]} to {folds[-1]} paired folds, corrected 95 % intervals: right of 0 is better; "
        "filled: p < 0.05",
        fontsize=10,
    )
    fig.savefig(path, dpi=150)
    plt.close(fig)


def report(path: Path) -> None:
    """Write everything."""
    frame, out = read(path), path.parent
    networks = [h for h in HEADS if h in set(frame["system"])]
    f1, nll = means(frame, "f1", [*ORDER, *networks]), means(frame, "nll", [*ORDER, *networks])
    pairs = {metric: paired(frame, metric, ORDER[1:]) for metric in ("f1", "nll")}
    folds = frame[frame["system"] == "omicsbal"].groupby("data").size()
    ranks = f1.drop(TOTAL)[ORDER].rank(axis=1, ascending=False).mean().sort_values()
    loss_ranks = nll.drop(TOTAL)[ORDER].rank(axis=1).mean().sort_values()
    about = (
        f"Made by `python benchmarks/accuracy.py run` and `report`: {len(folds)} tasks of ../shared/measure, {folds.min()} to "
        f"{folds.max()} paired folds each, one seed. `omicsbal` is `ob.tl.fit(mdata, label_key=...)` with no further argument; "
        "`omicsbal:<strategy>` is the fused head alone under that strategy. lr:best-uni is the best single modality, chosen with "
        "hindsight (for each table by its own metric)."
    )
    parts = [
        "# Accuracy",
        about,
        "## Aims",
        "\n".join(
            line
            for line in (
                aims(f1.drop(TOTAL), nll.drop(TOTAL), pairs, {"f1": ranks, "nll": loss_ranks}),
                aim_of_calibration(path.with_name("levers_confidence.jsonl")),
                aims_beside_peers(path.with_name("peers.jsonl")),
            )
            if line
        ),
        "## Macro-F1",
        markdown(f1),
        "## Log-loss (nats)",
        markdown(nll, largest=False),
        "## Mean ranks",
        "Macro-F1: " + ", ".join(f"{s} {r:.2f}" for s, r in ranks.items()) + ".",
        "Log-loss: " + ", ".join(f"{s} {r:.2f}" for s, r in loss_ranks.items()) + ".",
        *over_tasks(pairs),
        "## Paired differences, macro-F1 (corrected resampled t-test, p < 0.05)",
        tally(pairs["f1"]),
        "## Paired differences, log-loss (positive: omicsbal is lower)",
        tally(pairs["nll"]),
        "## Where a rival's macro-F1 is higher",
        losses(pairs["f1"]),
        *why(path.with_name("losses.jsonl"), pairs["f1"]),
        "## The fused head alone: uniform against the others, macro-F1",
        tally(paired(frame, "f1", networks[1:], networks[0])),
        "## The fused head alone: uniform against the others, log-loss (positive: uniform is lower)",
        tally(paired(frame, "nll", networks[1:], networks[0])),
        *peers(path.with_name("peers.jsonl"), frame["data"].nunique()),
    ]
    (out / "accuracy.md").write_text("\n\n".join(parts) + "\n")
    figure(pairs, out / "accuracy.png")
    _readme(f1, nll, folds, pairs)
    print("\n\n".join(parts))


def _readme(f1: pd.DataFrame, nll: pd.DataFrame, folds: pd.Series, pairs: dict[str, pd.DataFrame]) -> None:
    """The marked part of README.md."""
    table = pd.DataFrame({"f1": f1.loc[TOTAL, ORDER], "nll": nll.loc[TOTAL, ORDER]})
    lines = ["| system | mean macro-F1 | mean log-loss (nats) |", "|---|---|---|"]
    lines += [f"| {system} | {row['f1']:.3f} | {row['nll']:.3f} |" for system, row in table.iterrows()]
    text = (
        f"Mean over {len(folds)} real tasks, {folds.min()} to {folds.max()} held-out folds each, one seed, made by "
        "`benchmarks/accuracy.py`. `lr:*` are tuned logistic regressions: on all features (`concat`), averaged (`late`), stacked "
        "or pooled, and on the best single modality, chosen with hindsight. Per task, with intervals and corrected paired tests: "
        "[benchmarks/results/accuracy.md](benchmarks/results/accuracy.md).\n\n"
    )
    sure = {m: t[(t["rival"] == "lr:pool") & (t["p"] < 0.05)]["difference"] for m, t in pairs.items()}
    higher, lower = {m: int((d > 0).sum()) for m, d in sure.items()}, {m: int((d < 0).sum()) for m, d in sure.items()}
    lines += [
        "",
        f"Against `lr:pool`, the strongest of them, macro-F1 is significantly better on {higher['f1']} tasks and worse on "
        f"{lower['f1']}, log-loss better on {higher['nll']} and worse on {lower['nll']}: what the networks add there is mostly "
        f"better probabilities. {sentence(pairs, ('lr:pool', 'lr:concat'))}",
        "",
        "![omicsbal against its rivals, task by task](benchmarks/results/accuracy.png)",
        *summary(ROOT / "benchmarks" / "results" / "peers.jsonl"),
    ]
    readme = ROOT / "README.md"
    old = readme.read_text()
    new = MARK.sub(lambda m: m[1] + text + "\n".join(lines) + "\n" + m[2], old)
    if new != old:
        readme.write_text(new)
