"""Settings of the net and of the loop: typed, checked once, each default written here and nowhere else."""

from dataclasses import asdict, dataclass
from typing import Any

from omicsbal._validate import check_choice, check_number

ENCODERS = ("mlp", "graph")
GRAPH_FORMS = ("inductive", "transductive")
FEWEST_EPOCHS = 3  # so that on very many rows there is an epoch to choose


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
    tilt
        Power, at least 0, of its own standard deviation that each input column is multiplied by: how much leading principal
        components are preferred. 0 leaves the inputs as the recipe made them.
    encoder
        "mlp": each row by itself. "graph": each hidden layer also sees the row's neighbours in a similarity network fused from
        all modalities, for cohorts of up to 5,000 rows. The net keeps the training rows' features, and so does a saved model.
    graph_form
        "inductive": what training sees is fused from training rows alone; held-out and new rows are linked to it one by one.
        "transductive": one network of all rows, with and without a label, so that the features of held-out rows, never their
        labels, shape what training sees; new rows are linked one by one.
    graph_neighbours
        Neighbours that a row keeps, at least 1.

    Raises
    ------
    ValueError, TypeError
        A number outside its range; an encoder or form that does not exist.

    Examples
    --------
    >>> NetConfig(width=32).width
    32
    """

    width: int = 64
    depth: int = 2
    latent: int = 32
    dropout: float = 0.5
    linear_route: bool = True
    tilt: float = 1.5
    encoder: str = "mlp"
    graph_form: str = "inductive"
    graph_neighbours: int = 20

    def __post_init__(self) -> None:
        for name in ("width", "depth", "latent", "graph_neighbours"):
            check_number(name, getattr(self, name), low=1, integer=True)
        check_number("dropout", self.dropout, low=0, high=0.99)
        check_number("tilt", self.tilt, low=0)
        check_choice("encoder", self.encoder, ENCODERS)
        check_choice("graph_form", self.graph_form, GRAPH_FORMS)

    def as_dict(self) -> dict[str, Any]:
        """Settings by name."""
        return asdict(self)


@dataclass(frozen=True)
class FitConfig:
    """Settings of the loop.

    Parameters
    ----------
    max_epochs
        Longest training; the epoch that is kept is chosen out-of-fold. None: as many as make about `max_steps` steps, at least 3.
    max_steps
        Optimiser steps that None stands for. 800 gave no better pool than 300 (benchmarks/results/levers.md).
    batch_size
        Rows a step; None: an eighth of the rows, within 32 and 256. With ``encoder="graph"``: all rows, for at most 300 epochs.
    learning_rate
        Peak of the cosine schedule, above 0.
    weight_decay
        Decoupled decay per unit of learning rate (AdamW), at least 0.
    route_decay
        The same for the linear route, which on raw features overfits sooner.
    evaluations
        How often, at most, the out-of-fold rows are scored during training.
    n_members
        R, members that train on every row and predict new ones; 0 leaves that to the fold members.

    Raises
    ------
    ValueError, TypeError
        A number outside its range.

    Examples
    --------
    >>> FitConfig(batch_size=64).schedule(n_rows=640)
    (64, 30)
    """

    max_epochs: int | None = None
    max_steps: int = 300
    batch_size: int | None = None
    learning_rate: float = 3e-3
    weight_decay: float = 1.0
    route_decay: float = 10.0
    evaluations: int = 25
    n_members: int = 5

    def __post_init__(self) -> None:
        for name in ("max_epochs", "batch_size"):
            if getattr(self, name) is not None:
                check_number(name, getattr(self, name), low=1, integer=True)
        check_number("max_steps", self.max_steps, low=1, integer=True)
        check_number("learning_rate", self.learning_rate, low=0, open_low=True)
        check_number("weight_decay", self.weight_decay, low=0)
        check_number("route_decay", self.route_decay, low=0)
        check_number("evaluations", self.evaluations, low=1, integer=True)
        check_number("n_members", self.n_members, low=0, integer=True)

    def schedule(self, n_rows: int) -> tuple[int, int]:
        """Batch size and number of epochs for `n_rows` training rows."""
        size = self.batch_size or min(max(n_rows // 8, 32), 256)
        steps = max(1, round(n_rows / size))
        return size, self.max_epochs or max(FEWEST_EPOCHS, -(-self.max_steps // steps))

    def as_dict(self) -> dict[str, Any]:
        """Settings by name."""
        return asdict(self)
