"""Is a modality wasted by the joint training: verdicts, and the numbers that led to them."""

import numpy as np
import pandas as pd

from omicsbal import _keys
from omicsbal._report._diagnostics import BY_SLOT
from omicsbal._report._facts import Facts
from omicsbal._report._html import Html, bullets, figure, paragraph, table
from omicsbal._report._words import distinct, interval, named, number, percent, ranged, side

MEASURES = {
    "ceiling": "alone, at best",
    "learned": "its encoder here",
    "solo": "used, alone",
    "need": "used, on top",
    "retention": "kept",
}
TOGETHER = {
    "competition": (
        -1,
        "All together tell more than the best modality alone",
        "The best modality alone tells more than all together",
    ),
    "fusion_value": (
        1,
        "Fusing tells more than combining what was learnt apart",
        "Combining what was learnt apart tells more than fusing",
    ),
}


def of_verdict(facts: Facts, verdict: str) -> list[str]:
    """Modalities that got a verdict."""
    found = facts.table(_keys.VERDICTS)
    return [] if found.empty else found.loc[found["verdict"] == verdict, "modality"].tolist()


def wasted(facts: Facts) -> list[str]:
    """The answer, and a sentence a modality; or why there is none."""
    found = facts.table(_keys.VERDICTS)
    if found.empty and facts.is_regression:
        return ["Not examined: verdicts are defined for classes, and this label is a number."]
    if found.empty:
        return [f"Not examined. `{BY_SLOT[_keys.UTILIZATION].call}` tells."]
    poor = of_verdict(facts, "under-used")
    if not (found["verdict"] != "").any():
        first = "It could not be measured."
    elif poor:
        first = f"{named(poor)} {'is' if len(poor) == 1 else 'are'} under-used by this model."
    else:
        first = "No modality is found to be under-used by this model."
    return [first, *found["sentence"]]


def together(facts: Facts) -> list[str]:
    """What joint training costs or brings as a whole."""
    found = facts.table(_keys.UTILIZATION)
    if found.empty:
        return []
    said = []
    mine = found[(found["measure"] == "information") & found["kind"].isin(TOGETHER) & found["value"].notna()]
    for row in mine.to_dict("records"):
        sign, more, less = TOGETHER[row["kind"]]
        low, high = sorted((sign * row["low"], sign * row["high"]))
        where = side(low, high)
        words = {1: more, -1: less, 0: f"It cannot be told whether {more[0].lower()}{more[1:]}"}[where]
        said.append(f"{words}: {number(sign * row['value'], sign=True)} ({interval(low, high, sign=True)}) nats.")
    return said


def utilization(facts: Facts) -> list[Html]:
    """Verdicts, what each modality could tell, what its encoder learned, what is used."""
    found = facts.table(_keys.UTILIZATION)
    first, *rest = wasted(facts)
    rows = []
    for m in facts.table(_keys.VERDICTS)["modality"]:
        mine = found[(found["modality"] == m) & (found["measure"] == "information")].set_index("kind")
        row = {"modality": m}
        for kind, words in MEASURES.items():
            if kind in mine.index:
                one = mine.loc[kind].to_dict()
                share = f"{percent(one['value'])} ({percent(one['low'])} to {percent(one['high'])})"
                share = "–" if np.isnan(one["value"]) else share
                row[words] = share if kind == "retention" else ranged(one)
        rows.append(row)
    caption = "Ring: what the joint model says from this modality alone; half: what its encoder knows; full: what it tells when "
    caption += "trained alone. A wide gap is waste. Right: how fast each head learned."
    title = "What each modality could tell, knows and gives, in nats; kept: the share of what an encoder trained alone learns."
    notes = distinct(n for n in found["note"] if "not trained" in n)
    return [
        paragraph(first),
        bullets([*rest, *together(facts)]),
        figure(lambda: facts.figure("utilization"), alt=f"Utilisation. {' '.join([first, *rest])}", caption=caption),
        table(pd.DataFrame(rows), title),
        *(paragraph(note, kind="note") for note in notes),
    ]
