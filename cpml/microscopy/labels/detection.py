"""What an observation could have shown: masks of planes and directions, and the smallest line or
shear it resolves.

| limit | formula | unit |
|---|---|---|
| height of a slip step | N b sin i sin(angle(b, trace)), N dislocations on a plane of inclination i | um |
| visible plane | inclination to the surface >= MIN_INCLINATION_DEG | |
| visible direction (in-plane DIC) | in-plane part of b (x) n >= MIN_PROJECTION | |
| shortest straight piece of a line | 6 pixels: angle known to sqrt 2 / 6 rad = 13 deg (error 1 pixel) | um |
| smallest shear in DIC | 3 noise / in-plane part of b (x) n | |

A mask says what could have been seen; whether a grain was looked at is another question (labels).
"""

from collections.abc import Mapping

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from cpml.crystallography.rotations import quaternion_to_matrix
from cpml.crystallography.slip_systems import Systems
from cpml.errors import ParameterError
from cpml.microscopy.maps.phase_parts import by_phase

MIN_INCLINATION_DEG = 12.0
"""A flatter plane leaves no line that could be told from others."""
MIN_STEP = 0.1
"""Smallest |b_z| of a unit direction that still makes a step."""
MIN_PROJECTION = 0.15
"""Smallest norm of the in-plane block of b (x) n that in-plane DIC can show."""
SIGMAS = 3.0
"""A shear must stand above the noise by this many standard deviations."""


def step_height(quaternions: ArrayLike, systems: Systems) -> NDArray:
    """(G, S) out-of-surface part |b_z| of the unit slip directions: a step is N b times this high; 0 is never
    seen by steps (but may be by in-plane DIC).
    """
    rotation = quaternion_to_matrix(np.atleast_2d(np.asarray(quaternions, float)))
    return np.abs(np.einsum("gj,sj->gs", rotation[:, 2], systems.direction))


def visibility(
    grains: pd.DataFrame,
    systems: Systems | Mapping[int, Systems],
    *,
    noise: float | None = None,
) -> pd.DataFrame:
    """One row a grain and system: what surface images and in-plane DIC could show of it.

    Parameters
    ----------
    grains : table with grain_id, qw, qx, qy, qz, and phase where systems are of phases
    systems : of all grains, or of each phase id
    noise : standard deviation of one component of H

    Returns
    -------
    DataFrame grain_id, system, name, family, plane, inclination_deg, step (|b_z|), projection, visible_trace,
    visible_dic, and least_shear (3 noise / projection) where the noise is given

    Raises
    ------
    ParameterError : a noise that is not positive
    """
    from cpml.crystallography.slip_traces import slip_traces
    from cpml.microscopy.dic.activity import in_plane_dyads

    if noise is not None and not noise > 0:
        raise ParameterError(f"noise {noise} must be positive")
    if isinstance(systems, Mapping):
        parts = [visibility(*part, noise=noise) for part in by_phase(grains, systems)]
        return pd.concat(parts, ignore_index=True)
    q = grains[["qw", "qx", "qy", "qz"]].to_numpy()
    n = len(systems)
    inclination = slip_traces(q, systems).inclination_deg[:, systems.plane_id]
    step, projection = step_height(q, systems), np.linalg.norm(in_plane_dyads(q, systems), axis=-1)
    table = pd.DataFrame(
        {
            "grain_id": np.repeat(grains["grain_id"].to_numpy(), n),
            "system": np.tile(np.arange(n), len(q)),
            "name": np.tile(np.array(systems.names, object), len(q)),
            "family": np.tile(np.array(systems.family_names, object)[systems.family], len(q)),
            "plane": np.tile(np.array(systems.plane_names, object)[systems.plane_id], len(q)),
            "inclination_deg": inclination.ravel(),
            "step": step.ravel(),
            "projection": projection.ravel(),
            "visible_trace": ((inclination >= MIN_INCLINATION_DEG) & (step >= MIN_STEP)).ravel(),
            "visible_dic": (projection >= MIN_PROJECTION).ravel(),
        }
    )
    if noise is not None:
        table["least_shear"] = SIGMAS * noise / np.maximum(table["projection"], 1e-9)
    return table
