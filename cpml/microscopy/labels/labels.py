"""Labels of grains in long form: what was seen, what was not seen, and what nobody could have seen.

| column | meaning |
|---|---|
| grain_id | the grain, twins included |
| mechanism | "slip" or "twin" |
| target | plane name (slip), system name (twin variant), "" for a trace row |
| observed | 1 seen, 0 looked for and not seen, NaN missing |
| candidates | trace rows: "name:probability;name:probability", best first, "" if no plane fits |
| weight | weight of the row in training and scoring |
| source | "traces", "dic" or "ebsd" |
| angle_deg, sigma_deg | trace rows: on-screen angle and its error |
| row | "trace" (one observed line), "plane" (one slip plane of a grain), "variant" (one twin variant of a grain) |

Missing is not zero: a grain that nobody imaged has NaN for every plane; so has a plane that lies almost in
the surface (its steps leave no trace), and one that shares its trace with another plane that could have drawn
the line as well.
"""

import csv
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cpml.crystallography.slip_systems import Systems
from cpml.crystallography.slip_traces import line_difference, slip_traces
from cpml.errors import MapFileError, ParameterError
from cpml.microscopy.images.trace_likelihood import match_traces

COLUMNS = [
    "grain_id",
    "mechanism",
    "target",
    "observed",
    "candidates",
    "weight",
    "source",
    "angle_deg",
    "sigma_deg",
    "row",
]
CERTAIN = 0.95
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


def traces_to_grains(traces: pd.DataFrame, ebsd_map, label: NDArray) -> pd.DataFrame:
    """The traces with a column grain_id: label (N,) of the map pixel under each point, 0 where there is none."""
    position = traces[["x_um", "y_um"]].to_numpy()
    if not len(position):
        return traces.assign(grain_id=np.zeros(0, int))
    from scipy.spatial import cKDTree

    distance, pixel = cKDTree(ebsd_map.xy).query(position)
    return traces.assign(
        grain_id=np.where(distance <= 1.01 * max(ebsd_map.pixel_um), np.asarray(label)[pixel], 0)
    )


def slip_labels(
    grains: pd.DataFrame,
    traces: pd.DataFrame,
    systems: Systems | Mapping[int, Systems],
    *,
    sigma_deg: float = 2.0,
    tolerance_deg: float = 6.0,
    min_inclination_deg: float = 12.0,
    source: str = "traces",
) -> pd.DataFrame:
    """Trace and plane rows of every grain.

    Parameters
    ----------
    grains : table with grain_id, phase, qw, qx, qy, qz
    traces : table with grain_id and angle_deg, and sigma_deg and source where
        known; NaN angle: imaged, no trace
    systems : of all grains, or of each phase id; phases without systems get no rows
    sigma_deg : error of a line whose own is not given
    tolerance_deg : planes further than this from a line are no candidates for it
    min_inclination_deg : flatter planes leave no visible trace

    Returns
    -------
    table of the module's columns. A plane is observed = 1 if it is the only candidate of a line of its grain
    or has 95 % of the posterior (equal priors); NaN if it is one of several, is too flat, or the grain was
    not imaged; else 0

    Raises
    ------
    ParameterError : an error or tolerance that is not positive
    """
    if not (sigma_deg > 0 and tolerance_deg > 0 and 0 <= min_inclination_deg < 90):
        raise ParameterError(
            f"sigma_deg {sigma_deg}, tolerance_deg {tolerance_deg} and min_inclination_deg "
            f"{min_inclination_deg} must be positive, the last below 90"
        )
    error = (
        traces["sigma_deg"].fillna(sigma_deg) if "sigma_deg" in traces else pd.Series(sigma_deg, traces.index)
    )
    seen = traces.assign(sigma_deg=error).groupby("grain_id")
    rows: list[tuple] = []
    for phase, group in grains.groupby("phase"):
        of_phase = systems.get(phase) if isinstance(systems, Mapping) else systems
        if of_phase is None:
            continue
        planes = np.unique(of_phase.plane_id[of_phase.slip])
        geometry = slip_traces(group[["qw", "qx", "qy", "qz"]].to_numpy(), of_phase)
        names = [of_phase.plane_names[p] for p in planes]
        for i, grain in enumerate(group["grain_id"]):
            lines = seen.get_group(grain) if grain in seen.groups else None
            rows += _grain_rows(
                int(grain),
                lines,
                geometry.angle_deg[i, planes],
                geometry.inclination_deg[i, planes],
                names,
                tolerance_deg,
                min_inclination_deg,
                source,
            )
    return _frame(rows)


