"""Orientations, symmetry, slip and twin systems, materials."""

from importlib import import_module

from cpml.crystallography.rotations import (
    axis_angle_to_quaternion,
    euler_to_quaternion,
    matrix_to_quaternion,
    quaternion_conjugate,
    quaternion_multiply,
    quaternion_to_euler,
    quaternion_to_matrix,
    random_quaternions,
    rotate,
)
from cpml.crystallography.schmid import schmid_factors
from cpml.crystallography.symmetry import LAUE_NUMBER, group_of_lattice, proper_group
from cpml.crystallography.systems import Systems, systems
from cpml.crystallography.twinning import twin_crystal_to_sample, twin_disorientation

_LAZY = {
    "load_material": "materials",
    "Material": "materials",
    "disorientation_angle": "disorientation",
    "disorientation_axis_angle": "disorientation",
}

__all__ = [
    "LAUE_NUMBER",
    "Material",
    "Systems",
    "axis_angle_to_quaternion",
    "disorientation_angle",
    "disorientation_axis_angle",
    "euler_to_quaternion",
    "group_of_lattice",
    "load_material",
    "matrix_to_quaternion",
    "proper_group",
    "quaternion_conjugate",
    "quaternion_multiply",
    "quaternion_to_euler",
    "quaternion_to_matrix",
    "random_quaternions",
    "rotate",
    "schmid_factors",
    "systems",
    "twin_crystal_to_sample",
    "twin_disorientation",
]


def __getattr__(name: str):
    if name not in _LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_LAZY[name]}"), name)
