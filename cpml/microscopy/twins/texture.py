"""Texture of each phase of a segmented map, from its fragments with their areas as weights."""

import numpy as np

from cpml.crystallography.odf import Odf, estimate_odf
from cpml.errors import ParameterError
from cpml.microscopy.twins.twins import Twins

LONE_HALFWIDTH_DEG = 10.0
"""Half-width for a single grain, which cannot tell any."""


def phase_odf(twins: Twins, phase: int, *, halfwidth_deg: float | None = None) -> Odf:
    """ODF of a phase: mean orientations of its fragments, weighted by area.

    The half-width is chosen by leaving out one grain after the other with all its twins, which are not
    independent of it; of a single grain it is LONE_HALFWIDTH_DEG.

    Parameters
    ----------
    phase : number in the map
    halfwidth_deg : half-width of the kernel; None: chosen

    Raises
    ------
    ParameterError : a phase without a grain
    """
    grains = twins.segmentation
    rows = np.flatnonzero(grains.phase == phase)
    if phase not in grains.map.phases or not len(rows):
        raise ParameterError(f"map {grains.map.name!r} has no grain of phase {phase}")
    owner = twins.table["grain_id"].to_numpy()[rows]
    if halfwidth_deg is None and len(np.unique(owner)) == 1:
        halfwidth_deg = LONE_HALFWIDTH_DEG
    return estimate_odf(
        grains.mean_quaternions[rows],
        group=grains.map.phases[phase].group,
        weights=grains.table["area_um2"].to_numpy()[rows],
        groups=owner,
        halfwidth_deg=halfwidth_deg,
    )
