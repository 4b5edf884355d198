"""Steps of a process, as transforms of a texture: rolling, compression, extrusion, tension and cross-rolling
as paths of the law, annealing as recorded orientation relations.

| step | what | amount |
|---|---|---|
| rolling | velocity gradient diag(1, 0, -1): rolled along x, sheet normal z | true strain |
| cross_rolling | diag(1, 0, -1) and diag(0, 1, -1) in turn: passes along x and y | true strain |
| compression | diag(1/2, 1/2, -1): along z | true strain |
| extrusion, tension | diag(1, -1/2, -1/2): along x | true strain |
| annealing | a share of the grains becomes new ones, turned from where they grew (below) | share |

New grains of annealing are related to the deformed ones that they grow in by a turn about one of the
crystal's axes, every variant alike:

| lattice | turn | source |
|---|---|---|
| fcc | 40 deg <111> | Beck, Sperry & Hu 1950, J. Appl. Phys. 21:420 |
| bcc | 27 deg <110> | Ibe & Luecke 1968, Arch. Eisenhuettenwes. 39:693 |
| hcp | 30 deg <0001> | Wagner, Bozzolo, Van Landuyt & Grosdidier 2002, Acta Mater. 50:1245 |

That is the limit of growth selection; nucleation at particles, in shear bands or of cube grains is not in it.
A step is followed by recovery: properties are those of fresh grains in the new texture. The distance between
two textures is the mean angle by which grains of one must be turned to become the other (earth mover's
distance with the disorientation angle, an assignment of equal grains).

References: Kocks, Tome & Wenk 1998, Texture and Anisotropy, chapter 5; Humphreys & Hatherly 2004,
Recrystallization and Related Annealing Phenomena, chapter 12 (oriented growth); Rubner, Tomasi & Guibas 2000,
Int. J. Comput. Vis. 40:99 (earth mover's distance).
"""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from cpml.crystallography.disorientation import disorientation_angle
from cpml.crystallography.rotations import (
    axis_angle_to_quaternion,
    matrix_to_quaternion,
    quaternion_conjugate,
    quaternion_multiply,
)
from cpml.crystallography.symmetry import group_of_lattice, proper_group
from cpml.design.routes import Route
from cpml.errors import CpmlError, ParameterError
from cpml.plasticity.laws.strength.begin import begin_at
from cpml.plasticity.laws.twins.reorientation import Reorientation
from cpml.plasticity.paths.deform import deform

GRADIENTS: Mapping[str, tuple[NDArray, ...]] = {
    "rolling": (np.diag([1.0, 0.0, -1.0]),),
    "cross_rolling": (np.diag([1.0, 0.0, -1.0]), np.diag([0.0, 1.0, -1.0])),
    "compression": (np.diag([0.5, 0.5, -1.0]),),
    "extrusion": (np.diag([1.0, -0.5, -0.5]),),
    "tension": (np.diag([1.0, -0.5, -0.5]),),
}
DIFFERENT = tuple(name for name in GRADIENTS if name != "tension")
"""Deformations whose textures differ: tension makes that of extrusion."""
ANNEALING = "annealing"
RELATIONS: Mapping[str, tuple[float, tuple[float, float, float]]] = {
    "fcc": (40.0, (1.0, 1.0, 1.0)),
    "bcc": (27.0, (1.0, 1.0, 0.0)),
    "hcp": (30.0, (0.0, 0.0, 1.0)),
}
"""Angle (deg) and crystal axis by which new grains are turned from the deformed ones."""
STEP = 0.025
"""True strain of an increment."""
_PASS = 0.1  # of cross-rolling, between two turns of the sheet
_TOL = 1e-3


def processed(
    route: Route,
    process: str,
    amount: float,
    quaternions: NDArray,
    weights: NDArray | None = None,
    *,
    seed: int = 0,
) -> NDArray:
    """(G, 4) orientations after a step, from (G, 4); twins turn their grains.

    Parameters
    ----------
    amount : true strain above 0 and up to 5; of annealing the share of new grains, up to 1
    seed : of the grains and the variants of annealing

    Raises
    ------
    ParameterError : unknown process, an amount out of range, crystals that cannot deform so
    CpmlError : a path that does not converge
    """
    if process not in (*GRADIENTS, ANNEALING):
        raise ParameterError(f"process = {process!r}: choose {', '.join((*GRADIENTS, ANNEALING))}")
    most = 1 if process == ANNEALING else 5
    if not 0 < amount <= most:
        raise ParameterError(f"strain = {amount} of {process} must be above 0 and at most {most}")
    if process == ANNEALING:
        return _annealed(quaternions, route.law.systems.lattice, amount, seed)
    gradients, systems = GRADIENTS[process], route.law.systems
    steps = int(np.ceil(amount / STEP))
    each = max(round(_PASS / STEP), 1)
    strength = route.law.system_strength
    try:
        path = deform(
            route.law,
            begin_at(route.hardening, strength) if strength.ndim == 1 else route.hardening,
            quaternions,
            weights=weights,
            loading=lambda k: gradients[(k // each) % len(gradients)] * float(route.law.reference_rate),
            increment=amount / steps,
            steps=steps,
            control="33" if process in ("compression", "rolling", "cross_rolling") else "11",
            scheme=route.scheme,
            reorientation=Reorientation(systems) if systems.twin.any() else None,
            temperature=route.temperature,
            unconverged="stop",
            tol=_TOL,
        )
    except ParameterError:
        raise
    except CpmlError as error:
        raise CpmlError(f"the law cannot follow {process} to {amount:g}: {error}") from error
    return matrix_to_quaternion(path.orientations.detach().numpy())


def _annealed(quaternions: NDArray, lattice: str, share: float, seed: int) -> NDArray:
    """A share of the grains, picked at random, turned by one variant each of the relation."""
    rng, turned = np.random.default_rng(seed), np.array(quaternions, float)
    angle, axis = RELATIONS[lattice]
    turn = axis_angle_to_quaternion(axis, np.deg2rad(angle))
    group = proper_group(group_of_lattice(lattice))
    new = rng.permutation(len(turned))[: round(share * len(turned))]
    symmetry = group[rng.integers(len(group), size=len(new))]
    variant = quaternion_multiply(quaternion_multiply(symmetry, turn), quaternion_conjugate(symmetry))
    turned[new] = quaternion_multiply(turned[new], variant)
    return turned


def distance(first: NDArray, second: NDArray, lattice: str) -> float:
    """Mean angle, deg, between equal grains (N, 4) of two textures, best assigned; the same number of
    each.
    """
    if len(first) != len(second):
        raise ParameterError(f"{len(first)} and {len(second)} grains: give as many of both")
    group = proper_group(group_of_lattice(lattice))
    angles = np.degrees(disorientation_angle(first[:, None], second[None], group))
    rows, columns = linear_sum_assignment(angles)
    return float(angles[rows, columns].mean())
