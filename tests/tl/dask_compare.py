"""Run by test_compare_workers.py in a process of its own: a comparison on two Dask workers, one of which is killed on the way.

``python dask_compare.py FOLDER`` prints one JSON object: the rows of the table, the lines of the file, how often a worker began a
slow piece, the pids that did, and the pid that was killed.
"""

import json
import os
import signal
import sys
import threading
import time
import warnings
from pathlib import Path
from typing import Any, Self

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin


class Slow(ClassifierMixin, BaseEstimator):
    """Says when a worker begins, then takes its time; guesses by the shares of the classes."""

    def __init__(self, folder: str = "", seconds: float = 1.0) -> None:
        self.folder, self.seconds = folder, seconds

    def fit(self, X: Any, y: Any) -> Self:
        Path(self.folder, f"{os.getpid()}-{time.time_ns()}").touch()
        time.sleep(self.seconds)
        self.classes_, count = np.unique(y, return_counts=True)
        self.shares_ = count / len(y)
        return self

    def predict_proba(self, X: Any) -> np.ndarray:
        return np.tile(self.shares_, (len(X), 1))


def kill_one(begun: Path, killed: list[int]) -> None:
    """Kill the first worker that is at work while others have finished something."""
    while len(list(begun.iterdir())) < 3:
        time.sleep(0.02)
    last = max(begun.iterdir(), key=lambda path: int(path.name.split("-")[1]))
    killed.append(int(last.name.split("-")[0]))
    os.kill(killed[0], signal.SIGKILL)


def main(folder: Path) -> None:
    import joblib
    from dask.distributed import Client, LocalCluster

    import omicsbal as ob

    begun = folder / "begun"
    begun.mkdir()
    mdata = ob.datasets.simulate(n_obs=90, n_truth=100, n_classes=2, modalities=["rna", "protein"], random_state=0)
    systems = ["lr:concat", {"slow": Slow(str(begun))}]
    options: dict[str, Any] = {"label_key": "cell_type", "systems": systems, "folds": 6, "progress": False}
    killed: list[int] = []
    with (
        LocalCluster(n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None) as cluster,
        Client(cluster),
        joblib.parallel_config("dask"),
    ):
        threading.Thread(target=kill_one, args=(begun, killed), daemon=True).start()
        table = ob.tl.compare(mdata, checkpoint=folder / "lines.jsonl", **options)
    here = ob.tl.compare(mdata, **options | {"systems": ["lr:concat"]})
    pids = [int(path.name.split("-")[0]) for path in begun.iterdir()]
    told = {"rows": table[["fold", "system", "error"]].to_numpy().tolist(), "begun": len(pids), "pids": pids, "killed": killed}
    told["lines"] = (folder / "lines.jsonl").read_text().splitlines()
    told["own_pid"] = os.getpid()
    told["same"] = bool(np.array_equal(table.query("system == 'lr:concat'")["log_loss"], here["log_loss"]))
    print(json.dumps(told))  # noqa: T201 (a script)


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    main(Path(sys.argv[1]))
