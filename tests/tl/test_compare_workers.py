"""Comparisons in several processes, some of which are killed."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import joblib
import numpy as np
import pytest
from sklearn.dummy import DummyClassifier

import omicsbal as ob
from omicsbal._validate import OmicsbalWarning
from omicsbal.tl._backend import TRIES, run_pieces

HERE = Path(__file__).parent


def pieces_of(path):
    """(repeat, fold, system) of the whole lines of a file, without the first."""
    lines = path.read_bytes().split(b"\n")[1:-1] if path.exists() else []
    return [(line["repeat"], line["fold"], line["system"]) for line in map(json.loads, lines)]


@pytest.mark.slow
def test_killed_in_the_middle_and_called_again(tmp_path):
    path, script = tmp_path / "lines.jsonl", [sys.executable, HERE / "killed_compare.py", tmp_path]
    run = subprocess.Popen(script, stderr=subprocess.DEVNULL)
    until = time.monotonic() + 120
    while len(pieces_of(path)) < 6 and run.poll() is None and time.monotonic() < until:
        time.sleep(0.02)
    os.kill(run.pid, signal.SIGKILL)
    assert run.wait() == -signal.SIGKILL
    held, before = pieces_of(path), path.read_bytes()
    assert 6 <= len(held) < 16
    subprocess.run(script, check=True, stderr=subprocess.DEVNULL)
    assert path.read_bytes().startswith(before[: before.rfind(b"\n") + 1]), "a line that was there was written again"
    everything = pieces_of(path)
    assert len(everything) == len(set(everything)) == 2 * 4 * 2


@pytest.mark.slow
def test_two_dask_workers_one_of_them_killed(tmp_path):
    pytest.importorskip("dask.distributed")
    done = subprocess.run(
        [sys.executable, HERE / "dask_compare.py", tmp_path], check=False, capture_output=True, text=True, timeout=400
    )
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout.splitlines()[-1])
    assert told["rows"] == [[fold, system, ""] for fold in range(6) for system in ("lr:concat", "slow")]
    assert len(told["lines"]) == 1 + 12
    assert len({(one["fold"], one["system"]) for one in map(json.loads, told["lines"][1:])}) == 12
    assert told["own_pid"] not in told["pids"] and set(told["killed"]) < set(told["pids"])
    assert told["begun"] > 6, "what the killed worker had was begun again"
    assert told["same"], "a score depends on where it was computed"


class Deadly(DummyClassifier):
    """Kills its process, as long as a file is not there."""

    def __init__(self, mark="", strategy="prior"):
        super().__init__(strategy=strategy)
        self.mark = mark

    def fit(self, X, y):
        if not Path(self.mark).exists():
            Path(self.mark).touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return super().fit(X, y)


@pytest.mark.slow
def test_a_worker_of_loky_that_dies_is_made_up_for(simulated, tmp_path):
    mdata = simulated(n_obs=60, n_truth=100, n_classes=2, modalities=["rna", "protein"], random_state=0)
    systems = ["lr:rna", {"deadly": Deadly(str(tmp_path / "mark"))}]
    options = {"label_key": "cell_type", "systems": systems, "folds": 3, "checkpoint": tmp_path / "l.jsonl", "progress": False}
    with joblib.parallel_config("loky", n_jobs=2), pytest.warns(OmicsbalWarning, match="A worker was lost"):
        table = ob.tl.compare(mdata, **options)
    assert (tmp_path / "mark").exists() and table["error"].eq("").all()
    assert len(table) == 6 and len(pieces_of(tmp_path / "l.jsonl")) == 6


@pytest.mark.parametrize("backend", ["sequential", "threading", "multiprocessing"])
def test_every_piece_once_on_every_backend(backend):
    done = []

    def waiting():
        return [lambda i=i: -i for i in range(5) if i not in done]

    with joblib.parallel_config(backend, n_jobs=2):
        for result in run_pieces(abs, waiting):
            done.append(result)  # noqa: PERF402 (the next is asked for after this one is kept)
    assert sorted(done) == [0, 1, 2, 3, 4]


def test_workers_that_never_come_back_end_the_run():
    calls = []

    def work(_):
        calls.append(1)
        raise OSError("gone")

    with pytest.warns(OmicsbalWarning, match="OSError"), pytest.raises(OSError, match="gone"):
        list(run_pieces(work, lambda: [lambda: np.zeros(1)]))
    assert len(calls) == TRIES
