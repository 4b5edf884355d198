"""All frames of a map ranked by what lies along crystal planes in it, and by its twins.

The turns that a map file can be wrong by are those of a square, about the pixel axes x, y, z; each changes
the direction of every theoretical line on the surface, none its relation to the crystal:

| turn C | direction t of a line becomes | same lines under |
|---|---|---|
| identity | t | z180 |
| x180 | -t | y180 |
| z90 | t + 90 deg | z-90 |
| 180 deg about x + y | 90 deg - t | 180 deg about x - y |

Footprints are lines drawn or detected (near a slip plane's trace), long axes of twin lamellae (near the
trace of K1) and pairs of fragments in twin relation. The hexagonal axis, a or a* (30 deg about c), changes
all three, the frame the first two. Each footprint says yes or no under each choice, and a choice is ruled out
when the best one explains more of those that tell the two apart than chance would (one-sided sign test, for
all choices together). A trace test cannot tell a turn from the same with 180 deg about z: such turns share a
row.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy.stats import binomtest

from cpml.crystallography.rotations import axis_angle_to_quaternion, quaternion_multiply
from cpml.crystallography.slip_systems import Systems
from cpml.crystallography.slip_traces import line_difference, slip_traces
from cpml.microscopy.grains.grains import Grains
from cpml.microscopy.maps.ebsd_map import EbsdMap
from cpml.microscopy.maps.frames import HEXAGONAL, PRESETS, frame_rotation
from cpml.microscopy.twins.evidence import twin_lamellae
from cpml.microscopy.twins.twins import find_twins

TURNS = {
    ("identity", "z180"): lambda t: t,
    ("x180", "y180"): lambda t: -t,
    ("z90", "z-90"): lambda t: t + 90.0,
    ("edax1", "edax2"): lambda t: 90.0 - t,
}
"""The two turns, by their presets, that give the same lines, and what they do to a direction in deg."""
NEAR_PLANE_DEG, NEAR_K1_DEG = 4.0, 15.0
LEAST_ASPECT = 2.5
"""Rounder lamellae have no direction to compare."""
CLEAR = 0.01
"""Probability of a chance result, for all choices together, below which one is ruled out."""


@dataclass(frozen=True)
class FrameRanking:
    """How many footprints each choice of frame and hexagonal axis explains.

    Attributes
    ----------
    table : frames (presets that share the row), hexagonal_axis ("as read", "turned by 30 deg", "-"), traces,
        lamellae, twins (explained of each kind), explained (all), only_best, only_this (footprints that tell
        this choice from the best), p_value, verdict ("best", "not told apart", "ruled out"), as_read
    n : footprints of each kind
    """

    table: pd.DataFrame
    n: dict[str, int]

    @property
    def verdict(self) -> str:
        """ "supported" (all others are ruled out), "contradicted" (that of the map is) or "undecided"."""
        mine = self.table.loc[self.table["as_read"], "verdict"].iloc[0]
        if mine == "ruled out":
            return "contradicted"
        left = int((self.table["verdict"] != "ruled out").sum())
        return "supported" if left == 1 else "undecided"

    @property
    def best(self) -> pd.Series:
        """The row that explains most."""
        return self.table.iloc[0]


def rank_frames(
    fragments: Grains,
    lines: pd.DataFrame,
    systems: Mapping[int, Systems],
    *,
    turn: ArrayLike | None = None,
    twin_types: tuple[str, ...] | None = None,
    twin_tolerance: float = 5.0,
) -> FrameRanking:
    """Frames and hexagonal axes of a map, the choice that explains most footprints first.

    Parameters
    ----------
    fragments : segmented map, in the frame to be tested, twins not merged
    lines : grain_id (fragment), angle_deg; rows without an angle are left out
    systems : of each phase of the map that has slip systems
    turn : quaternion (4,) by which the map was turned into its frame, to name the choices by their presets;
        None: it was not turned
    twin_types, twin_tolerance : as of `find_twins`
    """
    lines = lines.dropna(subset=["angle_deg"]).groupby("grain_id", as_index=False).first()
    hexagonal = [i for i, phase in fragments.map.phases.items() if phase.group in HEXAGONAL]
    axes = ["as read", "turned by 30 deg"] if hexagonal else ["-"]
    found = []
    for k, axis in enumerate(axes):
        version = fragments
        if k:
            version = replace(fragments, map=_other_axis(fragments.map, hexagonal))
        near_plane = _near_planes(version, lines, systems)
        twins = find_twins(version, types=twin_types, tolerance=twin_tolerance)
        lamellae = twin_lamellae(twins)
        lamellae = lamellae[lamellae["aspect_ratio"] >= LEAST_ASPECT]
        long_axis = version.table.set_index("fragment_id")["long_axis_deg"]
        pairs = set(map(tuple, np.sort(twins.pairs[["fragment_a", "fragment_b"]].to_numpy(int), axis=1)))
        for frames, change in TURNS.items():
            away = np.abs(
                line_difference(
                    long_axis.reindex(lamellae["fragment_id"]).to_numpy(),
                    change(lamellae["k1_trace_deg"].to_numpy()),
                )
            )
            along = set(lamellae["fragment_id"].to_numpy()[away <= NEAR_K1_DEG].tolist())
            is_read = k == 0 and frames[0] == "identity"
            found.append((_named(frames, turn), axis, near_plane(change), along, pairs, is_read))
    return _ranked(found, len(lines))


def _other_axis(ebsd_map: EbsdMap, hexagonal: list[int]) -> EbsdMap:
    """The map with its hexagonal crystals turned by 30 deg about c."""
    chosen = np.isin(ebsd_map.phase_id, hexagonal)
    q = ebsd_map.quaternions.copy()
    q[chosen] = quaternion_multiply(q[chosen], axis_angle_to_quaternion([0.0, 0.0, 1.0], np.pi / 6))
    return replace(ebsd_map, quaternions=q)


def _near_planes(fragments: Grains, lines: pd.DataFrame, systems: Mapping[int, Systems]):
    """Function of a change of directions -> (L,) bool, lines near a slip plane's trace of their grain."""
    row = lines["grain_id"].to_numpy(int) - 1
    inside = (row >= 0) & (row < fragments.n_grains)
    angle = lines["angle_deg"].to_numpy(float)
    theory = []
    for phase_id, found in systems.items():
        chosen = inside & (fragments.phase[np.where(inside, row, 0)] == phase_id)
        planes = np.unique(found.plane_id[found.slip])
        traces = np.full((len(lines), len(planes)), np.nan)
        q = fragments.mean_quaternions[row[chosen]]
        traces[chosen] = slip_traces(q, found).angle_deg[:, planes]
        theory.append(traces)

    def near(change) -> NDArray:
        hit = np.zeros(len(lines), bool)
        for traces in theory:
            away = np.abs(line_difference(angle[:, None], change(traces)))
            hit |= (np.nan_to_num(away, nan=np.inf) <= NEAR_PLANE_DEG).any(axis=1)
        return hit

    return near


