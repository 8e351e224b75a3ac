"""The gate as a predictor of what KD brings: its numbers and its section of the main-method report."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
from main_method_figures import gate_scatter
from main_method_numbers import METRICS, NOT_RUN, compare, grid
from scipy import stats

DECISIONS = ["pass", "uncertain", "fail"]


def decided(low: pd.Series, high: pd.Series) -> np.ndarray:
    """The gate's three-way decision from the gap's interval."""
    return np.select([low > 0, high < 0], ["pass", "fail"], "uncertain")


def gate_folds(gates: pd.DataFrame) -> pd.DataFrame:
    """A row a pair and fold, with what KD brought."""
    return gates.assign(
        gain_f1=gates["after_f1"] - gates["before_f1"],
        gain_nll=gates["before_nll"] - gates["after_nll"],
        lead=gates["oof_teacher"] - gates["oof_student"],
        decision=decided(gates["gap_low"], gates["gap_high"]),
        cohort=gates["data"].str.split("_").str[:2].str.join("_"),
    )


def gate_pairs(folds: pd.DataFrame) -> pd.DataFrame:
    """A row an ordered pair: means over folds, and the decision by the mean ends of the gap's interval.

    Folds share three quarters of their training rows, so the ends are averaged, and not narrowed by the number of folds.
    """
    keys = ["data", "cohort", "teacher", "student"]
    means = ["gap", "gap_low", "gap_high", "lead", "gain_f1", "gain_nll"]
    groups = folds.groupby(keys, sort=False)
    found = groups[means].mean().assign(spread=groups["gap"].std(), folds=groups.size())
    votes = folds.groupby([*keys, "decision"], sort=False).size().unstack(fill_value=0)
    found = found.join(votes.reindex(columns=DECISIONS, fill_value=0)).reset_index()
    named = folds.assign(data=folds["data"] + "|" + folds["teacher"] + "|" + folds["student"])
    for metric in METRICS:
        ends = {"with": f"after_{metric}", "without": f"before_{metric}"}
        both = pd.concat([named[["data", "fold"]].assign(system=s, **{metric: named[c]}) for s, c in ends.items()])
        test = compare(both, metric, [("with", "without")]).set_index("data")
        key = found["data"] + "|" + found["teacher"] + "|" + found["student"]
        found[f"half_{metric}"], found[f"p_{metric}"] = key.map(test["half"]), key.map(test["p"])
    return found.assign(decision=decided(found["gap_low"], found["gap_high"]))


GATES: dict[str, Callable[[pd.DataFrame], pd.Series]] = {
    "pass": lambda f: f["decision"] == "pass",
    "pass or uncertain": lambda f: f["decision"] != "fail",
    "pass, and teacher the stronger": lambda f: (f["decision"] == "pass") & (f["lead"] > 0),
    "teacher is the stronger one": lambda f: f["lead"] > 0,
    "always": lambda f: f["lead"].notna(),
}
HELPED: dict[str, Callable[[pd.DataFrame], pd.Series]] = {
    "log-loss": lambda f: f["gain_nll"] > 0,
    "macro-F1": lambda f: f["gain_f1"] > 0,
    "both": lambda f: (f["gain_nll"] > 0) & (f["gain_f1"] > 0),
}


def precision(frame: pd.DataFrame, gate: str, helped: str) -> float:
    """Share of what the gate lets through that KD helped; NaN where it lets nothing through."""
    through = GATES[gate](frame)
    return float(HELPED[helped](frame)[through].mean()) if through.any() else float("nan")


def recall(frame: pd.DataFrame, gate: str, helped: str) -> float:
    """Share of what KD helped that the gate lets through."""
    good = HELPED[helped](frame)
    return float(GATES[gate](frame)[good].mean()) if good.any() else float("nan")


def spearman(frame: pd.DataFrame, x: str, y: str) -> float:
    """Rank correlation over the rows that have both; NaN under three rows or where one does not vary."""
    known = frame[[x, y]].dropna()
    return float(stats.spearmanr(known[x], known[y])[0]) if len(known) > 2 and (known.nunique() > 1).all() else float("nan")


def bootstrap(
    frame: pd.DataFrame, statistic: Callable[[pd.DataFrame], float], *, lowest: float = -1.0, draws: int = 1000
) -> tuple[float, float]:
    """95 % interval, cut to `lowest` and 1: the statistic ± t s.e., the error over drawn cohorts; NaN with fewer than four.

    Tasks of one cohort share patients. t has a degree of freedom a cohort less one, and the error the factor sqrt(G / (G - 1)):
    of 120 worlds without a relation, 9 cohorts each, 95 to 98 % of these intervals held 0, of percentile intervals 81 to 88 %.
    """
    places = list(frame.groupby("cohort").indices.values())
    g, value = len(places), statistic(frame)
    if g < 4 or np.isnan(value):
        return float("nan"), float("nan")
    rng = np.random.default_rng(0)
    drawn = [np.concatenate([places[i] for i in rng.integers(g, size=g)]) for _ in range(draws)]
    half = stats.t.ppf(0.975, g - 1) * np.nanstd([statistic(frame.iloc[rows]) for rows in drawn], ddof=1) * np.sqrt(g / (g - 1))
    return max(lowest, value - half), min(1.0, value + half)


def interval(frame: pd.DataFrame, statistic: Callable[[pd.DataFrame], float]) -> str:
    """A statistic with its bootstrap interval over cohorts."""
    low, high = bootstrap(frame, statistic)
    value = statistic(frame)
    return "–" if pd.isna(value) else f"{value:+.2f}" + ("" if pd.isna(low) else f" [{low:+.2f}, {high:+.2f}]")


def quality(frame: pd.DataFrame, *, with_interval: bool) -> str:
    """Precision and recall of every gate, and the mean gain on its two sides."""
    heads = ["gate", "lets through", *(f"{h}: precision, recall" for h in HELPED)]
    heads += ["gain let through: F1, nats", "gain held back: F1, nats"]
    rows = []
    for gate, through in GATES.items():
        passed, cells = through(frame), []
        for h in HELPED:
            p = f"{precision(frame, gate, h):.2f}"
            low = high = float("nan")
            if with_interval:
                low, high = bootstrap(frame, lambda f, g=gate, h=h: precision(f, g, h), lowest=0.0)
            cells.append(f"{p}{'' if pd.isna(low) else f' [{low:.2f}, {high:.2f}]'}, {recall(frame, gate, h):.2f}")
        sides = [frame[passed], frame[~passed]]
        gains = [f"{s['gain_f1'].mean():+.3f}, {s['gain_nll'].mean():+.3f}" if len(s) else "–" for s in sides]
        rows.append([gate, f"{int(passed.sum())} of {len(frame)}", *(c.replace("nan", "–") for c in cells), *gains])
    return grid(heads, rows)


def correlations(pairs: pd.DataFrame) -> str:
    """How the gap ranks the gains, beside how the teacher's lead does."""
    rows = []
    for label, part in (("all pairs", pairs), ("teacher is the stronger", pairs[pairs["lead"] > 0])):
        for predictor in ("gap", "lead"):
            found = [interval(part, lambda f, x=predictor, y=y: spearman(f, x, y)) for y in ("gain_nll", "gain_f1")]
            rows.append([f"{predictor}, {label}", str(len(part)), *found])
    return grid(["predictor, pairs", "n", "gain in log-loss", "gain in macro-F1"], rows)


