import numpy as np
import pytest
from scipy import stats

from omicsbal.train.intervals import half_width
from omicsbal.train.tables import calibration_table, fold_scores, head_table, pool_table


@pytest.fixture(scope="module", params=[3, 0], ids=["classes", "numbers"])
def case(toy, fit, request):
    data = toy(n=120, absent=0.3, classes=request.param)
    return data, fit(data)


def test_half_an_interval_by_hand():
    expected = stats.t.ppf(0.975, 2) * 0.1 * np.sqrt(1 / 3 + 1 / 2)
    assert half_width(np.array([0.5, 0.6, 0.7])) == pytest.approx(expected)
    assert np.isnan(half_width(np.array([0.5])))


def test_one_row_a_head_with_its_scores(case):
    data, result = case
    outcome = data.outcome
    table = head_table(result, data.y, outcome, fold_scores(result, data.y, outcome)).set_index("head")
    prefix = outcome.expert_prefix
    assert list(table.index) == result.predictor.head_names
    kinds = {"pool": "pool", "product": "product", "fused": "network", "atac": "network", f"{prefix}:atac": "expert"}
    assert {h: table.loc[h, "kind"] for h in kinds} == kinds
    assert table.loc["atac", "modality"] == table.loc[f"{prefix}:atac", "modality"] == "atac"
    assert (table.loc[["pool", "product", "fused", f"{prefix}:concat"], "modality"] == "").all()
    assert table.loc["atac", "n"] == data.present["atac"].sum() and table.loc["pool", "n"] == 120
    for head, prediction in result.predictions.items():
        spoken = ~np.isnan(prediction[:, 0])
        for metric, value in outcome.scores(data.y[spoken], prediction[spoken]).items():
            assert table.loc[head, metric] == pytest.approx(value)
    for metric in (outcome.metric, outcome.loss):
        low, high = outcome.ranges[metric]
        assert (table[f"{metric}_low"] <= table[metric]).all() and (table[metric] <= table[f"{metric}_high"]).all()
        assert (table[f"{metric}_low"] >= low).all() and (table[f"{metric}_high"] <= high).all()


def test_weights_and_temperatures_are_those_of_the_deployed_pool(case):
    data, result = case
    table = head_table(result, data.y, data.outcome, fold_scores(result, data.y, data.outcome)).set_index("head")
    pool = result.predictor.pools[frozenset(data.present)]
    for head, weight in zip(pool.heads, pool.weights, strict=False):
        assert table.loc[head, "weight"] == pytest.approx(weight)
        assert table.loc[head, "temperature"] == pytest.approx(result.predictor.temperatures[head])
    assert table.loc[["pool", "product"], ["weight", "temperature"]].isna().all(axis=None)


def test_scores_by_fold(case):
    data, result = case
    table = fold_scores(result, data.y, data.outcome)
    assert set(table) == {"head", "fold", *data.outcome.scores(data.y, result.predictions["pool"])}
    for head, k in (("pool", 0), ("atac", 2)):
        mine = (data.folds == k) & ~np.isnan(result.predictions[head][:, 0])
        expected = data.outcome.scores(data.y[mine], result.predictions[head][mine])
        row = table[(table["head"] == head) & (table["fold"] == k)].iloc[0]
        assert {m: row[m] for m in expected} == pytest.approx(expected)


def test_calibration_by_head(case):
    data, result = case
    table = calibration_table(result, data.y, data.outcome)
    if not data.outcome.names:
        assert table.empty
        return
    spoken = {h: int((~np.isnan(p[:, 0])).sum()) for h, p in result.predictions.items()}
    assert table.groupby("head")["n"].sum().to_dict() == spoken
    assert table["confidence"].between(1 / 3 - 1e-9, 1).all() and table["accuracy"].between(0, 1).all()


def test_pools_by_pattern(case):
    data, result = case
    table = pool_table(result.predictor)
    assert {frozenset(p.split("+")) for p in table["pattern"]} == set(result.predictor.pools)
    assert "rna+atac+protein" in set(table["pattern"]), "in the order of the modalities"
    whole = table[table["pattern"] == "rna+atac+protein"]
    assert whole["n"].unique() == [np.logical_and.reduce(list(data.present.values())).sum()]
    assert (table["method"] == "pooled").all() and (table.loc[table["head"] != "prior", "weight"] >= 0).all()
    assert ("prior" in set(table["head"])) == bool(data.outcome.names), "classes: the log-prior has a weight too"
    for pattern, pool in result.predictor.pools.items():
        mine = table[table["pattern"] == "+".join(m for m in data.present if m in pattern)]
        assert mine["weight"].tolist() == pool.weights.tolist()


def test_a_pattern_that_never_had_enough_rows_is_shown_as_a_product(toy, fit):
    table = pool_table(fit(toy(n=40, absent=0.5)).predictor)
    whole = table[table["pattern"] == "rna+atac+protein"]
    assert whole["head"].tolist() == ["rna", "atac", "protein"]
    assert (whole["method"] == "product").all() and (whole["weight"] == 1).all() and (whole["n"] == 0).all()


def test_a_head_that_never_speaks_has_no_row(toy, fit):
    data = toy(n=60)
    result = fit(data)
    result.predictions["atac"][:] = np.nan
    by_fold = fold_scores(result, data.y, data.outcome)
    for table in (by_fold, head_table(result, data.y, data.outcome, by_fold), calibration_table(result, data.y, data.outcome)):
        assert "atac" not in set(table["head"]) and "lr:atac" in set(table["head"])
