"""Small maps whose content is known exactly, and the phases that they are made of."""

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.spatial import cKDTree

from cpml.crystallography.disorientation import disorientation_angle
from cpml.crystallography.rotations import axis_angle_to_quaternion, quaternion_multiply
from cpml.crystallography.symmetry import proper_group
from cpml.microscopy.maps.ebsd_map import EbsdMap, MapPhase

NICKEL = MapPhase("Nickel", "432", "fcc", 3.592, 3.592, 3.592)  # b = 0.254 nm
MAGNESIUM = MapPhase("Magnesium", "622", "hcp", 3.209, 3.209, 5.2101, 90, 90, 120)  # c/a = 1.6236


def about_z(*angles_deg: float) -> NDArray:
    """(n, 4) rotations about the normal of the map."""
    return axis_angle_to_quaternion([0, 0, 1], np.radians(np.array(angles_deg, float)))


def small_rotations(n: int, rms_deg: float, rng: np.random.Generator) -> NDArray:
    """(n, 4) rotations about random axes, the root mean square of their angles given."""
    vector = rng.standard_normal((n, 3)) * np.radians(rms_deg) / np.sqrt(3)
    return axis_angle_to_quaternion(vector, np.linalg.norm(vector, axis=1))


def largest_turn(q: ArrayLike, p: ArrayLike) -> float:
    """Largest angle between two lists of orientations without symmetry, rad; NaN entries are left out."""
    return np.nanmax(disorientation_angle(q, p, proper_group("1")))


def nearest_seeds(rows: int, cols: int, n: int, seed: int = 0) -> NDArray:
    """(rows, cols) labels 1..n of Voronoi cells around random seeds."""
    points = np.random.default_rng(seed).uniform(size=(n, 2)) * [rows, cols]
    pixels = np.stack(np.mgrid[:rows, :cols], axis=-1).reshape(-1, 2)
    return cKDTree(points).query(pixels)[1].reshape(rows, cols) + 1


def square_map(
    label: ArrayLike,
    quaternions: ArrayLike,
    *,
    phase: MapPhase = NICKEL,
    phases: dict[int, MapPhase] | None = None,
    phase_of_grain: ArrayLike | None = None,
    step: float = 0.5,
    noise_deg: float = 0.0,
    seed: int = 0,
) -> EbsdMap:
    """Map of a label image: label k + 1 is oriented as row k of `quaternions`, label 0 is not indexed.

    Parameters
    ----------
    label : (rows, columns) int
    quaternions : (G, 4), crystal_to_sample
    phase : the phase of all grains, under the number 1
    phases, phase_of_grain : several phases, and the number of each grain's one
    step : um
    noise_deg : root mean square of the angles by which single points are turned
    """
    label = np.asarray(label)
    rows, cols = label.shape
    indexed, grain_index = label.ravel() > 0, np.maximum(label.ravel(), 1) - 1
    q = np.asarray(quaternions, float)[grain_index]
    if noise_deg:
        q = quaternion_multiply(q, small_rotations(len(q), noise_deg, np.random.default_rng(seed)))
    of_grain = np.ones(len(quaternions), int) if phase_of_grain is None else np.asarray(phase_of_grain)
    phase_id = np.where(indexed, of_grain[grain_index], 0).astype(np.int32)
    row, col = np.divmod(np.arange(rows * cols), cols)
    return EbsdMap(
        "synthetic",
        np.where(indexed[:, None], q, np.nan),
        phase_id,
        phases or {1: phase},
        np.stack([step * col, step * row], axis=1),
        "square",
        (rows, cols),
        (step, step),
        {},
    )
