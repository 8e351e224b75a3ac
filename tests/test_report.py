"""The report: complete, self-contained, valid; its sentences follow the tables; nothing happens where it refuses."""

import re
import warnings
from html.parser import HTMLParser
from pathlib import Path

import matplotlib.pyplot as plt
import mudata
import numpy as np
import pandas as pd
import pytest

import omicsbal as ob
from omicsbal import _report, cli
from omicsbal._report import _advice, _comparison, _damage, _data, _features, _make, _modalities, _performance, _samples, _wasted
from omicsbal._report._facts import Facts
from omicsbal._report._html import Html, figure, table, text
from omicsbal._report._sections import SECTIONS, sections_of

VOID = {"meta", "img", "br", "hr", "link", "input"}
NASTY = '<b>T & "co"'


VERBS = ("contribution", "utilization", "information", "robustness", "modality_snr", "feature_importance", "cell_difficulty")


class Page(HTMLParser):
    """Elements of a page, and what is wrong with their nesting."""

    def __init__(self, source):
        super().__init__(convert_charrefs=True)
        self.open, self.found, self.wrong, self.words = [], [], [], []
        self.feed(source)
        self.close()
        self.wrong += [f"{tag} is not closed" for tag in self.open]

    def handle_starttag(self, tag, attrs):
        self.found.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        if not self.open or self.open.pop() != tag:
            self.wrong.append(f"{tag} is closed and was not open")

    def handle_data(self, data):
        if not {"style", "title"} & set(self.open):
            self.words.append(data)

    def all(self, tag):
        return [attrs for name, attrs in self.found if name == tag]

    @property
    def said(self):
        return " ".join("".join(self.words).split())


def fit(mdata, label="cell_type"):
    config, net = ob.FitConfig(max_epochs=6, n_members=2), ob.NetConfig(width=8, depth=1, latent=4)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return ob.tl.fit(mdata, label_key=label, n_folds=2, config=config, net=net, device="cpu", progress=False)


