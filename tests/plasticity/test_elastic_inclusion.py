"""The elastic grid against Eshelby's sphere: mean strain of an inclusion, with Mori and Tanaka's correction.

Reference: Eshelby 1957, Proc. R. Soc. Lond. A 241:376; Mori & Tanaka 1973, Acta Metall. 21:571.
"""

import numpy as np
import pytest

from cpml.plasticity import Conditions, PowerLaw, Stage, full_field_path
from support.phases import FCC

BULK, SHEAR = 70e3, 26e3  # of the matrix, MPa
STRONG = PowerLaw(FCC, [1e7], 5.0, 1e-3)  # nothing slips


def isotropic(bulk: float, shear: float) -> np.ndarray:
    """(6, 6) Voigt stiffness."""
    stiffness = np.zeros((6, 6))
    stiffness[:3, :3] = bulk - 2 * shear / 3
    stiffness[np.arange(6), np.arange(6)] += [2 * shear] * 3 + [shear] * 3
    return stiffness


def sphere(size: int, share: float) -> np.ndarray:
    """A periodic cube of size^3 voxels with a sphere of a volume share, grain 1, in its middle."""
    place = np.stack(np.indices((size, size, size)), -1) - (size - 1) / 2
    radius = size * (3 * share / (4 * np.pi)) ** (1 / 3)
    return (np.linalg.norm(place, axis=-1) < radius).astype(int)


def concentration(share: float, ratio: float) -> float:
    """Shear strain of the inclusion over that of the cell, for shear moduli of a ratio."""
    poisson = (3 * BULK - 2 * SHEAR) / (2 * (3 * BULK + SHEAR))
    beta = 2 * (4 - 5 * poisson) / (15 * (1 - poisson))
    dilute = 1 / (1 + beta * (ratio - 1))
    return dilute / (1 - share + share * dilute)


def measured(size: int, share: float, ratio: float) -> float:
    """The same on the grid, under simple shear."""
    index = sphere(size, share)
    shear = 1e-5
    gradient = np.zeros((3, 3))
    gradient[0, 1] = 1.0
    stage = Stage(Conditions.mixed(gradient), time=shear, steps=1, nominal=True)
    path = full_field_path(
        [STRONG, STRONG],
        index,
        [[1.0, 0, 0, 0], [1.0, 0, 0, 0]],
        loading=stage,
        phase=np.array([0, 1]),
        stiffness=[isotropic(BULK, SHEAR), isotropic(ratio * BULK, ratio * SHEAR)],
        hardening=[None, None],
        tol=1e-6,
    )
    return 2 * path.grain_strain[-1, 1, 0, 1] / shear


def test_strain_of_a_stiff_sphere():
    """2 % of the volume: within 1 % of theory on 21^3 voxels (6 across the sphere)."""
    share = sphere(21, 0.02).mean()
    assert measured(21, 0.02, 5.0) == pytest.approx(concentration(share, 5.0), rel=0.01)


def test_strain_of_a_soft_sphere_comes_with_refinement():
    """The staircase of its surface makes it softer, by 11 % on 11^3 and 5 % on 21^3 voxels: first order in
    the size of a voxel, so the error falls at least to 0.6 from 3 to 6 voxels across.
    """
    off = [measured(size, 0.02, 0.2) / concentration(sphere(size, 0.02).mean(), 0.2) - 1 for size in (11, 21)]
    assert 0 < off[1] < 0.6 * off[0] and off[1] < 0.06


def test_the_same_stiffness_is_no_inclusion():
    """A sphere of the matrix' own stiffness: the strain of the cell, to the solver's tolerance."""
    assert measured(9, 0.05, 1.0) == pytest.approx(1.0, abs=1e-5)
