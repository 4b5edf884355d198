"""What a map file says by itself, before anything is declared: maps, slices, phases, axes, columns."""

import re
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

import numpy as np

from cpml.errors import MapFileError
from cpml.microscopy.io.lengths import length_unit
from cpml.microscopy.io.map_file import read_map_file
from cpml.microscopy.io.readers.common import decoded, read_table
from cpml.microscopy.io.readers.slices import names_of
from cpml.microscopy.io.reading import SEVERAL, STACKS, format_of, in_pixel_frame, named_turn, read_raw
from cpml.microscopy.maps.ebsd_map import EbsdMap, MapPhase

FORMATS = {
    "ctf": "Oxford .ctf",
    "crc": "Oxford .crc/.cpr",
    "h5oina": "Oxford .h5oina",
    "ang": ".ang",
    "edax": "EDAX HDF5",
    "bruker": "Bruker HDF5",
    "emsoft": "EMsoft HDF5",
    "dream3d": "DREAM.3D",
    "h5ebsd": "DREAM.3D .h5ebsd",
    "orix_hdf": "orix HDF5",
    "cpml": "map of cpml",
    "delimited": "delimited text",
}
USUAL_FRAMES = {
    "ctf": ("oxford",),
    "crc": ("oxford",),
    "h5oina": ("oxford",),
    "ang": ("edax2", "edax1", "edax3", "edax4"),
    "edax": ("edax2", "edax1", "edax3", "edax4"),
    "bruker": ("bruker",),
}
"""Presets of cpml.microscopy.maps.frames that are usual for a format, the most usual first."""
LINES, MOST_COLUMNS = 1000, 100
_MEANINGS = {
    "phi1": ("phi1", "euler1", "e1"),
    "Phi": ("phi", "euler2", "e2"),
    "phi2": ("phi2", "euler3", "e3"),
    "x": ("x",),
    "y": ("y",),
    "phase": ("phase", "phaseid", "phaseindex"),
    "ci": ("ci", "confidenceindex"),
}


@dataclass(frozen=True)
class MapContents:
    """What a map file says.

    Attributes
    ----------
    format : a key of FORMATS
    map : as it is read without any declaration
    usual_hex_x_axis : "a" or "a*", what is usual for the format; "" where the file is in the pixel frame
    states_turn : the turn of the Euler axes that the file states, in words; "" where it states none
    has_acquisition : whether the file states acquisition-surface angles
    scans : names of the maps in the file, where its format can hold several
    n_slices : of a stack, else 1
    """

    format: str
    map: EbsdMap
    usual_hex_x_axis: str
    states_turn: str
    has_acquisition: bool
    scans: tuple[str, ...]
    n_slices: int


@dataclass(frozen=True)
class TextLayout:
    """How a text file of numbers is written.

    Attributes
    ----------
    columns : names as cpml.microscopy.io.readers.delimited knows them, by the heading; others are kept, and
        columns without a name are "_"
    n_header : lines before the numbers
    separator, decimal : as of `read_table`
    """

    columns: tuple[str, ...]
    n_header: int
    separator: str
    decimal: str

    @property
    def has_all(self) -> bool:
        """Whether the heading names angles and positions."""
        return {"phi1", "Phi", "phi2", "x", "y"} <= set(self.columns)


