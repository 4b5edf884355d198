"""Oxford / HKL binary maps: .crc (records) with its .cpr (text description).

One record a point, in rows: phase as uint8, then the fields of the .cpr's [Fields] section,
packed, little endian:

| code | field | type |
|---|---|---|
| 1, 2 | X, Y | float32, um |
| 3, 4, 5 | Euler1, Euler2, Euler3 (Bunge) | float32, rad |
| 6 | MAD | float32, deg |
| 7, 8, 10, 11 | BC, BS, Bands, Error | uint8 |
| 12 | reliability index | float32 |

An unknown code (EDX windows) is taken as float32 when the size of the file agrees, and kept as a property.
"""

import configparser
from pathlib import Path
from typing import Any

import numpy as np

from cpml.crystallography.symmetry import LAUE_NUMBER
from cpml.errors import MapFileError
from cpml.microscopy.io.readers.common import (
    RawMap,
    acquisition_angles,
    decoded,
    is_number,
    make_phase,
    positive,
    steps_of,
)
from cpml.microscopy.io.readers.positions import Positions
from cpml.microscopy.maps.ebsd_map import MapPhase
from cpml.microscopy.maps.grids import Grid

FIELDS = {
    1: ("x", "<f4"),
    2: ("y", "<f4"),
    3: ("euler1", "<f4"),
    4: ("euler2", "<f4"),
    5: ("euler3", "<f4"),
    6: ("mad", "<f4"),
    7: ("bc", "u1"),
    8: ("bs", "u1"),
    9: ("field9", "u1"),
    10: ("bands", "u1"),
    11: ("error", "u1"),
    12: ("reliability", "<f4"),
}

NEEDED_SECTIONS = ("Job", "Acquisition Surface", "Fields", "Phase")


def read(path: Path) -> RawMap:
    """Content of a .crc/.cpr pair, named by either file."""
    crc, cpr = _pair(path)
    text = _description(cpr)
    rows, cols = (_number(cpr, text, "Job", key, int) for key in ("yCells", "xCells"))
    dx, dy = steps_of(
        cpr, (rows, cols), *(_field(cpr, text, "Job", key) for key in ("GridDistX", "GridDistY"))
    )
    record = _record(cpr, text)
    size = crc.stat().st_size
    if size != rows * cols * record.itemsize:
        raise MapFileError(
            f"{crc}: {size:,} bytes, but {cpr.name} announces {cols} x {rows} points of "
            f"{record.itemsize} bytes = {rows * cols * record.itemsize:,}; the pair does not belong "
            "together or the file is cut off: copy both files again"
        )
    data = np.fromfile(crc, dtype=record)
    phase_id = data["phase"].astype(np.int32)
    euler = np.stack([data[f"euler{i}"] for i in (1, 2, 3)], axis=1).astype(float)
    bad = np.flatnonzero(~np.isfinite(euler).all(axis=1) & (phase_id > 0))
    if len(bad):
        raise MapFileError(
            f"{crc}, point {bad[0] + 1}: the angles are no numbers; [Fields] of {cpr.name} "
            "does not describe this file: copy both files again"
        )
    grid = Grid.full((rows, cols), (dx, dy))
    if {"x", "y"} <= set(record.names):
        xy = np.stack([data["x"], data["y"]], axis=1).astype(float)
        size = f"xCells x yCells = {cols} x {rows}"
        grid = Positions(xy, (rows, cols), (dx, dy), kind="square", place=size)
    other = [n for n in record.names if n[:5] not in ("phase", "euler") and n not in ("x", "y")]
    properties = {n: np.ascontiguousarray(data[n]) for n in other}
    return RawMap(
        name=crc.stem,
        euler=euler,
        phase_id=phase_id,
        phases=_phases(cpr, text),
        grid=grid,
        properties=properties,
        usual_hex_x_axis="a*",
        acquisition=acquisition_angles(
            [text.get("Acquisition Surface", f"Euler{i}", fallback="0") or "0" for i in (1, 2, 3)]
        ),
    )


def _pair(path: Path) -> tuple[Path, Path]:
    """(crc, cpr) files of one map; suffixes in any case."""
    found = {
        p.suffix.lower(): p
        for p in path.parent.iterdir()
        if p.stem == path.stem and p.suffix.lower() in (".crc", ".cpr")
    }
    for suffix in (".crc", ".cpr"):
        if suffix not in found:
            raise MapFileError(
                f"{path}: its partner {path.stem}{suffix} is not beside it; a .crc holds the points "
                "and a .cpr describes them: copy both into one folder"
            )
    return found[".crc"], found[".cpr"]


def _description(cpr: Path) -> configparser.ConfigParser:
    text = configparser.ConfigParser(strict=False, interpolation=None, allow_no_value=True)
    content = decoded(cpr.read_bytes())
    try:
        text.read_string(content)
    except configparser.Error as error:
        line = getattr(error, "lineno", None) or "?"
        raise MapFileError(f"{cpr}, line {line}: not a .cpr description; copy the file again") from error
    last = text.sections()[-1] if text.sections() else ""
    if not content.endswith("\n") and last.startswith(NEEDED_SECTIONS):
        # LaueGroup=1 may have been LaueGroup=11
        raise MapFileError(f"{cpr}: ends within a line of [{last}]; the file is cut off: copy it again")
    return text


def _field(cpr: Path, text: configparser.ConfigParser, section: str, key: str) -> tuple[str, str, str]:
    """(place, name, text) of a field that has to be there."""
    if not text.has_option(section, key):
        raise MapFileError(
            f"{cpr}: no {key} in section [{section}]; the description is cut off or the job is no "
            "regular grid: export the map as .ctf"
        )
    return f"[{section}]", key, text.get(section, key) or ""


def _number(cpr: Path, text: configparser.ConfigParser, section: str, key: str, kind: type = float) -> Any:
    return positive(cpr, *_field(cpr, text, section, key), kind)


def _record(cpr: Path, text: configparser.ConfigParser) -> np.dtype:
    """Packed record: phase, then the listed fields."""
    count = _number(cpr, text, "Fields", "Count", int)
    if count > 256:
        raise MapFileError(f"{cpr}, [Fields]: {count} fields; a record has at most 256: copy the file again")
    codes = [_number(cpr, text, "Fields", f"Field{i}", int) for i in range(1, count + 1)]
    if not {3, 4, 5} <= set(codes) or len(set(codes)) != len(codes):
        raise MapFileError(
            f"{cpr}, [Fields]: codes {codes} must hold the Euler angles 3, 4, 5 and no code twice; "
            "export the map as .ctf"
        )
    return np.dtype([("phase", "u1"), *(FIELDS.get(code, (f"field{code}", "<f4")) for code in codes)])


def _phases(cpr: Path, text: configparser.ConfigParser) -> dict[int, MapPhase]:
    phases = {}
    for i in range(1, min(_number(cpr, text, "Phases", "Count", int), 255) + 1):
        section = f"Phase{i}"
        cell = [_number(cpr, text, section, key) for key in ("a", "b", "c", "alpha", "beta", "gamma")]
        laue = _number(cpr, text, section, "LaueGroup", int)
        if laue not in LAUE_NUMBER:
            raise MapFileError(f"{cpr}, [{section}]: LaueGroup = {laue}; known: 1 to 11")
        space_group = text.get(section, "SpaceGroup", fallback="") or ""
        phases[i] = make_phase(
            text.get(section, "StructureName", fallback="") or "",
            cell,
            LAUE_NUMBER[laue],
            int(space_group) if is_number(space_group, 230) else None,
        )
    return phases
