"""Behind the command line: the demonstration, figures as files, and the score of a prediction."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from omicsbal import _keys
from omicsbal._store import write_file
from omicsbal._types import FUSED
from omicsbal._validate import check_number
from omicsbal.files import write_h5mu

if TYPE_CHECKING:
    from mudata import MuData

    from omicsbal.model import FittedModel

PRESET = "dominant"  # RNA is strong, ATAC faint but with a part of the label that no other modality has
LABEL = "cell_type"
STRATEGIES = ("uniform", "joint")  # balanced (the default) and not
METRIC = (
    "accuracy"  # the score that the Bayes-optimal rule maximises, so that its value is a ceiling; macro-F1 has another optimum
)
NONE = "-"
MARK = "demo.h5mu"  # a folder that holds it is one that the demonstration may replace
FIGURES = ("history", "scores", "confusion", "calibration", "embedding", "pattern")  # names in ob.pl
CLASSES_ONLY = frozenset({"confusion"})


@dataclass(frozen=True)
class Demo:
    """What the demonstration made."""

    train: "MuData"  # with the results of the default strategy, out-of-fold
    query: "MuData"  # held out, with the predictions of the same model
    model: "FittedModel"
    heads: pd.DataFrame  # out-of-fold, a row a head
    subsets: pd.DataFrame  # held out, a row a subset of the modalities


def run(*, n_obs: int, random_state: int) -> Demo:
    """Simulate, hold a third out, fit with each strategy, score every head and the fused network on every subset."""
    from omicsbal import datasets, tl

    check_number("n_obs", n_obs, low=150, integer=True)
    mdata = datasets.simulate(preset=PRESET, n_obs=n_obs, random_state=random_state)
    order = np.random.default_rng(random_state).permutation(mdata.n_obs)
    held = np.isin(np.arange(mdata.n_obs), order[: n_obs // 3])
    train, query = mdata[~held].copy(), mdata[held].copy()
    models = {}
    for strategy in STRATEGIES:
        target = train if strategy == STRATEGIES[0] else train.copy()
        models[strategy] = tl.fit(target, label_key=LABEL, strategy=strategy, random_state=random_state, progress=False)
    heads, subsets = heads_table(models, train), subsets_table(models, query)
    tl.predict(models[STRATEGIES[0]], query)
    return Demo(train, query, models[STRATEGIES[0]], heads, subsets)


def ceilings(mdata: "MuData") -> dict[frozenset[str], float]:
    """Bayes-optimal score of each subset of modalities, from the simulation's truth."""
    table = mdata.uns["truth"]["subsets"]
    names = table["subset"].astype(str).str.split("+")
    return {frozenset(s): float(v) for s, v in zip(names, table[f"bayes_{METRIC}"], strict=True) if s != ["none"]}


def heads_table(models: "dict[str, FittedModel]", mdata: "MuData") -> pd.DataFrame:
    """Out-of-fold score of each head by strategy, and the ceiling of what the head may see."""
    best, rows = ceilings(mdata), []
    for head, facts in models[STRATEGIES[0]].heads.iterrows():
        seen = frozenset({facts["modality"]} if facts["modality"] else mdata.mod)
        scores = {s: m.heads[METRIC].get(head, np.nan) for s, m in models.items()}
        rows.append({"head": head, "kind": facts["kind"], **scores, "ceiling": best[seen]})
    return pd.DataFrame(rows)


def subsets_table(models: "dict[str, FittedModel]", query: "MuData") -> pd.DataFrame:
    """Held-out score of the fused network by strategy, the modalities given, with the paired difference and the ceiling."""
    from omicsbal import tl

    truth, rows = query.obs[LABEL].astype(str).to_numpy(), []
    for given, ceiling in sorted(ceilings(query).items(), key=lambda item: -len(item[0])):
        wanted = [m for m in query.mod if m in given]
        hits = {}
        for strategy, model in models.items():
            guess = tl.predict(model, query.copy(), head=FUSED, modalities=wanted)["prediction"]
            hits[strategy] = guess.astype(str).to_numpy() == truth
        gain = hits[STRATEGIES[0]].astype(float) - hits[STRATEGIES[1]]
        error = float(gain.std(ddof=1) / np.sqrt(len(gain)))
        means = {s: float(h.mean()) for s, h in hits.items()}
        rows.append({"given": " + ".join(wanted), **means, "gain": float(gain.mean()), "error": error, "ceiling": ceiling})
    return pd.DataFrame(rows)


