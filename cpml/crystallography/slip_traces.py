"""Slip traces: the lines in which slip planes meet the surface, and how well an observed line fits each
plane.

    t = z x n = (-n_y, n_x, 0),  on screen atan2(n_x, n_y) mod 180;   inclination i = angle(n, z)

An orientation error turns the trace of a flat plane more than that of a steep one:

    sigma_k^2 = sigma_line^2 + sigma_o^2 / sin^2 i_k
    p(theta | k) = (1 - e) N_180(theta - theta_k; sigma_k) + e / 180          per degree

| symbol | meaning | unit |
|---|---|---|
| n | plane normal, sample frame | (3,) |
| sigma_line, sigma_o | error of the drawn line, of the orientation about one axis | deg |
| e | share of lines that belong to no plane of the list | - |

N_180 is the normal density wrapped to half turns, since a line has no direction.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from cpml.crystallography.rotations import quaternion_to_matrix
from cpml.crystallography.slip_systems import Systems


@dataclass(frozen=True)
class SlipTraces:
    """Traces of P planes in G crystals: on-screen angle and inclination to the surface, deg, both (G, P)."""

    angle_deg: NDArray
    inclination_deg: NDArray
    plane_names: tuple[str, ...]


def slip_traces(quaternions: ArrayLike, systems: Systems) -> SlipTraces:
    """Traces of every geometric plane of `systems` (slip planes first, then K1) in crystals (G, 4).

    The trace of a plane in the surface (inclination 0) is undefined; 0 deg is returned with its inclination.

    Examples
    --------
    >>> from cpml.crystallography import systems
    >>> traces = slip_traces([[1, 0, 0, 0]], systems("fcc", families=["octahedral"]))
    >>> print(sorted(traces.angle_deg[0].round(1).tolist()))
    [45.0, 45.0, 135.0, 135.0]
    """
    rotation = quaternion_to_matrix(np.atleast_2d(np.asarray(quaternions, float)))
    normals = np.einsum("gij,pj->gpi", rotation, systems.plane_normals)
    return SlipTraces(
        trace_angle_deg(normals),
        np.degrees(np.arctan2(np.hypot(normals[..., 0], normals[..., 1]), np.abs(normals[..., 2]))),
        systems.plane_names,
    )


def trace_angle_deg(normals: ArrayLike) -> NDArray:
    """On-screen trace (...), deg in [0, 180), of planes with sample-frame normals (..., 3)."""
    normals = np.asarray(normals, float)
    angle = np.degrees(np.arctan2(normals[..., 0], normals[..., 1])) % 180.0
    return np.where(angle >= 180.0, 0.0, angle)


def line_difference(first_deg: ArrayLike, second_deg: ArrayLike) -> NDArray:
    """Signed difference of two line angles, deg, in [-90, 90)."""
    return (np.asarray(first_deg, float) - np.asarray(second_deg, float) + 90.0) % 180.0 - 90.0
