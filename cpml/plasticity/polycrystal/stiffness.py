"""Elastic constants of polycrystals: Voigt, Reuss and self-consistent averages, ellipsoidal grains.

In the Mandel basis (order 11, 22, 33, 23, 13, 12; shears times sqrt2) the self-consistent stiffness solves

    C <- <(C_g + C*)^-1>^-1 - C*,   C* = Gamma^-1 - C

(Gamma: the elastic Eshelby integral, cpml.plasticity.polycrystal.eshelby).

Cubic crystals, random texture, spheres (Hershey 1954): 8 G^3 + (5 C11 + 4 C12) G^2 - C44 (7 C11 - 4 C12) G
- C44 (C11 - C12)(C11 + 2 C12) = 0, bulk modulus (C11 + 2 C12)/3.

| symbol | meaning | shape |
|---|---|---|
| C_g, C | grain and polycrystal stiffness, MPa | (G, 6, 6), (6, 6) |

References: Hershey 1954, J. Appl. Mech. 21:236; Kroener 1958, Z. Phys. 151:504; Hill 1965, JMPS 13:213.
"""

from collections.abc import Mapping

import numpy as np
from numpy.typing import ArrayLike, NDArray

from cpml.crystallography.elasticity import crystal_stiffness, rotation_6x6, to_mandel, to_voigt
from cpml.errors import ParameterError
from cpml.plasticity.arguments import Values, as_matrices
from cpml.plasticity.polycrystal.anderson import fixed_point
from cpml.plasticity.polycrystal.eshelby import directions, eshelby
from cpml.plasticity.polycrystal.response import normalised
from cpml.plasticity.polycrystal.schemes import check_shape

_TOL = 1e-11  # of the fixed point, relative
AVERAGES = ("voigt", "reuss", "self_consistent")


def polycrystal_stiffness(
    stiffness: Mapping[str, float] | ArrayLike,
    orientations: Values,
    *,
    weights: Values | None = None,
    average: str = "self_consistent",
    shape: ArrayLike | None = None,
) -> NDArray:
    """Stiffness of a polycrystal.

    Parameters
    ----------
    stiffness : elastic constants by name, or (6, 6) Voigt stiffness in crystal
        axes (material.elastic is in MPa)
    orientations, weights, shape : as in mean_field
    average : "voigt" (upper bound), "reuss" (lower bound) or "self_consistent"

    Returns
    -------
    (6, 6) Voigt stiffness, sample frame, order 11, 22, 33, 23, 13, 12, unit of the input
    """
    if average not in AVERAGES:
        raise ParameterError(f"average = {average!r}: choose from {', '.join(AVERAGES)}")
    crystal = crystal_stiffness(stiffness) if isinstance(stiffness, Mapping) else np.asarray(stiffness, float)
    if (
        crystal.shape != (6, 6)
        or not np.allclose(crystal, crystal.T)
        or not np.linalg.eigvalsh(crystal)[0] > 0
    ):
        raise ParameterError("stiffness must be a symmetric positive definite (6, 6) Voigt matrix")
    matrices = as_matrices(orientations).detach().numpy().reshape(-1, 3, 3)
    share = normalised(weights, len(matrices)).detach().numpy()
    turn = rotation_6x6(matrices)
    grains = turn @ to_mandel(crystal) @ turn.swapaxes(-1, -2)
    voigt = np.einsum("g,gij->ij", share, grains)
    if average == "voigt":
        return to_voigt(voigt)
    reuss = np.linalg.inv(np.einsum("g,gij->ij", share, np.linalg.inv(grains)))
    if average == "reuss":
        return to_voigt(reuss)
    sphere, unit = directions(check_shape(shape)), voigt[0, 0]

    def improve(x: NDArray, _size: float) -> NDArray:
        medium = x.reshape(6, 6) * unit
        gamma, _ = eshelby((medium + medium.T) / 2, *sphere)
        star = np.linalg.inv(gamma) - medium
        better = np.linalg.inv(np.einsum("g,gij->ij", share, np.linalg.inv(grains + star))) - star
        return ((better + better.T) / 2 / unit).ravel()

    solved = fixed_point(improve, ((voigt + reuss) / 2 / unit).ravel(), tol=_TOL, max_iter=100)
    if not solved.converged:
        raise ParameterError(
            f"the self-consistent stiffness did not converge (residual {solved.residual:.1e})"
        )
    return to_voigt(solved.value.reshape(6, 6) * unit)
