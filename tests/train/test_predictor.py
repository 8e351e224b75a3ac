import numpy as np
import pandas as pd
import pytest
import torch

from omicsbal._types import Arrays
from omicsbal.train.fitting import held_out_embeddings
from omicsbal.train.forward import CHUNK, all_members
from omicsbal.train.predictor import POOL, PRODUCT, subset

ALL = frozenset({"rna", "atac", "protein"})


def hidden(data: Arrays, names) -> Arrays:
    return Arrays(data.x, {m: p & (m not in names) for m, p in data.present.items()}, data.y, data.weight)


@pytest.fixture(scope="module")
def case(toy, fit):
    data = toy(n=120, absent=0.3)
    return data.data, fit(data, max_epochs=4, n_full=2).predictor


@pytest.mark.parametrize("head", [POOL, PRODUCT, "fused", "rna", "lr:rna", "lr:concat"])
def test_a_row_is_predicted_alike_in_any_company(case, head):
    data, predictor = case
    whole = predictor.predict(data, head=head)
    for rows in (np.array([5]), np.arange(120)[::-1].copy(), np.array([3, 3, 90])):
        np.testing.assert_allclose(predictor.predict(subset(data, rows), head=head), whole[rows], rtol=1e-4, atol=1e-6)


def test_who_speaks(case):
    data, predictor = case
    present = {m: p.numpy() for m, p in data.present.items()}
    spoken = {h: ~np.isnan(predictor.predict(data, head=h)[:, 0]) for h in predictor.head_names}
    assert spoken[POOL].all() and spoken[PRODUCT].all() and spoken["fused"].all()
    assert np.array_equal(spoken["atac"], present["atac"]) and np.array_equal(spoken["lr:atac"], present["atac"])
    assert np.array_equal(spoken["lr:concat"], np.logical_and.reduce(list(present.values())))


def test_a_row_without_any_modality_gets_nan(case):
    data, predictor = case
    empty = hidden(data, ALL)
    for head in predictor.head_names:
        assert np.isnan(predictor.predict(empty, head=head)).all()
    assert all(np.isnan(z).all() for z in predictor.embed(empty).values())


def test_probabilities_sum_to_one_for_every_subset(case):
    data, predictor = case
    for gone in ([], ["rna"], ["atac", "protein"], ["protein"]):
        p = np.exp(predictor.predict(hidden(data, gone)))
        known = ~np.isnan(p[:, 0])
        np.testing.assert_allclose(p[known].sum(1), 1)


@pytest.mark.parametrize("junk", [float("nan"), float("inf"), 1e30])
def test_values_where_absent_change_nothing(case, junk):
    data, predictor = case
    spoilt = Arrays(
        {m: x.masked_fill(~data.present[m][:, None], junk) for m, x in data.x.items()}, data.present, data.y, data.weight
    )
    for head in predictor.head_names:
        assert np.array_equal(predictor.predict(data, head=head), predictor.predict(spoilt, head=head), equal_nan=True)
    before, after = predictor.embed(data), predictor.embed(spoilt)
    assert all(np.array_equal(before[s], after[s], equal_nan=True) for s in before)


def test_labels_are_out_of_reach(case):
    data, predictor = case
    other = Arrays(data.x, data.present, torch.zeros_like(data.y), torch.zeros_like(data.weight))
    assert np.array_equal(predictor.predict(data), predictor.predict(other))


def test_new_rows_are_predicted_by_the_mean_of_the_all_row_members(case):
    data, predictor = case
    outputs = next(all_members(predictor.net, predictor.strategy, data))
    p = torch.softmax(outputs.fused[3:].double(), -1).mean(0).numpy()
    soft = predictor.outcome.soften(np.log(p), predictor.temperatures["fused"])
    np.testing.assert_allclose(predictor.predict(data, head="fused"), soft, rtol=1e-5, atol=1e-6)


def test_without_all_row_members_the_fold_members_do_it(toy, fit):
    data = toy()
    predictor = fit(data, n_full=0).predictor
    outputs = next(all_members(predictor.net, predictor.strategy, data.data))
    assert outputs.fused.shape[0] == 3
    p = torch.softmax(outputs.fused.double(), -1).mean(0).numpy()
    soft = predictor.outcome.soften(np.log(p), predictor.temperatures["fused"])
    np.testing.assert_allclose(predictor.predict(data.data, head="fused"), soft, rtol=1e-5, atol=1e-6)


