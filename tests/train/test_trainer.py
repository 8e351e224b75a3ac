import numpy as np
import pytest
import torch

from omicsbal.balance import STRATEGIES, Strategy
from omicsbal.config import FitConfig
from omicsbal.train.forward import all_members, out_of_fold
from omicsbal.train.members import Members
from omicsbal.train.stages import Stages, judge_by
from omicsbal.train.trainer import make_optimizer

CONFIG = FitConfig(max_epochs=5, batch_size=20, evaluations=5)


def weights(run):
    return [p.detach().clone() for p in (*run.net.parameters(), *run.strategy.parameters())]


def teachers(toy, name):
    """References for strategies that cannot do without."""
    if STRATEGIES[name].references is not True:
        return {}
    config = FitConfig(max_epochs=2, batch_size=20, n_members=1)
    return {"references": Stages(toy.data, toy.folds, toy.outcome, toy.net, config, 0).make_references()}


@pytest.mark.parametrize("name", STRATEGIES)
def test_labels_of_held_out_rows_change_nothing_in_their_member(toy, loop, name):
    first, second = toy(absent=0.2), toy(absent=0.2)
    held = torch.from_numpy(first.folds == 1)
    second.data.y[held] = (second.data.y[held] + 1) % 3
    constant = {
        "judge": lambda outputs: (0.0, {}),
        **teachers(first, name),
    }  # who teaches, and the epoch, all rows decide together
    before, after = (weights(loop(t, strategy=name, config=CONFIG, **constant)) for t in (first, second))
    moved = {k for a, b in zip(before, after, strict=True) for k in range(len(a)) if not torch.equal(a[k], b[k])}
    assert moved == {0, 2, 3}


def test_values_of_held_out_rows_change_nothing_in_their_member(toy, loop):
    first, second = toy(), toy()
    held = torch.from_numpy(first.folds == 1)
    for x in second.data.x.values():
        x[held] *= 7
    constant = {"judge": lambda outputs: (0.0, {})}
    before, after = (weights(loop(t, config=CONFIG, **constant)) for t in (first, second))
    for a, b in zip(before, after, strict=True):
        assert torch.equal(a[1], b[1])


@pytest.mark.parametrize("only", [None, frozenset({"atac"})])
def test_out_of_fold_outputs_equal_a_slow_reference(toy, loop, only):
    data = toy(n=50, absent=0.3)
    run, members = loop(data), Members(data.folds, 1)
    fast, slow = out_of_fold(run.net, run.strategy, data.data, members, only=only), []
    full = next(all_members(run.net, run.strategy, data.data, only=only))
    for row, fold in enumerate(data.folds):
        slow.append([full.fused[fold, row], full.joint[fold, row], *(full.unimodal[m][fold, row] for m in full.unimodal)])
    for quick, reference in zip([fast.fused, fast.joint, *fast.unimodal.values()], zip(*slow, strict=True), strict=True):
        torch.testing.assert_close(quick[0], torch.stack(reference))


def test_the_epoch_kept_is_the_first_with_the_lowest_value(toy, loop):
    values, seen = iter([3.0, 1.0, 2.0, 1.0, 5.0]), []
    stopped = loop(
        toy(), config=CONFIG, judge=lambda outputs: (next(values), {"oof_log_loss:fused": 0.0}),
        progress=lambda *_: None, checkpoint=_Spy(seen),
    )  # fmt: skip
    assert stopped.best_epoch == 2 and stopped.best_value == 1.0
    for kept, then in zip(weights(stopped), seen[1], strict=True):
        assert torch.equal(kept, then)


class _Spy:
    """Looks at the weights after each epoch."""

    def __init__(self, seen):
        self.seen = seen

    def restore(self, run): ...

    def save(self, run, *, last):
        self.seen.append(weights(run))


class Counting(Strategy):
    """A buffer that moves with the epochs."""

    def setup(self, state):
        self.register_buffer("epochs", torch.zeros(1))

    def start_epoch(self, state):
        self.epochs += 1


def test_buffers_of_the_strategy_go_back_to_the_epoch_kept(toy, loop):
    values = iter([3.0, 1.0, 2.0, 1.0, 5.0])
    run = loop(toy(), strategy=Counting(), config=CONFIG, judge=lambda outputs: (next(values), {}))
    assert run.best_epoch == 2 and run.strategy.epochs.tolist() == [2]
    assert sum(t.data_ptr() == run.strategy.epochs.data_ptr() for t in run.tensors()) == 1


@pytest.mark.parametrize(("epochs", "evaluations"), [(7, 3), (10, 4), (5, 25), (26, 25), (6, 1)])
def test_the_judge_is_never_asked_more_often_than_told(toy, loop, epochs, evaluations):
    config, asked = FitConfig(max_epochs=epochs, batch_size=60, evaluations=evaluations), []
    loop(toy(), config=config, judge=lambda outputs: (asked.append(1) or 0.0, {}))
    assert 1 <= len(asked) <= evaluations


def test_the_judge_is_asked_evenly_and_always_at_the_end(toy, loop):
    asked = []
    config = FitConfig(max_epochs=7, batch_size=20, evaluations=3)
    run = loop(toy(), config=config, judge=lambda outputs: (0.0, {"oof_x:fused": float(len(asked))} | (asked.append(1) or {})))
    assert [row["epoch"] for row in run.rows if "oof_x:fused" in row] == [3, 6, 7]


