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
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from skimage.measure import approximate_polygon

from cpml.crystallography.slip_traces import line_difference
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
    "grain_id": (1, 1e9, "the number of a grain, from 1"),
    "x_um": (-1e7, 1e7, "um on the map"),
    "y_um": (-1e7, 1e7, "um on the map"),
    "angle_deg": (-360, 360, "degrees, -360 to 360"),
    "sigma_deg": (0.1, 45, "degrees, 0.1 to 45"),
    "length_um": (0.005, 100, "um, 0.005 to 100"),
    "tilt_deg": (-90, 90, "degrees, -90 to 90"),
    "second_deg": (-360, 360, "degrees, -360 to 360"),
}
"""Lowest and highest value of each number, and what to write."""
GEOMETRY = ("angle_deg", "sigma_deg", "length_um")
FAR_DEG = 45.0
"""Two drawings of a segment that differ by more are no drawings of one line."""
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
class _Row:
    """One line of the file."""

    where: str
    segment: int  # 0: none was named
    pieces: list[dict[str, float]]  # angle_deg, sigma_deg, length_um as drawn; several of a polyline
    is_polyline: bool
    grain: int
    told: dict[str, object]  # g, beam, seen, setting


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
    read: dict[str, list[_Row]] = {}
    orientation = place.grains.set_index("grain_id")[["qw", "qx", "qy", "qz"]]
    phase = place.grains.set_index("grain_id")["phase"]
    for number, line in lines:
        where = f"{path}, line {number}"
        if None in line or None in line.values():
            raise MapFileError(f"{where}: another number of fields than the header; quote fields with commas")
        text = {name: (value or "").strip() for name, value in line.items()}
        if not text["line"]:
            raise MapFileError(f"{where}: line is empty; name the line that was looked at")
        own = read.setdefault(text["line"], [])
        values = {name: _number(where, name, text.get(name, "")) for name in NUMBERS}
        corners = _corners(where, text, place)
        grain = _grain(where, own, values, corners, place, orientation.index)
        found = place.found.get(int(phase[grain]))
        if found is None:
            raise MapFileError(
                f"{where}: grain {grain} is of phase {phase[grain]}, which has no material, so its "
                "reflections are unknown; leave the line out, or give the phase a material in dataset.yml"
            )
        told = _condition(where, text, values, found, orientation.loc[grain].to_numpy(float), place)
        segment = int(values["segment"]) if np.isfinite(values["segment"]) else 0
        pieces = _pieces(where, values, corners)
        own.append(_Row(where, segment, pieces, corners is not None, grain, told))
    records = [record for name, rows in read.items() for record in _records(name, rows)]
    table = pd.DataFrame(records, columns=[*ROWS, "setting", "where"])
    return _each_once(table).drop(columns="where")


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
    twice = [name for k, name in enumerate(names) if name in names[:k]]
    if unknown or twice:
        raise MapFileError(
            f"{path}, line 1: column {(unknown or twice)[0]!r} is {'unknown' if unknown else 'there twice'}; "
            f"known: {', '.join(COLUMNS)}"
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
    if given[0] == "polyline_px":
        if place.from_picture is None:
            raise MapFileError(
                f"{where}: polyline_px needs an image that is registered to the map (registration: "
                "image_to_ebsd)"
            )
        points = place.from_picture(points)
    low, high, wanted = NUMBERS["x_um"]
    if not ((points >= low) & (points <= high)).all():
        raise MapFileError(f"{where}: {given[0]} lies far off the map; write {wanted}")
    return points


def _grain(
    where: str,
    before: list[_Row],
    values: dict[str, float],
    corners: NDArray | None,
    place: Place,
    known: pd.Index,
) -> int:
    """The grain of a row, by number, by place or by the rows ``before`` of its line."""
    at = np.array([values["x_um"], values["y_um"]])
    if np.isfinite(at).sum() == 1:
        raise MapFileError(f"{where}: x_um and y_um belong together; give both")
    if corners is not None:
        points = (corners[1:] + corners[:-1]) / 2  # corners themselves may lie on a boundary
    else:
        points = at[None] if np.isfinite(at).all() else np.zeros((0, 2))
    grain = int(values["grain_id"]) if np.isfinite(values["grain_id"]) else 0
    if grain and grain not in known:
        raise MapFileError(
            f"{where}: grain {grain} is not in the map, which has {len(known)} grains from {known.min()} to "
            f"{known.max()}"
        )
    under = np.unique(place.grain_at(points)) if len(points) else np.zeros(0, int)
    under = under[under > 0]
    if len(points) and not len(under):
        raise MapFileError(
            f"{where}: the line at {points[0, 0]:g}, {points[0, 1]:g} um lies in no grain of the map; "
            "positions are um on the map, x right and y down"
        )
    if len(under) > 1:
        raise MapFileError(
            f"{where}: the line runs from grain {under[0]} into grain {under[1]}; draw it as two lines"
        )
    if len(under) and grain and grain != under[0]:
        raise MapFileError(
            f"{where}: the line is said to lie in grain {grain}, its place is in grain {under[0]}; correct "
            "one of the two"
        )
    grain = grain or int(under[0] if len(under) else 0)
    if before and grain and before[0].grain != grain:
        raise MapFileError(
            f"{where}: the line lies in grain {grain} here, in grain {before[0].grain} before "
            f"({before[0].where}); a line that crosses a boundary is two lines"
        )
    grain = grain or (before[0].grain if before else 0)
    if not grain:
        raise MapFileError(f"{where}: no place; give grain_id, x_um and y_um, or a polyline")
    return grain


def _pieces(where: str, values: dict[str, float], corners: NDArray | None) -> list[dict[str, float]]:
    """What a row says of geometry: straight pieces, none where nothing was drawn."""
    sigma = values["sigma_deg"]
    if corners is None:
        if np.isnan(values["angle_deg"]) and np.isnan(values["length_um"]):
            return []
        return [
            {"angle_deg": values["angle_deg"] % 180.0, "sigma_deg": sigma, "length_um": values["length_um"]}
        ]
    kept = approximate_polygon(corners, STRAIGHT * np.linalg.norm(np.diff(corners, axis=0), axis=1).sum())
    steps = np.diff(kept, axis=0)
    length = np.linalg.norm(steps, axis=1)
    low, high, wanted = NUMBERS["length_um"]
    wrong = length[(length < low) | (length > high)]
    if len(wrong):
        raise MapFileError(f"{where}: a piece of the polyline is {wrong[0]:.4g} um long; write {wanted}")
    angle = np.degrees(np.arctan2(-steps[:, 1], steps[:, 0])) % 180.0
    return [{"angle_deg": a, "sigma_deg": sigma, "length_um": n} for a, n in zip(angle, length, strict=True)]


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
    if np.isfinite(values["second_deg"]) and not is_set:
        raise MapFileError(f"{where}: second_deg without tilt_deg; give both, or g alone")
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
    }


