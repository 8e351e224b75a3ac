"""The head of the page: can it be predicted, who matters, is one wasted; and what to do next, computed from the tables."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from omicsbal import _keys
from omicsbal._report._diagnostics import params_of
from omicsbal._report._facts import Facts
from omicsbal._report._html import Html, bullets, join, text
from omicsbal._report._modalities import needed, overall, snr_notes, who_matters
from omicsbal._report._performance import OFF, POOL, against, best_single, by_class, failing, gain, predictable
from omicsbal._report._samples import suspects, suspects_said
from omicsbal._report._wasted import of_verdict, wasted
from omicsbal._report._words import interval, named, number, percent, side, whole

FEW = 20  # samples of a class below which its numbers are loose
WIDE = 0.2  # of a score: an interval of its gain that leaves open whether it matters, our choice
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


def _useless(facts: Facts) -> Iterator[Step]:
    """Modalities without use: those with a verdict, else those that add nothing that can be seen."""
    noise = of_verdict(facts, "uninformative")
    shallow = {r["modality"]: r for r in _split(facts) if r["low"] <= 0}
    for m in noise:
        deeper = " It has no reproducible signal at this depth: sequence deeper, or" if m in shallow else ""
        start = f"{m} tells nothing of the label that can be shown here.{deeper}"
        yield Step(f"{start} leave it out." if deeper else f"{start} Leave it out, and nothing is lost.", "wasted")
    needs = [r for r in overall(facts, "need").to_dict("records") if r["modality"] not in noise]
    spare = [r for r in needs if side(r["low"], r["high"]) <= 0]
    each = [f"{r['modality']} {number(r['value'], sign=True)} nats, {interval(r['low'], r['high'], sign=True)}" for r in spare]
    names = named(r["modality"] for r in spare)
    if len(spare) == 1:
        what = f"{names} adds nothing on top of the others that can be told from zero ({each[0]})"
        yield Step(f"{what}: for this label alone the next experiment may do without it.", "contribution")
    elif spare:
        what = f"Of {names} none adds anything on top of the others that can be told from zero ({'; '.join(each)})"
        yield Step(
            f"{what}: they tell the same, and the next experiment may do without one, but not without all.", "contribution"
        )


def _split(facts: Facts) -> list[dict[str, Any]]:
    """Rows of the split form that have an interval."""
    found = snr_notes(facts)
    if found.empty:
        return []
    mine = found[(found["method"] == "split") & found["low"].notna()]
    return [{str(k): v for k, v in r.items()} for r in mine.to_dict("records")]


def _deeper(facts: Facts) -> Iterator[Step]:
    quiet = of_verdict(facts, "uninformative")
    for r in _split(facts):
        if r["modality"] in quiet or r["high"] >= 1:
            continue
        ratio = f"signal to noise {number(r['value'])}, {interval(r['low'], r['high'])}"
        much = "has more noise than signal" if r["low"] > 0 else "has no reproducible signal that can be shown"
        yield Step(f"{r['modality']} {much} ({ratio}): sequence deeper, or denoise, before changing the model.", "snr")


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
        change = f"{number(found['value'], sign=True)}, {interval(found['low'], found['high'], sign=True)}"
        wide = found["high"] - found["low"] > WIDE
        then = "more samples would tell" if wide else f"{m} alone may be enough where the rest is dear"
        yield Step(f"No gain over {m} alone can be shown ({change}): {then}.", "scores")


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
    _underused, _useless, _deeper, _teach, _simpler, _classes, _labels, _doubtful, _donors,
)  # fmt: skip


def steps(facts: Facts) -> list[Step]:
    """What to do next, the weightiest first."""
    return [step for rule in RULES for step in rule(facts)][:STEPS]


def findings(facts: Facts, shown: set[str]) -> Html:
    """The answers and the next steps; `shown` are the sections that can be linked to."""
    matters = who_matters(facts) or ["Contributions were not measured; the section on them says why."]
    answers = [
        (f"Can {facts.label} be predicted?", [predictable(facts), *against(facts)]),
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
