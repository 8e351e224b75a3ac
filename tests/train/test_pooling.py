import numpy as np
import pytest

from omicsbal.train.pooling import ENOUGH, PLENTY, Pooler, fit_temperatures, sample
from omicsbal.train.predictor import POOL, PRODUCT, row_patterns, wanted_patterns

ALL = frozenset({"rna", "atac", "protein"})


@pytest.fixture
def pooler(toy, fit):
    """Maker of a Pooler over random out-of-fold predictions that know something of the label."""

    def _make(n=90, *, classes=3, absent=0.3, flip=None):
        data = toy(n=n, classes=classes, absent=absent)
        predictor = fit(data, max_epochs=1).predictor
        rng, y, outcome = np.random.default_rng(0), data.y.copy(), data.outcome
        truth = np.eye(3)[y] if classes else y[:, None].copy()
        noise = {h: rng.normal(size=truth.shape) for h in (*predictor.trained, *predictor.experts)}

        def raw_for(pattern):
            found = {h: outcome.link(2 * truth + noise[h]) for h in predictor.able(pattern)}
            for h in found:
                complete = np.logical_and.reduce([data.present[m] for m in predictor.needs(h)] or [np.ones(n, bool)])
                found[h][~complete] = np.nan
            return found

        if flip is not None:
            y[flip] = (y[flip] + 1) % 3
        return Pooler(predictor, raw_for, y, data.present, data.folds)

    return _make


def test_patterns_of_rows():
    present = {"a": np.array([1, 1, 0, 0, 1], bool), "b": np.array([1, 0, 1, 0, 1], bool)}
    found = {"".join(sorted(k)): v.tolist() for k, v in row_patterns(present).items()}
    assert found == {"ab": [0, 4], "a": [1], "b": [2], "": [3]}


def test_patterns_that_get_a_pool():
    assert {"".join(sorted(p)) for p in wanted_patterns("abc", [])} == {"a", "b", "c", "ab", "ac", "bc", "abc"}
    assert wanted_patterns("a", [frozenset("a")]) == [frozenset("a")]
    many = wanted_patterns("abcdefg", [frozenset("abc"), frozenset()])
    assert frozenset("abc") in many and frozenset() not in many and len(many) == len(set(many)) == 1 + 1 + 7 + 7


@pytest.mark.parametrize("classes", [3, 0])
@pytest.mark.parametrize("fold", [0, 1, 2])
def test_labels_of_a_fold_decide_nothing_that_is_reported_of_it(pooler, classes, fold):
    plain = pooler(classes=classes)
    held = plain.folds == fold
    before, after = plain.cross_fitted(), pooler(classes=classes, flip=held).cross_fitted()
    for head in before:
        assert np.array_equal(before[head][held], after[head][held], equal_nan=True), head
    moved = [head for head in before if not np.array_equal(before[head][~held], after[head][~held], equal_nan=True)]
    # means of regression have no weights to fit, but what they multiply is calibrated all the same
    assert set(moved) >= {POOL, PRODUCT, "fused", "rna"}


@pytest.mark.parametrize("classes", [3, 0])
def test_each_fold_is_calibrated_and_pooled_by_the_other_folds(pooler, classes):
    """The same again, slowly, for rows that have everything."""
    case = pooler(n=180, classes=classes)
    outcome, reported = case.predictor.outcome, case.cross_fitted()
    raw, rows = case.raw[ALL], case.native[ALL]
    for k in range(3):
        mine = rows[case.folds[rows] == k]
        learn = np.flatnonzero((case.folds != k) & case.containing(ALL))
        temperatures = {h: outcome.temperature(case.y[learn], v[learn]) for h, v in raw.items()}
        stack = {h: outcome.soften(v, temperatures[h]) for h, v in raw.items()}
        weights = outcome.pool_weights(case.y[learn], np.stack([v[learn] for v in stack.values()]))
        expected = outcome.pool(np.stack([v[mine] for v in stack.values()]), weights)
        np.testing.assert_allclose(reported[POOL][mine], expected)


