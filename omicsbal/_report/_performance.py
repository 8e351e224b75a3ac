"""Can the label be predicted: scores against baselines, class by class, and whether probabilities can be believed."""

import numpy as np
import pandas as pd

from omicsbal import _keys
from omicsbal._report._facts import Facts
from omicsbal._report._html import Html, bullets, figure, paragraph, table
from omicsbal._report._words import interval, named, number, percent, side, unit, whole
from omicsbal.train.intervals import half_width

POOL = "pool"
WHAT = {
    "pool": "the prediction: all heads below, calibrated and weighted",
    "fused": "network on all modalities",
    "product": "networks of the modalities, multiplied",
    "network": "network on {m} alone",
    "expert": "linear model of {m}",
}
POOR = 0.5  # recall below which a class is said to fail: most of its samples are told wrong
OFF = 0.1  # expected calibration error above which probabilities are warned about, our choice


def predictable(facts: Facts) -> str:
    """The first sentence of the page: the prediction's score beside that of guessing."""
    row, metric = facts.heads.loc[POOL], facts.metric
    low, high = row[f"{metric}_low"], row[f"{metric}_high"]
    guess = 0.0 if facts.is_regression else 1 / len(facts.model.classes)
    verdict = "Yes" if low > guess else "No interval" if np.isnan(low) else "Not shown"
    told = f"{unit(metric)} {number(row[metric])} (95% interval {interval(low, high)}), out-of-fold"
    than = f"{number(guess)} is what {'the mean' if facts.is_regression else 'guessing'} would score"
    doubt = "" if low > guess else "; the two cannot be told apart" if not np.isnan(low) else ""
    return f"{verdict}: {told}, over {whole(row['n'])} samples; {than}{doubt}."


def best_single(facts: Facts) -> str:
    """The best head that sees one modality, chosen with hindsight; empty if there is none."""
    single = facts.heads[(facts.heads["modality"] != "") & facts.heads[facts.metric].notna()]
    single = single[single["kind"].isin(["network", "expert"])]
    return "" if single.empty else str(single[facts.metric].idxmax())


def gain(facts: Facts, rival: str) -> dict[str, float]:
    """Prediction less rival in the first score, paired by fold, with the corrected 95% interval."""
    folds = facts.table(_keys.FOLD_SCORES)
    if folds.empty:
        return {"value": np.nan, "low": np.nan, "high": np.nan}
    wide = folds.pivot(index="fold", columns="head", values=facts.metric)
    paired = (wide[POOL] - wide[rival]).dropna().to_numpy() if rival in wide else np.array([])
    value = float(paired.mean()) if len(paired) else np.nan
    half = half_width(paired)
    return {"value": value, "low": value - half, "high": value + half}


def against(facts: Facts) -> list[str]:
    """Sentences on what the prediction gains over the plain alternatives."""
    rivals = {"the best single modality, chosen with hindsight": best_single(facts)}
    concat = next((h for h in facts.heads.index if h.endswith(":concat")), "")
    rivals |= {"one linear model of all features": concat, "the network alone": "fused"}
    said = []
    for words, head in rivals.items():
        if head not in facts.heads.index:
            continue
        found = gain(facts, head)
        about = f"{words} ({describe_head(facts, head)}: {number(facts.heads.loc[head, facts.metric])})"
        where = side(found["low"], found["high"])
        change = (
            f"{number(found['value'], sign=True)} ({interval(found['low'], found['high'], sign=True)}) in {unit(facts.metric)}"
        )
        if np.isnan(found["value"]):
            continue
        if where:
            said.append(f"It is {'better' if where > 0 else 'worse'} than {about} by {change}.")
        else:
            said.append(f"It cannot be told apart from {about}: {change}.")
    return said


def describe_head(facts: Facts, head: str) -> str:
    """A head in words."""
    row = facts.heads.loc[head]
    m = row["modality"] or "all modalities together"
    return WHAT.get(head, WHAT.get(row["kind"], head)).format(m=m)


