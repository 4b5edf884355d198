"""Files of displacement vectors; all become arrays in pixels of the image with v positive down.

| format | header | vectors |
|---|---|---|
| DaVis; nCorr for DefDAP | "#DaVis 8.4.0 2D-vector step columns rows", then a quantity and a unit of x, of y
  and of the vectors; step in pixels | x y u v |
| named columns | "x [mm]; y [mm]; Vx [mm]; Vy [mm]", also VARIABLES = of Tecplot | any order |
| OpenPIV | "# x y u v flags mask" (or fewer; older: no header) | x y u v |
| .npz | | x, y, u, v, each (rows, columns) |

All list the top row first; where y falls through the file it is counted upwards, and v as well. Lengths
become pixels by the step of the header, or else "pixels" of 1 um. In DaVis and nCorr a vector of 0, 0 is a
missing one.

References: OpenPIV, doi 10.5281/zenodo.4409178 (tools.save, tools.transform_coordinates); DefDAP, doi
10.5281/zenodo.3688096 (the header of DaVis).
"""

import math
import re
import zipfile
import zlib
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cpml.errors import MapFileError, ParameterError
from cpml.microscopy.dic.vector_units import (
    Column,
    column_of,
    columns_by_role,
    role_of,
)
from cpml.microscopy.io.hdf_arrays import EXPANSION, SMALL
from cpml.microscopy.io.lengths import PIXEL, UNIT_UM, length_unit
from cpml.microscopy.io.readers.common import check_count, check_size, is_number, positive, read_table

DAVIS_HEADER = re.compile(r"#\s*\S.*?\s2D-vector\s+(\S+)\s+(\S+)\s+(\S+)(.*)")
OPENPIV_COLUMNS = ("x", "y", "u", "v", "flags", "mask")
GAPS = {"nan", "--", "-", "na", "n/a", "inf", "-inf", ""}
"""Words for a vector that is missing."""
OFF_GRID = 0.06
"""Of a step: what rounded coordinates may lie beside their grid."""
HEADER_LINES = 30


@dataclass(frozen=True)
class Vectors:
    """x, y, u, v, each (rows, columns), in pixels, the first row at the top; `scale_um` is the size of a
    pixel where the file tells it, `zeros_are_gaps` whether its format writes missing vectors as 0, 0.
    """

    x: NDArray
    y: NDArray
    u: NDArray
    v: NDArray
    step: float
    scale_um: float | None = None
    note: tuple[str, ...] = ()
    zeros_are_gaps: bool = False


@dataclass(frozen=True)
class _Listed:
    """Vectors in the order and the units of a file.

    `units` are those of positions and displacements ("px", a length of UNIT_UM), `pixels_per_step` is what a
    header tells.
    """

    x: NDArray
    y: NDArray
    u: NDArray
    v: NDArray
    units: tuple[str, str] = (PIXEL, PIXEL)
    pixels_per_step: float | None = None
    note: tuple[str, ...] = ()
    zeros_are_gaps: bool = False


def read_vectors(path: Path, *, y_axis: str = "auto", scale_um: float | None = None) -> Vectors:
    """The vectors of a file of any of the formats.

    Parameters
    ----------
    y_axis : "up", "down" or "auto", which way y and v are counted
    scale_um : size of a pixel; needed where positions are pixels and displacements lengths

    Raises
    ------
    MapFileError : the file is missing, of another format or unit, cut off, or its vectors are no square grid
    """
    if y_axis not in ("auto", "up", "down"):
        raise ParameterError(f"y_axis {y_axis!r}: choose 'auto', 'up' or 'down'")
    try:
        with open(path, "rb") as file:
            start = file.read(16384)
    except OSError as error:
        raise MapFileError(f"{path}: cannot be opened ({error.strerror}); check the path") from error
    listed = read_npz(path) if start.startswith(b"PK") else _read_text(path, _decoded(start).splitlines())
    return _in_pixels(path, *_on_grid(path, listed, y_axis), scale_um)


