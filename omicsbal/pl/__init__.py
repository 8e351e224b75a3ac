"""Figures of what ``ob.tl`` wrote: slots in, Axes out. matplotlib is loaded when a figure is drawn."""

from omicsbal.pl._calibration import calibration
from omicsbal.pl._confusion import confusion
from omicsbal.pl._embedding import embedding
from omicsbal.pl._history import history
from omicsbal.pl._kd_gate import kd_gate
from omicsbal.pl._pattern import pattern
from omicsbal.pl._scores import scores

__all__ = ["calibration", "confusion", "embedding", "history", "kd_gate", "pattern", "scores"]