def scores(facts: Facts) -> list[Html]:
    """Scores of all heads."""
    heads, metric = facts.heads, facts.metric
    shown = pd.DataFrame({"head": heads.index, "what it is": [describe_head(facts, h) for h in heads.index]})
    for name in (metric, "log_loss"):
        if f"{name}_low" in heads:
            cells = [
                f"{number(v)} ({interval(low, high)})"
                for v, low, high in zip(heads[name], heads[f"{name}_low"], heads[f"{name}_high"], strict=True)
            ]
            shown[f"{unit(name)}{' (nats)' if name == 'log_loss' else ''}"] = cells
    for name in [c for c in ("accuracy", "rmse", "ece") if c in heads]:
        shown[unit(name)] = heads[name].to_numpy()
    shown["samples"] = heads["n"].to_numpy()
    formats = {unit(c): number for c in ("accuracy", "rmse", "ece")} | {"samples": whole}
    alt = f"Scores of {len(heads)} heads with intervals; the prediction reaches {number(heads.loc[POOL, metric])}."
    caption = "Each head with its 95% interval; small dots are folds, the dotted line is the best single modality."
    return [
        bullets(against(facts)),
        figure(lambda: facts.figure("scores"), alt=alt, caption=caption),
        table(shown, f"Out-of-fold scores over {facts.n_folds} folds; 95% intervals in brackets.", formats=formats),
    ]


def by_class(facts: Facts) -> pd.DataFrame:
    """Recall, precision and F1 of each class, and what it is most often taken for; the worst first."""
    counts = facts.confusion.to_numpy()
    right, true, told = np.diag(counts), counts.sum(axis=1), counts.sum(axis=0)
    wrong = np.where(np.eye(len(counts), dtype=bool), 0, counts)
    names = np.array(facts.model.classes, dtype=object)
    with np.errstate(divide="ignore", invalid="ignore"):
        found = pd.DataFrame({"class": names, "samples": true, "recall": right / true, "precision": right / told})
        found["F1"] = 2 * right / (true + told)
        share = wrong.max(axis=1) / true
    taken = [f"{names[j]} ({percent(s)})" if s > 0 else "–" for j, s in zip(wrong.argmax(axis=1), share, strict=True)]
    found["most often taken for"] = taken
    return found.sort_values("F1", ignore_index=True)


def failing(facts: Facts) -> pd.DataFrame:
    """Classes most of whose samples are told wrong."""
    found = by_class(facts)
    return found[found["recall"] < POOR]


def classes_said(facts: Facts) -> str:
    """Which classes fail."""
    found = failing(facts)
    if found.empty:
        worst = by_class(facts).iloc[0]
        return f"No class fails: every one is told right in at least half of its samples. The hardest is {worst['class']}."
    each = [f"{r['class']} ({percent(r['recall'])} right)" for r in found.to_dict("records")]
    return f"{'This class is' if len(each) == 1 else 'These classes are'} told wrong more often than right: {named(each, 8)}."


def classes(facts: Facts) -> list[Html]:
    """Which classes are told right."""
    formats = dict.fromkeys(("recall", "precision", "F1"), number) | {"samples": whole}
    alt = f"Confusion matrix of {len(facts.model.classes)} classes. {classes_said(facts)}"
    caption = "Rows: the true class; columns: the predicted one; the darker, the larger the share of the true class."
    return [
        paragraph(classes_said(facts)),
        figure(lambda: facts.figure("confusion"), alt=alt, caption=caption),
        table(by_class(facts), "Classes, the hardest first, out-of-fold.", formats=formats),
    ]


def calibration_said(facts: Facts) -> str:
    """Whether probabilities can be taken at their word."""
    error = float(facts.heads.loc[POOL].get("ece", np.nan))
    if np.isnan(error):
        return "There is no calibration error for this label."
    much = "read them as ranks, not as probabilities" if error > OFF else "they can be read as probabilities"
    few = " With fewer than 500 samples this number is itself too high." if facts.heads.loc[POOL, "n"] < 500 else ""
    return f"Confidences are off by {percent(error)} on average (expected calibration error {number(error)}): {much}.{few}"


def calibration(facts: Facts) -> list[Html]:
    """Confidence against truth."""
    if facts.is_regression:
        caption = "True against predicted values with their 90% intervals."
        return [figure(lambda: facts.figure("calibration"), alt=caption, caption=caption, raster=True)]
    caption = "How often predictions are right (up) at a given confidence (across); on the diagonal both agree."
    return [
        paragraph(calibration_said(facts)),
        figure(lambda: facts.figure("calibration"), alt=f"{caption} {calibration_said(facts)}", caption=caption),
    ]
