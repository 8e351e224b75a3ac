"""A fitted MuData made by hand: the slots that ob.tl.fit writes, without a fit."""

from itertools import pairwise

import matplotlib
import numpy as np
import pandas as pd
import pytest
from anndata import AnnData
from mudata import MuData

from omicsbal._keys import Keys

matplotlib.use("Agg")


@pytest.fixture(autouse=True)
def _close_figures():
    from matplotlib import pyplot as plt

    yield
    plt.close("all")


def _modalities(rng, n, names, missing):
    mods = {}
    for j, name in enumerate(names):
        rows = np.flatnonzero(rng.random(n) >= (missing if j else 0))
        obs = pd.DataFrame(index=[f"cell{i}" for i in rows])
        mods[name] = AnnData(
            rng.poisson(2, (len(rows), 4)).astype("float32"), obs=obs, var=pd.DataFrame(index=[f"{name}{f}" for f in range(4)])
        )
    return mods


def _history(rng, names, score, sep, epochs=40):
    t = np.arange(1, epochs + 1)
    table = pd.DataFrame({"epoch": t})
    for j, head in enumerate(["fused", *names]):
        table[f"loss{sep}{head}"] = (1 + 0.2 * j) * np.exp(-t / (8 + 4 * j)) + 0.1 + rng.normal(0, 0.01, epochs)
        table[f"oof_{score}{sep}{head}"] = (0.85 - 0.07 * j) * (1 - np.exp(-t / (6 + 3 * j)))
        table[f"oof_log_loss{sep}{head}"] = 0.4 + 0.1 * j + np.exp(-t / 7)
    table[f"loss{sep}kd:{names[-1]}"] = 0.3 * np.exp(-t / 9)
    for j, name in enumerate(names):
        table[f"signal{sep}weight:{name}"] = 1 + (j - 0.5) * 0.5 * np.tanh(t / 15)
    table["chosen"] = (t == 31).astype(int)
    return table


def _heads(rng, n, names, score):
    pairs = [("pool", "pool", ""), ("fused", "network", ""), *[(m, "network", m) for m in names], ("product", "network", "")]
    pairs += [(f"lr:{m}", "expert", m) for m in names] + [("lr:concat", "expert", "")]
    heads = pd.DataFrame(pairs, columns=["head", "kind", "modality"])
    value = np.clip(0.85 - 0.03 * np.arange(len(heads)) + rng.normal(0, 0.02, len(heads)), 0, 1)
    heads["n"] = n - 17 * heads["modality"].isin(names[1:])
    for column in {score, "accuracy", "balanced_accuracy"}:
        heads[column] = value
    heads["log_loss"], heads["ece"], heads["temperature"] = 1.2 - value, 0.03, 1.1
    weight = rng.dirichlet(np.full(len(heads) - 1, 0.5))
    heads["weight"] = [np.nan, *np.where(weight > 0.03, weight, 0)]
    for column in (score, "log_loss"):
        heads[f"{column}_low"], heads[f"{column}_high"] = heads[column] - 0.04, heads[column] + 0.04
    parts = [
        heads[["head"]].assign(fold=k, **{c: heads[c] + rng.normal(0, 0.02, len(heads)) for c in (score, "log_loss")})
        for k in range(5)
    ]
    return heads, pd.concat(parts, ignore_index=True)


