"""Twin relations between two crystals: types of a phase, deviation from the exact relation, nearest variant.

A twin of variant k is the parent turned by T_k = 180 deg about the K1 normal n_k; for M = R_a^T R_b

    deviation = min over variants k and symmetry s of the angle of T_k^-1 M s.
"""

from collections.abc import Mapping, Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from cpml.crystallography.disorientation import disorientation_angle, pair_angles
from cpml.crystallography.rotations import quaternion_conjugate, quaternion_multiply
from cpml.crystallography.slip_systems import REPRESENTATIVES, Systems, systems
from cpml.crystallography.symmetry import proper_group
from cpml.crystallography.twinning import twin_crystal_to_sample
from cpml.microscopy.maps.ebsd_map import MapPhase

DEFAULT_TYPES = {"hcp": ("twin_1012",)}


def types_of(phase: MapPhase, types: Sequence[str] | None) -> tuple[str, ...]:
    """Types to look for in one phase; a hexagonal phase without a declared lattice counts as hcp."""
    lattice = lattice_of(phase)
    if lattice is None:
        return ()
    wanted = DEFAULT_TYPES.get(lattice, ()) if types is None else types
    return tuple(t for t in wanted if REPRESENTATIVES[lattice].get(t, ("",))[0] == "twin")


def lattice_of(phase: MapPhase) -> str | None:
    """Declared lattice, or hcp for a hexagonal cell (622) that nobody described; None for the rest."""
    return phase.lattice or ("hcp" if phase.group == "622" else None)


def twin_systems(phase: MapPhase, types: Sequence[str]) -> Systems:
    """Twin systems of the types looked for in a phase."""
    lattice = lattice_of(phase)
    return _systems(lattice, tuple(types), phase.c_over_a if lattice == "hcp" else None)


@lru_cache(maxsize=64)
def _systems(lattice: str, families: tuple[str, ...], c_over_a: float | None) -> Systems:
    """Kept, since every family of parent and twins asks for the same."""
    return systems(lattice, families=families, c_over_a=c_over_a)


def variant_deviations(q_a: NDArray, q_b: NDArray, normals: NDArray, group: NDArray) -> NDArray:
    """(n, K) angle, deg, of b (n, 4) from each twin variant k of a (n, 4), K1 normals (K, 3) in
    the crystal frame.
    """
    out = np.empty((len(q_a), len(normals)))
    for k, normal in enumerate(normals):
        out[:, k] = np.degrees(disorientation_angle(twin_crystal_to_sample(q_a, normal), q_b, group))
    return out


def nearest_type(
    phases: Mapping[int, MapPhase],
    chosen: Mapping[int, Sequence[str]],
    q_a: NDArray,
    q_b: NDArray,
    phase: NDArray,
) -> tuple[NDArray, NDArray]:
    """Type name (n,) and deviation (n,), deg, of pairs of one phase (n,); "" and NaN where none
    is looked for.
    """
    kind, deviation = np.full(len(q_a), "", object), np.full(len(q_a), np.nan)
    for phase_id, types in chosen.items():
        index = np.flatnonzero((phase == phase_id) & ~np.isnan(q_a[:, 0]) & ~np.isnan(q_b[:, 0]))
        if not types or not len(index):
            continue
        description = phases[phase_id]
        found, group = twin_systems(description, types), proper_group(description.group)
        # every variant of a type is one twin rotation up to symmetry: turn M by the group instead of T
        per_type = np.stack(
            [
                twin_deviation(q_a[index], q_b[index], found.plane[found.family == f][0], group)
                for f in range(len(types))
            ],
            axis=1,
        )
        best = per_type.argmin(axis=1)
        kind[index], deviation[index] = np.array(types, object)[best], per_type.min(axis=1)
    return kind, deviation


def twin_deviation(q_a: NDArray, q_b: NDArray, normal: NDArray, group: NDArray) -> NDArray:
    """Deviation (n,), deg, of M from a twin rotation with all its variants."""
    m = quaternion_multiply(quaternion_conjugate(q_a), q_b)
    twin = twin_crystal_to_sample(np.array([[1.0, 0, 0, 0]]), normal)
    each = np.stack([np.arange(len(m)), np.zeros(len(m), int)], axis=1)
    turned = (pair_angles(quaternion_multiply(s, m), each, group, other=twin) for s in group)
    return np.degrees(np.minimum.reduce(list(turned)))
