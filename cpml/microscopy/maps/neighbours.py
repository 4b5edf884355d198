"""Disorientation of pairs of pixels of a map, phase by phase."""

import numpy as np
from numpy.typing import NDArray

from cpml.crystallography.disorientation import pair_angles
from cpml.crystallography.symmetry import proper_group
from cpml.microscopy.maps.ebsd_map import EbsdMap


def neighbour_angles(ebsd_map: EbsdMap, pairs: NDArray) -> NDArray:
    """Disorientation (P,), rad, of pairs of pixels of one phase; NaN for two phases or
    a missing orientation.
    """
    first, second = ebsd_map.phase_id[pairs[:, 0]], ebsd_map.phase_id[pairs[:, 1]]
    if len(ebsd_map.phases) == 1:  # a missing orientation is NaN already
        phase = next(iter(ebsd_map.phases.values()))
        return pair_angles(ebsd_map.quaternions, pairs, proper_group(phase.group))
    out = np.full(len(pairs), np.nan)
    for phase_id, phase in ebsd_map.phases.items():
        chosen = np.flatnonzero((first == phase_id) & (second == phase_id))
        out[chosen] = pair_angles(ebsd_map.quaternions, pairs[chosen], proper_group(phase.group))
    return out
