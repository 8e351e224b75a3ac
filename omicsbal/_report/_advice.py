"""The head of the page: can it be predicted, who matters, is one wasted; and what to do next, computed from the tables."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from omicsbal import _keys
from omicsbal._report._comparison import better, compared
from omicsbal._report._diagnostics import params_of
from omicsbal._report._facts import Facts
from omicsbal._report._html import Html, bullets, join, text
from omicsbal._report._modalities import needed, overall, snr_notes, who_matters
from omicsbal._report._performance import OFF, POOL, against, best_single, by_class, failing, gain, predictable
from omicsbal._report._samples import suspects, suspects_said
from omicsbal._report._wasted import of_verdict, wasted
from omicsbal._report._words import interval, named, number, percent, ranged, side, unit, whole
from omicsbal.diagnostics.utilization import SURE

FEW = 20  # samples of a class below which its numbers are loose
WIDE = 0.2  # of a score, or nats: an interval of a gain that leaves open whether it matters, our choice
STEPS = 8  # pieces of advice at most


@dataclass(frozen=True)
class Step:
    """One thing to do, and the section that says why."""

    said: str
    section: str


def _underused(facts: Facts) -> Iterator[Step]:
    poor, now = of_verdict(facts, "under-used"), str(params_of(facts.entries).get("strategy", ""))
    others = [f"`{s}`" for s in ("uniform", "udi", "mbsd", "mutual") if s != now]
    if poor:
        yield Step(f"Train again with another strategy, and see whether {named(poor)} is then used: {named(others)}.", "wasted")


def _noise(facts: Facts) -> Iterator[Step]:
    """Modalities that tell nothing, which too little depth may explain, or too few samples."""
    found = facts.table(_keys.VERDICTS)
    shallow = {r["modality"]: r for r in _split(facts) if r["high"] < 1}
    for row in found[found["verdict"] == "uninformative"].to_dict("records") if len(found) else []:
        m, sure = row["modality"], row["certainty"]
        start = f"{m} tells nothing of the label that can be shown here"
        if m in shallow:
            yield Step(f"{start}, and {_quiet(shallow[m])}: sequence deeper, or leave it out.", "wasted")
        elif sure >= SURE:
            yield Step(f"{start}: leave it out.", "wasted")
        else:
            how = "" if np.isnan(sure) else f" (only {percent(sure)} sure)"
            yield Step(f"{start}{how}: more samples would tell; with these it can be left out.", "wasted")


def _spare(facts: Facts) -> Iterator[Step]:
    """Modalities with a use that add nothing to the others, or take away."""
    if len(facts.model.modalities) < 2:
        return
    noise, found = of_verdict(facts, "uninformative"), overall(facts, "need")
    needs = [r for r in found.to_dict("records") if r["modality"] not in noise and not np.isnan(r["low"])]
    for r in needs:
        if side(r["low"], r["high"]) < 0:
            lost = f"{number(r['value'], sign=True)} nats, {interval(r['low'], r['high'], sign=True)}"
            yield Step(f"The prediction is better without {r['modality']} ({lost}): leave it out.", "contribution")
    spare = [r for r in needs if side(r["low"], r["high"]) == 0]
    each = [f"{r['modality']} {number(r['value'], sign=True)} nats, {interval(r['low'], r['high'], sign=True)}" for r in spare]
    names = named(r["modality"] for r in spare)
    loose = any(r["high"] - r["low"] > WIDE for r in spare)
    telling = {r["modality"] for r in overall(facts, "solo").to_dict("records") if r["low"] > 0}
    if len(spare) == 1:
        what = f"{names} adds nothing on top of the others that can be told from zero ({each[0]})"
        then = "more samples would tell" if loose else "for this label alone the next experiment may do without it"
        yield Step(f"{what}: {then}.", "contribution")
    elif spare:
        what = f"Of {names} none adds anything on top of the others that can be told from zero ({'; '.join(each)})"
        alike = not loose and telling.issuperset(r["modality"] for r in spare)
        then = "they tell the same, and the next experiment may do without one, but not without all"
        yield Step(f"{what}: {then if alike else 'more samples would tell which of them are needed'}.", "contribution")


def _split(facts: Facts) -> list[dict[str, Any]]:
    """Rows of the split form that have an interval."""
    found = snr_notes(facts)
    if found.empty:
        return []
    mine = found[(found["method"] == "split") & found["low"].notna()]
    return [{str(k): v for k, v in r.items()} for r in mine.to_dict("records")]


def _quiet(row: dict[str, Any]) -> str:
    """What is said of a modality with less signal than noise."""
    ratio = f"signal to noise {number(row['value'])}, {interval(row['low'], row['high'])}"
    return f"has {'more noise than signal' if row['low'] > 0 else 'no reproducible signal that can be shown'} ({ratio})"


def _deeper(facts: Facts) -> Iterator[Step]:
    noise = of_verdict(facts, "uninformative")  # told of above
    for r in _split(facts):
        if r["modality"] not in noise and r["high"] < 1:
            yield Step(f"{r['modality']} {_quiet(r)}: sequence deeper, or denoise, before changing the model.", "snr")


def _teach(facts: Facts) -> Iterator[Step]:
    found = facts.table(_keys.KD_GATE)
    passing = found[(found["decision"] == "pass") & (found["chosen"] < 1)] if len(found) else found
    if len(passing):
        pairs = named(f"{r['teacher']} may teach {r['student']}" for r in passing.to_dict("records"))
        yield Step(f"{pairs}: try `ob.tl.fit(..., strategy='mutual')`.", "kd_gate")


def _simpler(facts: Facts) -> Iterator[Step]:
    best = best_single(facts)
    if not best or len(facts.model.modalities) < 2:
        return
    found, m = gain(facts, best), facts.heads.loc[best, "modality"]
    if side(found["low"], found["high"]) <= 0 and not np.isnan(found["low"]):
        wide = found["high"] - found["low"] > WIDE
        then = "more samples would tell" if wide else f"{m} alone may be enough where the rest is dear"
        adding = [r["modality"] for r in overall(facts, "need").to_dict("records") if r["low"] > 0 and r["modality"] != m]
        but = f" Its probabilities do gain from {named(adding)}." if adding else ""
        change = f"{ranged(found, sign=True)} in {unit(facts.metric)}"
        yield Step(f"No gain over {m} alone can be shown, {change}: {then}.{but}", "scores")


def _rivals(facts: Facts) -> Iterator[Step]:
    """Systems that a comparison found to be better."""
    found = better(facts)
    if found:
        yield Step(f"On equal folds others do better: {named(found)}. Prefer them for the prediction.", "comparison")


def _classes(facts: Facts) -> Iterator[Step]:
    if facts.is_regression:
        return
    poor = failing(facts)
    for r in poor.head(2).to_dict("records"):
        as_what = f", most often as {r['most often taken for']}" if r["most often taken for"] != "–" else ""
        told = f"{percent(r['recall'])} of its {whole(r['samples'])} samples"
        yield Step(f"{r['class']} is told right in only {told}{as_what}: are its labels and markers sound?", "classes")
    found = by_class(facts)
    few = found[found["samples"] < FEW]
    if len(few):
        each = [f"{r['class']} ({whole(r['samples'])})" for r in few.to_dict("records")]
        yield Step(f"Collect more samples of {named(each)}, or merge them: what is said of them is loose.", "classes")


def _labels(facts: Facts) -> Iterator[Step]:
    if not facts.is_regression and len(suspects(facts)):
        yield Step(suspects_said(facts), "difficulty")


def _doubtful(facts: Facts) -> Iterator[Step]:
    error = float(facts.heads.loc[POOL].get("ece", np.nan))
    if error > OFF:
        yield Step(f"Do not read confidences as probabilities: they are off by {percent(error)} on average.", "calibration")


def _donors(facts: Facts) -> Iterator[Step]:
    if not params_of(facts.entries).get("group_key"):
        again = "fit again with `group_key=`: these scores speak of new samples of the same donors"
        yield Step(f"If the samples come from several donors, {again}.", "made")


RULES: tuple[Callable[[Facts], Iterator[Step]], ...] = (
    _rivals, _underused, _noise, _spare, _deeper, _teach, _simpler, _classes, _labels, _doubtful, _donors,
)  # fmt: skip


def steps(facts: Facts) -> list[Step]:
    """What to do next, the weightiest first."""
    return [step for rule in RULES for step in rule(facts)][:STEPS]


def findings(facts: Facts, shown: set[str]) -> Html:
    """The answers and the next steps; `shown` are the sections that can be linked to."""
    matters = who_matters(facts) or ["Contributions were not measured; the section on them says why."]
    answers = [
        (f"Can {facts.label} be predicted?", [predictable(facts), *against(facts), *compared(facts)]),
        ("Who matters?", [*matters, *needed(facts)]),
        ("Is one wasted?", wasted(facts)),
    ]
    blocks = []
    for question, said in answers:
        first, *rest = said
        more = bullets(rest) if rest else ""
        blocks.append(Html(f'<div class="answer"><h3>{text(question)}</h3><p class="lead">{text(first)}</p>{more}</div>'))
    linked = [
        Html(f'{text(s.said)} <a href="#{s.section}">why</a>') if s.section in shown else text(s.said) for s in steps(facts)
    ]
    todo = bullets(linked, ordered=True) or Html("<p>Nothing stands out: no step is suggested by these numbers.</p>")
    return join([*blocks, Html(f'<div class="answer"><h3>What to do next</h3>{todo}</div>')])
