"""Motion of orientations and of the mean grain shape over one explicit step.

    A <- exp(Omega dt) A,   Omega = W + Pi Gamma^-1 (D_g - D) - sum_s gamma_s skw(b_s (x) n_s)
    F <- (I + L dt) F

All spins are axial vectors w with (Omega v) = w x v. | A | crystal_to_sample | (G, 3, 3); F: sphere to
ellipsoid (3, 3). Reference: Lebensohn & Tome 1993, Acta Metall. Mater. 41:2611.
"""

import numpy as np
import torch
from torch import Tensor

from cpml.crystallography.slip_systems import Systems
from cpml.plasticity.laws.flow import Array


def axial(matrix: Array) -> Array:
    """Axial vectors (..., 3) of the skew parts of (..., 3, 3), numpy or torch."""
    parts = [
        (matrix[..., 2, 1] - matrix[..., 1, 2]) / 2,
        (matrix[..., 0, 2] - matrix[..., 2, 0]) / 2,
        (matrix[..., 1, 0] - matrix[..., 0, 1]) / 2,
    ]
    return torch.stack(parts, -1) if isinstance(matrix, Tensor) else np.stack(parts, -1)


def slip_spin(systems: Systems) -> Tensor:
    """(S, 3) axial vectors of skw(b (x) n), crystal frame."""
    return torch.as_tensor(axial(systems.dyad))


def rotation(vector: Tensor) -> Tensor:
    """(..., 3, 3) exponentials of rotation vectors (..., 3), smooth at zero."""
    square = (vector * vector).sum(-1)[..., None, None]
    angle = square.clamp(min=1e-16).sqrt()
    is_small = square < 1e-8
    sine = torch.where(is_small, 1 - square / 6, angle.sin() / angle)
    cosine = torch.where(is_small, 0.5 - square / 24, (1 - angle.cos()) / angle**2)
    x, y, z = vector.unbind(-1)
    zero = torch.zeros_like(x)
    skew = torch.stack([zero, -z, y, z, zero, -x, -y, x, zero], -1).reshape(*vector.shape, 3)
    return torch.eye(3, dtype=vector.dtype) + sine * skew + cosine * (skew @ skew)


def turn(
    matrices: Tensor,
    shear_rate: Tensor,
    slip_axes: Tensor,
    spin: Tensor,
    deviation: Tensor | None,
    spin_tensor: Tensor | None,
    dt: Tensor | float,
) -> Tensor:
    """Orientations (G, 3, 3) after dt: macroscopic spin (3,), shear rates (G, S), and, where there is a
    medium, D_g - D (G, 5) and its spin tensor (3, 3, 5).
    """
    plastic = (matrices @ (shear_rate @ slip_axes)[..., None])[..., 0]
    omega = spin - plastic
    if deviation is not None and spin_tensor is not None:
        omega = omega + deviation @ axial(spin_tensor.movedim(2, 0))
    return rotation(omega * dt) @ matrices
