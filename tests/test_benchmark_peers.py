"""The door between the driver of the peers and its runners: nothing leaks through it, every head is charged its own time."""

import importlib
import json
import sys
from pathlib import Path
from types import SimpleNamespace

import anndata
import mudata
import numpy as np
import pytest
from scipy import sparse

FOLDER = Path(__file__).parents[1] / "benchmarks"
MODULES = ("accuracy_peers", "accuracy_peers_report", "exchange")
pytestmark = pytest.mark.skipif(not FOLDER.exists(), reason="no benchmarks/ beside the tests")


@pytest.fixture
def module(monkeypatch):
    """A function that gives a module of benchmarks/, which is no package, by its name."""
    monkeypatch.syspath_prepend(FOLDER)
    monkeypatch.syspath_prepend(FOLDER / "peers")
    for name in MODULES:
        monkeypatch.delitem(sys.modules, name, raising=False)
    yield importlib.import_module
    for name in MODULES:
        sys.modules.pop(name, None)


@pytest.fixture
def counts():
    """Ten cells with counts, a label, a batch, and columns that tell the label."""
    rng = np.random.default_rng(0)
    rna, protein = (anndata.AnnData(sparse.csr_matrix(rng.poisson(2, (10, n)).astype("float32"))) for n in (6, 4))
    protein.var_names = [f"p{i}" for i in range(4)]
    rna.obs["cell_type_fine"] = list("aabbaabbaa")
    with mudata.set_options(pull_on_update=False):
        out = mudata.MuData({"rna": rna, "protein": protein})
    out.obs["cell_type"] = list("aabbaabbaa")
    out.obs["split"] = "train"
    out.obs["site"] = list("xyxyxyxyxy")
    return out


def kind(modality, X):
    """As protocol.kind: the modality's name where it holds counts."""
    values = X.data if sparse.issparse(X) else np.ravel(X)
    return modality if np.allclose(values, np.round(values)) else "other"


def test_counts_and_the_training_label_alone_reach_a_runner(module, counts, tmp_path):
    rows = {"train": np.arange(6), "test": np.arange(6, 10)}
    module("accuracy_peers").write(tmp_path, counts, "cell_type", rows, "site")
    with mudata.set_options(pull_on_update=False):
        train, test = (mudata.read_h5mu(tmp_path / f"{name}.h5mu") for name in rows)
    assert sorted(train.obs) == ["batch", "label"]
    assert list(test.obs) == ["batch"]
    assert not any(len(part[m].obs.columns) for part in (train, test) for m in part.mod)
    assert list(train.obs["label"]) == list("aabbaa")
    np.testing.assert_array_equal(test["rna"].X.toarray(), counts["rna"].X[6:].toarray())


def test_a_task_without_counts_is_left_out_with_the_reason(module, counts):
    peers = module("accuracy_peers")
    assert peers.unfit(counts, kind) is None
    counts["protein"].X.data += 0.5
    assert "protein" in peers.unfit(counts, kind)
    counts["rna"].X.data += 0.5
    assert peers.unfit(counts, kind) == "no RNA counts"


def test_each_head_pays_for_the_model_and_for_itself(module, monkeypatch, tmp_path):
    exchange, peers = module("exchange"), module("accuracy_peers")
    heads = {"rf": np.full((3, 2), 0.5), "lr": np.full((3, 2), 0.5)}
    spent = {"rf": {"wall": 2.0, "cpu": 1.0}, "lr": {"wall": 20.0, "cpu": 10.0}}
    monkeypatch.setattr(exchange, "since", lambda start: {"wall": 100.0, "cpu": 50.0})
    exchange.answer(tmp_path, {}, heads, ["numpy"], spent)
    result = {"wall": 130.0, "cpu": 70.0} | json.loads((tmp_path / "out.json").read_text())
    found = {title: fields for title, fields, _ in peers.lines(result, tmp_path, "totalvi")}
    assert (found["totalvi:rf"]["cpu"], found["totalvi:rf"]["work_cpu"]) == (60.0, 40.0)
    assert (found["totalvi:lr"]["wall"], found["totalvi:lr"]["work_wall"]) == (128.0, 98.0)
    assert found["totalvi:lr"]["peak_mib"] > 10
    assert "numpy" in found["totalvi:lr"]["versions"]


def test_a_runner_that_fails_leaves_its_last_words(module, monkeypatch, tmp_path):
    peers = module("accuracy_peers")
    (tmp_path / "broken.py").write_text("raise SystemExit('no such layer')")
    monkeypatch.setattr(peers, "PEERS", tmp_path)
    monkeypatch.setitem(peers.RUNNERS, "matilda", (Path(sys.executable), "broken.py", "", {"rna"}))
    [(title, fields, proba)] = peers.lines(peers.piece(tmp_path, "matilda"), tmp_path, "matilda")
    assert (title, proba) == ("matilda", None)
    assert fields["error"] == "exit 1: no such layer"
    assert fields["cpu"] > 0


def test_pieces_in_the_file_are_not_run_again(module, counts, monkeypatch, tmp_path):
    peers = module("accuracy_peers")
    counts = mudata.MuData(dict(counts.mod))
    counts.obs["y"] = list("aabbaabbaa")
    protocol = SimpleNamespace(__file__=str(tmp_path / "protocol.py"), NAMES=["t"], kind=kind)
    protocol.load = lambda task: (counts, "y")
    protocol.folds = lambda y: [(np.arange(6), np.arange(6, 10))]
    protocol.metrics = lambda y, proba, classes: {"f1": 0.5, "nll": 1.0}
    protocol.record = lambda path, **row: path.write_text((path.read_text() if path.exists() else "") + json.dumps(row) + "\n")
    monkeypatch.setenv("OMICSBAL_MEASURE", "")  # the run sets it; it goes with the test
    runs = []
    fields = {"wall": 2.0, "cpu": 1.0, "work_cpu": 0.5, "peak_mib": 3.0, "versions": {"numpy": "2"}}
    monkeypatch.setattr(peers, "piece", lambda folder, system: runs.append(system))
    monkeypatch.setattr(peers, "lines", lambda result, folder, system: [(system, fields, np.ones((4, 2)))])
    monkeypatch.setitem(peers.RUNNERS, "matilda", (Path(sys.executable), "", "", {"rna"}))
    out = tmp_path / "peers.jsonl"
    for systems in (["omicsbal"], ["omicsbal", "matilda"]):
        peers.run(protocol, [], systems, out, [0, 1])
    assert runs == ["omicsbal", "matilda"]
    said = "\n".join(module("accuracy_peers_report").section(out, 12))
    assert "| t | matilda | 1 | 0.500 | 0.500 | +0.000 (one fold) |" in said
    assert "1.00 to 1.00 times the CPU time" in said
