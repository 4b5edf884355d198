"""The grains of one map as tracking sees them: where they are, and which points have their orientation."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from cpml.crystallography.symmetry import proper_group
from cpml.errors import ParameterError
from cpml.microscopy.curvature.lattice_curvature import orientation_noise
from cpml.microscopy.grains.grains import Grains
from cpml.microscopy.maps.ebsd_map import EbsdMap
from cpml.microscopy.maps.means import mean_orientations, vectors_from_means
from cpml.microscopy.twins.twins import Twins


@dataclass(frozen=True)
class Regions:
    """Grains of a map.

    Attributes
    ----------
    label : (N,) grain of each point, 1..G, 0 = none
    speaks : (N,) bool, measured points that have the grain's orientation, twins in it left out
    table : one row a grain: x_um, y_um, area_um2, on_edge
    noise_deg : rms angle of the orientation error of one point; NaN where the map is too small to tell
    """

    map: EbsdMap
    label: NDArray
    speaks: NDArray
    table: pd.DataFrame
    noise_deg: float

    @property
    def n_grains(self) -> int:
        """Number of grains G."""
        return len(self.table)

    @cached_property
    def phase_names(self) -> NDArray:
        """(G,) name of the phase of each grain."""
        phase = np.zeros(self.n_grains + 1, int)
        phase[np.where(self.speaks, self.label, 0)] = self.map.phase_id
        names = {i: phase.name for i, phase in self.map.phases.items()}
        return np.array([names.get(i, "") for i in phase[1:]])

    def group_of(self, phase: str) -> NDArray:
        """Proper group of a phase by its name."""
        return proper_group(next(p.group for p in self.map.phases.values() if p.name == phase))

    @cached_property
    def quaternions(self) -> NDArray:
        """(G, 4) mean crystal_to_sample orientation of each grain; NaN for one without a voice."""
        return self.means(self.speaks)[0]

    def means(self, chosen: NDArray) -> tuple[NDArray, NDArray, NDArray]:
        """Mean orientation (G, 4), mean square angle to it (G,), rad^2, and number of the chosen points (G,).

        Parameters
        ----------
        chosen : (N,) bool, points that count
        """
        mean, square = np.full((self.n_grains, 4), np.nan), np.full(self.n_grains, np.nan)
        count = np.bincount(self.label[chosen], minlength=self.n_grains + 1)[1:]
        for phase in np.unique(self.phase_names):
            of_phase = np.r_[False, (self.phase_names == phase) & (count > 0)]
            if not phase or not of_phase.any():
                continue
            point = np.flatnonzero(chosen & of_phase[self.label])
            index, group = self.label[point] - 1, self.group_of(phase)
            found = mean_orientations(self.map.quaternions[point], index, self.n_grains, group)
            vector = vectors_from_means(self.map.quaternions[point], index, found, group)
            total = np.bincount(index, np.sum(vector**2, axis=1), self.n_grains)
            mean[of_phase[1:]] = found[of_phase[1:]]
            square[of_phase[1:]] = total[of_phase[1:]] / count[of_phase[1:]]
        return mean, square, count

    @cached_property
    def _places(self) -> cKDTree:
        return cKDTree(self.map.xy / self.map.pixel_um)

    def point_at(self, xy: NDArray) -> NDArray:
        """(n,) index of the map point whose cell holds each place (n, 2) in um; -1 outside the map."""
        m = self.map
        if m.grid == "square":
            column, row = np.rint((xy - m.xy[0]) / m.pixel_um).astype(np.int64).T
            inside = (row >= 0) & (row < m.shape[0]) & (column >= 0) & (column < m.shape[1])
            return np.where(inside, row * m.shape[1] + column, -1)
        distance, point = self._places.query(np.asarray(xy) / m.pixel_um)
        return np.where(distance <= 0.75, point, -1)


def regions(grains: Grains | Twins) -> Regions:
    """The grains of a map: those of a segmentation, or with twins the parents, their twins within them."""
    is_family = isinstance(grains, Twins)
    cut = grains.segmentation if is_family else grains
    label = grains.grain_label if is_family else cut.label
    table = grains.grains if is_family else cut.table
    speaks = cut.measured & ~grains.twinned if is_family else cut.measured
    try:
        noise = orientation_noise(cut)
    except ParameterError:  # too few points in a row
        noise = float("nan")
    columns = table[["x_um", "y_um", "area_um2", "on_edge"]].reset_index(drop=True)
    return Regions(cut.map, label, speaks & (label > 0), columns, noise)
