"""Cross-slip candidates: lines that change between the traces of two planes which share a Burgers vector.

A screw dislocation that leaves its plane A for a plane B with the same Burgers vector b draws a
step that changes from the trace of A to that of B. Seen as single pieces, where the image resolves
them, or as waviness of a line.

    p(A then B) = p(A | theta_1) p(B | theta_2)      for two consecutive pieces of one line, and B then A likewise

with the posteriors over the visible planes of the grain ("none of them" included).
Of a line with several changes

    p(pair) = 1 - product over its changes of (1 - p(A then B) - p(B then A)).

Rows: mechanism "cross_slip", target "planeA|planeB[dir]", row "pair", weight p(pair). observed is 1 where p
>= 0.95, 0 where lines on both planes were resolved and none of them changed over, else missing: a grain that
was not imaged or too coarsely, a plane too flat, two planes whose traces lie closer than their errors, wavy
lines without resolved pieces. A candidate is no proof: two lines that meet look the same.
"""

from collections.abc import Mapping
from itertools import combinations

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from cpml.crystallography.systems import Systems
from cpml.errors import ParameterError
from cpml.microscopy.detection import MIN_INCLINATION_DEG, PIECE_PIXELS
from cpml.microscopy.labels import CERTAIN, COLUMNS
from cpml.microscopy.slip_traces import line_difference, match_traces, slip_traces


def cross_slip_pairs(systems: Systems) -> pd.DataFrame:
    """Pairs of slip planes that share a slip direction (and Burgers length).

    Returns
    -------
    DataFrame target, plane_a, plane_b (plane ids), plane_a_name, plane_b_name, system_a, system_b

    Examples
    --------
    >>> from cpml.crystallography import systems
    >>> pairs = cross_slip_pairs(systems("fcc", families=["octahedral"]))
    >>> print(len(pairs), pairs["target"][0])
    6 octahedral (111)|octahedral (-111)[0-11]
    """
    slip = np.flatnonzero(systems.slip)
    rows = []
    for a, b in combinations(slip, 2):
        same = abs(abs(systems.direction[a] @ systems.direction[b]) - 1) < 1e-9
        if (
            same
            and systems.plane_id[a] != systems.plane_id[b]
            and np.isclose(systems.burgers_length[a], systems.burgers_length[b])
        ):
            a, b = sorted((a, b), key=lambda s: systems.plane_id[s])
            first, second = systems.plane_id[a], systems.plane_id[b]
            bracket = systems.names[a][systems.names[a].index("[") :]
            name = f"{systems.plane_names[first]}|{systems.plane_names[second]}{bracket}"
            rows.append((name, first, second, systems.plane_names[first], systems.plane_names[second], a, b))
    return pd.DataFrame(
        rows, columns=["target", "plane_a", "plane_b", "plane_a_name", "plane_b_name", "system_a", "system_b"]
    )


def line_pieces(points: ArrayLike, *, tolerance: float) -> pd.DataFrame:
    """Straight pieces of a drawn line (Douglas & Peucker 1973): a point further than
    `tolerance` from the chord splits it.

    Parameters
    ----------
    points : (n, 2) x, y (y down), in order along the line
    tolerance : in the unit of the points; the error of a drawn point

    Returns
    -------
    DataFrame piece, angle_deg (on screen), sigma_deg (sqrt 2 tolerance / length), length
    """
    points = np.asarray(points, float)
    if points.ndim != 2 or points.shape[1:] != (2,) or len(points) < 2 or not tolerance > 0:
        raise ParameterError(
            f"points {points.shape} must be two or more [x, y] and tolerance {tolerance} positive"
        )
    corners = [0, *_corners(points, 0, len(points) - 1, tolerance), len(points) - 1]
    step = np.diff(points[corners], axis=0)
    length = np.hypot(*step.T)
    angle = np.degrees(np.arctan2(-step[:, 1], step[:, 0])) % 180.0
    sigma = np.degrees(np.sqrt(2) * tolerance / np.maximum(length, tolerance))
    return pd.DataFrame(
        {"piece": np.arange(len(length)), "angle_deg": angle, "sigma_deg": sigma, "length": length}
    )


def _corners(points: NDArray, first: int, last: int, tolerance: float) -> list[int]:
    if last - first < 2:
        return []
    chord = points[last] - points[first]
    inner = points[first + 1 : last] - points[first]
    size = np.hypot(*chord)
    away = np.abs(inner[:, 0] * chord[1] - inner[:, 1] * chord[0]) / size if size > 0 else np.hypot(*inner.T)
    k = first + 1 + int(np.argmax(away))
    if away.max() <= tolerance:
        return []
    return [*_corners(points, first, k, tolerance), k, *_corners(points, k, last, tolerance)]