def _decoded(start: bytes) -> str:
    """Text of the first bytes: UTF-8 (a character cut in half at the end does not matter), else Latin 1."""
    try:
        return start[:-4].decode("utf-8-sig") + start[-4:].decode("utf-8", "ignore")
    except UnicodeDecodeError:
        return start.decode("latin-1")


def _read_text(path: Path, lines: list[str]) -> _Listed:
    first = lines[0] if lines else ""
    if DAVIS_HEADER.match(first):
        return read_davis(path, lines)
    words = first.lstrip("#").split()
    is_openpiv = [w.lower() for w in words[:4]] == ["x", "y", "u", "v"] or (
        4 <= len(words) <= 6 and all(_is_number(w) for w in words)
    )
    if is_openpiv:
        return read_openpiv(path, lines)
    for number, line in enumerate(lines[:HEADER_LINES]):
        columns = _named_columns(line)
        if {"x", "y", "u", "v"} <= columns_by_role(columns).keys():
            return read_named(path, lines, number, columns)
    raise MapFileError(
        f"{path}, line 1: neither a DaVis header '#DaVis version 2D-vector step rows columns ...', nor "
        "OpenPIV's '# x y u v flags mask', nor columns named like 'x [mm]; y [mm]; u [mm]; v [mm]'; export "
        "the field as text, or as .npz with x, y, u, v"
    )


def _is_number(word: str) -> bool:
    try:
        float(word.replace(",", "."))
    except ValueError:
        return False
    return True


def read_davis(path: Path, lines: list[str]) -> _Listed:
    """Vectors of DaVis text, the units by its header: a quantity and a unit each for x, for y, and for the
    vectors (both components together, or one after the other).
    """
    step, *counts, rest = DAVIS_HEADER.match(lines[0]).groups()
    if not all(is_number(word, 10**9) and int(word) > 0 for word in counts):
        raise MapFileError(
            f"{path}, line 1: {' x '.join(counts)} vectors; a DaVis header is '#DaVis version 2D-vector step "
            "rows columns ...'"
        )
    rows, columns = map(int, counts)
    pixels_per_step = positive(path, 1, "step", step)
    check_size(path, rows * columns, 4, f"line 1: {rows} x {columns}")
    names, units = _davis_columns(path, re.findall(r'"([^"]*)"', rest))
    data = _table(path, lines, 1, names)
    check_count(path, len(data["x"]), rows * columns, f"line 1: {rows} x {columns}")
    # where the image is listed from its left to its right end, x that falls is counted to the left
    is_left = data["x"][0] > data["x"][-1]
    turn = -1.0 if is_left else 1.0
    return _Listed(
        turn * data["x"],
        data["y"],
        turn * data["u"],
        data["v"],
        units,
        pixels_per_step,
        ("x falls along a row: it and u are counted to the left",) if is_left else (),
        zeros_are_gaps=True,
    )


def _davis_columns(path: Path, quoted: list[str]) -> tuple[list[str], tuple[str, str]]:
    """Names of the columns in order, and the units of positions and displacements, of the quoted words."""
    pairs = [Column(n, u or None, role_of(n)) for n, u in zip(quoted[::2], quoted[1::2], strict=False)]
    names = ["x", "y", "u", "v"]
    roles = columns_by_role(pairs)
    if len(pairs) >= 4:
        if {"x", "y", "u", "v"} <= roles.keys():
            names = [column.role or f"other {n}" for n, column in enumerate(pairs)]
            return names, _units(path, pairs, roles)
        return names, _units(path, pairs, dict(zip("xyuv", range(4), strict=True)))
    if [column.role for column in pairs[:2]] == ["y", "x"]:
        names[:2] = "y", "x"
    if not pairs:
        return names, (PIXEL, PIXEL)
    # two pairs: the vectors are in the unit of the positions
    place = dict(zip("xyuv", [0, min(1, len(pairs) - 1), len(pairs) - 1, len(pairs) - 1], strict=True))
    return names, _units(path, pairs, place)


