import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from omicsbal.balance import STRATEGIES, Distill, ModalityDropout, Mutual
from omicsbal.config import FitConfig
from omicsbal.train import checkpoint as module
from omicsbal.train import intervals
from omicsbal.train.checkpoint import Checkpoint, fingerprint

CONFIG = FitConfig(max_epochs=6, batch_size=20, evaluations=3)


class Killed(BaseException):
    """Stands for SIGKILL inside one process."""


class Memory(ModalityDropout):
    """A strategy with a parameter, a buffer and draws: all that a checkpoint must hold."""

    def setup(self, state):
        self.scale = torch.nn.Parameter(torch.ones(len(state.scored)))
        self.register_buffer("seen", torch.zeros(1))

    def start_epoch(self, state):
        self.seen += 1
        state.signals["seen"] = float(self.seen)

    def weights(self, state, losses, outputs, batch):
        return {name: self.scale.abs() * self.seen for name in losses}


def facts_of(run):
    tensors = [*run.net.state_dict().values(), *run.strategy.state_dict().values(), run.generator.get_state()]
    return [t.tolist() for t in tensors], run.rows, run.best_epoch, run.best_value, run.oof


def killer(after):
    def progress(done, total, metrics):
        if done == after:
            raise Killed

    return progress


@pytest.fixture(autouse=True)
def at_every_epoch(monkeypatch):
    monkeypatch.setattr(module, "EVERY", 0.0)


@pytest.mark.parametrize("after", range(1, 7))
def test_a_run_stopped_after_any_epoch_ends_as_if_it_had_not_been(toy, loop, tmp_path, after):
    data, path = toy(absent=0.2), tmp_path / "run"
    with pytest.raises(Killed):
        loop(data, strategy=Memory(), config=CONFIG, checkpoint=Checkpoint(path, "mark"), progress=killer(after))
    resumed = loop(data, strategy=Memory(), config=CONFIG, checkpoint=Checkpoint(path, "mark"))
    assert facts_of(resumed) == facts_of(loop(data, strategy=Memory(), config=CONFIG))
    assert [row["signal:seen"] for row in resumed.rows] == [1, 2, 3, 4, 5, 6]


def test_saving_changes_nothing(toy, loop, tmp_path):
    data = toy()
    assert facts_of(loop(data, checkpoint=Checkpoint(tmp_path / "run", "mark"))) == facts_of(loop(data))


def test_a_finished_run_is_not_trained_again(toy, loop, tmp_path):
    data, path, epochs = toy(), tmp_path / "run", []
    first = loop(data, checkpoint=Checkpoint(path, "mark"))
    again = loop(data, checkpoint=Checkpoint(path, "mark"), progress=lambda done, total, metrics: epochs.append(done))
    assert facts_of(again) == facts_of(first) and epochs == []


def test_saves_are_spaced_but_the_last_is_always_made(toy, loop, tmp_path, monkeypatch):
    written = []
    monkeypatch.setattr(module, "EVERY", 1e9)
    monkeypatch.setattr(module, "write_file", lambda path, data: written.append(path))
    loop(toy(), config=CONFIG, checkpoint=Checkpoint(tmp_path / "run", "mark"))
    assert written == [tmp_path / "run"]


def test_a_checkpoint_of_another_run_is_refused_and_kept(toy, loop, tmp_path):
    path = tmp_path / "run"
    loop(toy(), checkpoint=Checkpoint(path, "mine"))
    before = path.read_bytes()
    with pytest.raises(ValueError, match=r"a checkpoint of this fit; found one of other data or settings\. Delete .*run, or"):
        loop(toy(), checkpoint=Checkpoint(path, "yours"))
    assert path.read_bytes() == before


# Strategy, its files, and epochs (three a stage) after which it is killed: in the middle of each stage, and at an end.
KILLS = [
    (Mutual("mi_only", kd="first", gate="always", feature=0.5, relation=0.5), ["reference", "distil", ""], (2, 5, 8)),
    (Mutual(gate="always", feature=0.5, relation=0.5), ["reference", ""], (2, 5)),
    (Distill("pilot", margin=0), ["reference", "pilot0", "pilot1", "pilot2", ""], (8,)),
    (Mutual(kd="first", gate="never"), ["distil", ""], (3, 5)),
]


def fit_facts(done):
    tensors = [*done.predictor.net.state_dict().values(), *done.predictor.strategy.state_dict().values()]
    numbers = [repr(t.tolist()) for t in tensors]  # NaN is equal to NaN
    return numbers, repr(done.history), repr(done.tables), done.chosen_epoch, repr(done.predictions)


