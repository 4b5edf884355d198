"""Classifiers of deformation mechanisms per grain: the physics alone, learning alone, stacked, and coupled."""

import importlib

_HOME = {
    "Specimen": "specimen",
    "build_specimen": "specimen",
    "CrystalPlasticity": "cp_baselines",
    "GradientBoosting": "trees",
    "GraphNetwork": "graph_network",
    "Prevalence": "baselines",
    "RandomForest": "trees",
    "SchmidRule": "baselines",
    "CoupledClassifier": "coupled",
    "LatentLoad": "latent_load",
    "explain": "explanation",
    "shuffled_neighbourhoods": "neighbourhood",
    "all_models": "summary",
    "models_for": "summary",
    "physics_change": "summary",
    "ranks_of_observed": "summary",
    "ratio_table": "summary",
    "with_baseline": "summary",
    "share_of_tokens": "features",
    "schmid_of_tokens": "features",
    "token_features": "features",
    "cross_validate": "protocol",
    "observed": "baselines",
    "Microscope": "synthetic",
    "Synthetic": "synthetic",
    "synthetic_specimen": "synthetic",
    "pick_max_schmid": "hard_labels",
    "offset_yield": "anchor",
    "read_curve": "anchor",
    "strength_scale": "anchor",
    "specimen_of": "specimen",
}

__all__ = [
    "CoupledClassifier",
    "CrystalPlasticity",
    "GradientBoosting",
    "GraphNetwork",
    "LatentLoad",
    "Microscope",
    "Prevalence",
    "RandomForest",
    "SchmidRule",
    "Specimen",
    "Synthetic",
    "all_models",
    "build_specimen",
    "cross_validate",
    "explain",
    "models_for",
    "observed",
    "offset_yield",
    "physics_change",
    "pick_max_schmid",
    "ranks_of_observed",
    "ratio_table",
    "read_curve",
    "schmid_of_tokens",
    "share_of_tokens",
    "shuffled_neighbourhoods",
    "specimen_of",
    "strength_scale",
    "synthetic_specimen",
    "token_features",
    "with_baseline",
]


def __getattr__(name: str):
    if name in _HOME:
        return getattr(importlib.import_module(f"cpml.models.{_HOME[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
