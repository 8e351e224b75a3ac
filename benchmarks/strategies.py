"""All balancing strategies against one another: on simulations with a dominant modality, and on the project's tasks.

    python benchmarks/strategies.py simulation [--variants ...]   what the fused head and each encoder learn, three levels
    python benchmarks/strategies.py tasks [--folds 5] [...]       the 12 tasks of ../shared/measure, paired folds
    python benchmarks/strategies.py report

One JSON line per piece in benchmarks/results/strategies_<action>.jsonl; pieces that are there are skipped. Every strategy takes
the same number of optimiser steps, on the same rows, folds, recipes, initial weights and minibatches; teachers are trained once
and shared. Compared is the network's own fused head, without linear experts.
"""

import argparse
import sys
import time
import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from accuracy import RESULTS, protocol
from main_method import Case, Log, case_of, references_of, scores_of, tasks_of
from sklearn.linear_model import LogisticRegression, LogisticRegressionCV
from sklearn.metrics import accuracy_score

import omicsbal as ob
from omicsbal._types import FUSED
from omicsbal.balance import STRATEGIES, Strategy
from omicsbal.balance._coalitions import coalitions, shapley
from omicsbal.train.fitting import fit_predictor
from omicsbal.train.forward import all_members
from omicsbal.train.predictor import Predictor

# Fold members alone: their mean predicts new rows, each having seen four fifths of the rest. Cheaper than all-row members beside
# them, and the same for all. The best epoch of most fits comes in the first half of 300 steps (main_method.py), so 200 serve
# where there are many fits to make.
CONFIG = ob.FitConfig(max_steps=300, evaluations=10, n_members=0)
SHORTER = replace(CONFIG, max_steps=200)
VARIANTS = {name: (name, {}) for name in STRATEGIES} | {
    "g2d, no SMP": ("g2d", {"smp": "none"}),
    "g2d, partial SMP": ("g2d", {"smp": "partial"}),
    "g2d, ranked on train": ("g2d", {"rank_on": "train"}),
    "g2d, ranked by gap": ("g2d", {"rank_on": "gap"}),
    "g2d, longer SMP": ("g2d", {"share": 0.375}),  # three quarters of the epochs in two phases; the code has half in one
    "joint + longer SMP": ("g2d", {"feature": 0.0, "logit": 0.0, "fusion": "net", "share": 0.375}),
    "late + longer SMP": ("g2d", {"feature": 0.0, "logit": 0.0, "share": 0.375}),
    "joint + SMP": ("g2d", {"feature": 0.0, "logit": 0.0, "fusion": "net"}),
    "late + SMP": ("g2d", {"feature": 0.0, "logit": 0.0}),
    "uniform + SMP": ("g2d", {"feature": 0.0, "logit": 0.0, "unimodal_weight": 1.0, "fusion": "net"}),
    "umt + SMP": ("g2d", {"logit": 0.0, "fusion": "net"}),
    "umt as g2d": ("g2d", {"logit": 0.0, "fusion": "net", "smp": "none"}),
}
ON_TASKS = list(STRATEGIES)  # the variants are taken apart on the simulations
LEVELS = {"mild": 0.30, "medium": 0.15, "strong": 0.05}  # chance that RNA's state is random; of ATAC and protein 0.35
WORLD = {
    "preset": "redundant",
    "strength": {"rna": 1.5, "atac": 0.8, "protein": 0.8},
    "n_features": {"rna": 100, "atac": 200, "protein": 24},
    "n_classes": 6,
    "n_truth": 200,
}
N_TRAIN, N_TEST = 600, 1000


def variant(name: str) -> Strategy:
    """A fresh strategy."""
    strategy, settings = VARIANTS[name]
    return STRATEGIES[strategy](**settings)


