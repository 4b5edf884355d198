"""Which grain of a step is which grain of the reference, and how far the lattice of each has turned.

Points of the reference are taken to the step's map; grains that lie on each other and agree in orientation
are one grain. One to many is a grain that was split, many to one are grains that became one.

    share_of_grain = common area / area of the reference grain that the step's map shows
    share_of_step_grain = the same of the step's grain
    quality = common area / area covered by either

A pair is kept when half of either grain is common, or when each is the other's best and a tenth is; when half
of both is common they may differ by twice the tolerance, since a grain that has turned far keeps its place.
Outlines may have moved (growth, a strain that is not even): orientation and overlap decide, not the outline.

Lattice rotation, sample frame of the reference, from the common area alone:

    w_i = log( Q* q_step q_reference* ),   Q: mean over all grains

    se_i^2 = (d_r^2 / n_r + d_s^2 / n_s + (1 - quality)^2 (s_r^2 + s_s^2)) / 3      per axis

| symbol | meaning |
|---|---|
| d | rms angle of the error of one point of either map; n points of the grain in the common area |
| s | rms angle of the grain's own spread beyond d, of which a mismatch of the outlines takes its share |
| Q | rotation common to all grains: the specimen put back at another angle, or all lattices turning alike |

Nothing in two maps tells these two meanings of Q apart, so it is reported beside the rotations and never part
of them. An error that all points of a grain share (pattern centre, distortion of the scan) is not in se.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cpml.crystallography.rotations import quaternion_multiply
from cpml.microscopy.maps.means import exponential
from cpml.microscopy.tracking.placement import TOLERANCE_DEG, Placement, pair_rotations, place, unturned
from cpml.microscopy.tracking.regions import Regions

PAIR_COLUMNS = ("grain_id", "step_grain_id", "share_of_grain", "share_of_step_grain", "deviation_deg")
GRAIN_COLUMNS = (
    *("grain_id", "status", "n_matched", "step_grain_id", "share_seen", "quality", "n_points"),
    *("n_points_step", "rotation_deg", "axis_x", "axis_y", "axis_z", "rotation_x_deg", "rotation_y_deg"),
    *("rotation_z_deg", "rotation_se_deg", "noise_deg"),
)
NEW_COLUMNS = ("step_grain_id", "area_um2", "x_um", "y_um", "inside_grain_id", "deviation_deg")
HALF, TENTH = 0.5, 0.1
SEEN = 0.25
"""Share of a grain that the step's map must show before its absence means anything."""


@dataclass(frozen=True)
class Tracks:
    """Grains of a step told apart; see `track_grains` for the columns."""

    placement: Placement
    pairs: pd.DataFrame
    grains: pd.DataFrame
    new: pd.DataFrame
    common_deg: NDArray
    common_se_deg: NDArray


def track_grains(
    reference: Regions,
    step: Regions,
    *,
    points: Sequence[Sequence[float]] | None = None,
    tolerance_deg: float = TOLERANCE_DEG,
) -> Tracks:
    """Follow the grains of a reference map into another map of the specimen.

    Parameters
    ----------
    points : homologous points, as in `cpml.microscopy.tracking.placement.place`
    tolerance_deg : largest lattice rotation of a grain against the common one

    Returns
    -------
    Tracks
        .placement : how the maps lie on each other
        .pairs : grain_id, step_grain_id, share_of_grain, share_of_step_grain, deviation_deg (of the means,
            after the common rotation)
        .grains : one row a reference grain: grain_id, status, n_matched, step_grain_id (the largest part, 0:
            none), share_seen (of its area in the step's map), quality, n_points, n_points_step,
            rotation_deg, axis_x, axis_y, axis_z, rotation_x_deg, rotation_y_deg, rotation_z_deg,
            rotation_se_deg (per axis), noise_deg (mean angle that noise alone would read)
        .new : step_grain_id, area_um2, x_um, y_um (in the step's map), inside_grain_id (reference grain below
            most of it), deviation_deg (to that one)
        .common_deg, .common_se_deg : (3,) rotation vector of Q, deg, sample frame; error of its mean

    status is "matched", "split", "merged" (several reference grains in one of the step), "missing" (its place
    is there, its orientation is not) or "outside" (less than a quarter of it is in the step's map)

    Raises
    ------
    ParameterError : no placement under which the grains agree
    """
    placement = place(reference, step, points=points, tolerance_deg=tolerance_deg)
    cover = _Cover.of(reference, step, placement)
    pairs = _pairs(reference, step, cover, placement.common, np.radians(tolerance_deg))
    grains, common, common_se = _rotations(reference, step, cover, pairs, placement.common)
    return Tracks(
        placement,
        pairs,
        grains,
        _new_grains(reference, step, cover, pairs, placement.common),
        common,
        common_se,
    )


