"""The honest protocol: blocked splits, metrics that respect rarity and missing labels, intervals over blocks, sets."""

from cpml.evaluation.amounts import amount_scores
from cpml.evaluation.conformal import ConformalSets, conformal_sets
from cpml.evaluation.evaluate import evaluate, paired_differences
from cpml.evaluation.levels import at_level
from cpml.evaluation.partial import candidate_bounds, trace_gain
from cpml.evaluation.splits import Splits, blocked_folds, random_folds
from cpml.evaluation.tables import difference_table, flat_metrics, optimism, overview, reliability_tables

__all__ = [
    "ConformalSets",
    "Splits",
    "amount_scores",
    "at_level",
    "blocked_folds",
    "candidate_bounds",
    "conformal_sets",
    "difference_table",
    "evaluate",
    "flat_metrics",
    "optimism",
    "overview",
    "paired_differences",
    "random_folds",
    "reliability_tables",
    "trace_gain",
]
