"""The honest protocol: blocked splits, metrics that respect rarity and missing labels, intervals over blocks."""

from cpml.evaluation.evaluate import evaluate, paired_differences
from cpml.evaluation.splits import Splits, blocked_folds, random_folds
from cpml.evaluation.tables import difference_table, flat_metrics, optimism, overview, reliability_tables

__all__ = [
    "Splits",
    "blocked_folds",
    "difference_table",
    "evaluate",
    "flat_metrics",
    "optimism",
    "overview",
    "paired_differences",
    "random_folds",
    "reliability_tables",
]
