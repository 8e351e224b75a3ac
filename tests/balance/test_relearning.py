import math

import numpy as np
import pytest
import torch

from omicsbal.balance import Relearning, relearning
from omicsbal.balance._purity import learning_gap, purity

MUTATIONS = [
    ('a * getattr(self, f"start_{i}_{j}") + (1 - a) * p', '(1 - a) * getattr(self, f"start_{i}_{j}") + a * p'),
    ("there & ~mine", "there"),
    ("np.flatnonzero(there & mine)", "np.flatnonzero(mine)"),
    ("found[learned.all(axis=1)] = mean", "pass"),
    ("state.forget.update(encoder_groups(m))", "pass"),
]


def test_purity_by_hand() -> None:
    """Two clusters of four, one row of each in the other's place: 6 of 8 are in their majority."""
    z = np.array([[0.0], [0.1], [0.2], [0.3], [10.0], [10.1], [10.2], [10.3]])
    assert purity(z, np.array([0, 0, 0, 1, 1, 1, 1, 0])) == pytest.approx(0.75)
    assert purity(np.zeros((4, 2)), np.array([0, 0, 0, 1])) == pytest.approx(0.75), "all in one place"


def test_purities_are_of_equally_many_rows() -> None:
    """On noise, purity falls with the number of rows; the gap does not mistake that for learning by heart."""
    draw, equal, plain = np.random.default_rng(0), [], []
    for _ in range(6):
        z, y = draw.normal(size=(430, 4)), draw.integers(0, 4, 430)
        equal.append(learning_gap(z, y, np.arange(400), np.arange(400, 430), classes=True))
        plain.append(purity(z[400:], y[400:]) - purity(z[:400], y[:400]))
    assert np.mean(plain) > 0.1 and np.mean(equal) < 0.6 * np.mean(plain)


def test_the_gap_of_numbers() -> None:
    """Exact on rows that were seen, the sign turned on the others: 1 - 0."""
    z = np.linspace(-100, 100, 40)[:, None]
    y = np.where(np.arange(40) % 2, -1, 1) * z[:, 0] / 50
    assert learning_gap(z, y, np.arange(0, 40, 2), np.arange(1, 40, 2), classes=False) == pytest.approx(1, abs=1e-3)


def at_reset(bench, monkeypatch, gap: float, **options):
    """A bench before and after its first reset, all gaps being the same."""
    monkeypatch.setattr(relearning, "learning_gap", lambda *_, **__: gap)
    case = bench(Relearning(times=1, until=0.5, **options), n=36)
    start = case.parameters("encoder/a", "route/a")
    case.advance(4)
    before, head = case.parameters("encoder/a", "route/a"), case.parameters("fused")
    assert not case.state.forget
    case.run.strategy.start_epoch(case.state)
    assert all(torch.equal(p, q) for p, q in zip(head, case.parameters("fused"), strict=True)), "heads stay"
    return case, start, before, case.parameters("encoder/a", "route/a")


def test_part_of_the_way_back(bench, monkeypatch) -> None:
    """A gap of 0.1 at lambda 3: a = tanh 0.3; member 1 learns from all rows and gets the mean over the others, 0.1 too."""
    case, start, before, after = at_reset(bench, monkeypatch, 0.1)
    a = math.tanh(0.3)
    for s, b, found in zip(start, before, after, strict=True):
        torch.testing.assert_close(found, a * s + (1 - a) * b)
    assert case.state.forget == {f"{part}/{m}" for part in ("encoder", "route") for m in "abc"}
    assert case.state.signals["reset:a"] == pytest.approx(a)


def test_no_gap_leaves_everything_and_a_huge_lambda_takes_all_back(bench, monkeypatch) -> None:
    _, _, before, after = at_reset(bench, monkeypatch, 0.0)
    assert all(torch.equal(b, found) for b, found in zip(before, after, strict=True))
    _, start, before, after = at_reset(bench, monkeypatch, 0.5, strength=1e6)
    assert all(torch.equal(s, found) for s, found in zip(start, after, strict=True))
    assert not all(torch.equal(s, b) for s, b in zip(start, before, strict=True))


def test_a_members_own_rows_that_have_the_modality(bench, monkeypatch) -> None:
    asked = []
    monkeypatch.setattr(relearning, "learning_gap", lambda z, y, seen, unseen, *, classes: asked.append((seen, unseen)) or 0.2)
    case = bench("relearning", modalities="ab", n=36)
    gaps = case.run.strategy.gaps(case.state)
    torch.testing.assert_close(gaps, torch.full((2, 2), 0.2))
    rows, here = np.arange(36), case.state.data.present["b"].numpy()
    assert len(asked) == 2, "member 1 has no held-out rows"
    assert np.array_equal(asked[1][0], rows[here & (rows % 3 > 0)]) and np.array_equal(asked[1][1], rows[here & (rows % 3 == 0)])


def test_resets_are_evenly_spaced(bench) -> None:
    case = bench(Relearning(times=3, until=0.75))
    due = []
    for case.state.epoch in range(9):
        due += [case.state.epoch] if case.run.strategy.due(case.state) else []
    assert due == [2, 4, 6], "of 8 epochs"


@pytest.mark.parametrize("classes", [3, 0])
def test_too_few_rows_and_a_whole_fit(bench, classes) -> None:
    few = bench("relearning", n=3, classes=classes)
    assert not few.run.strategy.gaps(few.state).any()
    case = bench("relearning", n=36, classes=classes)
    gaps = case.run.strategy.gaps(case.state)
    assert gaps.shape == (2, 3) and ((gaps >= 0) & (gaps <= 1)).all()
    case.run.strategy.finish()
    assert not case.run.strategy.state_dict() and case.run.net.training


def test_off_is_joint_bit_for_bit(same_training) -> None:
    same_training(Relearning(strength=0), "joint", n=36)
    same_training(Relearning(times=0), "joint", n=36)


def test_it_does_something(moves) -> None:
    moves("relearning", "joint", n=36)


@pytest.mark.parametrize(("setting", "told"), [("strength", -1), ("until", 0), ("times", -1)])
def test_arguments_out_of_range(setting, told) -> None:
    with pytest.raises(ValueError, match=rf"`{setting}`: expected .*; found {told}"):
        Relearning(**{setting: told})
