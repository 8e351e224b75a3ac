"""Which modality matters: shares, what is lost without one, information, signal against noise."""

import numpy as np
import pandas as pd

from omicsbal import _keys
from omicsbal._report._facts import Facts
from omicsbal._report._html import Html, bullets, figure, heading, paragraph, table
from omicsbal._report._words import apart, distinct, interval, named, number, percent, ranged, side, unit, whole

KINDS = {"shapley": "fair share", "solo": "alone", "need": "on top of the others"}
SURE = 0.05  # false discovery rate at which a class is said to need a modality
PARTS = {
    "redundant": "either tells",
    "unique_1": "only {a} tells",
    "unique_2": "only {b} tells",
    "synergistic": "only both together tell",
}


def overall(facts: Facts, kind: str, measure: str = "information") -> pd.DataFrame:
    """Rows of the contributions of one kind, over all samples, the largest first."""
    found = facts.table(_keys.CONTRIBUTION)
    if found.empty:
        return found
    found = found[(found["kind"] == kind) & (found["measure"] == measure) & (found["class"] == "") & found["value"].notna()]
    return found.sort_values("value", ascending=False, ignore_index=True)


def who_matters(facts: Facts) -> list[str]:
    """Who leads, and the shares; empty where they were not measured."""
    shares = overall(facts, "shapley").to_dict("records")
    if not shares:
        return []
    total = sum(row["value"] for row in shares)
    each = [f"{r['modality']} {number(r['value'])} ({interval(r['low'], r['high'])})" for r in shares]
    told = f"Of the {number(total)} nats that all together tell, the fair shares are {named(each, 8)}."
    if not any(side(row["low"], row["high"]) > 0 for row in shares):
        return ["No modality's share can be told from zero.", told]
    if len(shares) < 2:
        return [f"{shares[0]['modality']} is the only one.", told]
    first, second = shares[0]["modality"], shares[1]["modality"]
    lead = f"{first} matters most." if apart(shares) else f"{first} and {second} cannot be told apart."
    return [lead, told]


def needed(facts: Facts) -> list[str]:
    """A sentence a modality: what it adds on top of the others, where there are others."""
    if len(facts.model.modalities) < 2:
        return []
    said = []
    scores = overall(facts, "need", "macro_f1")
    unseen = {r["modality"] for r in scores.to_dict("records") if not side(r["low"], r["high"])}
    for row in overall(facts, "need").to_dict("records"):
        where, m = side(row["low"], row["high"]), row["modality"]
        told = f"{number(row['value'], sign=True)} nats ({interval(row['low'], row['high'], sign=True)})"
        if where > 0:
            but = ", but nothing that can be told from zero in macro-F1" if m in unseen else ""
            said.append(f"{m} adds {told} on top of the others{but}.")
        elif where < 0:
            said.append(f"The prediction is better without {m}: {told} on top of the others.")
        else:
            said.append(f"{m} adds nothing that can be told from zero on top of the others: {told}.")
    return said


def by_class(facts: Facts, most: int = 6) -> list[str]:
    """Which class needs which modality, as far as false discoveries allow."""
    found = facts.table(_keys.CONTRIBUTION)
    if found.empty:
        return []
    mine = found[(found["kind"] == "need") & (found["measure"] == "information") & (found["class"] != "")]
    sure = mine[(mine["q"] < SURE) & (mine["low"] > 0)].sort_values("value", ascending=False)
    each = [
        f"{r['class']} needs {r['modality']}: without it a sample loses {ranged(r)} nats."
        for r in sure.head(most).to_dict("records")
    ]
    if len(sure) > most:
        each.append(
            f"And {len(sure) - most} more pairs of a class and a modality, in `uns['{facts.key_added}']['contribution']`."
        )
    return each or ["No class can be shown to need one modality on top of the others."]


def resolved(facts: Facts, most: int = 3) -> list[str]:
    """Which confusions each modality resolves, those whose interval lies above zero."""
    found = facts.table(_keys.CONFUSIONS)
    if found.empty:
        return []
    sure = found[found["low"] > 0].sort_values("value", ascending=False)
    return [
        f"{r['modality']} keeps {r['class']} apart from {r['taken_for']}: taken for it are {percent(r['without'])} of "
        f"{whole(r['n'])} samples without {r['modality']}, {percent(r['with'])} with it."
        for m in dict.fromkeys(sure["modality"])
        for r in sure[sure["modality"] == m].head(most).to_dict("records")
    ]


def shares_table(facts: Facts) -> pd.DataFrame:
    """A row a modality and measure: share, alone, on top."""
    found, rows = facts.table(_keys.CONTRIBUTION), []
    modalities = overall(facts, "shapley")["modality"].tolist()
    for measure in dict.fromkeys(found.loc[found["class"] == "", "measure"]):
        each = {words: overall(facts, kind, measure) for kind, words in KINDS.items()}
        for m in modalities:
            row = {"modality": m, "in": "nats" if measure == "information" else unit(measure)}
            for words, part in each.items():
                mine = part[part["modality"] == m]
                row[words] = ranged(mine.iloc[0]) if len(mine) else "–"
            rows.append(row)
    return pd.DataFrame(rows)


