"""How the grains of a mean field move: their strain rates, and the spin of their lattices.

    D_g = sum_s gamma_s P_s,    W_g = Pi Gamma^-1 (D_g - D) - sum_s gamma_s skw(b_s (x) n_s)

The first term of the spin is that of an inclusion in the medium; bounds without a medium have none. All in
the sample frame and for a macroscopic spin of zero; differentiable wherever the shear rates are.
Reference: Lebensohn & Tome 1993, Acta Metall. Mater. 41:2611.
"""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from cpml.crystallography.rotations import quaternion_to_matrix
from cpml.crystallography.slip_systems import Systems
from cpml.crystallography.tensors import rotation_5x5
from cpml.plasticity.laws.spin import axial, slip_spin
from cpml.plasticity.polycrystal.response import MeanField


def schmid_vectors(systems: Systems, quaternions: NDArray) -> NDArray:
    """(G, S, 5) Schmid tensors of every grain in the sample frame."""
    turn = rotation_5x5(quaternion_to_matrix(quaternions))
    return np.einsum("gij,sj->gsi", turn, systems.schmid5)


def plastic_spin(systems: Systems, quaternions: NDArray, shear: NDArray) -> NDArray:
    """(..., 3) axial spin, sample frame, that slip (..., S) of crystals (..., 4) takes from the lattice."""
    turn = quaternion_to_matrix(quaternions)
    return np.einsum("...ij,...j->...i", turn, shear @ slip_spin(systems).numpy())


def grain_motion(systems: Systems, quaternions: NDArray, field: MeanField) -> tuple[Tensor, Tensor]:
    """Strain rates (G, 5) and axial spins (G, 3) of the lattices, 1/s.

    Parameters
    ----------
    quaternions : (G, 4) crystal_to_sample, as the field was solved for
    """
    shear = field.shear_rate
    schmid = torch.as_tensor(schmid_vectors(systems, quaternions))
    axes = torch.as_tensor(
        np.einsum("gij,sj->gsi", quaternion_to_matrix(quaternions), slip_spin(systems).numpy())
    )
    rate = torch.einsum("gs,gsi->gi", shear, schmid)
    spin = -torch.einsum("gs,gsi->gi", shear, axes)
    if field.spin is not None:
        spin = spin + (rate - field.rate) @ axial(field.spin.movedim(2, 0))
    return rate, spin
