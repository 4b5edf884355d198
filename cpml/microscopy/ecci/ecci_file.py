"""The table of an ECCI session: which line was seen how under which condition.

CSV, one row a line (or segment of it) and condition:

| column | content |
|---|---|
| line | number or name of the line; its rows are one dislocation |
| segment | number of a straight piece of it; left out where the line is straight, or a polyline |
| grain_id, or x_um, y_um | where it lies; left out with a polyline |
| angle_deg, sigma_deg | of the line as drawn, counter-clockwise from +x on the screen, and its error (3) |
| length_um | over which it is seen |
| polyline | its corners on the map, "x y; x y; ..." in um, in place of angle and length |
| polyline_px | the same in pixels (column row) of the first image, which is registered to the map |
| g | the reflection, "1 -1 1" or "1 0 -1 0", in the orientation of the map, or any copy of it |
| tilt_deg, second_deg | setting of the stage; second is the rotation or the second tilt, 0 when left out |
| seen | visible, weak, invisible, or nothing: not looked at |

Needed are line, seen, g or tilt_deg, and the place. With g alone the beam is taken along the normal; with the
setting alone the reflection is the one nearest to Bragg; with both, g is the copy of its form that the
setting excites. Geometry needs to be given in one row of a line only. A state recorded for a whole polyline
counts for its straight pieces by their shares of the length.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from skimage.measure import approximate_polygon

from cpml.errors import CpmlError, MapFileError, ParameterError
from cpml.microscopy.ecci.channelling import TOLERANCE_DEG, check_excited, excited, nearest_of_form
from cpml.microscopy.ecci.contrast import STATES
from cpml.microscopy.ecci.evidence import ROWS, SIGMA_DEG
from cpml.microscopy.ecci.reflections import Reflections
from cpml.microscopy.ecci.stage import Stage
from cpml.microscopy.labels.traces import csv_lines

COLUMNS = (
    "line",
    "segment",
    "grain_id",
    "x_um",
    "y_um",
    "angle_deg",
    "sigma_deg",
    "length_um",
    "polyline",
    "polyline_px",
    "g",
    "tilt_deg",
    "second_deg",
    "seen",
)
NUMBERS = {
    "segment": (1, 1000, "a whole number from 1"),
    "grain_id": (0, 1e9, "the number of a grain"),
    "x_um": (-1e7, 1e7, "um on the map"),
    "y_um": (-1e7, 1e7, "um on the map"),
    "angle_deg": (-360, 360, "degrees"),
    "sigma_deg": (0.1, 45, "degrees, 0.1 to 45"),
    "length_um": (0.005, 100, "um, 0.005 to 100"),
    "tilt_deg": (-90, 90, "degrees, -90 to 90"),
    "second_deg": (-360, 360, "degrees, -360 to 360"),
}
"""Lowest and highest value of each number, and what to write."""
STRAIGHT = 0.05
"""Corners nearer to the line between their neighbours than this share of its length are none."""
NORMAL = (0.0, 0.0, 1.0)


@dataclass(frozen=True, eq=False)
class Place:
    """What rows are laid on.

    Attributes
    ----------
    grains : grain_id, phase, qw, qx, qy, qz
    found : reflections of each phase id that has a material
    stage : of the microscope
    grain_at : grain_id (n,) of points (n, 2) um of the map; 0 outside
    from_picture : um of the map (n, 2) of pixels (n, 2) of the first image; None: it is not registered
    tolerance_deg : largest deviation from Bragg
    """

    grains: pd.DataFrame
    found: Mapping[int, Reflections]
    stage: Stage
    grain_at: Callable[[NDArray], NDArray]
    from_picture: Callable[[NDArray], NDArray] | None = None
    tolerance_deg: float = TOLERANCE_DEG


@dataclass(eq=False)
class _Line:
    """A line while its rows are read."""

    grain: int = 0
    pieces: dict[int, dict[str, float]] = field(default_factory=dict)  # segment -> angle, sigma, length
    rows: list[dict] = field(default_factory=list)
    is_polyline: bool = False
    where: str = ""


def read_ecci(path: str | Path, place: Place) -> pd.DataFrame:
    """Records in the columns `evidence.ROWS` and setting (bool: the stage's setting was given).

    Raises
    ------
    MapFileError : unreadable, a missing or unknown column, a wrong value or unit, an unknown grain or
        reflection, a line outside its grain, a reflection that the setting does not excite, or two rows that
        contradict each other; names the line of the file
    """
    path = Path(path)
    names, lines = csv_lines(path)
    _check_columns(path, names)
    read: dict[str, _Line] = {}
    orientation = place.grains.set_index("grain_id")[["qw", "qx", "qy", "qz"]]
    phase = place.grains.set_index("grain_id")["phase"]
    for number, line in lines:
        where = f"{path}, line {number}"
        if None in line or None in line.values():
            raise MapFileError(f"{where}: another number of fields than the header; quote fields with commas")
        text = {name: (value or "").strip() for name, value in line.items()}
        if not text["line"]:
            raise MapFileError(f"{where}: line is empty; name the line that was looked at")
        own = read.setdefault(text["line"], _Line())
        values = {name: _number(where, name, text.get(name, "")) for name in NUMBERS}
        corners = _corners(where, text, place)
        _find_grain(where, own, values, corners, place, orientation.index)
        _add_pieces(where, own, values, corners)
        found = place.found.get(int(phase[own.grain]))
        if found is None:
            raise MapFileError(
                f"{where}: grain {own.grain} is of phase {phase[own.grain]}, which has no material; its "
                "reflections are unknown"
            )
        q = orientation.loc[own.grain].to_numpy(float)
        own.rows.append(_condition(where, text, values, found, q, place) | {"segment": values["segment"]})
    records = [record for name, line in read.items() for record in _records(name, line)]
    table = pd.DataFrame(records, columns=[*ROWS, "setting", "where"])
    _check_contradictions(table)
    return (
        table.drop_duplicates(["line", "segment", "g", "beam_x", "beam_y", "beam_z", "seen"])
        .drop(columns="where", errors="ignore")
        .reset_index(drop=True)
    )


def _check_columns(path: Path, names: list[str]) -> None:
    missing = [name for name in ("line", "seen") if name not in names]
    if not missing and not {"g", "tilt_deg"} & set(names):
        missing = ["g (or tilt_deg)"]
    if not missing and not ({"grain_id", "polyline", "polyline_px"} & set(names) or "x_um" in names):
        missing = ["grain_id (or x_um, y_um, or polyline)"]
    unknown = [name for name in names if name not in COLUMNS]
    if missing:
        raise MapFileError(
            f"{path}, line 1: no column {missing[0]}; known: {', '.join(COLUMNS)}; found: "
            f"{', '.join(names) or 'nothing'}"
        )
    if unknown or len(set(names)) < len(names):
        raise MapFileError(
            f"{path}, line 1: column {(unknown or names)[0]!r} is unknown or there twice; known: "
            f"{', '.join(COLUMNS)}"
        )


def _number(where: str, name: str, text: str) -> float:
    """The field, NaN where it is empty."""
    if not text:
        return np.nan
    low, high, wanted = NUMBERS[name]
    try:
        value = float(text)
    except ValueError:
        value = np.nan
    if not low <= value <= high or (name in ("segment", "grain_id") and value != int(value)):
        raise MapFileError(f"{where}: {name} = {text[:30]!r}; write {wanted}")
    return value


def _corners(where: str, text: dict[str, str], place: Place) -> NDArray | None:
    """(n, 2) um of the map; None without a polyline."""
    given = [name for name in ("polyline", "polyline_px") if text.get(name)]
    if not given:
        return None
    if len(given) > 1 or text.get("angle_deg") or text.get("length_um") or text.get("segment"):
        raise MapFileError(f"{where}: a polyline stands for angle, length and segment; give it alone, once")
    try:
        points = np.array(
            [[float(v) for v in part.split()] for part in text[given[0]].split(";") if part.strip()]
        )
        is_right = (
            points.ndim == 2 and points.shape[1] == 2 and len(points) >= 2 and np.isfinite(points).all()
        )
    except ValueError:
        is_right = False
    if not is_right:
        raise MapFileError(
            f"{where}: {given[0]} = {text[given[0]][:40]!r}; write two corners or more, x y; x y; ..."
        )
    if given[0] == "polyline":
        return points
    if place.from_picture is None:
        raise MapFileError(
            f"{where}: polyline_px needs an image that is registered to the map (registration: image_to_ebsd)"
        )
    return place.from_picture(points)


def _find_grain(
    where: str,
    own: _Line,
    values: dict[str, float],
    corners: NDArray | None,
    place: Place,
    known: pd.Index,
) -> None:
    """The grain of the line, by number or by place; MapFileError where they disagree."""
    points = corners
    if points is None and np.isfinite([values["x_um"], values["y_um"]]).all():
        points = np.array([[values["x_um"], values["y_um"]]])
    elif points is None and np.isfinite([values["x_um"], values["y_um"]]).any():
        raise MapFileError(f"{where}: x_um and y_um belong together; give both")
    grain = int(values["grain_id"]) if np.isfinite(values["grain_id"]) else 0
    if grain and grain not in known:
        raise MapFileError(
            f"{where}: grain {grain} is not in the map, which has {len(known)} grains from {known.min()} to "
            f"{known.max()}"
        )
    if points is not None:
        under = place.grain_at(points)
        inside = under[under > 0]
        if not len(inside):
            raise MapFileError(
                f"{where}: the line at {points[0, 0]:g}, {points[0, 1]:g} um lies in no grain of the map; "
                "positions are um on the map, x right and y down"
            )
        if grain and grain not in inside:
            raise MapFileError(
                f"{where}: the line is said to lie in grain {grain}, its place is in grain {inside[0]}; "
                "correct one of the two"
            )
        grain = grain or int(np.bincount(inside).argmax())
    if own.grain and grain and own.grain != grain:
        raise MapFileError(
            f"{where}: the line lies in grain {grain} here, in grain {own.grain} before ({own.where}); a "
            "line that crosses a boundary is two lines"
        )
    own.grain = own.grain or grain
    own.where = own.where or where
    if not own.grain:
        raise MapFileError(f"{where}: no place; give grain_id, x_um and y_um, or a polyline")


def _add_pieces(where: str, own: _Line, values: dict[str, float], corners: NDArray | None) -> None:
    """Geometry of the row, kept with the line."""
    sigma = values["sigma_deg"] if np.isfinite(values["sigma_deg"]) else SIGMA_DEG
    if corners is not None:
        kept = approximate_polygon(corners, STRAIGHT * np.linalg.norm(np.diff(corners, axis=0), axis=1).sum())
        steps = np.diff(kept, axis=0)
        length = np.linalg.norm(steps, axis=1)
        angle = np.degrees(np.arctan2(-steps[:, 1], steps[:, 0])) % 180.0
        if own.pieces and len(own.pieces) != len(steps):
            raise MapFileError(
                f"{where}: this polyline has {len(steps)} straight pieces, the line had {len(own.pieces)} "
                f"before ({own.where}); draw the same corners, or draw it once"
            )
        low, high, wanted = NUMBERS["length_um"]
        if not (low <= length.min() and length.max() <= high):
            raise MapFileError(
                f"{where}: a piece of the polyline is {length.max():.4g} um long; write {wanted}"
            )
        own.is_polyline = True
        for i, (a, s) in enumerate(zip(angle, length, strict=True), start=1):
            own.pieces.setdefault(i, {"angle_deg": a, "sigma_deg": sigma, "length_um": s})
        return
    segment = int(values["segment"]) if np.isfinite(values["segment"]) else 1
    if own.is_polyline:
        return
    piece = own.pieces.setdefault(segment, {"angle_deg": np.nan, "sigma_deg": sigma, "length_um": np.nan})
    for name in ("angle_deg", "length_um"):
        if np.isnan(piece[name]):
            piece[name] = values[name] % 180.0 if name == "angle_deg" else values[name]


def _condition(
    where: str,
    text: dict[str, str],
    values: dict[str, float],
    found: Reflections,
    q: NDArray,
    place: Place,
) -> dict:
    """g, beam and what was seen of one row."""
    seen = text["seen"].lower()
    if seen and seen not in STATES:
        raise MapFileError(
            f"{where}: seen = {text['seen'][:30]!r}; write {', '.join(STATES)}, or nothing (not looked at)"
        )
    name, is_set = text.get("g", ""), np.isfinite(values["tilt_deg"])
    if not name and not is_set:
        raise MapFileError(
            f"{where}: neither g nor tilt_deg; say under which condition the line was looked at"
        )
    beam = np.array(NORMAL)
    try:
        if is_set:
            second = values["second_deg"] if np.isfinite(values["second_deg"]) else 0.0
            if not place.stage.within(values["tilt_deg"], second):
                raise ParameterError(
                    f"{where}: tilt {values['tilt_deg']:g} and {second:g} deg are outside the limits of the "
                    "stage; correct the setting, or microscope: stage"
                )
            beam = place.stage.beam(values["tilt_deg"], second)
        if name and is_set:
            number, _ = nearest_of_form(found, q, beam, name)
            check_excited(found, q, beam, number, place.tolerance_deg, where)
        elif name:
            number = found.number(name)
        else:
            near = excited(found, q, beam, tolerance_deg=place.tolerance_deg)
            if near.empty:
                raise ParameterError(
                    f"{where}: no reflection within {place.tolerance_deg:g} deg of Bragg at this setting; "
                    "correct it or the stage's axes, or give g"
                )
            number = found.number(near["g"][0])
    except CpmlError as error:
        message = str(error)
        raise MapFileError(message if message.startswith(where) else f"{where}: {message}") from None
    return {
        "g": found.names[number],
        "beam_x": beam[0],
        "beam_y": beam[1],
        "beam_z": beam[2],
        "seen": seen,
        "setting": bool(is_set),
        "where": where,
    }


def _records(name: str, line: _Line) -> list[dict]:
    """Rows of a line: its pieces under each condition; what was drawn stands in the first row of a piece."""
    total = np.nansum([piece["length_um"] for piece in line.pieces.values()])
    records, drawn = [], set()
    for row in line.rows:
        whole = line.is_polyline or np.isnan(row["segment"])
        chosen = list(line.pieces) if whole else [int(row["segment"])]
        for segment in chosen:
            piece = line.pieces[segment]
            is_part = whole and len(line.pieces) > 1
            share = piece["length_um"] / total if is_part and total > 0 else 1.0 / len(chosen)
            geometry = piece if segment not in drawn else piece | {"angle_deg": np.nan, "length_um": np.nan}
            drawn.add(segment)
            records.append(
                row
                | geometry
                | {
                    "line": name,
                    "segment": segment,
                    "grain_id": line.grain,
                    "weight": share if np.isfinite(share) else 1.0 / len(chosen),
                }
            )
    return records


def _check_contradictions(table: pd.DataFrame) -> None:
    told = table[table["seen"] != ""]
    keys = ["line", "segment", "g", "beam_x", "beam_y", "beam_z"]
    first = told.groupby(keys, sort=False)[["seen", "where"]].transform("first")
    differs = (told["seen"] != first["seen"]).to_numpy()
    if differs.any():
        k = int(differs.argmax())
        row, other = told.iloc[k], first.iloc[k]
        raise MapFileError(
            f"{row['where']}: line {row['line']} is {row['seen']} under {row['g']}, but {other['seen']} in "
            f"{other['where'].rsplit(', ', 1)[-1]}; keep one of the two"
        )
