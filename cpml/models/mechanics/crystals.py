"""Crystals of a specimen under its load: one copy of each, the law, the direction of the load."""

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from cpml.crystallography.rotations import quaternion_multiply
from cpml.crystallography.symmetry import group_of_lattice, proper_group
from cpml.crystallography.tensors import to_vector
from cpml.models.numerics import Numerics
from cpml.models.specimen.specimen import Specimen
from cpml.plasticity.laws.law import PowerLaw


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
