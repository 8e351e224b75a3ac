"""Outcome of a categorical label: log-probabilities, macro-F1, temperature, log-linear pool."""

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import pandas as pd
from scipy.optimize import minimize, minimize_scalar
from scipy.special import log_softmax as scipy_log_softmax
from scipy.special import logsumexp
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import accuracy_score, f1_score

from omicsbal.objectives.tasks import Classification

FLOOR = np.log(1e-6)  # log-probabilities below this carry no information worth a weight
RIDGE = 5.0  # rows: pool weights are pulled towards 1/H as by so many, which decides where the data cannot tell heads apart
UNSEEN = -20.0  # logit of a class without a single row: e^-20 is beyond what any head can overrule by chance


def log_softmax(raw: np.ndarray) -> np.ndarray:
    """Log-probabilities along the last axis, float64."""
    return scipy_log_softmax(raw, axis=-1)


def balance(y: np.ndarray, n_classes: int, power: float) -> np.ndarray:
    """Row weights (n,) proportional to (1 / class frequency)^power, mean 1."""
    count = np.bincount(y, minlength=n_classes)
    weight = np.power(len(y) / (n_classes * np.maximum(count, 1.0)), power)[y]
    return weight / weight.mean()


@dataclass(frozen=True)
class Classes:
    """Outcome of a categorical label.

    Training weighs classes equally (power 1), which serves macro-F1. Calibration and pooling use power 1/2, half-way to the
    frequencies of the data that the log-loss is measured on: one set of probabilities has to serve both.

    Parameters
    ----------
    names
        Class names, sorted.
    log_prior
        (c,) log of the training frequencies, nats.
    """

    names: tuple[str, ...]
    log_prior: np.ndarray
    kind = "classification"
    metric = "macro_f1"
    loss = "log_loss"
    ranges: ClassVar = {"macro_f1": (0.0, 1.0), "log_loss": (0.0, np.inf)}
    expert_prefix = "lr"
    # C of logistic regression, on blocks whose mean squared row norm is their width
    strengths = (1e-4, 1e-3, 1e-2, 1e-1, 1.0, 10.0, 100.0)
    power = 0.5

    @classmethod
    def learn(cls, labels: pd.Series) -> "Classes":
        """From the labels of the training rows."""
        share = labels.astype(str).value_counts(normalize=True).sort_index()
        return cls(tuple(share.index), np.log(share.to_numpy()))

    @property
    def task(self) -> Classification:
        """The tensor side."""
        return Classification(n_out=len(self.names))

    @property
    def chance(self) -> float:
        """Macro-F1 of guessing by the class frequencies, in the limit of many rows.

        A class of frequency p is then guessed with precision p and recall p, so its F1 is p; the mean over classes is 1 / c.
        """
        return 1 / len(self.names)

    def encode(self, labels: pd.Series) -> np.ndarray:
        """Codes (n,) int64."""
        return pd.Categorical(labels.astype(str), categories=self.names).codes.astype(np.int64)

    def weights(self, y: np.ndarray) -> np.ndarray:
        """Row weights (n,) that give each class the same mass."""
        return balance(y, len(self.names), 1.0)

    def link(self, raw: np.ndarray) -> np.ndarray:
        """Log-probabilities of logits."""
        return log_softmax(raw)

    def average(self, predictions: np.ndarray) -> np.ndarray:
        """Mean probability of members (K, n, c), as log-probability (n, c)."""
        return logsumexp(predictions, axis=0) - np.log(len(predictions))

    def scores(self, y: np.ndarray, prediction: np.ndarray) -> dict[str, float]:
        """Macro-F1, accuracy, balanced accuracy, log-loss in nats, expected calibration error over 15 equal-mass bins."""
        guess = prediction.argmax(1)
        table = self.reliability(y, prediction)
        return {
            "macro_f1": float(f1_score(y, guess, average="macro")),
            "accuracy": float(accuracy_score(y, guess)),
            "balanced_accuracy": float(np.mean([(guess[y == k] == k).mean() for k in np.unique(y)])),
            "log_loss": float(-np.maximum(prediction, FLOOR)[np.arange(len(y)), y].mean()),
            "ece": float((table["n"] * (table["confidence"] - table["accuracy"]).abs()).sum() / len(y)),
        }

    def error(self, y: np.ndarray, prediction: np.ndarray) -> float:
        """NaN: a class is right or wrong."""
        return np.nan

    def reliability(self, y: np.ndarray, prediction: np.ndarray, bins: int = 15) -> pd.DataFrame:
        """Confidence against accuracy in equal-mass bins of the confidence."""
        confidence, hit = np.exp(prediction.max(1)), prediction.argmax(1) == y
        parts = np.array_split(np.argsort(confidence, kind="stable"), min(bins, len(y)))
        rows = [(i, confidence[p].mean(), hit[p].mean(), len(p)) for i, p in enumerate(parts)]
        return pd.DataFrame(rows, columns=["bin", "confidence", "accuracy", "n"])

    def criterion(self, y: np.ndarray, prediction: np.ndarray) -> float:
        """Half-balanced log-loss after the best temperature: what epochs and penalties are chosen by.

        The temperature goes first because over-confidence is repaired later at no cost; without it the choice stops far too soon.
        """
        return self._loss(y, self.soften(prediction, self.temperature(y, prediction)))

    def _loss(self, y: np.ndarray, prediction: np.ndarray) -> float:
        return float(-(balance(y, len(self.names), self.power) * prediction[np.arange(len(y)), y]).mean())

    def temperature(self, y: np.ndarray, prediction: np.ndarray) -> float:
        """T > 0 minimising the half-balanced log-loss of softmax(prediction / T) (Guo et al. 2017, arXiv:1706.04599)."""
        best = minimize_scalar(
            lambda log_t: self._loss(y, self.soften(prediction, np.exp(log_t))),
            bounds=(-3.0, 3.0),
            method="bounded",
            options={"xatol": 1e-3},
        )
        return float(np.exp(best.x))

    def soften(self, prediction: np.ndarray, temperature: float) -> np.ndarray:
        """Log-probabilities of softmax(prediction / T)."""
        return log_softmax(prediction / temperature)

    def pool_weights(self, y: np.ndarray, predictions: np.ndarray) -> np.ndarray:
        """Weights (H + 1,) of the log-linear pool: one >= 0 a head, and last that of the log-prior, of either sign.

        Minimises the half-balanced log-loss of ``softmax(sum_h w_h log p_h + b log prior)`` plus
        ``RIDGE / n (sum_h (w_h - 1/H)^2 + b^2)``, a convex problem.
        """
        logs = np.concatenate([self._bounded(predictions), self._prior(predictions)])
        heads, rows = len(predictions), np.arange(len(y))
        share = balance(y, len(self.names), self.power) / len(y)
        ridge = RIDGE / len(y)
        start = np.append(np.full(heads, 1 / heads), 0.0)

        def objective(w: np.ndarray) -> tuple[float, np.ndarray]:
            mixed = log_softmax(np.tensordot(w, logs, 1))
            gradient = np.einsum("hnc,nc,n->h", logs, np.exp(mixed), share) - logs[:, rows, y] @ share
            value = -(share * mixed[rows, y]).sum() + ridge * ((w - start) ** 2).sum()
            return value, gradient + 2 * ridge * (w - start)

        bounds = [(0.0, None)] * heads + [(None, None)]
        return minimize(objective, start, jac=True, method="L-BFGS-B", bounds=bounds).x

    def pool(self, predictions: np.ndarray, weights: np.ndarray) -> np.ndarray:
        """Log-probabilities (n, c) of the pool of calibrated heads (H, n, c)."""
        return log_softmax(np.tensordot(weights, np.concatenate([self._bounded(predictions), self._prior(predictions)]), 1))

    def _bounded(self, predictions: np.ndarray) -> np.ndarray:
        return np.maximum(predictions, FLOOR)

    def _prior(self, predictions: np.ndarray) -> np.ndarray:
        return np.broadcast_to(self.log_prior - self.log_prior.mean(), (1, *predictions.shape[1:]))

    def product(self, predictions: np.ndarray) -> np.ndarray:
        """Prior-corrected product (n, c): heads as independent witnesses given the class.

        The heads learned with classes weighted equally, so each is proportional to the likelihood p(x_m | y), and the evidence of
        all is their plain product. Half the training log-prior is put back, as in the pool's criterion.
        """
        return log_softmax(self._bounded(predictions).sum(0) + (1 - self.power) * self.log_prior)

    def expert(self, strength: float, warm: Any = None) -> LogisticRegression:
        """Multinomial logistic regression, classes weighted equally, started from the one at the stronger penalty before."""
        estimator = LogisticRegression(max_iter=300, class_weight="balanced", warm_start=True) if warm is None else warm
        return estimator.set_params(C=strength)

    def linear(self, estimator: Any) -> tuple[np.ndarray, np.ndarray]:
        """Coefficients (d, c) and intercept (c,); classes that the expert never met get a logit of `UNSEEN`."""
        coef, intercept = estimator.coef_.T, estimator.intercept_
        if coef.shape[1] == 1:  # scikit-learn writes two classes as one logit
            coef, intercept = np.hstack([-coef / 2, coef / 2]), np.concatenate([-intercept / 2, intercept / 2])
        wide, offset = np.zeros((len(coef), len(self.names))), np.full(len(self.names), UNSEEN)
        wide[:, estimator.classes_], offset[estimator.classes_] = coef, intercept
        return wide, offset

    def readable(self, prediction: np.ndarray, index: pd.Index, error: np.ndarray) -> dict[str, pd.Series | pd.DataFrame]:
        """The class, its probability, and those of all classes; missing where the prediction is NaN."""
        proba = pd.DataFrame(np.exp(prediction), index=index, columns=list(self.names))
        known = proba.notna().all(axis=1).to_numpy()
        codes = np.where(known, np.nan_to_num(prediction, nan=-np.inf).argmax(1), -1)
        label = pd.Series(pd.Categorical.from_codes(codes, categories=list(self.names)), index=index)
        return {"prediction": label, "confidence": proba.max(axis=1), "proba": proba}

    def state(self) -> dict[str, Any]:
        """JSON-able facts."""
        return {"kind": self.kind, "names": list(self.names), "log_prior": self.log_prior.tolist()}

    @classmethod
    def from_state(cls, state: dict[str, Any]) -> "Classes":
        """Inverse of `state`."""
        return cls(tuple(state["names"]), np.asarray(state["log_prior"]))