@pytest.mark.parametrize(("strategy", "stages", "after"), [(s, files, k) for s, files, kills in KILLS for k in kills])
def test_a_fit_of_several_stages_goes_on_in_the_stage_that_it_was_stopped_in(
    toy, fit, tmp_path, monkeypatch, strategy, stages, after
):
    monkeypatch.setattr(intervals, "DRAWS", 2)
    data, path, epochs = toy(absent=0.2), tmp_path / "run", []
    options = {"strategy": strategy, "experts": False}
    with pytest.raises(Killed):
        fit(data, checkpoint=Checkpoint(path, "mark"), progress=killer(after), **options)
    resumed = fit(data, checkpoint=Checkpoint(path, "mark"), progress=lambda done, *_: epochs.append(done), **options)
    assert epochs == list(range(after + 1, 3 * len(stages) + 1)), "no epoch twice"
    assert fit_facts(resumed) == fit_facts(fit(data, **options))
    assert {p.name for p in tmp_path.iterdir()} == {f"run.{stage}".rstrip(".") for stage in stages}


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(set(STRATEGIES) - {"distill", "mutual"}))  # these are above, with their stages
def test_every_strategy_goes_on_as_if_it_had_not_been_stopped(toy, fit, tmp_path, name):
    """What it remembers is in buffers, and what the trainer told it before the kill is told again."""
    data, path, options = toy(absent=0.2), tmp_path / "run", {"strategy": name, "experts": False, "max_epochs": 10}
    stages = 2 if STRATEGIES[name].references is True else 1
    with pytest.raises(Killed):
        fit(data, checkpoint=Checkpoint(path, "mark"), progress=killer(10 * stages - 3), **options)
    assert fit_facts(fit(data, checkpoint=Checkpoint(path, "mark"), **options)) == fit_facts(fit(data, **options))


def test_stages_of_another_run_are_refused_and_kept(toy, fit, tmp_path):
    path, options = tmp_path / "run", {"strategy": Mutual(kd="first", gate="never"), "experts": False}
    fit(toy(), checkpoint=Checkpoint(path, "mine"), **options)
    path.unlink()
    before = (tmp_path / "run.distil").read_bytes()
    with pytest.raises(ValueError, match=r"found one of other data or settings\. Delete"):
        fit(toy(), checkpoint=Checkpoint(path, "yours"), **options)
    assert (tmp_path / "run.distil").read_bytes() == before


@pytest.mark.parametrize("length", [-10, 20, 0, None])
def test_half_a_file_and_a_strangers_file_are_refused(toy, loop, tmp_path, length):
    path = tmp_path / "run"
    loop(toy(), checkpoint=Checkpoint(path, "mark"))
    path.write_bytes(path.read_bytes()[:length] if length is not None else b"a letter to my aunt")
    before = path.read_bytes()
    with pytest.raises(ValueError, match=r"`checkpoint`: expected a checkpoint of this fit; found .*run, which cannot be read"):
        loop(toy(), checkpoint=Checkpoint(path, "mark"))
    assert path.read_bytes() == before


def test_arrays_of_another_program_are_refused(toy, loop, tmp_path):
    from safetensors.torch import save_file

    save_file({"a": torch.zeros(1)}, tmp_path / "run")
    with pytest.raises(ValueError, match="other data or settings"):
        loop(toy(), checkpoint=Checkpoint(tmp_path / "run", "mark"))


def test_a_closed_door_is_found_before_training(tmp_path):
    (tmp_path / "file").touch()
    for path in (tmp_path / "no" / "run", tmp_path / "file" / "run"):
        with pytest.raises(FileNotFoundError, match="`checkpoint`: expected a path in a folder that exists"):
            Checkpoint(path, "mark")


def test_the_fingerprint_tells_rows_and_settings_apart(toy):
    data, facts = toy().data, {"b": 1, "a": 2}
    mark = fingerprint(data, facts)
    assert mark == fingerprint(toy().data, {"a": 2, "b": 1}), "the order of settings is no setting"
    assert mark != fingerprint(data, facts | {"a": 3})
    for tensor in (data.x["atac"], data.present["atac"], data.y, data.weight):
        kept = tensor.clone()
        tensor[3] = 1 - tensor[3].long() if tensor.dtype == torch.bool else tensor[3] + 1
        assert mark != fingerprint(data, facts)
        tensor.copy_(kept)
    assert mark == fingerprint(data, facts)


def test_a_fit_goes_on_only_where_modalities_versions_and_device_are_the_same(simulated, tmp_path, monkeypatch):
    import omicsbal as ob
    from omicsbal.tl import _fit

    given, real = [], _fit.fingerprint
    monkeypatch.setattr(_fit, "fingerprint", lambda data, facts: given.append(facts) or real(data, facts))
    options = {"label_key": "cell_type", "n_folds": 2, "experts": False, "progress": False, "device": "cpu"}
    options |= {"net": ob.NetConfig(width=4, depth=1, latent=2), "config": ob.FitConfig(max_epochs=1, n_members=1)}
    options |= {"checkpoint": tmp_path / "run"}
    mdata = simulated(n_obs=60, n_truth=200, n_features={"rna": 30, "protein": 8}, random_state=0)
    ob.tl.fit(mdata.copy(), **options)
    ob.tl.fit(mdata.copy(), **options)
    assert given[0] == given[1] and given[0]["device"] == "cpu" and given[0]["modalities"] == list(mdata.mod)
    monkeypatch.setattr(_fit, "versions", lambda: given[0]["versions"] | {"torch": "0.0"})
    with pytest.raises(ValueError, match="found one of other data or settings"):
        ob.tl.fit(mdata.copy(), **options)


@pytest.mark.slow
def test_sigkill_at_random_moments(tmp_path):
    script = Path(__file__).with_name("killed_fit.py")
    done = subprocess.run([sys.executable, script, tmp_path, "0"], check=False, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert told["whole"] == told["resumed"]
    assert told["began"] == sorted(told["began"]), "progress that was on disk was lost"
    assert len(set(told["began"])) > 2, "no kill hit a fit on its way"
