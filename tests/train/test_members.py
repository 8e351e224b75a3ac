import numpy as np
import pytest
import torch

from omicsbal.train.batches import pick, shuffled
from omicsbal.train.members import Members

FOLDS = np.array([2, 0, 1, 0, 2, 0])


def test_each_row_is_hidden_from_the_member_of_its_fold_alone():
    scored = Members(FOLDS, n_full=2).scored(torch.device("cpu"))
    assert scored.shape == (5, 6)
    for row, fold in enumerate(FOLDS):
        assert [k for k in range(5) if scored[k, row] == 0] == [fold]


def test_all_row_members_are_deployed_if_there_are_any():
    assert list(range(5))[Members(FOLDS, n_full=2).deployed] == [3, 4]
    assert list(range(3))[Members(FOLDS, n_full=0).deployed] == [0, 1, 2]


def test_held_out_rows_of_unequal_folds():
    table, valid = Members(FOLDS, n_full=0).held_out()
    assert table.shape == (3, 3)
    assert [row[mask].tolist() for row, mask in zip(table, valid, strict=True)] == [[1, 3, 5], [2], [0, 4]]


def test_an_epoch_has_every_row_once_in_even_batches(toy):
    data = toy(n=59).data
    scored, generator = torch.ones(2, 59), torch.Generator().manual_seed(0)
    epochs = [list(shuffled(data, scored, size=20, generator=generator)) for _ in range(2)]
    for batches in epochs:
        assert sorted(len(b.y) for b in batches) == [19, 20, 20]
        assert torch.cat([b.index for b in batches]).sort().values.tolist() == list(range(59))
    assert not torch.equal(epochs[0][0].index, epochs[1][0].index)


def test_a_batch_carries_its_rows(toy):
    data, index = toy(n=12, absent=0.4).data, torch.tensor([7, 2, 2])
    scored = torch.arange(24.0).view(2, 12)
    batch = pick(data, scored, index)
    assert torch.equal(batch.scored, scored[:, [7, 2, 2]]) and torch.equal(batch.y, data.y[index])
    assert all(torch.equal(batch.x[m], x[index]) for m, x in data.x.items())
    assert all(torch.equal(batch.present[m], p[index]) for m, p in data.present.items())
    assert torch.equal(batch.weight, data.weight[index]) and torch.equal(batch.index, index)


def test_a_member_for_each_two_folds_trains_on_neither():
    members = Members(FOLDS, n_full=1, in_pairs=True)
    assert members.pairs == [(0, 1), (0, 2), (1, 2)] and (members.total, members.n_more, members.reference) == (7, 4, 6)
    scored = members.scored(torch.device("cpu"))
    for k, pair in enumerate(members.pairs, start=3):
        assert [FOLDS[i] for i in range(6) if scored[k, i] == 0] == [f for f in FOLDS if f in pair]
    assert scored[6].all() and torch.equal(scored[:3], Members(FOLDS, n_full=0).scored(torch.device("cpu")))
    assert Members(FOLDS, n_full=2).pairs == [] and list(range(7))[members.deployed] == [6]


@pytest.mark.parametrize("n_folds", [3, 4, 5])
def test_a_teacher_has_seen_neither_the_fold_that_it_teaches_nor_the_one_its_student_is_judged_by(n_folds):
    folds = np.arange(4 * n_folds) % n_folds
    members = Members(folds, n_full=0, in_pairs=True)
    scored, table = members.scored(torch.device("cpu")).numpy(), members.teachers(n_folds + 2)
    assert table.shape == (n_folds + 2, n_folds) and len(members.pairs) == n_folds * (n_folds - 1) // 2
    for student in range(n_folds + 2):
        for j in range(n_folds):
            seen = set(folds[scored[table[student, j]] > 0])
            if student == j:
                assert table[student, j] == j, "a fold member is not taught about its own fold"
            elif student < n_folds:
                assert seen == set(range(n_folds)) - {student, j} and table[student, j] >= n_folds
            else:
                assert table[student, j] == j and seen == set(range(n_folds)) - {j}, "fold members teach those that saw all"
