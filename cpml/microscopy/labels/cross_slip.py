"""Cross-slip candidates: lines that change between the traces of two planes which share a Burgers vector.

A screw dislocation that leaves its plane A for a plane B with the same Burgers vector b draws a
step that changes from the trace of A to that of B. Seen as single pieces, where the image resolves
them, or as waviness of a line. For two consecutive pieces of one line, and B then A likewise,

    p(A then B) = p(A | theta_1) p(B | theta_2)

with the posteriors over the visible planes of the grain ("none of them" included). Of a line
with several changes

    p(pair) = 1 - product over its changes of (1 - p(A then B) - p(B then A)).

Rows: mechanism "cross_slip", target "planeA|planeB[dir]", level "pair", weight p(pair). observed is 1 where p
>= 0.95, 0 where lines on both planes were resolved and none of them changed over, else missing: a grain that
was not imaged or too coarsely, a plane too flat, two planes whose traces lie closer than their errors, wavy
lines without resolved pieces. A candidate is no proof: two lines that meet look the same.
"""

from collections.abc import Mapping

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cpml.crystallography.cross_slip_pairs import cross_slip_pairs
from cpml.crystallography.slip_systems import Systems
from cpml.crystallography.slip_traces import line_difference, slip_traces
from cpml.errors import ParameterError
from cpml.microscopy.images.line_pieces import PIECE_PIXELS
from cpml.microscopy.images.trace_likelihood import match_traces
from cpml.microscopy.labels.detection import MIN_INCLINATION_DEG
from cpml.microscopy.labels.rows import CERTAIN, label_rows

TOLERANCE_DEG = 6.0
"""A piece further than this from every visible plane belongs to none."""
NO_PLANE = 0.03
"""Share of pieces that belong to none of the planes, at any angle."""


def cross_slip_labels(
    grains: pd.DataFrame,
    pieces: pd.DataFrame,
    systems: Systems | Mapping[int, Systems],
    *,
    pixel_um: float | None = None,
) -> pd.DataFrame:
    """Label rows of the pairs of planes of every grain.

    Parameters
    ----------
    grains : table with grain_id, phase, qw, qx, qy, qz
    pieces : grain_id, line_id, piece (place in the line), angle_deg, sigma_deg; length_um where
        pixel_um is given; wavy (bool) where known. A grain is imaged if it has a row; one row
        with NaN angle: imaged, no line
    systems : of all grains, or of each phase id
    pixel_um : pieces shorter than 6 pixels are not resolved and do not count

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
    parts = [label_rows([], [])]
    for phase, group in grains.groupby("phase"):
        of_phase = systems.get(phase) if isinstance(systems, Mapping) else systems
        if of_phase is None:
            continue
        pairs = cross_slip_pairs(of_phase)
        geometry = slip_traces(group[["qw", "qx", "qy", "qz"]].to_numpy(), of_phase)
        states = [
            _pair_states(
                of_grain.get(grain),
                geometry.angle_deg[i],
                geometry.inclination_deg[i],
                of_phase,
                pairs,
                pixel_um,
            )
            for i, grain in enumerate(group["grain_id"])
        ]
        observed, weight = np.moveaxis(np.reshape(states, (len(group), len(pairs), 2)), -1, 0)
        parts.append(
            label_rows(
                group[["grain_id"]],
                pairs["target"],
                mechanism="cross_slip",
                level="pair",
                observed=observed,
                weight=weight,
                source="traces",
            )
        )
    return pd.concat(parts, ignore_index=True)


def _pair_states(
    seen: pd.DataFrame | None,
    angle: NDArray,
    inclination: NDArray,
    systems: Systems,
    pairs: pd.DataFrame,
    pixel_um: float | None,
) -> list[tuple[float, float]]:
    """(observed, weight) of every pair of one grain."""
    if seen is None:
        return [(np.nan, 1.0)] * len(pairs)
    lines = seen[seen["angle_deg"].notna()]
    if pixel_um:
        lines = lines[lines["length_um"] >= PIECE_PIXELS * pixel_um]
    planes = np.unique(systems.plane_id[systems.slip])
    is_visible = np.zeros(len(angle), bool)
    is_visible[planes] = inclination[planes] >= MIN_INCLINATION_DEG
    posterior = np.zeros((len(lines), len(angle)))
    if len(lines):
        away = np.abs(line_difference(lines["angle_deg"].to_numpy()[:, None], angle))
        density = match_traces(
            lines["angle_deg"], angle, inclination, sigma_deg=lines["sigma_deg"], floor=0.0
        )
        density = density * (is_visible & (away <= TOLERANCE_DEG))
        weight = (1 - NO_PLANE) * density
        posterior = weight / (NO_PLANE / 180 + weight.sum(axis=1, keepdims=True))
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
