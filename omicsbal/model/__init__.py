"""The fitted model: what `omicsbal.tl.fit` returns, and its form on disk."""

from omicsbal.model._archive import OUTCOMES, SCHEMA
from omicsbal.model._fitted import FittedModel, pick_device, versions

__all__ = ["OUTCOMES", "SCHEMA", "FittedModel", "pick_device", "versions"]
