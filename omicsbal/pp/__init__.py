"""Preprocessing: what is there, which rows are held out when, and a recipe for each modality. No torch here."""

from .align import match_features, matrix_of, modality_pattern, presence, take_features
from .checks import check_matrix, check_mdata
from .describe import describe, describe_text
from .folds import make_folds, rare_classes
from .labels import find_groups, find_label
from .options import per_modality
from .recipes import RECIPES, Recipe, choose_recipe

__all__ = [
    "RECIPES",
    "Recipe",
    "check_matrix",
    "check_mdata",
    "choose_recipe",
    "describe",
    "describe_text",
    "find_groups",
    "find_label",
    "make_folds",
    "match_features",
    "matrix_of",
    "modality_pattern",
    "per_modality",
    "presence",
    "rare_classes",
    "take_features",
]
