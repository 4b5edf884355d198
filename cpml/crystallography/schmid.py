"""Signed Schmid factors of a stress on every system of every crystal.

    m_s = b . (R^T sigma R) n / norm(sigma)

| norm | value | uniaxial stress |
|---|---|---|
| "principal" | s1 - s3 (largest minus smallest principal stress): |m| <= 1/2 | 1 |
| "von_mises" | sqrt(3/2 s:s) of the deviator | 1 |
| "frobenius" | sqrt(sigma:sigma), pressure included | 1 |

The signs matter for twins (positive = twinning sense); take the absolute value for slip.
Reference: Schmid & Boas 1935.
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from cpml.crystallography.rotations import quaternion_to_matrix
from cpml.crystallography.slip_systems import Systems
from cpml.errors import ParameterError


def stress_norm(stress: ArrayLike, norm: str = "principal") -> NDArray:
    """Scalar size (...) of stresses (..., 3, 3) under one of the three norms of the module docstring."""
    stress = np.asarray(stress, float)
    if norm == "principal":
        principal = np.linalg.eigvalsh(stress)
        return principal[..., 2] - principal[..., 0]
    if norm == "frobenius":
        return np.sqrt(np.einsum("...ij,...ij->...", stress, stress))
    if norm == "von_mises":
        deviator = stress - np.trace(stress, axis1=-2, axis2=-1)[..., None, None] / 3 * np.eye(3)
        return np.sqrt(1.5 * np.einsum("...ij,...ij->...", deviator, deviator))
    raise ParameterError(f"norm {norm!r}: choose 'principal', 'von_mises' or 'frobenius'")


def schmid_factors(
    systems: Systems, crystal_to_sample: ArrayLike, stress: ArrayLike, *, norm: str = "principal"
) -> NDArray:
    """Signed Schmid factors.

    Parameters
    ----------
    systems : S systems
    crystal_to_sample : (..., 4) quaternions
    stress : (3, 3) or (..., 3, 3) symmetric, sample frame, any unit (only its direction counts)

    Returns
    -------
    (..., S), dimensionless

    Raises
    ------
    ParameterError : the stress has no size under the norm (hydrostatic or zero), or an unknown norm
    """
    stress = np.asarray(stress, float)
    size = stress_norm(stress, norm)
    if not np.all(size > 0):
        raise ParameterError(f"a stress has zero {norm} norm: there is no Schmid factor for it")
    r = quaternion_to_matrix(crystal_to_sample)
    local = r.swapaxes(-1, -2) @ (stress / size[..., None, None]) @ r
    return (local.reshape((*local.shape[:-2], 9))) @ systems.schmid.reshape(-1, 9).T
