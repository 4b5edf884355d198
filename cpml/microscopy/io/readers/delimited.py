"""Delimited text with declared columns: what a spreadsheet, a script or OIM's "export" leaves behind.

`columns` names every column of the file in order. These names have a meaning; all others become properties,
and "_" is skipped:

| name | meaning |
|---|---|
| phi1, Phi, phi2 | Bunge angles, in the declared unit |
| x, y | position, um, y down |
| phase | number of the phase; absent: one phase |
| ci | -1: not indexed |

Spaces, tabs, commas or semicolons separate; a decimal comma is understood where something else separates.
Lines before the first line of numbers (a heading, comments) are skipped. Square and hexagonal grids, in any
order of points, with holes.
"""

import re
from pathlib import Path
from typing import TypeAlias

import numpy as np

from cpml.errors import MapFileError, ParameterError
from cpml.microscopy.io.lengths import length_unit
from cpml.microscopy.io.readers.common import RawMap, decoded, phase_column, read_table, unfinished
from cpml.microscopy.io.readers.positions import Positions
from cpml.microscopy.maps.ebsd_map import MapPhase

Phases: TypeAlias = dict[int, MapPhase] | list[MapPhase]
NEEDED = ("phi1", "Phi", "phi2", "x", "y")
HEADER_LINES = 1000


def read(
    path: Path,
    *,
    columns: list[str],
    angles: str = "degrees",
    phases: Phases | None = None,
) -> RawMap:
    """Content of a text file whose `columns` are declared.

    Parameters
    ----------
    columns : name of every column, in order
    angles : "degrees" or "radians"
    phases : number in the file -> phase; a list counts from 1; numbers that are not listed: 0 and -1 are "not
        indexed", any other is an error

    Raises
    ------
    ParameterError : no complete or no unique set of columns, an unknown unit, or no phases
    MapFileError : a line that has other fields, or points on no grid
    """
    _check(columns, angles, phases)
    n_header, separator, decimal = _layout(path, len(columns))
    names = [f"_{i}" if name == "_" else name for i, name in enumerate(columns)]
    data = read_table(path, n_header, names, n_required=len(names), decimal=decimal, separator=separator)
    euler = np.stack([data.pop(k) for k in ("phi1", "Phi", "phi2")], axis=1)
    note = ()
    if angles == "degrees":
        largest = float(np.abs(euler).max())
        note = (f"angles declared in degrees, but none is above {largest:.3g}: radians?",) * (largest < 7)
        euler = np.radians(euler)
    phase_id, described = _phase_ids(path, data.pop("phase", None), len(euler), phases, n_header)
    xy = np.stack([data.pop("x"), data.pop("y")], axis=1)
    return RawMap(
        name=path.stem,
        euler=euler,
        phase_id=phase_id,
        phases=described,
        grid=Positions(xy, unit=_unit(path, n_header, columns)),
        properties={k: v for k, v in data.items() if not k.startswith("_")},
        usual_hex_x_axis="a",
        angles=angles,
        first_line=n_header,
        note=note + unfinished(path),
    )


def _check(columns: list[str], angles: str, phases: Phases | None) -> None:
    named = [c for c in columns if c != "_"]
    missing = [k for k in NEEDED if k not in named]
    if missing or len(set(named)) != len(named) or any(c.startswith("_") for c in named):
        raise ParameterError(
            f"columns {columns}: each of {', '.join(NEEDED)} is needed once (missing: "
            f"{', '.join(missing) or 'none'}), "
            "other names once, and '_' for a column to skip"
        )
    if angles not in ("degrees", "radians"):
        raise ParameterError(f"angles {angles!r}: give 'degrees' or 'radians'")
    listed = phases.values() if isinstance(phases, dict) else phases or ()
    if not phases or not all(isinstance(phase, MapPhase) for phase in listed):
        raise ParameterError(
            "a delimited text file does not describe its phases: give phases={number: MapPhase(...)}"
        )


def _layout(path: Path, n_columns: int) -> tuple[int, str, str]:
    """Number of lines before the numbers, separator (regular expression) and decimal mark."""
    with open(path, encoding="latin-1") as file:
        for number in range(HEADER_LINES):
            line = file.readline(100_000)
            if not line:
                break
            for separator in (";", ",", r"\s+"):
                for decimal in ".,":
                    fields = [f.replace(decimal, ".") for f in re.split(separator, line.strip())]
                    if len(fields) == n_columns and all(_is_number(f) for f in fields):
                        return number, separator, decimal
    raise MapFileError(
        f"{path}: none of the first {HEADER_LINES} lines has the {n_columns} numbers of the "
        "declared columns; correct "
        "columns, one name for every column of the file"
    )


def _is_number(field: str) -> bool:
    return re.fullmatch(r"[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?", field.strip()) is not None


def _unit(path: Path, n_header: int, columns: list[str]) -> str | None:
    """Unit of the positions where the heading names it, as in "x (um)" or "X [nm]"; None where it does
    not.
    """
    with open(path, "rb") as file:
        heading = [decoded(file.readline(100_000)) for _ in range(n_header)]
    at = columns.index("x")
    for line in reversed(heading):
        for separator in (";", "\t", ","):
            fields = line.strip().lstrip("#").split(separator)
            if len(fields) == len(columns):
                unit = re.search(r"[(\[]\s*([^)\]]+?)\s*[)\]]", fields[at])
                return length_unit(unit.group(1)) if unit else None
    return None


def _phase_ids(
    path: Path, column: np.ndarray | None, n: int, phases: Phases, n_header: int
) -> tuple[np.ndarray, dict[int, MapPhase]]:
    """Phase (N,) int32 with 0 for "not indexed", and the phases by these numbers."""
    listed = dict(phases) if isinstance(phases, dict) else dict(enumerate(phases, start=1))
    if column is None:
        return np.ones(n, np.int32), {1: next(iter(listed.values()))}
    numbers = phase_column(path, column + 1, n_header) - 1
    shift = 1 if 0 in listed else 0
    unknown = np.flatnonzero(~np.isin(numbers, [*listed, 0, -1]))
    if len(unknown):
        raise MapFileError(
            f"{path}, line {n_header + unknown[0] + 1}: phase {numbers[unknown[0]]} is not declared; "
            f"declared: {sorted(listed)}"
        )
    return np.where(np.isin(numbers, list(listed)), numbers + shift, 0).astype(np.int32), {
        i + shift: p for i, p in listed.items()
    }
