"""Stage 0: what a modality alone may say, to whom, and whose labels went into it."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from omicsbal.balance import Distill
from omicsbal.config import FitConfig, NetConfig
from omicsbal.train import intervals
from omicsbal.train import stages as module
from omicsbal.train.classes import Classes
from omicsbal.train.forward import out_of_fold
from omicsbal.train.intervals import half_width
from omicsbal.train.members import Members
from omicsbal.train.references import check_folds, reference_table, references_of, whole
from omicsbal.train.stages import Stages

NET = NetConfig(width=6, depth=1, latent=4, dropout=0.2)
CONFIG = FitConfig(max_epochs=4, batch_size=20, evaluations=2, n_members=2)


@pytest.fixture(autouse=True)
def few_draws(monkeypatch):
    """The interval of a gain is not the point here, and costs seconds."""
    monkeypatch.setattr(intervals, "DRAWS", 2)


def stage_zero(toy, config=CONFIG):
    return Stages(toy.data, toy.folds, toy.outcome, NET, config, 0)


@pytest.fixture
def blindfold(monkeypatch):
    """Epochs and temperatures come from all out-of-fold rows, one number each for all of them: held fixed here."""
    monkeypatch.setattr(module, "judge_by", lambda *_, **__: lambda outputs: (0.0, {}))
    monkeypatch.setattr(Classes, "temperature", lambda *_: 1.0)


def other_labels(toy, fold):
    """The same rows, every label of one fold another."""
    y, held = toy.data.y.clone(), torch.from_numpy(toy.folds == fold)
    y[held] = (y[held] + 1) % 3
    return replace(toy, data=replace(toy.data, y=y))


@pytest.mark.parametrize("fold", [0, 1, 2])
def test_no_label_of_a_students_held_out_fold_reaches_it_through_its_teachers(toy, blindfold, fold):
    """Bit for bit, in targets and embeddings, for every row that it trains on; all other students notice."""
    before = toy(absent=0.2)
    one, two = (stage_zero(t).make_references() for t in (before, other_labels(before, fold)))
    learnt = torch.from_numpy(before.folds != fold)
    for m in before.data.x:
        told = [(r.targets[m], r.features(m)) for r in (one, two)]
        for first, second in zip(*told, strict=True):
            assert torch.equal(first[fold, learnt], second[fold, learnt])
            others = [k for k in range(5) if k != fold]
            assert all(not torch.equal(first[k], second[k]) for k in others)
        assert not torch.equal(one.held_out[m], two.held_out[m])


def test_no_row_teaches_itself(toy, blindfold):
    """A row's own label reaches neither its out-of-fold output nor what anyone is taught of it."""
    before = toy()
    one, two = (stage_zero(t).make_references() for t in (before, other_labels(before, 1)))
    own = torch.from_numpy(before.folds == 1)
    for m in before.data.x:
        assert torch.equal(one.held_out[m][own], two.held_out[m][own])
        assert torch.equal(one.embeddings[m][own], two.embeddings[m][own])
        assert torch.equal(one.targets[m][:, own], two.targets[m][:, own])


@pytest.mark.parametrize("fold", [0, 2])
def test_a_taught_member_never_learns_the_labels_that_it_is_judged_by(toy, fit, blindfold, fold):
    """The whole fit, two stages of it: fold member k does not change, the others do."""
    strategy = Distill(gate="always", feature=0.5, relation=0.5, teachers={"atac": "rna", "protein": "rna"})
    before = toy(absent=0.2)
    runs = [(before, strategy), (other_labels(before, fold), strategy), (before, "unimodal")]
    fits = [fit(t, strategy=s, experts=False, n_full=2, max_epochs=4) for t, s in runs]
    one, two, alone = (dict(f.predictor.net.named_parameters()) for f in fits)
    moved = {k for n in one for k in range(5) if not torch.equal(one[n][k], two[n][k])}
    assert moved == {0, 1, 2, 3, 4} - {fold}
    assert any(not torch.equal(one[n], alone[n]) for n in one), "and it was taught"


def test_targets_are_those_of_the_member_in_the_table(toy):
    """Slowly: row by row, calibrated by one temperature a modality."""
    data = toy(n=30, absent=0.3)
    stages = stage_zero(data)
    members, alone = Members(data.folds, 0, in_pairs=True), module.Alone()
    net, generator = stages.new_net(members)
    stages.run("reference", net, alone, members, generator)
    found = references_of(net, alone, data.data, members, data.outcome, n_students=5)
    table = members.teachers(5)
    for m, (raw, z) in whole(net, alone, data.data).items():
        here = data.present[m]
        own = data.outcome.link(out_of_fold(net, alone, data.data, members).unimodal[m][0].double().numpy())
        temperature = data.outcome.temperature(data.y[here], own[here])
        assert found.scores[m] == data.outcome.scores(data.y[here], own[here])["macro_f1"], "a temperature moves no argmax"
        for i, fold in enumerate(data.folds):
            torch.testing.assert_close(found.embeddings[m][i], z[fold, i])
            for k in range(5):
                expected = data.outcome.soften(data.outcome.link(raw[table[k, fold], i].double().numpy()), temperature)
                torch.testing.assert_close(found.targets[m][k, i], torch.from_numpy(expected).float())
        np.testing.assert_allclose(found.held_out[m].numpy(), data.outcome.soften(own, temperature), rtol=1e-4, atol=1e-5)


