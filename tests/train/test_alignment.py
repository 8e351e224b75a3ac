import numpy as np
import pytest
import torch

from omicsbal.balance import fresh
from omicsbal.train.alignment import align, spaces
from omicsbal.train.forward import all_members
from omicsbal.train.members import Members


@pytest.fixture(scope="module")
def case(toy, fit):
    """A fit, and the raw embeddings {space: (K, n, k)} of its members; member 3 is the reference."""
    data = toy(n=90, absent=0.3)
    predictor = fit(data, max_epochs=6, n_full=2).predictor
    raw = {s: z.numpy() for s, z in spaces(next(all_members(predictor.net, predictor.strategy, data.data))).items()}
    return data, predictor, raw


def distances(z: np.ndarray) -> np.ndarray:
    return np.linalg.norm(z[:, None] - z[None], axis=-1)


def test_members_are_moved_rigidly(case):
    _, predictor, raw = case
    for space, z in raw.items():
        moved = predictor.alignment.move(space, z, slice(None))
        turn = predictor.alignment.turn[space]
        np.testing.assert_allclose(turn @ turn.transpose(0, 2, 1), np.broadcast_to(np.eye(4), turn.shape), atol=1e-4)
        for k in range(len(z)):
            np.testing.assert_allclose(distances(moved[k]), distances(z[k]), atol=1e-3)


def test_the_reference_stays_where_it_is(case):
    _, predictor, raw = case
    for space, z in raw.items():
        np.testing.assert_allclose(predictor.alignment.move(space, z, slice(None))[3], z[3], atol=1e-4)


def test_members_come_closer_to_the_reference_on_the_rows_they_share(case):
    data, predictor, raw = case
    scored = Members(data.folds, 2).scored(torch.device("cpu")).numpy().astype(bool)
    for space, z in raw.items():
        moved = predictor.alignment.move(space, z, slice(None))
        here = data.present.get(space, np.ones(90, bool))
        for k in (0, 1, 2, 4):
            rows = scored[k] & here
            before, after = (np.linalg.norm(v[k, rows] - z[3, rows]) for v in (z, moved))
            assert after <= before + 1e-4
            centred = np.linalg.norm(z[k, rows] - z[k, rows].mean(0) + z[3, rows].mean(0) - z[3, rows])
            assert after <= centred + 1e-4, "no worse than moving the centre alone"


def test_no_other_rotation_does_better(case):
    data, predictor, raw = case
    rng, z = np.random.default_rng(0), raw["fused"]
    rows = data.folds != 0
    source, target = z[0, rows] - z[0, rows].mean(0), z[3, rows] - z[3, rows].mean(0)
    best = np.linalg.norm(source @ predictor.alignment.turn["fused"][0] - target)
    for _ in range(50):
        other = np.linalg.qr(rng.normal(size=(4, 4)))[0]
        assert best <= np.linalg.norm(source @ other - target) + 1e-5


def test_a_turned_copy_is_turned_back(toy, loop):
    data = toy()
    run = loop(data, n_full=2, strategy="joint")
    net, members = run.net, Members(data.folds, 2)
    turn = torch.linalg.qr(torch.randn(4, 4, generator=torch.Generator().manual_seed(0)))[0]
    with torch.no_grad():  # member 4 becomes member 3, seen from elsewhere
        for parameter in net.parameters():
            parameter[4] = parameter[3]
        for project in net.fusion.project:
            project.weight[4] = project.weight[3] @ turn
            project.bias[4] = project.bias[3] @ turn + 5
    alignment = align(net, fresh("joint"), data.data, members)
    joint = next(all_members(net, fresh("joint"), data.data)).joint.numpy()
    assert np.abs(joint[4] - joint[3]).max() > 1
    moved = alignment.move("fused", joint, slice(None))
    np.testing.assert_allclose(moved[4], joint[3], atol=1e-3)


