"""What a label asks of everything outside the net; the numpy twin of `objectives.tasks.Task`."""

from typing import Any, Protocol

import numpy as np
import pandas as pd

from omicsbal.objectives.tasks import Task


class Outcome(Protocol):
    """Encoding, weighting, scoring, calibrating and pooling of one kind of label.

    Predictions are arrays (n, c): log-probabilities in nats for classes, standardised values (c = 1) for numbers.
    """

    kind: str  # "classification" or "regression"
    metric: str  # the first metric, larger is better
    loss: str  # the second metric, smaller is better
    ranges: dict[str, tuple[float, float]]  # of `metric` and `loss`
    expert_prefix: str  # names of the linear experts begin with it
    strengths: tuple[float, ...]  # penalties of the linear experts, strongest first

    @property
    def names(self) -> tuple[str, ...]:
        """Class names; empty for numbers."""

    @property
    def task(self) -> Task:
        """The tensor side."""

    @property
    def chance(self) -> float:
        """What guessing gets in the first metric."""

    def encode(self, labels: pd.Series) -> np.ndarray:
        """Codes or standardised values of labelled rows (n,)."""

    def weights(self, y: np.ndarray) -> np.ndarray:
        """Row weights (n,) of mean 1."""

    def link(self, raw: np.ndarray) -> np.ndarray:
        """Raw outputs (..., c) of a net or an expert to predictions."""

    def average(self, predictions: np.ndarray) -> np.ndarray:
        """One prediction (n, c) of members (K, n, c)."""

    def scores(self, y: np.ndarray, prediction: np.ndarray) -> dict[str, float]:
        """Every metric by name, `metric` and `loss` among them."""

    def error(self, y: np.ndarray, prediction: np.ndarray) -> float:
        """Root mean squared error in standard deviations of the label; NaN where it has no meaning."""

    def reliability(self, y: np.ndarray, prediction: np.ndarray) -> pd.DataFrame:
        """Calibration table, empty where it has no meaning."""

    def criterion(self, y: np.ndarray, prediction: np.ndarray) -> float:
        """Value to minimise when an epoch or a penalty is chosen."""

    def temperature(self, y: np.ndarray, prediction: np.ndarray) -> float:
        """The one number that calibrates a head on held-out rows."""

    def soften(self, prediction: np.ndarray, temperature: float) -> np.ndarray:
        """A prediction after calibration."""

    def pool_weights(self, y: np.ndarray, predictions: np.ndarray) -> np.ndarray:
        """Pool weights of calibrated predictions (H, n, c) on held-out rows, one >= 0 a head first."""

    def pool(self, predictions: np.ndarray, weights: np.ndarray) -> np.ndarray:
        """Weighted combination (n, c)."""

    def product(self, predictions: np.ndarray) -> np.ndarray:
        """Combination (n, c) of predictions that never met on a row, by independence given the label."""

    def expert(self, strength: float, warm: Any = None) -> Any:
        """Unfitted linear expert; `warm` is the one fitted at the stronger penalty before."""

    def linear(self, estimator: Any) -> tuple[np.ndarray, np.ndarray]:
        """Coefficients (d, c) and intercept (c,) of a fitted expert, such that x @ coef + intercept are raw outputs."""

    def readable(self, prediction: np.ndarray, index: pd.Index, error: np.ndarray) -> dict[str, pd.Series | pd.DataFrame]:
        """What a user reads, by kind of slot (`_keys.Keys`); `error` (n,) is that of `Predictor.error`."""

    def state(self) -> dict[str, Any]:
        """JSON-able facts that `from_state` needs."""
