"""What every strategy in the registry owes, whatever it does."""

from dataclasses import replace

import pytest
import torch

from omicsbal._types import FUSED
from omicsbal.balance import STRATEGIES, fresh
from omicsbal.train.forward import outputs_of

pytestmark = pytest.mark.parametrize("name", STRATEGIES)

# Settings without draws: a draw is dealt out in the order of the modalities.
DRAWLESS: dict[str, dict] = {
    "odsw": {"rate": 0.0},
    "opm": {"drop_rate": 0.0},
    "ogm_ge": {"noise": False},
    "modality_dropout": {"rate": 0.0},
}
# Methods that visit modalities one after the other, whose order is part of what they are.
ORDERED: set[str] = {"mla", "reconboost"}
# Methods whose steps leave parts out, so that after the last one of a batch only some gradients are there. Why:
ALTERNATING = {
    "mla": "one modality a step",
    "reconboost": "one modality an epoch, every other epoch",
}
# Settings with which every encoder moves from the first step: by default these leave strong ones still for some epochs.
STARTS_FROZEN: dict[str, dict] = {
    "g2d": {"smp": "none"},
}


def same(first: dict, second: dict) -> bool:
    return list(first) == list(second) and all(torch.equal(first[k], second[k]) for k in first)


def predictions(bench) -> torch.Tensor:
    bench.run.net.eval()
    outputs = outputs_of(bench.run.net, bench.run.strategy, bench.state.data.x, bench.state.data.present)
    return torch.stack([outputs.head(h) for h in bench.terms]).detach()


def served(bench) -> set[str]:
    """Parameters whose purpose is a trained head: those of all encoders, and of the heads with a loss."""
    strategy, net = bench.run.strategy, bench.run.net
    own_fusion = strategy.fuse(net(bench.batch.x, bench.batch.present), bench.batch.present) is not None
    purposes = {f"{part}/{m}" for m in net.modalities for part in ("encoder", "route")}
    own_heads = strategy.own_heads(net.encode(bench.batch.x, bench.batch.present)) is not None
    purposes |= {f"head/{m}" for m in net.modalities} if (strategy.unimodal or own_fusion) and not own_heads else set()
    purposes |= {"fused"} if strategy.fused and not own_fusion else set()
    ids = {id(p) for purpose in purposes for p in net.groups()[purpose]}
    return {n for n, p in net.named_parameters() if id(p) in ids}


@pytest.mark.parametrize("modalities", ["a", "ab", "abc", "abcde"])
@pytest.mark.parametrize("classes", [3, 0])
def test_any_number_of_modalities_and_either_task(bench, name, modalities, classes) -> None:
    kind = "classification" if classes else "regression"
    if kind not in STRATEGIES[name].tasks:
        with pytest.raises(ValueError, match=rf"`strategy`: expected one that supports {kind}; found"):
            fresh(name).check_task(kind)
        return
    case = bench(STRATEGIES[name](**STARTS_FROZEN.get(name, {})), modalities=modalities, classes=classes)
    before = case.weights()
    losses = case.advance(3)
    assert set(losses) >= set(case.terms)
    assert all(loss.shape == (2,) and torch.isfinite(loss).all() for loss in losses.values())
    after = case.weights()
    assert all(torch.isfinite(p).all() for p in after.values())
    assert {n for n in after if not torch.equal(before[n], after[n])} >= {n for n in served(case) if "route" not in n}


def test_gradients_are_there_for_every_parameter_that_serves_and_for_no_other(bench, name) -> None:
    case = bench(STRATEGIES[name](**STARTS_FROZEN.get(name, {})))
    with torch.no_grad():
        for p in case.run.net.parameters():  # what starts at zero would hide the gradients behind it
            p.add_(0.1)
    case.advance()
    for parameter, p in case.run.net.named_parameters():
        if parameter in served(case) and name in ALTERNATING:
            assert p.grad is None or torch.isfinite(p.grad).all(), parameter
        elif parameter in served(case):
            assert p.grad is not None and torch.isfinite(p.grad).all() and p.grad.any(), parameter
        else:
            assert p.grad is None or not p.grad.any(), parameter


def test_training_lowers_each_loss(bench, name) -> None:
    case = bench(name)
    start, end = case.advance(), case.advance(40)
    assert all((end[term] < start[term]).all() for term in case.terms)


def test_a_modality_absent_from_the_whole_batch(bench, name) -> None:
    case = bench(name)
    gone = torch.zeros_like(case.batch.present["b"])
    case.advance(2, replace(case.batch, present={**case.batch.present, "b": gone}))
    assert all(torch.isfinite(p).all() for p in case.weights().values())


def test_values_where_absent_change_nothing(bench, name) -> None:
    clean, spoilt = bench(name), bench(name)
    junk = {m: x.masked_fill(~spoilt.batch.present[m].unsqueeze(-1), float("nan")) for m, x in spoilt.batch.x.items()}
    clean.advance(3)
    spoilt.advance(3, replace(spoilt.batch, x=junk))
    assert same(clean.weights(), spoilt.weights())