def pair_table(pairs: pd.DataFrame) -> str:
    """Everything measured of each ordered pair."""
    rows = []
    for _, r in pairs.iterrows():
        gains = [f"{r[f'gain_{m}']:+.3f} ± {r[f'half_{m}']:.3f} ({r[f'p_{m}']:.2g})" for m in METRICS]
        gains = [f"**{g}**" if r[f"p_{m}"] < 0.05 else g for g, m in zip(gains, METRICS, strict=True)]
        votes = " / ".join(str(r[d]) for d in DECISIONS)
        gap = "–" if pd.isna(r["gap"]) else f"{r['gap']:+.3f} ({r['spread']:.3f})"
        rows.append([r["data"], f"{r['teacher']} → {r['student']}", gap, votes, r["decision"], f"{r['lead']:+.3f}", *gains])
    return grid(["task", "pair", "gap", "folds " + " / ".join(DECISIONS), "decision", "lead", "gain, F1", "gain, nats"], rows)


def about(folds: pd.DataFrame, pairs: pd.DataFrame) -> str:
    """What was measured, and what the words mean."""
    blank = int(folds["gap"].isna().sum())
    without = f", {blank} of them without a gap, taken as uncertain" if blank else ""
    return (
        f"{len(pairs)} ordered pairs of {pairs['data'].nunique()} tasks, at most {pairs['folds'].max()} folds each (fewest: "
        f"{pairs['folds'].min()}), {len(folds)} pieces{without}. The tasks "
        f"are of {pairs['cohort'].nunique()} cohorts: the tcga_brca tasks overlap, so their pairs are no independent evidence. "
        "Gap: I(T;S) - I(S;Y) in nats, from the training rows. Gain: of the student alone with this teacher (whether or not the "
        "gate lets it, weight 0.3) against the student alone, on held-out rows: macro-F1, and log-loss before minus after. There "
        "is no shuffled teacher here, so a gain may come from softened targets as well as from the teacher. Lead: out-of-fold "
        "macro-F1 of the teacher minus that of the student; above 0 the teacher is the stronger. A fold's decision: pass where "
        "the gap's 90 % interval lies above 0, fail where below, else uncertain; a pair's: the same with the ends averaged over "
        "folds. KD helped: gain in log-loss above 0; in macro-F1 above 0; both (of a pair: mean gains over folds), however "
        "small. The precision of `always` is the base rate. Intervals over cohorts: ± t standard errors of a bootstrap; one "
        "without width says only that no drawn cohort disagreed."
    )


