"""EDAX / EMsoft / ASTAR text maps (.ang).

Lines that start with "#" are the header; then phi1, Phi, phi2 (rad, Bunge), x, y (um), and iq, ci, phase, and
in some versions sem, fit and more. A "COLUMN_HEADERS" line, where there is one, names the columns. Square
grids and hexagonal ones (rows of NCOLS_ODD and NCOLS_EVEN points in turn) keep their own neighbours. A single
phase is numbered 0 or 1; a phase 0 that the header describes is a phase, otherwise 0 is "not indexed".
"""

import re
from pathlib import Path

import numpy as np

from cpml.crystallography.symmetry import PROPER_GROUP_OF
from cpml.errors import MapFileError
from cpml.microscopy.io.readers.common import (
    RawMap,
    check_size,
    decoded,
    is_number,
    make_phase,
    numbered_from_one,
    phase_column,
    positive,
    read_table,
    unfinished,
)
from cpml.microscopy.io.readers.positions import Positions
from cpml.microscopy.maps.ebsd_map import MapPhase

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
# fmt: off
POINT_GROUPS = (
    "1", "-1", "2", "m", "2/m", "222", "mm2", "mmm", "4", "-4", "4/m", "422", "4mm", "-42m",
    "4/mmm", "3", "-3", "32", "3m", "-3m", "6", "-6", "6/m", "622", "6mm", "-6m2", "6/mmm", "23",
    "m-3", "432", "-43m", "m-3m",
)
# fmt: on
"""The 32 point groups in the order of the International Tables: PointGroupID counts them from 100."""
FIRST_POINT_GROUP = 100
COLUMNS = ["phi1", "Phi", "phi2", "x", "y", "iq", "ci", "phase", "sem", "fit"]
COLUMN_OF = {
    "phi": "Phi",
    "phase_index": "phase",
    "phase_id": "phase",
    "x_position": "x",
    "y_position": "y",
    "image_quality": "iq",
    "confidence_index": "ci",
}
"""Names of COLUMN_HEADERS, in lower case, that stand for one of COLUMNS."""
N_REQUIRED = 8
HEADER_LINES = 20_000


def read(path: Path) -> RawMap:
    """Content of an .ang file; every defect is one MapFileError that names the line."""
    header, n_header, n_fields = _header(path)
    phases = _phases(path, header)
    shape, expected = _announced(path, header)
    check_size(path, max(expected), N_REQUIRED, "NROWS x NCOLS")
    data = read_table(path, n_header, _column_names(header, n_fields), n_required=N_REQUIRED)
    euler = np.stack([data.pop(k) for k in ("phi1", "Phi", "phi2")], axis=1)
    number = data.pop("phase")
    file_phase = np.where(number < 0, -1, phase_column(path, np.maximum(number, 0), n_header))
    if len(phases) == 1:
        file_phase = np.where(file_phase < 0, -1, next(iter(phases)))
    phase_id, phases, note = numbered_from_one(file_phase, phases)
    xy = np.stack([data.pop("x"), data.pop("y")], axis=1)
    return RawMap(
        name=path.stem,
        euler=euler,
        phase_id=phase_id,
        phases=phases,
        grid=Positions(xy, shape, _steps(header), expected, _kind(header), "NROWS x NCOLS"),
        properties={name: v.astype(np.float32) for name, v in data.items()},
        usual_hex_x_axis="a",
        first_line=n_header,
        note=note + unfinished(path, n_fields),
    )


def _header(path: Path) -> tuple[list[tuple[int, str, str]], int, int]:
    """Header as (line, key, text), number of header lines, number of fields of the first data line."""
    header, number = [], 0
    with open(path, encoding="latin-1") as file:
        for number, line in enumerate(map(decoded, file), start=1):
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


def _announced(path: Path, header: list) -> tuple[tuple[int, int], tuple[int, ...]]:
    """(rows, longest row) and the numbers of points that NROWS, NCOLS_ODD and NCOLS_EVEN allow.

    The first row is the odd one, in some hexagonal files the even one.
    """
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
    even = found.get("NCOLS_EVEN", odd)
    first = (rows + 1) // 2 * odd + rows // 2 * even
    second = (rows + 1) // 2 * even + rows // 2 * odd
    return (rows, max(odd, even)), tuple(dict.fromkeys((first, second)))


def _kind(header: list) -> str | None:
    """Grid of the header: "square", "hex", or None where it does not say."""
    told = next((text.lower() for _, key, text in header if key == "GRID"), "")
    return next((kind for word, kind in (("hex", "hex"), ("sq", "square")) if told.startswith(word)), None)


def _steps(header: list) -> tuple[float, float] | None:
    """XSTEP and YSTEP where both are numbers."""
    found = {key: text for _, key, text in header if key in ("XSTEP", "YSTEP")}
    try:
        return float(found["XSTEP"]), float(found["YSTEP"])
    except (KeyError, ValueError):
        return None


def _column_names(header: list, n_fields: int) -> list[str]:
    """Names of all columns: those of COLUMN_HEADERS, where there is such a line, else the usual ones."""
    listed = next((text for _, key, text in header if key == "COLUMN_HEADERS"), None)
    names = COLUMNS[:]
    if listed:
        told = [re.sub(r"\W+", "_", n.strip().lower()).strip("_") for n in listed.split(",")]
        told = [COLUMN_OF.get(name, name) for name in told]
        is_complete = set(COLUMNS[:N_REQUIRED]) <= set(told) and len(set(told)) == len(told)
        names = told if is_complete else COLUMNS[:N_REQUIRED] + told[N_REQUIRED:]
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
    group = group_of_edax(symmetry)
    if group is None:
        raise MapFileError(
            f"{path}, line {p['line']}: phase {p['id']} has symmetry {symmetry!r}; "
            f"known: {', '.join(GROUP_OF_SYMMETRY)}, a point group by name, or its number from 100 to 131"
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
    return make_phase(p["MATERIALNAME"], cell, group)


def group_of_edax(symmetry: str) -> str | None:
    """Proper group of an EDAX symmetry: its code (43), a point group by name (m-3m) or by the vendor's number
    (131); None where it is none of them.
    """
    text = symmetry.replace(" ", "")
    if is_number(text) and 0 <= int(text) - FIRST_POINT_GROUP < len(POINT_GROUPS):
        return PROPER_GROUP_OF[POINT_GROUPS[int(text) - FIRST_POINT_GROUP]]
    return GROUP_OF_SYMMETRY.get(text) or PROPER_GROUP_OF.get(text)
