"""A measured stress-strain curve."""

from pathlib import Path

import pandas as pd

from cpml.errors import MapFileError


def read_curve(path: str | Path) -> pd.DataFrame:
    """Stress-strain curve from CSV with columns true_strain, true_stress_mpa.

    Raises
    ------
    MapFileError : no such file, not a table, a missing column, or a value that is not a number
    """
    try:
        table = pd.read_csv(path)
    except (OSError, ValueError) as error:
        raise MapFileError(f"{path}: cannot be read as CSV ({error})") from None
    table = table.rename(columns=str.lower)
    names = ["true_strain", "true_stress_mpa"]
    missing = [n for n in names if n not in table]
    if missing:
        raise MapFileError(f"{path}, line 1: no column {missing[0]!r}; needed: {', '.join(names)}")
    numbers = table[names].apply(pd.to_numeric, errors="coerce")
    bad = numbers.isna().any(axis=1)
    if bad.any():
        raise MapFileError(f"{path}, line {int(bad.idxmax()) + 2}: not two numbers")
    return numbers
