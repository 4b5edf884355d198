"""A polycrystal and the same specimen later: moved, turned and stretched by known amounts."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from cpml.crystallography.rotations import axis_angle_to_quaternion, quaternion_multiply, random_quaternions
from cpml.microscopy.maps.ebsd_map import EbsdMap, MapPhase
from cpml.microscopy.maps.means import exponential
from support.maps import NICKEL, small_rotations, square_map


@dataclass
class Specimen:
    """Voronoi grains in a square of `size` um; grain k has orientation k of `quaternions`.

    Attributes
    ----------
    rotation : (G, 3) rotation vectors, rad, by which the lattice of each has turned in the later state
    """

    seeds: NDArray
    quaternions: NDArray
    rotation: NDArray
    size: float
    phase: MapPhase = NICKEL
    noise_deg: float = 0.3

    @classmethod
    def random(
        cls,
        n: int = 60,
        size: float = 60.0,
        *,
        spread_deg: float = 2.0,
        seed: int = 0,
        phase: MapPhase = NICKEL,
    ) -> "Specimen":
        """Random grains, turned by normal rotations of `spread_deg` about each axis."""
        rng = np.random.default_rng(seed)
        rotation = np.radians(spread_deg) * rng.standard_normal((n, 3))
        return cls(rng.uniform(0, size, (n, 2)), random_quaternions(n, rng), rotation, size, phase)

    def grain_at(self, xy: NDArray) -> NDArray:
        """(...) grain, from 0, at places (..., 2) of the reference."""
        return cKDTree(self.seeds).query(xy)[1]

    def before(self, *, step: float = 0.5, seed: int = 1) -> EbsdMap:
        """The reference map."""
        n = int(self.size / step)
        row, column = np.mgrid[:n, :n]
        label = self.grain_at(step * np.stack([column, row], axis=-1)) + 1
        return square_map(
            label, self.quaternions, phase=self.phase, step=step, noise_deg=self.noise_deg, seed=seed
        )

    def after(
        self,
        matrix: NDArray,
        *,
        turn_deg: float = 0.0,
        tilt_deg: float = 0.0,
        step: float = 0.5,
        extent: tuple[float, float, float, float] | None = None,
        change=None,
        extra: NDArray | None = None,
        seed: int = 2,
    ) -> tuple[EbsdMap, NDArray]:
        """The later map and its true grain (from 0) at each point, -1 outside the specimen.

        Parameters
        ----------
        matrix : (2, 2) stretch, in the frame of the reference, before the turn
        turn_deg : turn of the specimen about its normal, clockwise on screen; tilt_deg : about x after that
        extent : left, right, top, bottom of the later map, um about the specimen's middle; None: all of it
        change : function of reference places (n, 2) and grains (n,) that returns other grains, for those that
            split, appear or vanish
        extra : (k, 4) orientations of grains that `change` adds, in the frame of the reference
        """
        whole = self.placed(matrix, turn_deg)
        corners = self.size / 2 * np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]]) @ whole.T
        if extent is None:
            extent = (*np.sort(corners[:, 0])[[0, -1]], *np.sort(corners[:, 1])[[0, -1]])
        columns, rows = (int((b - a) / step) for a, b in (extent[:2], extent[2:]))
        row, column = np.mgrid[:rows, :columns]
        xy = np.stack([extent[0] + step * column, extent[2] + step * row], axis=-1).reshape(-1, 2)
        place = np.linalg.solve(whole, xy.T).T + self.size / 2
        inside = ((place >= 0) & (place <= self.size)).all(axis=1)
        grain = self.grain_at(place)
        if change is not None:
            grain = change(place, grain)
        turned = quaternion_multiply(exponential(self.rotation), self.quaternions)
        if extra is not None:
            turned = np.concatenate([turned, extra])
        label = np.where(inside, grain + 1, 0).reshape(rows, columns)
        later = square_map(
            label,
            quaternion_multiply(self.mount(turn_deg, tilt_deg), turned),
            phase=self.phase,
            step=step,
            noise_deg=0.0,
        )
        noise = small_rotations(later.n_pixels, self.noise_deg, np.random.default_rng(seed))
        later.quaternions[:] = quaternion_multiply(later.quaternions, noise)
        return later, np.where(inside, grain, -1)

    @staticmethod
    def mount(turn_deg: float, tilt_deg: float = 0.0) -> NDArray:
        """(4,) rotation of the specimen from the reference to the later map."""
        return quaternion_multiply(
            axis_angle_to_quaternion([1.0, 0, 0], np.radians(tilt_deg)),
            axis_angle_to_quaternion([0, 0, 1.0], np.radians(turn_deg)),
        )

    @staticmethod
    def placed(matrix: NDArray, turn_deg: float) -> NDArray:
        """(2, 2) from the reference plane to the plane of the later map."""
        c, s = np.cos(np.radians(turn_deg)), np.sin(np.radians(turn_deg))
        return np.array([[c, -s], [s, c]]) @ np.asarray(matrix, float)
