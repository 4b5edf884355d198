"""Lines drawn by hand: the table that a person writes, and the grain under each line."""

import csv
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cpml.errors import MapFileError
from cpml.microscopy.maps.ebsd_map import EbsdMap

DIC_SIGMA_DEG = 1.5
"""Median deviation of DaVis bands from {111} traces is 1.0 deg (Ni, 44 grains): 1.0 / 0.674, rounded."""


def read_traces(path: str | Path) -> pd.DataFrame:
    """Slip traces drawn by hand: columns x_um, y_um, angle_deg[, sigma_deg]; other columns are left out.

    A line with an empty angle says "this grain was imaged and shows no trace".

    Raises
    ------
    MapFileError : no such file, a missing column, or a field that is not a number; names the line
    """
    path = Path(path)
    names, lines = csv_lines(path)
    missing = [name for name in ("x_um", "y_um", "angle_deg") if name not in names]
    if missing:
        raise MapFileError(
            f"{path}, line 1: no column {', '.join(missing)}; needed: x_um,y_um,angle_deg[,sigma_deg], "
            f"found: {', '.join(names) or 'nothing'}"
        )
    wanted = [name for name in ("x_um", "y_um", "angle_deg", "sigma_deg") if name in names]
    rows = [[_number(path, number, name, line[name]) for name in wanted] for number, line in lines]
    return pd.DataFrame(rows, columns=wanted, dtype=float)


def csv_lines(path: Path) -> tuple[list[str], list[tuple[int, dict]]]:
    """Column names of a CSV file, and line number and fields of every line below them.

    Raises
    ------
    MapFileError : no such file, no UTF-8 text, or a field that is no CSV
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise MapFileError(
            f"{path}: cannot be read as UTF-8 text ({error}); save the table as CSV"
        ) from error
    lines = csv.DictReader(text.splitlines(), skipinitialspace=True)
    try:
        lines.fieldnames = names = [(name or "").strip() for name in lines.fieldnames or []]
        return names, [(lines.line_num, line) for line in lines]
    except csv.Error as error:
        raise MapFileError(
            f"{path}, line {lines.line_num + 1}: no line of a CSV table ({error}); save the table as CSV"
        ) from error


def _number(path: Path, line: int, name: str, text: str | None) -> float:
    """Field of a trace table; an angle or its error may be empty."""
    text = (text or "").strip()
    if not text and name in ("angle_deg", "sigma_deg"):
        return np.nan
    try:
        value = float(text)
    except ValueError:
        value = np.nan
    if not np.isfinite(value) or (name == "sigma_deg" and value <= 0):
        raise MapFileError(
            f"{path}, line {line}: {name} = {text[:30]!r} is not a"
            f"{' positive' if name == 'sigma_deg' else ''} number; correct the line"
        )
    return value


def traces_to_grains(traces: pd.DataFrame, ebsd_map: EbsdMap, label: NDArray) -> pd.DataFrame:
    """The traces with a column grain_id, 0 where there is no map pixel under the point.

    Parameters
    ----------
    traces : table with x_um, y_um
    label : (N,) grain of every map pixel
    """
    position = traces[["x_um", "y_um"]].to_numpy()
    if not len(position):
        return traces.assign(grain_id=np.zeros(0, int))
    return traces.assign(grain_id=grain_finder(ebsd_map, label)(position))


def grain_finder(ebsd_map: EbsdMap, label: NDArray) -> Callable[[NDArray], NDArray]:
    """From points (n, 2), um, to the grains (n,) under them, 0 where there is no map pixel.

    Parameters
    ----------
    label : (N,) grain of every map pixel
    """
    from scipy.spatial import cKDTree

    tree, label = cKDTree(ebsd_map.xy), np.asarray(label)

    def grain_of(points: NDArray) -> NDArray:
        distance, pixel = tree.query(points)
        near = distance <= 1.01 * max(ebsd_map.pixel_um)
        return np.where(near, label[np.minimum(pixel, len(label) - 1)], 0)

    return grain_of
