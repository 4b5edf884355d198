from .across import (
    calibration as calibration,
    coverage as coverage,
    gains as gains,
    random_minus_blocked as random_minus_blocked,
)
from .amounts import amount_scores as amount_scores
from .conformal import ConformalSets as ConformalSets, conformal_sets as conformal_sets
from .curves import PrecisionRecall as PrecisionRecall, pr_curves as pr_curves
from .detection import active as active, detection_rates as detection_rates
from .levels import at_level as at_level, families_and_twinned_grains as families_and_twinned_grains
from .partial import candidate_bounds as candidate_bounds, trace_gain as trace_gain
from .partitions import over_partitions as over_partitions
from .predicted_sets import (
    Labelled as Labelled,
    PredictedSets as PredictedSets,
    predict_sets as predict_sets,
    set_coverage as set_coverage,
)
from .records import from_record as from_record, record as record, stacked as stacked
from .scores import evaluate as evaluate, paired_differences as paired_differences
from .splits import Splits as Splits, blocked_folds as blocked_folds, random_folds as random_folds
from .tables import (
    ambiguous_table as ambiguous_table,
    difference_table as difference_table,
    flat_metrics as flat_metrics,
    flat_sets as flat_sets,
    interval_table as interval_table,
    optimism as optimism,
    overview as overview,
    reliability_tables as reliability_tables,
)
from .verdicts import flat_gains as flat_gains, verdict as verdict, with_verdict as with_verdict
