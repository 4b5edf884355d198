"""Orientations and maps as orix objects: sample -> crystal rotations, the conjugates of ours,
with their symmetry.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from orix.crystal_map import CrystalMap
    from orix.quaternion import Orientation, Symmetry

CONJUGATE = np.array([1.0, -1.0, -1.0, -1.0])


def orientations(quaternions: NDArray, group: str) -> Orientation:
    """Orix Orientation of crystal_to_sample quaternions (N, 4) of one proper group."""
    from orix.quaternion import Orientation

    return Orientation(quaternions * CONJUGATE, symmetry=orix_group(group))


def crystal_map(
    quaternions: NDArray,
    phase_id: NDArray,
    phases: Mapping[int, tuple[str, str]],
    xy: NDArray,
    properties: Mapping[str, NDArray],
) -> CrystalMap:
    """Orix CrystalMap with the phases under their own numbers; points that are not indexed get phase -1.

    Parameters
    ----------
    quaternions : (N, 4) crystal_to_sample
    phase_id : (N,) key of `phases`, 0 where not indexed
    phases : name and proper group by key
    xy : (N, 2) um
    """
    from orix.crystal_map import CrystalMap, Phase, PhaseList
    from orix.quaternion import Rotation

    is_indexed, identity = phase_id > 0, np.array([1.0, 0.0, 0.0, 0.0])
    listed = {i: Phase(name=name, point_group=orix_group(group).laue) for i, (name, group) in phases.items()}
    return CrystalMap(
        rotations=Rotation(np.where(is_indexed[:, None], quaternions * CONJUGATE, identity)),
        phase_id=np.where(is_indexed, phase_id, -1),
        x=xy[:, 0],
        y=xy[:, 1],
        phase_list=PhaseList(listed),
        prop=dict(properties),
        scan_unit="um",
    )


def orix_group(name: str) -> Symmetry:
    """Orix symmetry of a proper group name."""
    from orix.quaternion import symmetry as s

    return {
        "1": s.C1,
        "2": s.C2,
        "211": s.C2x,
        "121": s.C2y,
        "312": s.D3y,
        "222": s.D2,
        "3": s.C3,
        "32": s.D3,
        "4": s.C4,
        "422": s.D4,
        "6": s.C6,
        "622": s.D6,
        "23": s.T,
        "432": s.O,
    }[name]