def _named(frames: tuple[str, str], turn: ArrayLike | None) -> str:
    """Presets of the file's frame that a turn of the map, after the one that was applied, amounts to."""
    names = []
    for name in frames:
        total = frame_rotation(name)
        if turn is not None:
            total = quaternion_multiply(total, np.asarray(turn, float))
        same = [p for p in PRESETS if abs(np.dot(frame_rotation(p), total)) > 1 - 1e-9]
        # presets of vendors have plain ones of the same turn
        names.append(same[0] if same else (name if turn is None else f"as read, then {name}"))
    return " or ".join(names)


def _ranked(found: list[tuple], n_lines: int) -> FrameRanking:
    lamellae = sorted(set().union(*(along for _, _, _, along, _, _ in found)))
    pairs = sorted(set().union(*(related for _, _, _, _, related, _ in found)))
    evidence = np.array(
        [
            [*near, *(fragment in along for fragment in lamellae), *(pair in related for pair in pairs)]
            for _, _, near, along, related, _ in found
        ],
        dtype=bool,
    ).reshape(len(found), -1)
    total = evidence.sum(axis=1)
    order = np.lexsort(([not read for *_, read in found], -total))
    best = evidence[order[0]]
    rows = []
    for k in order:
        frames, axis, near, along, related, is_read = found[k]
        only_best, only_this = int((best & ~evidence[k]).sum()), int((evidence[k] & ~best).sum())
        trials = only_best + only_this
        p = 1.0
        if k != order[0] and trials:
            p = binomtest(only_best, trials, alternative="greater").pvalue * (len(found) - 1)
        is_best = k == order[0] and total[k] > 0
        verdict = "best" if is_best else "ruled out" if p < CLEAR else "not told apart"
        kinds = int(near.sum()), len(along), len(related), int(total[k])
        rows.append((frames, axis, *kinds, only_best, only_this, min(p, 1.0), verdict, is_read))
    columns = ["frames", "hexagonal_axis", "traces", "lamellae", "twins", "explained"]
    columns += ["only_best", "only_this", "p_value", "verdict", "as_read"]
    n = {"traces": n_lines, "lamellae": len(lamellae), "twins": len(pairs)}
    return FrameRanking(pd.DataFrame(rows, columns=columns), n)
