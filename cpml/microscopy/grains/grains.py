"""Grains of an EBSD map: connected pixels of one phase whose neighbours differ by less than a threshold.

    pixels a, b joined  <=>  neighbours, indexed, same phase, theta_ab < threshold;   grains = connected
    components

The threshold may differ from phase to phase. Grains below `min_pixels` are dropped; pixels without a grain
(dropped or not indexed) may take the label of the nearest grain within `reach` steps; grains that meet in
such a closed gap with less than the threshold between them become one. An adopted pixel counts for the area
and the boundary of the grain, never for its orientation, spread, KAM or GROD; `source` names the measured
pixel that stands in for it. With unindexed="region", connected pixels without orientation become regions of
their own instead: phase 0, no orientation, last in the numbering.

| symbol | meaning | unit, shape |
|---|---|---|
| label | grain of each pixel, 0 = none, else 1..G | (N,) |
| source | measured pixel that speaks for a pixel, itself mostly, -1 = none | (N,) |
| GOS | mean disorientation of the measured pixels to the grain's mean | deg |

Reference: Bachmann, Hielscher & Schaeben 2011, Ultramicroscopy 111:1720.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import ndimage, sparse
from scipy.sparse.csgraph import connected_components
from scipy.spatial import cKDTree

from cpml.crystallography.disorientation import pair_angles
from cpml.crystallography.symmetry import proper_group
from cpml.errors import ParameterError
from cpml.microscopy.grains import boundaries as network
from cpml.microscopy.grains.outline import Outline, outline
from cpml.microscopy.grains.shapes import shape_columns
from cpml.microscopy.maps.ebsd_map import EbsdMap
from cpml.microscopy.maps.means import mean_orientations
from cpml.microscopy.maps.neighbours import neighbour_angles

DEFAULT_REACH = 3.0


@dataclass(frozen=True)
class Grains:
    """Segmented map; tables are made when first asked for."""

    map: EbsdMap
    threshold: float | dict[str, float]
    min_pixels: int
    label: NDArray
    source: NDArray
    n_dropped: int

    @property
    def n_grains(self) -> int:
        """Number of grains G."""
        return int(self.label.max(initial=0))

    @cached_property
    def measured(self) -> NDArray:
        """(N,) bool, pixels whose own orientation belongs to their grain."""
        return (self.label > 0) & (self.source == np.arange(len(self.source)))

    @cached_property
    def own(self) -> NDArray:
        """(N,) label of the measured pixels, 0 elsewhere."""
        return np.where(self.measured, self.label, 0)

    @cached_property
    def phase(self) -> NDArray:
        """(G,) phase id of each grain."""
        phase = np.zeros(self.n_grains + 1, np.int32)
        phase[self.own] = self.map.phase_id
        return phase[1:]

    @cached_property
    def mean_quaternions(self) -> NDArray:
        """(G, 4) mean crystal_to_sample orientation of each grain."""
        mean = np.full((self.n_grains, 4), np.nan)
        for phase_id, phase in self.map.phases.items():
            chosen = np.where(self.map.phase_id == phase_id, self.own, 0) - 1
            if np.any(chosen >= 0):
                found = mean_orientations(
                    self.map.quaternions, chosen, self.n_grains, proper_group(phase.group)
                )
                mean[self.phase == phase_id] = found[self.phase == phase_id]
        return mean

    @cached_property
    def deviation(self) -> NDArray:
        """(N,) disorientation of each measured pixel to the mean of its grain, rad; NaN elsewhere."""
        out = np.full(self.map.n_pixels, np.nan)
        for phase_id, phase in self.map.phases.items():
            pixel = np.flatnonzero(self.measured & (self.map.phase_id == phase_id))
            pairs = np.stack([pixel, self.label[pixel] - 1], axis=1)
            out[pixel] = pair_angles(
                self.map.quaternions, pairs, proper_group(phase.group), other=self.mean_quaternions
            )
        return out

    @cached_property
    def table(self) -> pd.DataFrame:
        """One row a grain.

        fragment_id, phase, n_pixels (measured), area_um2 (with adopted pixels), equivalent_diameter_um, x_um,
        y_um, qw, qx, qy, qz (mean), gos_deg, on_edge, aspect_ratio, long_axis_deg (on screen).
        """
        ids = np.arange(1, self.n_grains + 1)
        n_pixels = np.bincount(self.own, minlength=self.n_grains + 1)[1:]
        spread = np.bincount(self.own, np.nan_to_num(self.deviation), self.n_grains + 1)[1:]
        shape = shape_columns(self.map, self.label, self.n_grains)
        return pd.DataFrame(
            {
                "fragment_id": ids,
                "phase": self.phase,
                "n_pixels": n_pixels,
                **{k: shape[k] for k in ("area_um2", "equivalent_diameter_um", "x_um", "y_um")},
                **dict(zip(("qw", "qx", "qy", "qz"), self.mean_quaternions.T, strict=True)),
                "gos_deg": np.degrees(spread / np.where(n_pixels > 0, n_pixels, np.nan)),
                **{k: shape[k] for k in ("on_edge", "aspect_ratio", "long_axis_deg")},
            }
        )

    @cached_property
    def outline(self) -> Outline:
        """The smooth curves round all grains (see cpml.microscopy.grains.outline)."""
        return outline(self.map, self.label)

    @cached_property
    def segments(self) -> pd.DataFrame:
        """One row a pixel edge between two grains (see cpml.microscopy.grains.boundaries)."""
        return network.segment_table(self)

    @cached_property
    def boundaries(self) -> pd.DataFrame:
        """One row a pair of touching grains (see cpml.microscopy.grains.boundaries)."""
        return network.boundary_table(self)

    @cached_property
    def graph(self) -> sparse.csr_matrix:
        """(G, G) symmetric, shared boundary length in um; row i is grain i + 1."""
        return network.length_graph(
            self.boundaries[["fragment_a", "fragment_b"]].to_numpy(),
            self.boundaries["length_um"].to_numpy(),
            self.n_grains,
        )


def segment(
    ebsd_map: EbsdMap,
    *,
    threshold: float | dict[str, float] = 5.0,
    min_pixels: int = 1,
    reach: float | None = None,
    unindexed: str = "grow",
) -> Grains:
    """Grains of a map.

    Parameters
    ----------
    threshold : disorientation of neighbours, deg, from which on they belong to different grains;
        {phase name: deg} for phases that differ
    min_pixels : grains with fewer measured pixels are dropped
    reach : pixels without a grain take the nearest grain's label up to this many steps away; 0 leaves them
        out. None: 0 when nothing is dropped (min_pixels = 1), else 3
    unindexed : "grow" lets grains grow into pixels without orientation, as far as `reach` allows; "region"
        makes connected pixels without orientation regions of their own (phase 0), whatever their size

    Raises
    ------
    ParameterError : a threshold outside 0 to 180 deg or for an unknown phase, min_pixels below 1, a negative
        reach, an unknown policy, or no grain left
    """
    limits = _thresholds(ebsd_map, threshold)
    is_wrong_reach = reach is not None and not reach >= 0
    if not all(0 < t <= 180 for t in limits.values()) or min_pixels < 1 or is_wrong_reach:
        raise ParameterError(
            f"threshold {threshold} (0 to 180 deg), min_pixels {min_pixels} (1 or more) or "
            f"reach {reach} (0 or more steps) is out of range"
        )
    if unindexed not in ("grow", "region"):
        raise ParameterError(f"unindexed {unindexed!r}: give 'grow' or 'region'")
    label = _components(ebsd_map, limits)
    counts = np.bincount(label)
    keep = counts >= min_pixels
    keep[0] = False
    n_dropped = int(len(counts) - 1 - keep.sum())
    if not keep.any():
        raise ParameterError(
            f"map {ebsd_map.name!r} has no grain of {min_pixels} pixels or more at {threshold} deg; "
            f"the largest has {counts[1:].max(initial=0)}: lower min_pixels or raise the threshold"
        )
    label = (np.cumsum(keep) * keep).astype(np.int32)[label]
    source = np.where(label > 0, np.arange(len(label)), -1)
    reach = (0.0 if min_pixels == 1 else DEFAULT_REACH) if reach is None else reach
    if reach > 0:
        closed = label > 0 if unindexed == "grow" else (label > 0) | ~ebsd_map.indexed
        label, source = _adopt(ebsd_map, label, source, reach, closed)
        label = _joined_across_gaps(ebsd_map, label, source, limits)
    if unindexed == "region":
        label = _with_regions(ebsd_map, label)
    return Grains(ebsd_map, _plain(threshold), int(min_pixels), label, source, n_dropped)


def _plain(threshold: float | dict[str, float]) -> float | dict[str, float]:
    return {k: float(v) for k, v in threshold.items()} if isinstance(threshold, dict) else float(threshold)


def _thresholds(ebsd_map: EbsdMap, threshold: float | dict[str, float]) -> dict[int, float]:
    """Threshold, deg, of each phase number."""
    if not isinstance(threshold, dict):
        return dict.fromkeys(ebsd_map.phases, threshold)
    names = {phase.name for phase in ebsd_map.phases.values()}
    if set(threshold) != names:
        wrong = min(set(threshold) ^ names)
        raise ParameterError(f"threshold {threshold}: give one for each of {sorted(names)}; check {wrong!r}")
    return {i: threshold[phase.name] for i, phase in ebsd_map.phases.items()}


def _below(ebsd_map: EbsdMap, pairs: NDArray, limits: dict[int, float]) -> NDArray:
    """(P,) bool, pairs of one phase whose disorientation is below the threshold of that phase."""
    angle = neighbour_angles(ebsd_map, pairs)
    if len(set(limits.values())) == 1:
        return angle < np.radians(next(iter(limits.values())))
    limit = np.zeros(max(ebsd_map.phases) + 1)
    limit[list(limits)] = np.radians(list(limits.values()))
    return angle < limit[ebsd_map.phase_id[pairs[:, 0]]]


def _connected(n: int, pairs: NDArray) -> NDArray:
    """(n,) number of the connected component of each of n points."""
    links = sparse.coo_matrix((np.ones(len(pairs), bool), (pairs[:, 0], pairs[:, 1])), shape=(n, n)).tocsr()
    return connected_components(links, directed=False)[1]


def _numbered(component: NDArray, inside: NDArray) -> NDArray:
    """(N,) 1.. of the components inside a mask, in map order; 0 outside."""
    used, first = np.unique(component[inside], return_index=True)
    number = np.zeros(component.max() + 1, np.int32)
    number[used[np.argsort(first, kind="stable")]] = np.arange(1, len(used) + 1)
    return np.where(inside, number[component], 0)


def _components(ebsd_map: EbsdMap, limits: dict[int, float]) -> NDArray:
    """(N,) 1.. of the connected components in map order, 0 where not indexed."""
    pairs = ebsd_map.neighbours
    component = _connected(ebsd_map.n_pixels, pairs[_below(ebsd_map, pairs, limits)])
    return _numbered(component, ebsd_map.indexed)


def _with_regions(ebsd_map: EbsdMap, label: NDArray) -> NDArray:
    """Label (N,) with connected pixels that are not indexed numbered after the grains."""
    empty = ~ebsd_map.indexed
    pairs = ebsd_map.neighbours
    region = _numbered(_connected(ebsd_map.n_pixels, pairs[empty[pairs].all(axis=1)]), empty)
    return np.where(region > 0, region + label.max(initial=0), label).astype(np.int32)


def _adopt(
    ebsd_map: EbsdMap, label: NDArray, source: NDArray, reach: float, closed: NDArray
) -> tuple[NDArray, NDArray]:
    """Label and source of pixels that are not `closed` from the nearest pixel that has a grain, up to
    `reach` steps away.
    """
    empty = np.flatnonzero(~closed)
    if not len(empty):
        return label, source
    if ebsd_map.grid == "square":
        distance, nearest = ndimage.distance_transform_edt(ebsd_map.image(label == 0), return_indices=True)
        found = np.ravel_multi_index(tuple(nearest), ebsd_map.shape).ravel()[empty]
        distance = distance.ravel()[empty]
    else:
        full = np.flatnonzero(label > 0)
        distance, position = cKDTree(ebsd_map.xy[full]).query(ebsd_map.xy[empty])
        distance, found = distance / ebsd_map.step_um, full[position]
    near = distance <= reach + 1e-6
    label, source = label.copy(), source.copy()
    source[empty[near]] = found[near]
    label[empty[near]] = label[found[near]]
    return label, source


def _joined_across_gaps(
    ebsd_map: EbsdMap, label: NDArray, source: NDArray, limits: dict[int, float]
) -> NDArray:
    """Label (N,) after grains of one orientation that meet in a closed gap have become one,
    renumbered in order.
    """
    pairs = ebsd_map.neighbours
    pairs = pairs[(label[pairs[:, 0]] != label[pairs[:, 1]]) & (label[pairs] > 0).all(axis=1)]
    meets = (source[pairs] != pairs).any(axis=1)  # of measured pixels the first pass has decided already
    pairs = pairs[meets]
    joined = label[pairs[_below(ebsd_map, source[pairs], limits)]]
    return _connected(label.max() + 1, joined).astype(np.int32)[label]