def story(demo: Demo) -> str:
    """The tables and what they say, at most 90 columns wide."""
    first, second = STRATEGIES
    n_train, n_query = demo.train.n_obs, demo.query.n_obs
    noise = max(0.5 / np.sqrt(n) for n in (n_train, n_query))
    lines = [
        f"1. Each head, {METRIC}, out-of-fold on the {n_train} training cells",
        "",
        f"   {'head':<13}{'kind':<10}{first:>10}{second:>10}{'ceiling':>10}",
        *(
            _line(f"{r.head:<13}{r.kind:<10}", *(getattr(r, c) for c in (*STRATEGIES, "ceiling")))
            for r in demo.heads.itertuples()
        ),
        "",
        f"   {first}: the fused head and each modality's head have a loss (balanced, the default).",
        f"   {second}: the fused head alone has one; {NONE} marks heads it does not train.",
        "   ceiling: Bayes-optimal for what the head sees, known because the data are simulated.",
        f"   Sampling error is up to {noise:.3f}: a head near its ceiling may land above it.",
        "",
        f"2. The fused network, {METRIC} on the {n_query} cells held out, by the modalities it is given",
        "",
        f"   {'given':<23}{first:>10}{second:>10}{'ceiling':>10}   difference (2 s.e.)",
    ]
    for r in demo.subsets.itertuples():
        scores = _line(f"{r.given:<23}", *(getattr(r, c) for c in (*STRATEGIES, "ceiling")))
        lines.append(f"{scores}   {r.gain:+.3f} (± {2 * r.error:.3f})")
    return "\n".join([*lines, "", _verdict(demo)])


def _line(start: str, *values: float) -> str:
    """One row of a table."""
    return "   " + start + "".join(f"{NONE if np.isnan(v) else f'{v:.3f}':>10}" for v in values)


def _verdict(demo: Demo) -> str:
    """What the differences between the strategies allow to say; two standard errors decide."""
    first, second = STRATEGIES
    table = demo.subsets
    clear = table[table["gain"].abs() > 2 * table["error"]]
    said = ", ".join(f"{r.given} ({r.gain:+.3f})" for r in clear.itertuples())
    found = f"beyond two standard errors: {said}" if said else "none is beyond two standard errors"
    return f"   {first} minus {second}, {len(table)} comparisons, not corrected for their number:\n   {found}."


def save(demo: Demo, out: Path) -> dict[str, str]:
    """Write everything into a folder; returns what each entry is."""
    out.mkdir(exist_ok=True)
    draw(demo.train, out / "figures", key_added=_keys.KEY, classes=True)
    demo.model.save(out / "model", overwrite=True)
    write_h5mu(demo.query, out / "predicted.h5mu")
    for name in ("heads", "subsets"):
        write_file(out / f"{name}.csv", getattr(demo, name).to_csv(index=False).encode())
    write_h5mu(demo.train, out / MARK)
    return {
        MARK: "training cells with the results, out-of-fold",
        "predicted.h5mu": "held-out cells with their predictions",
        "model": "the model, for omicsbal predict",
        "figures": ", ".join(FIGURES) + " (PNG)",
        "heads.csv": "table 1",
        "subsets.csv": "table 2",
    }


def draw(mdata: "MuData", folder: Path, *, key_added: str, classes: bool) -> None:
    """Each figure as a PNG of its name."""
    import matplotlib

    matplotlib.use("Agg")  # no window on a cluster's node
    import matplotlib.pyplot as plt

    from omicsbal import pl

    folder.mkdir(exist_ok=True)
    taught = ["kd_gate"] if _keys.KD_GATE in mdata.uns.get(key_added, {}) else []
    for name in [*(f for f in FIGURES if classes or f not in CLASSES_ONLY), *taught]:
        options = {} if name == "pattern" else {"key_added": key_added}
        figure = getattr(pl, name)(mdata, return_fig=True, **options)
        figure.savefig(folder / f"{name}.png", dpi=150, bbox_inches="tight")
        plt.close(figure)


def scored(model: "FittedModel", mdata: "MuData", key_added: str) -> str:
    """Scores of the prediction, as one line, on cells of known label that were not trained on; empty where there is no label."""
    from omicsbal.pp import find_label

    try:
        labels = find_label(mdata, model.label_key)
    except (KeyError, ValueError):  # no such column, or modalities that disagree
        return ""
    keys, outcome = _keys.Keys(key_added, model.label_key), model.outcome
    if model.classes:
        labels = labels.astype(str).where(labels.astype(str).isin(model.classes))
        guess = np.log(np.maximum(np.asarray(mdata.obsm[keys.proba], dtype=float), 1e-12))
    else:
        labels = pd.to_numeric(labels, errors="coerce")
        guess = outcome.encode(mdata.obs[keys.prediction])[:, None].astype(float)
    used = list(mdata.uns[key_added][_keys.MODALITIES])
    seen = model.trained_on(mdata, modalities=used) if len(model.training_rows) else np.zeros(len(guess), bool)
    known = labels.notna().to_numpy() & ~np.isnan(guess[:, 0]) & ~seen
    scores = outcome.scores(outcome.encode(labels[known]), guess[known]) if known.any() else {}
    told = ", ".join(f"{name} {value:.3f}" for name, value in scores.items())
    new = " and were not trained on" if seen.any() else ""
    return f"{int(known.sum())} of them have a known {model.label_key!r}{new}" + (f": {told}" if told else "")
