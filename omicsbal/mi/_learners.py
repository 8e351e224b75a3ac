"""Classifiers behind the information about labels, each with all its settings at once: which of them to use is chosen later."""

import warnings
from collections.abc import Callable

import numpy as np
from scipy.spatial.distance import pdist
from sklearn.exceptions import ConvergenceWarning
from sklearn.kernel_approximation import Nystroem
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import NearestNeighbors
from sklearn.neural_network import MLPClassifier

FLOOR = float(np.log(1e-6))  # nats: the most that one row can cost
STRENGTHS = (1e-3, 1e-2, 1e-1, 1.0, 10.0)  # C of logistic regression, on rows whose mean squared norm is their width
WIDTHS = (0.5, 2.0)  # precision of the kernel, in units of 1 / median squared distance
LANDMARKS = 100  # rows that the kernel is spanned by
SMALL_WIDTH, SMALL_LANDMARKS, SMALL_STRENGTHS = 0.2, 50, (1e-2, 1e-1, 1.0)
NEIGHBOURS = (5, 15, 45)
STEPS = (10, 20, 40, 80, 160, 320, 640)  # optimiser steps of the network: when to stop is a setting like a penalty
FEW_STEPS, EPOCHS = 160, 20  # steps beyond which the network goes on only for so many passes over the rows
# Training rows (n, d) and codes (n,), new rows (m, d), number of classes, seed -> log-probabilities (settings, m, c)
Learner = Callable[[np.ndarray, np.ndarray, np.ndarray, int, int], np.ndarray]


def _paths(x: np.ndarray, y: np.ndarray, new: np.ndarray, n_classes: int, strengths: tuple[float, ...] = STRENGTHS) -> np.ndarray:
    """Logistic regression along the L2 path, each fit started from the stronger penalty before it."""
    model = LogisticRegression(tol=1e-4, max_iter=200, warm_start=True)
    found = np.full((len(strengths), len(new), n_classes), FLOOR)
    with warnings.catch_warnings():
        # A weak penalty on separable classes has far to go; a setting that did not arrive is judged like any other.
        warnings.simplefilter("ignore", ConvergenceWarning)
        for path, strength in zip(found, strengths, strict=True):
            model.set_params(C=strength).fit(x, y)
            path[:, model.classes_] = model.predict_log_proba(new)
    return found


def _logistic(x: np.ndarray, y: np.ndarray, new: np.ndarray, n_classes: int, random_state: int) -> np.ndarray:
    """Linear in z."""
    return _paths(x, y, new, n_classes)


def _radial(x: np.ndarray, new: np.ndarray, width: float, landmarks: int, random_state: int) -> tuple[np.ndarray, np.ndarray]:
    """Radial basis functions of training and new rows (Nystroem), scaled as `STRENGTHS` has it."""
    middle = max(float(np.median(pdist(x[:: -(-len(x) // 300)], "sqeuclidean"))), 1e-12)
    kernel = Nystroem(gamma=width / middle, n_components=min(landmarks, len(x)), random_state=random_state)
    scale = np.sqrt(landmarks)  # rows have norm 1 at most in these features
    return kernel.fit_transform(x) * scale, kernel.transform(new) * scale


def _kernel(x: np.ndarray, y: np.ndarray, new: np.ndarray, n_classes: int, random_state: int) -> np.ndarray:
    """Linear in radial basis functions of z."""
    features = [_radial(x, new, width, LANDMARKS, random_state) for width in WIDTHS]
    return np.concatenate([_paths(known, y, fresh, n_classes) for known, fresh in features])


def _small_kernel(x: np.ndarray, y: np.ndarray, new: np.ndarray, n_classes: int, random_state: int) -> np.ndarray:
    """The same for a few columns, smoother and cheaper."""
    known, fresh = _radial(x, new, SMALL_WIDTH, SMALL_LANDMARKS, random_state)
    return _paths(known, y, fresh, n_classes, SMALL_STRENGTHS)


def _neighbours(x: np.ndarray, y: np.ndarray, new: np.ndarray, n_classes: int, random_state: int) -> np.ndarray:
    """Class frequencies among the nearest rows, with one row's worth of the frequencies of all."""
    most = min(max(NEIGHBOURS), len(x))
    near = NearestNeighbors(n_neighbors=most).fit(x).kneighbors(new, return_distance=False)
    counts = np.cumsum(np.eye(n_classes)[y[near]], axis=1)
    prior = (np.bincount(y, minlength=n_classes) + 0.5) / (len(y) + 0.5 * n_classes)
    return np.stack([np.log((counts[:, k - 1] + prior) / (k + 1)) for k in (min(k, most) for k in NEIGHBOURS)])


def _network(x: np.ndarray, y: np.ndarray, new: np.ndarray, n_classes: int, random_state: int) -> np.ndarray:
    """One hidden layer of 64."""
    size = min(200, len(x))
    model = MLPClassifier((64,), alpha=0.1, learning_rate_init=1e-2, batch_size=size, random_state=random_state)
    found, done, classes = [], 0, np.unique(y)
    for steps in (s for s in STEPS if s <= FEW_STEPS or s * size <= EPOCHS * len(x)):
        while done < steps:
            model.partial_fit(x, y, classes=classes)
            done += -(-len(x) // size)
        path = np.full((len(new), n_classes), FLOOR)
        path[:, classes] = np.maximum(model.predict_log_proba(new), FLOOR)
        found.append(path)
    return np.stack(found)


LEARNERS: dict[str, Learner] = {
    "logistic": _logistic,
    "kernel": _kernel,
    "small_kernel": _small_kernel,
    "neighbours": _neighbours,
    "network": _network,
}
ALL = ("logistic", "kernel", "neighbours", "network")
