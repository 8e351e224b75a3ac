"""What the strategy feels of macro-F1 and dependence, and the gradient that each encoder gets."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch

from omicsbal._types import FUSED, Outputs, References
from omicsbal.balance import Distill, Mutual
from omicsbal.balance._weighting import balanced, headroom
from omicsbal.config import FitConfig, NetConfig
from omicsbal.loader import to_arrays
from omicsbal.train.classes import Classes
from omicsbal.train.fitting import fit_predictor

WARM = 1  # of the 8 epochs of a bench: 10 % of them, rounded up


def knowing(case, f1, shared):
    """The bench with these values in place of what an evaluation would have told, past the warm-up."""
    strategy = case.run.strategy
    strategy.f1, strategy.dependence = torch.tensor(f1), torch.tensor(shared)
    case.state.chance, case.state.epoch = 0.25, WARM
    return case


def weights_of(case):
    outputs = case.run.net(case.batch.x, case.batch.present)
    return case.run.strategy.weights(case.state, {}, outputs, case.batch)


def even(case):
    """Whether every weight in the history is 1, exactly."""
    return [case.state.signals[f"weight:{m}"] for m in case.state.data.x] == [1.0] * len(case.state.data.x)


def test_equal_macro_f1_and_information_weigh_equally_and_without_gradient(bench):
    case = knowing(bench("mutual"), [0.6] * 3, [0.4] * 3)
    found = weights_of(case)
    assert even(case) and list(found) == ["a", "b", "c"], "the fused head keeps weight 1"
    assert len({float(w) for w in found.values()}) == 1 and float(found["a"]) == pytest.approx(1 / 3)
    assert not any(w.requires_grad for w in found.values())


def test_the_weights_are_those_of_the_formula_and_are_told(bench):
    f1, shared = [0.85, 0.70, 0.55], [0.7, 0.7, 0.55]
    case = knowing(bench(Mutual(unimodal_weight=2.0)), f1, shared)
    expected = balanced(
        headroom(torch.tensor(f1), 0.25), torch.tensor(shared), weighting="f1_mi_softmax", sharpness=0.25
    ).tolist()
    assert [float(w) for w in weights_of(case).values()] == pytest.approx([2 / 3 * w for w in expected])
    told = case.state.signals
    assert [told[f"weight:{m}"] for m in "abc"] == pytest.approx(expected), "the history has w, which averages 1"
    assert [told[f"kappa:{m}"] for m in "abc"] == pytest.approx([0.8, 0.6, 0.4])
    assert [told[f"dependence:{m}"] for m in "abc"] == pytest.approx(shared)


@pytest.mark.parametrize(("weighting", "f1_counts", "mi_counts"), [("f1_only", 1, 0), ("mi_only", 0, 1), ("static", 0, 0)])
def test_the_ablations_look_away(bench, weighting, f1_counts, mi_counts):
    settings = Mutual(weighting=weighting)
    base, f1, mi = (
        list(map(float, weights_of(knowing(bench(settings), *known)).values()))
        for known in (([0.8, 0.5, 0.6], [0.1, 0.6, 0.3]), ([0.5, 0.6, 0.9], [0.1, 0.6, 0.3]), ([0.8, 0.5, 0.6], [0.4, 0.2, 0.1]))
    )
    assert (f1 != base, mi != base) == (f1_counts, mi_counts)
    assert weighting != "static" or base == pytest.approx([1 / 3] * 3)


def test_the_other_sign_favours_complementary_modalities(bench):
    f1, shared = [0.9, 0.5, 0.5], [0.3, 0.6, 0.1]
    plain, flipped = (weights_of(knowing(bench(Mutual(mi_sign=sign)), f1, shared)) for sign in (1, -1))
    mirrored = weights_of(knowing(bench("mutual"), f1, [1 - i for i in shared]))
    assert plain["b"] > plain["c"] and flipped["b"] < flipped["c"]
    torch.testing.assert_close(list(flipped.values()), list(mirrored.values()))


def test_the_warm_up_weighs_equally(bench):
    for share, epochs in ((0.0, 0), (0.1, 1), (0.5, 4), (1.0, 8)):
        case = knowing(bench(Mutual(warm_up=share)), [0.9, 0.5, 0.3], [0.5, 0.5, 0.5])
        flat = []
        for case.state.epoch in range(8):
            weights_of(case)
            flat.append(even(case))
        assert flat == [True] * epochs + [False] * (8 - epochs)


@pytest.mark.parametrize("settings", [{}, {"weighting": "f1_only"}, {"mi_sign": -1}])
def test_nothing_known_is_no_preference(bench, settings):
    unknown = [float("nan")] * 3
    case = knowing(bench(Mutual(**settings)), unknown, unknown)
    weights_of(case)
    assert even(case)


@pytest.mark.parametrize("modalities", ["a", "ab", "abcd"])
def test_gradients_are_the_weighted_sum_of_those_of_the_separate_losses(bench, modalities):
    """Encoder m: g_0 + (eta / M) w_m g_m; its head: the second part alone; the fused head: the first."""
    count, eta = len(modalities), 1.5
    case = bench(Mutual(unimodal_weight=eta), modalities=modalities)
    with torch.no_grad():
        for p in case.run.net.parameters():  # what starts at zero would hide the gradients behind it
            p.add_(0.1)
    knowing(case, [0.9, 0.5, 0.3, 0.6][:count], [0.7, 0.2, 0.5, 0.4][:count])
    outputs = case.run.net(case.batch.x, case.batch.present)
    losses = {name: term(outputs, case.batch)[0] for name, term in case.terms.items()}
    w = {m: float(v) * count / eta for m, v in case.run.strategy.weights(case.state, losses, outputs, case.batch).items()}
    assert sum(w.values()) == pytest.approx(count) and (count == 1 or len(set(w.values())) == count)
    named = dict(case.run.net.named_parameters())
    alone = {
        name: torch.autograd.grad(loss.sum(), list(named.values()), retain_graph=True, allow_unused=True, materialize_grads=True)
        for name, loss in losses.items()
    }
    case.run.strategy.backward(case.state, losses, case.run.strategy.weights(case.state, losses, outputs, case.batch))
    owner = {id(p): (part, m) for m in modalities for part in ("encoder", "head") for p in case.run.net.groups()[f"{part}/{m}"]}
    checked = set()
    for i, (name, p) in enumerate(named.items()):
        part, m = owner.get(id(p), ("", ""))
        if not part:
            continue
        expected = eta / count * w[m] * alone[m][i] + (alone[FUSED][i] if part == "encoder" else 0)
        assert part == "encoder" or not alone[FUSED][i].any()
        torch.testing.assert_close(p.grad, expected, msg=name)
        checked.add((part, m))
    assert len(checked) == 2 * count and all(p.grad.shape[0] == 2 for p in named.values() if p.grad is not None)
    for i, p in enumerate(named.values()):
        if id(p) in {id(q) for q in case.run.net.groups()["fused"]}:
            torch.testing.assert_close(p.grad, alone[FUSED][i])


def taught(case, students):
    """The bench after a set-up whose references say something of every row; `students` with their teachers."""
    n, classes = len(case.state.data), case.state.task.n_out
    draw = torch.Generator().manual_seed(3)
    told = {m: torch.randn(2, n, classes, generator=draw) for m in case.state.data.x}
    scores = {m: 0.9 - 0.2 * i for i, m in enumerate(told)}
    z = {m: torch.randn(2, n, 4, generator=draw) for m in told}
    one = {m: v[0] for m, v in told.items()}
    case.state.references = References(torch.arange(n) % 3, scores, one, told, one, z.__getitem__)
    case.run.strategy.setup(case.state)
    assert {s: t for s, (t, _) in case.run.strategy.teaching.taught.items()} == students
    return knowing(case, [0.9, 0.5, 0.3], [0.7, 0.2, 0.5])


def test_kd_throughout_shares_the_weight_of_the_student(bench):
    """(eta / M) w_m [(1 - l) CE + l KL]: the student's part of the loss is as large as it was, and the others' untouched."""
    plain = weights_of(knowing(bench("mutual"), [0.9, 0.5, 0.3], [0.7, 0.2, 0.5]))
    case = taught(bench(Mutual(gate="always", kd_weight=0.4, relation=2.0)), {"b": "a", "c": "a"})
    found = {name: float(w) for name, w in weights_of(case).items()}
    assert found["a"] == float(plain["a"])
    for m in "bc":
        own = float(plain[m])
        expected = {m: 0.6 * own, f"kd:{m}": 0.4 * own, f"relation:{m}": 2.0 * own}
        assert {name: found[name] for name in expected} == pytest.approx(expected)
    case.state.epoch = case.state.n_epochs - 1
    last = weights_of(case)
    assert float(last["kd:b"]) == float(last["relation:b"]) == 0 and float(last["b"]) == pytest.approx(float(plain["b"]))
    assert set(case.advance()) == {"fused", "a", "b", "c", "kd:b", "kd:c", "relation:b", "relation:c"}


def test_kd_first_leaves_the_multitask_loss_alone(bench):
    case = taught(bench(Mutual(kd="first", gate="always")), {})
    assert set(case.advance()) == {"fused", "a", "b", "c"} and case.run.strategy.tables == {}
    assert isinstance(case.run.strategy.pretraining(), Distill)
    assert Mutual().pretraining() is None


def test_dependence_is_known_from_the_references_before_the_first_evaluation(bench):
    case = bench("mutual", n=120, modalities="ab")
    told = torch.randn(120, 3, generator=torch.Generator().manual_seed(0)).log_softmax(-1)
    case.state.data = replace(case.state.data, present={m: torch.ones(120, dtype=torch.bool) for m in "ab"})
    case.state.references = References(torch.arange(120) % 3, {}, {"a": told, "b": told}, {}, {}, lambda m: told)
    case.run.strategy.setup(case.state)
    assert (case.run.strategy.dependence > 0.99).all() and case.run.strategy.f1.isnan().all()


def told(case, columns, task_rows=400):
    """Out-of-fold outputs of two modalities, (1, n, 1), as `start_epoch` finds them."""
    z = {m: torch.as_tensor(v, dtype=torch.float32).view(1, -1, 1) for m, v in columns.items()}
    present = {m: torch.ones(task_rows, dtype=torch.bool) for m in columns}
    case.state.data = replace(case.state.data, present=present)
    case.state.folds = torch.arange(task_rows) % 5
    case.state.metric = "r2"
    case.state.held_out = Outputs(z, z["a"], z["a"], z)
    return case


def test_macro_f1_and_dependence_are_averaged_over_evaluations(bench):
    """0.7 old + 0.3 new, for numbers the R squared; nothing moves in an epoch without an evaluation."""
    rng = np.random.default_rng(0)
    a, noise = rng.normal(size=(2, 400))
    case = told(bench("mutual", modalities="ab", classes=0), {"a": a, "b": 0.8 * a + 0.6 * noise})
    strategy = case.run.strategy
    case.state.oof = {"oof_r2:a": 0.8, "oof_r2:b": 0.2}
    strategy.start_epoch(case.state)
    assert strategy.f1.tolist() == pytest.approx([0.8, 0.2])
    first = strategy.dependence.clone()
    assert first.tolist() == pytest.approx([0.64, 0.64], abs=0.05), "rho^2"
    case.state.oof = {"oof_r2:a": 0.4, "oof_r2:b": float("nan")}
    told(case, {"a": a, "b": noise})
    strategy.start_epoch(case.state)
    assert strategy.f1.tolist() == pytest.approx([0.7 * 0.8 + 0.3 * 0.4, 0.2])
    torch.testing.assert_close(strategy.dependence, 0.7 * first)
    case.state.held_out, case.state.oof = None, {"oof_r2:a": 0.0, "oof_r2:b": 0.0}
    strategy.start_epoch(case.state)
    assert strategy.f1.tolist() == pytest.approx([0.68, 0.2])


def test_memory_is_part_of_the_state(bench):
    case = knowing(bench("mutual"), [0.6, 0.5, 0.4], [0.1, 0.2, 0.3])
    assert set(case.run.strategy.state_dict()) == {"f1", "dependence"}
    assert case.run.strategy.settings() == Mutual().settings()


@pytest.mark.parametrize(
    ("settings", "match"),
    [
        ({"weighting": "f1"}, "`weighting`: expected one of 'f1_mi_softmax'"),
        ({"mi_sign": 0}, "`mi_sign`: expected one of '1', '-1'"),
        ({"sharpness": 0}, "`sharpness`: expected a number above 0"),
        ({"unimodal_weight": -1}, "`unimodal_weight`"),
        ({"warm_up": 1.1}, "`warm_up`"),
        ({"memory": -0.1}, "`memory`"),
        ({"kd": "last"}, "`kd`: expected one of 'first', 'throughout'"),
        ({"gate": "open"}, "`gate`: expected one of 'mi', 'pilot', 'always', 'never'"),
        ({"kd_weight": 2}, "weight`: expected a number of at least 0 and at most 1"),
        ({"temperature": 0}, "`temperature`"),
        ({"space": "latent"}, "`space`: expected one of 'logit', 'embedding'"),
        ({"relation": -1}, "`relation`"),
    ],
)
def test_settings_outside_their_range_are_refused(settings, match):
    with pytest.raises(ValueError, match=match):
        Mutual(**settings)


def test_teachers_are_asked_for_only_where_someone_may_teach():
    assert Mutual().references and Mutual(gate="pilot").references and not Mutual(gate="never").references
    settings = {"gate": "always", "temperature": 4.0, "feature": 0.1, "relation": 0.2, "space": "embedding"}
    first = Mutual(kd="first", kd_weight=0.2, **settings).pretraining()
    assert first.settings().items() >= (settings | {"weight": 0.2}).items()


def noisy_fit(seed):
    """History of stage 2 on three modalities, the last of them noise: 300 rows, three classes."""
    rng = np.random.default_rng(seed)
    code = rng.permutation(np.arange(300) % 3)
    labels = pd.Series([f"c{i}" for i in code])
    outcome = Classes.learn(labels)
    blocks = {m: rng.normal(size=(300, 4)) + s * np.eye(3, 4)[code] for m, s in {"strong": 2.0, "mid": 1.0, "noise": 0.0}.items()}
    y = outcome.encode(labels)
    present = {m: np.ones(300, dtype=bool) for m in blocks}
    data = to_arrays(blocks, present, y=y, weight=outcome.weights(y), device=torch.device("cpu"))
    fit = fit_predictor(
        data, rng.permutation(np.arange(300) % 3), outcome, Mutual(gate="never"), net=NetConfig(width=8, depth=1, latent=4),
        config=FitConfig(max_epochs=12, evaluations=12, n_members=0), random_state=0, experts=False,
    )  # fmt: skip
    history = pd.DataFrame(fit.history)
    return history[history["stage"] == "joint"]


@pytest.fixture(scope="module")
def noisy():
    return {seed: noisy_fit(seed) for seed in (0, 7)}


def test_noise_is_in_no_epoch_above_the_strongest(noisy):
    seen = noisy[7]
    assert (seen["signal:weight:noise"] <= seen["signal:weight:strong"]).all()
    assert seen["signal:weight:mid"].iloc[-1] > 1.05, "the middle one, weak but informative, is raised"
    assert (seen[[f"signal:weight:{m}" for m in ("strong", "mid", "noise")]].sum(axis=1) - 3).abs().max() < 1e-5


def test_where_chance_lets_noise_seem_dependent_it_gains_next_to_nothing(noisy):
    """In an evaluation one independent pair in forty seems dependent; with this seed one does from the third epoch on."""
    seen = noisy[0]
    assert (seen["signal:weight:noise"] - seen["signal:weight:strong"]).max() < 0.1
    assert seen["signal:weight:noise"].max() <= 1
