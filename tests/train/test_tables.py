import numpy as np
import pandas as pd
import pytest
from scipy import stats

from omicsbal.train.predictor import POOL, PRODUCT
from omicsbal.train.tables import calibration_table, fold_scores, head_table, interval, pool_table


@pytest.fixture(params=[3, 0])
def case(toy, fit, request):
    data = toy(n=120, classes=request.param, absent=0.3)
    return data, fit(data)


def tables(case) -> tuple[pd.DataFrame, pd.DataFrame]:
    data, fitted = case
    by_fold = fold_scores(fitted, data.y, data.outcome)
    return by_fold, head_table(fitted, data.y, data.outcome, by_fold)


def test_the_interval_by_hand() -> None:
    values = np.array([0.6, 0.7, 0.8])  # mean 0.7, sd 0.1; variance of the mean 0.01 (1/3 + 1/2)
    half = stats.t.ppf(0.975, 2) * np.sqrt(0.01 * (1 / 3 + 1 / 2))
    assert interval(values) == pytest.approx((0.7 - half, 0.7 + half))
    assert interval(values, level=0.5)[1] - 0.7 < half
    assert np.isnan(interval(values[:1])).all(), "one fold says nothing of the next"


def test_scores_by_fold_are_of_the_rows_where_the_head_speaks(case) -> None:
    data, fitted = case
    by_fold, _ = tables(case)
    assert by_fold.columns.tolist() == ["head", "fold", *data.outcome.columns]
    assert len(by_fold) == 3 * len(fitted.predictions) and not by_fold.isna().any(axis=None)
    row = by_fold.set_index(["head", "fold"]).loc[("atac", 1)]
    mine = data.present["atac"] & (data.folds == 1)
    expected = data.outcome.scores(data.y[mine], fitted.predictions["atac"][mine])
    assert {name: row[name] for name in expected} == pytest.approx(expected)


def test_the_head_table(case) -> None:
    data, fitted = case
    by_fold, table = tables(case)
    table, prefix = table.set_index("head"), data.outcome.expert_prefix
    assert table.index.tolist() == fitted.predictor.head_names
    assert table["kind"].to_dict() == {
        POOL: "pool", PRODUCT: "product", "fused": "network", "rna": "network", "atac": "network", "protein": "network",
        f"{prefix}:rna": "expert", f"{prefix}:atac": "expert", f"{prefix}:protein": "expert", f"{prefix}:concat": "expert",
    }  # fmt: skip
    assert table["modality"].to_dict() == {h: h.split(":")[-1] if h.split(":")[-1] in data.present else "" for h in table.index}
    assert table.loc["atac", "n"] == table.loc[f"{prefix}:atac", "n"] == data.present["atac"].sum()
    assert table.loc[POOL, "n"] == len(data.y)
    expected = data.outcome.scores(data.y, fitted.predictions[POOL])
    assert table.loc[POOL, list(expected)].to_dict() == pytest.approx(expected)
    folds = by_fold.loc[by_fold["head"] == "fused", data.outcome.metric].to_numpy()
    metric = data.outcome.metric
    assert (table.loc["fused", f"{metric}_low"], table.loc["fused", f"{metric}_high"]) == pytest.approx(interval(folds))


def test_temperatures_and_weights_are_those_that_new_rows_get(case) -> None:
    _, fitted = case
    table = tables(case)[1].set_index("head")
    predictor = fitted.predictor
    for head, temperature in predictor.temperatures.items():
        assert table.loc[head, "temperature"] == temperature
    pool = predictor.pools[frozenset(predictor.modalities)]
    for head, weight in zip(pool.heads, pool.weights, strict=False):
        assert table.loc[head, "weight"] == weight >= 0
    assert table.loc[[POOL, PRODUCT], ["temperature", "weight"]].isna().all(axis=None)


def test_calibration(case) -> None:
    data, fitted = case
    table = calibration_table(fitted, data.y, data.outcome)
    assert table.columns.tolist() == ["head", "bin", "confidence", "accuracy", "n"]
    if data.outcome.kind == "regression":
        assert table.empty
        return
    assert table.groupby("head")["n"].sum().to_dict() == {
        h: int((~np.isnan(p[:, 0])).sum()) for h, p in fitted.predictions.items()
    }
    assert table[["confidence", "accuracy"]].stack().between(0, 1).all()


def test_pools_say_who_speaks_for_which_pattern(case) -> None:
    predictor = case[1].predictor
    table = pool_table(predictor)
    assert table.columns.tolist() == ["pattern", "head", "weight", "n", "method"]
    assert set(table["pattern"]) == {"rna", "atac", "protein", "rna+atac", "rna+protein", "atac+protein", "rna+atac+protein"}
    for pattern, part in table.groupby("pattern"):
        names = frozenset(pattern.split("+"))
        assert part["head"].tolist() == predictor.able(names), "in the order of the model, the prior's weight left out"
        assert (part["method"] == "pooled").all() and (part["n"] == predictor.pools[names].n).all()


def test_without_rows_that_have_everything_the_product_is_named(case) -> None:
    predictor = case[1].predictor
    predictor.pools.pop(frozenset(predictor.modalities))
    told = pool_table(predictor).query("pattern == 'rna+atac+protein'")
    assert told["head"].tolist() == ["rna", "atac", "protein"]
    assert (told["method"] == "product").all() and (told["weight"] == 1).all() and (told["n"] == 0).all()
    assert tables(case)[1]["weight"].isna().all()


def test_a_head_that_never_speaks_has_no_row(case) -> None:
    data, fitted = case
    fitted.predictions["atac"][:] = np.nan
    by_fold, table = tables(case)
    assert "atac" not in set(by_fold["head"]) | set(table["head"])
    assert "atac" not in set(calibration_table(fitted, data.y, data.outcome)["head"])
