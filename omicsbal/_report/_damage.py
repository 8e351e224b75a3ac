"""What is left when a modality is removed, thinned or noised."""

import pandas as pd

from omicsbal import _keys
from omicsbal._report._facts import Facts
from omicsbal._report._html import Html, bullets, figure, paragraph, table
from omicsbal._report._words import distinct, interval, number, percent, ranged, unit, whole


def curve(facts: Facts, kind: str, m: str) -> pd.DataFrame:
    """The prediction's first score along one kind of damage to a modality, by level."""
    found = facts.table(_keys.ROBUSTNESS)
    if found.empty:
        return found
    mine = found[(found["kind"] == kind) & (found["modality"] == m) & (found["head"] == "pool") & found["value"].notna()]
    return mine[(mine["measure"] == facts.metric) & (mine["class"] == "")].sort_values("level", ignore_index=True)


def without(facts: Facts) -> list[str]:
    """What is left without each modality."""
    said = []
    for m in facts.model.modalities:
        found = curve(facts, "removed", m)
        if len(found) < 2:
            continue
        start, end = found.iloc[0], found.iloc[-1]
        score = f"{unit(facts.metric)} {number(end['value'])} ({interval(end['low'], end['high'])})"
        if end["low"] <= start["value"] <= end["high"]:
            said.append(f"If {m} were missing: {score}, no clear change from {number(start['value'])}.")
        else:
            word = "down" if end["value"] < start["value"] else "up"
            said.append(f"If {m} were missing: {score}, {word} from {number(start['value'])}.")
    return said


def depth(facts: Facts) -> list[str]:
    """From which depth on a loss is certain."""
    said = []
    for m in facts.model.modalities:
        found = curve(facts, "thinned", m).iloc[::-1]  # from all counts down
        if len(found) < 2:
            continue
        full = float(found["value"].iloc[0])
        lost = found[found["high"] < full]
        if lost.empty:
            said.append(
                f"{m}: no certain loss down to {percent(found['level'].iloc[-1])} of its counts: {ranged(found.iloc[-1])}, from "
                f"{number(full)}."
            )
        else:
            first = lost.iloc[0]
            said.append(
                f"{m}: a loss is certain at {percent(first['level'])} of its counts: {ranged(first)}, from {number(full)}."
            )
    return said


def robustness(facts: Facts) -> list[Html]:
    """Damage to each modality, and what every subset is good for."""
    found = facts.table(_keys.ROBUSTNESS)
    mine = found[(found["kind"] == "pattern") & (found["head"] == "pool") & (found["class"] == "") & found["value"].notna()]
    rows = []
    for pattern, part in mine.groupby("pattern", sort=False):
        row = {"modalities": str(pattern).replace("+", " + ")}
        for one in part.to_dict("records"):
            row[unit(one["measure"])] = number(one["value"]) if one["measure"] == "ece" else ranged(one)
        rows.append(row | {"samples": whole(part["n"].iloc[0])})
    notes = distinct(found["note"])
    said = [*without(facts), *depth(facts)]
    caption = (
        f"The prediction's {unit(facts.metric)} as a modality is damaged more and more; dotted: guessing; bands: 95% intervals."
    )
    pieces = [bullets(said), figure(lambda: facts.figure("robustness"), alt=f"Damage. {' '.join(said)}", caption=caption)]
    if rows:
        pieces.append(table(pd.DataFrame(rows), "What each subset of the modalities is good for, with 95% intervals."))
    return pieces + [paragraph(note, kind="note") for note in notes]
