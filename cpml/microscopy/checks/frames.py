"""Which way is up: what a wrong frame declaration would do to the map at hand.

Two declarations cannot be read from a file and are wrong without any warning: the hexagonal X axis (a or a*,
30 deg apart) and whether the Euler frame and the map frame share their y axis (180 deg about x). Each has a
footprint that only the right choice explains: twin boundaries, and slip traces.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from cpml.crystallography.rotations import axis_angle_to_quaternion, quaternion_multiply
from cpml.crystallography.slip_systems import Systems
from cpml.crystallography.slip_traces import line_difference, slip_traces
from cpml.microscopy.grains.grains import segment
from cpml.microscopy.maps.ebsd_map import EbsdMap
from cpml.microscopy.maps.phase_parts import by_phase
from cpml.microscopy.twins.evidence import twin_lamellae
from cpml.microscopy.twins.relations import lattice_of
from cpml.microscopy.twins.twins import Twins, find_twins

NEAR_DEG = 6.0
"""A band further than this from every slip plane has no direction to compare with."""
LEAST_ASPECT = 2.5
"""Rounder twins have no direction to compare."""
HALF_TURN_X = np.array([0.0, 1.0, 0.0, 0.0])


@dataclass(frozen=True)
class HexAxisCheck:
    """Twin boundaries found with the declared hexagonal axis and with the other one.

    Attributes
    ----------
    table : choice, segments, twin_segments, share, median_deviation_deg
    deviation_deg, other_deviation_deg : (M,) deviation of every boundary segment from the exact twin relation
        under both choices (the disorientation angle alone is the same for both: only the axis tells)
    """

    table: pd.DataFrame
    deviation_deg: NDArray
    other_deviation_deg: NDArray

    def near(self, limit_deg: float) -> tuple[NDArray, NDArray]:
        """Deviations of the segments within a limit of the relation, under both choices."""
        both = (self.deviation_deg, self.other_deviation_deg)
        first, second = (deviation[deviation <= limit_deg] for deviation in both)
        return first, second


def hex_axis_check(
    ebsd_map: EbsdMap, *, threshold: float = 5.0, min_pixels: int = 1, tolerance: float = 5.0
) -> HexAxisCheck | None:
    """Share of {10-12} twin boundary segments with X as read and turned by 30 deg about c.

    Returns
    -------
    None for a map without hexagonal phase. {10-12} is the most common twin of hexagonal metals; a map without
    twins finds next to none either way, which decides nothing.
    """
    if not any(lattice_of(p) == "hcp" for p in ebsd_map.phases.values()):
        return None
    turned = quaternion_multiply(
        ebsd_map.quaternions, axis_angle_to_quaternion(np.array([0.0, 0.0, 1.0]), np.pi / 6)
    )
    rows, deviations = [], []
    for choice, version in (
        ("as read", ebsd_map),
        ("turned by 30 deg", replace(ebsd_map, quaternions=turned)),
    ):
        grains = segment(version, threshold=threshold, min_pixels=min_pixels)
        found = find_twins(grains, types=("twin_1012",), tolerance=tolerance).segments
        twin = found["twin_type"] == "twin_1012"
        deviation = found.loc[twin, "deviation_deg"].median() if twin.any() else np.nan
        rows.append((choice, len(found), int(twin.sum()), twin.mean() if len(found) else np.nan, deviation))
        deviations.append(found["deviation_deg"].to_numpy())
    table = pd.DataFrame(
        rows, columns=["choice", "segments", "twin_segments", "share", "median_deviation_deg"]
    )
    return HexAxisCheck(table, *deviations)


def trace_deviations(
    grain_ids: ArrayLike,
    angle_deg: ArrayLike,
    grains: pd.DataFrame,
    systems: Systems | Mapping[int, Systems],
    *,
    flipped: bool = False,
) -> NDArray:
    """Angle (J,), deg, of each observed trace from the nearest slip-plane trace of its grain; NaN
    without a grain.

    Parameters
    ----------
    systems : of all grains, or of each phase id; grains of phases without systems are no grains here
    flipped : turn every crystal by 180 deg about x first, as if the y axis had been declared the other way
    """
    if isinstance(systems, Mapping):
        parts = by_phase(grains, systems)
        found = [trace_deviations(grain_ids, angle_deg, *part, flipped=flipped) for part in parts]
        return np.fmin.reduce([np.full(len(np.asarray(grain_ids)), np.nan), *found])
    quaternions = grains[["qw", "qx", "qy", "qz"]].to_numpy()
    if flipped:
        quaternions = quaternion_multiply(HALF_TURN_X, quaternions)
    planes = np.unique(systems.plane_id[systems.slip])
    theory = pd.DataFrame(slip_traces(quaternions, systems).angle_deg[:, planes], index=grains["grain_id"])
    theory = theory.reindex(np.asarray(grain_ids)).to_numpy()
    deviation = np.abs(line_difference(np.asarray(angle_deg, float)[:, None], theory))
    return deviation.min(axis=1, initial=np.inf, where=np.isfinite(deviation)) + np.where(
        np.isfinite(deviation).any(1), 0.0, np.nan
    )


def matched_planes(
    lines: pd.DataFrame,
    grains: pd.DataFrame,
    systems: Systems | Mapping[int, Systems],
    *,
    tolerance_deg: float,
) -> pd.DataFrame:
    """The lines that lie on a slip plane of their grain, with the angle of the nearest plane's trace.

    Parameters
    ----------
    lines : grain_id, angle_deg; grains : grain_id, qw, qx, qy, qz
    systems : of all grains, or of each phase id
    """
    if isinstance(systems, Mapping):
        parts = by_phase(grains, systems)
        found = [matched_planes(lines, *part, tolerance_deg=tolerance_deg) for part in parts]
        return pd.concat(found) if found else lines.iloc[:0]
    quaternions = grains.set_index("grain_id")[["qw", "qx", "qy", "qz"]].reindex(lines["grain_id"]).to_numpy()
    theory = slip_traces(quaternions, systems).angle_deg[:, np.unique(systems.plane_id[systems.slip])]
    away = np.abs(line_difference(lines["angle_deg"].to_numpy(float)[:, None], theory))
    nearest = np.where(np.isfinite(away), away, np.inf).argmin(axis=1)
    rows = np.arange(len(lines))
    is_near = away[rows, nearest] <= tolerance_deg
    return lines.assign(angle_deg=theory[rows, nearest])[is_near]


def nearest_line(lines: pd.DataFrame, others: pd.DataFrame) -> NDArray:
    """Angle (L,), deg, of each line from the nearest other line of its grain; NaN where there is none.

    Parameters
    ----------
    lines, others : grain_id, angle_deg
    """
    pairs = lines.reset_index(drop=True).rename_axis("line").reset_index().merge(others, on="grain_id")
    pairs["apart"] = np.abs(line_difference(pairs["angle_deg_x"], pairs["angle_deg_y"]))
    return pairs.groupby("line")["apart"].min().reindex(range(len(lines))).to_numpy(float)


def displacement_deviations(
    bands: pd.DataFrame,
    grains: pd.DataFrame,
    systems: Systems | Mapping[int, Systems],
    *,
    mirrored: bool = False,
    turn_deg: float = 0.0,
) -> NDArray:
    """Angle (J,), deg, of each relative displacement from the nearest slip direction of the band's plane.

    Parameters
    ----------
    bands : table of `band_displacements`; grains : table with grain_id, qw, qx, qy, qz
    mirrored : turn the sign of the vertical displacement first, as if v had been taken positive the other way
    turn_deg : how far the image was turned to lie on the map (`DicField.turn_deg`); v is along its columns

    Returns
    -------
    deviation : NaN for bands without displacement, without grain, or further than NEAR_DEG from every plane
    """
    from cpml.microscopy.dic.displacement_ratio import direction_angles

    if isinstance(systems, Mapping):
        parts = by_phase(grains, systems)
        found = [displacement_deviations(bands, *p, mirrored=mirrored, turn_deg=turn_deg) for p in parts]
        return np.fmin.reduce([np.full(len(bands), np.nan), *found])
    out = np.full(len(bands), np.nan)
    slip = systems.subset(systems.slip)
    table = grains.set_index("grain_id")[["qw", "qx", "qy", "qz"]].reindex(bands["grain_id"]).to_numpy()
    known = np.flatnonzero(
        np.isfinite(table).all(axis=1) & bands[["angle_deg", "psi_deg"]].notna().all(axis=1)
    )
    if not len(known):
        return out
    plane = slip_traces(table[known], slip).angle_deg[:, slip.plane_id]
    away = np.abs(line_difference(bands["angle_deg"].to_numpy()[known, None], plane))
    best = np.abs(away - away.min(axis=1, keepdims=True)) < 1e-9
    psi = bands["psi_deg"].to_numpy()[known]
    psi = 2 * turn_deg - psi if mirrored else psi
    direction = np.abs(line_difference(psi[:, None], direction_angles(table[known], slip)[0]))
    found = np.where(best, direction, np.inf).min(axis=1)
    out[known] = np.where(away.min(axis=1) <= NEAR_DEG, found, np.nan)
    return out


@dataclass(frozen=True)
class FrameCheck:
    """What lies along the planes of its crystal in the declared frame, and with every crystal turned by 180
    deg about x.

    Attributes
    ----------
    declared_deg, flipped_deg : (L,) angle of each line from the nearest plane, NaN without a grain
    tolerance_deg : largest angle that counts as a match
    """

    declared_deg: NDArray
    flipped_deg: NDArray
    tolerance_deg: float = 4.0

    @property
    def table(self) -> pd.DataFrame:
        """Lines within tolerance: frame, lines, matched, share, median_deviation_deg."""
        rows = []
        for name, deviation in (("as read", self.declared_deg), ("y axis flipped", self.flipped_deg)):
            known = deviation[np.isfinite(deviation)]
            matched = int((known <= self.tolerance_deg).sum())
            share = matched / len(known) if len(known) else np.nan
            median = np.median(known) if len(known) else np.nan
            rows.append((name, len(known), matched, share, median))
        return pd.DataFrame(rows, columns=["frame", "lines", "matched", "share", "median_deviation_deg"])

    @property
    def only(self) -> tuple[int, int]:
        """Lines that match in the declared frame alone, and in the flipped one alone."""
        declared, flipped = (
            np.nan_to_num(d, nan=np.inf) <= self.tolerance_deg for d in (self.declared_deg, self.flipped_deg)
        )
        return int((declared & ~flipped).sum()), int((flipped & ~declared).sum())


def frame_check(
    traces: pd.DataFrame, grains: pd.DataFrame, systems: Systems | Mapping[int, Systems]
) -> FrameCheck:
    """The first line of every grain beside the traces of its slip planes, in both frames.

    Parameters
    ----------
    traces : grain_id, angle_deg; the first with an angle counts
    grains : grain_id, qw, qx, qy, qz
    """
    lines = traces.dropna(subset=["angle_deg"]).groupby("grain_id", as_index=False).first()
    deviations = (
        trace_deviations(lines["grain_id"], lines["angle_deg"], grains, systems, flipped=flipped)
        for flipped in (False, True)
    )
    return FrameCheck(*deviations)


def lamella_check(twins: Twins) -> FrameCheck:
    """The long axis of every twin lamella beside the trace of its K1 plane, in both frames; twins rounder
    than LEAST_ASPECT have no direction to compare.
    """
    lamellae = twin_lamellae(twins)
    lamellae = lamellae[lamellae["aspect_ratio"] >= LEAST_ASPECT]
    fragments = twins.segmentation.table.set_index("fragment_id")
    axis = fragments["long_axis_deg"].reindex(lamellae["fragment_id"]).to_numpy()
    trace = lamellae["k1_trace_deg"].to_numpy()
    deviations = (np.abs(line_difference(axis, sign * trace)) for sign in (1, -1))
    return FrameCheck(*deviations, tolerance_deg=15.0)
