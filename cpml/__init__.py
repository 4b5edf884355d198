"""cpml: the deformation mechanisms of polycrystals, from crystal plasticity coupled with machine learning.

The names below load where they are first used, so that ``import cpml`` stays
light (no torch, orix, hyperspy).

>>> import cpml
>>> cpml.load_dataset.__module__
'cpml.datasets'
"""

from importlib import import_module

__version__ = "0.1.0"

_HOME = {"load_dataset": "datasets", "Run": "runs", "setup": "runs", "CpmlError": "errors"}
_MODULES = (
    "catalogue", "crystallography", "datasets", "design", "errors", "evaluation", "footprints", "loading",
    "microscopy", "models", "paths", "pipeline", "plasticity", "plots", "report", "runs", "virtual",
)  # fmt: skip

__all__ = ["CpmlError", "Run", "load_dataset", "setup"]


def __getattr__(name: str):
    if name in _HOME:
        return getattr(import_module(f"cpml.{_HOME[name]}"), name)
    if name in _MODULES:
        return import_module(f"cpml.{name}")
    raise AttributeError(f"module 'cpml' has no attribute {name!r}")


def __dir__():
    return sorted([*globals(), *_HOME, *_MODULES])
