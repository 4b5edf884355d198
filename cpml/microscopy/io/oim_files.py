"""Tables that OIM Analysis exports: grain files (type 2) and reconstructed grain boundaries.

Grain file, one line a grain: id, mean orientation, and what else was asked for (position, IQ, CI, fit, phase,
edge flag, diameter). Reconstructed boundaries, one line a straight segment: orientation on the right and on
the left, length, trace angle, end points, ids of the right and the left grain. Columns, their order and their
units are those of the comment lines (cpml.microscopy.io.oim_header). Positions are y down, and

    trace = atan2(-(y1 - y0), x1 - x0) mod 180 deg     (on screen; measured files have the same angle)

so that the trace here comes from the end points, and the file's angle is kept beside it.
"""

import re
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from cpml.crystallography.rotations import euler_to_quaternion
from cpml.errors import MapFileError, ParameterError
from cpml.microscopy.io.oim_header import Described, OimTable, angle_unit, read_oim_table
from cpml.microscopy.maps.frames import a_star_to_a, frame_rotation, to_sample_frame

QUATERNION = ("qw", "qx", "qy", "qz")
UNITS = ("degrees", "radians")
TURN = {"degrees": 360.0, "radians": 2 * np.pi}
PRINTED = {"degrees": 0.05, "radians": 0.005}
"""Rounding of printed angles that may lead beyond a full turn."""
FEWEST = 3
"""Grains from which on angles that all stay below 2 pi are hardly degrees."""


def read_grain_file(
    path: str | Path,
    *,
    angles: str | None = None,
    hex_x_axis: str = "a",
    euler_to_sample: str | dict | ArrayLike | None = None,
) -> pd.DataFrame:
    """Grains of an OIM grain file (type 2).

    Parameters
    ----------
    angles : "degrees" or "radians", where the comment lines do not state the unit of the orientations, or are
        wrong; None: as they say

    Returns
    -------
    table grain_id, phase, x_um, y_um, diameter_um, iq, ci, fit_deg, on_edge (as far as the file has them),
    qw, qx, qy, qz (crystal_to_sample; NaN for regions without orientation: OIM writes three full turns)

    Raises
    ------
    MapFileError : another file (a list of points, type 1, is one), columns or units that the comment lines do
        not tell, angles beyond their unit, a damaged line, or a grain listed twice
    """
    path = Path(path)
    _check_angles(angles)
    file = read_oim_table(path)
    if any(re.search("orientation of point|point in radians", c.text, re.I) for c in file.columns):
        raise MapFileError(
            f"{path}: one line a point (grain file of type 1), not a grain; export 'Grain File Type 2', "
            "or the scan as .ang and read it with read_map"
        )
    identity = file.need(r"identifying (?:the )?grain|\bgrain id\b", "number of the grain")
    orientation = file.need(r"phi1.*phi2|phi2.*phi1", "average orientation", 3)
    if angle_unit(orientation.text) is None and angles is None:
        # a file may hold the orientations twice, in both units
        units = [c for c in file.columns if c.width == 3 and "phi1" in c.text.lower() and angle_unit(c.text)]
        orientation = units[0] if units else orientation
    table = pd.DataFrame({"grain_id": file.whole(identity)})
    twice = table["grain_id"][table["grain_id"].duplicated()]
    if len(twice):
        raise MapFileError(f"{path}: grain {twice.iloc[0]} is listed twice; export the grain file again")
    for name, values in _grain_columns(file).items():
        table[name] = values
    q = _orientations(file, orientation, angles, hex_x_axis, euler_to_sample)
    return table.assign(**dict(zip(QUATERNION, q.T, strict=True)))


def _grain_columns(file: OimTable) -> dict[str, NDArray]:
    """What a grain file says besides number and orientation, by the names of `read_grain_file`."""
    out: dict[str, NDArray] = {}
    if (phase := file.find(r"identifying (?:the )?phase|^phase")) is not None:
        out["phase"] = file.whole(phase)
    if (position := file.find(r"position", 2)) is not None:
        along_x = re.search(r"\by\b.*\bx\b", position.text, re.I) is None
        out["x_um"], out["y_um"] = file.lengths(position).T[:: 1 if along_x else -1]
    if (diameter := file.find(r"^(?!.*feret).*\bdiameter\b")) is not None:
        out["diameter_um"] = file.lengths(diameter)
    for name, pattern in (("iq", r"image quality"), ("ci", r"confidence index")):
        if (column := file.find(pattern)) is not None:
            out[name] = file.values(column)
    if (fit := file.find(r"^(?:average |mean )?fit\b")) is not None:
        out["fit_deg"] = file.values(fit) * (180 / np.pi if angle_unit(fit.text) == "radians" else 1.0)
    if (edge := file.find(r"\bedge\b")) is not None:
        out["on_edge"] = _edge(file, edge)
    return out


def _edge(file: OimTable, column: Described) -> NDArray:
    """(N,) bool of the flag that the comment line explains, "Edge grain (1) or interior grain (0)"."""
    said = {word: re.search(rf"{word}\D*(\d)", column.text, re.I) for word in ("edge", "interior")}
    edge, interior = (None if m is None else int(m[1]) for m in said.values())
    edge = 1 if edge is None else edge
    interior = 0 if interior is None else interior
    value = file.values(column)
    bad = np.flatnonzero((value != edge) & (value != interior))
    if len(bad) or edge == interior:
        told = f"data line {bad[0] + 1}: {value[bad[0]]:g}" if len(bad) else "both flags the same"
        raise MapFileError(f"{file.path}, {told}: the comment lines say {column.text!r}; correct one of them")
    return value == edge


