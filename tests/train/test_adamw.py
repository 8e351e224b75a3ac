"""Our AdamW is torch's to the last bit, and costs no import of torch's compiler."""

import subprocess
import sys

import pytest
import torch
from torch import nn

from omicsbal.train.adamw import AdamW


def parameters() -> list[nn.Parameter]:
    generator = torch.Generator().manual_seed(0)
    return [nn.Parameter(torch.randn(3, 4, 5, generator=generator)), nn.Parameter(torch.randn(7, generator=generator))]


def advance(optimizer, ps: list[nn.Parameter], steps: range, idle: int | None = None) -> None:
    """Steps on gradients that only depend on the step's number; parameter `idle` gets none."""
    for step in steps:
        optimizer.zero_grad()
        for i, p in enumerate(ps):
            assert p.grad is None
            if i != idle:
                p.grad = torch.randn(p.shape, generator=torch.Generator().manual_seed(10 * step + i))
        optimizer.step()


def grouped(ps: list[nn.Parameter]) -> list[dict]:
    return [{"params": ps[:1], "weight_decay": 1.0}, {"params": ps[1:], "weight_decay": 0.0}]


@pytest.mark.parametrize("idle", [None, 0])
def test_it_is_the_one_of_torch(idle) -> None:
    ours, theirs = parameters(), parameters()
    a, b = AdamW(grouped(ours), lr=0.01), torch.optim.AdamW(grouped(theirs), lr=0.01, fused=True)
    for begin, rate in ((0, 0.01), (3, 0.005)):  # the rate changes as in a schedule
        for group in (*a.param_groups, *b.param_groups):
            group["lr"] = rate
        advance(a, ours, range(begin, begin + 3), idle)
        advance(b, theirs, range(begin, begin + 3), idle)
    assert all(torch.equal(p, q) for p, q in zip(ours, theirs, strict=True))
    assert torch.equal(ours[0], parameters()[0]) is (idle == 0)
    assert (ours[0] in a.state) is (idle is None)


def test_a_run_that_goes_on_from_its_moments_ends_the_same() -> None:
    whole, part = parameters(), parameters()
    advance(AdamW(grouped(whole), lr=0.01), whole, range(6))
    first = AdamW(grouped(part), lr=0.01)
    advance(first, part, range(3))
    second = AdamW(grouped(part), lr=0.01)
    second.set_moments(first.moments())
    advance(second, part, range(3, 6))
    assert all(torch.equal(p, q) for p, q in zip(whole, part, strict=True))


def test_what_is_forgotten_begins_anew() -> None:
    ps = parameters()
    optimizer = AdamW(grouped(ps), lr=0.01)
    advance(optimizer, ps, range(2))
    optimizer.state.pop(ps[1])
    advance(optimizer, ps, range(2, 3))
    assert [float(optimizer.state[p]["step"]) for p in ps] == [3, 1]


def test_a_fit_does_not_import_the_compiler() -> None:
    """The reason for the class: should torch's own stop importing it, the class can go."""
    fit = (
        "import sys; import omicsbal as ob; "
        "ob.tl.fit(ob.datasets.simulate(n_obs=60), label_key='cell_type', progress=False); "
        "assert 'torch._dynamo' not in sys.modules; import torch; torch.optim.AdamW([torch.nn.Parameter(torch.ones(1))]); "
        "assert 'torch._dynamo' in sys.modules, 'torch.optim.AdamW will do'"
    )
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", fit], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
