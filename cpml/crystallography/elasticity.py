"""Elastic constants of a crystal: Voigt and Mandel forms, their rotation, Hershey's isotropic average.

In the Mandel basis (order 11, 22, 33, 23, 13, 12; shears times sqrt2) stiffnesses rotate as tensors. Cubic
crystals, random texture, spheres: 8 G^3 + (5 C11 + 4 C12) G^2 - C44 (7 C11 - 4 C12) G - C44 (C11 - C12)(C11 +
2 C12) = 0, bulk modulus (C11 + 2 C12)/3.

A crystal is stable where its elastic energy is positive for every strain. Cubic: C11 > |C12|, C11 + 2 C12 >
0, C44 > 0; hexagonal: C11 > |C12|, C33 (C11 + C12) > 2 C13^2, C44 > 0.

References: Hershey 1954, J. Appl. Mech. 21:236; Born & Huang 1954, Dynamical Theory of Crystal Lattices;
Mouhat & Coudert 2014, Phys. Rev. B 90:224104.
"""

import math
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from cpml.errors import ParameterError

MANDEL = np.zeros((6, 3, 3))
"""Orthonormal basis of symmetric tensors: a matrix A has the components A : MANDEL."""
for _k, (_i, _j) in enumerate(((0, 0), (1, 1), (2, 2), (1, 2), (0, 2), (0, 1))):
    MANDEL[_k, _i, _j] = MANDEL[_k, _j, _i] = 1.0 if _i == _j else np.sqrt(0.5)
MANDEL.setflags(write=False)
CONSTANTS = {"cubic": ("C11", "C12", "C44"), "hexagonal": ("C11", "C12", "C13", "C33", "C44")}
"""Independent elastic constants of the crystals that can be built."""
SAME_C66 = 0.01
"""Relative difference up to which a given C66 is (C11 - C12)/2: tables round to three digits."""
_SHEAR = np.array([1, 1, 1, np.sqrt(2), np.sqrt(2), np.sqrt(2)])


def crystal_stiffness(constants: Mapping[str, float]) -> NDArray:
    """Stiffness of a cubic or hexagonal crystal.

    Parameters
    ----------
    constants : C11, C12, C44 (cubic) or C11, C12, C13, C33, C44 (hexagonal), all in one unit. A hexagonal
        crystal may also name C66, which is (C11 - C12)/2 to SAME_C66; other crystal classes have more
        independent constants and are not built here

    Returns
    -------
    (6, 6) Voigt stiffness in crystal axes, order 11, 22, 33, 23, 13, 12, unit of the input

    Raises
    ------
    ParameterError : a constant that is missing, unknown or no number, a C66 that contradicts C11 and C12, or
        a crystal that is not stable (Born)
    """
    known = (*CONSTANTS["hexagonal"], "C66")
    unknown = [str(key) for key in constants if key not in known]
    if unknown:
        raise ParameterError(f"elastic constant {unknown[0]!r} is unknown; known: {', '.join(known)}")
    lattice = "cubic" if not {"C13", "C33", "C66"} & set(constants) else "hexagonal"
    needed = CONSTANTS[lattice]
    missing = [key for key in needed if key not in constants]
    if missing:
        raise ParameterError(
            f"elastic constants {', '.join(map(str, constants)) or 'none'}: {' and '.join(missing)} missing; "
            f"a {lattice} crystal has {', '.join(needed)}"
        )
    value = {key: _number(key, constants[key]) for key in constants}
    c11, c12, c44 = value["C11"], value["C12"], value["C44"]
    c13, c33 = value.get("C13", c12), value.get("C33", c11)
    c66 = c44 if lattice == "cubic" else (c11 - c12) / 2
    if abs(value.get("C66", c66) - c66) > SAME_C66 * abs(c66):
        raise ParameterError(
            f"elastic constants: C66 = {value['C66']:g}, but (C11 - C12)/2 = {c66:g} in a hexagonal crystal; "
            "correct one of the three (tetragonal crystals cannot be used)"
        )
    energy = (
        ("C11 + 2 C12 > 0", c11 + 2 * c12)
        if lattice == "cubic"
        else (
            "C33 (C11 + C12) > 2 C13^2",
            c33 * (c11 + c12) - 2 * c13**2,
        )
    )
    born = (("C11 > |C12|", c11 - abs(c12)), ("C44 > 0", c44), energy)
    broken = [rule for rule, margin in born if not margin > 0]
    if broken:
        raise ParameterError(
            f"elastic constants {value} are not those of a stable crystal: {', '.join(broken)} must hold"
        )
    c = np.diag([c11, c11, c33, c44, c44, c66])
    c[0, 1] = c[1, 0] = c12
    c[0, 2] = c[2, 0] = c[1, 2] = c[2, 1] = c13
    return c


def _number(key: str, value: float) -> float:
    """A finite number; NaN, text and truth values are none."""
    try:
        number = math.nan if isinstance(value, (str, bool)) else float(value)
    except (TypeError, ValueError):
        number = math.nan
    if not math.isfinite(number):
        raise ParameterError(f"elastic constant {key} = {value!r} is not a finite number")
    return number


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


def voigt_shear(stiffness: NDArray) -> float:
    """Shear modulus of a random polycrystal of crystals of a (6, 6) Voigt stiffness: Voigt's upper bound."""
    c = stiffness
    normal = c[0, 0] + c[1, 1] + c[2, 2] - c[0, 1] - c[1, 2] - c[0, 2]
    return float((normal + 3 * (c[3, 3] + c[4, 4] + c[5, 5])) / 15)
