"""Weighted Burgers vector: the part of the dislocation content that a section shows without any assumption.

    W_i = alpha_i3 = (k_31, k_32, -(k_11 + k_22)),        |W|/b is a lower bound of the density
    W_c = (1/A) loop integral of g dx                     (crystal frame, g = sample -> crystal)

The loop runs from +x towards +y (clockwise on screen), which gives both forms one sign. The differential form
is W of one pixel; the integral over a square of (2h + 1) pixels is the mean W inside it, with the noise of
its rim only. A loop that leaves its grain is NaN.

| symbol | meaning | unit, shape |
|---|---|---|
| W | weighted Burgers vector, sample frame | 1/um, (N, 3) |
| W_c | the same in the crystal frame of each pixel | 1/um, (N, 3) |
| elevation | angle of W_c to the basal plane (hexagonal) or to (001) | deg |

Reference: Wheeler et al. 2009, J. Microsc. 233:482.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cpml.compiled import compiled
from cpml.crystallography.rotations import (
    quaternion_conjugate,
    quaternion_multiply,
    quaternion_to_matrix,
    rotate,
)
from cpml.crystallography.symmetry import proper_group
from cpml.errors import ParameterError
from cpml.microscopy.curvature.lattice_curvature import curvature, noise_curvature, noise_of, noise_vectors
from cpml.microscopy.grains.grains import Grains
from cpml.microscopy.maps.means import exponential, vectors_from_means

AT_ONCE = 2**20
"""Pixels whose rotation matrices are held at once."""


@dataclass(frozen=True)
class WeightedBurgers:
    """W of a map (module docstring); of noise alone, noise_floor_per_um is the rms |W|, noise_median_per_um
    the median.
    """

    sample: NDArray
    crystal: NDArray
    method: str
    noise_deg: float
    noise_floor_per_um: float
    noise_median_per_um: float

    @property
    def magnitude(self) -> NDArray:
        """(N,) |W|, 1/um."""
        return np.linalg.norm(self.sample, axis=1)

    @property
    def elevation_deg(self) -> NDArray:
        """(N,) angle of W_c to the crystal's z = 0 plane, deg in [0, 90]: 0 for a, larger for c+a and c."""
        return np.degrees(np.arctan2(np.abs(self.crystal[:, 2]), np.hypot(*self.crystal[:, :2].T)))

    def density(self, burgers_nm: float) -> NDArray:
        """(N,) |W|/b, m^-2, a lower bound of the dislocation density."""
        return self.magnitude * 1e6 / (burgers_nm * 1e-9)


def weighted_burgers(
    grains: Grains,
    *,
    method: str = "differential",
    half_width: int = 1,
    scheme: str | None = None,
    noise_deg: float | None = None,
) -> WeightedBurgers:
    """Weighted Burgers vector of every pixel; NaN where the gradient or the loop is not inside one grain.

    Parameters
    ----------
    method : "differential" or "integral" (square grids)
    half_width : h of the loop, pixels
    scheme : differences of the differential form; None: "forward", "central" on hexagonal grids
    noise_deg : rms angle of the orientation error; None: estimated

    Raises
    ------
    ParameterError : an unknown method, a half width below 1, or a loop on a hexagonal grid
    """
    noise = noise_of(grains, noise_deg)
    axis_noise = np.radians(noise) / np.sqrt(3)
    q = grains.map.quaternions
    if method == "differential":
        scheme = scheme or ("central" if grains.map.grid == "hex" else "forward")
        w = _differential(curvature(grains, scheme=scheme).kappa)
        size = np.linalg.norm(_differential(noise_curvature(grains, noise, scheme=scheme)), axis=1)
        size = size[np.isfinite(size)]
        floors = (np.sqrt(np.mean(size**2)), np.median(size)) if len(size) else (np.nan, np.nan)
        return WeightedBurgers(w, _in_crystal(q, w), method, noise, *map(float, floors))
    if method != "integral":
        raise ParameterError(f"method {method!r}: choose 'differential' or 'integral'")
    if grains.map.grid == "hex" or half_width < 1:
        raise ParameterError(
            f"loops need a square grid and a half width of 1 or more, not {grains.map.grid} and {half_width}"
        )
    w = _integral(grains, half_width)
    # two of three error components act along a side; the four corners count half in both directions
    floor = np.sqrt(16 * half_width - 4) * axis_noise / (2 * half_width) ** 2 / grains.map.step_um
    # W_3 has the errors of all sides, W_1 and W_2 of two each: variances 1, 1, 2
    size = np.linalg.norm(noise_vectors(10_000, 1.0) * [1.0, 1.0, np.sqrt(2.0)], axis=1)
    median = floor * np.median(size) / np.sqrt(np.mean(size**2))
    return WeightedBurgers(w, _in_crystal(q, w), method, noise, float(floor), float(median))


