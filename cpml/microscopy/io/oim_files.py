"""Tables that OIM Analysis exports: grain files (type 2) and reconstructed grain boundaries.

Grain file, one line a grain: id, mean orientation (deg), position, IQ, CI, fit, phase, edge flag, diameter.
Reconstructed boundaries, one line a straight segment: orientation on the right and on the left (rad), length,
trace angle, end points, ids of the right and the left grain. Positions are in um, y down, and

    trace = atan2(-(y1 - y0), x1 - x0) mod 180 deg     (on screen; measured files have the same angle)

so that the trace here comes from the end points, and the file's angle is kept beside it.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from cpml.crystallography.rotations import euler_to_quaternion
from cpml.errors import MapFileError, ParameterError
from cpml.microscopy.io.readers.common import read_table
from cpml.microscopy.maps.frames import a_star_to_a, frame_rotation, to_sample_frame

GRAIN_COLUMNS = (
    "grain_id",
    "phi1",
    "Phi",
    "phi2",
    "x_um",
    "y_um",
    "iq",
    "ci",
    "fit_deg",
    "phase",
    "on_edge",
    "diameter_um",
)
BOUNDARY_COLUMNS = (
    "right_phi1",
    "right_Phi",
    "right_phi2",
    "left_phi1",
    "left_Phi",
    "left_phi2",
    "length_um",
    "file_trace_deg",
    "x0_um",
    "y0_um",
    "x1_um",
    "y1_um",
    "grain_right",
    "grain_left",
)


def read_grain_file(
    path: str | Path, *, hex_x_axis: str = "a", euler_to_sample: str | dict | ArrayLike | None = None
) -> pd.DataFrame:
    """Grains of an OIM grain file (type 2).

    Returns
    -------
    table grain_id, phase, x_um, y_um, diameter_um, iq, ci, fit_deg, on_edge, qw, qx,
    qy, qz (crystal_to_sample)

    Raises
    ------
    MapFileError : another file, a damaged line, or a grain listed twice
    """
    path = Path(path)
    table = _read(path, GRAIN_COLUMNS, ("integer identifying grain", "diameter of grain"))
    _whole(path, table, ("grain_id", "phase", "on_edge"))
    twice = table["grain_id"][table["grain_id"].duplicated()]
    if len(twice):
        raise MapFileError(f"{path}: grain {twice.iloc[0]} is listed twice; export the grain file again")
    q = _orientations(path, table, ("phi1", "Phi", "phi2"), "degrees", hex_x_axis, euler_to_sample)
    table = table.assign(
        on_edge=table["on_edge"] != 0, **dict(zip(("qw", "qx", "qy", "qz"), q.T, strict=True))
    )
    first = ["grain_id", "phase", "x_um", "y_um", "diameter_um", "iq", "ci", "fit_deg", "on_edge"]
    return table[[*first, "qw", "qx", "qy", "qz"]]


def read_reconstructed_boundaries(
    path: str | Path,
    *,
    angles: str = "radians",
    hex_x_axis: str = "a",
    euler_to_sample: str | dict | ArrayLike | None = None,
) -> pd.DataFrame:
    """Segments of an OIM file of reconstructed boundaries.

    Parameters
    ----------
    angles : unit of the orientations; OIM writes radians

    Returns
    -------
    table grain_right, grain_left, x0_um, y0_um, x1_um, y1_um, length_um, trace_deg (from the end points, on
    screen), file_trace_deg, right_qw .. right_qz, left_qw .. left_qz

    Raises
    ------
    MapFileError : another file, a damaged line, or angles beyond 4 pi that cannot be radians
    """
    path = Path(path)
    if angles not in ("degrees", "radians"):
        raise ParameterError(f"angles {angles!r}: give 'degrees' or 'radians'")
    table = _read(path, BOUNDARY_COLUMNS, ("right hand", "left hand", "endpoints"))
    _whole(path, table, ("grain_right", "grain_left"))
    trace = np.degrees(np.arctan2(table["y0_um"] - table["y1_um"], table["x1_um"] - table["x0_um"])) % 180
    table = table.assign(trace_deg=np.where(trace >= 180 - 1e-9, 0.0, trace))
    for side in ("right", "left"):
        names = [f"{side}_{k}" for k in ("phi1", "Phi", "phi2")]
        q = _orientations(path, table, names, angles, hex_x_axis, euler_to_sample)
        table = table.assign(**dict(zip([f"{side}_q{k}" for k in "wxyz"], q.T, strict=True)))
    ends = ["x0_um", "y0_um", "x1_um", "y1_um", "length_um", "trace_deg", "file_trace_deg"]
    return table[
        ["grain_right", "grain_left", *ends, *[f"{s}_q{k}" for s in ("right", "left") for k in "wxyz"]]
    ]


def _read(path: Path, columns: tuple[str, ...], told: tuple[str, ...]) -> pd.DataFrame:
    """Table of a file whose comment lines name what it should hold."""
    header, n_header = "", 0
    try:
        with open(path, encoding="latin-1") as file:
            while (line := file.readline(10_000)).startswith("#") and n_header < 1000:
                header, n_header = header + line.lower(), n_header + 1
    except OSError as error:
        raise MapFileError(f"{path}: cannot be opened ({error.strerror}); check the path") from error
    missing = [word for word in told if word not in header]
    if missing:
        raise MapFileError(
            f"{path}, line {n_header + 1}: the comment lines do not mention "
            f"{missing[0]!r}; this is another kind of "
            "file, or cut off: export it again from OIM Analysis"
        )
    return pd.DataFrame(read_table(path, n_header, list(columns), n_required=len(columns)))


def _whole(path: Path, table: pd.DataFrame, names: tuple[str, ...]) -> None:
    for name in names:
        bad = np.flatnonzero((table[name] != np.floor(table[name])) | (np.abs(table[name]) > 2**31))
        if len(bad):
            raise MapFileError(
                f"{path}, data line {bad[0] + 1}: {name} = {table[name].iloc[bad[0]]:g} is no whole number"
            )
        table[name] = table[name].astype(np.int64)


def _orientations(
    path: Path,
    table: pd.DataFrame,
    names: Sequence[str],
    angles: str,
    hex_x_axis: str,
    euler_to_sample: str | dict | ArrayLike | None,
) -> np.ndarray:
    """(N, 4) crystal_to_sample quaternions of three angle columns."""
    if hex_x_axis not in ("a", "a*"):
        raise ParameterError(f"hex_x_axis {hex_x_axis!r}: give 'a' or 'a*'")
    euler = table[list(names)].to_numpy()
    if angles == "radians" and np.abs(euler).max() > 4 * np.pi + 0.01:
        raise MapFileError(
            f"{path}: angles up to {np.abs(euler).max():g} cannot be radians; read it with angles='degrees'"
        )
    q = euler_to_quaternion(np.radians(euler) if angles == "degrees" else euler)
    q = a_star_to_a(q) if hex_x_axis == "a*" else q
    return to_sample_frame(q, frame_rotation(euler_to_sample))
