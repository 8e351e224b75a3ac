"""The part of accuracy.md on the peers, from peers.jsonl: scores on common folds, paired differences, time and memory."""

import json
from pathlib import Path

import numpy as np
import pandas as pd

from omicsbal.train.intervals import corrected

RATIO = 0.25  # test rows over training rows, five folds: the correction of Nadeau & Bengio 2003
OURS = "omicsbal"
ORDER = ["matilda", "scanvi", "totalvi:rf", "totalvi:lr", "multivi:rf", "multivi:lr", "lr:concat"]
COST = {"cpu": "CPU s", "work_cpu": "CPU s after start-up", "peak_mib": "peak MiB"}
ABOUT = """\
Made by `python benchmarks/accuracy.py peers`: every system is one process with one thread, in its own environment
(benchmarks/peers/), on the same folds, one at a time; the peers at the settings that their own documentation uses, said in
benchmarks/peers/run_*.py. omicsbal is the default fit, run through the same door. Peers need raw counts, which {n} of the
{all} tasks have: {tasks}. totalVI and MULTIVI give a latent space: `rf` is the forest of the totalVI tutorial on it, `lr` tuned
logistic regression, our addition. Matilda says one rounded probability a cell; its log-loss spreads the rest evenly.
scANVI sees RNA alone. Versions: {versions}."""


def read(path: Path) -> pd.DataFrame:
    """Lines as a frame, the last of each piece."""
    frame = pd.DataFrame(map(json.loads, path.read_text().splitlines()))
    return frame.drop_duplicates(["data", "fold", "system"], keep="last")


def section(path: Path, n_tasks: int) -> list[str]:
    """Paragraphs and tables; none where there are no lines of a peer beside ours."""
    if not path.exists():
        return []
    frame = read(path)
    failed = frame[frame["error"].notna()] if "error" in frame else frame.iloc[:0]
    scored = frame[frame["f1"].notna()]
    if not {OURS} < set(scored["system"]):
        return []
    found = {name: version for row in scored["versions"] for name, version in row.items() if name != "torch"}
    names = list(dict.fromkeys(scored["data"]))
    about = ABOUT.format(
        n=len(names),
        all=n_tasks,
        tasks=", ".join(names),
        versions=", ".join(f"{name} {version}" for name, version in sorted(found.items())),
    )
    pairs = paired(scored)
    parts = ["## Peers", " ".join(about.split("\n")), scores(pairs), "### Peers: wins over tasks, macro-F1", tally(pairs)]
    if len(failed):
        said = failed.groupby(["data", "system"])["error"].agg(["size", "last"]).reset_index()
        parts.append(
            "Failed: " + "; ".join(f"{r.system} on {r.data}, {r.size} fold(s): {r.last}" for r in said.itertuples()) + "."
        )
    return [*parts, "### Peers: time and memory", cost(scored), speed(scored)]


def summary(path: Path) -> list[str]:
    """A short table for the README: each peer against ours in the mean over tasks; none without lines."""
    scored = read(path) if path.exists() else pd.DataFrame({"system": []})
    if not {OURS} < set(scored["system"]):
        return []
    pairs, costs = paired(scored[scored["f1"].notna()]), ratios(scored[scored["f1"].notna()]).groupby("system")
    lines = ["", "The peers that install, on the tasks with raw counts (details in the same file):", ""]
    lines += ["| peer | tasks, folds | macro-F1 | of omicsbal | CPU time / omicsbal | memory / omicsbal |", "|---" * 6 + "|"]
    for rival, part in pairs[pairs["rival"] != "lr:concat"].groupby("rival", sort=False):
        times, memory = (np.exp(np.log(costs.get_group(rival)[f"{field}_ratio"]).mean()) for field in ("cpu", "peak_mib"))
        said = f"{len(part)}, {part['folds'].sum()} | {part['theirs'].mean():.3f} | {part['ours'].mean():.3f}"
        lines.append(f"| {rival} | {said} | {times:.1f} | {memory:.1f} |")
    return lines


def paired(scored: pd.DataFrame) -> pd.DataFrame:
    """Ours minus each other system on their common folds of each task; for the log-loss theirs minus ours."""
    wide = {metric: scored.pivot_table(index=["data", "fold"], columns="system", values=metric) for metric in ("f1", "nll")}
    rows = []
    for task in dict.fromkeys(scored["data"]):
        for rival in [s for s in ORDER if s in wide["f1"]]:
            f1, nll = (table.loc[task][[OURS, rival]].dropna() for table in wide.values())
            if f1.empty:
                continue
            mean, half, p = corrected((f1[OURS] - f1[rival]).to_numpy(), RATIO)
            loss, loss_half, loss_p = corrected((nll[rival] - nll[OURS]).to_numpy(), RATIO)
            rows.append({"data": task, "rival": rival, "folds": len(f1), "ours": f1[OURS].mean(), "theirs": f1[rival].mean()})
            rows[-1] |= {"difference": mean, "half": half, "p": p, "ours_nll": nll[OURS].mean(), "their_nll": nll[rival].mean()}
            rows[-1] |= {"loss": loss, "loss_half": loss_half, "loss_p": loss_p}
    return pd.DataFrame(rows)


