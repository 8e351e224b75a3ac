"""Settings of the net and of the loop: typed, checked once, each default written here and nowhere else."""

from dataclasses import dataclass

from omicsbal._validate import check_number


@dataclass(frozen=True)
class NetConfig:
    """Shape of the net.

    Parameters
    ----------
    width
        Hidden units of each encoder, at least 1.
    depth
        Hidden layers of each encoder, at least 1.
    latent
        Width k of the embeddings, at least 1.
    dropout
        Share of hidden units dropped in training, in [0, 1).
    linear_route
        Add a linear map beside each MLP, so that a ridge-like model is inside the family: on bulk cohorts of about a
        hundred rows and thousands of features it is the better half.

    Examples
    --------
    >>> NetConfig(width=32).width
    32
    """

    width: int = 64
    depth: int = 2
    latent: int = 32
    dropout: float = 0.3
    linear_route: bool = True

    def __post_init__(self) -> None:
        for name in ("width", "depth", "latent"):
            check_number(name, getattr(self, name), low=1, integer=True)
        check_number("dropout", self.dropout, low=0, high=0.99)


@dataclass(frozen=True)
class FitConfig:
    """Settings of the training loop."""

    max_epochs: int = 150
    learning_rate: float = 2e-3
    weight_decay: float = 1e-2
    batch_size: int | None = None
    eval_every: int = 3
    patience: int = 10
