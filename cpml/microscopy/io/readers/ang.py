"""EDAX / EMsoft / ASTAR text maps (.ang).

Lines that start with "#" are the header; then phi1, Phi, phi2 (rad, Bunge), x, y (um), and iq, ci, phase, and
in some versions sem, fit and more. A "COLUMN_HEADERS" line, where there is one, names the columns. Square
grids and hexagonal ones (rows of NCOLS_ODD and NCOLS_EVEN points in turn) keep their own neighbours. Not
indexed: ci = -1, angles of 4 pi, a negative phase, or, in a map of several phases, phase 0; a single phase is
numbered 0 by EDAX.
"""

import re
from pathlib import Path

import numpy as np

from cpml.errors import MapFileError
from cpml.microscopy.io.readers.common import (
    RawMap,
    check_count,
    check_phases,
    check_size,
    is_number,
    make_phase,
    phase_column,
    positive,
    read_table,
    unfinished,
)
from cpml.microscopy.maps.ebsd_map import MapPhase
from cpml.microscopy.maps.grids import Grid, find_grid

GROUP_OF_SYMMETRY = {
    "43": "432",
    "23": "23",
    "62": "622",
    "6": "6",
    "32": "32",
    "3": "3",
    "42": "422",
    "4": "4",
    "22": "222",
    "20": "121",
    "2": "2",
    "1": "1",
}
COLUMNS = ["phi1", "Phi", "phi2", "x", "y", "iq", "ci", "phase", "sem", "fit"]
N_REQUIRED = 8
HEADER_LINES = 20_000


def read(path: Path) -> RawMap:
    """Content of an .ang file; every defect is one MapFileError that names the line."""
    header, n_header, n_fields = _header(path)
    phases = _phases(path, header)
    expected = _announced(path, header)
    check_size(path, expected, N_REQUIRED, "NROWS x NCOLS")
    data = read_table(path, n_header, _column_names(header, n_fields), n_required=N_REQUIRED)
    if len(data["x"]) > expected:
        check_count(path, len(data["x"]), expected, "NROWS x NCOLS")
    euler = np.stack([data.pop(k) for k in ("phi1", "Phi", "phi2")], axis=1)
    number = data.pop("phase")
    file_phase = phase_column(path, np.maximum(number, 0), n_header)
    phase_id = np.full(len(file_phase), next(iter(phases)), np.int32) if len(phases) == 1 else file_phase
    unindexed = (data["ci"] == -1) | np.any(euler >= 4 * np.pi - 1e-3, axis=1) | (number < 0)
    phase_id = np.where(unindexed, 0, phase_id)
    check_phases(path, phase_id, phases, n_header)
    grid = find_grid(str(path), np.stack([data.pop("x"), data.pop("y")], axis=1), told=_steps(header))
    _check_complete(path, grid, expected)
    return RawMap(
        name=path.stem,
        euler=euler,
        phase_id=phase_id.astype(np.int32),
        phases=phases,
        grid=grid,
        properties={name: v.astype(np.float32) for name, v in data.items()},
        usual_hex_x_axis="a",
        note=unfinished(path, n_fields),
    )


def _check_complete(path: Path, grid: Grid, expected: int) -> None:
    """Tell a map with holes from one that is cut off: the missing points of the latter are the last ones."""
    found = len(grid.cell)
    is_tail = grid.n_holes and grid.cell.max() == found - 1
    if found < expected and (is_tail or len(grid.xy) < 0.999 * expected):
        check_count(path, found, expected, "NROWS x NCOLS")


def _header(path: Path) -> tuple[list[tuple[int, str, str]], int, int]:
    """Header as (line, key, text), number of header lines, number of fields of the first data line."""
    header, number = [], 0
    with open(path, encoding="utf-8", errors="replace") as file:
        for number, line in enumerate(file, start=1):
            if not line.startswith("#"):
                if line.strip():
                    return header, number - 1, len(line.split())
                continue
            words = line[1:].replace(":", " ", 1).split(maxsplit=1)
            if words:
                header.append((number, words[0].upper(), words[1].strip() if len(words) > 1 else ""))
            if number > HEADER_LINES:
                break
    raise MapFileError(
        f"{path}, line {number}: no points after the header; the file is cut off: export it again"
    )


def _announced(path: Path, header: list) -> int:
    """Number of points from NROWS, NCOLS_ODD and NCOLS_EVEN (the first row is odd)."""
    found = {
        key: positive(path, line, key, text, int)
        for line, key, text in header
        if key in ("NROWS", "NCOLS_ODD", "NCOLS_EVEN")
    }
    missing = {"NROWS", "NCOLS_ODD"} - found.keys()
    if missing:
        raise MapFileError(
            f"{path}: no {', '.join(sorted(missing))} in the header; this is no complete .ang map: "
            "export it again"
        )
    rows, odd = found["NROWS"], found["NCOLS_ODD"]
    return (rows + 1) // 2 * odd + rows // 2 * found.get("NCOLS_EVEN", odd)


def _steps(header: list) -> tuple[float, float] | None:
    """XSTEP and YSTEP where both are numbers."""
    found = {key: text for _, key, text in header if key in ("XSTEP", "YSTEP")}
    try:
        return float(found["XSTEP"]), float(found["YSTEP"])
    except (KeyError, ValueError):
        return None


def _column_names(header: list, n_fields: int) -> list[str]:
    listed = next((text for _, key, text in header if key == "COLUMN_HEADERS"), None)
    names = COLUMNS[:]
    if listed:
        names[N_REQUIRED:] = [re.sub(r"\W+", "_", n.strip().lower()) for n in listed.split(",")][N_REQUIRED:]
    extra = [f"column{i + 1}" for i in range(len(names), n_fields)]
    return (names + extra)[: max(n_fields, N_REQUIRED)]


def _phases(path: Path, header: list) -> dict:
    """Phases of the header: the lines after each "# Phase n"."""
    phases, current = {}, None
    for line, key, text in header:
        if key == "PHASE" and is_number(text):
            current = {"id": int(text), "line": line, "MATERIALNAME": ""}
            phases[current["id"]] = current
        elif current is not None and key in ("MATERIALNAME", "SYMMETRY", "LATTICECONSTANTS"):
            current.setdefault(key, text) if key != "MATERIALNAME" else current.update({key: text})
    if not phases:
        raise MapFileError(
            f"{path}: the header lists no phase; this is no complete .ang map: export it again"
        )
    return {i: _phase(path, p) for i, p in sorted(phases.items())}


def _phase(path: Path, p: dict) -> MapPhase:
    symmetry = p.get("SYMMETRY", "")
    if symmetry not in GROUP_OF_SYMMETRY:
        raise MapFileError(
            f"{path}, line {p['line']}: phase {p['id']} has symmetry {symmetry!r}; "
            f"known: {', '.join(GROUP_OF_SYMMETRY)}"
        )
    try:
        cell = [float(v) for v in p["LATTICECONSTANTS"].split()[:6]]
        if len(cell) != 6:
            raise ValueError("six numbers are needed")
    except (KeyError, ValueError) as error:
        raise MapFileError(
            f"{path}, line {p['line']}: phase {p['id']} has no LatticeConstants a b c alpha beta gamma "
            f"({error})"
        ) from error
    return make_phase(p["MATERIALNAME"], cell, GROUP_OF_SYMMETRY[symmetry])
