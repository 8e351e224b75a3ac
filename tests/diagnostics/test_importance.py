"""Gradients against a net whose gradients are known; features against products made the long way."""

import copy

import numpy as np
import pytest
import scipy.sparse as sp
import torch

import omicsbal as ob
from omicsbal.diagnostics import attribution
from omicsbal.diagnostics.attribution import path_gradients
from omicsbal.diagnostics.importance import agreement, balanced_weights, carried_back, depth_of, top, top_shares


@pytest.fixture(scope="module")
def two_types():
    """60 cells of two types; a net with two fold members and two of all rows, and arrays."""
    mdata = ob.datasets.simulate(n_obs=60, n_truth=100, preset="redundant", n_classes=2, n_features=30, random_state=0)
    net = ob.NetConfig(width=8, depth=2, latent=4)
    options = {"config": ob.FitConfig(max_epochs=4, n_members=2), "net": net, "device": "cpu", "progress": False}
    model = ob.tl.fit(mdata, label_key="cell_type", n_folds=2, experts=False, **options)
    return model, model.arrays(mdata, device="cpu")[0]


def _ask(model, data, *, head, rows, n_steps=64, shift=0.0, code=1):
    baseline = {m: np.full((4, x.shape[1]), shift, np.float32) for m, x in data.x.items()}
    return path_gradients(model.predictor, data, head=head, code=code, rows=rows, baseline=baseline, n_steps=n_steps)


