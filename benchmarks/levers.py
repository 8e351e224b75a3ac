"""What the default owes to each of its parts: one change at a time, paired on the same folds (../shared/measure).

    python benchmarks/levers.py run [--folds 2] [--part i n] [--only ...]
    python benchmarks/levers.py simulated [--worlds ...] [--folds 2]      the same on simulated worlds; a fold is a seed
    python benchmarks/levers.py classes [--folds 5]      the default beside its linear experts alone, class by class
    python benchmarks/levers.py report

All pieces of a fold share its recipes, folds, experts and seed; what is scored is the pool that a user gets. One JSON line per
(task, fold, lever) in benchmarks/results/levers_run.jsonl, levers_simulated.jsonl, levers_classes.jsonl; lines that are there
are kept.
"""

import argparse
import time
import warnings
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import torch
from accuracy import RESULTS, protocol
from levers_variants import NETWORKS, RECIPES_TRIED, RIVALS, Lever, left_over, network, rival_raw, row_weights
from levers_worlds import worlds_of
from main_method import Case, Log, case_of, scores_of, tasks_of
from sklearn.metrics import f1_score

from omicsbal._types import FUSED
from omicsbal.train.classes import Classes
from omicsbal.train.experts import fit_experts
from omicsbal.train.fitting import fit_predictor
from omicsbal.train.forward import head_arrays, out_of_fold
from omicsbal.train.outcome import Outcome
from omicsbal.train.pooling import fit_pool, fit_temperatures

DEFAULT = "default"
Said = dict[str, tuple[np.ndarray, np.ndarray]]  # {head: raw out-of-fold (n, c), raw of the query (q, c)}


def with_power(outcome: Classes, power: float) -> Classes:
    """The outcome with another compromise between macro-F1 (1) and log-loss (0)."""
    kind = type("Classes", (Classes,), {"power": power})
    return kind(outcome.names, outcome.log_prior)


def experts_of(case: Case) -> Said:
    """Linear experts, cross-fitted."""
    blocks = {m: x.numpy() for m, x in case.data.x.items()}
    here = {m: p.numpy() for m, p in case.data.present.items()}
    experts, held_out = fit_experts(blocks, here, case.data.y.numpy(), case.folds, case.outcome)
    query = {m: x.numpy() for m, x in case.query.x.items()}
    return {h: (held_out[h], case.outcome.link(e.raw(query))) for h, e in experts.items()}


def networks_of(case: Case, lever: Lever, told: tuple[np.ndarray, np.ndarray]) -> Said:
    """The heads of nets that are trained as the lever says."""
    strategy, net, config = network(lever, told[0], len(case.data))
    y = case.data.y.numpy()
    data = replace(case.data, weight=torch.from_numpy(row_weights(y, len(case.outcome.names), lever.power)))

    def fitted() -> Said:
        fit = fit_predictor(
            data, case.folds, case.outcome, strategy, net=net, config=config, random_state=lever.seed, experts=False
        )
        p = fit.predictor
        raw = head_arrays(out_of_fold(p.net, p.strategy, data, p.members), list(p.trained))
        query = p.raw_heads(case.query, frozenset(case.query.x))
        return {h: (case.outcome.link(raw[h][0]), query[h]) for h in p.trained}

    if not lever.left_over:
        return fitted()
    with left_over(*told):
        return fitted()


def pooled(case: Case, said: Said, outcome: Outcome | None = None) -> tuple[np.ndarray, np.ndarray]:
    """The pool of these heads, of training rows (in sample) and of the query."""
    outcome, heads, y = outcome or case.outcome, list(said), case.data.y.numpy()
    pool = fit_pool(heads, {h: v[0] for h, v in said.items()}, y, np.ones(len(y), dtype=bool), outcome)

    def mixed(which: int) -> np.ndarray:
        soft = [outcome.soften(said[h][which], t) for h, t in zip(heads, pool.temperatures, strict=True)]
        return outcome.pool(np.stack(soft), pool.weights)

    return mixed(0), mixed(1)


def cold(case: Case, said: Said) -> np.ndarray:
    """The query by a pool of heads that are not calibrated first."""
    weights = case.outcome.pool_weights(case.data.y.numpy(), np.stack([v[0] for v in said.values()]))
    return case.outcome.pool(np.stack([v[1] for v in said.values()]), weights)


def equal(case: Case, said: Said) -> np.ndarray:
    """The query by the mean log-probability of the calibrated heads."""
    y = case.data.y.numpy()
    warm = fit_temperatures({h: v[0] for h, v in said.items()}, y, np.ones(len(y), dtype=bool), case.outcome)
    return case.outcome.link(np.mean([case.outcome.soften(v[1], warm[h]) for h, v in said.items()], 0))


POOLS = [
    "networks alone",
    "experts alone",
    "fused head and experts",
    "unimodal heads and experts",
    "no expert on all",
    "equal weights",
    "no temperatures",
    "pool for log-loss alone",
    "pool for balanced classes",
]


