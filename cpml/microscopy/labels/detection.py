"""What an observation could have shown: masks of planes and directions, and the
smallest line or shear it resolves.

| limit | formula | unit |
|---|---|---|
| height of a slip step | N b sin i sin(angle(b, trace)), N dislocations on a plane of inclination i | um |
| visible plane | inclination to the surface >= `min_inclination_deg` | |
| visible direction (in-plane DIC) | in-plane part of b (x) n >= `min_projection` | |
| shortest straight piece of a line | 6 pixels: angle known to sqrt 2 / 6 rad = 13 deg (error 1 pixel) | um |
| smallest shear in DIC | 3 noise / in-plane part of b (x) n | |

A mask says what could have been seen; whether a grain was looked at is another question (labels).
"""

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from cpml.crystallography.rotations import quaternion_to_matrix
from cpml.crystallography.slip_systems import Systems
from cpml.errors import ParameterError

MIN_INCLINATION_DEG = 12.0
SIGMAS = 3.0


def step_height(quaternions: ArrayLike, systems: Systems) -> NDArray:
    """(G, S) out-of-surface part |b_z| of the unit slip directions: a step is N b times this high; 0 is never
    seen by steps (but may be by in-plane DIC).
    """
    rotation = quaternion_to_matrix(np.atleast_2d(np.asarray(quaternions, float)))
    return np.abs(np.einsum("gj,sj->gs", rotation[:, 2], systems.direction))


def visibility(
    grains: pd.DataFrame,
    systems: Systems,
    *,
    min_inclination_deg: float = MIN_INCLINATION_DEG,
    min_step: float = 0.1,
    min_projection: float = 0.15,
    noise: float | None = None,
) -> pd.DataFrame:
    """One row a grain and system: what surface images and in-plane DIC could show of it.

    Parameters
    ----------
    grains : table with grain_id, qw, qx, qy, qz, all of the phase of `systems`
    min_step : smallest |b_z| that still makes a step
    min_projection : smallest norm of the in-plane block of b (x) n
    noise : standard deviation of one component of H

    Returns
    -------
    DataFrame grain_id, system, name, plane, inclination_deg, step (|b_z|), projection, visible_trace,
    visible_dic, and least_shear (3 noise / projection) where the noise is given

    Raises
    ------
    ParameterError : a limit out of range
    """
    from cpml.crystallography.slip_traces import slip_traces
    from cpml.microscopy.dic.activity import in_plane_dyads

    if not (
        0 <= min_inclination_deg < 90
        and 0 <= min_step < 1
        and 0 <= min_projection < 1
        and (noise is None or noise > 0)
    ):
        raise ParameterError(
            f"min_inclination_deg {min_inclination_deg} (0 to 90), min_step {min_step} and min_projection "
            f"{min_projection} (0 to 1) or noise {noise} (positive) is out of range"
        )
    q = grains[["qw", "qx", "qy", "qz"]].to_numpy()
    n = len(systems)
    inclination = slip_traces(q, systems).inclination_deg[:, systems.plane_id]
    step, projection = step_height(q, systems), np.linalg.norm(in_plane_dyads(q, systems), axis=-1)
    table = pd.DataFrame(
        {
            "grain_id": np.repeat(grains["grain_id"].to_numpy(), n),
            "system": np.tile(np.arange(n), len(q)),
            "name": np.tile(np.array(systems.names, object), len(q)),
            "plane": np.tile(np.array(systems.plane_names, object)[systems.plane_id], len(q)),
            "inclination_deg": inclination.ravel(),
            "step": step.ravel(),
            "projection": projection.ravel(),
            "visible_trace": ((inclination >= min_inclination_deg) & (step >= min_step)).ravel(),
            "visible_dic": (projection >= min_projection).ravel(),
        }
    )
    if noise is not None:
        table["least_shear"] = SIGMAS * noise / np.maximum(table["projection"], 1e-9)
    return table


def mask_unseen(labels: pd.DataFrame, visible: pd.DataFrame, *, how: str = "visible_trace") -> pd.DataFrame:
    """The labels with observed = 0 replaced by missing where nothing could have
    been seen; what was seen stays.

    Parameters
    ----------
    visible : table of `visibility`; a plane is visible if one of its systems is
    how : "visible_trace" or "visible_dic"
    """
    if how not in ("visible_trace", "visible_dic"):
        raise ParameterError(f"how {how!r}: choose 'visible_trace' or 'visible_dic'")
    by_target = pd.concat(
        [
            visible.groupby(["grain_id", "name"])[how].any(),
            visible.groupby(["grain_id", "plane"])[how].any().rename_axis(["grain_id", "name"]),
        ]
    )
    known = by_target.reindex(pd.MultiIndex.from_frame(labels[["grain_id", "target"]])).to_numpy()
    # a target that the table does not know is NaN there, which is neither
    unseen = np.equal(known, False).astype(bool) & (labels["observed"].to_numpy() == 0)
    return labels.assign(observed=labels["observed"].mask(unseen))
