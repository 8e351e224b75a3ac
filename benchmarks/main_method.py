"""The main method against its own parts, under the project's protocol (../shared/measure).

    python benchmarks/main_method.py ablation [--tasks ...] [--variants ...]   each part of the method on and off
    python benchmarks/main_method.py gates [--tasks ...]                       does the gate foresee what KD brings?
    python benchmarks/main_method.py noise                                     one channel degraded step by step
    python benchmarks/main_method.py rows                                      a tenth to all of the training rows
    python benchmarks/main_method.py tasks                                     three variants on all other tasks
    python benchmarks/main_method.py report

One JSON line per piece in benchmarks/results/main_method_<action>.jsonl; pieces that are there are skipped, so a run may be
killed and started again. All variants share folds, recipes, references, seed and number of optimiser steps.
"""

import argparse
import json
import subprocess
import sys
import time
import warnings
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from accuracy import RESULTS, protocol

import omicsbal as ob
from omicsbal._types import Arrays
from omicsbal.balance import Distill, Joint, Mutual, Strategy, Unimodal
from omicsbal.balance._gate import gate_records
from omicsbal.loader import to_arrays
from omicsbal.pp.sources import Options
from omicsbal.tl._blocks import read_blocks
from omicsbal.tl._design import make_design
from omicsbal.train.fitting import fit_predictor
from omicsbal.train.outcome import Outcome
from omicsbal.train.stages import Stages

CONFIG = ob.FitConfig(max_steps=300, evaluations=15, n_members=2)  # less than the default: eighteen variants a fold are many
ABLATION = ["tcga_brca_cnv_rna_rppa", "rosmap_mogonet", "teaseq_pbmc_rna_adt", "cite_bmmc_starter", "multiome_bmmc_starter"]
SWEEP = "tcga_brca_cnv_rna_rppa"


class Reversed(Distill):
    """KD the wrong way round: the weakest modality teaches each stronger one."""

    def setup(self, state) -> None:
        scores = state.references.scores
        weakest = min(scores, key=scores.get)
        self.teachers = {m: weakest for m in scores if m != weakest}
        super().setup(state)


class Shuffled(Distill):
    """Teachers whose rows were exchanged at random: what softened targets do by themselves."""

    def setup(self, state) -> None:
        super().setup(state)
        order = torch.from_numpy(np.random.default_rng(0).permutation(len(state.data)))
        self.targets = {t: v[:, order] for t, v in self.targets.items()}


class Static(Mutual):
    """Equal weights, and KD of the kind that is handed in."""

    def __init__(self, gate: str = "never", teaching: type[Distill] = Distill, kd: str = "throughout") -> None:
        super().__init__(weighting="static", gate=gate, kd=kd)
        self.teaching = teaching(gate=gate)


GRAPH = {"encoder": "graph"}
VARIANTS = {  # strategy and settings of the net
    "unimodal": (lambda: Unimodal(), {}),
    "concatenation": (lambda: Joint(), {}),
    "concatenation + graph": (lambda: Joint(), GRAPH),
    "uniform": (lambda: ob.balance.Uniform(), {}),
    "uniform, twice the steps": (lambda: ob.balance.Uniform(), {}),  # what the stages of the others take
    "static": (lambda: Static(), {}),
    "static + KD ungated": (lambda: Static("always"), {}),
    "static + KD gated": (lambda: Static("mi"), {}),
    "static + KD reversed": (lambda: Static("always", Reversed), {}),
    "static + KD shuffled": (lambda: Static("always", Shuffled), {}),
    "static + KD first": (lambda: Static("always", kd="first"), {}),
    "KD alone": (lambda: Distill(gate="always"), {}),
    "F1 only": (lambda: Mutual(weighting="f1_only"), {}),
    "MI only": (lambda: Mutual(weighting="mi_only"), {}),
    "MI sign flipped": (lambda: Mutual(mi_sign=-1), {}),
    "full": (lambda: Mutual(), {}),
    "full, KD first": (lambda: Mutual(kd="first"), {}),
    "full + graph": (lambda: Mutual(), GRAPH),
}


def variant(name: str) -> tuple[Strategy, ob.NetConfig]:
    """A fresh strategy and its net."""
    make, settings = VARIANTS[name]
    return make(), ob.NetConfig(**settings)


@dataclass(frozen=True)
class Case:
    """Training rows with their folds, and the rows that are only predicted."""

    data: Arrays
    folds: np.ndarray
    outcome: Outcome
    query: Arrays
    truth: np.ndarray  # codes of the query rows


