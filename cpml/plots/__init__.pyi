from .boundaries import (
    axis_triangle as axis_triangle,
    boundary_map as boundary_map,
    cluster_map as cluster_map,
    transmission_curve as transmission_curve,
)
from .causes import cause_chain as cause_chain
from .charts import (
    disorientation_histogram as disorientation_histogram,
    grain_size_histogram as grain_size_histogram,
    histogram_with_curve as histogram_with_curve,
    schmid_rank_bars as schmid_rank_bars,
    trace_deviation_histogram as trace_deviation_histogram,
)
from .colours import ipf_colours as ipf_colours, ipf_key as ipf_key
from .comparison import (
    calibration_by_dataset as calibration_by_dataset,
    coverage_rows as coverage_rows,
    forest as forest,
    model_scores as model_scores,
    optimism_points as optimism_points,
    strengths_by_dataset as strengths_by_dataset,
)
from .designs import (
    design_goals as design_goals,
    design_routes as design_routes,
    design_sensitivity as design_sensitivity,
    mechanism_shares as mechanism_shares,
    reachable_region as reachable_region,
    trade_off as trade_off,
)
from .ecci.lines import (
    burgers_of_grains as burgers_of_grains,
    characters as characters,
    picture_segments as picture_segments,
    seen_table as seen_table,
)
from .ecci.stage import stage_sketch as stage_sketch
from .fields import (
    activity_map as activity_map,
    choice_map as choice_map,
    dic_map as dic_map,
    line_map as line_map,
)
from .footprints import trace_map as trace_map, twin_map as twin_map
from .frequencies import frequency as frequency
from .images import image_panels as image_panels, image_with_traces as image_with_traces
from .maps import (
    boundary_lines as boundary_lines,
    grain_map as grain_map,
    ipf_map as ipf_map,
    phase_map as phase_map,
    scalar_map as scalar_map,
    scale_bar as scale_bar,
)
from .mechanics import (
    lankford_profile as lankford_profile,
    regime_map as regime_map,
    regime_shares as regime_shares,
    strengths_over_temperature as strengths_over_temperature,
    stress_strain as stress_strain,
    yield_section as yield_section,
)
from .mechanisms import mechanism_map as mechanism_map
from .palette import (
    CATEGORY_COLOURS as CATEGORY_COLOURS,
    MODEL_COLOURS as MODEL_COLOURS,
    MODEL_LABELS as MODEL_LABELS,
    MODEL_MARKERS as MODEL_MARKERS,
    model_label as model_label,
    model_style as model_style,
)
from .scores import (
    bars_with_intervals as bars_with_intervals,
    pr_curves as pr_curves,
    reliability as reliability,
)
from .solved.depths import (
    depth_sections as depth_sections,
    explained_shares as explained_shares,
    learning_curve as learning_curve,
    open_parity as open_parity,
    stresses_under_depths as stresses_under_depths,
)
from .solved.hot_spots import (
    grain_stress_parity as grain_stress_parity,
    hot_spot_profiles as hot_spot_profiles,
    rank_correlations as rank_correlations,
    stress_and_slip_maps as stress_and_slip_maps,
)
from .steps import grain_courses as grain_courses
from .strengths import correlation_heatmap as correlation_heatmap, strengths_plot as strengths_plot
from .style import (
    WIDTHS_MM as WIDTHS_MM,
    described as described,
    figure as figure,
    legend_beside as legend_beside,
    note as note,
    save as save,
    stamp as stamp,
    use_style as use_style,
)
from .texture.mackenzie import random_disorientation as random_disorientation
from .texture.odf import odf_sections as odf_sections
from .texture.poles import (
    inverse_pole_figure as inverse_pole_figure,
    pole_density as pole_density,
    pole_figures as pole_figures,
)
from .views import FieldView as FieldView, MapView as MapView
