"""The honest protocol: blocked splits, metrics that respect rarity and missing
labels, intervals over blocks, sets.
"""

from cpml.evaluation.across import calibration, coverage, gains, random_minus_blocked
from cpml.evaluation.amounts import amount_scores
from cpml.evaluation.conformal import ConformalSets, conformal_sets
from cpml.evaluation.evaluate import evaluate, paired_differences
from cpml.evaluation.levels import at_level, families_and_twinned_grains
from cpml.evaluation.partial import candidate_bounds, trace_gain
from cpml.evaluation.record import active, from_record, record, stacked
from cpml.evaluation.splits import Splits, blocked_folds, random_folds
from cpml.evaluation.tables import (
    difference_table,
    flat_metrics,
    flat_sets,
    interval_table,
    optimism,
    overview,
    reliability_tables,
)

__all__ = [
    "ConformalSets",
    "Splits",
    "active",
    "amount_scores",
    "at_level",
    "blocked_folds",
    "calibration",
    "candidate_bounds",
    "conformal_sets",
    "coverage",
    "difference_table",
    "evaluate",
    "families_and_twinned_grains",
    "flat_metrics",
    "flat_sets",
    "from_record",
    "gains",
    "interval_table",
    "optimism",
    "overview",
    "paired_differences",
    "random_folds",
    "random_minus_blocked",
    "record",
    "reliability_tables",
    "stacked",
    "trace_gain",
]
