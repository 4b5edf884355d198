from .baselines.crystal_plasticity import CrystalPlasticity as CrystalPlasticity
from .baselines.graph_network import GraphNetwork as GraphNetwork
from .baselines.simple import (
    FamilyShare as FamilyShare,
    Prevalence as Prevalence,
    SchmidFamily as SchmidFamily,
    SchmidRule as SchmidRule,
    observed as observed,
)
from .baselines.trees import GradientBoosting as GradientBoosting, RandomForest as RandomForest
from .checks.checks import Checks as Checks, check_fit as check_fit
from .checks.source_effect import source_effect as source_effect
from .coupled.coupled import CoupledClassifier as CoupledClassifier
from .coupled.explanation import explain as explain
from .coupled.latent_load import LatentLoad as LatentLoad
from .coupled.strengths.anchor import offset_yield as offset_yield, strength_scale as strength_scale
from .mechanics.features import (
    schmid_of_tokens as schmid_of_tokens,
    share_of_tokens as share_of_tokens,
    token_features as token_features,
)
from .mechanics.field_comparison import (
    beside_mean_field as beside_mean_field,
    beside_measured as beside_measured,
    expected_rotations as expected_rotations,
    expected_strains as expected_strains,
    mean_ranks as mean_ranks,
    motion_scores as motion_scores,
    unlike_mean_field as unlike_mean_field,
)
from .mechanics.hot_spots import hot_spot_numbers as hot_spot_numbers, hot_spots as hot_spots
from .mechanics.map_field import MapField as MapField, solve_map as solve_map
from .mechanics.mean_fields import mean_fields as mean_fields
from .mechanics.open_depth import (
    OpenDepth as OpenDepth,
    learned_curve as learned_curve,
    learned_scores as learned_scores,
    open_depth as open_depth,
)
from .mechanics.response import GrainResponse as GrainResponse, grain_response as grain_response
from .protocol import cross_validate as cross_validate, held_out_motions as held_out_motions
from .specimen.motions import measured_motions as measured_motions
from .specimen.specimen import Specimen as Specimen, build_specimen as build_specimen
from .summary import (
    agreement as agreement,
    all_models as all_models,
    fit_table as fit_table,
    models_for as models_for,
    ranks_of_observed as ranks_of_observed,
    ratio_table as ratio_table,
    with_baseline as with_baseline,
)
from .transmission import (
    Transmission as Transmission,
    fit_transmission as fit_transmission,
    held_out_transmission as held_out_transmission,
    transmission_scores as transmission_scores,
)