def case_of(mdata, label: str, train: np.ndarray, test: np.ndarray, recipe: dict | None = None) -> Case:
    """Recipes and design learnt from the training rows alone, as ob.tl.fit does; `recipe` by the name of the one replaced."""
    learn, query = mdata[train].copy(), mdata[test].copy()
    names = list(learn.mod)
    design = make_design(
        learn,
        label_key=label,
        modalities=names,
        task="classification",
        group_key=None,
        n_folds=None,
        rare="error",
        random_state=0,
    )
    where = torch.device("cpu")
    sources, data = read_blocks(learn, Options(None, None, None, names), design, where)
    if recipe:
        other = {m: recipe[s.recipe.name] for m, s in sources.items() if s.recipe.name in recipe}
        sources, data = read_blocks(learn, Options(other, None, None, names), design, where)
    blocks = {m: s.block(query) for m, s in sources.items()}
    n = query.n_obs
    rows = to_arrays(
        {m: b[0] for m, b in blocks.items()}, {m: b[1] for m, b in blocks.items()}, y=np.zeros(n, dtype=np.int64),
        weight=np.ones(n), device=torch.device("cpu"),
    )  # fmt: skip
    return Case(data, design.folds, design.outcome, rows, design.outcome.encode(query.obs[label]))


def references_of(case: Case, net: ob.NetConfig, config: ob.FitConfig = CONFIG):
    """Stage 0, shared by all variants with this net."""
    return Stages(case.data, case.folds, case.outcome, net, config, 0).make_references()


def scores_of(case: Case, prediction: np.ndarray) -> dict[str, float]:
    """Macro-F1 over the classes there are, and log-loss in nats."""
    found = case.outcome.scores(case.truth, prediction)
    return {"f1": found["macro_f1"], "nll": found["log_loss"]}


def commit() -> str:
    """The commit whose code makes these lines; run from a clean checkout."""
    found = subprocess.run(["git", "rev-parse", "--short", "HEAD"], cwd=RESULTS, capture_output=True, text=True, check=True)
    return found.stdout.strip()


class Log:
    """Lines of one action; a piece is known by its first fields."""

    def __init__(self, action: str, *key: str, script: str = "main_method") -> None:
        self.path, self.key = RESULTS / f"{script}_{action}.jsonl", key
        lines = self.path.read_text().splitlines() if self.path.exists() else []
        self.there = {tuple(r[k] for k in key) for r in map(json.loads, lines)}
        self.commit = {"commit": commit()}

    def has(self, **piece) -> bool:
        return tuple(piece[k] for k in self.key) in self.there

    def add(self, rows: list[dict]) -> None:
        with self.path.open("a") as file:
            file.writelines(
                json.dumps({k: round(v, 6) if isinstance(v, float) else v for k, v in (r | self.commit).items()}) + "\n"
                for r in rows
            )


def fit_and_score(
    case: Case, strategy: Strategy, net: ob.NetConfig, references, config: ob.FitConfig = CONFIG
) -> tuple[list[dict], dict]:
    """Scores of every network head on the query rows, and the gate's table."""
    fit = fit_predictor(
        case.data, case.folds, case.outcome, strategy, net=net, config=config, random_state=0, experts=False,
        references=references if strategy.references else None,
    )  # fmt: skip
    heads = [*fit.predictor.trained, "pool"]
    return [{"head": h, **scores_of(case, fit.predictor.predict(case.query, head=h))} for h in heads], fit.tables


def tasks_of(P, names: list[str], part: tuple[int, int]):
    """(task, fold, MuData, label, train, test); `part` = (i, n) takes every n-th fold from the i-th on."""
    for task in names:
        mdata, label = P.load(task)
        for fold, (train, test) in enumerate(P.folds(mdata.obs[label].astype(str).to_numpy())):
            if fold % part[1] == part[0]:
                yield task, fold, mdata, label, train, test


def ablation(P, args, action: str, tasks: list[str], names: list[str]) -> None:
    """Variants on identical folds."""
    log, wanted = Log(action, "data", "fold", "variant"), args.variants or names
    for task, fold, mdata, label, train, test in tasks_of(P, args.tasks or tasks, args.part):
        left = [v for v in wanted if not log.has(data=task, fold=fold, variant=v)]
        if not left:
            continue
        case, shared = case_of(mdata, label, train, test), {}
        for name in left:
            strategy, net = variant(name)
            if strategy.references and str(net) not in shared:
                shared[str(net)] = references_of(case, net)
            start = time.process_time()
            config = replace(CONFIG, max_steps=2 * CONFIG.max_steps) if "twice" in name else CONFIG
            rows, tables = fit_and_score(case, strategy, net, shared.get(str(net)), config)
            seconds = time.process_time() - start
            taught = {r["student"]: r["teacher"] for r in tables.get("kd_gate", []) if r["chosen"] and r["weight"]}
            log.add([{"data": task, "fold": fold, "variant": name, **r, "seconds": seconds, "taught": taught} for r in rows])
        print(task, fold, flush=True)