def cross_slip_labels(
    parents: pd.DataFrame,
    pieces: pd.DataFrame,
    systems: Systems | Mapping[int, Systems],
    *,
    pixel_um: float | None = None,
    min_inclination_deg: float = MIN_INCLINATION_DEG,
    tolerance_deg: float = 6.0,
) -> pd.DataFrame:
    """Pair rows of every parent grain.

    Parameters
    ----------
    parents : table with parent_id, phase, qw, qx, qy, qz
    pieces : grain_id, line_id, piece (place in the line), angle_deg, sigma_deg; length_um where
        pixel_um is given; wavy (bool) where known. A grain is imaged if it has a row; one row
        with NaN angle: imaged, no line
    systems : of all grains, or of each phase id
    pixel_um : pieces shorter than 6 pixels are not resolved and do not count
    tolerance_deg : a piece further than this from every visible plane belongs to none

    Returns
    -------
    label rows, one a grain and pair

    Raises
    ------
    ParameterError : missing columns
    """
    needed = ["grain_id", "line_id", "piece", "angle_deg", "sigma_deg"] + (["length_um"] if pixel_um else [])
    missing = [name for name in needed if name not in pieces]
    if missing:
        raise ParameterError(f"pieces have no column {', '.join(missing)}; needed: {', '.join(needed)}")
    of_grain = dict(iter(pieces.groupby("grain_id")))
    rows: list[tuple] = []
    for phase, group in parents.groupby("phase"):
        of_phase = systems.get(phase) if isinstance(systems, Mapping) else systems
        if of_phase is None:
            continue
        pairs = cross_slip_pairs(of_phase)
        geometry = slip_traces(group[["qw", "qx", "qy", "qz"]].to_numpy(), of_phase)
        for i, grain in enumerate(group["parent_id"]):
            seen = of_grain.get(grain)
            traces = geometry.angle_deg[i], geometry.inclination_deg[i]
            states = _pair_states(
                seen, *traces, of_phase, pairs, pixel_um, min_inclination_deg, tolerance_deg
            )
            rows += [
                (int(grain), "cross_slip", target, state, "", weight, "traces", np.nan, np.nan, "pair")
                for target, (state, weight) in zip(pairs["target"], states, strict=True)
            ]
    return pd.DataFrame(rows, columns=COLUMNS).astype({"grain_id": int, "observed": float, "weight": float})


def _pair_states(
    seen, angle, inclination, systems, pairs, pixel_um, min_inclination_deg, tolerance_deg
) -> list[tuple]:
    """(observed, weight) of every pair of one grain."""
    if seen is None:
        return [(np.nan, 1.0)] * len(pairs)
    lines = seen[seen["angle_deg"].notna()]
    if pixel_um:
        lines = lines[lines["length_um"] >= PIECE_PIXELS * pixel_um]
    planes = np.unique(systems.plane_id[systems.slip])
    is_visible = np.zeros(len(angle), bool)
    is_visible[planes] = inclination[planes] >= min_inclination_deg
    posterior = np.zeros((len(lines), len(angle)))
    if len(lines):
        away = np.abs(line_difference(lines["angle_deg"].to_numpy()[:, None], angle))
        density = match_traces(
            lines["angle_deg"], angle, inclination, sigma_deg=lines["sigma_deg"], floor=0.0
        )
        density = density * (is_visible & (away <= tolerance_deg))
        none = 0.03 / 180
        posterior = 0.97 * density / (none + 0.97 * density.sum(axis=1, keepdims=True))
    order = np.lexsort((lines["piece"], lines["line_id"]))
    line = lines["line_id"].to_numpy()[order]
    consecutive = np.flatnonzero((line[1:] == line[:-1]) & (np.diff(lines["piece"].to_numpy()[order]) == 1))
    first, second = posterior[order[consecutive]], posterior[order[consecutive + 1]]
    error = float(np.median(lines["sigma_deg"])) if len(lines) else np.inf
    is_wavy = bool(lines["wavy"].any()) if "wavy" in lines else False
    states = []
    for pair in pairs.itertuples():
        a, b = pair.plane_a, pair.plane_b
        # two traces closer than two errors of a drawn line look like one straight line
        apart = abs(line_difference(angle[a], angle[b])) > 2 * error
        if not (is_visible[a] and is_visible[b] and apart):
            states.append((np.nan, 1.0))
            continue
        changes = np.clip(first[:, a] * second[:, b] + first[:, b] * second[:, a], 0, 1)
        probability = float(1 - np.prod(1 - changes))
        resolved = posterior[:, a].max(initial=0) > 0.5 and posterior[:, b].max(initial=0) > 0.5
        if probability >= CERTAIN:
            states.append((1.0, probability))
        elif probability > 1 - CERTAIN or is_wavy or not resolved:
            states.append((np.nan, max(probability, 1 - CERTAIN) if len(lines) else 1.0))
        else:
            states.append((0.0, 1.0))
    return states
