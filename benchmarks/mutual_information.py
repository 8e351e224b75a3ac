"""Estimators of mutual information on worlds where it is known: what `ob.mi` recommends beside what it does not.

    OMP_NUM_THREADS=1 python benchmarks/mutual_information.py run [--parts A B C D N] [--groups ...] [--most 20] [--out FILE]
    python benchmarks/mutual_information.py report

`run` appends one JSON line per (part, world, n, d, truth, seed, estimator) and skips groups of estimators that are there, so it
may be killed and started again. `report` writes the tables and the figure in benchmarks/results/. Which estimators meet which
draws is `PLAN`: all of them see the same rows, and what is slow sees fewer draws.
"""

import argparse
import json
import time
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from mutual_information_worlds import World, worlds

RESULTS = Path(__file__).resolve().parent / "results"
SIZES = {"A": (200, 500, 1000, 5000), "B": (200, 1000, 5000), "C": (300, 1000, 5000), "D": (150, 500, 2000), "N": (200, 1000)}
SEEDS = {"A": 2, "B": 3, "C": 1, "D": 2, "N": 20}
Found = dict[str, dict[str, float | str]]  # estimator -> value; se, null band (low, high), method, cpu seconds where it has them


def plug_in(a: np.ndarray, b: np.ndarray) -> float:
    """1/2 [ln det S_a + ln det S_b - ln det S], no correction."""
    joined = np.cov(np.hstack([a, b]), rowvar=False)
    sides = (joined[: a.shape[1], : a.shape[1]], joined[a.shape[1] :, a.shape[1] :], joined)
    own, other, both = (np.linalg.slogdet(np.atleast_2d(s))[1] for s in sides)
    return float((own + other - both) / 2)


def timed(estimator: Callable[..., float | tuple[float, float]], *rows: np.ndarray) -> dict[str, float | str]:
    """Value, se where there is one, and CPU seconds."""
    start = time.process_time()
    found = estimator(*rows)
    cpu = time.process_time() - start
    value, *se = found if isinstance(found, tuple) else (found,)
    return {"value": value} | ({"se": se[0]} if se else {}) | {"cpu": cpu}


def closed(a: np.ndarray, b: np.ndarray, y: np.ndarray | None) -> Found:
    from omicsbal.mi.gaussian import copula_mi, gaussian_mi

    forms = {"Gaussian": gaussian_mi, "copula": copula_mi, "Gaussian plug-in": plug_in}
    return {name: timed(form, a, b) for name, form in forms.items()}


def nearest(a: np.ndarray, b: np.ndarray, y: np.ndarray | None) -> Found:
    from omicsbal.mi.knn import ksg

    return {"KSG": timed(ksg, a, b)}


def neural(a: np.ndarray, b: np.ndarray, y: np.ndarray | None) -> Found:
    from omicsbal.mi.neural import infonce, mine

    return {"InfoNCE": timed(infonce, a, b), "MINE": timed(mine, a, b)}


def named(information, name: str, forms: dict[str, str]) -> Found:
    """What an `Information` says: its value under `name`, and those of its forms that are to be shown."""
    low, high = information.null
    found: Found = {shown: {"value": information.forms[form]} for form, shown in forms.items() if form in information.forms}
    known = {"value": information.value, "se": information.se, "low": low, "high": high, "method": information.method}
    return found | {name: known}


def whole(a: np.ndarray, b: np.ndarray, y: np.ndarray | None) -> Found:
    from omicsbal.mi import between

    return named(between(a, b, labels=y), "between", {"ksg_canonical": "KSG canonical", "label_decomposed": "label-decomposed"})


def probed(z: np.ndarray, b: None, y: np.ndarray) -> Found:
    from omicsbal.mi.labels import with_labels

    shown = {"usable": "usable", "ross_pc4": "Ross, 4 PCs", "ross_lda3": "Ross, 3 LDA axes"}
    return named(with_labels(z, y), "with_labels", shown)


def neighbours(z: np.ndarray, b: None, y: np.ndarray) -> Found:
    from omicsbal.mi.knn import ross

    return {"Ross, all axes": timed(ross, z, y)}


GROUPS: dict[str, Callable[..., Found]] = {
    "closed": closed,
    "nearest": nearest,
    "between": whole,
    "neural": neural,
    "with_labels": probed,
    "neighbours": neighbours,
}


