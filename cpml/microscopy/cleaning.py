"""Cleaning of EBSD maps, off unless asked for: every changed point is counted and stays marked.

Small holes: connected regions of points without orientation take the orientation and phase of the nearest
indexed point. The copies are marked in properties["filled"]; they close gaps for the eye and for boundaries,
and they add nothing to what was measured: a copied neighbour has zero misorientation and lowers KAM.
"""

from dataclasses import dataclass, replace

import numpy as np
from scipy import sparse
from scipy.sparse.csgraph import connected_components
from scipy.spatial import cKDTree

from cpml.errors import ParameterError
from cpml.microscopy.ebsd_map import EbsdMap


@dataclass(frozen=True)
class Cleaned:
    """A cleaned map and what was done to it."""

    map: EbsdMap
    n_filled: int
    n_left: int

    @property
    def note(self) -> str:
        """One line for a report."""
        return (
            f"{self.n_filled} points filled, {self.n_left} left without orientation, of {self.map.n_pixels}"
        )


def fill_holes(ebsd_map: EbsdMap, *, max_pixels: int = 0) -> Cleaned:
    """Fill regions of at most `max_pixels` points without orientation from the nearest indexed point; 0 fills
    none.

    Raises
    ------
    ParameterError : a negative size
    """
    if max_pixels < 0:
        raise ParameterError(f"max_pixels {max_pixels}: 0 fills nothing, 5 fills holes of up to five points")
    holes = small_holes(ebsd_map, max_pixels)
    if not holes.any():
        return Cleaned(ebsd_map, 0, int(np.sum(~ebsd_map.indexed)))
    full = np.flatnonzero(ebsd_map.indexed)
    source = full[cKDTree(ebsd_map.xy[full]).query(ebsd_map.xy[holes])[1]]
    q, phase_id = ebsd_map.quaternions.copy(), ebsd_map.phase_id.copy()
    q[holes], phase_id[holes] = q[source], phase_id[source]
    marked = holes | (ebsd_map.properties.get("filled", np.zeros(len(holes))) > 0)
    cleaned = replace(
        ebsd_map,
        quaternions=q,
        phase_id=phase_id,
        properties={**ebsd_map.properties, "filled": marked.astype(np.uint8)},
    )
    return Cleaned(cleaned, int(holes.sum()), int(np.sum(~cleaned.indexed)))


def small_holes(ebsd_map: EbsdMap, max_pixels: int) -> np.ndarray:
    """(N,) bool, points in connected regions without orientation of at most `max_pixels` points."""
    empty = ~ebsd_map.indexed
    pairs = ebsd_map.neighbours[empty[ebsd_map.neighbours].all(axis=1)]
    n = ebsd_map.n_pixels
    links = sparse.coo_matrix((np.ones(len(pairs), np.int8), (pairs[:, 0], pairs[:, 1])), shape=(n, n))
    region = connected_components(links, directed=False)[1]
    return empty & (np.bincount(region)[region] <= max_pixels)