def look_into(
    path: Path,
    *,
    scan: str | None = None,
    slice: int | None = None,
    unit: str | None = None,
    step_um: float | None = None,
    columns: list[str] | None = None,
    angles: str | None = None,
    phases: dict[int, MapPhase] | None = None,
    refined: bool | None = None,
) -> MapContents:
    """What a map file says, of several maps or slices about the one that the options name, or the first.

    The options are those of `cpml.microscopy.read_map`.

    Raises
    ------
    MapFileError, ParameterError : as of `cpml.microscopy.read_map`
    """
    kind = "delimited" if columns is not None else format_of(path)
    if kind == "cpml":
        return MapContents(kind, read_map_file(path), "", "", False, (), 1)
    scans = scan_names(path, kind)
    of_scan = {"scan": scan} if scan is not None and kind == "dream3d" else {}
    n_slices = _reader(kind).n_slices(path, **of_scan) if kind in STACKS else 1
    options = {"scan": scan, "slice": (slice or 0) if n_slices > 1 else slice, "refined": refined}
    options |= {"columns": columns, "angles": angles, "phases": phases} if kind == "delimited" else {}
    raw = read_raw(kind, path, options, angles=angles, unit=unit, step_um=step_um)
    return MapContents(
        kind,
        in_pixel_frame(path, raw),
        raw.usual_hex_x_axis,
        "" if raw.declared is None else named_turn(raw.declared),
        raw.acquisition is not None,
        tuple(scans),
        n_slices,
    )


def scan_names(path: Path, kind: str) -> list[str]:
    """Names of the maps in a file of a format that can hold several; [] for other formats."""
    if kind not in (*SEVERAL, "dream3d"):
        return []
    from cpml.microscopy.io.readers.hdf import opened

    with opened(path) as hdf:
        return names_of(_reader(kind).scans(hdf))


def text_layout(path: Path) -> TextLayout:
    """Separator, heading and columns of a delimited text file.

    Raises
    ------
    MapFileError : no line of at least five numbers among the first ones
    """
    before = ""
    try:
        with open(path, "rb") as file:
            for number in range(LINES):
                line = decoded(file.readline(100_000)).strip()
                for separator in (";", "\t", ",", r"\s+"):
                    for decimal in ".,":
                        fields = re.split(separator, line)
                        if 5 <= len(fields) <= MOST_COLUMNS and all(_is_number(f, decimal) for f in fields):
                            names = _columns(before, separator, len(fields))
                            return TextLayout(names, number, separator, decimal)
                before = line or before
    except OSError as error:
        raise MapFileError(f"{path}: cannot be opened ({error.strerror}); check the path") from error
    raise MapFileError(
        f"{path}: neither a map file of a known format nor a table of numbers; export .ctf, .ang or HDF5"
    )


def phase_numbers(path: Path, layout: TextLayout, columns: list[str]) -> list[int]:
    """Numbers of the phases in a text file: those above 0, or 0 where it is the only one; [1] without any."""
    if "phase" not in columns:
        return [1]
    names = [f"_{i}" for i in range(len(columns))]
    table = read_table(
        path, layout.n_header, names, n_required=0, decimal=layout.decimal, separator=layout.separator
    )
    found = np.unique(table[names[columns.index("phase")]])
    return [int(n) for n in found if n > 0] or [0]


def _reader(kind: str):
    return import_module(f"cpml.microscopy.io.readers.{kind}")


def _is_number(field: str, decimal: str) -> bool:
    text = field.strip().replace(decimal, ".")
    return re.fullmatch(r"[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?", text) is not None


def _columns(heading: str, separator: str, n: int) -> tuple[str, ...]:
    """Names of the columns by a heading of as many words; all "_" where there is none."""
    words = [word.strip() for word in re.split(separator, heading.lstrip("# "))]
    if len(words) != n:
        return ("_",) * n
    names: list[str] = []
    for word in words:
        unit = re.search(r"[(\[]\s*([^)\]]+?)\s*[)\]]", word)
        plain = re.sub(r"[(\[].*?[)\]]", "", word)
        if unit is None:
            stem, _, last = word.rpartition("_")
            plain = stem if stem and length_unit(last) else word
        key = re.sub(r"[^a-z0-9]", "", plain.lower())
        name = next((name for name, spelt in _MEANINGS.items() if key in spelt), "")
        name = name or re.sub(r"[^A-Za-z0-9]+", "_", plain).strip("_")[:40] or "_"
        names.append("_" if name in names else name)
    return tuple(names)
