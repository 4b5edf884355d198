"""Write an EBSD map for other programs: .ctf (Oxford), .ang (EDAX), .h5 (orix).

A file leaves in the format's own habits, so that `read_map` without options gives the same map back:
hexagonal crystals X||a* in .ctf, X||a in .ang and orix files; points that are not indexed as phase 0, as ci
= -1 with 4 pi, and as phase -1. Euler axes are the pixel axes unless `euler_to_sample` says for which turn
the file is written: a reader that declares the same turn gets the map back. Angles are printed with five
decimals (.ctf deg, .ang rad); everything printed is read back exactly, and written again gives the same
bytes (names of properties in lower case).
"""

from importlib import import_module
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray

from cpml.crystallography.rotations import (
    axis_angle_to_quaternion,
    quaternion_conjugate,
    quaternion_multiply,
    quaternion_to_euler,
)
from cpml.errors import ParameterError
from cpml.files import write_atomic
from cpml.microscopy.maps.ebsd_map import EbsdMap
from cpml.microscopy.maps.frames import HEXAGONAL, frame_rotation

FORMATS = {".ctf": "ctf", ".ang": "ang", ".h5": "orix_hdf", ".hdf5": "orix_hdf"}
HEX_X_AXIS = {"ctf": "a*", "ang": "a", "orix_hdf": "a"}


def write_map(
    ebsd_map: EbsdMap,
    path: str | Path,
    *,
    hex_x_axis: str | None = None,
    euler_to_sample: str | ArrayLike | None = None,
) -> Path:
    """Write a map as .ctf, .ang or orix .h5, chosen by the suffix.

    Parameters
    ----------
    hex_x_axis : "a" or "a*", X axis of hexagonal crystals in the file; None: the usual one of the format
    euler_to_sample : turn (as in read_map) that a reader of the file has to declare; None: none

    Raises
    ------
    ParameterError : an unknown suffix, or a map that the format cannot hold (a hexagonal grid in .ctf,
        a point group)
    """
    path = Path(path)
    kind = FORMATS.get(path.suffix.lower())
    if kind is None:
        raise ParameterError(f"{path}: no writer for {path.suffix!r}; known: {', '.join(FORMATS)}")
    if hex_x_axis not in (None, "a", "a*"):
        raise ParameterError(f"hex_x_axis {hex_x_axis!r}: give 'a' or 'a*'")
    euler = _file_euler(ebsd_map, hex_x_axis or HEX_X_AXIS[kind], euler_to_sample)
    write = import_module(f"cpml.microscopy.io.writers.{kind}").write
    return write_atomic(path, lambda temporary: write(ebsd_map, euler, temporary))


def _file_euler(ebsd_map: EbsdMap, hex_x_axis: str, euler_to_sample: str | ArrayLike | None) -> NDArray:
    """Bunge angles (N, 3), rad, in the file's frame and hexagonal setting; NaN where not indexed."""
    q = quaternion_multiply(quaternion_conjugate(frame_rotation(euler_to_sample)), ebsd_map.quaternions)
    if hex_x_axis == "a*":
        hexagonal = [i for i, p in ebsd_map.phases.items() if p.group in HEXAGONAL]
        chosen = np.isin(ebsd_map.phase_id, hexagonal)
        q[chosen] = quaternion_multiply(q[chosen], axis_angle_to_quaternion([0, 0, 1], np.radians(30)))
    euler = np.full((ebsd_map.n_pixels, 3), np.nan)
    euler[ebsd_map.indexed] = quaternion_to_euler(q[ebsd_map.indexed])
    return euler


def printed(euler: NDArray, turn: float) -> list[tuple[str, str, str]]:
    """Angles (N, 3) with five decimals, in [0, turn), equal orientations as equal text.

    Where Phi prints as 0 or half a turn only one combination of phi1 and phi2 counts: phi2 is then 0.
    """
    digits = np.round(euler, 5)
    flat, upside = digits[:, 1] == 0, digits[:, 1] == np.round(turn / 2, 5)
    digits[flat, 0], digits[flat, 2] = np.round(euler[flat, 0] + euler[flat, 2], 5), 0
    digits[upside, 0], digits[upside, 2] = np.round(euler[upside, 0] - euler[upside, 2], 5), 0
    wrapped = np.round(digits[:, [0, 2]] % turn, 5)
    digits[:, [0, 2]] = np.where(wrapped >= np.round(turn, 5), 0.0, wrapped)
    return [tuple(row) for row in np.char.mod("%.5f", digits + 0.0)]


def property_text(values: NDArray) -> NDArray:
    """Values (N,) as text that gives the same float32 back."""
    values = np.asarray(values)
    if values.dtype.kind in "iub" or (np.all(values == np.rint(values)) and np.all(np.abs(values) < 2**24)):
        return np.char.mod("%d", values.astype(np.int64))
    return np.char.mod("%.9g", values.astype(np.float32))
