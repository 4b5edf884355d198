"""Which column of an OIM text export is what, and in which unit: as its comment lines say.

The columns of a grain file are a choice of its exporter, and their order changes with the version, so none is
found by its place:

    # Column 2-4: Average orientation (phi1, PHI, phi2) in degrees
    # Column 11: Edge grain (1) or interior grain (0)

A spreadsheet that saved the file may have turned "Column 1:" into "Column 01:00" and "(1)" into "-1".
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from cpml.errors import MapFileError
from cpml.microscopy.io.readers.common import read_table

_COLUMN = re.compile(
    r"columns?\s+0*(\d+)(?::0+(?=\s))?(?:\s*(?:-|\u2013|to)\s*0*(\d+))?\s*[:=.]?\s*(.*)", re.I
)
_LENGTHS = (
    (r"\b(?:microns?|micromet(?:er|re)s?|um)\b|[\xb5\u03bc\ufffd]m\b", 1.0),
    (r"\b(?:nm|nanomet(?:er|re)s?)\b", 1e-3),
    (r"\b(?:mm|millimet(?:er|re)s?)\b", 1e3),
)
_MOST_COLUMNS = 1000


@dataclass(frozen=True)
class Described:
    """One entry of the comment lines: columns `first` to `last` (from 1), and the file's words for them."""

    first: int
    last: int
    text: str

    @property
    def width(self) -> int:
        """Number of columns."""
        return self.last - self.first + 1


@dataclass(frozen=True)
class OimTable:
    """Numbers of an OIM text export, and what its comment lines say of them.

    Attributes
    ----------
    path : the file
    columns : entries of the comment lines
    table : one column for each described one, named by its number
    first_line : number of comment lines before the data
    """

    path: Path
    columns: tuple[Described, ...]
    table: pd.DataFrame
    first_line: int

    def find(self, pattern: str, width: int = 1) -> Described | None:
        """The first entry whose words match and that has this many columns; None where there is none."""
        found = (c for c in self.columns if re.search(pattern, c.text, re.I) and c.width == width)
        return next(found, None)

    def need(self, pattern: str, what: str, width: int = 1) -> Described:
        """As `find`; MapFileError where the comment lines do not name it."""
        found = self.find(pattern, width)
        if found is None:
            raise MapFileError(
                f"{self.path}: no comment line names the {what} ({width} column{'s' * (width > 1)}), as in "
                "'# Column 1: ...'; this is another kind of file: export it again from OIM Analysis"
            )
        return found

    def values(self, column: Described) -> np.ndarray:
        """(N,) or (N, width) numbers of an entry."""
        block = self.table[list(range(column.first, column.last + 1))].to_numpy()
        return block[:, 0] if column.width == 1 else block

    def lengths(self, column: Described) -> np.ndarray:
        """Numbers of an entry in um; MapFileError where its comment line states no length."""
        for pattern, factor in _LENGTHS:
            if re.search(pattern, column.text, re.I) and not re.search(r"square|\^2|\u00b2", column.text):
                return factor * self.values(column)
        raise MapFileError(
            f"{self.path}: the comment line {column.text!r} names no unit of length; write 'in microns' "
            "(or nm, mm) there, or export the file again"
        )

    def whole(self, column: Described) -> np.ndarray:
        """(N,) int64 numbers of an entry; MapFileError where one is no whole number."""
        values = self.values(column)
        bad = np.flatnonzero((values != np.floor(values)) | (np.abs(values) > 2**31))
        if len(bad):
            raise MapFileError(
                f"{self.path}, data line {bad[0] + 1}: {values[bad[0]]:g} is no whole number, but the "
                f"comment lines say {column.text!r}"
            )
        return values.astype(np.int64)


def angle_unit(text: str) -> str | None:
    """'degrees' or 'radians' as the words say; None where they say neither, or both."""
    said = {"degrees": r"\bdeg(?:rees?)?\b|\xb0", "radians": r"\brad(?:ians?)?\b"}
    found = [unit for unit, pattern in said.items() if re.search(pattern, text, re.I)]
    return found[0] if len(found) == 1 else None


def read_oim_table(path: Path) -> OimTable:
    """The table of an OIM text export with the columns that its comment lines describe.

    Raises
    ------
    MapFileError : no such file, no described columns, one column described twice or left out, a line that has
        more or fewer numbers than described
    """
    lines = []
    try:
        with open(path, encoding="utf-8-sig", errors="replace") as file:
            while (line := file.readline(10_000).strip()).startswith("#") and len(lines) < _MOST_COLUMNS:
                lines.append(line)
    except OSError as error:
        raise MapFileError(f"{path}: cannot be opened ({error.strerror}); check the path") from error
    columns = tuple(_described(lines))
    taken = [k for c in columns for k in range(c.first, min(c.last, _MOST_COLUMNS) + 1)]
    if not taken or sorted(taken) != list(range(1, len(taken) + 1)):
        wrong = next((k for k in range(1, len(taken) + 1) if taken.count(k) != 1), 1)
        how = "describe no column" if not taken else f"describe column {wrong} {taken.count(wrong)} times"
        raise MapFileError(
            f"{path}, line {len(lines) + 1}: the comment lines {how}, as in '# Column 1: Integer identifying "
            "grain'; this is another kind of file, or cut off: export it again from OIM Analysis"
        )
    if any(re.search(r"neighbo", c.text, re.I) for c in columns if c.last == len(taken)):
        return OimTable(path, columns, _open_table(path, len(lines), len(taken)), len(lines))
    _check_widths(path, len(lines), len(taken))
    numbers = read_table(path, len(lines), [str(k) for k in sorted(taken)], n_required=len(taken))
    return OimTable(path, columns, pd.DataFrame({int(k): v for k, v in numbers.items()}), len(lines))


def _open_table(path: Path, n_header: int, width: int) -> pd.DataFrame:
    """The described columns of lines that end in a list of any length: the neighbours of a grain."""
    rows = []
    with open(path, encoding="latin-1") as file:
        for number, line in enumerate(file, start=1):
            if number <= n_header or not line.strip():
                continue
            try:
                rows.append([float(word) for word in line.split()[:width]])
            except ValueError:
                rows.append([])
            if len(rows[-1]) != width or not np.isfinite(rows[-1]).all():
                raise MapFileError(
                    f"{path}, line {number}: fewer than {width} numbers; the file is cut off or damaged: "
                    "export it again"
                )
    if not rows:
        raise MapFileError(f"{path}: no lines after the header; the file is cut off: export it again")
    return pd.DataFrame(rows, columns=range(1, width + 1))


def _check_widths(path: Path, n_header: int, width: int) -> None:
    """Refuse a line with more numbers than the comment lines describe: none would know which is which."""
    with open(path, encoding="latin-1") as file:
        for number, line in enumerate(file, start=1):
            if number > n_header and len(line.split()) > width:
                raise MapFileError(
                    f"{path}, line {number}: {len(line.split())} numbers where the comment lines describe "
                    f"{width} columns; export the file again from OIM Analysis"
                )


def _described(lines: list[str]) -> Iterator[Described]:
    """Entries of comment lines; versions of OIM print two of them in one line."""
    for line in lines:
        for part in line.split("#"):
            found = _COLUMN.match(part.strip())
            if found and len(found[1]) < 5 and len(found[2] or "") < 5:
                first = int(found[1])
                yield Described(first, max(int(found[2] or first), first), found[3].strip())
