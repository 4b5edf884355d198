"""A measured stress-strain curve from a table of numbers.

Columns are found by their names, and their units are those of the names: `true_strain`, `strain (%)`,
`true_stress_mpa`, `Stress [GPa]`.

| column | units |
|---|---|
| `true_strain`, `strain` | none or mm/mm (a fraction); %, percent; microstrain |
| `true_stress`, `stress` | MPa or N/mm2, GPa, kPa, Pa: it has to be said |
| `engineering_strain`, `engineering_stress` (eng_, nominal_) | the same; read where true ones are missing |

Without a word before it, strain or stress is taken as true. Engineering values e, s become

    true strain = ln(1 + e),      true stress = s (1 + e)      (constant volume, no neck).
"""

import io
import re
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cpml.errors import MapFileError

NAMES = ("true_strain", "true_stress_mpa")
STRAIN_UNITS = {
    "": 1.0,
    "mm_mm": 1.0,
    "m_m": 1.0,
    "1": 1.0,
    "percent": 1e-2,
    "pct": 1e-2,
    "microstrain": 1e-6,
    "um_m": 1e-6,
}
STRESS_UNITS = {"mpa": 1.0, "n_mm2": 1.0, "n_mm_2": 1.0, "gpa": 1e3, "kpa": 1e-3, "pa": 1e-6}
LARGEST_STRAIN = 1.5
"""Beyond this a strain is hardly a fraction."""
RUN_BACK = 0.01
"""Strain that no unloading takes back while more than half of the stress is still there."""


def read_curve(path: str | Path) -> pd.DataFrame:
    """Stress-strain curve from CSV (comma, semicolon or tab; decimal comma with the latter two).

    Returns
    -------
    table true_strain (a fraction), true_stress_mpa, in the order of the file

    Raises
    ------
    MapFileError : no such file, not a table, a missing column or unit, a value that is not a number, strain
        that is no fraction, or rows out of order
    """
    table = _table(Path(path))
    strain, stress = (_column(path, table, kind) for kind in ("strain", "stress"))
    if strain is None or stress is None:
        missing = NAMES[0] if strain is None else NAMES[1]
        raise MapFileError(f"{path}, line 1: no column {missing!r}; needed: {', '.join(NAMES)}")
    (e, strain_is_true), (s, stress_is_true) = strain, stress
    if strain_is_true != stress_is_true:
        raise MapFileError(
            f"{path}, line 1: one of strain and stress is true, the other engineering; "
            f"needed: {', '.join(NAMES)}"
        )
    bad = np.flatnonzero(~np.isfinite(e) | ~np.isfinite(s))
    if len(bad) or not len(e):
        raise MapFileError(f"{path}, line {(bad[0] if len(bad) else 0) + 2}: not two numbers")
    if np.abs(e).max() > LARGEST_STRAIN or (not strain_is_true and e.min() <= -1):
        raise MapFileError(
            f"{path}: strain {e[np.abs(e).argmax()]:g} is no fraction; if it is in percent, name the column "
            "true_strain_percent"
        )
    if not strain_is_true:
        e, s = np.log1p(e), s * (1 + e)
    _check_order(path, e, s)
    return pd.DataFrame({NAMES[0]: e, NAMES[1]: s})


def _table(path: Path) -> pd.DataFrame:
    """The file's columns as text, names in lower case with their units spelt out."""
    try:
        text = path.read_bytes()
        words = text.decode("utf-8-sig") if _is_utf8(text) else text.decode("latin-1")
        head = words.lstrip().split("\n", 1)[0]
        separator = next((s for s in (";", "\t") if s in head), ",")
        table = pd.read_csv(io.StringIO(words), sep=separator, dtype=str, skip_blank_lines=False)
    except (OSError, ValueError) as error:
        raise MapFileError(f"{path}: cannot be read as CSV ({error})") from None
    while len(table) and table.iloc[-1].isna().all():  # empty lines at the end
        table = table.iloc[:-1]
    if separator != ",":
        table = table.apply(lambda column: column.str.replace(",", ".", regex=False))
    names = [_name(str(name)) for name in table.columns]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice:
        raise MapFileError(f"{path}, line 1: two columns are {twice!r}; keep one of them")
    return table.set_axis(names, axis=1)


def _is_utf8(text: bytes) -> bool:
    try:
        text.decode("utf-8-sig")
    except UnicodeDecodeError:
        return False
    return True


def _name(text: str) -> str:
    """Name of a column in lower case, everything but letters and digits as one underscore."""
    spelt = text.strip().lower().replace("%", " percent ").replace("\u00b5", "u").replace("\u03bc", "u")
    return re.sub(r"[^a-z0-9]+", "_", spelt.replace("\u00b2", "2")).strip("_")


def _column(path: str | Path, table: pd.DataFrame, kind: str) -> tuple[NDArray, bool] | None:
    """Strain as a fraction or stress in MPa, and whether it is the true one; None without such a column."""
    units = STRAIN_UNITS if kind == "strain" else STRESS_UNITS
    for prefix, is_true in ((r"true_", True), ("", True), (r"(?:engineering|eng|nominal)_", False)):
        found = [(n, m) for n in table if (m := re.fullmatch(rf"{prefix}{kind}(?:_(?:in_)?(.+))?", n))]
        if not found:
            continue
        name, match = found[0]
        if len(found) > 1:
            raise MapFileError(f"{path}, line 1: {found[0][0]} and {found[1][0]}: keep one of them")
        if (match[1] or "") not in units:
            raise MapFileError(
                f"{path}, line 1: unit of column {name!r} is not known; name it as "
                f"{NAMES[0] + ' or true_strain_percent' if kind == 'strain' else NAMES[1]}"
            )
        values = pd.to_numeric(table[name].str.strip(), errors="coerce").to_numpy(float)
        return units[match[1] or ""] * values, is_true
    return None


def _check_order(path: str | Path, strain: NDArray, stress: NDArray) -> None:
    """Refuse strain that runs back under load: rows out of order, or loading in the other direction."""
    e, s = (v * np.sign(v[np.argmax(np.abs(v))]) for v in (strain, stress))
    back = (np.maximum.accumulate(e) - e > RUN_BACK) & (s > np.maximum.accumulate(s) / 2)
    if back.any():
        k = int(np.argmax(back))
        raise MapFileError(
            f"{path}, line {k + 2}: the strain runs back to {strain[k]:g} under load; give the first loading "
            "alone, in the order of the test"
        )
