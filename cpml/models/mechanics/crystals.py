"""Crystals of a specimen under its load: one copy of each, the law, the load, and their mean field."""

from copy import copy
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from cpml.crystallography.rotations import quaternion_multiply
from cpml.crystallography.symmetry import group_of_lattice, proper_group
from cpml.crystallography.tensors import to_vector
from cpml.models.numerics import Numerics
from cpml.models.specimen.specimen import Specimen
from cpml.plasticity.laws.law import PowerLaw
from cpml.plasticity.polycrystal.mean_field import mean_field
from cpml.plasticity.polycrystal.motion import grain_motion
from cpml.plasticity.polycrystal.response import MeanField


def law_of(specimen: Specimen, log_strength: Tensor, numerics: Numerics) -> PowerLaw:
    """The power law of log strengths (K,) of the families."""
    return PowerLaw(
        specimen.systems, log_strength.exp(), n=numerics.exponent, reference_rate=specimen.load.rate
    )


def load_direction(specimen: Specimen) -> NDArray:
    """(5,) direction of the macroscopic stress deviator, length 1."""
    macro = to_vector(specimen.load.stress)
    return macro / np.linalg.norm(macro)


def canonical_copies(quaternions: NDArray, lattice: str) -> NDArray:
    """(G, 4) symmetry copy of every crystal that is nearest to the sample axes.

    Copies are one crystal: the same one is solved whichever is given, so that answers agree to rounding.
    """
    copies = quaternion_multiply(quaternions[:, None, :], proper_group(group_of_lattice(lattice)))
    best = np.abs(copies[..., 0]).argmax(1)
    chosen = np.take_along_axis(copies, best[:, None, None], 1)[:, 0]
    return chosen * np.where(chosen[:, :1] < 0, -1.0, 1.0)


def solve_mean_field(
    specimen: Specimen, log_strength: Tensor, scheme: str, numerics: Numerics, start: Any = None
) -> MeanField:
    """The specimen's grains without their places, scheme "taylor" or "affine";
    differentiable in ``log_strength``.
    """
    # a start learns while it serves: every solution has a copy, so that none depends on what was asked before
    own_start = None if start is None else replace(start, memory=copy(start.memory))
    return mean_field(
        law_of(specimen, log_strength, numerics),
        canonical_copies(specimen.quaternions, specimen.systems.lattice),
        weights=specimen.weights,
        loading=specimen.load,
        scheme=scheme,
        lateral="free" if scheme == "affine" else "axisymmetric",  # as in the full field: a load is a stress
        start=own_start,
    )


def mean_field_motion(specimen: Specimen, solved: MeanField) -> tuple[Tensor, Tensor]:
    """The same as tensors, differentiable in what the field was solved for."""
    copies = canonical_copies(specimen.quaternions, specimen.systems.lattice)
    rate, spin = grain_motion(specimen.systems, copies, solved)
    return rate / specimen.load.rate, spin / specimen.load.rate
