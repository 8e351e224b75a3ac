"""The levers: strategies, settings and pools that `levers.py` puts beside the default, one change each."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

import numpy as np
import torch
from main_method import Static
from scipy.special import logsumexp
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.neighbors import KNeighborsClassifier
from sklearn.svm import SVC

import omicsbal as ob
from omicsbal.balance import STRATEGIES, Strategy, Uniform
from omicsbal.nn.net import MultiOmicsNet
from omicsbal.objectives.supervised import masked_mean
from omicsbal.pp import RECIPES
from omicsbal.train.classes import balance


class Smoothed(Uniform):
    """Label smoothing: beside the label's loss, that of the uniform distribution over classes (weight 0.1 / 0.9)."""

    def terms(self, state, outputs, batch):
        said = {h: outputs.head(h).log_softmax(-1).mean(-1) for h in ("fused", *state.data.x)}
        return {f"smooth:{h}": masked_mean(-v, batch.scored, batch.weight) for h, v in said.items()}

    def weights(self, state, losses, outputs, batch):
        return {f"smooth:{h}": 0.1 / 0.9 for h in ("fused", *state.data.x)}


class LogitAdjusted(Uniform):
    """Logit-adjusted loss (Menon et al. 2021, arXiv:2007.07314): the log-prior is added in training and left out at prediction.

    To be used on rows that all weigh the same.
    """

    def terms(self, state, outputs, batch):
        share = torch.bincount(state.data.y, minlength=outputs.fused.shape[-1]) / len(state.data.y)

        def loss(head: str) -> torch.Tensor:
            logs = (outputs.head(head) + share.log()).log_softmax(-1)
            return -logs.gather(-1, batch.y.expand(logs.shape[:-1]).unsqueeze(-1)).squeeze(-1)

        return {f"adjusted:{h}": masked_mean(loss(h), batch.scored, batch.weight) for h in ("fused", *state.data.x)}

    def weights(self, state, losses, outputs, batch):
        return dict.fromkeys(("fused", *state.data.x), 0.0)


class TaughtByExperts(Uniform):
    """Every head also learns from the pool of the linear experts, out-of-fold (weight 1, temperature 1)."""

    def __init__(self, told: np.ndarray | None = None) -> None:
        super().__init__()
        self.told = told

    def terms(self, state, outputs, batch):
        told = torch.from_numpy(self.told).float()[batch.index]
        apart = {h: state.task.distance(outputs.head(h), told.expand(outputs.head(h).shape)) for h in ("fused", *state.data.x)}
        return {f"expert:{h}": masked_mean(v, batch.scored, batch.weight) for h, v in apart.items()}


@contextmanager
def left_over(told: np.ndarray, query: np.ndarray) -> Iterator[None]:
    """In here, every net's fused head adds to what the experts' pool says: of training rows `told` (n, c), else `query`."""
    encode, decode, seen = MultiOmicsNet.encode, MultiOmicsNet.decode, {}

    def encoded(net, x, present, index=None):
        seen["index"] = index
        return encode(net, x, present, index)

    def decoded(net, z, present, **options):
        outputs, index = decode(net, z, present, **options), seen["index"]
        offset = torch.from_numpy(query if index is None else told[index.numpy()]).float()
        return replace(outputs, fused=outputs.fused + offset)

    MultiOmicsNet.encode, MultiOmicsNet.decode = encoded, decoded
    try:
        yield
    finally:
        MultiOmicsNet.encode, MultiOmicsNet.decode = encode, decode


@dataclass(frozen=True)
class Lever:
    """One change of how the networks are trained."""

    strategy: type[Strategy] | None = None
    settings: dict = field(default_factory=dict)  # of the strategy
    net: dict = field(default_factory=dict)
    config: dict = field(default_factory=dict)
    seed: int = 0  # of the networks
    share: int = 0  # of the rows, 1 / share a step; 0: as the default
    power: float = 1.0  # classes are weighed by frequency to the minus this
    told: bool = False  # the strategy gets what the experts' pool says
    left_over: bool = False