def _units(path: Path, columns: list[Column], place: dict[str, int]) -> tuple[str, str]:
    """Units of positions and of displacements, which a header tells for all of them or for none."""
    found = {}
    for role in "xyuv":
        column = columns[place[role]]
        unit = None if column.unit is None else length_unit(column.unit)
        if column.unit is not None and unit is None:
            is_rate = "/" in column.unit
            raise MapFileError(
                f"{path}: the unit {column.unit!r} of {column.name or role!r} is "
                + ("that of a velocity; export displacements" if is_rate else "not known")
                + f" (in pixel, {', '.join(UNIT_UM)})"
            )
        found[role] = unit
    told = {unit for unit in found.values() if unit is not None}
    if told and None in found.values():
        missing = [role for role, unit in found.items() if unit is None]
        raise MapFileError(
            f"{path}: the header tells no unit of {', '.join(missing)}, but {', '.join(sorted(told))} for "
            "the others; write it there, or export the field again"
        )
    if found["x"] != found["y"] or found["u"] != found["v"]:
        raise MapFileError(f"{path}: x and y, and u and v, must have one unit; the header has {found}")
    return found["x"] or PIXEL, found["u"] or PIXEL


def read_openpiv(path: Path, lines: list[str]) -> _Listed:
    """Vectors of OpenPIV text; those with a flag or mask other than 0 become NaN."""
    first = lines[0]
    has_header = not _is_number(first.split()[0])
    names = (
        [w.lower() for w in first.lstrip("#").split()]
        if has_header
        else list(OPENPIV_COLUMNS[: len(first.split())])
    )
    unknown = [name for name in names if name not in OPENPIV_COLUMNS]
    if unknown or len(set(names)) != len(names):
        raise MapFileError(
            f"{path}, line 1: column {(unknown or names)[0]!r}; known columns are "
            f"{', '.join(OPENPIV_COLUMNS)}"
        )
    data = _table(path, lines, int(has_header), names)
    bad = (data.get("flags", 0) != 0) | (data.get("mask", 0) != 0)
    return _Listed(
        data["x"],
        data["y"],
        *(np.where(bad, np.nan, data[k]) for k in "uv"),
        note=("no unit is told: positions and displacements are taken as pixels",),
    )


def read_named(path: Path, lines: list[str], number: int, columns: list[Column]) -> _Listed:
    """Vectors of a table whose line `number` (from 0) names its columns; further words of a header are
    passed over.
    """
    start = number + 1
    while start < len(lines) and not _is_number(_split(lines[start])[0].strip()):
        start += 1
    place = columns_by_role(columns)
    names = [f"column {n}" for n in range(len(columns))]
    for role, n in place.items():
        names[n] = role
    units = _units(path, columns, place)
    data = _table(path, lines, start, names)
    bad = (data.get("valid", 1) == 0) | (data.get("mask", 0) != 0)
    note = () if columns[place["x"]].unit else ("no unit is told: taken as pixels",)
    return _Listed(
        data["x"], data["y"], *(np.where(bad, np.nan, data[k]) for k in "uv"), units=units, note=note
    )


def _named_columns(line: str) -> list[Column]:
    """Columns of a header line: quoted, separated by semicolons, tabs or commas, or words with units."""
    if "VARIABLES" in line.upper():
        words = re.findall(r'"([^"]*)"', line)
    elif any(mark in line for mark in ";\t,"):
        words = _split(line.lstrip("#"))
    else:
        words = re.findall(r"[^\s\[(<{]+\s*(?:[\[(<{][^\])>}]*[\])>}])?", line.lstrip("#"))
    return [column_of(word) for word in words]


def _split(line: str) -> list[str]:
    separator = next((mark for mark in ";\t," if mark in line), None)
    return line.strip().split(separator) or [""]


def _dialect(line: str) -> tuple[str, str]:
    """(separator, decimal mark) of a line of numbers."""
    if ";" in line:
        return ";", "," if "," in line else "."
    is_decimal_comma = len(line.split()) >= 4 and not re.search(r",(\s|$)", line) and "," in line
    if is_decimal_comma or "," not in line:
        return r"\s+", "," if is_decimal_comma else "."
    return ",", "."


