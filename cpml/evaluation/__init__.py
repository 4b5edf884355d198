"""The honest protocol: blocked splits, metrics that respect rarity and missing labels, intervals over blocks."""

from cpml.evaluation.evaluate import evaluate, paired_differences
from cpml.evaluation.splits import Splits, blocked_folds, random_folds

__all__ = ["Splits", "blocked_folds", "evaluate", "paired_differences", "random_folds"]