def test_a_batch_of_one_class_and_a_batch_of_one_row(bench, name) -> None:
    case = bench(name)
    case.advance(1, replace(case.batch, y=torch.zeros_like(case.batch.y)))
    one = bench(name, n=1)
    one.advance(2)
    assert all(torch.isfinite(p).all() for p in (*case.weights().values(), *one.weights().values()))


def test_rows_that_are_not_scored_teach_nothing(bench, name) -> None:
    first, second = bench(name), bench(name)
    y = second.batch.y.clone()
    y[::3] = (y[::3] + 1) % 3  # hidden from member 0, seen by member 1
    first.advance(3)
    second.advance(3, replace(second.batch, y=y))
    one, two = first.weights(), second.weights()
    assert all(torch.equal(one[n][0], two[n][0]) for n in one)
    assert any(not torch.equal(one[n][1], two[n][1]) for n in one)


def test_terms_and_batch_are_left_alone(bench, name) -> None:
    case = bench(name)
    tensors = lambda: [*case.batch.x.values(), *case.batch.present.values(), case.batch.y, case.batch.scored, case.batch.weight]  # noqa: E731
    before, terms = [t.clone() for t in tensors()], dict(case.terms)
    case.advance(2)
    assert all(torch.equal(a, b) for a, b in zip(before, tensors(), strict=True))
    assert case.terms == terms
    assert not any(t.requires_grad for t in tensors())


def test_one_seed_one_result_and_another_seed_another(bench, name) -> None:
    runs = [bench(name, seed=s) for s in (0, 0, 1)]
    for run in runs:
        run.advance(4)
    assert same(runs[0].weights(), runs[1].weights())
    assert not same(runs[0].weights(), runs[2].weights())


def test_an_instance_may_be_used_twice(bench, name) -> None:
    instance = STRATEGIES[name]()
    before = [*instance.state_dict()], instance.settings(), sorted(vars(instance))
    twice, fresh_one = [bench(instance) for _ in range(2)], bench(name)
    for case in (*twice, fresh_one):
        case.advance(3)
    assert same(twice[0].weights(), twice[1].weights()) and same(twice[0].weights(), fresh_one.weights())
    assert before == ([*instance.state_dict()], instance.settings(), sorted(vars(instance))), "a fit works on a copy"


def test_settings_make_it_again(bench, name) -> None:
    case = bench(name)
    case.advance(3)
    again, told = STRATEGIES[name](**case.run.strategy.settings()), predictions(case)
    again.setup(case.state)
    again.load_state_dict(case.run.strategy.state_dict())
    case.run.strategy = again
    assert torch.equal(told, predictions(case)), "settings and state are all that prediction needs"
    assert fresh(again).settings() == again.settings()


def test_going_on_from_a_copy_of_the_state_gives_the_same_next_step(bench, name) -> None:
    one, two = bench(name), bench(name, seed=9)
    one.advance(3)
    two.run.net.load_state_dict(one.run.net.state_dict())
    two.run.strategy.load_state_dict(one.run.strategy.state_dict())
    two.run.optimizer.set_moments(one.run.optimizer.moments())
    two.run.generator.set_state(one.run.generator.get_state())
    two.state.epoch = one.state.epoch
    one.advance()
    two.advance()
    assert same(one.weights(), two.weights())


def test_nothing_is_left_hanging_on_the_net(bench, name) -> None:
    case = bench(name)
    case.advance(2)
    modules = [*case.run.net.modules(), *case.run.strategy.modules()]
    assert not any(m._forward_hooks or m._forward_pre_hooks or m._backward_hooks for m in modules)
    assert all(p.requires_grad for p in case.run.net.parameters())
    assert case.run.net.training
    assert not any(isinstance(v, torch.Tensor) and v.grad_fn for v in vars(case.run.strategy).values())


def test_prediction_is_pure(bench, name) -> None:
    """A row's prediction is its own: not its batch's, not a draw's."""
    case = bench(name)
    case.advance(3)
    net, data = case.run.net.eval(), case.state.data
    whole = predictions(case)
    assert torch.equal(whole, predictions(case))
    for i in range(len(data)):
        x, present = ({m: v[i : i + 1] for m, v in part.items()} for part in (data.x, data.present))
        one = outputs_of(net, case.run.strategy, x, present)
        for h, head in enumerate(case.terms):
            torch.testing.assert_close(one.head(head)[:, 0], whole[h, :, i])


def test_reordering_modalities_only_reorders(bench, name) -> None:
    """From the same initial weights and without draws, the same net comes out."""
    if name in ORDERED:
        pytest.skip("visits the modalities in the order of the MuData, as it says")
    first = bench(STRATEGIES[name](**DRAWLESS.get(name, {})), modalities="abc")
    second = bench(STRATEGIES[name](**DRAWLESS.get(name, {})), modalities="cab", like=first)
    first.advance(3)
    second.advance(3)
    one, two = predictions(first), predictions(second)
    for h, head in enumerate(first.terms):
        torch.testing.assert_close(two[list(second.terms).index(head)], one[h], rtol=1e-4, atol=1e-5)


def test_its_heads_are_what_it_says(bench, name) -> None:
    cls = STRATEGIES[name]
    assert list(bench(name).terms) == ([FUSED] if cls.fused else []) + (["a", "b", "c"] if cls.unimodal else [])
    assert cls.fused or cls.unimodal