def _table(path: Path, lines: list[str], first_line: int, names: list[str]) -> dict[str, NDArray]:
    """Columns of the table after `first_line` lines; u and v may be words of GAPS, and become NaN."""
    line = next((text for text in lines[first_line:] if text.strip()), "")
    separator, decimal = _dialect(line)
    try:
        return read_table(
            path, first_line, names, n_required=len(names), decimal=decimal, separator=separator
        )
    except MapFileError:
        found = _table_with_gaps(path, first_line, names, separator, decimal)
        if found is None:
            raise
        return found


def _table_with_gaps(
    path: Path, first_line: int, names: list[str], separator: str, decimal: str
) -> dict[str, NDArray] | None:
    """As `_table`; None where there is more wrong than missing vectors."""
    text = path.read_text(encoding="latin-1").splitlines()[first_line:]
    split = None if separator == r"\s+" else separator
    rows = [[w.strip().strip('"') for w in line.split(split)][: len(names)] for line in text if line.strip()]
    needed = [names.index("x"), names.index("y")]
    values = []
    for row in rows:
        words = [w.replace(decimal, ".") for w in row]
        if len(words) < len(names):
            return None
        try:
            numbers = [math.nan if w.lower() in GAPS else float(w) for w in words]
        except ValueError:
            return None
        if not all(math.isfinite(numbers[k]) for k in needed):
            raise MapFileError(f"{path}: a vector without a position; save the field again")
        values.append(numbers)
    return dict(zip(names, np.array(values).T, strict=True)) if values else None


def read_npz(path: Path) -> _Listed:
    """Vectors of an .npz; nothing pickled is loaded, nothing is unpacked beyond what the file can hold.

    Missing vectors are NaN, anywhere; a missing position is that of the grid.
    """
    try:
        _check_archive(path)
        with np.load(path, allow_pickle=False) as data:
            arrays = tuple(np.asarray(data[k], float) for k in "xyuv")
    except (
        KeyError,
        ValueError,
        TypeError,
        OSError,
        EOFError,
        RuntimeError,
        MemoryError,
        SyntaxError,
        zlib.error,
        zipfile.BadZipFile,
    ) as error:
        raise MapFileError(f"{path}: not an .npz with numeric arrays x, y, u, v ({error})") from error
    if any(a.ndim != 2 or a.shape != arrays[0].shape or not a.size for a in arrays):
        shapes = ", ".join(f"{k} {a.shape}" for k, a in zip("xyuv", arrays, strict=True))
        raise MapFileError(f"{path}: x, y, u, v must be arrays of one (rows, columns) shape, not {shapes}")
    x, y = (_completed(path, name, a) for name, a in zip("xy", arrays, strict=False))
    u, v = (np.where(np.isfinite(arrays[2] + arrays[3]), a, np.nan) for a in arrays[2:])
    return _Listed(*(a.ravel() for a in (x, y, u, v)))


def _completed(path: Path, name: str, values: NDArray) -> NDArray:
    """Positions (rows, columns) with those that are missing, on the plane through the others."""
    known = np.isfinite(values)
    if known.all():
        return values
    row, column = np.nonzero(known)
    design = np.stack([np.ones(len(row)), row, column], axis=1)
    if len(row) < 3 or np.linalg.matrix_rank(design) < min(3, 1 + sum(n > 1 for n in values.shape)):
        raise MapFileError(f"{path}: too few finite positions {name} to tell the grid; save the field again")
    plane = np.linalg.lstsq(design, values[known], rcond=None)[0]
    rows, columns = np.indices(values.shape)
    return np.where(known, values, plane[0] + plane[1] * rows + plane[2] * columns)


