"""AdamW on torch's own kernel, without the import that torch's optimiser classes bring along.

Making any `torch.optim.Optimizer` imports `torch._dynamo` and with it sympy, once in each process (what that costs is a line of
benchmarks/results/speed.md). The function behind the class needs none of it and gives the same numbers.
"""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim.adamw import adamw


class AdamW:
    """Adam with decoupled weight decay (Loshchilov and Hutter 2019, arXiv:1711.05101), one fused kernel a group.

    Parameters
    ----------
    groups
        Dictionaries with "params" and "weight_decay", per unit of learning rate; anything else is kept for the caller.
    lr
        Learning rate of every group; change it in `param_groups`.

    Attributes
    ----------
    param_groups
        The groups, each with its "lr".
    state
        First and second moments and the number of steps, by parameter; a parameter begins anew when its entry is removed.
    """

    BETAS = (0.9, 0.999)
    EPS = 1e-8

    def __init__(self, groups: list[dict[str, Any]], lr: float) -> None:
        self.param_groups = [{**group, "lr": lr} for group in groups]
        self.state: dict[nn.Parameter, dict[str, Tensor]] = {}

    def zero_grad(self) -> None:
        """Forget all gradients."""
        for group in self.param_groups:
            for p in group["params"]:
                p.grad = None

    @torch.no_grad()
    def step(self) -> None:
        """Move every parameter that has a gradient; the others keep their moments as they are."""
        for group in self.param_groups:
            moved = [p for p in group["params"] if p.grad is not None]
            held = [self._held(p) for p in moved]
            adamw(
                moved,
                [p.grad for p in moved],
                [h["exp_avg"] for h in held],
                [h["exp_avg_sq"] for h in held],
                [],
                [h["step"] for h in held],
                fused=True,
                amsgrad=False,
                beta1=self.BETAS[0],
                beta2=self.BETAS[1],
                lr=group["lr"],
                weight_decay=group["weight_decay"],
                eps=self.EPS,
                maximize=False,
            )

    def moments(self) -> dict[int, dict[str, Tensor]]:
        """`state` by the parameter's number, in the order of the groups."""
        return {i: self.state[p] for i, p in enumerate(self._parameters()) if p in self.state}

    def set_moments(self, moments: Mapping[int, Mapping[str, Tensor]]) -> None:
        """Inverse of `moments`; takes copies."""
        parameters = self._parameters()
        self.state = {
            parameters[i]: {name: value.to(parameters[i].device, copy=True) for name, value in held.items()}
            for i, held in moments.items()
        }

    def _parameters(self) -> list[nn.Parameter]:
        return [p for group in self.param_groups for p in group["params"]]

    def _held(self, p: nn.Parameter) -> dict[str, Tensor]:
        if p not in self.state:
            self.state[p] = {
                "step": torch.zeros((), device=p.device),
                "exp_avg": torch.zeros_like(p),
                "exp_avg_sq": torch.zeros_like(p),
            }
        return self.state[p]
