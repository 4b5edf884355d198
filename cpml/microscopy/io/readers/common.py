"""What the readers of all formats share: the raw record, numeric tables with errors that name
the line, phases.
"""

import math
import re
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cpml.errors import MapFileError
from cpml.microscopy.io.readers.positions import Positions
from cpml.microscopy.maps.ebsd_map import MapPhase
from cpml.microscopy.maps.grids import Grid
from cpml.progress import progress

SPACE_GROUP = {"fcc": 225, "bcc": 229, "hcp": 194}
LATTICE_OF_SPACE_GROUP = {number: lattice for lattice, number in SPACE_GROUP.items()}
SHORTEST_FIELD = 2
"""Bytes of the shortest field of a text table: one digit and a separator."""
LINES_AT_ONCE = 200_000
"""Lines of a text table read between two steps of the progress bar."""


@dataclass(frozen=True)
class RawMap:
    """A file's content in its own axes: Bunge angles (n, 3) in rad, phases (n,) with 0 or less for "not
    indexed", and the grid of the points, or their positions where the file has them.

    `angles` is the unit of the numbers in the file ("radians" or "degrees") by its format, or as declared;
    `first_line` is the number of header lines of a text file, for messages. Which points have a solution is
    decided for all formats in cpml.microscopy.io.readers.solutions. `declared` is the turn (4,) of the Euler
    axes to the pixel axes that the file states, `acquisition` the Bunge angles, rad, of the acquisition
    surface in the specimen frame (not both zero); neither is applied unless it is asked for.
    """

    name: str
    euler: NDArray
    phase_id: NDArray
    phases: dict[int, MapPhase]
    grid: Grid | Positions
    properties: dict[str, NDArray]
    usual_hex_x_axis: str
    angles: str = "radians"
    angles_declared: bool = False
    first_line: int | None = None
    note: tuple[str, ...] = ()
    declared: NDArray | None = None
    acquisition: tuple[float, float, float] | None = None


def finite_where_indexed(path: Path, euler: NDArray, phase_id: NDArray) -> None:
    """Refuse an indexed point whose angles are no numbers."""
    bad = np.flatnonzero(~np.isfinite(euler).all(axis=1) & (phase_id > 0))
    if len(bad):
        raise MapFileError(
            f"{path}, point {bad[0] + 1}: indexed, but its angles are no numbers; export the map again"
        )


def decoded(line: bytes | str) -> str:
    """Text of a header line: UTF-8 where it is, else the western code page of the vendors' programs.

    A line read as latin-1, which keeps every byte and knows every line end, is taken for its bytes.
    """
    line = line.encode("latin-1") if isinstance(line, str) else line
    for encoding in ("utf-8-sig", "cp1252"):
        try:
            return line.decode(encoding)
        except UnicodeDecodeError:
            continue
    return line.decode("latin-1")


def numbered_from_one(
    file_phase: NDArray, phases: dict[int, MapPhase]
) -> tuple[NDArray, dict[int, MapPhase], tuple[str, ...]]:
    """Phases (n,) and their descriptions with 0 kept for "not indexed".

    A phase that the file numbers 0 gets the first free number, and a note says so.
    """
    if 0 not in phases:
        return file_phase, phases, ()
    free = next(i for i in range(1, len(phases) + 2) if i not in phases)
    moved = {free if i == 0 else i: phase for i, phase in phases.items()}
    number = np.where(file_phase == 0, free, np.maximum(file_phase, 0)).astype(np.int32)
    note = f"phase 0 of the file ({phases[0].name}) is numbered {free}"
    return number, dict(sorted(moved.items())), (note,)