def pools_of(case: Case, nets: Said, experts: Said) -> dict[str, np.ndarray]:
    """Ways to combine the heads of the default, by the names of `POOLS`."""
    both = nets | experts
    single = {h: v for h, v in experts.items() if not h.endswith(":concat")}
    return {
        "no temperatures": cold(case, both),
        "networks alone": pooled(case, nets)[1],
        "experts alone": pooled(case, experts)[1],
        "fused head and experts": pooled(case, {FUSED: nets[FUSED]} | experts)[1],
        "unimodal heads and experts": pooled(case, {h: v for h, v in both.items() if h != FUSED})[1],
        "no expert on all": pooled(case, nets | single)[1],
        "equal weights": equal(case, both),
        "pool for log-loss alone": pooled(case, both, with_power(case.outcome, 0.0))[1],
        "pool for balanced classes": pooled(case, both, with_power(case.outcome, 1.0))[1],
    }


def rivals_of(case: Case, both: Said, make) -> Said:
    """The heads and one more expert, cross-fitted."""
    scale = {m: float(np.sqrt((x.numpy() ** 2).sum(1).mean())) for m, x in case.data.x.items()}
    x, q = (np.hstack([d.x[m].numpy() / s for m, s in scale.items()]) for d in (case.data, case.query))
    y, c = case.data.y.numpy(), len(case.outcome.names)
    held_out = np.empty((len(y), c))
    for k in np.unique(case.folds):
        here = case.folds == k
        held_out[here] = rival_raw(make, x[~here], y[~here], x[here], c)
    return both | {"rival": (held_out, rival_raw(make, x, y, q, c))}


def real(args) -> Iterator[tuple]:
    """Folds of the tasks."""
    P, _ = protocol()
    return (piece for piece in tasks_of(P, args.tasks or P.NAMES, args.part) if piece[1] < args.folds)


def run(args) -> None:
    log = Log(args.action, "data", "fold", "lever", script="levers")
    pieces = real(args) if args.action == "run" else worlds_of(args.worlds, args.folds)
    for task, fold, mdata, label, train, test in pieces:
        piece = {"data": task, "fold": fold}
        left = [v for v in (*NETWORKS, *RECIPES_TRIED, *RIVALS, *POOLS) if not log.has(**piece, lever=v)]
        left = [v for v in left if v in (args.only or left)]
        if not left and log.has(**piece, lever=DEFAULT):
            continue
        case = case_of(mdata, label, train, test)

        def add(name: str, said: np.ndarray, start: float, piece=piece, case=case) -> None:
            log.add([{**piece, "lever": name, **scores_of(case, said), "seconds": time.process_time() - start}])

        experts = experts_of(case)
        told, start = pooled(case, experts, with_power(case.outcome, 1.0)), time.process_time()
        nets = networks_of(case, Lever(), told)
        if not log.has(**piece, lever=DEFAULT):
            add(DEFAULT, pooled(case, nets | experts)[1], start)
        for name in left:
            start = time.process_time()
            if name in NETWORKS:
                add(name, pooled(case, networks_of(case, NETWORKS[name], told) | experts)[1], start)
            elif name in RIVALS:
                add(name, pooled(case, rivals_of(case, nets | experts, RIVALS[name]))[1], start)
            elif name in RECIPES_TRIED:
                other = case_of(mdata, label, train, test, recipe=RECIPES_TRIED[name])
                if any(other.data.x[m].shape != x.shape or not torch.equal(other.data.x[m], x) for m, x in case.data.x.items()):
                    said = networks_of(other, Lever(), told) | experts_of(other)
                    add(name, pooled(other, said)[1], start)
            else:
                add(name, pools_of(case, nets, experts)[name], start)
        print(task, fold, flush=True)


def classes(args) -> None:
    """F1 and log-loss of each class, of the default and of the pool of its experts alone."""
    log, confidences = (Log(action, "data", "fold", script="levers") for action in ("classes", "confidence"))
    for task, fold, mdata, label, train, test in real(args):
        if log.has(data=task, fold=fold):
            continue
        case = case_of(mdata, label, train, test)
        experts = experts_of(case)
        said = {"experts": pooled(case, experts)[1]}
        said["default"] = pooled(case, networks_of(case, Lever(), said["experts"]) | experts)[1]
        rows = []
        for k, name in enumerate(case.outcome.names):
            here = case.truth == k
            row = {"data": task, "fold": fold, "class": name, "n": int(here.sum())}
            for system, values in said.items():
                row[f"f1_{system}"] = float(f1_score(here, values.argmax(1) == k, zero_division=0))
                row[f"nll_{system}"] = float(-np.maximum(values[here, k], np.log(1e-6)).mean()) if here.any() else np.nan
            rows.append(row)
        log.add(rows)
        sure = np.exp(said["default"].max(1)).round(4).tolist()
        hits = (said["default"].argmax(1) == case.truth).astype(int).tolist()
        confidences.add([{"data": task, "fold": fold, "confidence": sure, "hit": hits}])
        print(task, fold, flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("action", choices=["run", "simulated", "classes", "report"])
    parser.add_argument("--tasks", nargs="*", default=[])
    parser.add_argument("--worlds", nargs="*", default=[])
    parser.add_argument("--only", nargs="*", default=[])
    parser.add_argument("--folds", type=int, default=2)
    parser.add_argument("--part", type=int, nargs=2, default=[0, 1], help="i n: every n-th fold from the i-th on")
    args = parser.parse_args()
    torch.set_num_threads(1)
    warnings.filterwarnings("ignore")
    if args.action == "report":
        from levers_report import report

        report(RESULTS)
        return
    (classes if args.action == "classes" else run)(args)


if __name__ == "__main__":
    main()
