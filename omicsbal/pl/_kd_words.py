"""What the gate's table says, in words."""

from textwrap import fill
from typing import Any

import numpy as np
import pandas as pd

from omicsbal.pl._signed import signed, spanned
from omicsbal.pl._style import metric_label, shorten

SENTENCES = {
    "pass": "{} may teach {}",
    "uncertain": "{} might teach {} (uncertain)",
    "fail": "{} teaches {} though the gate is closed",
    "weaker": "{} teaches {} though it is the weaker classifier",
    "unmeasured": "{} teaches {} unmeasured",
}


def finding(table: pd.DataFrame, *, width: int) -> str:
    """The title: who teaches whom and what it brought, then the counts."""
    by_decision = [table[table["decision"] == decision] for decision in ("pass", "uncertain")]
    told = next((rows for rows in (table[table["chosen"] > 0], *by_decision) if len(rows)), table[:0])
    lines = [_sentence(row) for row in told.sort_values("gap", ascending=False).to_dict("records")]
    if len(lines) > 3:
        lines = [*lines[:3], f"and {len(lines) - 3} more"]
    counts = table["decision"].value_counts()
    passing = int(counts.get("pass", 0))
    pairs = f"{passing} of {len(table)} {'pair' if len(table) == 1 else 'pairs'} {'passes' if passing == 1 else 'pass'}"
    unsure = f", {counts['uncertain']} uncertain" if "uncertain" in counts else ""
    few, many = int(table["n"].min()), int(table["n"].max())
    n = f"n = {many:,}" if few == many else f"n = {few:,} to {many:,}"
    lines = [*(lines or ["No modality may teach another"]), f"{pairs}{unsure}; {n}"]
    broken = [line if len(line) <= width else line.replace("; ", ";\n") for line in lines]
    return "\n".join(fill(part, width) for line in broken for part in line.splitlines())


def _sentence(row: dict[Any, Any]) -> str:
    """One pair in words."""
    who = SENTENCES.get(row["decision"], SENTENCES["unmeasured"]).format(*shorten([row["teacher"], row["student"]], 16))
    if not np.isfinite(row["gain"]):
        return f"{who}; gain not measured"
    interval = spanned(row["gain_low"], row["gain_high"], 3)
    return f"{who}; after KD its {metric_label(row['metric'])} changed by {signed(row['gain'], 3)} ({interval})"
