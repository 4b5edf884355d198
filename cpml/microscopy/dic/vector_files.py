"""Files of displacement vectors: DaVis text, OpenPIV text, .npz; all become arrays with v positive down.

| format | first line | vectors |
|---|---|---|
| DaVis | "#DaVis 8.4.0 2D-vector step columns rows ..." | x y u v, y down |
| OpenPIV | "# x y u v flags mask" (or fewer; older: no first line) | y up or down, see `read_openpiv` |
| .npz | | x, y, u, v, each (rows, columns), y down |

Reference: OpenPIV, doi 10.5281/zenodo.4409178 (tools.save, tools.transform_coordinates).
"""

import math
import re
import zipfile
import zlib
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cpml.errors import MapFileError, ParameterError
from cpml.microscopy.io.hdf_arrays import EXPANSION, SMALL
from cpml.microscopy.io.readers.common import check_count, check_size, is_number, read_table

DAVIS_HEADER = re.compile(r"#\s*DaVis\s+\S+\s+2D-vector\s+(\S+)\s+(\S+)\s+(\S+)")
OPENPIV_COLUMNS = ("x", "y", "u", "v", "flags", "mask")


def read_vectors(path: Path, *, y_axis: str = "auto") -> tuple[NDArray, ...]:
    """x, y, u, v, each (rows, columns), of a file of any of the formats, the first row at the top.

    Parameters
    ----------
    y_axis : "up", "down" or "auto", which way y and v of an OpenPIV file are counted

    Raises
    ------
    MapFileError : the file is missing, of another format, or cut off
    """
    if y_axis not in ("auto", "up", "down"):
        raise ParameterError(f"y_axis {y_axis!r}: choose 'auto', 'up' or 'down'")
    try:
        with open(path, "rb") as file:
            start = file.read(4096)
    except OSError as error:
        raise MapFileError(f"{path}: cannot be opened ({error.strerror}); check the path") from error
    if start.startswith(b"PK"):
        return read_npz(path)
    first = start.decode("latin-1").splitlines()[:1]
    words = first[0].lstrip("#").split() if first else []
    is_openpiv = [w.lower() for w in words[:4]] == ["x", "y", "u", "v"] or (
        4 <= len(words) <= 6 and all(_is_number(w) for w in words)
    )
    return read_openpiv(path, first[0], y_axis=y_axis) if is_openpiv else read_davis(path, first)


def _is_number(word: str) -> bool:
    try:
        float(word)
    except ValueError:
        return False
    return True


def read_davis(path: Path, first: list[str]) -> tuple[NDArray, ...]:
    """x, y, u, v of DaVis text whose first line is `first`."""
    found = DAVIS_HEADER.match(first[0]) if first else None
    if not found or not all(is_number(word, 10**9) and int(word) > 0 for word in found.groups()):
        raise MapFileError(
            f"{path}, line 1: neither a DaVis header '#DaVis version 2D-vector step rows columns ...' nor "
            "OpenPIV's '# x y u v flags mask'; export the field as text, or as .npz with x, y, u, v"
        )
    counts = int(found[2]), int(found[3])
    n = counts[0] * counts[1]
    check_size(path, n, 4, f"line 1: {counts[0]} x {counts[1]}")
    data = read_table(path, 1, ["x", "y", "u", "v"], n_required=4)
    check_count(path, len(data["x"]), n, f"line 1: {counts[0]} x {counts[1]}")
    # versions differ in which of the two counts comes first: the data tell how long a row is
    turn = np.flatnonzero(np.diff(data["y"]) != 0)
    cols = int(turn[0]) + 1 if len(turn) else n
    if cols not in counts or n % cols:
        raise MapFileError(
            f"{path}: line 1 announces {counts[0]} x {counts[1]} vectors, the first row has {cols}; "
            "export the field again"
        )
    return tuple(data[k].reshape(n // cols, cols) for k in "xyuv")


def read_openpiv(path: Path, first: str, *, y_axis: str = "auto") -> tuple[NDArray, ...]:
    """x, y, u, v of OpenPIV text; vectors with a flag or mask other than 0 become NaN.

    OpenPIV writes the top row of the image first, and after `transform_coordinates` counts y and v upwards:
    then y falls from row to row. "auto" decides by that; a file sorted afterwards needs `y_axis`.
    """
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
    data = _table_with_gaps(path, int(has_header), names)
    rows, row = np.unique(data["y"], return_inverse=True)
    columns, column = np.unique(data["x"], return_inverse=True)
    if len(rows) * len(columns) != len(row) or len(np.unique(row * len(columns) + column)) != len(row):
        raise MapFileError(
            f"{path}: {len(row)} vectors at {len(columns)} different x and {len(rows)} "
            "different y are no full grid; "
            "save the field unrotated and with all its vectors"
        )
    is_up = y_axis == "up" or (y_axis == "auto" and data["y"][0] > data["y"][-1])
    grid = np.full((4, len(rows), len(columns)), np.nan)
    for k, name in enumerate("xyuv"):
        grid[k, row, column] = data[name]
    for name in ("flags", "mask"):
        bad = data.get(name, np.zeros(len(row))) != 0
        grid[2:, row[bad], column[bad]] = np.nan
    if is_up:
        grid = grid[:, ::-1]
        grid[1] = rows[-1] - grid[1] + rows[0]
        grid[3] *= -1
    return tuple(grid)


def _table_with_gaps(path: Path, first_line: int, names: list[str]) -> dict[str, NDArray]:
    """Columns of the text, u and v may be "nan"."""
    try:
        return read_table(path, first_line, names, n_required=len(names))
    except MapFileError:
        text = path.read_text(encoding="latin-1").splitlines()[first_line:]
        fields = [line.replace(",", " ").split() for line in text if line.strip()]
        is_gap = [
            len(f) == len(names)
            and {f[names.index("u")].lower(), f[names.index("v")].lower()} <= {"nan", "--"}
            for f in fields
        ]
        if not any(is_gap):
            raise
        try:
            table = np.array([["nan" if w == "--" else w for w in f] for f in fields], float)
        except ValueError:
            raise MapFileError(
                f"{path}: a line has another number of fields than {', '.join(names)}, or "
                "a field that is no number"
            ) from None
        if not np.isfinite(table[:, [names.index("x"), names.index("y")]]).all():
            raise MapFileError(f"{path}: a vector without a position; save the field again") from None
        return dict(zip(names, table.T, strict=True))


def read_npz(path: Path) -> tuple[NDArray, ...]:
    """x, y, u, v of an .npz; nothing pickled is loaded, nothing is unpacked beyond what the file can hold."""
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
    if any(a.ndim != 2 or a.shape != arrays[0].shape or not np.isfinite(a[:2]).all() for a in arrays):
        raise MapFileError(f"{path}: x, y, u, v must be arrays of one (rows, columns) shape")
    return arrays


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