def steps_for(strategy: Strategy, modalities: list[str], config: ob.FitConfig) -> ob.FitConfig:
    """The same number of optimiser steps for all: who takes several a batch sees fewer batches."""
    several = len(strategy.passes(None, strategy.heads(modalities)))  # type: ignore[arg-type]
    return replace(config, max_steps=config.max_steps // several)


def wants_references(name: str) -> bool:
    return variant(name).references


def fitted(case: Case, name: str, references, config: ob.FitConfig = CONFIG) -> Predictor:
    """A predictor of the network's heads alone."""
    strategy = variant(name)
    fit = fit_predictor(
        case.data, case.folds, case.outcome, strategy, net=ob.NetConfig(), config=steps_for(strategy, list(case.data.x), config),
        random_state=0, experts=False, references=references if strategy.references else None,
    )  # fmt: skip
    return fit.predictor


def head_scores(case: Case, predictor: Predictor) -> list[dict]:
    """Scores of every network head on the query rows."""
    return [{"head": h, **scores_of(case, predictor.predict(case.query, head=h))} for h in predictor.trained]


def tasks(P, args) -> None:
    """Every strategy on every task."""
    log = Log("tasks", "data", "fold", "variant", script="strategies")
    for task, fold, mdata, label, train, test in tasks_of(P, args.tasks or P.NAMES, args.part):
        left = [v for v in args.variants or ON_TASKS if not log.has(data=task, fold=fold, variant=v)]
        if fold >= args.folds or not left:
            continue
        case = case_of(mdata, label, train, test)
        references = references_of(case, ob.NetConfig(), SHORTER) if any(map(wants_references, left)) else None
        for name in left:
            start = time.process_time()
            rows = head_scores(case, fitted(case, name, references, SHORTER))
            log.add([{"data": task, "fold": fold, "variant": name, **r, "seconds": time.process_time() - start} for r in rows])
        print(task, fold, flush=True)


def world(level: str, seed: int) -> Case:
    """Training and test rows of one simulated world."""
    error = {"rna": LEVELS[level], "atac": 0.35, "protein": 0.35}
    mdata = ob.datasets.simulate(n_obs=N_TRAIN + N_TEST, error=error, random_state=seed, **WORLD)
    rows = np.random.default_rng(seed).permutation(N_TRAIN + N_TEST)
    return case_of(mdata, "cell_type", rows[:N_TRAIN], rows[N_TRAIN:])


def ceilings(case: Case) -> dict[str, float]:
    """Accuracy of tuned logistic regression on each modality's own features."""
    x, y, found = case.data.x, case.data.y.numpy(), {}
    for m, v in x.items():
        model = LogisticRegressionCV(Cs=np.logspace(-4, 1, 6), cv=3, max_iter=200).fit(v.numpy(), y)
        found[m] = accuracy_score(case.truth, model.predict(case.query.x[m].numpy()))
    return found


def probes(case: Case, predictor: Predictor) -> dict[str, float]:
    """Accuracy on test rows of a linear probe on each encoder, fitted on training rows; mean over the first three members."""
    net, strategy = predictor.net, predictor.strategy
    train, test = (next(iter(all_members(net, strategy, rows))) for rows in (case.data, case.query))
    found = {}
    for m in net.modalities:
        scores = []
        for k in range(3):
            z, new = train.z[m][k].numpy(), test.z[m][k].numpy()
            scale = z.std(0) + 1e-6
            probe = LogisticRegression(max_iter=300).fit(z / scale, case.data.y.numpy())
            scores.append(accuracy_score(case.truth, probe.predict(new / scale)))
        found[m] = float(np.mean(scores))
    return found


def worth(case: Case, predictor: Predictor) -> dict[str, float]:
    """Shapley value of each modality for the accuracy of the fused head on test rows; absent ones hidden from the fusion."""
    names, size = list(case.data.x), len(case.truth)
    chance = float(np.mean(case.truth == np.bincount(case.data.y.numpy()).argmax()))
    values = {}
    for subset in coalitions(names):
        if not subset:
            values[subset] = chance
            continue
        outputs = next(iter(all_members(predictor.net, predictor.strategy, case.query, only=subset)))
        told = outputs.fused.softmax(-1).mean(0).argmax(-1).numpy()
        values[subset] = float((told == case.truth).sum() / size)
    return {m: float(v) for m, v in shapley(values, names).items()}  # type: ignore[arg-type]


def simulation(args) -> None:
    """What each strategy does to the fused head and to the encoders, where one modality dominates."""
    log = Log("simulation", "level", "seed", "variant", script="strategies")
    for seed in range(args.part[0], args.seeds, args.part[1]):
        for level in LEVELS:
            left = [v for v in args.variants or VARIANTS if not log.has(level=level, seed=seed, variant=v)]
            if not left:
                continue
            case = world(level, seed)
            references = references_of(case, ob.NetConfig(), CONFIG) if any(map(wants_references, left)) else None
            best = ceilings(case)
            for name in left:
                predictor = fitted(case, name, references)
                scores = {r["head"]: r["f1"] for r in head_scores(case, predictor)}
                probe, phi = probes(case, predictor), worth(case, predictor) if FUSED in scores else {}
                log.add([
                    {"level": level, "seed": seed, "variant": name, "fused": scores.get(FUSED, np.nan)}
                    | {f"probe:{m}": v for m, v in probe.items()}
                    | {f"retention:{m}": v / best[m] for m, v in probe.items()}
                    | {f"shapley:{m}": v for m, v in phi.items()}
                    | {f"ceiling:{m}": v for m, v in best.items()}
                ])  # fmt: skip
            print(level, seed, flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("action", choices=["simulation", "tasks", "report"])
    parser.add_argument("--tasks", nargs="*", default=[])
    parser.add_argument("--variants", nargs="*", default=[])
    parser.add_argument("--folds", type=int, default=5, help="of each task")
    parser.add_argument("--seeds", type=int, default=5, help="simulated worlds")
    parser.add_argument("--part", type=int, nargs=2, default=[0, 1], help="i n: every n-th fold or seed from the i-th on")
    args = parser.parse_args()
    torch.set_num_threads(1)
    warnings.filterwarnings("ignore")
    if args.action == "report":
        from strategies_report import report

        report(RESULTS)
        return
    actions = {
        "simulation": lambda: simulation(args),
        "tasks": lambda: tasks(protocol()[0], args),
    }
    actions[args.action]()


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parent))
    main()