@dataclass(frozen=True)
class _Cover:
    """Two maps laid over each other: for the points of each the grain of the other, 0 for none."""

    below: NDArray  # (N_r,) step grain at each reference point
    above: NDArray  # (N_s,) reference grain at each step point
    seen: NDArray  # (G_r + 1,) reference points of each grain inside the step's map
    shown: NDArray  # (G_s + 1,) step points of each grain inside the reference map
    first: NDArray  # (P,) reference grain, step grain, and share of common area in each
    second: NDArray
    share_first: NDArray
    share_second: NDArray

    @classmethod
    def of(cls, reference: Regions, step: Regions, placement: Placement) -> "_Cover":
        there = step.point_at(placement.to_step(reference.map.xy))
        here = reference.point_at(placement.to_reference(step.map.xy))
        below, above = np.r_[step.label, 0][there], np.r_[reference.label, 0][here]
        seen = np.bincount(reference.label[there >= 0], minlength=reference.n_grains + 1)
        shown = np.bincount(step.label[here >= 0], minlength=step.n_grains + 1)
        # a coarse map may have no point where the other has one: each side counts its own points
        codes = [
            _codes(a, b, step.n_grains)[(a > 0) & (b > 0)]
            for a, b in ((reference.label, below), (above, step.label))
        ]
        pairs, counts = zip(*(np.unique(code, return_counts=True) for code in codes), strict=True)
        both = np.unique(np.concatenate(pairs))
        in_first, in_second = np.zeros((2, len(both)))
        in_first[np.searchsorted(both, pairs[0])] = counts[0]
        in_second[np.searchsorted(both, pairs[1])] = counts[1]
        first, second = np.divmod(both, step.n_grains + 1)
        return cls(
            below, above, seen, shown, first, second,
            np.minimum(in_first / np.maximum(seen[first], 1), 1.0),
            np.minimum(in_second / np.maximum(shown[second], 1), 1.0),
        )  # fmt: skip


def _codes(first: NDArray, second: NDArray, n_second: int) -> NDArray:
    """One number for each pair of a reference grain and a step grain."""
    return np.asarray(first, np.int64) * (n_second + 1) + second


def _pairs(
    reference: Regions, step: Regions, cover: _Cover, common: NDArray, tolerance: float
) -> pd.DataFrame:
    """Pairs of one orientation that share enough area."""
    deviation = _deviation(reference, step, cover.first, cover.second, common)
    table = pd.DataFrame(
        {
            "grain_id": cover.first,
            "step_grain_id": cover.second,
            "share_of_grain": cover.share_first,
            "share_of_step_grain": cover.share_second,
            "deviation_deg": np.degrees(deviation),
        }
    )
    shares = table[["share_of_grain", "share_of_step_grain"]]
    table = table[deviation < tolerance * np.where(shares.min(axis=1) >= HALF, 2, 1)]
    larger = shares.loc[table.index].max(axis=1)
    is_best = pd.Series(True, index=table.index)
    for column, share in (("grain_id", "share_of_grain"), ("step_grain_id", "share_of_step_grain")):
        is_best &= table[share] == table.groupby(column)[share].transform("max")
    kept = table[(larger >= HALF) | (is_best & (larger >= TENTH))]
    return kept.sort_values(["grain_id", "share_of_grain"], ascending=[True, False]).reset_index(drop=True)


