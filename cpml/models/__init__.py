"""Classifiers of deformation mechanisms per grain: the physics alone, learning alone, stacked, and coupled."""

import importlib

_HOME = {
    "Specimen": "specimen",
    "build_specimen": "specimen",
    "CrystalPlasticity": "baselines",
    "GradientBoosting": "baselines",
    "Prevalence": "baselines",
    "SchmidRule": "baselines",
    "CoupledClassifier": "coupled",
    "crystal_plasticity_table": "features",
    "grain_features": "features",
    "token_features": "features",
    "cross_validate": "protocol",
}

__all__ = sorted(_HOME)


def __getattr__(name: str):
    if name in _HOME:
        return getattr(importlib.import_module(f"cpml.models.{_HOME[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
