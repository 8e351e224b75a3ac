"""Figures of what ``ob.tl`` wrote: slots in, Axes out. matplotlib is loaded when a figure is drawn."""

from omicsbal.pl._calibration import calibration
from omicsbal.pl._cell_difficulty import cell_difficulty
from omicsbal.pl._compare import compare
from omicsbal.pl._confusion import confusion
from omicsbal.pl._contribution import contribution
from omicsbal.pl._embedding import embedding
from omicsbal.pl._feature_importance import feature_importance
from omicsbal.pl._history import history
from omicsbal.pl._information import information
from omicsbal.pl._kd_gate import kd_gate
from omicsbal.pl._modality_snr import modality_snr
from omicsbal.pl._pattern import pattern
from omicsbal.pl._robustness import robustness
from omicsbal.pl._scores import scores
from omicsbal.pl._tune import tune
from omicsbal.pl._utilization import utilization

__all__ = [
    "calibration",
    "cell_difficulty",
    "compare",
    "confusion",
    "contribution",
    "embedding",
    "feature_importance",
    "history",
    "information",
    "kd_gate",
    "modality_snr",
    "pattern",
    "robustness",
    "scores",
    "tune",
    "utilization",
]
