"""Elastic constants of a crystal: Voigt and Mandel forms, their rotation, Hershey's isotropic average.

In the Mandel basis (order 11, 22, 33, 23, 13, 12; shears times sqrt2) stiffnesses rotate as tensors. Cubic
crystals, random texture, spheres: 8 G^3 + (5 C11 + 4 C12) G^2 - C44 (7 C11 - 4 C12) G - C44 (C11 - C12)(C11 +
2 C12) = 0, bulk modulus (C11 + 2 C12)/3.

Reference: Hershey 1954, J. Appl. Mech. 21:236.
"""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from cpml.errors import ParameterError

MANDEL = np.zeros((6, 3, 3))
"""Orthonormal basis of symmetric tensors: a matrix A has the components A : MANDEL."""
for _k, (_i, _j) in enumerate(((0, 0), (1, 1), (2, 2), (1, 2), (0, 2), (0, 1))):
    MANDEL[_k, _i, _j] = MANDEL[_k, _j, _i] = 1.0 if _i == _j else np.sqrt(0.5)
MANDEL.setflags(write=False)
_SHEAR = np.array([1, 1, 1, np.sqrt(2), np.sqrt(2), np.sqrt(2)])


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


def hershey(c11: float, c12: float, c44: float) -> tuple[float, float]:
    """Bulk and self-consistent shear modulus of a random cubic polycrystal of spheres (closed form)."""
    roots = np.roots([8, 5 * c11 + 4 * c12, -c44 * (7 * c11 - 4 * c12), -c44 * (c11 - c12) * (c11 + 2 * c12)])
    return (c11 + 2 * c12) / 3, float(max(r.real for r in roots if abs(r.imag) < 1e-9 * abs(r)))