def _deviation(reference: Regions, step: Regions, i: NDArray, j: NDArray, common: NDArray) -> NDArray:
    """(P,) angle, rad, between grains i and j (from 1) after the common rotation; infinite between phases."""
    i, j = i - 1, j - 1
    rest = pair_rotations(reference, reference.quaternions[i], i, unturned(common, step.quaternions[j]))
    same = reference.phase_names[i] == step.phase_names[j]
    return np.where(same, np.nan_to_num(np.linalg.norm(rest, axis=1), nan=np.inf), np.inf)


def _rotations(
    reference: Regions, step: Regions, cover: _Cover, pairs: pd.DataFrame, common: NDArray
) -> tuple[pd.DataFrame, NDArray, NDArray]:
    """The table of grains, the common rotation (3,) and its standard error (3,), deg."""
    n = reference.n_grains
    matched = _codes(pairs["grain_id"], pairs["step_grain_id"], step.n_grains)
    here = reference.speaks & np.isin(_codes(reference.label, cover.below, step.n_grains), matched)
    there = step.speaks & np.isin(_codes(cover.above, step.label, step.n_grains), matched)
    q_here, square_here, n_here = reference.means(here)
    # the points of a step's grain by the reference grain that they lie in: parts of one grain count together
    as_reference = Regions(step.map, np.where(there, cover.above, 0), there, reference.table, step.noise_deg)
    q_there, square_there, n_there = as_reference.means(there)

    i = np.arange(n)
    rest = pair_rotations(reference, quaternion_multiply(common, q_here), i, q_there)
    for _ in range(5):
        shift = _central(rest)
        common = quaternion_multiply(exponential(shift[None])[0], common)
        rest = pair_rotations(reference, quaternion_multiply(common, q_here), i, q_there)
    inside = _is_central(rest)
    count = max(int(inside.sum()), 1)
    common_se = (
        np.degrees(rest[inside].std(axis=0, ddof=1) / np.sqrt(count)) if count > 1 else np.full(3, np.nan)
    )
    rotation = np.degrees(pair_rotations(reference, q_here, i, unturned(common, q_there)))

    quality = _quality(reference, step, cover, pairs)
    variance = np.zeros(n)
    for r, square, points in ((reference, square_here, n_here), (step, square_there, n_there)):
        # without an estimate of the points' error all spread within a grain counts as such
        noise = np.where(r.noise_deg > 0, np.radians(r.noise_deg) ** 2, square)
        variance += noise / np.maximum(points, 1)
        variance += (1 - quality) ** 2 * np.maximum(square - noise, 0)
    error = np.degrees(np.sqrt(variance / 3))
    angle = np.linalg.norm(rotation, axis=1)
    known = np.isfinite(angle)
    axis = rotation / np.where(known & (angle > 0), angle, np.nan)[:, None]

    of_grain = pairs.groupby("grain_id")["step_grain_id"]
    n_matched = of_grain.size().reindex(i + 1, fill_value=0).to_numpy()
    total = np.bincount(reference.label, minlength=n + 1)[1:]
    seen = cover.seen[1:] / np.maximum(total, 1)
    shared = pairs.groupby("step_grain_id")["grain_id"].transform("size") > 1
    is_merged = np.isin(i + 1, pairs.loc[shared, "grain_id"])
    cases = [n_matched > 1, is_merged, n_matched == 1, seen < SEEN]
    table = pd.DataFrame(
        {
            "grain_id": i + 1,
            "status": np.select(cases, ["split", "merged", "matched", "outside"], "missing"),
            "n_matched": n_matched,
            "step_grain_id": of_grain.first().reindex(i + 1, fill_value=0).to_numpy(),
            "share_seen": seen,
            "quality": np.where(n_matched > 0, quality, np.nan),
            "n_points": n_here,
            "n_points_step": n_there,
            "rotation_deg": angle,
            **{f"axis_{c}": axis[:, k] for k, c in enumerate("xyz")},
            **{f"rotation_{c}_deg": rotation[:, k] for k, c in enumerate("xyz")},
            "rotation_se_deg": np.where(known, error, np.nan),
            "noise_deg": np.where(known, np.sqrt(8 / np.pi) * error, np.nan),
        }
    )
    total_rotation = 2 * np.arctan2(np.linalg.norm(common[1:]), abs(common[0])) * np.sign(common[0] or 1)
    direction = common[1:] / max(np.linalg.norm(common[1:]), 1e-15)
    return table, np.degrees(total_rotation * direction), common_se