def test_the_judge_reads_macro_f1_and_log_loss_of_each_head(toy, loop):
    data = toy(absent=0.2)
    run, members = loop(data), Members(data.folds, 1)
    judge = judge_by(data.outcome, ["fused", "rna"], data.y, data.present)
    outputs = out_of_fold(run.net, run.strategy, data.data, members)
    value, metrics = judge(outputs)
    assert set(metrics) == {f"oof_{m}:{h}" for m in ("macro_f1", "log_loss") for h in ("fused", "rna")}
    here = data.present["rna"]
    log_p = torch.log_softmax(outputs.unimodal["rna"][0].double(), -1).numpy()
    expected = -log_p[np.arange(len(here)), data.y][here].mean()
    assert metrics["oof_log_loss:rna"] == pytest.approx(expected, rel=1e-5)
    parts = [
        data.outcome.criterion(data.y, torch.log_softmax(outputs.fused[0].double(), -1).numpy()),
        data.outcome.criterion(data.y[here], log_p[here]),
    ]
    assert value == pytest.approx(np.mean(parts), rel=1e-5)
    alone, same = judge_by(data.outcome, ["fused", "rna"], data.y, data.present, deciding=["fused"])(outputs)
    assert alone == pytest.approx(parts[0], rel=1e-5) and same == metrics, "heads that do not decide are reported all the same"


def test_a_loss_that_is_no_number_stops_the_run_and_is_named(toy, loop):
    data = toy()
    data.data.x["atac"][5, 0] = float("nan")
    with pytest.raises(FloatingPointError, match=r"loss term '(fused|atac)' became .*nan.* in epoch 1.*ob\.pp\.describe"):
        loop(data)


def test_history_columns(toy, loop):
    run = loop(toy(), config=CONFIG)
    assert [row["epoch"] for row in run.rows] == [1, 2, 3, 4, 5]
    heads = ["fused", "rna", "atac", "protein"]
    expected = {"epoch"} | {f"loss:{h}" for h in heads} | {f"oof_{m}:{h}" for m in ("macro_f1", "log_loss") for h in heads}
    assert all(set(row) == expected for row in run.rows)
    assert all(isinstance(value, float) for row in run.rows for value in row.values())


def test_one_seed_one_result(toy, loop):
    state = torch.random.get_rng_state()
    first, again, other = (loop(toy(), strategy="modality_dropout", seed=s) for s in (3, 3, 4))
    assert all(torch.equal(a, b) for a, b in zip(weights(first), weights(again), strict=True)) and first.rows == again.rows
    assert not torch.equal(weights(first)[0], weights(other)[0])
    assert torch.equal(state, torch.random.get_rng_state()), "the global generator is the user's"


def test_training_learns(toy, loop):
    data = toy(n=90)
    run = loop(data, config=FitConfig(max_epochs=25, batch_size=30))
    assert run.rows[-1]["loss:fused"] < 0.8 * run.rows[0]["loss:fused"]
    assert max(row.get("oof_macro_f1:fused", 0) for row in run.rows) > 0.7  # chance is a third


class Learned(Strategy):
    """A weight that is trained with the net, and hooks that count."""

    def setup(self, state):
        self.log_weight = torch.nn.Parameter(torch.zeros(len(state.scored)))
        self.calls = []

    def start_epoch(self, state):
        self.calls.append(("epoch", state.epoch, sorted(state.oof)[:1]))

    def passes(self, state, names):
        return [[name] for name in names]

    def terms(self, state, outputs, batch):
        return {"own": (self.log_weight**2 - self.log_weight, torch.ones(len(self.log_weight)))}


def test_the_strategys_parameters_are_trained_in_every_member(toy, loop):
    run = loop(toy(), strategy=Learned(), config=CONFIG)
    moved = run.strategy.log_weight.detach()
    assert (moved > 0).all(), "its loss is w^2 - w, so w rises from 0"
    assert "loss:own" in run.rows[0] and "loss:rna" in run.rows[0], "several steps a batch, one history"
    assert run.strategy.calls[0] == ("epoch", 0, []) and run.strategy.calls[1] == ("epoch", 1, ["oof_log_loss:atac"])


def test_the_linear_route_decays_at_its_own_rate(toy, loop):
    run = loop(toy())
    config = FitConfig(weight_decay=0.5, route_decay=7.0)
    groups = make_optimizer(run.net, Learned(), config).param_groups
    decay = {id(p): g["weight_decay"] for g in groups for p in g["params"]}
    routes = {id(p) for encoder in run.net.encoders for p in encoder.route.parameters()}
    assert decay == {id(p): 7.0 if id(p) in routes else 0.5 for p in run.net.parameters()}
    assert sum(len(g["params"]) for g in groups) == len(decay), "no parameter twice"


@pytest.mark.parametrize("name", [name for name, cls in STRATEGIES.items() if "regression" in cls.tasks])
def test_numbers_as_labels(toy, loop, name):
    data = toy(classes=0)
    run = loop(data, strategy=name, **teachers(data, name))
    assert all(torch.isfinite(p).all() for p in run.net.parameters())
    assert any(key.startswith("oof_r2:") for key in run.rows[-1])