def read_reconstructed_boundaries(
    path: str | Path,
    *,
    angles: str | None = None,
    hex_x_axis: str = "a",
    euler_to_sample: str | dict | ArrayLike | None = None,
) -> pd.DataFrame:
    """Segments of an OIM file of reconstructed boundaries.

    Parameters
    ----------
    angles : "degrees" or "radians", where the comment lines do not state the unit of the orientations, or are
        wrong; None: as they say

    Returns
    -------
    table grain_right, grain_left, x0_um, y0_um, x1_um, y1_um, length_um, trace_deg (from the end points, on
    screen), file_trace_deg, right_qw .. right_qz, left_qw .. left_qz

    Raises
    ------
    MapFileError : another file, columns or units that the comment lines do not tell, angles beyond their
        unit, or a damaged line
    """
    path = Path(path)
    _check_angles(angles)
    file = read_oim_table(path)
    ids = file.need(r"\bids?\b.*(?:right|left)", "numbers of the two grains", 2)
    ends = file.need(r"end\s*points", "end points", 4)
    length = file.need(r"^length", "length")
    trace = file.need(r"trace", "trace angle")
    points = file.lengths(ends)
    x0, y0, x1, y1 = points.T
    is_right_first = re.search(r"right.*left", ids.text, re.I) is not None
    right, left = (file.whole(c) for c in _each(ids)[:: 1 if is_right_first else -1])
    turned = np.degrees(np.arctan2(y0 - y1, x1 - x0)) % 180
    table = pd.DataFrame(
        {
            "grain_right": right,
            "grain_left": left,
            "x0_um": x0,
            "y0_um": y0,
            "x1_um": x1,
            "y1_um": y1,
            "length_um": file.lengths(length),
            "trace_deg": np.where(turned >= 180 - 1e-9, 0.0, turned),
            "file_trace_deg": file.values(trace)
            * (180 / np.pi if angle_unit(trace.text) == "radians" else 1.0),
        }
    )
    for side in ("right", "left"):
        column = file.need(rf"{side}.*phi1", f"orientation on the {side}", 3)
        q = _orientations(file, column, angles, hex_x_axis, euler_to_sample)
        table = table.assign(**dict(zip([f"{side}_{k}" for k in QUATERNION], q.T, strict=True)))
    return table


def _each(column: Described) -> list[Described]:
    return [Described(k, k, column.text) for k in range(column.first, column.last + 1)]


def _check_angles(angles: str | None) -> None:
    if angles not in (None, *UNITS):
        raise ParameterError(f"angles {angles!r}: give 'degrees' or 'radians'")


def _orientations(
    file: OimTable,
    column: Described,
    angles: str | None,
    hex_x_axis: str,
    euler_to_sample: str | dict | ArrayLike | None,
) -> NDArray:
    """(N, 4) crystal_to_sample quaternions of three angle columns, NaN for three full turns."""
    if hex_x_axis not in ("a", "a*"):
        raise ParameterError(f"hex_x_axis {hex_x_axis!r}: give 'a' or 'a*'")
    unit = angles or angle_unit(column.text)
    if unit is None:
        raise MapFileError(
            f"{file.path}: the comment line {column.text!r} says neither degrees nor radians; read the file "
            "with angles='degrees' or angles='radians'"
        )
    # names in their own order, whichever case: PHI has no digit
    order = [found.lower() for found in re.findall(r"phi[12]?", column.text, re.I)][:3]
    if sorted(order) != ["phi", "phi1", "phi2"]:
        raise MapFileError(
            f"{file.path}: the comment line {column.text!r} does not name phi1, PHI and phi2 once each; "
            "export the file again with Bunge angles"
        )
    euler = file.values(column)[:, [order.index(name) for name in ("phi1", "phi", "phi2")]]
    turn, more = TURN[unit], PRINTED[unit]
    nowhere = (np.abs(euler - turn) < more).all(axis=1) | (np.abs(euler - 2 * turn) < more).all(axis=1)
    known = euler[~nowhere]
    bad = np.flatnonzero(~nowhere & (np.abs(euler) > np.array([turn, turn / 2, turn]) + more).any(axis=1))
    other = UNITS[unit == "degrees"]
    if len(bad):
        shown = ", ".join(f"{v:g}" for v in euler[bad[0]])
        raise MapFileError(
            f"{file.path}, data line {bad[0] + 1}: angles {shown} are beyond 360, 180 and 360 deg as {unit}; "
            f"read the file with angles={other!r} if they are {other}"
        )
    is_small = (np.abs(known) <= np.array([2, 1, 2]) * np.pi + PRINTED["radians"]).all()
    if unit == "degrees" and angles is None and len(known) >= FEWEST and is_small and known.any():
        raise MapFileError(
            f"{file.path}: angles in degrees, the comment lines say, but all of the {len(known)} grains stay "
            "within 2 pi; read the file with angles='radians', or with angles='degrees' if they are degrees"
        )
    q = euler_to_quaternion(np.radians(euler) if unit == "degrees" else euler)
    q[nowhere] = np.nan
    q = a_star_to_a(q) if hex_x_axis == "a*" else q
    return to_sample_frame(q, frame_rotation(euler_to_sample))