def gates_part(gates: pd.DataFrame | None, folder: Path) -> list[str]:
    """The section."""
    if gates is None:
        return [NOT_RUN]
    folds = gate_folds(gates)
    pairs = gate_pairs(folds)
    gate_scatter(pairs, METRICS, folder / "main_method_gates.png")
    return [
        about(folds, pairs),
        "### Pairs: precision (with 95 % interval over cohorts) and recall",
        quality(pairs, with_interval=True),
        gate_sentences(pairs),
        "### Folds: precision and recall",
        quality(folds, with_interval=False),
        "### Rank correlation with the gain (Spearman; 95 % interval over cohorts)",
        correlations(pairs),
        "### Each pair",
        "Gap: mean over folds (standard deviation over folds). Gains: mean ± half of the corrected 95 % interval over folds (p); "
        "bold: p < 0.05.",
        pair_table(pairs),
    ]


def gate_sentences(pairs: pd.DataFrame) -> str:
    """The gate beside its two plain rivals."""
    lines = []
    for rival in ("always", "teacher is the stronger one"):
        for helped in HELPED:
            edge = interval(pairs, lambda f, r=rival, h=helped: precision(f, "pass", h) - precision(f, r, h))
            lines.append(f"- precision of `pass` minus that of `{rival}`, {helped}: {edge}")
    for metric, name in METRICS.items():
        sure = pairs[pairs[f"p_{metric}"] < 0.05]
        good = sure[sure[f"gain_{metric}"] > 0]
        said = [f"{len(g)}, of which `pass` {int((g['decision'] == 'pass').sum())}" for g in (good, sure.drop(good.index))]
        lines.append(f"- {name}, pairs with p < 0.05: helped {said[0]}; hurt {said[1]}")
    return "\n".join(lines)