def group_of_space_group(number: int) -> str:
    """Proper group of the Laue class of a space group 1 to 230 (monoclinic: unique axis b)."""
    last = [
        (2, "1"),
        (15, "121"),
        (74, "222"),
        (88, "4"),
        (142, "422"),
        (148, "3"),
        (167, "32"),
        (176, "6"),
        (194, "622"),
        (206, "23"),
        (230, "432"),
    ]
    if number in (149, 151, 153, 157, 159, 162, 163):
        return "312"
    return next(group for top, group in last if number <= top)


def check_size(path: Path, n_points: int, n_fields: int, place: str) -> None:
    """Refuse a header that announces more points than the file has bytes for, before
    anything is allocated.
    """
    size = path.stat().st_size
    most = size // (SHORTEST_FIELD * n_fields) + 1
    if n_points > most:
        raise MapFileError(
            f"{path}: {place} announces {n_points:,} points, but a file of {size:,} bytes holds at most "
            f"{most:,}; the header is wrong or the file is incomplete: export the map again"
        )


def read_table(
    path: Path,
    first_line: int,
    names: list[str],
    *,
    n_required: int,
    decimal: str = ".",
    separator: str = r"\s+",
) -> dict:
    """Columns (N,) float64 of a table that starts after `first_line` lines; `separator` is one
    character or \\s+.

    The first `n_required` columns must be finite numbers in every line; others may be absent (then left out).

    Raises
    ------
    MapFileError : a line with too few fields or a field that is no number; the message names the line
    """
    import pandas as pd

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", pd.errors.ParserWarning)
            parts = pd.read_csv(
                path,
                sep=separator,
                skipinitialspace=separator != r"\s+",
                skiprows=first_line,
                header=None,
                names=names,
                index_col=False,
                dtype=np.float64,
                decimal=decimal,
                encoding="latin-1",
                engine="c",
                quoting=3,
                chunksize=LINES_AT_ONCE,
            )
            table = pd.concat(progress(parts, f"reading {path.name}", unit="part"))
    except (ValueError, pd.errors.ParserError) as error:
        raise _bad_line(path, first_line, n_required, decimal, separator) from error
    columns = {name: table[name].to_numpy() for name in names}
    required = names[:n_required]
    if len(table) == 0 or any(not np.isfinite(columns[name]).all() for name in required):
        raise _bad_line(path, first_line, n_required, decimal, separator)
    return {name: v for name, v in columns.items() if name in required or np.isfinite(v).any()}


def unfinished(path: Path, n_fields: int = 0) -> tuple[str, ...]:
    """A note on a text file whose last line does not end: whether its last number is whole, nobody can tell.

    Raises
    ------
    MapFileError : that line has fewer than `n_fields` fields (separated by spaces)
    """
    with open(path, "rb") as file:
        file.seek(-min(path.stat().st_size, 4096), 2)
        last = file.read().split(b"\n")[-1]
    if not last.strip():
        return ()
    if len(last.split()) < n_fields:
        raise MapFileError(
            f"{path}: the last line has {len(last.split())} fields where the first has {n_fields}; "
            "the file is cut off: export it again"
        )
    return ("the last line has no line end: is the file cut off there?",)


def _bad_line(path: Path, first_line: int, n_required: int, decimal: str, separator: str) -> MapFileError:
    """The error for the first line that is not `n_required` finite numbers."""
    number = first_line
    with open(path, encoding="latin-1") as file:
        for number, line in enumerate(file, start=1):
            if number <= first_line or not line.strip():
                continue
            fields = re.split(separator, line.strip())
            if len(fields) < n_required:
                return MapFileError(
                    f"{path}, line {number}: {len(fields)} fields where {n_required} are needed "
                    f"({line.strip()[:60]!r}); the file is cut off or damaged: export it again"
                )
            for field in fields:
                if not _is_finite(field.strip().replace(decimal, ".")):
                    return MapFileError(
                        f"{path}, line {number}: {field[:30]!r} is not a finite number; "
                        "repair the line or export the map again"
                    )
    return MapFileError(
        f"{path}, line {number}: no points after the header; the file is cut off: export it again"
    )


