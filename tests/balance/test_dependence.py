"""How much the predictions of modalities depend on each other, and what must not look like it."""

import numpy as np
import pytest
import torch

from omicsbal.balance import _dependence as dependence


def shared_by(columns, n, present=None):
    folds = torch.arange(n) % 3
    values = {m: torch.as_tensor(v).view(n, -1) for m, v in columns.items()}
    here = {m: torch.ones(n, dtype=torch.bool) for m in columns} | (present or {})
    return dependence.mean_dependence(values, here, folds).tolist()


def test_dependence_is_the_mean_squared_correlation_with_the_others():
    rng = np.random.default_rng(0)
    a, e, other = rng.normal(size=(3, 3000))
    found = shared_by({"a": a, "b": 0.8 * a + 0.6 * e, "c": other}, 3000)
    assert found == pytest.approx([0.32, 0.32, 0.0], abs=0.02) and found[2] == 0, "what could be chance counts as none"
    assert shared_by({"a": a}, 3000) == [0.0]


def test_rows_that_lack_either_modality_and_pairs_with_few_rows_do_not_count():
    rng = np.random.default_rng(0)
    a, noise = rng.normal(size=(2, 600))
    b, here = a + 0.1 * noise, torch.arange(600) < 300
    b[300:] = np.nan  # anything where absent
    assert shared_by({"a": a, "b": b}, 600, {"b": here})[0] > 0.9
    few = torch.arange(600) < dependence.FEW - 1
    found = shared_by({"a": a, "b": b, "c": a}, 600, {"b": few})
    assert found[0] > 0.9 and np.isnan(found[1]) and found[2] > 0.9


def test_many_rows_are_thinned(monkeypatch):
    sizes = []
    monkeypatch.setattr(dependence, "squared_correlation", lambda a, b: sizes.append(len(a)) or 0.5)
    columns = np.random.default_rng(0).normal(size=(2, 12000))
    assert shared_by({"a": columns[0], "b": columns[1]}, 12000) == [0.5, 0.5] and sizes == [4000]


def test_label_coordinates_have_no_fold_means_and_leave_the_input_alone():
    folds = torch.arange(600) % 3
    values = (torch.randn(600, 3, generator=torch.Generator().manual_seed(0)) + folds[:, None]).log_softmax(-1).double()
    values += folds[:, None]
    before = values.clone()
    found = dependence.label_coordinates(values, folds)
    assert torch.equal(values, before) and found.shape == (600, 2)
    np.testing.assert_allclose([found[folds == k].mean(axis=0) for k in range(3)], 0, atol=1e-9)