def test_each_pattern_uses_its_own_pool(case, monkeypatch):
    data, predictor = case
    pattern = frozenset({"rna", "protein"})
    rows = np.flatnonzero((data.present["rna"] & ~data.present["atac"] & data.present["protein"]).numpy())
    pool, raw = predictor.pools[pattern], predictor.raw_heads(subset(data, rows), pattern)
    assert list(pool.heads) == ["fused", "rna", "protein", "lr:rna", "lr:protein"]
    stack = np.stack([predictor.outcome.soften(raw[h], t) for h, t in zip(pool.heads, pool.temperatures, strict=True)])
    np.testing.assert_allclose(predictor.predict(data)[rows], predictor.outcome.pool(stack, pool.weights))
    monkeypatch.delitem(predictor.pools, pattern)
    np.testing.assert_array_equal(predictor.predict(data)[rows], predictor.predict(data, head=PRODUCT)[rows])


@pytest.mark.parametrize(("strategy", "experts", "speaks"), [("joint", False, ["fused"]), ("joint", True, ["lr:rna", "lr:atac"])])
def test_a_pattern_without_pool_and_without_unimodal_heads(toy, fit, strategy, experts, speaks):
    predictor = fit(toy(n=40, absent=0.4), strategy=strategy, experts=experts).predictor
    pattern = frozenset({"rna", "atac"})
    assert predictor.witnesses(pattern) == [h for h in speaks if h != "fused"]
    predictor.pools.clear()
    two = hidden(toy(n=40).data, ["protein"])
    alone = np.stack([predictor.predict(two, head=h) for h in speaks])
    np.testing.assert_allclose(predictor.predict(two), predictor.outcome.product(alone))


def test_an_unknown_head_is_named(case):
    with pytest.raises(ValueError, match="Did you mean 'lr:rna'"):
        case[1].predict(case[0], head="lr:rn")


def test_more_rows_than_a_chunk(toy, fit):
    data = toy()
    predictor = fit(data, experts=False).predictor
    many = subset(data.data, np.arange(CHUNK + 7) % 60)
    np.testing.assert_allclose(
        predictor.predict(many)[-7:], predictor.predict(data.data)[np.arange(CHUNK, CHUNK + 7) % 60], rtol=1e-4
    )
    assert len(predictor.embed(many)["fused"]) == CHUNK + 7


@pytest.mark.parametrize("strategy", ["late", "unimodal", "joint", "modality_dropout"])
def test_every_strategy_reports_the_heads_it_trained(toy, fit, strategy):
    result = fit(toy(absent=0.2), strategy=strategy)
    trained = {"late": ["fused"], "joint": ["fused"], "unimodal": ["rna", "atac", "protein"]}.get(strategy)
    trained = trained or ["fused", "rna", "atac", "protein"]
    experts = ["lr:rna", "lr:atac", "lr:protein", "lr:concat"]
    assert list(result.predictions) == [POOL, *trained, PRODUCT, *experts]
    assert all(np.isfinite(result.predictions[h]).all() for h in (POOL, PRODUCT))


def test_late_predicts_the_mean_of_its_unimodal_outputs(toy, fit):
    data = toy(absent=0.3)
    predictor = fit(data, strategy="late", n_full=1).predictor
    outputs = next(all_members(predictor.net, predictor.strategy, data.data))
    total, count = torch.zeros(60, 3), torch.zeros(60, 1)
    for m, logits in outputs.unimodal.items():
        here = data.data.present[m][:, None]
        total, count = total + torch.where(here, logits[3], 0), count + here
    expected = predictor.outcome.soften((total / count).double().numpy(), predictor.temperatures["fused"])
    np.testing.assert_allclose(predictor.predict(data.data, head="fused"), expected, rtol=1e-4, atol=1e-5)