def gates(P, args) -> None:
    """Every ordered pair: the gap on training rows, and what KD brought to the student on rows nobody had seen."""
    log = Log("gates", "data", "fold")
    for task, fold, mdata, label, train, test in tasks_of(P, args.tasks or P.NAMES, args.part):
        if fold >= args.folds or log.has(data=task, fold=fold):
            continue
        case, net = case_of(mdata, label, train, test), ob.NetConfig()
        references = references_of(case, net)
        records = gate_records(references, case.data, metric="macro_f1", margin=0.0, space="logit", weight=0.3)
        names = list(case.data.x)
        turns = [{m: names[(i + r) % len(names)] for i, m in enumerate(names)} for r in range(1, len(names))]
        plain = {r["head"]: r for r in fit_and_score(case, Unimodal(), net, None)[0]}
        rows = []
        for teachers in turns:
            found = {r["head"]: r for r in fit_and_score(case, Distill(teachers=teachers), net, references)[0]}
            for student, teacher in teachers.items():
                record = next(r for r in records if (r["student"], r["teacher"]) == (student, teacher))
                kept = {k: record[k] for k in ("gap", "gap_low", "gap_high", "within", "extra", "shared", "relevant", "n")}
                rows.append(
                    {
                        "data": task,
                        "fold": fold,
                        "student": student,
                        "teacher": teacher,
                        **kept,
                        "oof_teacher": record["score_teacher"],
                        "oof_student": record["score_student"],
                        "before_f1": plain[student]["f1"],
                        "after_f1": found[student]["f1"],
                        "before_nll": plain[student]["nll"],
                        "after_nll": found[student]["nll"],
                    }
                )
        log.add(rows)
        print(task, fold, flush=True)


EVERYWHERE = ["concatenation", "uniform", "full"]
SWEPT = ["concatenation", "uniform", "static", "full"]


def sweep(P, args, action: str, levels: list[float], change) -> None:
    """Variants of `SWEPT` on one task, whose case is changed by each level; the unchanged case stands in the ablation."""
    log = Log(action, "level", "fold", "variant")
    for _, fold, mdata, label, train, test in tasks_of(P, [SWEEP], args.part):
        for level in levels:
            left = [v for v in SWEPT if not log.has(level=level, fold=fold, variant=v)]
            if not left:
                continue
            case = change(case_of, mdata, label, train, test, level, fold)
            references = None
            for name in left:
                strategy, net = variant(name)
                if strategy.references and references is None:
                    references = references_of(case, net)
                rows, _ = fit_and_score(case, strategy, net, references)
                log.add([{"level": level, "fold": fold, "variant": name, **r} for r in rows])
        print(action, fold, flush=True)


def noisy(make, mdata, label, train, test, level, fold) -> Case:
    """RNA, the strongest channel, as ``sqrt(1 - s) x + sqrt(s) noise`` of the same variance, in training and test rows."""
    case, rng = make(mdata, label, train, test), np.random.default_rng(fold)

    def mixed(data: Arrays) -> Arrays:
        x = data.x["rna"].numpy()
        noise = rng.normal(size=x.shape) * case.data.x["rna"].numpy().std(0)
        return replace(
            data, x={**data.x, "rna": torch.from_numpy((np.sqrt(1 - level) * x + np.sqrt(level) * noise).astype(np.float32))}
        )

    return replace(case, data=mixed(case.data), query=mixed(case.query))


def fewer(make, mdata, label, train, test, level, fold) -> Case:
    """A share of the training rows, stratified, so that every class keeps at least six."""
    y, rng = mdata.obs[label].astype(str).to_numpy(), np.random.default_rng(fold)
    kept = [rng.permutation(train[y[train] == c]) for c in np.unique(y[train])]
    chosen = np.sort(np.concatenate([rows[: max(6, round(level * len(rows)))] for rows in kept]))
    return make(mdata, label, chosen, test)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("action", choices=["ablation", "gates", "noise", "rows", "tasks", "report"])
    parser.add_argument("--tasks", nargs="*", default=[])
    parser.add_argument("--variants", nargs="*", default=[])
    parser.add_argument("--folds", type=int, default=5, help="of each task, for gates")
    parser.add_argument("--part", type=int, nargs=2, default=[0, 1], help="i n: every n-th fold from the i-th on")
    args = parser.parse_args()
    torch.set_num_threads(1)
    warnings.filterwarnings("ignore")
    if args.action == "report":
        from main_method_report import report

        report(RESULTS)
        return
    P, _ = protocol()
    actions = {
        "ablation": lambda: ablation(P, args, "ablation", ABLATION, list(VARIANTS)),
        "tasks": lambda: ablation(
            P, args, "tasks", [t for t in P.NAMES if t not in ABLATION], ["concatenation", "uniform", "full"]
        ),
        "gates": lambda: gates(P, args),
        "noise": lambda: sweep(P, args, "noise", [0.25, 0.5, 0.75, 1.0], noisy),
        "rows": lambda: sweep(P, args, "rows", [0.1, 0.3, 0.5], fewer),
    }
    actions[args.action]()


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parent))
    main()
