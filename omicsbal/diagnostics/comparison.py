"""From scores by fold to means, corrected paired tests and ranks of systems."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from omicsbal.train.intervals import corrected

METRICS = {"macro_f1": 1, "balanced_accuracy": 1, "accuracy": 1, "log_loss": -1, "ece": -1, "seconds": -1}  # 1: larger is better
UPPER = {"macro_f1": 1.0, "balanced_accuracy": 1.0, "accuracy": 1.0, "ece": 1.0}  # none is below 0; the others have no end
BEST = "lr:best-uni"
COLUMNS = ["metric", "system", "mean", "low", "high", "n", "rank", "against", "gain", "gain_low", "gain_high", "p", "p_holm"]


def holm(p: np.ndarray) -> np.ndarray:
    """Adjusted p of Holm (1979, https://www.jstor.org/stable/4615733); NaN stays out of the family.

    Examples
    --------
    >>> holm(np.array([0.01, 0.04, np.nan, 0.03])).tolist()
    [0.03, 0.06, nan, 0.06]
    """
    known = np.flatnonzero(~np.isnan(p))
    order = known[np.argsort(p[known], kind="stable")]
    out = np.full(len(p), np.nan)
    out[order] = np.minimum(np.maximum.accumulate(p[order] * np.arange(len(order), 0, -1)), 1)
    return out


def summarise(table: pd.DataFrame, *, against: str, single: Sequence[str] = ()) -> pd.DataFrame:
    """A row a metric and system.

    Parameters
    ----------
    table
        A row a repeat, fold and system: ``repeat``, ``fold``, ``system``, `METRICS`, ``n_train``, ``n_test``.
    against
        The system that all others are compared with.
    single
        Systems of which the best by its mean, metric by metric, is also told as `BEST`: the best single modality, with hindsight.

    Returns
    -------
    `COLUMNS` and ``note``. ``gain`` is positive where `against` is better: its score less the rival's, for log-loss, calibration
    error and seconds the rival's less its own. 95 % intervals and two-sided p by a t-test whose variance is multiplied by ``1 /
    n + n_test / n_train`` and not ``1 / n``, since training sets overlap (Nadeau & Bengio 2003, doi:10.1023/A:1024068626366); p
    is adjusted over rivals (`holm`), the interval of the gain is not. ``rank`` is the mean over folds, 1 the best, ties share; a
    fold that failed is ranked last.
    """
    ratio = float((table["n_test"] / table["n_train"]).mean())
    systems = list(dict.fromkeys(table["system"]))
    rows = []
    for metric, sign in METRICS.items():
        wide = table.pivot_table(index=["repeat", "fold"], columns="system", values=metric, dropna=False)
        wide = wide.reindex(columns=systems)
        ranks = (sign * wide).rank(axis=1, ascending=False, na_option="bottom").mean()
        part = [_row(wide, metric, system, against, sign, ratio) | {"rank": ranks[system]} for system in systems]
        for row, p in zip(part, holm(np.array([row["p"] for row in part], dtype=float)), strict=True):
            row["p_holm"] = p
        rows += part
        rivals = [row for row in part if row["system"] in single and not np.isnan(row["mean"])]
        if len(rivals) > 1:
            best = max(rivals, key=lambda row: sign * row["mean"])
            note = f"The best single modality with hindsight: {best['system']}."
            rows.append(best | {"system": BEST, "rank": np.nan, "note": note})
    return pd.DataFrame(rows, columns=[*COLUMNS, "note"])


def _row(wide: pd.DataFrame, metric: str, system: str, against: str, sign: int, ratio: float) -> dict[str, Any]:
    """Mean of a system and its paired difference, over the folds where both have a score."""
    values = wide[system].dropna().to_numpy()
    mean, half, _ = corrected(values, ratio)
    low, high = max(mean - half, 0.0), min(mean + half, UPPER.get(metric, np.inf))  # NaN stays: it is the first argument
    row = {"metric": metric, "system": system, "mean": mean, "low": low, "high": high, "n": len(values)}
    lost = len(wide) - len(values)
    both = wide[[against, system]].dropna() if system != against else wide.iloc[:0]
    note = f"Failed in {lost} of {len(wide)} folds." if lost else ""
    if system != against and len(both) < len(values):
        note = f"{note} Gain over the {len(both)} in which {against!r} has a score.".strip()
    row |= {"against": against, "note": note}
    gain, reach, p = corrected(sign * (both.iloc[:, 0] - both.iloc[:, -1]).to_numpy(), ratio)
    if reach == 0:
        row["note"] = f"{note} The same gain in every fold: its interval has no width, which says little.".strip()
    return row | {"gain": gain, "gain_low": gain - reach, "gain_high": gain + reach, "p": p}


def summary_text(summary: pd.DataFrame, metrics: Sequence[str] = ("macro_f1", "log_loss")) -> str:
    """The summary in lines: systems by rank, with mean, interval, and what the one compared gains on each."""
    told = []
    for metric in metrics:
        part = summary[summary["metric"] == metric].sort_values("rank", kind="stable")
        told += [
            "",
            f"{metric}, {int(part['n'].max())} folds; gain: {part['against'].iloc[0]} against each, corrected 95 % intervals",
        ]
        width = max(map(len, part["system"]))
        for row in part.to_dict("records"):
            line = f"  {row['system']:<{width}}  {row['mean']:.3f} ({row['low']:.3f} to {row['high']:.3f})"
            if not np.isnan(row["rank"]):
                line += f"  rank {row['rank']:.1f}"
            if not np.isnan(row["gain"]):
                line += f"  gain {row['gain']:+.3f} ({row['gain_low']:+.3f} to {row['gain_high']:+.3f})"
                line += "" if np.isnan(row["p_holm"]) else f", p {row['p_holm']:.3f} (Holm)"
            told.append(line + (f"  {row['note']}" if row["note"] else ""))
    return "\n".join(told[1:])
