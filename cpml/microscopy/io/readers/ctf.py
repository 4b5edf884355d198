"""Oxford / HKL channel text files (.ctf).

Header lines, then "Phase X Y Bands Error Euler1 Euler2 Euler3 MAD BC BS" and any further columns; angles
in degrees (Bunge), positions in um. XCells and YCells are trusted over the coordinates, which are
rounded. Not indexed: phase 0, or the zero solution (all angles 0 with Error > 0); Error > 0 with an
orientation is a point that the vendor's cleaning has filled and counts as indexed. Decimal commas and
column-major order are understood.
"""

from pathlib import Path

import numpy as np

from cpml.crystallography.symmetry import LAUE_NUMBER
from cpml.errors import MapFileError
from cpml.microscopy.io.readers.common import (
    RawMap,
    acquisition_angles,
    check_count,
    check_phases,
    check_size,
    is_number,
    make_phase,
    phase_column,
    positive,
    read_table,
    steps_of,
    unfinished,
)
from cpml.microscopy.maps.ebsd_map import MapPhase
from cpml.microscopy.maps.grids import Grid

REQUIRED = ["Phase", "X", "Y", "Euler1", "Euler2", "Euler3"]
HEADER_LINES = 400


def read(path: Path) -> RawMap:
    """Content of a .ctf file; every defect is one MapFileError that names the line."""
    header, columns, n_header, decimal = _header(path)
    cols, rows = (positive(path, *header[key], kind=int) for key in ("XCells", "YCells"))
    dx, dy = steps_of(path, (rows, cols), header["XStep"], header["YStep"])
    check_size(path, cols * rows, len(REQUIRED), f"XCells x YCells = {cols} x {rows}")
    data = read_table(path, n_header, columns, n_required=len(columns), decimal=decimal)
    check_count(path, len(data["Phase"]), cols * rows, f"XCells x YCells = {cols} x {rows}")
    order = _row_order(path, data["X"], data["Y"], rows, cols)
    phases = header["phases"]
    phase_id = phase_column(path, data.pop("Phase"), n_header)
    check_phases(path, phase_id, phases, n_header)
    euler = np.radians(np.stack([data.pop(f"Euler{i}") for i in (1, 2, 3)], axis=1))
    is_zero = (euler == 0).all(axis=1) & (data.get("Error", np.zeros(len(euler))) > 0)
    phase_id[is_zero] = 0
    start = data.pop("X").min(), data.pop("Y").min()
    properties = {name.lower(): v[order].astype(np.float32) for name, v in data.items()}
    return RawMap(
        name=path.stem,
        euler=euler[order],
        phase_id=phase_id[order],
        phases=phases,
        grid=Grid.full((rows, cols), (dx, dy), start=start),
        properties=properties,
        usual_hex_x_axis="a*",
        note=unfinished(path),
        acquisition=acquisition_angles([header.get(f"AcqE{i}", ("", "", "0"))[2] for i in (1, 2, 3)]),
    )


def _header(path: Path) -> tuple[dict, list[str], int, str]:
    """Header fields as (line, name, text), column names, number of header lines, decimal mark of the data."""
    fields: dict = {"phases": {}}
    with open(path, encoding="latin-1") as file:
        for number, line in enumerate(file, start=1):
            words = line.rstrip("\r\n").split("\t")
            key = words[0].strip()
            if key == "Phases":
                count = positive(path, number, "Phases", words[1] if len(words) > 1 else "", int)
                for index in range(1, min(count, HEADER_LINES) + 1):
                    number += 1
                    fields["phases"][index] = _phase(path, number, file.readline())
                break
            if len(words) > 1:
                fields[key] = (number, key, words[1])
            if number > HEADER_LINES:
                break
        columns, first = file.readline().split(), file.readline()
    missing = [k for k in ("XCells", "YCells", "XStep", "YStep") if k not in fields]
    missing += [] if fields["phases"] else ["Phases"]
    missing += [c for c in REQUIRED if c not in columns] if not missing else []
    if missing:
        raise MapFileError(
            f"{path}, line {number + 1}: no {', '.join(missing)} in the header; "
            "this is no complete .ctf grid map: export it again (job mode Grid)"
        )
    return fields, columns, number + 1, "," if "," in first else "."


def _phase(path: Path, number: int, line: str) -> MapPhase:
    """Phase of a header line: cell lengths, cell angles, name, Laue group, space group, all tab-separated."""
    words = line.rstrip("\r\n").replace(",", ".").split("\t")
    try:
        cell = [float(v) for v in (words[0] + ";" + words[1]).split(";")]
        laue = int(words[3])
        space_group = int(words[4]) if len(words) > 4 and is_number(words[4].strip(), 230) else None
        if len(cell) != 6 or laue not in LAUE_NUMBER:
            raise ValueError(f"Laue group {laue}")
    except (ValueError, IndexError) as error:
        raise MapFileError(
            f"{path}, line {number}: not a phase line ({error}); needed: a;b;c, alpha;beta;gamma, name, "
            "Laue group 1 to 11, space group, separated by tabs"
        ) from error
    return make_phase(words[2], cell, LAUE_NUMBER[laue], space_group)


def _row_order(path: Path, x: np.ndarray, y: np.ndarray, rows: int, cols: int) -> np.ndarray:
    """Index that puts the points in row order: the faster coordinate tells how the file runs."""

    def runs(fast: np.ndarray, slow: np.ndarray, n_slow: int, n_fast: int) -> bool:
        f, s = fast.reshape(n_slow, n_fast), slow.reshape(n_slow, n_fast)
        return bool(np.all(np.diff(f, axis=1) >= 0)) and np.ptp(s, axis=1).max() <= np.ptp(s) / max(n_slow, 2)

    if runs(x, y, rows, cols):
        return np.arange(rows * cols)
    if runs(y, x, cols, rows):
        return np.arange(rows * cols).reshape(cols, rows).T.ravel()
    raise MapFileError(
        f"{path}: X and Y run neither along rows nor along columns of the {cols} x {rows} grid; "
        "export the map again without sorting or cropping its points"
    )