def _differential(kappa: NDArray) -> NDArray:
    """W (N, 3) of a curvature (N, 3, 2)."""
    return np.stack([kappa[:, 2, 0], kappa[:, 2, 1], -(kappa[:, 0, 0] + kappa[:, 1, 1])], axis=1)


def _integral(grains: Grains, half_width: int) -> NDArray:
    """W (N, 3), sample frame, by loops; g of every pixel in the symmetry copy nearest to the mean
    of its grain.
    """
    n = grains.map.n_pixels
    columns, nearest = np.full((n, 2, 3), np.nan), np.full((n, 4), np.nan)
    for phase_id, phase in grains.map.phases.items():
        pixel = np.flatnonzero(grains.measured & (grains.map.phase_id == phase_id))
        label, mean = grains.label[pixel] - 1, grains.mean_quaternions
        omega = vectors_from_means(grains.map.quaternions[pixel], label, mean, proper_group(phase.group))
        nearest[pixel] = quaternion_multiply(exponential(omega), mean[label])
        for part in parts(pixel):
            g = quaternion_to_matrix(quaternion_conjugate(nearest[part]))
            columns[part] = g[:, :, :2].transpose(0, 2, 1)
    rows, cols = grains.map.shape
    out = np.full((rows, cols, 3), np.nan)
    dx, dy = grains.map.pixel_um
    _loops(columns.reshape(rows, cols, 2, 3), grains.own.reshape(rows, cols), half_width, dx, dy, out)
    out = out.reshape(-1, 3)
    for part in parts(np.flatnonzero(np.isfinite(out[:, 0]))):
        out[part] = rotate(nearest[part], out[part])
    return out


def parts(index: NDArray) -> list[NDArray]:
    """An index in parts of at most AT_ONCE, for what needs a matrix of every pixel."""
    return np.array_split(index, max(1, -(-len(index) // AT_ONCE)))


def _in_crystal(quaternions: NDArray, sample: NDArray) -> NDArray:
    """Components (N, 3) of sample vectors (N, 3) in the crystals (N, 4)."""
    out = np.full(sample.shape, np.nan)
    for part in parts(np.flatnonzero(np.isfinite(sample).any(axis=1))):
        out[part] = rotate(quaternion_conjugate(quaternions[part]), sample[part])
    return out


@compiled
def _loops(g, own, h, dx, dy, out):
    """Trapezoidal loop of each pixel: along +x at the top, +y at the right, -x at the bottom, -y
    at the left.
    """
    rows, cols = own.shape
    area = 4.0 * h * h * dx * dy
    for r in range(h, rows - h):
        for c in range(h, cols - h):
            label = own[r, c]
            inside = label > 0
            for i in range(r - h, r + h + 1):
                for j in range(c - h, c + h + 1):
                    inside = inside and own[i, j] == label
            if not inside:
                continue
            for k in range(3):
                total = 0.0
                for s in range(-h, h + 1):
                    weight = 0.5 if abs(s) == h else 1.0
                    total += weight * dx * (g[r - h, c + s, 0, k] - g[r + h, c + s, 0, k])
                    total += weight * dy * (g[r + s, c + h, 1, k] - g[r + s, c - h, 1, k])
                out[r, c, k] = total / area