@dataclass(frozen=True)
class Case:
    """One draw of a world."""

    world: World
    n: int
    seed: int

    @property
    def key(self) -> tuple[str, str, int, int, float, int]:
        w = self.world
        return w.part, w.name, self.n, w.d, round(w.truth, 4), self.seed

    def rows(self) -> tuple[np.ndarray, np.ndarray | None, np.ndarray | None]:
        """The same for every estimator, whatever ran before."""
        part, name, n, d, truth, seed = self.key
        return self.world.draw(n, np.random.default_rng([seed, n, d, zlib.crc32(f"{part} {name} {truth}".encode())]))


def sides(case: Case) -> bool:
    """Worlds of two representations."""
    return case.world.part in "ABC" or (case.world.part == "N" and "classes" not in case.world.name)


def near(case: Case) -> bool:
    """Neighbours in many axes cost 4 to 9 s a draw at n = 5000: there one seed, and of part A only the dense worlds."""
    w = case.world
    return sides(case) and (case.n < 5000 or w.d < 16 or (case.seed == 0 and (w.name == "dense" or (w.part, w.d) == ("C", 16))))


def two_sides(case: Case) -> bool:
    """With labels `between` costs 10 to 30 s a draw: at n = 5000 two worlds of d = 16 alone, and two seeds of the null."""
    w = case.world
    if w.part == "C":
        return case.n < 5000 or (w.d == 16 and w.truth > 1)
    return sides(case) and (w.name != "label says nothing" or case.seed < 2)


def one_side(case: Case) -> bool:
    """2 to 4 s a draw: one seed at n = 2000, ten of shuffled labels."""
    return not sides(case) and case.seed < (1 if case.n == 2000 else 10)


def neural_slice(case: Case) -> bool:
    """d = 16, I in (0, .5, 2), one seed."""
    w = case.world
    return w.part == "A" and (w.d, w.name) == (16, "dense") and w.truth in (0.0, 0.5, 2.0) and case.n != 500 and case.seed == 0


PLAN: dict[str, Callable[[Case], bool]] = {
    "closed": sides,
    "nearest": near,
    "between": two_sides,
    "neural": neural_slice,
    "with_labels": one_side,
    "neighbours": one_side,
}


def line(fields: dict) -> str:
    """JSON, numbers to four decimals."""
    return json.dumps({k: round(v, 4) if isinstance(v, float) else v for k, v in fields.items()}) + "\n"


def run(parts: list[str], groups: list[str], most: int, out: Path) -> None:
    import torch

    torch.set_num_threads(1)
    out.parent.mkdir(parents=True, exist_ok=True)
    lines = map(json.loads, out.read_text().splitlines() if out.exists() else [])
    there = {(*(r[k] for k in ("part", "world", "n", "d", "truth", "seed")), r["group"]) for r in lines}
    for world in worlds():
        if world.part not in parts:
            continue
        for case in (Case(world, n, seed) for n in SIZES[world.part] for seed in range(min(most, SEEDS[world.part]))):
            for group in groups:
                if (*case.key, group) in there or not PLAN[group](case):
                    continue
                rows, start = case.rows(), time.process_time()
                found, spent = GROUPS[group](*rows), time.process_time() - start
                keys = dict(zip(("part", "world", "n", "d", "truth", "seed"), case.key, strict=True))
                with out.open("a") as file:  # all lines of a group in one write: a killed run leaves none or all
                    file.write("".join(line(keys | {"group": group, "estimator": e, "cpu": spent} | f) for e, f in found.items()))
        print(world.part, world.name, world.d, round(world.truth, 2), "done", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("action", choices=["run", "report"])
    parser.add_argument("--parts", nargs="*", default=list(SIZES))
    parser.add_argument("--groups", nargs="*", default=list(GROUPS))
    parser.add_argument("--most", type=int, default=max(SEEDS.values()), help="seeds a world, at most")
    parser.add_argument("--out", type=Path, default=RESULTS / "mutual_information.jsonl")
    args = parser.parse_args()
    if args.action == "report":
        from mutual_information_report import report

        report(args.out)
    else:
        run(args.parts, args.groups, args.most, args.out)


if __name__ == "__main__":
    main()