def _check_archive(path: Path) -> None:
    """Refuse an archive that unpacks to far more than its size, or arrays that claim more
    than their member.
    """
    most = EXPANSION * path.stat().st_size + SMALL
    with zipfile.ZipFile(path) as archive:
        if sum(item.file_size for item in archive.infolist()) > most:
            raise MapFileError(f"{path}: unpacks to more than {most:,} bytes; this is no displacement field")
        for item in archive.infolist():
            with archive.open(item) as member:
                version = np.lib.format.read_magic(member)
                read = (
                    np.lib.format.read_array_header_1_0
                    if version == (1, 0)
                    else np.lib.format.read_array_header_2_0
                )
                shape, _, dtype = read(member)
                if math.prod(shape) * dtype.itemsize > item.file_size:
                    raise MapFileError(
                        f"{path}: {item.filename} claims {shape} values, more than its "
                        f"{item.file_size:,} bytes; "
                        "save the field again"
                    )


def _on_grid(path: Path, listed: _Listed, y_axis: str) -> tuple[_Listed, float]:
    """The vectors as arrays (rows, columns) with y and v down, and their distance in the unit of the file."""
    column, n_columns, dx = _places(listed.x)
    row, n_rows, dy = _places(listed.y)
    n = len(listed.x)
    if column is None or row is None or min(n_rows, n_columns) < 2 or abs(dx - dy) > OFF_GRID * min(dx, dy):
        raise MapFileError(
            f"{path}: the vectors are no square grid in rows of x and columns of y, two of each at least "
            f"(distances {dx:.4g} and {dy:.4g}); export them unrotated"
        )
    if n_rows * n_columns != n or len(np.unique(row * n_columns + column)) != n:
        raise MapFileError(
            f"{path}: {n} vectors at {n_columns} different x and {n_rows} different y are no full grid; "
            "save the field unrotated and with all its vectors"
        )
    is_up = y_axis == "up" or (y_axis == "auto" and listed.y[0] > listed.y[-1])
    grid = np.full((4, n_rows, n_columns), np.nan)
    grid[:, row, column] = listed.x, listed.y, listed.u, listed.v
    x, y, u, v = grid
    note = listed.note
    if is_up:
        u, v, x, y = u[::-1], -v[::-1], x[::-1], y.min() + y.max() - y[::-1]
        note = (*note, "y and v of the file are counted upwards")
    return replace(listed, x=x, y=y, u=u, v=v, note=note), (dx + dy) / 2


def _places(values: NDArray) -> tuple[NDArray | None, int, float]:
    """Number of each value on an even scale, how many numbers there are, and their distance; None instead of
    the numbers where the values are on no even scale.
    """
    levels = np.unique(values)
    gaps = np.diff(levels)
    if not len(gaps) or not np.isfinite(gaps).all():
        return None, len(levels), 0.0
    step = float(np.median(gaps[gaps > 0.3 * gaps.max()]))
    step = (levels[-1] - levels[0]) / max(np.rint((levels[-1] - levels[0]) / step), 1)
    number = (values - levels[0]) / step
    whole = np.rint(number).astype(np.int64)
    is_even = np.abs(number - whole).max() <= OFF_GRID and whole.max() < len(values)
    return (whole if is_even else None), int(whole.max()) + 1, float(step)


def _in_pixels(path: Path, listed: _Listed, step: float, scale_um: float | None) -> Vectors:
    """Positions and displacements in pixels; `scale_um` of the file, or as told."""
    positions, displacements = (UNIT_UM.get(unit) for unit in listed.units)
    if scale_um is None and positions is not None:
        known = listed.pixels_per_step
        scale_um = positions * step / known if known else (1.0 if displacements is not None else None)
    if scale_um is None and (positions is None) != (displacements is None):
        raise MapFileError(
            f"{path}: positions are in {listed.units[0]} and displacements in {listed.units[1]}: the size of "
            "a pixel is needed (scale_um), or both in one unit"
        )
    place = 1.0 if positions is None else positions / scale_um
    move = 1.0 if displacements is None else displacements / scale_um
    with np.errstate(over="ignore"):
        x, y, u, v = place * listed.x, place * listed.y, move * listed.u, move * listed.v
    return Vectors(
        x,
        y,
        *(np.where(np.isfinite(u + v), component, np.nan) for component in (u, v)),
        place * step,
        scale_um,
        listed.note,
        listed.zeros_are_gaps,
    )
