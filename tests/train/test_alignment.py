import numpy as np
import pytest
import torch

from omicsbal._types import FUSED
from omicsbal.train.alignment import align, spaces
from omicsbal.train.forward import all_members


@pytest.fixture(params=[2, 0])
def case(toy, fit, request):
    """Arrays with gaps, and a predictor with and without all-row members."""
    data = toy(n=90, absent=0.3)
    return data, fit(data, max_epochs=4, n_full=request.param)


def embedded(data, predictor) -> dict[str, np.ndarray]:
    """Unaligned embeddings (K, n, k) of all members, by space."""
    outputs = all_members(predictor.net, predictor.strategy, data.data)[0]
    return {name: z.numpy() for name, z in spaces(outputs).items()}


def distances(z: np.ndarray) -> np.ndarray:
    return np.linalg.norm(z[:, :, None] - z[:, None], axis=-1)


def test_the_motion_is_rigid(case) -> None:
    data, fitted = case
    predictor = fitted.predictor
    for name, z in embedded(data, predictor).items():
        moved = predictor.alignment.move(name, z, slice(None))
        assert moved.shape == z.shape and moved.dtype == np.float32
        np.testing.assert_allclose(distances(moved), distances(z), atol=1e-4)
        turn = predictor.alignment.turn[name]
        np.testing.assert_allclose(turn @ turn.transpose(0, 2, 1), np.broadcast_to(np.eye(4), turn.shape), atol=1e-5)


def test_the_reference_stays_where_it_is(case) -> None:
    data, fitted = case
    predictor = fitted.predictor
    reference = predictor.members.deployed.start or 0
    for name, z in embedded(data, predictor).items():
        np.testing.assert_allclose(predictor.alignment.move(name, z, slice(None))[reference], z[reference], atol=1e-5)


def test_members_come_as_near_to_the_reference_as_a_rigid_motion_can(case) -> None:
    """Against scipy's Procrustes rotation, on the rows that both were trained on and that have the modality."""
    from scipy.linalg import orthogonal_procrustes

    data, fitted = case
    predictor = fitted.predictor
    members = predictor.members
    reference, scored = members.deployed.start or 0, members.scored(torch.device("cpu")).numpy().astype(bool)
    for name, z in embedded(data, predictor).items():
        here = data.present[name] if name != FUSED else np.ones(len(data.y), dtype=bool)
        moved = predictor.alignment.move(name, z, slice(None))
        for k in range(len(z)):
            rows = scored[k] & scored[reference] & here
            own, goal = (v - v[rows].mean(0) for v in (z[k], z[reference]))
            best = own @ orthogonal_procrustes(own[rows], goal[rows])[0] + z[reference][rows].mean(0)
            error, least = (np.linalg.norm((v - z[reference])[rows]) for v in (moved[k], best))
            assert error == pytest.approx(least, rel=1e-3, abs=1e-4)
            assert error <= np.linalg.norm((z[k] - z[reference])[rows]) + 1e-4, "doing nothing would have been better"


def test_members_that_differ_by_a_rigid_motion_fall_together(case) -> None:
    """Turn and shift one member's embeddings through its own weights: alignment takes the motion out."""
    data, fitted = case
    net, members = fitted.predictor.net, fitted.predictor.members
    generator = torch.Generator().manual_seed(0)
    turn = torch.linalg.qr(torch.randn(4, 4, generator=generator))[0]
    with torch.no_grad():
        for parameter in net.parameters():
            parameter[1] = parameter[members.deployed.start or 0]  # a copy of the reference ...
        for projection in net.fusion.project:
            projection.weight[1] @= turn  # ... in coordinates of its own
            projection.bias[1] = projection.bias[1] @ turn + 3.0
    alignment = align(net, fitted.predictor.strategy, data.data, members)
    z = embedded(data, fitted.predictor)[FUSED]
    moved = alignment.move(FUSED, z, slice(None))
    assert np.abs(z[1] - z[members.deployed.start or 0]).max() > 1
    np.testing.assert_allclose(moved[1], z[members.deployed.start or 0], atol=2e-4)


def test_labels_are_out_of_reach(case) -> None:
    data, fitted = case
    before = align(fitted.predictor.net, fitted.predictor.strategy, data.data, fitted.predictor.members)
    data.data.y.zero_()
    after = align(fitted.predictor.net, fitted.predictor.strategy, data.data, fitted.predictor.members)
    assert all(np.array_equal(before.turn[name], after.turn[name]) for name in before.turn)


def test_held_out_embeddings_lie_near_those_of_members_that_saw_the_row(toy, fit) -> None:
    data = toy(n=90)
    fitted = fit(data, max_epochs=15, n_full=2)
    for name, z in fitted.predictor.embed(data.data).items():
        held = fitted.embeddings[name]
        spread = np.linalg.norm(z - z.mean(0), axis=1).mean()
        assert np.linalg.norm(held - z, axis=1).mean() < spread, "rows of different folds could not share a plot"


def test_a_modality_that_a_member_never_met_is_no_number_nowhere(toy, fit) -> None:
    """All rows with "atac" lie in one fold, so that fold's member has nothing to align by."""
    data = toy(n=60)
    data.data.present["atac"].copy_(torch.from_numpy(data.folds == 1))
    alignment = fit(data, max_epochs=2, n_full=1).predictor.alignment
    for part in (alignment.centre, alignment.turn, alignment.home):
        assert all(np.isfinite(v).all() for v in part.values())
