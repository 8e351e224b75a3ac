import pytest
import torch

from omicsbal._types import Batch, FitState
from omicsbal.balance import ModalityDropout, Uniform


def drawn(rate: float, present: dict[str, torch.Tensor], *, seed: int = 0) -> dict[str, torch.Tensor]:
    """What the fusion gets to see."""
    n = len(next(iter(present.values())))
    batch = Batch({}, present, torch.zeros(n), torch.arange(n), torch.ones(2, n), torch.ones(n))
    state = FitState(None, None, batch.scored, None, torch.Generator().manual_seed(seed), 1)  # type: ignore[arg-type]
    z = {m: torch.ones(2, n, 1) for m in present}
    same, visible = ModalityDropout(rate=rate).features(state, z, batch)
    assert same is z, "unimodal heads go on seeing everything"
    return visible


def full(n: int, names: str = "abc") -> dict[str, torch.Tensor]:
    return {m: torch.ones(n, dtype=torch.bool) for m in names}


def test_the_share_hidden_is_the_rate_apart_from_rescued_rows() -> None:
    """Of 3 present, each survives its draw with 1 - r; with r^3 none does, and one of three is put back."""
    rate, n = 0.4, 60_000
    for kept in drawn(rate, full(n)).values():
        assert kept.float().mean().item() == pytest.approx(1 - rate + rate**3 / 3, abs=0.008)  # four standard errors


@pytest.mark.parametrize("rate", [0.3, 0.9])
def test_a_row_keeps_one_of_what_it_has_and_gets_nothing_it_lacks(rate: float) -> None:
    generator = torch.Generator().manual_seed(1)
    present = {m: torch.rand(3000, generator=generator) > 0.4 for m in "abcd"}
    visible = drawn(rate, present)
    has, sees = (torch.stack(list(part.values())) for part in (present, visible))
    assert not (sees & ~has).any()
    assert torch.equal(sees.any(0), has.any(0))
    alone = has.sum(0) == 1
    assert torch.equal(sees[:, alone], has[:, alone])


def test_the_rescued_modality_is_a_fair_pick() -> None:
    visible = torch.stack(list(drawn(0.99, full(30_000)).values()))
    alone = visible[:, visible.sum(0) == 1].float().mean(1)
    torch.testing.assert_close(alone, torch.full((3,), 1 / 3), atol=0.012, rtol=0)


def test_rate_zero_is_uniform_bit_for_bit(bench) -> None:
    off, plain, on = bench(ModalityDropout(rate=0)), bench(Uniform()), bench(ModalityDropout(rate=0.5))
    for case in (off, plain, on):
        case.advance(5)
    weights = [case.weights() for case in (off, plain, on)]
    assert all(torch.equal(weights[0][n], weights[1][n]) for n in weights[0])
    assert any(not torch.equal(weights[2][n], weights[1][n]) for n in weights[0] if n.startswith("encoders")), "no-op"


@pytest.mark.parametrize(("rate", "error"), [(1, ValueError), (-0.1, ValueError), ("0.3", TypeError), (float("nan"), ValueError)])
def test_a_rate_out_of_range(rate: object, error: type[Exception]) -> None:
    with pytest.raises(error, match=r"`rate`: expected a number of at least 0 and at most 0\.99; found .*\. Pass"):
        ModalityDropout(rate=rate)  # type: ignore[arg-type]
