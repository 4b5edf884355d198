"""Elastic constants of polycrystals: Voigt, Reuss and self-consistent averages, ellipsoidal grains.

In the Mandel basis (order 11, 22, 33, 23, 13, 12; shears times sqrt2) the self-consistent stiffness solves

    C <- <(C_g + C*)^-1>^-1 - C*,   C* = Gamma^-1 - C,   Gamma the elastic Eshelby integral (cpml.plasticity.eshelby)

Cubic crystals, random texture, spheres (Hershey 1954): 8 G^3 + (5 C11 + 4 C12) G^2 - C44 (7 C11 - 4 C12) G
- C44 (C11 - C12)(C11 + 2 C12) = 0, bulk modulus (C11 + 2 C12)/3.

| symbol | meaning | shape |
|---|---|---|
| C_g, C | grain and polycrystal stiffness, MPa | (G, 6, 6), (6, 6) |

References: Hershey 1954, J. Appl. Mech. 21:236; Kroener 1958, Z. Phys. 151:504; Hill 1965, JMPS 13:213.
"""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from cpml.errors import ParameterError
from cpml.plasticity.anderson import fixed_point
from cpml.plasticity.eshelby import MANDEL, QUADRATURE, directions, eshelby
from cpml.plasticity.orientation import as_matrices
from cpml.plasticity.response import normalised

_SHEAR = np.array([1, 1, 1, np.sqrt(2), np.sqrt(2), np.sqrt(2)])
AVERAGES = ("voigt", "reuss", "self_consistent")


def crystal_stiffness(constants: Mapping[str, float]) -> NDArray:
    """(6, 6) Voigt stiffness of C11, C12, C44 (cubic) or C11, C12, C13, C33, C44 (hexagonal), in their unit.

    Raises
    ------
    ParameterError : missing constants, or a crystal that is not stable
    """
    try:
        c11, c12, c44 = (float(constants[k]) for k in ("C11", "C12", "C44"))
    except KeyError as error:
        raise ParameterError(f"elastic constant {error} is missing") from None
    is_hexagonal = "C13" in constants
    c13, c33 = (float(constants[k]) for k in ("C13", "C33")) if is_hexagonal else (c12, c11)
    c = np.diag([c11, c11, c33, c44, c44, (c11 - c12) / 2 if is_hexagonal else c44])
    c[0, 1] = c[1, 0] = c12
    c[0, 2] = c[2, 0] = c[1, 2] = c[2, 1] = c13
    if not np.linalg.eigvalsh(c)[0] > 0:
        raise ParameterError(f"elastic constants {dict(constants)} are not those of a stable crystal")
    return c


def to_mandel(voigt: NDArray) -> NDArray:
    """Mandel form of a Voigt stiffness (..., 6, 6), order 11, 22, 33, 23, 13, 12."""
    return np.asarray(voigt, float) * _SHEAR[:, None] * _SHEAR


def to_voigt(mandel: NDArray) -> NDArray:
    """Voigt form of a Mandel stiffness (..., 6, 6)."""
    return np.asarray(mandel, float) / _SHEAR[:, None] / _SHEAR


def rotation_6x6(matrices: NDArray) -> NDArray:
    """(..., 6, 6) orthogonal matrices that rotate Mandel vectors with v' = R v."""
    turned = matrices[..., None, :, :] @ MANDEL @ matrices[..., None, :, :].swapaxes(-1, -2)
    return np.einsum("aij,...bij->...ab", MANDEL, turned)


def polycrystal_stiffness(
    stiffness,
    orientations,
    *,
    weights=None,
    average: str = "self_consistent",
    shape=None,
    tol: float = 1e-11,
    quadrature=QUADRATURE,
) -> NDArray:
    """Stiffness of a polycrystal.

    Parameters
    ----------
    stiffness : elastic constants by name, or (6, 6) Voigt stiffness in crystal
        axes (material.elastic is in MPa)
    orientations, weights, shape, quadrature : as in mean_field
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
    sphere, unit = directions(None if shape is None else np.asarray(shape, float), quadrature), voigt[0, 0]

    def improve(x: NDArray, _size: float) -> NDArray:
        medium = x.reshape(6, 6) * unit
        gamma, _ = eshelby((medium + medium.T) / 2, *sphere)
        star = np.linalg.inv(gamma) - medium
        found = np.linalg.inv(np.einsum("g,gij->ij", share, np.linalg.inv(grains + star))) - star
        return ((found + found.T) / 2 / unit).ravel()

    solved = fixed_point(improve, ((voigt + reuss) / 2 / unit).ravel(), tol=tol, max_iter=100)
    if not solved.converged:
        raise ParameterError(
            f"the self-consistent stiffness did not converge (residual {solved.residual:.1e})"
        )
    return to_voigt(solved.value.reshape(6, 6) * unit)


def hershey(c11: float, c12: float, c44: float) -> tuple[float, float]:
    """Bulk and self-consistent shear modulus of a random cubic polycrystal of spherical grains (closed form)."""
    roots = np.roots([8, 5 * c11 + 4 * c12, -c44 * (7 * c11 - 4 * c12), -c44 * (c11 - c12) * (c11 + 2 * c12)])
    return (c11 + 2 * c12) / 3, float(max(r.real for r in roots if abs(r.imag) < 1e-9 * abs(r)))