def test_of_a_linear_net_they_are_the_weights_of_each_member(two_types):
    model, data = copy.deepcopy(two_types)
    net, rows = model.predictor.net, np.arange(12).reshape(4, 3)
    encoder, head = net.encoders[1], net.heads[1]
    with torch.no_grad():
        encoder.mlp[-1].weight.zero_()  # the route alone is left
        encoder.route.weight.normal_(generator=torch.Generator().manual_seed(0))
    told = _ask(model, data, head="atac", rows=rows, n_steps=3, shift=0.3)
    assert list(told.mean) == ["atac"], "nothing else is seen"
    into = encoder.route.weight.detach().double().numpy()
    out = head.weight.detach().double().numpy()
    slope = into @ (out[..., 1:] - out[..., :1]) / model.predictor.temperatures["atac"]
    expected = encoder.tilt.double().numpy() * slope[..., 0]
    assert not np.allclose(expected[0], expected[1]), "members differ"
    for b in range(3):
        np.testing.assert_allclose(told.mean["atac"][:, b], expected, rtol=1e-4, atol=1e-6)
    moved = data.x["atac"].double().numpy()[rows] - np.float32(0.3)
    np.testing.assert_allclose(told.gain, (moved * expected[:, None]).sum(-1), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(told.error, 0, atol=1e-4)


def test_attributions_sum_to_what_the_log_odds_gain_and_more_points_err_less(two_types):
    model, data = two_types
    rows = np.arange(20).reshape(4, 5)
    coarse, fine = (_ask(model, data, head="fused", rows=rows, n_steps=n) for n in (2, 200))
    assert np.abs(fine.error).max() < 1e-3 < np.abs(coarse.error).max()
    np.testing.assert_array_equal(fine.gain, coarse.gain)
    summed = sum((data.x[m].double().numpy()[rows] * fine.mean[m]).sum(-1) for m in fine.mean)
    np.testing.assert_allclose(summed, fine.gain + fine.error, atol=1e-4)
    other = _ask(model, data, head="fused", rows=rows, code=0)
    np.testing.assert_allclose(other.gain, -fine.gain, atol=1e-5, err_msg="of two types one's odds are the other's, inverted")


def test_members_read_their_own_rows_however_the_work_is_cut(two_types, monkeypatch):
    model, data = two_types
    rows = np.arange(20).reshape(4, 5)
    whole = _ask(model, data, head="fused", rows=rows)
    monkeypatch.setattr(attribution, "POINTS", 64 * 4 * 2)
    cut = _ask(model, data, head="fused", rows=rows)
    np.testing.assert_allclose(cut.gain, whole.gain, atol=1e-6)
    for m in whole.mean:
        np.testing.assert_allclose(cut.mean[m], whole.mean[m], atol=1e-6)
    swapped = _ask(model, data, head="fused", rows=rows[[1, 0, 2, 3]])
    assert not np.allclose(swapped.gain[:2], whole.gain[:2][::-1], atol=1e-3)
    np.testing.assert_allclose(swapped.gain[2:], whole.gain[2:], atol=1e-6)


def test_heads_that_only_watched_in_training_are_explained_too(two_types):
    model, data = copy.deepcopy(two_types)
    rows = np.arange(12).reshape(4, 3)
    before = _ask(model, data, head="rna", rows=rows)
    model.predictor.strategy.probes = True
    after = _ask(model, data, head="rna", rows=rows)
    np.testing.assert_allclose(after.mean["rna"], before.mean["rna"], atol=1e-7)
    assert np.abs(after.error).mean() < 0.05 * np.abs(after.gain).mean()


def test_what_is_absent_stays_absent(two_types):
    model, data = two_types
    present = {m: p.clone() for m, p in data.present.items()}
    present["rna"][:5] = False
    rows = np.tile(np.arange(10), (4, 1))
    told = _ask(model, type(data)(data.x, present, data.y, data.weight), head="fused", rows=rows, n_steps=256)
    assert (told.mean["rna"][:, :5] == 0).all() and (told.mean["rna"][:, 5:] != 0).any(-1).all()
    assert np.abs(told.error).max() < 0.05


@pytest.mark.parametrize("sparse", [True, False])
@pytest.mark.parametrize("rotated", [True, False])
def test_features_sum_to_what_columns_sum_to(sparse, rotated):
    rng = np.random.default_rng(0)
    v, W = rng.poisson(0.5, (7, 12)).astype(float), rng.normal(size=(12, 4)) if rotated else np.eye(12)
    start, g = rng.normal(size=12), rng.normal(size=(7, W.shape[1]))
    found = carried_back(sp.csr_matrix(v) if sparse else v, start, g, axes=W if rotated else None, gain=1.7)
    by_cell = (v - start) * (1.7 * g @ W.T)
    np.testing.assert_allclose(found, by_cell.mean(0))
    columns = (1.7 * (v - start) @ W) * g
    assert found.sum() == pytest.approx(columns.sum(1).mean())


def test_the_baseline_weighs_classes_the_same():
    y = np.array([0, 0, 0, 1, 2, 2])
    weights = balanced_weights(y, np.array([[1, 1, 1, 1, 1, 1], [0, 1, 1, 1, 0, 0], [0] * 6], bool))
    np.testing.assert_allclose(weights, [[1 / 9] * 3 + [1 / 3] + [1 / 6] * 2, [0, 0.25, 0.25, 0.5, 0, 0], [0] * 6])


def test_agreement_by_hand_and_of_noise():
    one = np.array([4.0, -3.0, 2.0, 1.0])
    assert top(one, 2).tolist() == [0, 1] and depth_of(14, 50) == 7 and depth_of(500, 50) == 50 and depth_of(1, 5) == 1
    assert agreement(np.stack([one, -one]), 2) == (-1.0, 1.0)
    assert agreement(np.stack([one, one, one[::-1]]), 2)[1] == pytest.approx((1 + 0 + 0) / 3)
    np.testing.assert_array_equal(top_shares(np.stack([one, one[::-1]]), 2), [0.5, 0.5, 0.5, 0.5])
    assert np.isnan(agreement(one[None], 2)).all()
    assert np.isnan(agreement(np.stack([one, np.zeros(4)]), 2)[0])
    assert top(np.array([0.0, 2.0, 0.0]), 3).tolist() == [1] and np.isnan(agreement(np.zeros((2, 4)), 2)).all()
    assert (top_shares(np.zeros((2, 4)), 2) == 0).all(), "what has no part is not among the first"
    spearman, overlap = agreement(np.random.default_rng(0).normal(size=(6, 2000)), 50)
    assert abs(spearman) < 0.03 and overlap < 0.05
