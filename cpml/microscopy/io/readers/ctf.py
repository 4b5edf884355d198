"""Oxford / HKL channel text files (.ctf), maps and volumes.

Header lines, then "Phase X Y Bands Error Euler1 Euler2 Euler3 MAD BC BS" and any further columns; angles
in degrees (Bunge), positions in um. Points may come in any order and some may be left out: X and Y place
them. Error > 0 with an orientation is a point that the vendor's cleaning has filled and counts as indexed. A
volume has ZCells slices, told apart by a column Z or by their order. Decimal commas are understood.
"""

from pathlib import Path

import numpy as np

from cpml.crystallography.symmetry import LAUE_NUMBER
from cpml.errors import MapFileError
from cpml.microscopy.io.readers.common import (
    RawMap,
    acquisition_angles,
    check_size,
    decoded,
    is_number,
    make_phase,
    phase_column,
    positive,
    read_table,
    steps_of,
    unfinished,
)
from cpml.microscopy.io.readers.positions import Positions
from cpml.microscopy.io.readers.slices import choose
from cpml.microscopy.maps.ebsd_map import MapPhase

REQUIRED = ["Phase", "X", "Y", "Euler1", "Euler2", "Euler3"]
HEADER_LINES = 400


def read(path: Path, *, slice: int | None = None) -> RawMap:
    """Content of a .ctf file, or of one slice of a volume; every defect is one MapFileError that names the
    line.
    """
    header, columns, n_header, decimal = _header(path)
    cols, rows = (positive(path, *header[key], kind=int) for key in ("XCells", "YCells"))
    steps = steps_of(path, (rows, cols), header["XStep"], header["YStep"])
    n_slices = _n_slices(header)
    size = f"XCells x YCells = {cols} x {rows}"
    check_size(path, cols * rows * n_slices, len(REQUIRED), size)
    data = read_table(path, n_header, columns, n_required=len(columns), decimal=decimal)
    lines, note = _lines_of_slice(path, header, data, cols * rows, slice)
    data = {name: values[lines] for name, values in data.items()}
    euler = np.radians(np.stack([data.pop(f"Euler{i}") for i in (1, 2, 3)], axis=1))
    file_phase = phase_column(path, data.pop("Phase"), n_header)
    xy = np.stack([data.pop("X"), data.pop("Y")], axis=1)
    return RawMap(
        name=path.stem if n_slices == 1 else f"{path.stem} slice {slice}",
        euler=euler,
        phase_id=file_phase,
        phases=header["phases"],
        grid=Positions(xy, (rows, cols), steps, kind="square", place=size),
        properties={name.lower(): v.astype(np.float32) for name, v in data.items() if name != "Z"},
        usual_hex_x_axis="a*",
        angles="degrees",
        first_line=n_header if n_slices == 1 else None,
        note=note + unfinished(path),
        acquisition=acquisition_angles([header.get(f"AcqE{i}", ("", "", "0"))[2] for i in (1, 2, 3)]),
    )


def n_slices(path: Path) -> int:
    """Number of slices of a volume; 1 for a map."""
    return _n_slices(_header(path)[0])


def _n_slices(header: dict) -> int:
    text = header.get("ZCells", ("", "", "1"))[2].strip()
    return max(int(text), 1) if is_number(text) else 1


def _lines_of_slice(
    path: Path, header: dict, data: dict, n: int, slice: int | None
) -> tuple[np.ndarray, tuple[str, ...]]:
    """Lines (n,) bool of the slice that is asked for: by Z where the file has it, else block after block."""
    count, n_lines = _n_slices(header), len(data["X"])
    if count == 1:
        return np.ones(n_lines, bool), ()
    k = choose(path, list(range(count)), slice)
    if "Z" in data and len(np.unique(data["Z"])) == count:
        z = np.unique(data["Z"])[k]
        return data["Z"] == z, (f"slice {k} of {count}, z = {z:g} um",)
    if n_lines != n * count:
        raise MapFileError(
            f"{path}: ZCells = {count} slices of {n:,} points are announced, {n_lines:,} points and no Z "
            "were found; export the volume again with its Z column"
        )
    return np.arange(n_lines) // n == k, (f"slice {k} of {count}",)


def _header(path: Path) -> tuple[dict, list[str], int, str]:
    """Header fields as (line, name, text), column names, number of header lines, decimal mark of the data."""
    fields: dict = {"phases": {}}
    with open(path, encoding="latin-1") as file:
        for number, line in enumerate(file, start=1):
            words = _words(decoded(line))
            key = words[0]
            if key == "Phases":
                count = positive(path, number, "Phases", words[1] if len(words) > 1 else "", int)
                for index in range(1, min(count, HEADER_LINES) + 1):
                    number += 1
                    fields["phases"][index] = _phase(path, number, decoded(file.readline()))
                break
            if len(words) > 1:
                fields[key] = (number, key, words[1])
            if number > HEADER_LINES:
                break
        columns, first = decoded(file.readline()).split(), decoded(file.readline())
    missing = [k for k in ("XCells", "YCells", "XStep", "YStep") if k not in fields]
    missing += [] if fields["phases"] else ["Phases"]
    missing += [c for c in REQUIRED if c not in columns] if not missing else []
    if missing:
        raise MapFileError(
            f"{path}, line {number + 1}: no {', '.join(missing)} in the header; "
            "this is no complete .ctf grid map: export it again (job mode Grid)"
        )
    return fields, columns, number + 1, "," if "," in first else "."


def _words(line: str) -> list[str]:
    """Fields of a header line: separated by tabs, in files that went through an editor by spaces."""
    words = [word.strip() for word in line.rstrip("\r\n").split("\t")]
    return words if len(words) > 1 or words[0] == "Channel Text File" else (line.split(maxsplit=1) or [""])


def _phase(path: Path, number: int, line: str) -> MapPhase:
    """Phase of a header line: cell lengths, cell angles, name, Laue group, space group, all tab-separated."""
    words = line.rstrip("\r\n").split("\t")
    try:
        cell = [float(v.replace(",", ".")) for v in (words[0] + ";" + words[1]).split(";")]
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
