"""Which genes, peaks or proteins carry each class."""

import pandas as pd

from omicsbal import _keys
from omicsbal._report._facts import Facts
from omicsbal._report._html import Html, bullets, figure, paragraph, table
from omicsbal._report._words import named, number, percent

TOP = 5  # features of a class in a modality
STABLE = 0.5  # share of the networks that have to agree
LOOSE = 0.3  # mean rank correlation below which networks hardly agree, our choice


def leading(facts: Facts, class_name: str, m: str) -> list[str]:
    """The first features that speak for a class and that most networks agree on, with their direction."""
    found = facts.table(_keys.IMPORTANCE)
    mine = found[(found["class"] == class_name) & (found["modality"] == m)]
    mine = mine[(mine["importance"] > 0) & (mine["stability"] > STABLE)].sort_values("rank").head(TOP)
    higher = mine["mean_class"] >= mine["mean_rest"]
    return [f"{f}\N{NO-BREAK SPACE}{'↑' if up else '↓'}" for f, up in zip(mine["feature"], higher, strict=True)]


def agreement(facts: Facts) -> list[str]:
    """How far the networks agree on the features of each modality."""
    found = facts.table(_keys.STABILITY)
    said = []
    for m, rows in found.groupby("modality", sort=False):
        rho = float(rows["spearman"].mean())
        if rho != rho:  # one network: nothing to compare
            continue
        care = ": hardly, so read its features with care" if rho < LOOSE else ""
        said.append(f"{m}: networks rank its features alike with a mean correlation of {number(rho)}{care}.")
    return said


def features(facts: Facts) -> list[Html]:
    """The features of each class by modality."""
    found = facts.table(_keys.IMPORTANCE)
    modalities = list(dict.fromkeys(found["modality"]))
    rows = [
        {"class": c} | {m: ", ".join(leading(facts, c, m)) or "none that most networks agree on" for m in modalities}
        for c in dict.fromkeys(found["class"])
    ]
    caption = (
        "Blue: speaks for the class, red: against it; the larger the dot, the more networks agree; triangle: lower in the class."
    )
    rule = f"What the network looked at, listed where more than {percent(STABLE)} of the networks agree. "
    rule += "It is no proof that a feature causes or marks a class: correlated features share, or take, each other's part."
    if len(modalities) < len(facts.model.modalities):
        rule += f" Only the network on {named(modalities)} was asked."
    title = f"The first {TOP} features of each class; ↑ higher in the class than elsewhere, ↓ lower."
    return [
        paragraph(rule),
        bullets(agreement(facts)),
        figure(lambda: facts.figure("feature_importance"), alt=f"Features by class. {caption}", caption=caption),
        table(pd.DataFrame(rows), title),
    ]
