from dataclasses import replace
from math import log

import pytest
import torch

from omicsbal.balance import Lfm
from omicsbal.balance.lfm import disagreement

MUTATIONS = [
    ("- (log_p + log_q) / 2", "- log_p"),
    ("batch.present[a] & batch.present[b]", "batch.present[a] | batch.present[b]"),
    ("batch.scored * (", "1.0 * ("),
    ("2 * (1 - share)", "2 * share"),
    ("* done", "* (1 - done)"),
]


def test_disagreement_by_hand() -> None:
    """p = (3/4, 1/4) and q = (1/4, 3/4): mid = 1/2 each, and both KL are ln(1/2) - (ln 3/4 + ln 1/4) / 2."""
    p, q = torch.tensor([[[log(3), 0.0]]]), torch.tensor([[[0.0, log(3)]]])
    torch.testing.assert_close(disagreement(p, q), torch.tensor([[log(1 / 2) - (log(3 / 4) + log(1 / 4)) / 2]]))
    torch.testing.assert_close(disagreement(p, p), torch.zeros(1, 1))
    even = torch.zeros(1, 1, 2)
    torch.testing.assert_close(disagreement(p, even), disagreement(even, p))
    assert disagreement(torch.tensor([[[3.0]]]), torch.tensor([[[1.0]]])).item() == 4, "numbers"


@pytest.mark.parametrize("size", [200.0, 1e4])
def test_disagreement_stays_finite(size) -> None:
    p = torch.tensor([[[size, 0.0]]], requires_grad=True)
    found = disagreement(p, torch.tensor([[[0.0, size]]]))
    found.sum().backward()
    assert torch.isfinite(found).all() and torch.isfinite(p.grad).all()


def test_pairs_are_averaged_over_rows_that_have_both(bench) -> None:
    """Numbers 0, 1 and 3: pairs 1, 9 and 4, of which a and b never meet on a row that is scored."""
    case = bench("lfm", classes=0)
    n = len(case.batch.y)
    scored = torch.ones(2, n)
    scored[:, 0] = 0
    here = {"a": torch.arange(n) < 4, "b": (torch.arange(n) >= 4) | (torch.arange(n) == 0), "c": torch.ones(n, dtype=torch.bool)}
    said = {m: torch.full((2, n, 1), v) for m, v in (("a", 0.0), ("b", 1.0), ("c", 3.0))}
    said["b"][:, 0] = 50.0  # not scored
    outputs = replace(case.run.net(case.batch.x, here), unimodal=said)
    mean, rows = case.run.strategy.terms(case.state, outputs, replace(case.batch, present=here, scored=scored))["agreement"]
    assert mean.tolist() == pytest.approx([(0 + 9 + 4) / 3] * 2) and rows.tolist() == [0 + 3 + n - 4] * 2


def test_the_schedule_is_a_line(bench) -> None:
    case = bench("lfm")
    assert case.state.n_epochs == 8
    for epoch, share in ((0, 0.05), (3.5, 0.5), (7, 0.95), (20, 0.95)):
        case.state.epoch = epoch
        weights = case.run.strategy.weights(case.state, {"agreement": torch.zeros(2)}, None, case.batch)
        assert weights == pytest.approx({"fused": 2 * share, "agreement": 2 * (1 - share)})


def test_off_is_late_bit_for_bit(same_training) -> None:
    same_training(Lfm(first=1, last=1), "late")


def test_one_modality_agrees_with_itself(same_training) -> None:
    same_training("lfm", "late", modalities="a")


def test_it_does_something(moves) -> None:
    moves("lfm", "late")
    moves("lfm", "joint")


def test_agreement_makes_modalities_agree(bench) -> None:
    apart = {}
    for first in (0.05, 1):
        case = bench(Lfm(first=first, last=1), modalities="ab")
        case.advance(8)
        said = case.run.net(case.batch.x, case.batch.present).unimodal
        both = case.batch.present["b"]
        apart[first] = disagreement(said["a"], said["b"])[:, both].mean().item()
    assert apart[0.05] < 0.9 * apart[1]


def test_arguments_out_of_range() -> None:
    with pytest.raises(ValueError, match=r"`first`: expected a number of at least 0 and at most 1; found 2"):
        Lfm(first=2)
    with pytest.raises(ValueError, match=r"`last`: expected a number of at least first \(0\.5\); found 0\.1\. The modalities"):
        Lfm(first=0.5, last=0.1)
