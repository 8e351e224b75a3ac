"""Why a rival's macro-F1 is higher, where it is: which classes, which heads, and what the diagnostics say of the modalities.

    python benchmarks/accuracy.py losses

Of each task that accuracy.md lists under "Where a rival's macro-F1 is higher": F1 of each class, fold by fold, of our pool, of
its heads and of the measure's linear rivals, made again on the same folds; and the verdicts of `ob.tl.utilization` on a fit to
all rows (out-of-fold). One JSON line a (task, fold) and a (task, modality) in benchmarks/results/losses.jsonl; lines that are
there are kept.
"""

import json
from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.metrics import f1_score

OURS = "omicsbal"
MOST = 4  # classes a table names


def by_class(y: np.ndarray, proba: np.ndarray, classes: np.ndarray) -> dict[str, float]:
    """F1 of each class."""
    return dict(zip(classes.tolist(), f1_score(y, classes[proba.argmax(1)], labels=classes, average=None).tolist(), strict=True))


def linear(P, B, mdata, y: np.ndarray, train: np.ndarray, test: np.ndarray) -> dict[str, np.ndarray]:
    """The measure's tuned logistic regressions and their pool: probabilities of the held-out rows."""
    parts = P.features(mdata, train, test, dense=len(y) <= 600)
    both = [np.hstack([part[side] for part in parts.values()]) for side in (0, 1)]
    blocks = {f"lr:{m}": part for m, part in parts.items()} | {"lr:concat": both}
    fitted = {name: (B.tuned(learn, y[train]), query) for name, (learn, query) in blocks.items()}
    said = {name: model.predict_proba(query) for name, ((model, _), query) in fitted.items()}
    return said | {"lr:pool": B.pool([oof for (_, oof), _ in fitted.values()], list(said.values()), y[train])}


def ours(mdata, label: str, train: np.ndarray, test: np.ndarray) -> dict[str, np.ndarray]:
    """Our pool and every head of it: probabilities of the held-out rows."""
    import omicsbal as ob

    learn, query = mdata[train].copy(), mdata[test].copy()
    model = ob.tl.fit(learn, label_key=label, progress=False, rare="error")
    for i, head in enumerate(model.predictor.head_names):
        ob.tl.predict(model, query, head=head, key_added=f"out{i}")
    said = {head: query.obsm[f"out{i}_proba_{label}"].to_numpy() for i, head in enumerate(model.predictor.head_names)}
    return {OURS if head == "pool" else f"our {head}": proba for head, proba in said.items()}


def verdicts(mdata, label: str) -> list[dict]:
    """What `ob.tl.utilization` says of each modality of a fit to all rows."""
    import omicsbal as ob

    whole = mdata.copy()
    model = ob.tl.fit(whole, label_key=label, progress=False, rare="error")
    ob.tl.utilization(model, whole, progress=False)
    return whole.uns["omicsbal"]["verdicts"][["modality", "verdict", "certainty", "sentence"]].to_dict("records")


def run(P, B, tasks: list[str], out: Path) -> None:
    """Tasks one after the other."""
    there = [json.loads(line) for line in out.read_text().splitlines()] if out.exists() else []

    def add(line: dict) -> None:
        with out.open("a") as file:
            file.write(json.dumps(line) + "\n")

    for task in tasks:
        mdata, label = P.load(task)
        y = mdata.obs[label].astype(str).to_numpy()
        classes = np.unique(y)
        for fold, (train, test) in enumerate(P.folds(y)):
            if any(r["data"] == task and r.get("fold") == fold for r in there):
                continue
            said = linear(P, B, mdata, y, train, test) | ours(mdata, label, train, test)
            f1 = {system: by_class(y[test], proba, classes) for system, proba in said.items()}
            add({"data": task, "fold": fold, "n": pd.Series(y[test]).value_counts().to_dict(), "f1": f1})
            print(task, fold, flush=True)
        if not any(r["data"] == task and "verdict" in r for r in there):
            for record in verdicts(mdata, label):
                add({"data": task, **record})


def section(path: Path, pairs: pd.DataFrame) -> list[str]:
    """For accuracy.md; nothing where `losses` was not run."""
    if not path.exists():
        return []
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    parts = [
        "### Which classes, and what the diagnostics say",
        f"Made by `python benchmarks/accuracy.py losses`: mean F1 of a class over the folds; the (at most {MOST}) classes that "
        "cost most against the best linear rival, ours and its heads (`our fused`: the network that sees all; `our lr:concat`: "
        "its linear expert on all). The verdicts are those of `ob.tl.utilization` on a fit to all rows, out-of-fold.",
    ]
    behind = pairs[(pairs["difference"] < 0) & pairs["rival"].isin(["lr:pool", "lr:concat"])].sort_values("difference")
    for task in dict.fromkeys(behind["data"]):
        rival = behind[behind["data"] == task]["rival"].iloc[0]
        folds = [r for r in lines if r["data"] == task and "f1" in r]
        if folds:
            parts += _task(task, rival, folds, [r for r in lines if r["data"] == task and "verdict" in r])
    return parts


def _task(task: str, rival: str, folds: list[dict], said: list[dict]) -> list[str]:
    """Heading, table and verdicts of one task."""
    f1 = {system: pd.DataFrame([r["f1"][system] for r in folds]).mean() for system in folds[0]["f1"]}
    n = pd.DataFrame([r["n"] for r in folds]).sum()
    gap = (f1[OURS] - f1[rival]).sort_values()
    shown = [system for system in f1 if system in (OURS, rival) or system.startswith("our ")]
    cells = ["| class | held-out rows | " + " | ".join(shown) + " |", "|---" * (len(shown) + 2) + "|"]
    worst = gap[gap < 0].index[:MOST]
    cells += [f"| {name} | {int(n[name])} | " + " | ".join(f"{f1[s][name]:.3f}" for s in shown) + " |" for name in worst]
    ahead = int((gap > 0).sum())
    head = f"**{task}**, against {rival}: {gap.mean():+.4f} over {len(gap)} classes, {ahead} of them ahead, {len(folds)} folds."
    verdict = [f"- {r['sentence']}" for r in said]
    return [head, "\n".join(cells), "\n".join(verdict)] if verdict else [head, "\n".join(cells)]