def draw(n_obs=130):
    modalities = {"rna": 60, "protein": 12}
    mdata = ob.datasets.simulate(
        n_obs=n_obs, n_truth=100, preset="redundant", n_classes=3, modalities=[*modalities], n_features=modalities, random_state=0
    )
    mdata.obs["cell_type"] = mdata.obs["cell_type"].cat.rename_categories({"type_0": NASTY})
    return mdata


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A model, its MuData before and after the report, and the page."""
    mdata = draw()
    model = fit(mdata)
    bare = mdata.copy()
    plt.close("all")  # of other tests
    path = ob.report(model, mdata, tmp_path_factory.mktemp("report") / "report.html", title="A <i>title</i>", progress=False)
    assert not plt.get_fignums()
    return model, bare, mdata, path.read_text(encoding="utf-8")


@pytest.fixture
def no_figures(monkeypatch):
    """Figures refuse, which takes no time and leaves a sentence in their place."""

    def refuse(*_, **__):
        raise ValueError("not <drawn>")

    monkeypatch.setattr(Facts, "figure", refuse)


@pytest.fixture
def facts(made):
    """Facts of a copy, whose tables a test may change."""
    model, _, mdata, _ = made
    return Facts(model, mdata.copy(), "omicsbal")


def change(facts, slot, **values):
    """Overwrite columns of a table."""
    held = facts.mdata.uns["omicsbal"][slot]
    facts.mdata.uns["omicsbal"] = {**facts.mdata.uns["omicsbal"], slot: held.assign(**values)}
    return Facts(facts.model, facts.mdata, "omicsbal")


def put(facts, slot, rows):
    facts.mdata.uns["omicsbal"] = {**facts.mdata.uns["omicsbal"], slot: pd.DataFrame(rows)}
    return Facts(facts.model, facts.mdata, "omicsbal")


def contributions(facts, *, need=(0.2, 0.1, 0.3), shares=((0.6, 0.5, 0.7), (0.2, 0.1, 0.3))):
    base = {"measure": "information", "class": "", "p": np.nan, "q": np.nan, "n": 90, "rows": "out-of-fold", "note": ""}
    rows = []
    for m, share in zip(("rna", "protein"), shares, strict=True):
        for kind, (value, low, high) in {"shapley": share, "solo": share, "need": need}.items():
            rows.append(base | {"kind": kind, "modality": m, "value": value, "low": low, "high": high})
    rows.append(base | {"kind": "need", "modality": "rna", "class": "type_1", "value": 0.9, "low": 0.5, "high": 1.2, "q": 0.01})
    return put(facts, "contribution", rows)


def test_the_page_is_whole_and_well_formed(made):
    page = Page(made[3])
    assert not page.wrong
    assert made[3].startswith("<!doctype html>") and page.all("html") == [{"lang": "en"}]
    sections = {attrs["id"] for attrs in page.all("section")}
    assert sections == {"findings", *(s.name for s in SECTIONS)}
    ids = [attrs["id"] for _, attrs in page.found if "id" in attrs]
    assert len(ids) == len(set(ids))
    assert {a["href"].removeprefix("#") for a in page.all("a")} <= set(ids)
    levels = [int(tag[1]) for tag, _ in page.found if re.fullmatch("h[1-6]", tag)]
    assert levels.count(1) == 1
    for question in ("Can cell_type be predicted?", "Who matters?", "Is one wasted?", "What to do next"):
        assert question in page.said


def test_the_page_can_be_read_without_seeing_it(made):
    page = Page(made[3])
    images = page.all("img")
    assert len(images) >= 6 and all(len(i["alt"]) > 40 for i in images)
    assert len(page.all("table")) == len(page.all("caption")) >= 8
    assert all(attrs.get("scope") in ("col", "row") for attrs in page.all("th"))
    frames = [attrs for tag, attrs in page.found if "scroll" in attrs.get("class", "")]
    assert all(f["tabindex"] == "0" and f["aria-label"] for f in frames)  # scrolls with the keyboard


def test_the_page_asks_the_network_for_nothing(made):
    html, page = made[3], Page(made[3])
    assert not page.all("link") and not page.all("script") and not page.all("iframe")
    assert not re.search(r"https?://|@import|url\(|//[a-z]+\.", re.sub(r"base64,[A-Za-z0-9+/=]+", "", html))
    assert all(i["src"].startswith("data:image/") for i in page.all("img"))
    policy = next(m["content"] for m in page.all("meta") if "http-equiv" in m)
    assert "default-src 'none'" in policy
    assert "prefers-color-scheme: dark" in html and "@media print" in html and "width=device-width" in html


def test_names_are_escaped(made):
    page = Page(made[3])
    assert not page.all("b") and not page.all("i")
    assert NASTY in page.said
    assert page.found and "<title>A &lt;i&gt;title&lt;/i&gt;</title>" in made[3]
    assert text("<a> `<b>`") == "&lt;a&gt; <code>&lt;b&gt;</code>" and text(Html("<br>")) == "<br>"
    shown = table(pd.DataFrame({"<x>": ["<y>"], "n": [1.0]}), "<z>", most=0, rest="`<w>`")
    assert "<x>" not in shown and "<z>" not in shown and "<w>" not in shown and "And 1 more" in shown


def test_dollars_in_names_are_no_formulas():
    def draw():
        plain = plt.figure()
        plain.text(0.5, 0.5, "a $CD_{4$")
        return plain

    assert "<img" in figure(draw, alt="A name.", caption="A name.")


def test_what_was_missing_is_written_and_nothing_else(made):
    _, bare, mdata, _ = made
    new = set(mdata.uns["omicsbal"]) - set(bare.uns["omicsbal"])
    assert {"contribution", "confusions", "information", "pid", "snr", "difficulty", "utilization", "verdicts"} <= new
    assert {"robustness", "feature_importance"} <= new
    assert set(mdata.uns) == set(bare.uns)  # the colours of the figures are gone again
    pd.testing.assert_frame_equal(mdata.obs[bare.obs.columns], bare.obs)


def test_without_computing_sections_say_which_call_makes_them(made, no_figures, tmp_path, monkeypatch):
    model, bare, _, _ = made
    mdata = bare.copy()
    for verb in VERBS:
        monkeypatch.setattr(f"omicsbal.tl.{verb}", lambda *_, **__: pytest.fail("computed"))
    said = Page(ob.report(model, mdata, tmp_path / "a.html", compute=False).read_text()).said
    for verb in VERBS:
        assert f"ob.tl.{verb}(" in said
    assert "No figure: not <drawn>" in said
    assert "asked to compute nothing" in said and "Contributions were not measured" in said
    assert set(mdata.uns["omicsbal"]) == set(bare.uns["omicsbal"]) and list(mdata.obs) == list(bare.obs)


def test_a_diagnostic_that_refuses_is_told_of(made, no_figures, tmp_path, monkeypatch):
    model, _, mdata, _ = made
    mdata = mdata.copy()
    mdata.uns["omicsbal"] = {k: v for k, v in mdata.uns["omicsbal"].items() if k != "information"}

    def refuse(*_, **__):
        raise ValueError("`mdata`: expected <more>; found less. Measure again.")

    monkeypatch.setattr("omicsbal.tl.information", refuse)
    said = Page(ob.report(model, mdata, tmp_path / "a.html", progress=False).read_text()).said
    assert "Not available. `mdata`".replace("`", "") in said.replace("`", "") and "found less. Measure again." in said


def test_prediction_is_compared_with_guessing(facts):
    assert _performance.predictable(facts).startswith(("Yes: macro-F1", "Not shown: macro-F1"))
    better = change(facts, "heads", macro_f1=0.8, macro_f1_low=0.7, macro_f1_high=0.9)
    assert _performance.predictable(better).startswith("Yes: macro-F1 0.80 (95% interval 0.70 to 0.90)")
    worse = change(facts, "heads", macro_f1=0.4, macro_f1_low=0.2, macro_f1_high=0.6)
    assert "Not shown" in _performance.predictable(worse) and "cannot be told apart" in _performance.predictable(worse)
    assert "0.33 is what guessing would score" in _performance.predictable(worse)


def test_baselines_are_compared_by_fold(facts):
    folds = facts.mdata.uns["omicsbal"]["fold_scores"]
    tied = folds.assign(macro_f1=0.5)
    same = Facts(facts.model, facts.mdata, "omicsbal")
    facts.mdata.uns["omicsbal"]["fold_scores"] = tied
    assert all("cannot be told apart" in said for said in _performance.against(same))
    ahead = folds.assign(macro_f1=np.where(folds["head"] == "pool", 0.9, 0.5) + 0.001 * folds["fold"])
    facts.mdata.uns["omicsbal"]["fold_scores"] = ahead
    said = _performance.against(same)
    assert len(said) == 3 and all("It is better than" in s and "+0.40" in s for s in said)
    facts.mdata.uns["omicsbal"]["fold_scores"] = folds.assign(macro_f1=np.where(folds["head"] == "pool", 0.1, 0.5))
    assert all("It is worse than" in s for s in _performance.against(same))
    assert "No gain over" in " ".join(s.said for s in _advice.steps(same))


def test_shares_lead_or_cannot_be_told_apart(facts):
    assert _modalities.who_matters(contributions(facts))[0] == "rna matters most."
    close = contributions(facts, shares=((0.6, 0.1, 0.9), (0.5, 0.1, 0.9)))
    assert _modalities.who_matters(close)[0] == "rna and protein cannot be told apart."
    none = contributions(facts, shares=((0.1, -0.1, 0.2), (0.0, -0.1, 0.1)))
    assert "can be told from zero" in _modalities.who_matters(none)[0]
    assert "rna 0.60 (0.50 to 0.70)" in _modalities.who_matters(contributions(facts))[1]
    assert _modalities.by_class(contributions(facts)) == ["type_1 needs rna: without it a sample loses 0.90 (0.50 to 1.20) nats."]


def test_a_modality_that_adds_nothing_is_named_and_advised_on(facts):
    useful, useless = contributions(facts), contributions(facts, need=(0.01, -0.02, 0.03))
    assert "told from zero" in " ".join(_modalities.needed(useless))
    assert "may do without one, but not without all" in " ".join(s.said for s in _advice.steps(useless))
    rows = useless.mdata.uns["omicsbal"]["contribution"]
    one = (rows["kind"] == "need") & (rows["modality"] == "rna")
    only = put(useless, "contribution", rows.assign(**{c: rows[c] + 0.5 * one for c in ("value", "low", "high")}))
    assert "protein adds nothing on top of the others" in " ".join(s.said for s in _advice.steps(only))
    assert "may do without it" in " ".join(s.said for s in _advice.steps(only))
    useful = contributions(facts)
    assert "protein adds +0.20 nats (+0.10 to +0.30)" in " ".join(_modalities.needed(useful))
    assert "may do without" not in " ".join(s.said for s in _advice.steps(useful))
    harmful = contributions(facts, need=(-0.2, -0.3, -0.1))
    assert "better without rna" in " ".join(_modalities.needed(harmful))


def test_a_modality_that_harms_or_may_be_noise_is_no_spare_one(facts):
    harmful = " ".join(s.said for s in _advice.steps(contributions(facts, need=(-0.2, -0.3, -0.1))))
    assert "better without rna (−0.20 nats, −0.30 to −0.10): leave it out" in harmful and "adds nothing" not in harmful
    noise = contributions(facts, need=(0.01, -0.02, 0.03), shares=((0.1, -0.1, 0.2), (0.0, -0.1, 0.1)))
    told = " ".join(s.said for s in _advice.steps(noise))
    assert "they tell the same" not in told and "more samples would tell which of them are needed" in told
    loose = " ".join(s.said for s in _advice.steps(contributions(facts, need=(0.2, -0.3, 0.7))))
    assert "may do without" not in loose and "more samples would tell" in loose


def test_a_gain_in_probabilities_is_told_beside_none_in_the_score(facts):
    folds = facts.mdata.uns["omicsbal"]["fold_scores"].assign(macro_f1=0.5)
    told = contributions(facts)
    told.mdata.uns["omicsbal"]["fold_scores"] = folds
    step = next(s.said for s in _advice.steps(told) if s.said.startswith("No gain over"))
    assert "in macro-F1" in step and "Its probabilities do gain from" in step
    assert "in macro-F1" in _performance.against(told)[0]


def test_synergy_is_a_lower_bound_where_the_table_says_so(facts):
    row = {"source_1": "rna", "source_2": "protein", "value": 0.2, "low": 0.1, "high": 0.3, "lower_bound": 1, "note": "Few."}
    rows = [row | {"kind": kind} for kind in ("total", "synergistic", "redundant")]
    told = put(facts, "pid", rows)
    assert "only both together tell at least 0.20 (0.10 to 0.30)" in _modalities.pairs_said(told)[0]
    assert "either tells 0.20" in _modalities.pairs_said(told)[0]
    assert any("Few." in piece for piece in _modalities.information(told))
    exact = put(facts, "pid", [r | {"lower_bound": 0} for r in rows])
    assert "at least" not in _modalities.pairs_said(exact)[0]


def comparisons(facts, key="omicsbal", label="cell_type"):
    row = {"mean": 0.7, "low": 0.6, "high": 0.8, "n": 5, "rank": 1.0, "against": "omicsbal", "p": 0.01, "note": ""}
    gains = {
        "omicsbal": (np.nan, np.nan, np.nan, np.nan),
        "lr:rna": (0.3, 0.2, 0.4, 0.01),
        "rf:concat": (-0.1, -0.2, -0.05, 0.02),
    }
    gains |= {"<mine>": (0.1, 0.01, 0.2, 0.06), "lr:best-uni": (0.3, 0.2, 0.4, 0.01)}
    rows = [
        row | {"metric": metric, "system": name, "gain": g, "gain_low": low, "gain_high": high, "p_holm": p}
        for metric in ("macro_f1", "log_loss", "seconds")
        for name, (g, low, high, p) in gains.items()
    ]
    held = {"label_key": label} | dict(facts.mdata.uns.get(key, {}))
    facts.mdata.uns[key] = held | {"compare_summary": pd.DataFrame(rows)}
    return facts


def test_a_comparison_is_told_where_there_is_one(facts):
    before = " ".join(_comparison.comparison(facts))
    assert "Not available" in before and "ob.tl.compare(" in before and _comparison.compared(facts) == []
    told = comparisons(facts)
    assert _comparison.compared(told) == [
        "Compared on 5 equal folds in macro-F1, omicsbal is better than lr:rna and lr:best-uni; worse than rf:concat; "
        "not to be told apart from <mine>."
    ]
    assert _comparison.better(told) == ["rf:concat (macro-F1 +0.10, +0.05 to +0.20)"]
    assert "others do better: rf:concat" in _advice.steps(told)[0].said and _advice.steps(told)[0].section == "comparison"
    page = Page("".join(_comparison.comparison(told)))
    assert not page.wrong and "<mine>" in page.said and "named by the user" in page.said and page.all("img")
    assert "+0.30 (+0.20 to +0.40)" in page.said and "random forest" in page.said and "No figure" not in page.said


def test_a_comparison_under_another_key_counts_if_it_is_of_the_same_label(facts):
    assert _comparison.place(comparisons(facts, key="others", label="batch")) == ""
    assert _comparison.place(comparisons(facts, key="compared")) == "compared"
    assert "No figure" not in "".join(_comparison.comparison(facts))
    assert _comparison.place(comparisons(facts)) == "omicsbal"


def test_confusions_are_told_only_where_they_are_sure(facts):
    row = {
        "modality": "rna",
        "class": "A",
        "taken_for": "B",
        "value": 0.3,
        "low": 0.1,
        "high": 0.5,
        "n": 40,
        "without": 0.4,
        "with": 0.1,
    }
    rows = [row, row | {"class": "C", "low": -0.1}]
    said = _modalities.resolved(put(facts, "confusions", rows))
    assert said == ["rna keeps A apart from B: taken for it are 40% of 40 samples without rna, 10% with it."]


def test_shallow_modalities_are_to_be_sequenced_deeper(facts):
    row = {
        "modality": "rna",
        "method": "split",
        "measure": "snr2",
        "partner": "",
        "class": "",
        "value": 0.1,
        "n": 90,
        "p": np.nan,
    }
    row |= {"recipe": "", "note": "more noise than signal"}
    shallow = put(facts, "snr", [row | {"low": 0.05, "high": 0.2}])
    assert "rna has more noise than signal" in " ".join(s.said for s in _advice.steps(shallow))
    nothing = put(facts, "snr", [row | {"low": -0.05, "high": 0.2}])
    assert "rna has no reproducible signal that can be shown" in " ".join(s.said for s in _advice.steps(nothing))
    good = put(facts, "snr", [row | {"value": 3.0, "low": 2.5, "high": 3.5}])
    assert "sequence deeper" not in " ".join(s.said for s in _advice.steps(good))


def test_failing_and_small_classes_are_named(facts, monkeypatch):
    names = facts.model.classes
    counts = pd.DataFrame([[20, 2, 0], [9, 1, 0], [0, 0, 30]], index=names, columns=names)
    monkeypatch.setattr(Facts, "confusion", counts)
    found = _performance.by_class(facts).set_index("class")
    assert found.loc[names[1], "recall"] == pytest.approx(0.1) and found.loc[names[1], "precision"] == pytest.approx(1 / 3)
    assert (
        found.loc[names[1], "F1"] == pytest.approx(2 / 13) and found.loc[names[1], "most often taken for"] == f"{names[0]} (90%)"
    )
    assert f"{names[1]} (10% right)" in _performance.classes_said(facts)
    told = " ".join(s.said for s in _advice.steps(facts))
    assert f"{names[1]} is told right in only 10% of its 10 samples" in told
    assert f"Collect more samples of {names[1]} (10)" in told
    monkeypatch.setattr(Facts, "confusion", pd.DataFrame(np.diag([20, 30, 30]), index=names, columns=names))
    assert _performance.classes_said(facts).startswith("No class fails")


def test_classes_that_were_left_out_or_merged_are_said_to_be(facts, monkeypatch):
    shown = lambda: Page("".join(_data.data(facts))).said  # noqa: E731
    assert "in the fit" not in shown()
    names = list(facts.model.classes)
    monkeypatch.setattr(type(facts.model), "classes", names[:-1])
    assert "in the fit" in shown() and "left out" in shown()
    monkeypatch.setattr(type(facts.model), "classes", [*names[:-1], "rare (merged)"])
    assert "as rare (merged)" in shown() and "left out" not in shown()


def test_patterns_are_those_of_the_modalities_that_the_model_reads(facts):
    third = facts.mdata.mod["protein"][:20].copy()
    facts.mdata.mod["third"] = third
    facts.mdata.update()
    assert "Every sample has every modality." in Page("".join(_data.data(facts))).said


def test_suspects_and_calibration_follow_the_slots(facts):
    slot = facts.keys.suspect
    facts.mdata.obs[slot] = False
    assert _samples.suspects_said(facts) == "No label looks wrong."
    facts.mdata.obs[slot] = np.arange(facts.mdata.n_obs) < 3
    assert len(_samples.suspects(facts)) == 3 and _samples.suspects_said(facts).startswith("3 labels look wrong")
    off = change(facts, "heads", ece=0.3)
    assert "ranks" in _performance.calibration_said(off)
    assert "Do not read confidences" in " ".join(s.said for s in _advice.steps(off))
    assert "can be read as probabilities" in _performance.calibration_said(change(facts, "heads", ece=0.02))


def test_verdicts_become_the_answer(facts):
    rows = [
        {"modality": "rna", "verdict": "dominant", "certainty": 0.9, "leaning": "", "sentence": "rna: dominant."},
        {"modality": "protein", "verdict": "under-used", "certainty": 0.8, "leaning": "", "sentence": "protein: under-used."},
    ]
    told = put(facts, "verdicts", rows)
    assert _advice.wasted(told) == ["protein is under-used by this model.", "rna: dominant.", "protein: under-used."]
    assert "Train again with another strategy, and see whether protein" in _advice.steps(told)[0].said
    noise = put(facts, "verdicts", [rows[1] | {"verdict": "uninformative"}])
    assert _advice.wasted(noise)[0] == "No modality is found to be under-used by this model."
    assert "protein tells nothing of the label" in _advice.steps(noise)[0].said
    assert "only 80% sure" in _advice.steps(noise)[0].said and "more samples would tell" in _advice.steps(noise)[0].said
    sure = put(facts, "verdicts", [rows[1] | {"verdict": "uninformative", "certainty": 0.97}])
    assert _advice.steps(sure)[0].said.endswith("here: leave it out.")
    row = {"modality": "protein", "method": "split", "measure": "snr2", "partner": "", "class": "", "n": 90, "note": ""}
    put(sure, "snr", [row | {"value": 0.2, "low": 0.1, "high": 0.3}])
    assert "more noise than signal (signal to noise 0.20, 0.10 to 0.30): sequence deeper, or" in _advice.steps(sure)[0].said
    assert sum("sequence deeper" in s.said for s in _advice.steps(sure)) == 1


def test_what_joint_training_brings_has_the_right_sign(facts):
    row = {"measure": "information", "modality": "rna+protein", "n": 90, "rows": "out-of-fold", "note": ""}
    gains = [row | {"kind": "competition", "value": -0.3, "low": -0.4, "high": -0.2}]
    gains.append(row | {"kind": "fusion_value", "value": -0.1, "low": -0.2, "high": 0.1})
    assert _wasted.together(put(facts, "utilization", gains)) == [
        "All together tell more than the best modality alone: +0.30 (+0.20 to +0.40) nats.",
        "It cannot be told whether fusing tells more than combining what was learnt apart: −0.10 (−0.20 to +0.10) nats.",
    ]
    gains[0] |= {"value": 0.3, "low": 0.2, "high": 0.4}
    assert _wasted.together(put(facts, "utilization", gains))[0].startswith(
        "The best modality alone tells more than all together"
    )


def test_losses_by_damage_are_called_certain_only_beyond_their_interval(facts):
    row = {"modality": "rna", "pattern": "", "head": "pool", "measure": "macro_f1", "class": "", "n": 90, "rows": "out-of-fold"}
    row |= {"note": ""}
    steps = {1.0: (0.8, 0.7, 0.9), 0.5: (0.7, 0.6, 0.85), 0.1: (0.4, 0.3, 0.5)}
    thinned = [row | {"kind": "thinned", "level": q, "value": v, "low": a, "high": b} for q, (v, a, b) in steps.items()]
    removed = [row | {"kind": "removed", "level": 1 - q, "value": v, "low": a, "high": b} for q, (v, a, b) in steps.items()]
    told = put(facts, "robustness", [*thinned, *removed])
    assert _damage.depth(told) == ["rna: a loss is certain at 10% of its counts: 0.40 (0.30 to 0.50), from 0.80."]
    assert _damage.without(told) == ["If rna were missing: macro-F1 0.40 (0.30 to 0.50), down from 0.80."]
    flat = put(facts, "robustness", [r | {"value": 0.8, "low": 0.7, "high": 0.9} for r in [*thinned, *removed]])
    assert "no certain loss down to 10%" in _damage.depth(flat)[0] and "no clear change from 0.80" in _damage.without(flat)[0]


def test_features_are_listed_where_networks_agree(facts):
    row = {"class": "A", "modality": "rna", "rank": 1, "importance": 0.2, "low": 0.1, "high": 0.3, "sd": 0.1, "n": 40, "note": ""}
    row |= {"feature": "<CD3>", "stability": 1.0, "mean_class": 2.0, "mean_rest": 1.0}
    rows = [row, row | {"feature": "MS4A1", "rank": 2, "mean_class": 0.5}]
    rows += [row | {"feature": "loose", "stability": 0.2}, row | {"feature": "against", "importance": -0.5}]
    told = put(facts, "feature_importance", rows)
    assert _features.leading(told, "A", "rna") == ["<CD3>\N{NO-BREAK SPACE}↑", "MS4A1\N{NO-BREAK SPACE}↓"]
    agree = {"class": "A", "modality": "rna", "spearman": 0.1}
    assert "with care" in _features.agreement(put(told, "feature_stability", [agree]))[0]
    assert "with care" not in _features.agreement(put(told, "feature_stability", [agree | {"spearman": 0.9}]))[0]


@pytest.mark.parametrize(
    ("name", "error", "said"),
    [
        ("taken.html", FileExistsError, "overwrite=True"),
        ("page.pdf", ValueError, "ends in .html"),
        ("absent/page.html", FileNotFoundError, "folder that exists"),
    ],
)
def test_bad_paths_are_refused_before_anything_is_computed(made, tmp_path, monkeypatch, name, error, said):
    model, bare, _, _ = made
    monkeypatch.setattr(_make, "gather", lambda *_, **__: pytest.fail("computed"))
    (tmp_path / "taken.html").write_text("mine")
    with pytest.raises(error, match=said):
        ob.report(model, bare, tmp_path / name)
    assert (tmp_path / "taken.html").read_text() == "mine" and [p.name for p in tmp_path.iterdir()] == ["taken.html"]


def test_other_data_are_refused_before_anything_is_computed(made, tmp_path, monkeypatch):
    model, bare, _, _ = made
    monkeypatch.setattr(_make, "gather", lambda *_, **__: pytest.fail("computed"))
    never = draw(60)
    with pytest.raises(ValueError, match="the MuData that the model was fitted on"):
        ob.report(model, never, tmp_path / "a.html")
    with pytest.raises(ValueError, match="under the key 'omicsbal'"):
        ob.report(model, bare, tmp_path / "a.html", key_added="other")
    with pytest.raises(TypeError, match="a FittedModel"):
        ob.report(bare, model, tmp_path / "a.html")
    with pytest.raises(KeyError, match="group_key"):
        ob.report(model, bare, tmp_path / "a.html", group_key="absent")
    with pytest.raises(ValueError, match="device"):
        ob.report(model, bare, tmp_path / "a.html", device="tpu")
    with pytest.raises(ValueError, match="random_state"):
        ob.report(model, bare, tmp_path / "a.html", random_state=-1)
    assert not list(tmp_path.iterdir()) and "omicsbal" not in never.uns


def test_a_page_that_cannot_be_made_is_not_there(made, no_figures, tmp_path, monkeypatch):
    model, _, mdata, _ = made
    monkeypatch.setattr(_make, "findings", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        ob.report(model, mdata, tmp_path / "a.html", progress=False)
    assert not list(tmp_path.iterdir())


def test_numbers_have_a_page_too(tmp_path):
    mdata = draw(90)
    mdata.obs["age"] = np.random.default_rng(0).normal(50, 10, mdata.n_obs)
    model = fit(mdata, label="age")
    page = Page(ob.report(model, mdata, tmp_path / "a.html", progress=False).read_text())
    assert not page.wrong
    assert {s["id"] for s in page.all("section")} == {"findings", *(s.name for s in SECTIONS if not s.classes_only)}
    assert "Can age be predicted?" in page.said and "R²" in page.said
    assert "defined for classes, and this label is a number" in page.said and "Not examined: verdicts" in page.said
    assert len(sections_of(Facts(model, mdata, "omicsbal"))) < len(SECTIONS)


def test_from_a_shell(made, no_figures, tmp_path, monkeypatch, capsys):
    model, _, full, _ = made
    monkeypatch.chdir(tmp_path)
    model.save("model")
    mdata = full.copy()
    mdata.uns["omicsbal"] = {k: v for k, v in mdata.uns["omicsbal"].items() if k not in ("contribution", "snr")}
    mdata.write_h5mu("fitted.h5mu")
    command = ["report", "model", "fitted.h5mu", "page.html"]
    assert cli.main([*command, "--out", "diagnosed.h5mu", "--title", "Mine", "--quiet"]) == 0
    assert capsys.readouterr().out == ""
    page = Page(Path("page.html").read_text())
    assert not page.wrong and NASTY in page.said and "Mine" in page.said
    assert cli.main(command) == 2
    assert "--overwrite" in capsys.readouterr().err
    assert cli.main([*command, "--overwrite", "--no-compute"]) == 0
    assert "page.html" in capsys.readouterr().out
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        kept = mudata.read_h5mu("diagnosed.h5mu")
    assert {"contribution", "snr"} <= set(kept.uns["omicsbal"])
    again = ob.report("model", kept, "again.html", compute=False)  # tables survive the file
    assert "Who matters?" in Page(again.read_text()).said and "nats that all together tell" in Page(again.read_text()).said


def test_it_is_one_name_of_the_package(repository):
    assert ob.report is _report.report and "report" in dir(ob)
    assert "ob.report(" in (repository / "README.md").read_text()
