"""The marks that a model keeps of its training rows, on arrays: rounding, order, size."""

import time

import numpy as np
import pytest
import scipy.sparse as sp
import torch

from omicsbal.loader import to_arrays
from omicsbal.model import TrainingRows
from omicsbal.model._training_rows import NEAR, PROJECTIONS
from omicsbal.pp import RECIPES


def arrays(blocks, present=None):
    n = len(next(iter(blocks.values())))
    present = present or {m: np.ones(n, dtype=bool) for m in blocks}
    return to_arrays(blocks, present, y=np.zeros(n, dtype=np.int64), weight=np.ones(n), device=torch.device("cpu"))


def names(n):
    return [f"cell_{i}" for i in range(n)]


def block(n=60, d=20, seed=0):
    return np.random.default_rng(seed).normal(size=(n, d)).astype(np.float32)


@pytest.mark.parametrize("n", [80, 1200])  # all components, and some
@pytest.mark.parametrize("name", RECIPES)
def test_blocks_of_some_rows_differ_by_rounding_alone(name, n):
    rng = np.random.default_rng(0)
    X = rng.poisson(np.exp(rng.normal(0, 1, 250)), (n, 250)).astype(np.float32)
    X = sp.csr_matrix(X) if RECIPES[name].counts else np.log1p(X) + rng.normal(0, 0.1, X.shape).astype(np.float32)
    recipe = RECIPES[name]().fit(X)
    rows = TrainingRows.of(names(n), arrays({"m": recipe.transform(X)}))
    worst = 0.0
    for size in (1, 2, 7, n // 2):
        some = rng.choice(n, size, replace=False)
        again = arrays({"m": recipe.transform(X[some])})
        known = [names(n)[i] for i in some]
        assert rows.among(known, again, {"m": 1.0}).all()
        moved = np.abs(TrainingRows.of(known, again).sketches["m"] - rows.sketches["m"][some])
        worst = max(worst, float((moved / rows.sketches["m"].std(axis=0)).max()))
    assert worst < NEAR / 1000
    other = recipe.transform(X[rng.permutation(n)])
    assert rows.among(names(n), arrays({"m": other}), {"m": 1.0}).mean() < 0.05, "the same names, the values of others"


def test_order_and_values_are_those_of_the_fit():
    x = block()
    rows = TrainingRows.of(names(60), arrays({"m": x}))
    assert not rows.changed(names(60), arrays({"m": x})).any()
    assert not rows.changed([f"new_{n}" for n in names(60)], arrays({"m": x})).any(), "renamed is not changed"
    swapped = x.copy()
    swapped[[3, 9]] = x[[9, 3]]
    np.testing.assert_array_equal(np.flatnonzero(rows.changed(names(60), arrays({"m": swapped}))), [3, 9])
    gone = {"m": np.arange(60) != 4}
    np.testing.assert_array_equal(np.flatnonzero(rows.changed(names(60), arrays({"m": x}, gone))), [4])


def test_rows_that_look_alike_are_told_by_their_names():
    x = np.repeat(block(2), 30, axis=0)
    rows = TrainingRows.of(names(60), arrays({"m": x}))
    order = np.arange(60)
    order[[3, 9]] = 9, 3
    found = rows.changed([names(60)[i] for i in order], arrays({"m": x}))
    np.testing.assert_array_equal(np.flatnonzero(found), [3, 9])


def test_one_value_for_all_is_no_trouble():
    x = np.ones((60, 3), np.float32)
    rows = TrainingRows.of(names(60), arrays({"m": x}))
    assert rows.among(names(60), arrays({"m": x}), {"m": 1.0}).all()
    assert not rows.among(names(60), arrays({"m": x + 1}), {"m": 1.0}).any()


def test_at_least_half_of_what_can_be_compared():
    x = {m: block(seed=i) for i, m in enumerate("abc")}
    rows = TrainingRows.of(names(60), arrays(x))
    whole = dict.fromkeys("abc", 1.0)
    for changed, expected in (("", True), ("a", True), ("ab", False), ("abc", False)):
        now = {m: -v if m in changed else v for m, v in x.items()}
        assert (rows.among(names(60), arrays(now), whole) == expected).all(), changed
    absent = {"a": np.zeros(60, bool), "b": np.zeros(60, bool), "c": np.ones(60, bool)}
    assert rows.among(names(60), arrays(x, absent), whole).all()
    none = {m: np.zeros(60, bool) for m in x}
    assert not rows.among(names(60), arrays(x, none), whole).any()
    assert not rows.among([f"new_{n}" for n in names(60)], arrays(x), whole).any()


def test_none_kept_none_known():
    x = arrays({"m": block()})
    assert len(TrainingRows()) == 0 and TrainingRows().state() == {}
    assert not TrainingRows().among(names(60), x, {"m": 1.0}).any()
    assert len(TrainingRows.from_state({})) == 0


def test_fifty_thousand_rows_take_four_megabytes_and_a_moment():
    n = 50_000
    data = arrays({m: np.ones((n, 50), np.float32) * np.arange(n, dtype=np.float32)[:, None] for m in ("rna", "atac", "protein")})
    start = time.process_time()
    rows = TrainingRows.of(names(n), data)
    assert time.process_time() - start < 4  # .3 on an idle machine
    assert sum(v.nbytes for v in rows.state().values()) <= 4.1e6
    assert rows.names.dtype == np.uint64 and len(np.unique(rows.names)) == n
    start = time.process_time()
    assert rows.among(names(n), data, {}).all()
    assert time.process_time() - start < 4  # .3 on an idle machine


def test_two_of_two_modalities_need_not_agree():
    x = {"a": block(), "b": block(seed=1)}
    rows = TrainingRows.of(names(60), arrays(x))
    assert rows.among(names(60), arrays(x | {"b": -x["b"]}), {}).all()


def test_a_stranger_that_is_alike_in_one_modality_of_two_is_a_stranger():
    x = {"a": block(), "b": block(seed=1)}
    rows = TrainingRows.of(names(60), arrays(x))
    other = {"a": block(seed=2), "b": block(seed=3)}
    other["b"][:2] = x["b"][:2]
    assert not rows.among(names(60), arrays(other), {}).any()


def test_rows_that_moved_a_little_are_known_and_strangers_are_not():
    x = block(400)
    rows = TrainingRows.of(names(400), arrays({"m": x}))
    moved = lambda by: arrays({"m": x + by * block(400, seed=1)})  # noqa: E731
    assert rows.among(names(400), moved(0.02), {"m": 1.0}).all()
    assert not rows.among(names(400), moved(0.3), {"m": 1.0}).any()
    assert rows.among(names(400), moved(0.1), {"m": 0.9}).all(), "a tenth of the features is missing"
    assert rows.among(names(400), arrays({"m": block(400, seed=2)}), {"m": 0.9}).mean() < 0.01
    classes = 10 * block(4, seed=3)[np.arange(400) % 4]  # nearly all of the variance is between classes
    rows = TrainingRows.of(names(400), arrays({"m": x + classes}))
    assert rows.among(names(400), arrays({"m": block(400, seed=4) + classes}), {"m": 1.0}).mean() < 0.02


def test_values_that_many_share_decide_nothing():
    """A dozen patterns for sixty rows: strangers have the pattern of their name by chance."""
    patterns, rng = block(12), np.random.default_rng(0)
    x = {"a": patterns[rng.integers(12, size=60)], "b": block(seed=5)}
    rows = TrainingRows.of(names(60), arrays(x))
    strangers = {"a": patterns[rng.integers(12, size=60)], "b": block(seed=6)}
    assert not rows.among(names(60), arrays(strangers), {}).any()
    assert rows.among(names(60), arrays(x), {}).all()
    alone = TrainingRows.of(names(60), arrays({"a": x["a"]}))
    assert alone.among(names(60), arrays({"a": x["a"]}), {}).all()


def test_one_row_that_sticks_out_hides_no_other():
    x = block(120)
    x[0] *= 1e5
    rows = TrainingRows.of(names(120), arrays({"m": x}))
    assert not rows.among(names(120), arrays({"m": block(120, seed=1)}), {"m": 1.0}).any()
    other = x.copy()
    other[5] = -x[5]
    np.testing.assert_array_equal(np.flatnonzero(rows.changed(names(120), arrays({"m": other}))), [5])


@pytest.mark.parametrize("d", [1, 2, 3])
def test_narrow_blocks_are_compared_strictly(d):
    x = block(200, d)
    rows = TrainingRows.of(names(200), arrays({"m": x}))
    assert rows.sketches["m"].shape == (200, min(d, PROJECTIONS))
    assert rows.among(names(200), arrays({"m": x}), {"m": 1.0}).all()
    assert rows.among(names(200), arrays({"m": block(200, d, seed=1)}), {"m": 1.0}).mean() < 0.02


def test_new_names_may_be_old_names_of_others():
    x = block()
    rows = TrainingRows.of([str(i) for i in range(20, 80)], arrays({"m": x}))
    assert not rows.changed([str(i) for i in range(60)], arrays({"m": x})).any()