NETWORKS = {
    "another seed": Lever(seed=1),  # what chance alone does
    "100 steps": Lever(config={"max_steps": 100}),
    "200 steps": Lever(config={"max_steps": 200}),
    "400 steps": Lever(config={"max_steps": 400}),
    "800 steps": Lever(config={"max_steps": 800}),
    "64 rows a step": Lever(config={"batch_size": 64}),
    "128 rows a step": Lever(config={"batch_size": 128}),
    "a quarter of the rows a step": Lever(share=4),
    "half of the rows a step": Lever(share=2),
    "last epoch, not the best": Lever(config={"evaluations": 1}),
    "2 all-row members": Lever(config={"n_members": 2}),
    "10 all-row members": Lever(config={"n_members": 10}),
    "fold members predict": Lever(config={"n_members": 0}),
    "width 128": Lever(net={"width": 128, "latent": 64}),
    "one hidden layer": Lever(net={"depth": 1}),
    "dropout 0.25": Lever(net={"dropout": 0.25}),
    "dropout 0.7": Lever(net={"dropout": 0.7}),
    "weight decay 0.1": Lever(config={"weight_decay": 0.1}),
    "weight decay 5": Lever(config={"weight_decay": 5.0}),
    "learning rate 0.001": Lever(config={"learning_rate": 1e-3}),
    "learning rate 0.01": Lever(config={"learning_rate": 1e-2}),
    "no linear route": Lever(net={"linear_route": False}),
    "linear route free": Lever(config={"route_decay": 1.0}),
    "linear route tight": Lever(config={"route_decay": 30.0}),
    "no tilt": Lever(net={"tilt": 0.0}),
    "label smoothing": Lever(Smoothed),
    "classes as frequent": Lever(power=0.0),
    "classes half balanced": Lever(power=0.5),
    "logit-adjusted loss": Lever(LogitAdjusted, power=0.0),
    "modality dropout": Lever(STRATEGIES["modality_dropout"]),
    "joint": Lever(STRATEGIES["joint"]),
    "ume": Lever(STRATEGIES["ume"]),
    "udi": Lever(STRATEGIES["udi"]),
    "mbsd": Lever(STRATEGIES["mbsd"]),
    "KD first": Lever(Static, {"gate": "always", "kd": "first"}),
    "taught by experts": Lever(TaughtByExperts, told=True),
    "experts' left-over": Lever(left_over=True),
}

RECIPES_TRIED = {  # by name of the recipe that a modality gets; the others keep theirs
    "4,000 genes": {"rna": RECIPES["rna"](n_top=4000)},
    "100 components": {"rna": RECIPES["rna"](n_components=100), "atac": RECIPES["atac"](n_components=100)},
    "50 components": {"rna": RECIPES["rna"](n_components=50)},
}

RIVALS = {  # other kinds of experts, on all blocks brought to one size
    "+ nearest neighbours": lambda: KNeighborsClassifier(15, weights="distance"),
    "+ radial machine": lambda: SVC(C=10, class_weight="balanced"),
    "+ discriminant analysis": lambda: LinearDiscriminantAnalysis(solver="lsqr", shrinkage="auto"),
}


def rival_raw(make, x: np.ndarray, y: np.ndarray, query: np.ndarray, c: int) -> np.ndarray:
    """Log-probabilities (n, c) of a scikit-learn classifier; decision values count as logits, which are calibrated later."""
    model = make().fit(x, y)
    if hasattr(model, "predict_proba"):
        said = np.log(np.maximum(model.predict_proba(query), 1e-3))
    else:
        said = model.decision_function(query)
        said = np.stack([-said, said], 1) if said.ndim == 1 else said
    wide = np.full((len(query), c), np.log(1e-3) if hasattr(model, "predict_proba") else -9.0)
    wide[:, model.classes_] = said
    return wide - logsumexp(wide, axis=1, keepdims=True)


def row_weights(y: np.ndarray, c: int, power: float) -> np.ndarray:
    """(n,) float32, mean 1."""
    return balance(y, c, power).astype(np.float32)


def network(lever: Lever, told: np.ndarray, n: int) -> tuple[Strategy, ob.NetConfig, ob.FitConfig]:
    """What a lever trains with on n rows."""
    config = lever.config | ({"batch_size": min(max(n // lever.share, 32), 256)} if lever.share else {})
    settings = lever.settings | ({"told": told} if lever.told else {})
    strategy = (lever.strategy or Uniform)(**settings)
    return strategy, ob.NetConfig(**lever.net), ob.FitConfig(**config)
