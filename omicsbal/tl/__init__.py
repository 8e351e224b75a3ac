"""The verbs: fit, predict, embed, diagnostics. Each takes a MuData, writes named slots and leaves everything else as it was."""

from omicsbal.tl._cell_difficulty import cell_difficulty
from omicsbal.tl._compare import compare
from omicsbal.tl._contribution import contribution
from omicsbal.tl._embed import embed
from omicsbal.tl._feature_importance import feature_importance
from omicsbal.tl._fit import fit
from omicsbal.tl._information import information
from omicsbal.tl._kd_gate import kd_gate
from omicsbal.tl._modality_snr import modality_snr
from omicsbal.tl._predict import predict
from omicsbal.tl._robustness import robustness
from omicsbal.tl._tune import Tuned, tune
from omicsbal.tl._utilization import utilization

__all__ = [
    "Tuned",
    "cell_difficulty",
    "compare",
    "contribution",
    "embed",
    "feature_importance",
    "fit",
    "information",
    "kd_gate",
    "modality_snr",
    "predict",
    "robustness",
    "tune",
    "utilization",
]