def _calibration(rng, heads, n):
    rows = []
    for head in heads["head"]:
        confidence = np.linspace(0.35, 0.99, 10)
        accuracy = np.clip(confidence + rng.normal(0, 0.04, 10), 0, 1)
        rows.append(pd.DataFrame({"head": head, "bin": range(10), "confidence": confidence, "accuracy": accuracy, "n": n // 10}))
    return pd.concat(rows, ignore_index=True)


def make_gate(names, *, gains=True, score="macro_f1", n=283):
    """The table of ob.tl.kd_gate: modalities from strong to weak, weaker teachers have smaller gaps, gains go with gaps."""
    own = {m: 0.86 - 0.07 * j for j, m in enumerate(names)}
    rows = []
    for student in names:
        for teacher in names:
            if teacher == student:
                continue
            gap = 0.3 - 0.2 * names.index(teacher) - 0.03 * names.index(student)
            low, high = gap - 0.1, gap + 0.1
            decision = "weaker" if own[teacher] < own[student] else "pass" if low > 0 else "fail" if high < 0 else "uncertain"
            gain = 0.1 * gap if gains and decision != "weaker" else np.nan
            own_scores = {"score_teacher": own[teacher], "score_student": own[student]}
            row = {"teacher": teacher, "student": student, "metric": score, **own_scores, "space": "logit", "n": n}
            row |= {"gap": gap, "gap_low": low, "gap_high": high, "gap_se": 0.06, "within": 0.1, "extra": 0.1 - gap}
            row |= {"shared": 0.5, "relevant": 0.5 - gap, "decision": decision, "chosen": 0, "weight": 0.0}
            rows.append(row | {"gain": gain, "gain_low": gain - 0.02, "gain_high": gain + 0.02})
    table = pd.DataFrame(rows)
    for student in names[1:]:
        able = table[(table["student"] == student) & table["decision"].isin(["pass", "uncertain"])]
        best = able["gap"].idxmax()
        table.loc[best, ["chosen", "weight"]] = [1, 0.3 if table.loc[best, "decision"] == "pass" else 0.1]
    return table.astype({"chosen": int})


def make_snr(names, classes, *, n=300):
    """The table that ob.tl.modality_snr writes; no halves in the second modality, no first form at all in a third of classes."""
    rows = []

    def add(modality, method, value, measure="snr2", partner="", cls="", wide=0.1, note=""):
        low, high = value - wide * (1 + abs(value)), value + wide * (1 + abs(value))
        row = {"modality": modality, "method": method, "measure": measure, "partner": partner, "class": cls, "value": value}
        rows.append(row | {"low": low, "high": high, "p": 0.005, "n": n, "note": note, "recipe": "dense()"})

    for j, m in enumerate(names):
        add(m, "split", np.nan if j == 1 else 3.0 / (1 + j))
        add(m, "label", 0.4 / (1 + j))
        for k, c in enumerate(classes):
            add(m, "label", np.nan if (j + k) % 7 == 6 else 0.3 / (1 + j) - 0.01 * k, cls=c)
        for i, other in enumerate(names):
            if other != m:
                for measure in ("nats", "snr2"):
                    add(m, "cross", 0.6 / (1 + i + j), measure=measure, partner=other)
    return pd.DataFrame(rows)


def make_information(names, *, n=283):
    """The tables of ob.tl.information: each modality tells less than the one before, and pairs have all four parts."""
    common = {"rows": "out-of-fold", "method": "made", "note": ""}

    def row(kind, one, two, value, *, rows=n, bound=0):
        return {"kind": kind, "source_1": one, "source_2": two, "value": value, "low": 0.8 * value, "high": 1.2 * value} | {
            "n": rows, "lower_bound": bound, **common
        }  # fmt: skip

    told = [row("entropy", "", "", 1.6)] + [row("label", m, "", 0.8 / (j + 1), bound=1) for j, m in enumerate(names)]
    told += [row("label", "+".join(names), "", 1.2, bound=1)]
    pairs = [(a, b) for i, a in enumerate(names) for b in names[i + 1 :]]
    told += [row("between", a, b, 0.4 / (j + 1), rows=n - 17) for j, (a, b) in enumerate(pairs)]
    if len(names) > 2:
        pairs += [(m, "+".join(o for o in names if o != m)) for m in names]
    parts = {"redundant": 0.3, "unique_1": 0.4, "unique_2": 0.2, "synergistic": 0.1, "total": 1.0}
    pid = [
        row(kind, a, b, value / (1 + 0.1 * j), rows=n - 17, bound=int(kind == "synergistic"))
        for j, (a, b) in enumerate(pairs)
        for kind, value in parts.items()
    ]
    return {"information": pd.DataFrame(told), "pid": pd.DataFrame(pid)}


def make_contribution(names, classes, *, n=283):
    """The tables of ob.tl.contribution: each modality contributes less than the one before, the last class is rare."""
    whole, rows = "+".join(names), []

    def add(kind, measure, modality, value, *, cls="", size=n, q=np.nan):
        ends = {"low": value - 0.1 * abs(value) - 0.01, "high": value + 0.1 * abs(value) + 0.01}
        row = {"kind": kind, "measure": measure, "modality": modality, "class": cls, "value": value, **ends, "n": size}
        rows.append(row | {"p": q / 2, "q": q, "rows": "out-of-fold", "note": ""})

    for measure, unit in (("information", 1.0), ("macro_f1", 0.6)):
        shares = [unit * 0.5 / (j + 1) for j in range(len(names))]
        add("total", measure, whole, sum(shares))
        for kind, part in (("shapley", 1.0), ("solo", 1.3), ("need", 0.7)):
            for m, share in zip(names, shares, strict=True):
                add(kind, measure, m, part * share)
        add("imbalance", measure, "", 0.4)
    for k, cls in enumerate(classes):
        for j, m in enumerate(names):
            size = 12 if k == len(classes) - 1 else 90
            add("shapley", "information", m, 0.3, cls=cls, size=size)
            add("need", "information", m, 0.4 * (-1) ** (j + k) / (1 + k), cls=cls, size=size, q=0.01 if k == j else 0.4)
    pairs = [(m, a, b) for m in names for a, b in pairwise(classes)]
    confused = [
        {"modality": m, "class": a, "taken_for": b, "value": 0.3 / (1 + i), "low": 0.2 / (1 + i), "high": 0.4 / (1 + i)}
        | {"without": 0.3 / (1 + i) + 0.02, "with": 0.02, "n": 90, "rows": "out-of-fold", "note": ""}
        for i, (m, a, b) in enumerate(pairs[:10])
    ]
    return {"contribution": pd.DataFrame(rows), "confusions": pd.DataFrame(confused)}


def make_robustness(names, classes, *, score="macro_f1", n=299):
    """The table of ob.tl.robustness: each modality is missed less than the one before, the second has no counts."""
    rows, regression = [], score == "r2"

    def add(kind, measure, value, *, wide=0.03, **more):
        row = {"kind": kind, "modality": "", "level": np.nan, "pattern": "", "head": "pool", "measure": measure, "class": ""}
        row |= {"value": value, "low": value - wide, "high": value + wide, "n": n, "rows": "out-of-fold", "note": ""}
        rows.append(row | more)

    levels = {
        "removed": [0, 0.1, 0.25, 0.5, 0.75, 1],
        "thinned": [1, 0.5, 0.25, 0.1, 0.05, 0.02],
        "noised": [0, 0.25, 0.5, 1, 2, 4],
    }
    for kind, steps in levels.items():
        for head in ("pool", "fused"):
            for j, m in enumerate(names):
                where = {"modality": m, "head": head}
                if kind == "thinned" and j == 1:
                    add(kind, score, np.nan, note="No raw counts.", **where)
                    continue
                for i, level in enumerate(steps):
                    add(kind, score, 0.9 - 0.08 * i / (1 + j) - 0.05 * (head == "fused"), level=level, **where)
                    add(kind, "rmse" if regression else "log_loss", 0.4 + 0.1 * i, level=level, **where)
                    for c in [] if regression or kind != "removed" or i % 5 else classes:
                        add(kind, "recall", 0.8, level=level, **where | {"class": c})
                add(kind, "area", 1 - 0.2 / (1 + j), **where)
    for i in range(1, 2 ** min(len(names), 4)):
        pattern = [m for j, m in enumerate(names) if i >> j & 1]
        for head in ("pool", "fused"):
            where = {"pattern": "+".join(pattern), "head": head, "n": n - 17 * (names[-1] in pattern)}
            add("pattern", score, 0.5 + 0.1 * len(pattern) - 0.001 * i, **where)
            if not regression:
                add("pattern", "ece", 0.01 * i, **where)
    add("floor", score, 0.0 if regression else 1 / len(classes), head="prior")
    return pd.DataFrame(rows)


def make_importance(names, classes, *, n=90):
    """The table of ob.tl.feature_importance: six of ten features a class, the first its own, every third one lower in it."""
    rows = []
    for k, cls in enumerate(classes):
        for j, m in enumerate(names):
            for rank in range(1, 7):
                value = (0.4 if rank == 2 else -0.4 if rank == 4 else 0.5) / (rank + j)
                row = {"class": cls, "modality": m, "feature": f"{m}_feature{(k + rank) % 10}", "rank": rank, "importance": value}
                row |= {"low": value - 0.05, "high": value + 0.05, "sd": 0.03, "stability": 1 - (rank - 1) / 6, "n": n - 10 * j}
                rows.append(row | {"mean_class": float(rank % 3 != 0), "mean_rest": 0.5, "note": ""})
    return pd.DataFrame(rows)


def make_utilization(names, *, n=283):
    """The tables of ob.tl.utilization: the first modality is dominant, the last is under-used, what lies between is fair."""
    rows, verdicts = [], []

    def add(kind, modality, value, *, measure="information", wide=0.04):
        row = {"kind": kind, "measure": measure, "modality": modality, "value": value, "low": value - wide, "high": value + wide}
        rows.append(row | {"n": n, "rows": "out-of-fold", "note": ""})

    for j, m in enumerate(names):
        ceiling, last = 0.9 / (j + 1), j == len(names) - 1 and j > 0
        for kind, part in (("ceiling", 1.0), ("learned", 0.4 if last else 0.97), ("solo", 0.2 if last else 0.95)):
            add(kind, m, part * ceiling)
        add("speed", m, 6.0 + 5 * j, measure="epoch", wide=np.nan)
        verdict = "under-used" if last else "dominant" if j == 0 and len(names) > 1 else "fair"
        said = {"certainty": 0.997 - 0.05 * j, "leaning": "", "sentence": f"{m}: {verdict}."}
        verdicts.append({"modality": m, "verdict": verdict, **said})
    add("total", "+".join(names), 1.05)
    return {"utilization": pd.DataFrame(rows), "verdicts": pd.DataFrame(verdicts)}


def make_comparison(names, *, folds=10):
    """The summary of ob.tl.compare: surely better than the first rivals, surely worse than the last, unsure of those between."""
    rows = []
    rivals = [*(f"lr:{m}" for m in names), "lr:concat", "lr:pool"]
    for metric in ("macro_f1", "accuracy", "log_loss"):
        facts = {"metric": metric, "n": folds, "against": "omicsbal", "note": ""}
        gains = np.linspace(0.1, -0.06, len(rivals))
        part = [facts | {"system": "omicsbal", "mean": 0.8, "rank": 2.0}]
        for gain, rival in zip(gains, rivals, strict=True):
            told = {
                "gain": gain,
                "gain_low": gain - 0.03,
                "gain_high": gain + 0.03,
                "p": 0.001,
                "p_holm": 0.01 if abs(gain) > 0.05 else 0.4,
            }
            part.append(facts | told | {"system": rival, "mean": 0.8 - gain, "rank": 2.2 + 10 * gain})
        part.append(part[1] | {"system": "lr:best-uni", "rank": np.nan})
        rows += [row | {"low": row["mean"] - 0.05, "high": row["mean"] + 0.05} for row in part]
    return pd.DataFrame(rows)


def make_tune(*, regression=False, folds=3):
    """The tables of ob.tl.tune: less dropout is better, every fifth trial was stopped."""
    rng, trials, scores = np.random.default_rng(0), [], []
    for search in [*map(str, range(folds)), "all"]:
        for k in range(16):
            default, stopped = k == 0, k % 5 == 4
            row = {"search": search, "trial": k, "width": 64.0 if default else float(rng.integers(16, 256))}
            row |= {
                "dropout": 0.5 if default else 0.8 * rng.random(),
                "learning_rate": 3e-3 * (1 if default else 4 ** rng.normal()),
            }
            row |= {"components": 1.0 if default else float(rng.choice([0.5, 1, 2]))}
            row |= {"loss": np.nan if stopped else 0.4 + 0.1 * row["dropout"] + 0.02 * rng.random()}
            row |= {"state": "stopped" if stopped else "done", "evaluations": 25, "seconds": 2.0}
            trials.append(row | {"best": False, "default": default})
    trials = pd.DataFrame(trials)
    trials.loc[trials.groupby("search")["loss"].idxmin(), "best"] = True
    for measure in ("rmse", "r2") if regression else ("log_loss", "macro_f1"):
        for k in range(folds):
            row = {"measure": measure, "fold": str(k), "tuned": 0.41 + 0.01 * k, "default": 0.43 + 0.008 * k, "gain": 0.02}
            scores.append(row | {"n_train": 190, "n_test": 93, "note": ""})
        row = {"measure": measure, "fold": "mean", "tuned": 0.42, "default": 0.438, "gain": 0.018, "low": -0.004, "high": 0.04}
        scores.append(row | {"p": 0.07, "n_train": 190, "n_test": 283, "note": "Tuned: no gain can be told, keep the default."})
    return {"tune": trials, "tune_scores": pd.DataFrame(scores)}


def make_fitted(
    *, n=300, classes=("T cell", "B cell", "NK"), names=("rna", "atac"), missing=0.1, regression=False, seed=0, sep="/"
):
    """A MuData as after ob.tl.fit; row 0 is not labelled, a few rows of the other modalities are absent."""
    rng = np.random.default_rng(seed)
    names, keys, label = list(names), Keys("omicsbal", "y"), "y"
    score = "r2" if regression else "macro_f1"
    mdata = MuData(_modalities(rng, n, names, missing))
    heads, fold_scores = _heads(rng, n - 1, names, score)
    uns = {
        "label_key": label,
        "task": "regression" if regression else "classification",
        "metric": score,
        "modalities": np.array(names),
    }
    uns |= {
        "folds": np.r_[-1, rng.integers(0, 5, n - 1)],
        "history": _history(rng, names, score, sep),
        "heads": heads,
        "fold_scores": fold_scores,
    }
    if len(names) > 1:
        uns["kd_gate"] = make_gate(names, score=score, n=n - 17)
        uns |= {} if regression else make_information(names, n=n - 1)
    uns |= {} if regression else make_contribution(names, list(classes), n=n - 17)
    uns |= {} if regression else {"feature_importance": make_importance(names, list(classes))}
    uns |= {} if regression else make_utilization(names, n=n - 17)
    uns["snr"] = make_snr(names, [] if regression else classes)
    uns["robustness"] = make_robustness(names, classes, score=score, n=n - 1)
    uns["classes"] = np.array([] if regression else list(classes), dtype=object)
    truth = rng.normal(size=n) if regression else rng.permutation(np.arange(n) % len(classes))
    if regression:
        mdata.obs[label] = truth
        mdata.obs[keys.prediction] = truth + rng.normal(0, 0.5, n)
        low = mdata.obs[keys.prediction] - 0.82
        mdata.obsm[keys.interval] = pd.DataFrame({"low": low, "high": low + 1.64}, index=mdata.obs_names)
    else:
        guess = np.where(rng.random(n) < 0.8, truth, rng.integers(0, len(classes), n))
        mdata.obs[label] = pd.Categorical.from_codes(np.r_[-1, truth[1:]], list(classes))
        mdata.obs[keys.prediction] = pd.Categorical.from_codes(guess, list(classes))
        mdata.obs[keys.confidence] = rng.random(n)
        for j, m in enumerate(["", *names]):  # as after ob.tl.cell_difficulty
            here = np.ones(n, bool) if not m else np.ravel(mdata.obsmap[m]).astype(int) > 0
            told = np.where(here, rng.binomial(8, np.where(truth == j, 0.2, 0.8)) / 8, np.nan)
            mdata.obs[f"{keys.success}_{m}" if m else keys.success] = np.where(uns["folds"] >= 0, told, np.nan)
        mdata.obs[keys.suspect] = rng.random(n) < 0.05
        uns["calibration"] = _calibration(rng, heads, n)
    centre = rng.normal(0, 2.5, (n if regression else len(classes), 8))
    latent = (centre[truth] if not regression else truth[:, None]) + rng.normal(0, 1, (n, 8))
    latent[1] = np.nan
    mdata.obsm[keys.embedding] = latent.astype("float32")
    for m in names:
        mdata[m].obsm[keys.embedding] = latent[np.ravel(mdata.obsmap[m]).astype(int) > 0].astype("float32")
    mdata.uns["omicsbal"], mdata.uns["omicsbal_tune"] = uns, make_tune(regression=regression)
    if not regression:
        mdata.uns["omicsbal_compare"] = {"compare_summary": make_comparison(names)}
    return mdata


@pytest.fixture
def fitted():
    """The maker, so that a test says which classes and modalities it needs."""
    return make_fitted


@pytest.fixture
def gate():
    """The maker of the gate's table."""
    return make_gate


@pytest.fixture
def snr():
    """The maker of the table of signal-to-noise ratios."""
    return make_snr