def test_held_out_rows_teach_nothing_about_their_member(case):
    """The motion of a fold member is learnt where it was trained: the rows of its fold may be anything."""
    data, predictor, raw = case
    members, held = Members(data.folds, 2), torch.from_numpy(data.folds == 1)
    spoilt = type(data.data)({m: x.clone() for m, x in data.data.x.items()}, data.data.present, data.data.y, data.data.weight)
    for x in spoilt.x.values():
        x[held] += 3
    one, two = (align(predictor.net, predictor.strategy, d, members) for d in (data.data, spoilt))
    for space in raw:
        assert np.allclose(one.turn[space][1], two.turn[space][1], atol=1e-5)
        assert np.allclose(one.centre[space][1], two.centre[space][1], atol=1e-5)
    assert not np.allclose(one.centre["rna"][0], two.centre["rna"][0], atol=1e-5)


def test_new_rows_are_embedded_by_the_reference(case):
    data, predictor, raw = case
    embedded = predictor.embed(data.data)
    for space, z in raw.items():
        here = data.present.get(space, np.ones(90, bool))
        np.testing.assert_allclose(embedded[space][here], z[3][here], atol=1e-4)
        assert np.isnan(embedded[space][~here]).all() and embedded[space].dtype == np.float32


def test_two_folds_without_all_row_members_share_no_row_and_are_aligned_on_all(toy, fit):
    data = toy(n=60)
    data = type(data)(data.data, data.outcome, data.folds % 2)
    predictor = fit(data, n_full=0).predictor
    for space, z in spaces(next(all_members(predictor.net, predictor.strategy, data.data))).items():
        before, after = (
            np.linalg.norm(v[1] - z[0].numpy()) for v in (z.numpy(), predictor.alignment.move(space, z.numpy(), slice(None)))
        )
        assert after < before


def test_chunks_do_not_matter(toy, fit, monkeypatch):
    data = toy(n=60, absent=0.3)
    predictor = fit(data).predictor
    whole = predictor.alignment
    monkeypatch.setattr("omicsbal.train.forward.CHUNK", 7)
    parts = align(predictor.net, predictor.strategy, data.data, predictor.members)
    for space in whole.turn:
        np.testing.assert_allclose(parts.turn[space], whole.turn[space], atol=1e-4)
        np.testing.assert_allclose(parts.centre[space], whole.centre[space], atol=1e-5)


def test_without_all_row_members_the_first_fold_member_is_the_reference(toy, fit):
    data = toy(n=90, absent=0.3)
    predictor = fit(data, max_epochs=4, n_full=0).predictor
    for space, z in spaces(next(all_members(predictor.net, predictor.strategy, data.data))).items():
        moved = predictor.alignment.move(space, z.numpy(), slice(None))
        np.testing.assert_allclose(moved[0], z[0].numpy(), atol=1e-4)
        assert not np.allclose(moved[1], z[1].numpy(), atol=1e-2)


def test_held_out_rows_lie_where_new_rows_like_them_would(toy, fit):
    """Rows embedded by different fold members share a plot with each other and with new rows."""
    data = toy(n=90)
    fitted = fit(data, max_epochs=20, n_full=2)
    predictor = fitted.predictor
    raw = spaces(next(all_members(predictor.net, predictor.strategy, data.data)))
    for space, z in predictor.embed(data.data).items():
        spread = np.linalg.norm(z - z.mean(0), axis=1).mean()
        unmoved = raw[space].numpy()[data.folds, np.arange(90)]
        far, near = (np.linalg.norm(held - z, axis=1).mean() for held in (unmoved, fitted.embeddings[space]))
        assert near < spread and near < 0.75 * far, (space, near, far, spread)


def test_a_member_that_never_met_a_modality_still_has_a_motion(toy, fit):
    """Every row with "atac" lies in one fold, so that fold's member shares none with the reference."""
    data = toy(n=60)
    data.data.present["atac"].copy_(torch.from_numpy(data.folds == 1))
    result = fit(data, max_epochs=2)
    motion = result.predictor.alignment
    assert all(np.isfinite(values).all() for part in (motion.centre, motion.turn, motion.home) for values in part.values())
    assert np.isfinite(result.embeddings["atac"][data.folds == 1]).all()
