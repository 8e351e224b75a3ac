"""What was aimed at and what was reached, from the same tables as the rest of accuracy.md."""

import pandas as pd

SURE = 0.05  # corrected p
THIRD = 4  # of twelve tasks


def counts(pairs: pd.DataFrame, rival: str) -> tuple[int, int]:
    """Tasks that are significantly better, and worse."""
    part = pairs[(pairs["rival"] == rival) & (pairs["p"] < SURE)]
    return int((part["difference"] > 0).sum()), int((part["difference"] < 0).sum())


def aims(f1: pd.DataFrame, nll: pd.DataFrame, pairs: dict[str, pd.DataFrame], ranks: dict[str, pd.Series]) -> str:
    """One line an aim. `f1`, `nll`: tasks in rows, systems in columns; `ranks`: mean ranks by metric, 1 the best."""
    ours, lines = "omicsbal", []

    def add(what: str, numbers: str, *, ok: bool) -> None:
        lines.append(f"- {'reached' if ok else '**missed**'}: {what} ({numbers})")

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


def losses(pairs: pd.DataFrame) -> str:
    """Tasks on which a rival's mean macro-F1 is higher, with the paired interval."""
    behind = pairs[pairs["difference"] < 0].sort_values("difference")
    lines = ["| task | rival | omicsbal minus rival | 95 % interval | p |", "|---" * 5 + "|"]
    for r in behind.itertuples():
        ends = f"{r.difference - r.half:+.3f} to {r.difference + r.half:+.3f}"
        lines.append(f"| {r.data} | {r.rival} | {r.difference:+.4f} | {ends} | {r.p:.2f} |")
    return "\n".join(lines)
