"""Is it worth the trouble: the comparison with what one would use instead, where `omicsbal.tl.compare` has been run."""

import numpy as np
import pandas as pd

from omicsbal import _keys
from omicsbal._report._facts import Facts
from omicsbal._report._html import Html, bullets, figure, paragraph, table
from omicsbal._report._words import interval, named, number, unit, whole
from omicsbal.diagnostics.comparison import BEST

SURE = 0.05  # p after Holm, as in the figure
CALL = "`ob.tl.compare(mdata, label_key=...)`"
WHAT = {
    "omicsbal": "this toolkit as it comes",
    "lr:concat": "one linear model of all features",
    "lr:late": "mean of the linear models of the modalities",
    "lr:stack": "linear model on top of those of the modalities",
    "lr:pool": "weighted pool of linear models",
    "rf:concat": "random forest",
    "gb:concat": "gradient boosting",
    "knn:wnn": "neighbours on a weighted graph",
    BEST: "the best single modality, chosen with hindsight",
}


def describe_system(name: str) -> str:
    """A system in words."""
    family, _, rest = name.partition(":")
    other = {"omicsbal": f"this toolkit, strategy {rest}", "lr": f"linear model of {rest}"}
    return WHAT.get(name, other.get(family, "named by the user") if rest else "named by the user")


def place(facts: Facts) -> str:
    """The key of uns that holds a comparison for this label, that of the fit first; empty if there is none."""
    for key in dict.fromkeys([facts.key_added, *facts.mdata.uns]):
        entry = facts.mdata.uns.get(key)
        if hasattr(entry, "keys") and _keys.COMPARE_SUMMARY in entry and str(entry.get(_keys.LABEL_KEY)) == facts.label:
            return str(key)
    return ""


def summary(facts: Facts, metric: str) -> pd.DataFrame:
    """Systems by mean rank in one score; empty without a comparison."""
    key = place(facts)
    if not key:
        return pd.DataFrame()
    found = Facts(facts.model, facts.mdata, key).table(_keys.COMPARE_SUMMARY)
    return found[found["metric"] == metric].sort_values("rank", kind="stable", ignore_index=True)


def rivals(facts: Facts) -> pd.DataFrame:
    """The others, and on which side of the one compared each is for sure: 1 where that is better, -1 worse, 0 not told."""
    found = summary(facts, facts.metric)
    if found.empty:
        return found
    found = found[(found["system"] != found["against"]) & found["gain"].notna()]
    return found.assign(side=np.where(found["p_holm"] < SURE, np.sign(found["gain"]), 0))


def compared(facts: Facts) -> list[str]:
    """One sentence on all rivals; empty without a comparison."""
    found = rivals(facts)
    if found.empty:
        return []
    words = {1: "better than", -1: "worse than", 0: "not to be told apart from"}
    groups = [(what, found.loc[found["side"] == side, "system"].tolist()) for side, what in words.items()]
    told = "; ".join(f"{what} {named(names, 12)}" for what, names in groups if names)
    return [f"Compared on {whole(found['n'].max())} equal folds in {unit(facts.metric)}, {found['against'].iloc[0]} is {told}."]


def better(facts: Facts) -> list[str]:
    """Rivals that beat omicsbal for sure, with by how much."""
    found = rivals(facts)
    if found.empty or not found["against"].iloc[0].startswith("omicsbal"):
        return []
    return [
        f"{r['system']} ({unit(facts.metric)} {number(-r['gain'], sign=True)}, "
        f"{interval(-r['gain_high'], -r['gain_low'], sign=True)})"
        for r in found[(found["side"] < 0) & (found["system"] != BEST)].to_dict("records")
    ]


def comparison(facts: Facts) -> list[Html]:
    """What is gained on each rival, or which call tells."""
    found, metric = summary(facts, facts.metric), unit(facts.metric)
    if found.empty:
        why = "Not available. A comparison fits every system anew in each fold and is not run for a report."
        return [paragraph(why), paragraph(f"{CALL} makes it.", kind="note")]
    ours = found["against"].iloc[0]
    means = {name: summary(facts, name).set_index("system")["mean"] for name in ("log_loss", "seconds")}
    rows = pd.DataFrame(
        {
            "system": found["system"],
            "what it is": [describe_system(s) for s in found["system"]],
            metric: found["mean"],
            f"gain of {ours} on it": [
                "–" if np.isnan(v) else f"{number(v, sign=True)} ({interval(low, high, sign=True)})"
                for v, low, high in zip(found["gain"], found["gain_low"], found["gain_high"], strict=True)
            ],
            "p (Holm)": [number(p, 3) for p in found["p_holm"]],
            "mean rank": found["rank"],
            "log-loss (nats)": means["log_loss"].reindex(found["system"]).to_numpy(),
            "seconds a fold": means["seconds"].reindex(found["system"]).to_numpy(),
        }
    )
    said = compared(facts)
    caption = f"What {ours} gains on each, to the right where it is better, with corrected 95% intervals; and mean ranks."
    rule = "Every system was fitted anew on the same training samples and judged on samples that it never saw; this fit is not "
    rule += (
        "one of them. A gain is positive where the first is better; p holds for overlapping training sets and for several rivals."
    )
    formats = {metric: number, "mean rank": number, "log-loss (nats)": number, "seconds a fold": number}
    draw = Facts(facts.model, facts.mdata, place(facts)).figure
    notes = [f"{r['system']}: {r['note']}" for r in found.to_dict("records") if r["note"]]
    return [
        bullets(said),
        figure(lambda: draw("compare"), alt=f"Gains and ranks of {len(found)} systems. {' '.join(said)}", caption=caption),
        table(rows, f"Systems by mean rank over {whole(found['n'].max())} folds.", formats=formats),
        *(paragraph(note, kind="note") for note in [rule, *notes]),
    ]
