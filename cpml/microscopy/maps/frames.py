"""From the axes of the Euler angles to the pixel frame, and from X||a* to X||a hexagonal crystals.

Sample frame = pixel frame: x right, y down, z into the specimen. A file's Euler angles may refer
to other axes:

    v_sample = Q v_euler,   q_sample = Q q_file;   hexagonal, X||a* in the file: R_a = R_a* Rz(-30 deg)

| preset | Q | usual for |
|---|---|---|
| identity | - | axes already right, down, into |
| x180, oxford | 180 deg about x | Euler y up the map; Oxford (MTEX 6.1) |
| y180, bruker | 180 deg about y | Euler x to the left; Bruker ESPRIT coordinate system 5 (MTEX 6.1) |
| edax1 .. edax4 | 180 deg about x+y, x-y, x, y | EDAX coordinate settings 1 to 4 |
| z180, z90, z-90 | about z | map turned against the Euler axes |

"declared", understood by read_map only, takes the turn that the file itself states (DREAM.3D .h5ebsd, the
coordinate setting of EDAX and Bruker HDF5). Acquisition-surface angles (AcqE1..3, "Specimen Orientation
Euler") turn the Euler axes before that, when asked for:

    v_sample = Q A v_euler,   A = Bunge angles of the surface in the specimen frame

Nothing is turned unless it is asked for. A trace test fixes Q only up to 180 deg about z.
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from cpml.crystallography.rotations import axis_angle_to_quaternion, matrix_to_quaternion, quaternion_multiply
from cpml.errors import ParameterError

_AXIS_DEG = {
    "identity": ((0, 0, 1), 0),
    "x180": ((1, 0, 0), 180),
    "y180": ((0, 1, 0), 180),
    "oxford": ((1, 0, 0), 180),
    "bruker": ((0, 1, 0), 180),
    "edax1": ((1, 1, 0), 180),
    "edax2": ((1, -1, 0), 180),
    "edax3": ((1, 0, 0), 180),
    "edax4": ((0, 1, 0), 180),
    "z180": ((0, 0, 1), 180),
    "z90": ((0, 0, 1), 90),
    "z-90": ((0, 0, 1), -90),
}
PRESETS = tuple(_AXIS_DEG)

HEXAGONAL = ("3", "32", "312", "6", "622")
"""Proper groups of trigonal and hexagonal crystals, whose X axis is a matter of convention."""


def frame_rotation(euler_to_sample: str | dict | ArrayLike | None) -> NDArray:
    """Quaternion (4,) of Q from a preset name, a 3x3 rotation matrix, [x, y, z, angle in deg] or {axis,
    angle_deg}; None: identity.

    Raises
    ------
    ParameterError : an unknown name, or a matrix that is not a proper rotation (a mirror changes the crystal)
    """
    if euler_to_sample is None:
        euler_to_sample = "identity"
    if isinstance(euler_to_sample, str):
        if euler_to_sample not in _AXIS_DEG:
            raise ParameterError(f"frame {euler_to_sample!r} is unknown; presets: {', '.join(PRESETS)}")
        axis, angle = _AXIS_DEG[euler_to_sample]
        return axis_angle_to_quaternion(axis, np.radians(angle))
    if isinstance(euler_to_sample, dict) and set(euler_to_sample) == {"axis", "angle_deg"}:
        euler_to_sample = [*euler_to_sample["axis"], euler_to_sample["angle_deg"]]
    try:
        value = np.asarray(euler_to_sample, float)
    except (TypeError, ValueError):
        value = np.empty(0)
    if value.shape == (4,) and np.isfinite(value).all() and np.any(value[:3]):
        return axis_angle_to_quaternion(value[:3], np.radians(value[3]))
    if (
        value.shape == (3, 3)
        and np.allclose(value @ value.T, np.eye(3), atol=1e-6)
        and np.linalg.det(value) > 0
    ):
        return matrix_to_quaternion(value)
    raise ParameterError(
        f"frame {euler_to_sample!r} is no rotation: give a preset ({', '.join(PRESETS)}), "
        "a 3x3 rotation matrix (determinant +1) or [x, y, z, degrees]"
    )


def to_sample_frame(quaternions: NDArray, turn: NDArray) -> NDArray:
    """q_sample (N, 4) of the file's crystal_to_sample quaternions under a turn (4,); NaN stays NaN."""
    return quaternions if np.allclose(np.abs(turn[0]), 1) else quaternion_multiply(turn, quaternions)


def a_star_to_a(quaternions: NDArray) -> NDArray:
    """R_a = R_a* Rz(-30 deg): the same hexagonal or trigonal crystals described with X||a = [2-1-10]."""
    return quaternion_multiply(quaternions, axis_angle_to_quaternion([0, 0, 1], np.radians(-30)))
