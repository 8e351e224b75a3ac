"""The fitted model: what `omicsbal.tl.fit` returns, and its form on disk."""

from omicsbal.model._archive import OUTCOMES, SCHEMA
from omicsbal.model._fitted import FittedModel, pick_device, versions
from omicsbal.model._training_rows import TrainingRows

__all__ = ["OUTCOMES", "SCHEMA", "FittedModel", "TrainingRows", "pick_device", "versions"]