def contribution(facts: Facts) -> list[Html]:
    """Shares, needs, classes and confusions."""
    notes = distinct(facts.table(_keys.CONTRIBUTION).query("kind == 'total'")["note"])
    caption = "Bars: fair share, alone, on top of the others; blue: the class needs the modality; lines are 95% intervals."
    shares, said = shares_table(facts), " ".join(who_matters(facts))
    pieces = [
        paragraph(said or "Contributions could not be measured."),
        bullets(needed(facts)),
        figure(lambda: facts.figure("contribution"), alt=f"Contribution of each modality. {said}", caption=caption),
    ]
    if len(shares):
        pieces.append(table(shares, "What each modality contributes, with 95% intervals."))
    if not facts.is_regression:
        pieces += [heading("Which class needs which modality"), bullets(by_class(facts))]
        pieces += [heading("Confusions that a modality resolves"), bullets(resolved(facts) or ["None that is certain."])]
    return pieces + [paragraph(note, kind="note") for note in notes]


def pairs_said(facts: Facts) -> list[str]:
    """A sentence a pair of modalities: its largest part, and what is shared."""
    found = facts.table(_keys.PID)
    if found.empty:
        return []
    said = []
    for (a, b), rows in found.groupby(["source_1", "source_2"], sort=False):
        parts = rows[rows["kind"].isin(PARTS) & rows["value"].notna()].sort_values("value", ascending=False).to_dict("records")
        total = rows.loc[rows["kind"] == "total", "value"]
        if not parts or "+" in str(b):
            continue
        bound = {r["kind"]: " at least" for r in parts if r["kind"] == "synergistic" and r["lower_bound"]}
        each = [f"{PARTS[r['kind']].format(a=a, b=b)}{bound.get(r['kind'], '')} {ranged(r)}" for r in parts]
        said.append(f"{a} and {b}, {number(float(total.iloc[0]))} nats together: {named(each)}.")
    return said


def information(facts: Facts) -> list[Html]:
    """What modalities tell, share, and only together tell."""
    found = facts.table(_keys.INFORMATION)
    told = found[found["kind"] == "label"]
    most = found.loc[found["kind"] == "entropy", "value"]
    rows = [
        {"modalities": r["source_1"].replace("+", " + "), "nats": ranged(r), "samples": r["n"]} for r in told.to_dict("records")
    ]
    caption = "Left: what only one tells, what either tells, what only both together tell. Right: what each tells and two share."
    pieces: list[Html] = []
    if len(most):
        all_of_it = f"To know the label for sure takes {number(float(most.iloc[0]))} nats."
        pieces.append(paragraph(f"{all_of_it} What follows is what this model can use; there may be more in the data."))
    pieces.append(bullets(pairs_said(facts)))
    if len(facts.model.modalities) > 1:
        alt = f"Information about the label. {' '.join(pairs_said(facts))}"
        pieces.append(figure(lambda: facts.figure("information"), alt=alt, caption=caption))
    if rows:
        pieces.append(table(pd.DataFrame(rows), "Information about the label, with 95% intervals.", formats={"samples": whole}))
    notes = distinct(n for slot in (_keys.INFORMATION, _keys.PID) if facts.has(slot) for n in facts.table(slot)["note"])
    return pieces + [paragraph(note, kind="note") for note in notes]


def snr_notes(facts: Facts) -> pd.DataFrame:
    """What the signal-to-noise ratios mean, a row a modality and form."""
    found = facts.table(_keys.SNR)
    if found.empty:
        return found
    whole_label = (found["class"] == "") & ~((found["method"] == "cross") & (found["measure"] == "snr2"))
    return found[whole_label].reset_index(drop=True)


FORMS = {"split": "reproducible?", "label": "related to the label?", "cross": "shared with {}?"}


def snr(facts: Facts) -> list[Html]:
    """Signal against noise."""
    rows = [
        {
            "modality": r["modality"],
            "question": FORMS[r["method"]].format(r["partner"]),
            "answer": r["note"],
            "number": f"{ranged(r)} {'nats' if r['measure'] == 'nats' else ''}".strip() if np.isfinite(r["value"]) else "–",
        }
        for r in snr_notes(facts).to_dict("records")
    ]
    caption = "Variance of each modality: pale, reproducible; full, between classes; grey, the rest. Lines are 95% intervals."
    title = "Signal to noise, without any training; ratios of power (1: as much signal as noise) or nats, with 95% intervals."
    split = [f"{r['modality']}: {r['answer']}." for r in rows if r["question"] == FORMS["split"]]
    alt = f"Signal in each modality. {' '.join(split)}"
    return [
        figure(lambda: facts.figure("modality_snr"), alt=alt, caption=caption),
        table(pd.DataFrame(rows), title) if rows else paragraph("Nothing was measured."),
    ]


def kd_gate(facts: Facts) -> list[Html]:
    """Who may teach whom."""
    caption = "Each pair of a teacher and a student: where the interval lies above zero, teaching may help."
    found = facts.table(_keys.KD_GATE)
    passing = found[found["decision"] == "pass"] if len(found) else found
    who = [f"{r['teacher']} may teach {r['student']}" for r in passing.to_dict("records")]
    said = f"{named(who)}." if who else "No modality is shown to be a teacher of another."
    return [paragraph(said), figure(lambda: facts.figure("kd_gate"), alt=f"{caption} {said}", caption=caption)]
