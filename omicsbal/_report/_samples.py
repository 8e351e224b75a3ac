"""Hard samples, and labels that look wrong."""

import pandas as pd

from omicsbal import _keys
from omicsbal._report._facts import Facts
from omicsbal._report._html import Html, bullets, figure, heading, paragraph, table
from omicsbal._report._words import number, percent, ranged, whole

SUSPECTS = 15  # in the table


def suspects(facts: Facts) -> pd.DataFrame:
    """Samples whose label looks wrong, the least often told right first."""
    obs, keys = facts.mdata.obs, facts.keys
    if keys.suspect not in obs:
        return pd.DataFrame()
    mine = obs[obs[keys.suspect].astype(str) == "True"]
    from omicsbal.pp import find_label

    label = find_label(facts.mdata, facts.label).reindex(mine.index)
    found = pd.DataFrame({"sample": mine.index.astype(str), "label": label.astype(str).to_numpy()})
    found["predicted"] = mine[keys.prediction].astype(str).to_numpy()
    found["confidence"] = mine[keys.confidence].to_numpy(dtype=float)
    found["passes told right"] = mine[keys.success].to_numpy(dtype=float)
    return found.sort_values(["passes told right", "confidence"], ascending=[True, False], ignore_index=True)


def suspects_said(facts: Facts) -> str:
    """How many labels look wrong."""
    n, of = len(suspects(facts)), int(facts.trained.sum())
    if not n:
        return "No label looks wrong."
    word = "label looks" if n == 1 else "labels look"
    share = percent(n / max(of, 1))
    return f"{n:,} {word} wrong ({share} of {of:,}). They are candidates for a second look, and not errors for sure."


def depth_said(facts: Facts) -> list[str]:
    """What depth has to do with difficulty."""
    found = facts.table(_keys.DIFFICULTY)
    if found.empty:
        return []
    rows = found[found["measure"] == "depth"].to_dict("records")
    return [f"{r['modality']}: {r['note']} (correlation {ranged(r)})." for r in rows]


def difficulty(facts: Facts) -> list[Html]:
    """Which samples are hard, and which labels look wrong."""
    found = facts.table(_keys.DIFFICULTY)
    success = found[found["measure"] == "success"]
    rows: dict[str, dict[str, str]] = {}
    for r in success[success["class"] != ""].to_dict("records"):
        mine = rows.setdefault(r["class"], {"class": r["class"], "samples": whole(r["n"])})
        mine[r["modality"] or "all modalities"] = ranged(r)
    together = success[(success["class"] == "") & (success["modality"] == "")]
    pieces: list[Html] = []
    if len(together):
        hidden = (
            "Each sample was shown again and again with values and modalities hidden at random. Share of these passes in which"
        )
        pieces.append(paragraph(f"{hidden} it was told right, on average: {ranged(together.iloc[0])}."))
    pieces.append(bullets(depth_said(facts)))
    alone = [m for m in facts.model.modalities if f"{facts.keys.success}_{m}" in facts.mdata.obs]
    if len(alone) > 1:
        caption = f"Each sample by how often {alone[0]} and {alone[1]} alone tell it right; rings: labels that look wrong."
        pieces.append(figure(lambda: facts.figure("cell_difficulty"), alt=caption, caption=caption, raster=True))
    pieces.append(
        table(pd.DataFrame(list(rows.values())), "Share of passes in which samples are told right, with 95% intervals.")
    )
    doubtful = suspects(facts)
    pieces += [heading("Labels that look wrong"), paragraph(suspects_said(facts))]
    if len(doubtful):
        where = f"`obs['{facts.keys.suspect}']`"
        title = f"The {min(SUSPECTS, len(doubtful))} most doubtful labels."
        made = table(doubtful, title, formats={"confidence": number, "passes told right": number}, most=SUSPECTS, rest=where)
        pieces.append(made)
    return pieces
