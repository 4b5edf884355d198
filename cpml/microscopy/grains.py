"""Grains of an EBSD map: connected pixels of one phase whose neighbours differ by less than a threshold.

    pixels a, b joined  <=>  neighbours, indexed, same phase, theta_ab < threshold;   grains = connected
    components

Grains below `min_pixels` are dropped; pixels without a grain (dropped or not indexed) may take the label of
the nearest grain within `reach` steps; grains that meet in such a closed gap with less than the threshold
between them become one. An adopted pixel counts for the area and the boundary of the grain, never for its
orientation, spread, KAM or GROD; `source` names the measured pixel that stands in for it.

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
from cpml.microscopy import boundaries as network
from cpml.microscopy.ebsd_map import EbsdMap
from cpml.microscopy.means import mean_orientations
from cpml.microscopy.neighbours import neighbour_angles
from cpml.microscopy.shapes import shape_columns

DEFAULT_REACH = 3.0


@dataclass(frozen=True)
class Grains:
    """Segmented map; tables are made when first asked for (columns in DESIGN and in each property)."""

    map: EbsdMap
    threshold: float
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

        grain_id, phase, n_pixels (measured), area_um2 (with adopted pixels), equivalent_diameter_um, x_um,
        y_um, qw, qx, qy, qz (mean), gos_deg, on_edge, aspect_ratio, long_axis_deg (on screen).
        """
        ids = np.arange(1, self.n_grains + 1)
        n_pixels = np.bincount(self.own, minlength=self.n_grains + 1)[1:]
        spread = np.bincount(self.own, np.nan_to_num(self.deviation), self.n_grains + 1)[1:]
        shape = shape_columns(self.map, self.label, self.n_grains)
        return pd.DataFrame(
            {
                "grain_id": ids,
                "phase": self.phase,
                "n_pixels": n_pixels,
                **{k: shape[k] for k in ("area_um2", "equivalent_diameter_um", "x_um", "y_um")},
                **dict(zip(("qw", "qx", "qy", "qz"), self.mean_quaternions.T)),
                "gos_deg": np.degrees(spread / n_pixels),
                **{k: shape[k] for k in ("on_edge", "aspect_ratio", "long_axis_deg")},
            }
        )

    @cached_property
    def segments(self) -> pd.DataFrame:
        """One row a pixel edge between two grains (see cpml.microscopy.boundaries)."""
        return network.segment_table(self)

    @cached_property
    def boundaries(self) -> pd.DataFrame:
        """One row a pair of touching grains (see cpml.microscopy.boundaries)."""
        return network.boundary_table(self)

    @cached_property
    def graph(self) -> sparse.csr_matrix:
        """(G, G) symmetric, shared boundary length in um; row i is grain i + 1."""
        return network.length_graph(
            self.boundaries[["grain_a", "grain_b"]].to_numpy(),
            self.boundaries["length_um"].to_numpy(),
            self.n_grains,
        )


def segment(
    ebsd_map: EbsdMap, *, threshold: float = 5.0, min_pixels: int = 1, reach: float | None = None
) -> Grains:
    """Grains of a map.

    Parameters
    ----------
    threshold : disorientation of neighbours, deg, from which on they belong to different grains
    min_pixels : grains with fewer measured pixels are dropped
    reach : pixels without a grain take the nearest grain's label up to this many steps away; 0 leaves them
        out.
        None: 0 when nothing is dropped (min_pixels = 1), else 3

    Raises
    ------
    ParameterError : a threshold outside 0 to 180 deg, min_pixels below 1, a negative reach, or no grain left
    """
    if not 0 < threshold <= 180 or min_pixels < 1 or (reach is not None and not reach >= 0):
        raise ParameterError(
            f"threshold {threshold} (0 to 180 deg), min_pixels {min_pixels} (1 or more) or "
            f"reach {reach} (0 or more steps) is out of range"
        )
    label = _components(ebsd_map, threshold)
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
        label, source = _adopt(ebsd_map, label, source, reach)
        label = _joined_across_gaps(ebsd_map, label, source, threshold)
    return Grains(ebsd_map, float(threshold), int(min_pixels), label, source, n_dropped)


def _components(ebsd_map: EbsdMap, threshold: float) -> NDArray:
    """(N,) 1.. of the connected components in map order, 0 where not indexed."""
    pairs = ebsd_map.neighbours
    joined = pairs[neighbour_angles(ebsd_map, pairs) < np.radians(threshold)]
    n = ebsd_map.n_pixels
    links = sparse.coo_matrix(
        (np.ones(len(joined), np.int8), (joined[:, 0], joined[:, 1])), shape=(n, n)
    ).tocsr()
    component = connected_components(links, directed=False)[1]
    used, first = np.unique(component[ebsd_map.indexed], return_index=True)
    number = np.zeros(component.max() + 1, np.int32)
    number[used[np.argsort(first, kind="stable")]] = np.arange(1, len(used) + 1)
    return np.where(ebsd_map.indexed, number[component], 0)


def _adopt(ebsd_map: EbsdMap, label: NDArray, source: NDArray, reach: float) -> tuple[NDArray, NDArray]:
    """Label and source of pixels without a grain from the nearest pixel that has one, up to `reach` steps
    away.
    """
    empty = np.flatnonzero(label == 0)
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


def _joined_across_gaps(ebsd_map: EbsdMap, label: NDArray, source: NDArray, threshold: float) -> NDArray:
    """Label (N,) after grains of one orientation that meet in a closed gap have become one, renumbered in
    order.
    """
    pairs = ebsd_map.neighbours
    pairs = pairs[(label[pairs[:, 0]] != label[pairs[:, 1]]) & (label[pairs] > 0).all(axis=1)]
    meets = (source[pairs] != pairs).any(axis=1)  # of measured pixels the first pass has decided already
    pairs = pairs[meets]
    joined = label[pairs[neighbour_angles(ebsd_map, source[pairs]) < np.radians(threshold)]]
    n = label.max() + 1
    links = sparse.coo_matrix((np.ones(len(joined)), (joined[:, 0], joined[:, 1])), shape=(n, n))
    return connected_components(links, directed=False)[1].astype(np.int32)[label]