def _interval(mean: float, half: float, p: float) -> str:
    """A difference with its 95 % half-width, and p where there are folds enough."""
    return f"{mean:+.3f} (one fold)" if np.isnan(half) else f"{mean:+.3f} ± {half:.3f}, p {p:.3f}"


def scores(pairs: pd.DataFrame) -> str:
    """One line for each task and rival."""
    head = ["task", "rival", "folds", "macro-F1: omicsbal", "rival", "difference", "log-loss: omicsbal", "rival", "lower by"]
    lines = ["| " + " | ".join(head) + " |", "|---" * len(head) + "|"]
    for r in pairs.itertuples():
        f1 = f"{r.ours:.3f} | {r.theirs:.3f} | {_interval(r.difference, r.half, r.p)}"
        nll = f"{r.ours_nll:.3f} | {r.their_nll:.3f} | {_interval(r.loss, r.loss_half, r.loss_p)}"
        lines.append(f"| {r.data} | {r.rival} | {r.folds} | {f1} | {nll} |")
    return "\n".join(lines)


def tally(pairs: pd.DataFrame) -> str:
    """Over tasks: how often ours is higher, and how often surely (corrected p < 0.05)."""
    lines = [
        "| rival | tasks | ours higher | of them p < 0.05 | ours lower | of them p < 0.05 | mean difference |",
        "|---" * 7 + "|",
    ]
    for rival, part in pairs.groupby("rival", sort=False):
        higher, sure = part["difference"] > 0, part["p"] < 0.05
        counts = [len(part), higher.sum(), (higher & sure).sum(), (~higher).sum(), (~higher & sure).sum()]
        lines.append(f"| {rival} | " + " | ".join(map(str, counts)) + f" | {part['difference'].mean():+.3f} |")
    return "\n".join(lines)


def ratios(scored: pd.DataFrame) -> pd.DataFrame:
    """Per task and system the medians over the folds shared with ours, and the median over those folds of theirs / ours."""
    rows = []
    ours = scored[scored["system"] == OURS].set_index(["data", "fold"])
    for (task, system), part in scored.groupby(["data", "system"], sort=False):
        part = part.set_index(["data", "fold"])
        common = part.index.intersection(ours.index)
        if not len(common):
            continue
        row = {"data": task, "system": system, "folds": len(common)}
        for field in COST:
            row[field] = part.loc[common, field].median()
            row[f"{field}_ratio"] = (part.loc[common, field] / ours.loc[common, field]).median()
        rows.append(row)
    table = pd.DataFrame(rows)
    return table.assign(place=[[OURS, *ORDER].index(s) for s in table["system"]]).sort_values(["data", "place"], kind="stable")


def cost(scored: pd.DataFrame) -> str:
    """Time and memory, with the ratio to ours."""
    head = ["task", "system", "folds", *[cell for name in COST.values() for cell in (name, "/ ours")]]
    lines = ["| " + " | ".join(head) + " |", "|---" * len(head) + "|"]
    for row in ratios(scored).to_dict("records"):
        cells = [f"{row[field]:.{1 if row[field] < 10 else 0}f} | {row[f'{field}_ratio']:.2f}" for field in COST]
        lines.append(f"| {row['data']} | {row['system']} | {row['folds']} | " + " | ".join(cells) + " |")
    lines += [
        "",
        "CPU seconds of the process, medians over folds: the machine had other work meanwhile, which stretches wall time many "
        "times and CPU time somewhat, for all systems alike. After start-up: imports and reading left out. One thread, no GPU.",
    ]
    return "\n".join(lines)


def speed(scored: pd.DataFrame) -> str:
    """The aims on time: how many times ours each peer takes, over tasks."""
    table = ratios(scored)
    lines = []
    for system in [s for s in ORDER if s in set(table["system"])]:
        part = table[table["system"] == system]
        whole, work = part["cpu_ratio"], part["work_cpu_ratio"]
        lines.append(
            f"- {system}: {whole.min():.2f} to {whole.max():.2f} times the CPU time of omicsbal, tasks: {len(part)} "
            f"(geometric mean {np.exp(np.log(whole).mean()):.2f}; after start-up {np.exp(np.log(work).mean()):.2f}), "
            f"{part['peak_mib_ratio'].min():.2f} to {part['peak_mib_ratio'].max():.2f} times its memory."
        )
    return "\n".join(lines)
