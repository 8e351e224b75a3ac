"""The data as the model reads them, and how everything was made."""

import json
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pandas as pd

import omicsbal
from omicsbal import _keys
from omicsbal._report._diagnostics import params_of
from omicsbal._report._facts import Facts
from omicsbal._report._html import Html, figure, paragraph, table
from omicsbal._report._words import named, percent, whole
from omicsbal.pp.folds import MERGED


def described(facts: Facts) -> pd.DataFrame:
    """`omicsbal.pp.describe` of the matrices that the model reads."""
    from omicsbal.pp import describe

    sources = {m: s for m, s in facts.model.sources.items() if m in facts.mdata.mod}
    layer = {m: s.layer for m, s in sources.items() if s.layer} or None
    rep = {m: s.use_rep for m, s in sources.items() if s.use_rep} or None
    found = describe(facts.mdata, label_key=facts.label, layer=layer, use_rep=rep)
    attrs = found.attrs
    found = found.loc[list(sources)]
    found.attrs = attrs
    return found


def data(facts: Facts) -> list[Html]:
    """What is there and how it is read."""
    found = described(facts)
    recipes = facts.table(_keys.RECIPES).set_index("modality")
    rows = [
        {
            "modality": m,
            "samples": r["cells"],
            "of all": r["present"],
            "features": r["features"],
            "values": r["kind"],
            "median depth": r["depth"],
            "recipe": f"{recipes.loc[m, 'recipe']} ({recipes.loc[m, 'why']})" if m in recipes.index else r["recipe"],
            "numbers used": recipes.loc[m, "components"] if m in recipes.index else np.nan,
            "to look at": "; ".join(filter(None, [r["warnings"], recipes["note"].get(m, "")])) or "–",
        }
        for m, r in found.iterrows()
    ]
    whole_columns = dict.fromkeys(("samples", "features", "median depth", "numbers used"), whole)
    patterns: dict[str, int] = {}
    for pattern, n_rows in found.attrs["patterns"].items():  # of all modalities, also those that the model does not read
        mine = "+".join(m for m in str(pattern).split("+") if m in found.index) or "none of them"
        patterns[mine] = patterns.get(mine, 0) + n_rows
    trained, n = int(facts.trained.sum()), found.attrs["n_obs"]
    rest = (
        f"{trained:,} were learnt from; the other {n - trained:,} were only predicted."
        if n > trained
        else "All were learnt from."
    )
    said = f"{n:,} samples; modalities: {named(found.index, 8)}. {rest}"
    caption = "Which modalities are present together (filled dots), and in how many samples."
    pieces = [
        paragraph(said),
        table(pd.DataFrame(rows), "The modalities and how they are read.", formats=whole_columns | {"of all": percent}),
    ]
    if len(patterns) > 1:
        alt = f"{caption} {named((f'{p}: {c:,}' for p, c in patterns.items()), 6)}."
        draw: Any = lambda: facts.figure("pattern", modalities=facts.model.modalities)  # noqa: E731
        pieces.append(figure(draw, alt=alt, caption=caption))
    else:
        pieces.append(paragraph("Every sample has every modality."))
    counts = found.attrs["labels"]
    if counts:
        labels = pd.DataFrame({"class": list(counts), "samples": list(counts.values())})
        labels["share"] = labels["samples"] / max(labels["samples"].sum(), 1)
        if not facts.is_regression and not labels["class"].astype(str).isin(facts.model.classes).all():
            labels["in the fit"] = [_learnt_as(str(c), facts.model.classes) for c in labels["class"]]
        pieces.append(table(labels, f"Classes of {facts.label}.", formats={"samples": whole, "share": percent}))
    return pieces + [paragraph(note, kind="note") for note in found.attrs["notes"]]


def _learnt_as(name: str, classes: list[str]) -> str:
    """What became of a class with few samples."""
    return "as it is" if name in classes else f"as {MERGED}" if MERGED in classes else "left out"


def made(facts: Facts) -> list[Html]:
    """Settings, versions, seeds: what it takes to make this page again."""
    params = params_of(facts.entries)
    split = params.get("group_key") or ""
    folds = f"{facts.n_folds}; " + (f"whole groups of {split}" if split else "samples, stratified by label")
    settings: list[tuple[str, str]] = [
        ("label", facts.label),
        ("task", facts.model.task),
        ("modalities", ", ".join(facts.model.modalities)),
        ("strategy", str(params.get("strategy", ""))),
        ("folds", folds),
        ("seed", str(params.get("random_state", ""))),
        ("epochs", str(params.get("chosen_epoch", ""))),
        ("report", f"omicsbal {omicsbal.__version__}, {datetime.now(UTC):%Y-%m-%d %H:%M} UTC"),
    ]
    more = {k: v for k, v in params.items() if k in ("net", "config", "strategy_settings", "rare", "experts")}
    flat = [(f"{k}.{a}", str(b)) for k, v in more.items() if isinstance(v, dict) for a, b in v.items()]
    flat += [(k, str(v)) for k, v in more.items() if not isinstance(v, dict)]
    versions = json.loads(str(facts.entries.get(_keys.VERSIONS, "{}"))).items()
    columns = ["setting", "value"]
    rule = (
        "Every number about the prediction is out-of-fold: it comes from networks and linear models that never saw the sample's"
    )
    rule += " label. Signal to noise needs no prediction."
    return [
        paragraph(rule),
        table(pd.DataFrame(settings, columns=columns), "How the model was made."),
        table(pd.DataFrame(flat, columns=columns), "All settings.", most=60),
        table(pd.DataFrame(list(versions), columns=["library", "version"]), "Versions at the time of the fit."),
    ]
