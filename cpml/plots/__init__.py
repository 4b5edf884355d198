"""Figures: one style, one function per kind of figure; what draws returns the matplotlib Figure."""

import importlib

_MODULES = {
    "style": (
        "use_style", "figure", "stamp", "save", "model_style", "model_label", "legend_beside",
        "MODEL_COLOURS", "MODEL_MARKERS", "MODEL_LABELS", "CATEGORY_COLOURS", "WIDTHS_MM",
    ),
    "colours": ("ipf_colours", "ipf_key"),
    "maps": ("ipf_map", "scalar_map", "grain_map", "boundary_lines", "scale_bar"),
    "images": ("image_with_traces", "image_panels", "activity_map", "line_map"),
    "boundaries": ("boundary_map", "axis_triangle"),
    "frequencies": ("frequency",),
    "footprints": ("trace_map", "twin_map", "dic_map"),
    "poles": ("pole_figures", "inverse_pole_figure", "pole_density"),
    "charts": (
        "histogram_with_curve", "disorientation_histogram", "grain_size_histogram",
        "twin_deviation_histogram", "trace_deviation_histogram", "frequency_vs_schmid",
        "schmid_rank_bars", "wilson_interval",
    ),
    "mackenzie": ("random_disorientation",),
    "scores": ("bars_with_intervals", "pr_curves", "reliability", "confusion", "topk_bars"),
    "comparison": (
        "forest", "model_scores", "optimism_points", "calibration_by_dataset", "coverage_rows", "strengths_by_dataset",
    ),
    "causes": ("cause_chain",),
    "mechanics": ("stress_strain", "regime_shares", "strengths_plot", "reachable_region"),
}  # fmt: skip
_HOME = {name: module for module, names in _MODULES.items() for name in names}


def __getattr__(name):
    if name in _HOME:
        return getattr(importlib.import_module(f"{__name__}.{_HOME[name]}"), name)
    if name in _MODULES:
        return importlib.import_module(f"{__name__}.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__():
    return sorted([*_HOME, *_MODULES])
