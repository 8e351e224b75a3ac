"""The contracts between the floors.

Letters used everywhere: n rows, M modalities, d_m features of modality m, k latent width, c classes (1 for regression),
K members (fold members and all-row members).
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch
    from torch import Tensor


@dataclass(frozen=True)
class Arrays:
    """What training sees of a data set: labelled rows only, every modality as a small dense block."""

    x: "dict[str, Tensor]"  # {m: (n, d_m) float32}; anything where the modality is absent
    present: "dict[str, Tensor]"  # {m: (n,) bool}
    y: "Tensor"  # (n,) int64 class codes, or float32 standardised values
    weight: "Tensor"  # (n,) float32, mean 1: class balance

    def __len__(self) -> int:
        return len(self.y)


@dataclass(frozen=True)
class Batch:
    """Some rows, shared by all members."""

    x: "dict[str, Tensor]"  # {m: (n, d_m)}, or (K, n, d_m) where each member reads its own rows
    present: "dict[str, Tensor]"  # {m: (n,) bool}, or (K, n)
    y: "Tensor"  # (n,)
    index: "Tensor"  # (n,) int64, positions in `Arrays`
    scored: "Tensor"  # (K, n) float32: 1 where the row enters the member's loss
    weight: "Tensor"  # (n,) float32


@dataclass(frozen=True)
class Outputs:
    """What the net says about a batch."""

    z: "dict[str, Tensor]"  # {m: (K, n, k)}, zero where absent
    joint: "Tensor"  # (K, n, k), fused embedding
    fused: "Tensor"  # (K, n, c), logits or standardised values
    unimodal: "dict[str, Tensor]"  # {m: (K, n, c)}

    def head(self, name: str) -> "Tensor":
        """The outputs of one head, "fused" or a modality."""
        return self.fused if name == FUSED else self.unimodal[name]


FUSED = "fused"  # name of the fused head, beside heads named after modalities

Term = Callable[[Outputs, Batch], "tuple[Tensor, Tensor]"]  # mean loss (K,) and the number of rows behind it (K,)


@dataclass(frozen=True)
class References:
    """Each modality alone, as a teacher and as a yardstick; cross-fitted twice.

    What member k may be taught of a row comes from a network that trained neither on that row nor on the rows that k is judged
    by. Of the latter's labels there is only what all rows decide together: the epoch that is kept, one temperature a modality,
    and who may teach.
    """

    folds: "Tensor"  # (n,) int64
    scores: dict[str, float]  # {m: out-of-fold metric}
    held_out: "dict[str, Tensor]"  # {m: (n, c)} calibrated out-of-fold outputs; anything where the modality is absent
    targets: "dict[str, Tensor]"  # {m: (K, n, c)} calibrated outputs that member k may learn from
    embeddings: "dict[str, Tensor]"  # {m: (n, k)} out-of-fold embeddings; each fold has coordinates of its own
    features: "Callable[[str], Tensor]"  # m -> (K, n, k): embeddings member k may learn from, in one space for each k
    seen: dict[str, float] = field(default_factory=dict)  # {m: mean score (0, 1] on rows the network trained on}
    unseen: dict[str, float] = field(default_factory=dict)  # {m: the same on rows it did not}; both calibrated
    pilots: "dict[tuple[str, str], dict[str, float]]" = field(
        default_factory=dict
    )  # (teacher, student) -> gain, gain_low, gain_high


@dataclass
class FitState:
    """What a strategy may see while a fit runs; the trainer owns and updates it."""

    net: "torch.nn.Module"
    data: Arrays
    scored: "Tensor"  # (K, n) float32
    task: Any  # objectives.tasks.Task
    generator: "torch.Generator"
    n_epochs: int
    folds: "Tensor | None" = None  # (n,) int64
    metric: str = "score"  # the task's first metric, larger is better, at most 1
    chance: float = 0.0  # what guessing gets
    references: References | None = None  # where the strategy asked for them
    epoch: int = 0
    oof: dict[str, float] = field(default_factory=dict)  # newest out-of-fold metrics, "oof_<metric>:<head>"
    held_out: Outputs | None = None  # out-of-fold outputs, leading axis 1, in the epoch after they were made; else None
    signals: dict[str, float] = field(default_factory=dict)  # what the strategy wants in the history
    scales: "dict[str, Tensor | float]" = field(default_factory=dict)  # of the coming update, by `balance._updates` alone
    forget: set[str] = field(default_factory=set)  # parameter groups whose optimiser moments are to be dropped