def test_a_students_teachers_share_one_space(toy):
    """Moved rigidly: distances within the rows of one teacher are kept, and all lie near those of the first."""
    data = toy(n=90, absent=0.2)
    stages = stage_zero(data)
    members, alone = Members(data.folds, 0, in_pairs=True), module.Alone()
    net, generator = stages.new_net(members)
    stages.run("reference", net, alone, members, generator)
    found = references_of(net, alone, data.data, members, data.outcome, n_students=5)
    table, folds = members.teachers(5), data.folds
    for m, (_, z) in whole(net, alone, data.data).items():
        moved = found.features(m)
        assert moved.shape == (5, 90, NET.latent)
        for k in range(5):
            first = table[k][folds[folds != k][0]]
            near, far = [], []
            for j in range(3):
                rows = torch.from_numpy((folds == j) & data.present[m])
                mine = z[table[k, j], rows]
                torch.testing.assert_close(
                    torch.cdist(moved[k, rows], moved[k, rows]), torch.cdist(mine, mine), rtol=1e-3, atol=1e-3
                )
                if table[k, j] == first:
                    torch.testing.assert_close(moved[k, rows], z[first, rows], rtol=1e-3, atol=1e-3)
                else:
                    near.append((moved[k, rows] - z[first, rows]).square().sum().item())
                    far.append((mine - z[first, rows]).square().sum().item())
            assert sum(near) < sum(far)


def test_rows_without_a_modality_have_no_part_in_its_scores(toy):
    data = toy(absent=0.3)
    references = stage_zero(data).make_references()
    before = reference_table(references, data.data, data.outcome)
    for m, p in data.data.present.items():
        references.held_out[m][~p] = -50.0
    again = reference_table(references, data.data, data.outcome)
    assert again == before and [r["n"] for r in before] == [float(p.sum()) for p in data.present.values()]


def test_values_where_absent_change_nothing(toy):
    data = toy(absent=0.3)
    junk = {m: x.masked_fill(~data.data.present[m].unsqueeze(-1), 1e4) for m, x in data.data.x.items()}
    one, two = (stage_zero(t).make_references() for t in (data, replace(data, data=replace(data.data, x=junk))))
    assert one.scores == two.scores
    for m in junk:
        here = data.data.present[m]
        assert torch.equal(one.targets[m][:, here], two.targets[m][:, here])
        assert torch.equal(one.features(m)[:, here], two.features(m)[:, here])


@pytest.mark.parametrize("classes", [3, 0])
def test_the_table_says_how_each_does_alone(toy, classes):
    data = toy(n=90, classes=classes)
    references = stage_zero(data).make_references()
    records = reference_table(references, data.data, data.outcome)
    assert [r["modality"] for r in records] == list(data.data.x)
    for record in records:
        told = references.held_out[record["modality"]].double().numpy()
        expected = data.outcome.scores(data.y, told)
        assert {k: record[k] for k in expected} == pytest.approx(expected)
        assert record[data.outcome.metric] == pytest.approx(references.scores[record["modality"]], abs=1e-5)
        for metric in (data.outcome.metric, data.outcome.loss):
            parts = [data.outcome.scores(data.y[data.folds == k], told[data.folds == k])[metric] for k in range(3)]
            half, (low, high) = half_width(np.array(parts)), data.outcome.ranges[metric]
            assert record[f"{metric}_low"] == pytest.approx(max(record[metric] - half, low))
            assert record[f"{metric}_high"] == pytest.approx(min(record[metric] + half, high))


def test_two_folds_leave_a_teacher_nothing_to_learn_from(toy, fit):
    data = replace(toy(), folds=toy().folds % 2)
    for strategy in ("distill", "mutual"):
        with pytest.raises(ValueError, match="`n_folds`: expected at least 3 for a strategy with teachers; found 2"):
            fit(data, strategy=strategy)
    for strategy in (Distill("never"), "uniform"):
        fit(data, strategy=strategy, experts=False)
    check_folds(3)


def test_there_is_a_target_for_every_member_of_the_fit(toy):
    """However many of them see every row."""
    for n_members in (0, 1):
        found = stage_zero(toy(), replace(CONFIG, n_members=n_members)).make_references()
        assert {len(t) for t in (*found.targets.values(), found.features("rna"))} == {3 + n_members}


def test_arrays_are_left_alone(toy):
    data = toy(absent=0.2)
    tensors = lambda d: [*d.x.values(), *d.present.values(), d.y, d.weight]  # noqa: E731
    before = [t.clone() for t in tensors(data.data)]
    references = stage_zero(data).make_references()
    told = [*references.targets.values(), *references.held_out.values(), references.features("rna")]
    assert all(torch.equal(a, b) for a, b in zip(before, tensors(data.data), strict=True))
    assert not any(t.requires_grad for t in told)
