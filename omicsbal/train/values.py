"""Outcome of a continuous label: standardised values, R squared, precision-weighted pool."""

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import pandas as pd
from scipy.optimize import minimize
from sklearn.linear_model import Ridge

from omicsbal.objectives.tasks import Regression

HALF_90 = 1.6449  # standard normal quantile of a central 90 % interval
RIDGE = 5.0  # rows, as for classes; errors are in units of the label's variance


@dataclass(frozen=True)
class Values:
    """Outcome of a continuous label; predictions are (n, 1), in training standard deviations from the training mean.

    Parameters
    ----------
    mean, sd
        Of the training rows, in the label's own unit.
    """

    mean: float
    sd: float
    kind = "regression"
    metric = "r2"
    loss = "rmse"
    ranges: ClassVar = {"r2": (-np.inf, 1.0), "rmse": (0.0, np.inf)}
    names = ()
    expert_prefix = "ridge"
    # alpha of ridge regression, on blocks whose mean squared row norm is their width
    strengths = (1e5, 1e4, 1e3, 1e2, 10.0, 1.0, 0.1)

    @classmethod
    def learn(cls, labels: pd.Series) -> "Values":
        """From the labels of the training rows."""
        values = labels.to_numpy(dtype=float)
        return cls(float(values.mean()), float(values.std()))

    @property
    def task(self) -> Regression:
        """The tensor side."""
        return Regression()

    @property
    def chance(self) -> float:
        """R squared of the mean."""
        return 0.0

    def encode(self, labels: pd.Series) -> np.ndarray:
        """Standardised values (n,) float32."""
        return ((labels.to_numpy(dtype=float) - self.mean) / self.sd).astype(np.float32)

    def weights(self, y: np.ndarray) -> np.ndarray:
        """Every row counts the same."""
        return np.ones(len(y))

    def link(self, raw: np.ndarray) -> np.ndarray:
        """The net's output is the prediction."""
        return raw

    def average(self, predictions: np.ndarray) -> np.ndarray:
        """Mean of members (K, n, 1)."""
        return predictions.mean(0)

    def scores(self, y: np.ndarray, prediction: np.ndarray) -> dict[str, float]:
        """R squared, and root mean squared error in the label's unit."""
        error = self.error(y, prediction)
        return {"r2": float(1 - error**2 / max(float(y.var()), 1e-12)), "rmse": self.sd * error}

    def error(self, y: np.ndarray, prediction: np.ndarray) -> float:
        """Root mean squared error."""
        return float(np.sqrt(((prediction[:, 0] - y) ** 2).mean()))

    def reliability(self, y: np.ndarray, prediction: np.ndarray) -> pd.DataFrame:
        """Nothing to show: a number has no confidence to be held against."""
        return pd.DataFrame(columns=["bin", "confidence", "accuracy", "n"])

    def criterion(self, y: np.ndarray, prediction: np.ndarray) -> float:
        """Mean squared error after the best shrinkage: what epochs and penalties are chosen by."""
        return float(((self.soften(prediction, self.temperature(y, prediction))[:, 0] - y) ** 2).mean())

    def temperature(self, y: np.ndarray, prediction: np.ndarray) -> float:
        """T >= 1/2 such that prediction / T has the least squared error; above 1 for an over-fitted head."""
        top, bottom = float((prediction[:, 0] * y).sum()), float((prediction[:, 0] ** 2).sum())
        return float(np.clip(bottom / top, 0.5, 100.0)) if top > 0 else 100.0

    def soften(self, prediction: np.ndarray, temperature: float) -> np.ndarray:
        """Prediction shrunk towards the training mean."""
        return prediction / temperature

    def pool_weights(self, y: np.ndarray, predictions: np.ndarray) -> np.ndarray:
        """Weights >= 0 (H,) minimising the squared error of the weighted sum, pulled towards 1/H by ``RIDGE / n``.

        A log-linear pool of Gaussian heads is again Gaussian, with a non-negative combination of their means as its mean.
        """
        heads = len(predictions)
        x, start = predictions[:, :, 0], np.full(heads, 1 / heads)

        def objective(w: np.ndarray) -> tuple[float, np.ndarray]:
            error = w @ x - y
            value = (error**2).mean() + RIDGE / len(y) * ((w - start) ** 2).sum()
            return value, 2 * x @ error / len(y) + 2 * RIDGE / len(y) * (w - start)

        return minimize(objective, start, jac=True, method="L-BFGS-B", bounds=[(0.0, None)] * heads).x

    def pool(self, predictions: np.ndarray, weights: np.ndarray) -> np.ndarray:
        """Weighted sum (n, 1) of calibrated heads (H, n, 1)."""
        return np.tensordot(weights, predictions, 1)

    def product(self, predictions: np.ndarray) -> np.ndarray:
        """Mean (n, 1): without rows that have all of them, no head is known to be the more precise one."""
        return predictions.mean(0)

    def expert(self, strength: float, warm: Any = None) -> Ridge:
        """Ridge regression; closed form, so there is nothing to start from."""
        return Ridge(alpha=strength)

    def linear(self, estimator: Any) -> tuple[np.ndarray, np.ndarray]:
        """Coefficients (d, 1) and intercept (1,)."""
        return estimator.coef_.reshape(-1, 1), np.atleast_1d(estimator.intercept_)

    def readable(self, prediction: np.ndarray, index: pd.Index, error: np.ndarray) -> dict[str, pd.Series | pd.DataFrame]:
        """The value in the label's unit, and a 90 % interval of Gaussian errors as large as the out-of-fold ones."""
        value = pd.Series(self.mean + self.sd * prediction[:, 0], index=index)
        half = HALF_90 * self.sd * error
        return {"prediction": value, "interval": pd.DataFrame({"low": value - half, "high": value + half})}

    def state(self) -> dict[str, Any]:
        """JSON-able facts."""
        return {"kind": self.kind, "mean": self.mean, "sd": self.sd}

    @classmethod
    def from_state(cls, state: dict[str, Any]) -> "Values":
        """Inverse of `state`."""
        return cls(state["mean"], state["sd"])