def _quality(reference: Regions, step: Regions, cover: _Cover, pairs: pd.DataFrame) -> NDArray:
    """(G,) common area over the area of either, of each reference grain with all its parts."""
    i = pairs["grain_id"].to_numpy()
    common = np.bincount(i, pairs["share_of_grain"] * cover.seen[i], reference.n_grains + 1)[1:]
    # what of the step's grains lies beyond this grain, in reference points
    scale = np.where(pairs["share_of_step_grain"] > 0, pairs["share_of_step_grain"], np.nan)
    beyond = pairs["share_of_grain"] * cover.seen[i] * (1 / scale - 1)
    # parts of it that lie in another matched grain are that one's: several that became one are no mismatch
    others = (
        pairs.groupby("step_grain_id")["share_of_step_grain"].transform("sum") - pairs["share_of_step_grain"]
    )
    taken = pairs["share_of_grain"] * cover.seen[i] * others / scale
    extra = np.bincount(i, np.maximum(np.nan_to_num(beyond - taken), 0), reference.n_grains + 1)[1:]
    union = cover.seen[1:] + extra
    return np.clip(common / np.maximum(union, 1), 0, 1)


def _is_central(rest: NDArray) -> NDArray:
    """(G,) bool, rotations within three times the median distance from the median."""
    known = np.isfinite(rest).all(axis=1)
    if not known.any():
        return known
    distance = np.linalg.norm(rest - np.median(rest[known], axis=0), axis=1)
    return known & (distance <= 3 * max(float(np.median(distance[known])), 1e-12))


def _central(rest: NDArray) -> NDArray:
    """(3,) mean rotation vector of the grains, those far from the median left out."""
    inside = _is_central(rest)
    return rest[inside].mean(axis=0) if inside.any() else np.zeros(3)


def _new_grains(
    reference: Regions, step: Regions, cover: _Cover, pairs: pd.DataFrame, common: NDArray
) -> pd.DataFrame:
    """Grains of the step that are none of the reference, where the reference has looked."""
    ids = np.arange(1, step.n_grains + 1)
    total = np.bincount(step.label, minlength=step.n_grains + 1)[1:]
    looked = cover.shown[1:] >= SEEN * np.maximum(total, 1)
    ids = ids[~np.isin(ids, pairs["step_grain_id"]) & looked & (total > 0)]
    order = np.argsort(cover.share_second, kind="stable")
    host = np.zeros(step.n_grains + 1, int)
    host[cover.second[order]] = cover.first[order]  # the last one written has the largest share
    host = host[ids]
    deviation = np.full(len(ids), np.nan)
    deviation[host > 0] = np.degrees(_deviation(reference, step, host[host > 0], ids[host > 0], common))
    columns = step.table.iloc[ids - 1][["area_um2", "x_um", "y_um"]].reset_index(drop=True)
    return (
        pd.DataFrame({"step_grain_id": ids})
        .join(columns)
        .assign(inside_grain_id=host, deviation_deg=np.where(np.isfinite(deviation), deviation, np.nan))
    )