def _records(name: str, rows: list[_Row]) -> list[dict]:
    """Records of a line: each of its rows for the segments that it is about."""
    drawn = next((row for row in rows if row.is_polyline), None)
    if drawn is not None:
        segments = list(range(1, len(drawn.pieces) + 1))
        _check_polyline(rows, drawn)
    else:
        segments = sorted({row.segment for row in rows if row.segment}) or [1]
    length = _lengths(rows, segments)
    share = length / length.sum()
    sigma = next(
        (p["sigma_deg"] for row in rows for p in row.pieces if np.isfinite(p["sigma_deg"])), SIGMA_DEG
    )
    records, first = [], {}
    for row in rows:
        whole = row.segment == 0
        chosen = segments if whole else [row.segment]
        if len(row.pieces) not in (0, len(chosen)):
            raise MapFileError(
                f"{row.where}: this angle or length is of a line of {len(segments)} segments; name the "
                "segment that it is of"
            )
        pieces = row.pieces or [dict.fromkeys(GEOMETRY, np.nan)] * len(chosen)
        for segment, piece in zip(chosen, pieces, strict=True):
            _check_angle(row, segment, piece, first)
            own_sigma = piece["sigma_deg"] if np.isfinite(piece["sigma_deg"]) else sigma
            records.append(
                row.told
                | piece
                | {
                    "sigma_deg": own_sigma,
                    "line": name,
                    "segment": segment,
                    "grain_id": row.grain,
                    "weight": share[segments.index(segment)] if whole else 1.0,
                    "where": row.where,
                }
            )
    return records


def _check_polyline(rows: list[_Row], drawn: _Row) -> None:
    """MapFileError for rows that do not go with a line drawn with corners."""
    for row in rows:
        if not row.is_polyline and (row.segment or row.pieces):
            raise MapFileError(
                f"{row.where}: the line is drawn with corners in another row ({drawn.where}); leave segment, "
                "angle and length out here"
            )
        if row.is_polyline and len(row.pieces) != len(drawn.pieces):
            raise MapFileError(
                f"{row.where}: this polyline has {len(row.pieces)} straight pieces, the line has "
                f"{len(drawn.pieces)} in another row ({drawn.where}); draw the same corners, or draw it once"
            )


def _check_angle(row: _Row, segment: int, piece: dict[str, float], first: dict) -> None:
    """MapFileError for two drawings of a segment that cannot be one line."""
    if np.isnan(piece["angle_deg"]):
        return
    angle, where = first.setdefault(segment, (piece["angle_deg"], row.where))
    if abs(line_difference(angle, piece["angle_deg"])) > FAR_DEG:
        raise MapFileError(
            f"{row.where}: segment {segment} lies at {piece['angle_deg']:.0f} deg here, at {angle:.0f} deg "
            f"before ({where}); give the pieces of a bent line different segments"
        )


def _lengths(rows: list[_Row], segments: list[int]) -> NDArray:
    """(n,) length of every segment, um; that of the others' mean where none was given, 1 where none was at
    all.
    """
    length = np.full(len(segments), np.nan)
    for row in rows:
        chosen = segments if row.segment == 0 else [row.segment]
        for segment, piece in zip(chosen, row.pieces, strict=False):
            k = segments.index(segment)
            length[k] = np.fmax(length[k], piece["length_um"])
    known = length[np.isfinite(length)]
    return np.where(np.isfinite(length), length, known.mean() if len(known) else 1.0)


def _each_once(table: pd.DataFrame) -> pd.DataFrame:
    """A state that is recorded again under the same condition counts once; MapFileError where it differs."""
    table = table.drop_duplicates([name for name in table if name != "where"])
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
    again = told.index[told.duplicated(keys)]
    table = table.copy()
    table.loc[again, "seen"] = ""
    says_nothing = table.index.isin(again) & table[["angle_deg", "length_um"]].isna().all(axis=1)
    return table[~says_nothing].reset_index(drop=True)
