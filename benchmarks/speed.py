"""Time and memory as ratios within one run: the machines are shared, so seconds alone say little.

    python benchmarks/speed.py            writes benchmarks/results/speed.md

1. all members together against the same number of single fits one after the other (simulation, 600 cells);
2. the default fit against lr:concat's features and tuning (../shared/measure) on 4,000 cells of cite_pbmc10k, one thread each;
3. peak memory of that fit over that of loading the data;
4. import of omicsbal, and of omicsbal.tl, over import of torch alone;
5. making the optimiser, over making torch's own, which imports torch's compiler once a process.
"""

import os
import platform
import subprocess
import sys
import time
import warnings
from dataclasses import replace
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np

RESULTS = Path(__file__).resolve().parent / "results"
REPEATS = 3


def cpu(call) -> float:
    """Least CPU seconds of a few calls: the least disturbed one."""
    times = []
    for _ in range(REPEATS):
        start = time.process_time()
        call()
        times.append(time.process_time() - start)
    return min(times)


def members() -> tuple[float, float, int]:
    """CPU seconds of one fit with all members, and of as many single nets one after the other, same rows and steps."""
    import torch

    import omicsbal as ob
    from omicsbal.balance import fresh
    from omicsbal.loader import to_arrays
    from omicsbal.model import pick_device
    from omicsbal.nn.net import MultiOmicsNet
    from omicsbal.objectives.supervised import supervised_terms
    from omicsbal.objectives.tasks import Classification
    from omicsbal.train.members import Members
    from omicsbal.train.trainer import train

    rng = np.random.default_rng(0)
    n, config, net = 600, replace(ob.FitConfig(), max_epochs=10, evaluations=1), ob.NetConfig()
    y = rng.integers(0, 5, n)
    blocks = {m: rng.normal(size=(n, 50)).astype(np.float32) for m in ("rna", "atac", "protein")}
    data = to_arrays(blocks, {m: np.ones(n, dtype=bool) for m in blocks}, y=y, weight=np.ones(n), device=pick_device("cpu"))
    task, folds = Classification(n_out=5), rng.permutation(n) % 5

    def once(n_full: int, fold: np.ndarray) -> None:
        generator = torch.Generator().manual_seed(0)
        layout = Members(folds=fold, n_full=n_full)
        module = MultiOmicsNet(dict.fromkeys(blocks, 50), 5, members=layout.total, config=net, generator=generator)
        train(module, fresh("uniform"), data, layout, task=task, terms=supervised_terms(["fused", *blocks], task),
              judge=lambda _: (0.0, {}), config=config, generator=generator)  # fmt: skip

    total = Members(folds=folds, n_full=config.n_members).total
    together = cpu(lambda: once(config.n_members, folds))
    single = cpu(lambda: once(0, np.zeros(n, dtype=np.int64)))  # one member; its mask does not change the arithmetic
    return together, single * total, total


def fit_against_linear() -> tuple[float, float]:
    """CPU seconds of the default fit and of lr:concat, features included, on the first training fold of cite_pbmc10k."""
    from accuracy import protocol

    import omicsbal as ob

    P, B = protocol()
    mdata, label = P.load("cite_pbmc10k")
    y = mdata.obs[label].astype(str).to_numpy()
    train, test = P.folds(y)[0]
    learn = mdata[train].copy()

    def linear() -> None:
        features = P.features(mdata, train, test)
        B.tuned(np.hstack([a for a, _ in features.values()]), y[train])

    ours = cpu(lambda: ob.tl.fit(learn, label_key=label, progress=False))
    return ours, cpu(linear)


def peak(code: str) -> float:
    """Peak resident memory of a fresh interpreter, MiB; from /proc, because getrusage also remembers the parent's peak."""
    code += "\nprint(next(line for line in open('/proc/self/status') if line.startswith('VmHWM')).split()[1])"  # KiB
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True, check=True)
    return float(done.stdout.split()[-1]) / 1024


def memory() -> tuple[float, float]:
    """Peak MiB of loading cite_pbmc10k with all libraries imported, and of fitting it as well."""
    load = "import omicsbal as ob, torch, scanpy, omicsbal.tl\nm = ob.datasets.load('cite_pbmc10k')"
    return peak(load), peak(load + "\nob.tl.fit(m, label_key='cell_type', progress=False)")


def fresh(code: str, after: str = "pass") -> float:
    """CPU seconds of `code` in a fresh interpreter that has run `after`."""

    def seconds(lines: str) -> float:
        lines += "\nimport time; print(time.process_time())"
        runs = [
            subprocess.run([sys.executable, "-c", lines], capture_output=True, text=True, check=True).stdout
            for _ in range(REPEATS)
        ]
        return min(map(float, runs))

    return seconds(f"{after}\n{code}") - seconds(after)


def optimisers() -> tuple[float, float]:
    """CPU seconds of making ours and torch's, each the first of its process."""
    after = "import torch, omicsbal.train.adamw\ngroups = [{'params': [torch.nn.Parameter(torch.ones(1))], 'weight_decay': 1.0}]"
    return fresh("omicsbal.train.adamw.AdamW(groups, lr=0.1)", after), fresh("torch.optim.AdamW(groups, lr=0.1)", after)


def main() -> None:
    warnings.filterwarnings("ignore", category=FutureWarning)
    import torch

    torch.set_num_threads(1)
    together, apart, total = members()
    ours, linear = fit_against_linear()
    before, after = memory()
    base, light, verbs = (fresh(f"import {module}") for module in ("torch", "omicsbal", "omicsbal.tl"))
    ours_made, torch_made = optimisers()
    rows = [
        (f"{total} members in one pass, against as many single fits", "s", together, apart),
        ("default fit on 4,000 cells of cite_pbmc10k, against features and tuning of lr:concat", "s", ours, linear),
        ("peak memory of a fit on 5,000 cells, against that of loading data and libraries", "MiB", after, before),
        ("`import omicsbal`, against `import torch`", "s", light, base),
        ("`import omicsbal.tl`, against `import torch`", "s", verbs, base),
        ("optimiser of the first fit in a process, against `torch.optim.AdamW`", "s", ours_made, torch_made),
    ]
    about = (
        f"Made by `python benchmarks/speed.py`: one run, one thread, least of {REPEATS} CPU times; "
        f"Python {platform.python_version()}, torch {torch.__version__}."
    )
    table = ["| what | this | that | ratio |", "|---|---|---|---|"]
    table += [f"| {what} | {this:.2f} {unit} | {that:.2f} {unit} | {this / that:.2f} |" for what, unit, this, that in rows]
    lines = ["# Speed and memory", about, "\n".join(table)]
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "speed.md").write_text("\n\n".join(lines) + "\n")
    print("\n\n".join(lines))


if __name__ == "__main__":
    main()
