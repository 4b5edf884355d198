"""EBSD maps as orix objects: sample -> crystal rotations, the conjugates of ours, with their symmetry."""

import numpy as np

from cpml.errors import ParameterError
from cpml.microscopy.ebsd_map import EbsdMap

CONJUGATE = np.array([1.0, -1.0, -1.0, -1.0])


def orientations_of(ebsd_map: EbsdMap, phase_id: int, *, indexed_only: bool = True):
    """orix Orientation of one phase, in map order; of all N points when `indexed_only` is False.

    Raises
    ------
    ParameterError : a phase that the map does not have
    """
    from orix.quaternion import Orientation

    if phase_id not in ebsd_map.phases:
        raise ParameterError(
            f"phase {phase_id} is not in map {ebsd_map.name!r}; phases: {sorted(ebsd_map.phases)}"
        )
    q = ebsd_map.quaternions[ebsd_map.phase_id == phase_id] if indexed_only else ebsd_map.quaternions
    return Orientation(q * CONJUGATE, symmetry=orix_group(ebsd_map.phases[phase_id].group))


def crystal_map(ebsd_map: EbsdMap):
    """orix CrystalMap with the phases under their own numbers; points that are not indexed get phase -1."""
    from orix.crystal_map import CrystalMap, Phase, PhaseList
    from orix.quaternion import Rotation

    identity = np.array([1.0, 0.0, 0.0, 0.0])
    q = np.where(ebsd_map.indexed[:, None], ebsd_map.quaternions * CONJUGATE, identity)
    phases = {i: Phase(name=p.name, point_group=orix_group(p.group).laue) for i, p in ebsd_map.phases.items()}
    return CrystalMap(
        rotations=Rotation(q),
        phase_id=np.where(ebsd_map.indexed, ebsd_map.phase_id, -1),
        x=ebsd_map.xy[:, 0],
        y=ebsd_map.xy[:, 1],
        phase_list=PhaseList(phases),
        prop=dict(ebsd_map.properties),
        scan_unit="um",
    )


def orix_group(name: str):
    """orix symmetry of a proper group name."""
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