def test_the_permutation_of_modalities_reaches_the_linear_side_alike(toy, fit):
    """Networks draw their weights in the order of the modalities; experts, temperatures and pools do not care."""
    data = toy(absent=0.2)
    names = ["protein", "rna", "atac"]
    turned = Arrays({m: data.data.x[m] for m in names}, {m: data.data.present[m] for m in names}, data.data.y, data.data.weight)
    one, two = fit(data), fit(type(data)(turned, data.outcome, data.folds))
    for head in ("lr:rna", "lr:atac", "lr:protein", "lr:concat"):
        np.testing.assert_allclose(one.predictions[head], two.predictions[head], rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("strategy", ["uniform", "late"])
def test_embeddings_of_training_rows_are_those_of_their_fold_member(toy, fit, strategy):
    data = toy(absent=0.3)
    result = fit(data, strategy=strategy)
    predictor = result.predictor
    outputs = next(all_members(predictor.net, predictor.strategy, data.data))
    for space, z in {"fused": outputs.joint, **outputs.z}.items():
        here = data.present.get(space, np.ones(60, bool))
        assert np.array_equal(~np.isnan(result.embeddings[space]).any(1), here)
        moved = predictor.alignment.move(space, z.numpy(), slice(None))
        np.testing.assert_allclose(result.embeddings[space][here], moved[data.folds, np.arange(60)][here], rtol=1e-5)
    assert held_out_embeddings(predictor, data.data).keys() == result.embeddings.keys()


@pytest.mark.parametrize("classes", [3, 0])
def test_one_modality(toy, fit, classes):
    data = toy(sizes={"rna": 5}, classes=classes)
    result = fit(data)
    prefix = data.outcome.expert_prefix
    assert result.predictor.head_names == [POOL, "fused", "rna", PRODUCT, f"{prefix}:rna"]
    assert np.isfinite(result.predictions[POOL]).all() and np.isfinite(result.predictor.predict(data.data)).all()


def test_one_seed_one_fit(toy, fit):
    one, two = fit(toy(absent=0.2)), fit(toy(absent=0.2))
    assert all(np.array_equal(one.predictions[h], two.predictions[h], equal_nan=True) for h in one.predictions)
    assert all(np.array_equal(one.embeddings[s], two.embeddings[s], equal_nan=True) for s in one.embeddings)


def test_without_a_fused_head_the_joint_embedding_is_the_mean_of_the_modalities(toy, fit):
    data = toy(absent=0.3)
    predictor = fit(data, strategy="unimodal").predictor
    outputs = next(all_members(predictor.net, predictor.strategy, data.data))
    count = sum(data.present.values())[None, :, None]
    np.testing.assert_allclose(outputs.joint.numpy(), sum(z.numpy() for z in outputs.z.values()) / count, atol=1e-5)


def test_expected_errors_are_those_of_the_pool_of_a_rows_pattern(toy, fit):
    data = toy(n=200, classes=0, absent=0.3)
    result = fit(data)
    predictor, pattern = result.predictor, frozenset({"rna", "atac"})
    error = predictor.error(data.data)
    rows = (data.data.present["rna"] & data.data.present["atac"] & ~data.data.present["protein"]).numpy()
    assert (error[rows] == predictor.pools[pattern].error).all() and 0 < predictor.pools[pattern].error < 1
    predictor.pools.pop(pattern)
    assert (predictor.error(data.data)[rows] == 1).all(), "as uncertain as the label itself"
    y, said = data.y, result.predictions["rna"][:, 0]
    spoken = ~np.isnan(said)
    assert predictor.error(data.data, head="rna") == pytest.approx(np.sqrt(((said - y)[spoken] ** 2).mean()))


SUBSETS = [{"rna"}, {"atac"}, {"protein"}, {"rna", "atac"}, {"rna", "protein"}, {"atac", "protein"}, ALL]


@pytest.fixture(scope="module")
def numbers(toy, fit):
    """A fit of a number on 300 rows, and 1,000 rows that it never saw."""
    everything = toy(n=1300, classes=0, absent=0.0, seed=1)
    rng, learnt = np.random.default_rng(0), subset(everything.data, np.arange(300))
    present = {m: torch.from_numpy(rng.random(300) >= 0.2) for m in learnt.present}
    present["rna"] |= ~(present["atac"] | present["protein"])
    learnt = Arrays(learnt.x, present, learnt.y, learnt.weight)
    result = fit(type(everything)(learnt, everything.outcome, everything.folds[:300]), max_epochs=15, n_full=2)
    return result.predictor, subset(everything.data, np.arange(300, 1300))


ASKED = [*((POOL, s) for s in SUBSETS), ("rna", {"rna"}), ("atac", {"atac"}), ("protein", {"protein"}), ("ridge:concat", ALL)]


@pytest.mark.parametrize(("head", "seen"), ASKED, ids=[f"{h}-{'+'.join(sorted(s))}" for h, s in ASKED])
def test_intervals_cover_what_they_promise_whatever_a_row_has(numbers, head, seen):
    predictor, data = numbers
    query = hidden(data, ALL - seen)
    index = pd.RangeIndex(len(data))
    told = predictor.outcome.readable(predictor.predict(query, head=head), index, predictor.error(query, head=head))
    truth = predictor.outcome.mean + predictor.outcome.sd * data.y.numpy()
    covered = (told["interval"]["low"] <= truth) & (truth <= told["interval"]["high"])
    assert 0.80 <= covered.mean() <= 0.97


def test_fewer_modalities_wider_intervals(numbers):
    predictor, data = numbers
    error = {frozenset(s): predictor.error(hidden(data, ALL - s))[0] for s in SUBSETS}
    for few in SUBSETS:
        assert error[ALL] <= error[frozenset(few)] < 1
    assert error[ALL] < 0.9 * max(error[frozenset({m})] for m in ALL), "one error for all rows would hide what is missing"