def _is_finite(text: str) -> bool:
    try:
        return bool(np.isfinite(float(text)))
    except ValueError:
        return False


def check_count(path: Path, found: int, expected: int, place: str) -> None:
    """Refuse a table whose number of points is not the announced one."""
    if found != expected:
        what = "the file is cut off" if found < expected else "the header or the file is damaged"
        raise MapFileError(
            f"{path}: {place} announces {expected:,} points, {found:,} were found; "
            f"{what}: export the map again"
        )


def is_number(text: str, most: int = 9999) -> bool:
    """Whether a text is a whole number from 0 to `most` in plain digits (superscripts are digits, too)."""
    return text.isascii() and text.isdigit() and len(text) < 20 and int(text) <= most


def positive(path: Path, line: int | str, name: str, text: str, kind: type = float) -> Any:
    """A number above zero, of the kind asked for, from a header field; a decimal comma is accepted."""
    try:
        value = kind(text.strip().replace(",", "."))
        if value > 0 and math.isfinite(value):
            return value
    except (ValueError, OverflowError):
        pass
    raise MapFileError(
        f"{path}, line {line}: {name} = {text.strip()[:30]!r} is not a positive "
        f"{'whole number' if kind is int else 'number'}; correct the header or export the map again"
    )


def steps_of(path: Path, shape: tuple[int, int], x: tuple, y: tuple) -> tuple[float, float]:
    """(dx, dy) of two header fields (line, name, text); a scan along one line states no step across it."""
    (rows, cols), is_absent = (
        shape,
        [field[2].strip().replace(",", ".").strip("0.") == "" for field in (x, y)],
    )
    if rows == 1 and is_absent[1] and not is_absent[0]:
        y = x
    elif cols == 1 and is_absent[0] and not is_absent[1]:
        x = y
    return positive(path, *x), positive(path, *y)


def phase_column(path: Path, values: NDArray, first_line: int) -> NDArray:
    """Phase numbers (N,) int32 of a numeric column; MapFileError where one is no whole number from
    0 to 9999.
    """
    bad = np.flatnonzero((values < 0) | (values > 9999) | (values != np.floor(values)))
    if len(bad):
        raise MapFileError(
            f"{path}, line {first_line + bad[0] + 1}: phase {values[bad[0]]:g} is not a whole number "
            "from 0 to 9999; repair the line or export the map again"
        )
    return values.astype(np.int32)


def check_phases(path: Path, phase_id: NDArray, phases: dict[int, MapPhase], first_line: int | None) -> None:
    """Refuse a point of a phase that the header does not list, and a map without any indexed point."""
    bad = np.flatnonzero((phase_id != 0) & ~np.isin(phase_id, list(phases)))
    if len(bad):
        place = f"point {bad[0] + 1}" if first_line is None else f"line {first_line + bad[0] + 1}"
        raise MapFileError(
            f"{path}, {place}: phase {phase_id[bad[0]]} is not in the header, which lists "
            f"{sorted(phases)}; correct the header or export the map again"
        )
    if not np.any(phase_id > 0):
        raise MapFileError(
            f"{path}: none of the {len(phase_id):,} points is indexed; index the patterns first"
        )


def make_phase(name: str, cell: Sequence[float], group: str, space_group: int | None = None) -> MapPhase:
    """Phase of a header: cell a, b, c in Angstrom and alpha, beta, gamma in deg."""
    return MapPhase(
        name.strip() or "unnamed", group, LATTICE_OF_SPACE_GROUP.get(space_group), *map(float, cell)
    )


def acquisition_angles(angles: list[str]) -> tuple[float, float, float] | None:
    """Acquisition-surface angles of a header, deg, as rad; None when all are zero or absent."""
    words = [a.strip().replace(",", ".") for a in angles]
    values = tuple(math.radians(float(w)) if _is_finite(w) else 0.0 for w in words)
    return values if any(values) else None
