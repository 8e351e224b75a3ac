"""What holds over tasks and not on each: paired differences with the task as the unit, for accuracy.md and README.md."""

import numpy as np
import pandas as pd
from scipy import stats

from omicsbal.diagnostics.comparison import holm


def over_tasks(pairs: pd.DataFrame) -> pd.DataFrame:
    """A row a rival: mean difference, 95 % t interval, tasks on which ours is better, Wilcoxon's p and the same after Holm.

    Wilcoxon's signed-rank test over data sets is what Demsar (2006, jmlr.org/papers/v7/demsar06a.html) advises.
    """
    rows = []
    for rival, part in pairs.groupby("rival", sort=False):
        d = part["difference"].to_numpy()
        half = stats.t.ppf(0.975, len(d) - 1) * d.std(ddof=1) / np.sqrt(len(d))
        p = float(stats.wilcoxon(d).pvalue)
        rows.append({"rival": rival, "mean": d.mean(), "half": half, "better": int((d > 0).sum()), "tasks": len(d), "p": p})
    return pd.DataFrame(rows).assign(p_holm=lambda t: holm(t["p"].to_numpy()))


def markdown(found: pd.DataFrame) -> str:
    """The table."""
    lines = ["| rival | mean difference | 95 % interval | better on | p, Wilcoxon | p, Holm |", "|---" * 6 + "|"]
    for r in found.itertuples():
        ends = f"{r.mean - r.half:+.3f} to {r.mean + r.half:+.3f}"
        lines.append(f"| {r.rival} | {r.mean:+.4f} | {ends} | {r.better} of {r.tasks} | {r.p:.4f} | {r.p_holm:.4f} |")
    return "\n".join(lines)


def section(pairs: dict[str, pd.DataFrame]) -> list[str]:
    """For accuracy.md."""
    return [
        "## Over tasks",
        "The task is the unit: the mean of the tasks' differences with its t interval; Wilcoxon's signed-rank test, two-sided, "
        "adjusted over the rivals. Four of the tasks are of TCGA breast cancer, so they are not quite independent.",
        "Macro-F1:",
        markdown(over_tasks(pairs["f1"])),
        "Log-loss, nats (positive: omicsbal is lower):",
        markdown(over_tasks(pairs["nll"])),
    ]


def sentence(pairs: dict[str, pd.DataFrame], rivals: tuple[str, ...]) -> str:
    """For README.md."""
    found = {m: over_tasks(pairs[m]).set_index("rival").to_dict("index") for m in ("f1", "nll")}
    said = []
    for rival in rivals:
        f1, nll = (found[m][rival] for m in ("f1", "nll"))
        ends = f"{f1['mean'] - f1['half']:+.3f} to {f1['mean'] + f1['half']:+.3f}"
        said.append(
            f"`{rival}`: macro-F1 higher on {f1['better']} of {f1['tasks']} tasks (mean {f1['mean']:+.3f}, 95 % interval {ends}, "
            f"p = {f1['p_holm']:.3f}), log-loss lower on {nll['better']} (mean {nll['mean']:+.3f} nats, p = {nll['p_holm']:.3f})"
        )
    return f"Over tasks, against {'; '.join(said)} (Wilcoxon, Holm over the rivals)."
