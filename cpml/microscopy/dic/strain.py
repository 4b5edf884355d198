"""Strain measures of an in-plane displacement gradient H (..., 2, 2), pixel frame (x right, y down).

    F = 1 + H,  E = (F^T F - 1)/2,  F = R U

| measure | definition | fully in-plane slip gamma |
|---|---|---|
| green_lagrange | E_xx, E_xy, E_yy | |
| max_shear (DefDAP) | sqrt(((E_xx - E_yy)/2)^2 + E_xy^2) | gamma/2 |
| effective_strain (SSLIP) | sqrt((H_xx - H_yy)^2/2 + (H_xy + H_yx)^2/2) | gamma/sqrt 2 |
| in_plane_rotation | angle of R, counter-clockwise on screen | |

References: Atkinson et al., DefDAP, doi 10.5281/zenodo.3688096; Vermeij et al. 2022, Acta Mater. 243:118502.
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from cpml.errors import ParameterError


def green_lagrange(gradient: ArrayLike) -> NDArray:
    """Green-Lagrange strain E (..., 2, 2) of H (..., 2, 2)."""
    f = checked_gradient(gradient) + np.eye(2)
    return (np.swapaxes(f, -1, -2) @ f - np.eye(2)) / 2


def max_shear(gradient: ArrayLike) -> NDArray:
    """Maximum in-plane shear (...) of the Green-Lagrange strain of H (..., 2, 2); in-plane slip
    gamma gives gamma/2.
    """
    e = green_lagrange(gradient)
    return np.hypot((e[..., 0, 0] - e[..., 1, 1]) / 2, e[..., 0, 1])


def effective_strain(gradient: ArrayLike) -> NDArray:
    """E_eff (...) of SSLIP from H (..., 2, 2); in-plane slip gamma gives gamma / sqrt 2."""
    h = checked_gradient(gradient)
    return np.hypot(h[..., 0, 0] - h[..., 1, 1], h[..., 0, 1] + h[..., 1, 0]) / np.sqrt(2)


def in_plane_rotation(gradient: ArrayLike) -> NDArray:
    """Rotation (...), deg, counter-clockwise on screen, of the polar decomposition F = R U in the plane."""
    h = checked_gradient(gradient)
    return np.degrees(np.arctan2(h[..., 0, 1] - h[..., 1, 0], 2 + h[..., 0, 0] + h[..., 1, 1]))


def strain_measures(gradient: ArrayLike) -> dict[str, NDArray]:
    """All measures by name: e_xx, e_xy, e_yy, max_shear, effective_strain, rotation_deg, each (...).

    Examples
    --------
    >>> found = strain_measures([[0.0, 0.02], [0.0, 0.0]])
    >>> print({name: float(value.round(4)) for name, value in found.items()})
    {'e_xx': 0.0, 'e_xy': 0.01, 'e_yy': 0.0002, 'max_shear': 0.01, 'effective_strain':
    0.0141, 'rotation_deg': 0.5729}
    """
    e = green_lagrange(gradient)
    return {
        "e_xx": e[..., 0, 0],
        "e_xy": e[..., 0, 1],
        "e_yy": e[..., 1, 1],
        "max_shear": max_shear(gradient),
        "effective_strain": effective_strain(gradient),
        "rotation_deg": in_plane_rotation(gradient),
    }


def checked_gradient(gradient: ArrayLike) -> NDArray:
    """H as float64 (..., 2, 2).

    Raises
    ------
    ParameterError : another shape
    """
    h = np.asarray(gradient, float)
    if h.shape[-2:] != (2, 2):
        raise ParameterError(f"the displacement gradient has shape {h.shape}: (..., 2, 2) is needed")
    return h
