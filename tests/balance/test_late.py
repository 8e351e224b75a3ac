import torch

from omicsbal._types import Outputs
from omicsbal.balance import Late


def outputs(**unimodal) -> Outputs:
    return Outputs(z={}, joint=torch.empty(0), fused=torch.empty(0), unimodal=unimodal)


def test_the_mean_of_what_is_present_by_hand() -> None:
    a = torch.tensor([[[1.0, 0.0], [2.0, 4.0], [9.0, 9.0]]])  # one member, three rows, two classes
    b = torch.tensor([[[3.0, 2.0], [8.0, 8.0], [7.0, 7.0]]])
    present = {"a": torch.tensor([True, True, False]), "b": torch.tensor([True, False, False])}
    fused = Late().fuse(outputs(a=a, b=b), present)
    torch.testing.assert_close(fused, torch.tensor([[[2.0, 1.0], [2.0, 4.0], [0.0, 0.0]]]))


def test_presence_may_differ_by_member() -> None:
    a, b = torch.full((2, 1, 1), 1.0), torch.full((2, 1, 1), 3.0)
    fused = Late().fuse(outputs(a=a, b=b), {"a": torch.tensor([[True], [True]]), "b": torch.tensor([[True], [False]])})
    assert fused.flatten().tolist() == [2.0, 1.0]


def test_the_fused_loss_reaches_every_unimodal_head_and_not_the_net_s_own_fusion(bench) -> None:
    case = bench("late")
    case.advance()
    for purpose, parameters in case.run.net.groups().items():
        assert purpose.startswith("route") or any(p.grad is not None and p.grad.any() for p in parameters) == (purpose != "fused")
