"""The verbs: fit, predict, embed, kd_gate. Each takes a MuData, writes named slots and leaves everything else as it was."""

from omicsbal.tl._embed import embed
from omicsbal.tl._fit import fit
from omicsbal.tl._kd_gate import kd_gate
from omicsbal.tl._predict import predict

__all__ = ["embed", "fit", "kd_gate", "predict"]