def _grain_rows(
    grain: int,
    lines: pd.DataFrame | None,
    angle: NDArray,
    inclination: NDArray,
    names: list[str],
    tolerance_deg: float,
    min_inclination_deg: float,
    source: str,
) -> list[tuple]:
    is_visible = inclination >= min_inclination_deg
    state = np.where(is_visible & (lines is not None), 0.0, np.nan)
    is_certain, rows = np.zeros(len(names), bool), []
    for line in () if lines is None else lines[lines["angle_deg"].notna()].itertuples():
        near = is_visible & (np.abs(line_difference(line.angle_deg, angle)) <= tolerance_deg)
        density = match_traces(line.angle_deg, angle, inclination, sigma_deg=line.sigma_deg, floor=0.0) * near
        posterior = density / density.sum() if near.any() else density
        order = [k for k in np.argsort(-posterior, kind="stable") if near[k]]
        text = ";".join(f"{names[k]}:{posterior[k]:.4f}" for k in order)
        rows.append(
            (
                grain,
                "slip",
                "",
                1.0,
                text,
                1.0,
                getattr(line, "source", source),
                line.angle_deg % 180,
                line.sigma_deg,
                "trace",
            )
        )
        state[near] = np.nan
        is_certain |= near & ((near.sum() == 1) | (posterior > CERTAIN))
    state[is_certain] = 1.0
    return rows + [
        (grain, "slip", name, state[k], "", 1.0, source, np.nan, np.nan, "plane")
        for k, name in enumerate(names)
    ]


def twin_labels(twins, systems: Systems | Mapping[int, Systems]) -> pd.DataFrame:
    """Variant rows of every grain of a phase whose twins were looked for: observed 1 if the variant is
    there, else 0.

    Parameters
    ----------
    twins : cpml.microscopy.Twins
    systems : of all grains, or of each phase id; only families that `find_twins` looked for get rows
    """
    present = set(zip(twins.table["grain_id"], twins.table["variant"], strict=True))
    rows: list[tuple] = []
    for grain, phase in zip(twins.grains["grain_id"], twins.grains["phase"], strict=True):
        of_phase = systems.get(phase) if isinstance(systems, Mapping) else systems
        looked_for = twins.types.get(phase, ())
        if of_phase is None or not looked_for:
            continue
        for s in np.flatnonzero(of_phase.twin):
            if of_phase.family_names[of_phase.family[s]] in looked_for:
                name = of_phase.names[s]
                rows.append(
                    (
                        int(grain),
                        "twin",
                        name,
                        float((grain, name) in present),
                        "",
                        1.0,
                        "ebsd",
                        np.nan,
                        np.nan,
                        "variant",
                    )
                )
    return _frame(rows)


def dic_labels(
    bands: pd.DataFrame,
    grains: pd.DataFrame,
    systems: Systems | Mapping[int, Systems],
    *,
    sigma_deg: float = DIC_SIGMA_DEG,
    tolerance_deg: float = 6.0,
    min_inclination_deg: float = 12.0,
) -> pd.DataFrame:
    """Trace and plane rows from `band_angles` on a map of grain labels; grains that it looked at count as
    imaged.
    """
    return slip_labels(
        grains,
        bands[["grain_id", "angle_deg"]],
        systems,
        sigma_deg=sigma_deg,
        tolerance_deg=tolerance_deg,
        min_inclination_deg=min_inclination_deg,
        source="dic",
    )


def _frame(rows: list[tuple]) -> pd.DataFrame:
    table = pd.DataFrame(rows, columns=COLUMNS)
    return table.astype(
        {"grain_id": int, "observed": float, "weight": float, "angle_deg": float, "sigma_deg": float}
    )