def test_heads_are_calibrated_on_all_rows_where_they_speak(pooler):
    case = pooler()
    natural = case.natural()
    reported, outcome = case.cross_fitted(), case.predictor.outcome
    for head in ("fused", "atac", "lr:concat"):
        spoken = ~np.isnan(natural[head][:, 0])
        assert np.array_equal(spoken, ~np.isnan(reported[head][:, 0]))
        learn = spoken & (case.folds != 1)
        t = outcome.temperature(case.y[learn], natural[head][learn])
        mine = spoken & (case.folds == 1)
        np.testing.assert_allclose(reported[head][mine], outcome.soften(natural[head][mine], t))


def test_silence_is_nan_and_every_row_has_a_pool(pooler):
    case = pooler()
    reported = case.cross_fitted()
    here = case.present
    assert list(reported) == [POOL, "fused", "rna", "atac", "protein", PRODUCT, "lr:rna", "lr:atac", "lr:protein", "lr:concat"]
    some = np.logical_or.reduce(list(here.values()))
    for head in (POOL, PRODUCT, "fused"):
        assert np.array_equal(~np.isnan(reported[head][:, 0]), some)
    assert np.array_equal(~np.isnan(reported["lr:concat"][:, 0]), np.logical_and.reduce(list(here.values())))
    assert np.array_equal(~np.isnan(reported["atac"][:, 0]), here["atac"])


def test_settling_uses_all_rows_and_gives_each_pattern_a_pool(pooler):
    case = pooler(n=200)
    case.cross_fitted()
    case.settle()
    pools = case.predictor.pools
    assert set(pools) == set(case.raw) and len(pools) == 7
    assert {p: pool.n for p, pool in pools.items()} == {p: int(case.containing(p).sum()) for p in pools}
    for pattern, pool in pools.items():
        assert list(pool.heads) == case.predictor.able(pattern)
        assert len(pool.weights) == len(pool.heads) + 1 and (pool.weights[:-1] >= 0).all()


def test_too_few_rows_give_no_pool_but_the_product(pooler):
    case = pooler(n=45, absent=0.5)
    rows = case.native[ALL]
    assert len(rows) < ENOUGH
    reported, outcome = case.cross_fitted(), case.predictor.outcome
    case.settle()
    assert ALL not in case.predictor.pools
    np.testing.assert_array_equal(reported[POOL][rows], reported[PRODUCT][rows])
    raw = {h: v[rows] for h, v in case.raw[ALL].items()}
    soft = [outcome.soften(raw[m], case.predictor.temperatures[m]) for m in ("rna", "atac", "protein")]
    np.testing.assert_allclose(case.predictor.combine(POOL, raw, ALL), outcome.product(np.stack(soft)))


@pytest.mark.parametrize("spare", [0, 1])
def test_enough_is_enough(pooler, spare):
    case = pooler(n=60, absent=0.0)
    for mask in case.present.values():
        mask[ENOUGH - spare :] = False
    case.settle()
    assert (ALL in case.predictor.pools) == (spare == 0)


def test_pools_of_a_fold_stand_in_for_those_that_are_deployed(pooler):
    """A pattern with just enough rows is pooled when a fold is left out as well: what is reported is what is deployed."""
    case = pooler(n=60, absent=0.0)
    for mask in case.present.values():
        mask[ENOUGH:] = False
    case.settle(case.folds != 0)
    assert case.predictor.pools[ALL].n == int((case.folds[:ENOUGH] != 0).sum())


def test_a_head_that_never_speaks_has_temperature_one(toy):
    data = toy(n=60)
    assert fit_temperatures({"a": np.full((60, 3), np.nan)}, data.y, np.ones(60, bool), data.outcome) == {"a": 1.0}


def test_many_rows_are_thinned_evenly():
    rows = np.ones(3 * PLENTY, bool)
    rows[0] = False
    chosen = sample(rows)
    assert PLENTY / 2 <= len(chosen) <= PLENTY and rows[chosen].all() and set(np.diff(chosen)) == {3}
    assert sample(np.array([True, False, True])).tolist() == [0, 2]
