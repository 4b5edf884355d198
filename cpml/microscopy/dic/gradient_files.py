"""Displacement gradients on the points of a map, as text that any program can write.

    x_um,y_um,F11,F12,F21,F22
    0.000,0.000,1.00367,-0.00133,0.00088,0.99837
    ...

| columns | meaning |
|---|---|
| F11, F12, F21, F22 | deformation gradient, F12 = du/dy; or |
| H11, H12, H21, H22 | displacement gradient H = F - 1 |
| x_um, y_um | place on the map, um, as in the map's file; may be left out, see below |

Commas, semicolons, tabs or blanks between the columns; nan where there is no value. Directions are those of
the pixel frame, x right and y down; `y_axis="up"` turns the sign of F12 and F21. Without x_um, y_um the lines
are the points of the map in its order, row after row: all of them, or those that have an orientation.
Without a first line of names the four columns are F11 F12 F21 F22, or those of H where their diagonal is
nearer to 0 than to 1.
"""

from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cpml.errors import MapFileError, ParameterError
from cpml.microscopy.maps.ebsd_map import EbsdMap

COMPONENTS = ("11", "12", "21", "22")
OFF_POINT = 0.3
"""Farthest that a place may lie from a point of the map, in steps."""


def read_gradient(path: str | Path, ebsd_map: EbsdMap, *, y_axis: str = "down") -> NDArray:
    """H (N, 2, 2) of every point of a map, pixel frame; NaN where the file has no value.

    Parameters
    ----------
    y_axis : "down" or "up", which way the file counts y in its gradients

    Raises
    ------
    MapFileError : the file is missing, of another layout, damaged, or does not belong to the map
    """
    path = Path(path)
    if y_axis not in ("down", "up"):
        raise ParameterError(f"y_axis {y_axis!r}: choose 'down' or 'up'")
    table = _read(path)
    kind = "F" if "F11" in table else "H"
    values = table[[kind + c for c in COMPONENTS]].to_numpy()
    if kind == "F":
        values = values - [1.0, 0.0, 0.0, 1.0]
    if y_axis == "up":
        values = values * [1.0, -1.0, -1.0, 1.0]
    point, inside = _points(path, table, ebsd_map)
    out = np.full((ebsd_map.n_pixels, 4), np.nan)
    out[point[inside]] = values[inside]
    if not np.isfinite(out).all(axis=1).any():
        raise MapFileError(f"{path}: no point of map {ebsd_map.name!r} has a gradient; check the positions")
    return out.reshape(-1, 2, 2)


def _read(path: Path) -> pd.DataFrame:
    """The table, its columns named."""
    try:
        with open(path, encoding="utf-8-sig") as file:
            first = file.readline(4096)
        words = first.strip().lstrip("#").replace(",", " ").replace(";", " ").split()
        named = bool(words) and not _is_number(words[0])
        separator = next((mark for mark in ",;\t" if mark in first.strip()), r"\s+")
        table = pd.read_csv(
            path, sep=separator, header=None, skiprows=int(named), encoding="utf-8-sig", dtype=float,
            skipinitialspace=True, na_values=["nan", "NaN", "--", ""],
        )  # fmt: skip
    except OSError as error:
        raise MapFileError(f"{path}: cannot be opened ({error.strerror}); check the path") from error
    except (ValueError, pd.errors.ParserError) as error:
        reason = " ".join(str(error).split())[:120]
        raise MapFileError(f"{path}: no table of numbers ({reason}); see the layout of gradients") from error
    if not named and len(table.columns) == 4:
        diagonal = float(np.nanmedian(table.iloc[:, [0, 3]].to_numpy()))
        words = [("F" if diagonal > 0.5 else "H") + c for c in COMPONENTS]
    known = {name.lower(): name for name in ("x_um", "y_um", *(k + c for k in "FH" for c in COMPONENTS))}
    names = [known.get(word.lower(), word) for word in words]
    whole = [kind for kind in "FH" if all(kind + c in names for c in COMPONENTS)]
    if len(names) != len(table.columns) or len(set(names)) != len(names) or len(whole) != 1:
        raise MapFileError(
            f"{path}, line 1: {len(table.columns)} columns {first.strip()[:60]!r}; needed are F11 F12 F21 "
            "F22, or H11 H12 H21 H22, with or without x_um y_um before them"
        )
    if ("x_um" in names) != ("y_um" in names):
        raise MapFileError(f"{path}, line 1: x_um and y_um belong together")
    return table.set_axis(names, axis=1)


def _is_number(word: str) -> bool:
    try:
        float(word)
    except ValueError:
        return False
    return True


def _points(path: Path, table: pd.DataFrame, ebsd_map: EbsdMap) -> tuple[NDArray, NDArray]:
    """The map point of each line, and whether it has one."""
    n = len(table)
    if "x_um" not in table:
        for candidate in (np.arange(ebsd_map.n_pixels), np.flatnonzero(ebsd_map.indexed)):
            if len(candidate) == n:
                return candidate, np.ones(n, bool)
        raise MapFileError(
            f"{path}: {n} lines for map {ebsd_map.name!r}, which has {ebsd_map.n_pixels} points, "
            f"{int(ebsd_map.indexed.sum())} of them indexed; add the columns x_um and y_um"
        )
    xy = table[["x_um", "y_um"]].to_numpy()
    if not np.isfinite(xy).all():
        raise MapFileError(f"{path}: a line without a position; give x_um and y_um everywhere")
    from scipy.spatial import cKDTree

    # in steps, so that "off the points" means the same along and across the rows
    distance, point = cKDTree(ebsd_map.xy / ebsd_map.pixel_um).query(xy / ebsd_map.pixel_um)
    (left, right, low, high) = ebsd_map.extent
    inside = (xy[:, 0] > left) & (xy[:, 0] < right) & (xy[:, 1] > high) & (xy[:, 1] < low)
    if not inside.any():
        raise MapFileError(
            f"{path}: no line lies on map {ebsd_map.name!r}, "
            f"x {left:g} to {right:g}, y {high:g} to {low:g} um"
        )
    if distance[inside].max() > OFF_POINT:
        raise MapFileError(
            f"{path}: places up to {distance[inside].max():.2g} steps beside the points of map "
            f"{ebsd_map.name!r}; interpolate the gradients to its points"
        )
    if len(np.unique(point[inside])) != inside.sum():
        raise MapFileError(f"{path}: two lines for one point of map {ebsd_map.name!r}")
    return point, inside
