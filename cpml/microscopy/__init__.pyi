from .checks.frame_ranking import FrameRanking as FrameRanking, rank_frames as rank_frames
from .checks.frames import (
    FrameCheck as FrameCheck,
    displacement_deviations as displacement_deviations,
    frame_check as frame_check,
    hex_axis_check as hex_axis_check,
    lamella_check as lamella_check,
    matched_planes as matched_planes,
    nearest_line as nearest_line,
    trace_deviations as trace_deviations,
)
from .cleaning.clean import Cleaned as Cleaned, clean as clean, usual_cleaning as usual_cleaning
from .curvature.burgers import weighted_burgers as weighted_burgers
from .curvature.gnd import dislocation_types as dislocation_types, gnd as gnd
from .curvature.kam import (
    boundary_distance as boundary_distance,
    gos_noise as gos_noise,
    grod as grod,
    kam as kam,
    kam_gradient as kam_gradient,
    kam_noise as kam_noise,
    kam_table as kam_table,
)
from .curvature.lattice_curvature import (
    NoiseEstimate as NoiseEstimate,
    curvature as curvature,
    noise_estimate as noise_estimate,
    nye as nye,
    orientation_noise as orientation_noise,
)
from .dic.activity import (
    SlipActivity as SlipActivity,
    in_plane_dyads as in_plane_dyads,
    slip_activity as slip_activity,
)
from .dic.band_profiles import BandProfiles as BandProfiles, band_profiles as band_profiles
from .dic.bands import band_angles as band_angles
from .dic.displacement_ratio import (
    band_displacements as band_displacements,
    displacement_direction as displacement_direction,
    match_displacements as match_displacements,
)
from .dic.field import DicField as DicField, read_dic as read_dic
from .dic.gradient_files import read_gradient as read_gradient
from .dic.registered import RegisteredDic as RegisteredDic, register_dic as register_dic
from .dic.strain import (
    effective_strain as effective_strain,
    green_lagrange as green_lagrange,
    in_plane_rotation as in_plane_rotation,
    max_shear as max_shear,
    strain_measures as strain_measures,
)
from .ecci.best_reflections import best_reflections as best_reflections
from .ecci.calls import call_lines as call_lines
from .ecci.channelling import (
    common_settings as common_settings,
    excited as excited,
    settings_for as settings_for,
)
from .ecci.contrast import burgers_vectors as burgers_vectors, contrast_table as contrast_table
from .ecci.line_pictures import (
    find_segments as find_segments,
    line_contrast as line_contrast,
    line_density as line_density,
)
from .ecci.posterior import infer_lines as infer_lines
from .ecci.reflections import reflections as reflections
from .ecci.stage import Stage as Stage
from .grains.boundary_geometry import boundary_details as boundary_details, boundary_sides as boundary_sides
from .grains.boundary_pieces import pieces_between as pieces_between
from .grains.boundary_slip import boundary_transfer as boundary_transfer
from .grains.csl import nearest_csl as nearest_csl
from .grains.grain_features import grain_features as grain_features
from .grains.grain_sheet import c_axis_angle as c_axis_angle, grain_sheet as grain_sheet
from .grains.grains import Grains as Grains, segment as segment
from .grains.graph_export import write_graphml as write_graphml
from .grains.junctions import triple_junctions as triple_junctions
from .grains.network import (
    passing_clusters as passing_clusters,
    path_transmission as path_transmission,
    percolation as percolation,
    transfer_clusters as transfer_clusters,
)
from .grains.phase_boundaries import phase_boundaries as phase_boundaries
from .grains.shapes import grain_shapes as grain_shapes, grain_spread as grain_spread
from .grains.transfer_features import transfer_features as transfer_features
from .images.courses import line_courses as line_courses
from .images.line_field import (
    StructureTensor as StructureTensor,
    structure_tensor as structure_tensor,
    tensor_families as tensor_families,
)
from .images.line_pieces import least_line_um as least_line_um, line_pieces as line_pieces
from .images.sem_image import (
    SemImage as SemImage,
    destripe as destripe,
    flat_field as flat_field,
    read_image as read_image,
)
from .images.trace_detection import detect_traces as detect_traces, tile_labels as tile_labels
from .images.trace_likelihood import match_traces as match_traces
from .io.map_file import read_map_file as read_map_file, write_map_file as write_map_file
from .io.oim_files import (
    read_grain_file as read_grain_file,
    read_reconstructed_boundaries as read_reconstructed_boundaries,
)
from .io.reading import read_map as read_map, read_stack as read_stack
from .io.writing import write_map as write_map
from .labels.boundary_file import (
    active_of_given as active_of_given,
    read_boundaries as read_boundaries,
    residuals_of_given as residuals_of_given,
)
from .labels.cross_slip import cross_slip_labels as cross_slip_labels
from .labels.detection import visibility as visibility
from .labels.directions import system_labels as system_labels
from .labels.passing import (
    aligned_traces as aligned_traces,
    count_passing as count_passing,
    passing_state as passing_state,
    slip_passing as slip_passing,
    with_given as with_given,
)
from .labels.planes import (
    naming_probability as naming_probability,
    scored_labels as scored_labels,
    slip_labels as slip_labels,
    slip_traces as slip_traces,
)
from .labels.rows import Labels as Labels, label_rows as label_rows, one_a_line as one_a_line
from .labels.slip_transfer import slip_transfer as slip_transfer
from .labels.statistics import (
    bootstrap_interval as bootstrap_interval,
    boundary_type as boundary_type,
    footprint_frequency as footprint_frequency,
    surrounding_type as surrounding_type,
    with_circumstances as with_circumstances,
    with_schmid as with_schmid,
)
from .labels.traces import (
    DIC_SIGMA_DEG as DIC_SIGMA_DEG,
    read_traces as read_traces,
    traces_to_grains as traces_to_grains,
)
from .labels.user import (
    read_labels as read_labels,
    unobserved_labels as unobserved_labels,
    without_labels as without_labels,
)
from .labels.variants import twin_labels as twin_labels
from .maps.ebsd_map import EbsdMap as EbsdMap, MapPhase as MapPhase
from .maps.frames import frame_rotation as frame_rotation
from .maps.phase_parts import by_phase as by_phase
from .maps.phases import PhasePresent as PhasePresent, phases_present as phases_present
from .registration.affine import (
    Affine as Affine,
    fit_affine as fit_affine,
    label_of_points as label_of_points,
    map_frame as map_frame,
    map_pixels as map_pixels,
)
from .registration.points import (
    Registration as Registration,
    label_of_pixels as label_of_pixels,
    register_points as register_points,
)
from .tracking.mean_gradients import mean_gradients as mean_gradients
from .tracking.placement import Placement as Placement
from .tracking.regions import Regions as Regions, regions as regions
from .tracking.tracks import Tracks as Tracks, track_grains as track_grains
from .twins.boundary_share import twin_boundary_share as twin_boundary_share
from .twins.evidence import (
    parent_probability as parent_probability,
    twin_lamellae as twin_lamellae,
    variant_fractions as variant_fractions,
)
from .twins.texture import phase_odf as phase_odf
from .twins.twins import Twins as Twins, find_twins as find_twins
