"""Grains in space: a periodic Laguerre tessellation on a grid of voxels, and annealing twins in it.

    voxel x belongs to the grain i with the smallest |x - s_i|^2 - r_i^2          (power distance)

Seeds s_i are placed at random and moved to the centres of their cells (Lloyd), which makes grains equiaxed;
radii r_i are log-normal, and a stretch of space makes them elongated. The power distance is a plain
distance in four dimensions, with sqrt(r_max^2 - r_i^2) as the fourth coordinate, so that a k-d tree finds it.

Reference: Lautensack & Zuyev 2008, Adv. Appl. Prob. 40:630 (random Laguerre tessellations).
"""

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from cpml.crystallography.rotations import axis_angle_to_quaternion, quaternion_multiply, rotate
from cpml.errors import ParameterError

RELAXATIONS = 2
"""Steps of Lloyd: cells become as regular as grains are, and no more."""


def centres(shape: tuple[int, ...]) -> NDArray:
    """(*shape, 3) x, y, z of the centres of the voxels of a grid (slices, rows, columns), in voxels."""
    z, y, x = np.meshgrid(*(np.arange(n) + 0.5 for n in shape), indexing="ij")
    return np.stack([x, y, z], axis=-1)


def laguerre(points: NDArray, seeds: NDArray, radii: NDArray, period: NDArray | None) -> NDArray:
    """Number of the grain of every point (..., 3): that of the smallest power distance.

    Parameters
    ----------
    seeds : (N, 3); radii : (N,)
    period : (3,) edges of the cell of the tessellation; None for one that does not repeat
    """
    radii = np.asarray(radii, float)
    lift = np.sqrt(np.maximum(radii.max() ** 2 - radii**2, 0.0))
    if period is not None:
        seeds = np.asarray(seeds) % period
        seeds = np.where(seeds < period, seeds, 0.0)  # of a tiny negative number, the remainder is the period
    tree = cKDTree(
        np.column_stack([seeds, lift]), boxsize=None if period is None else np.append(np.asarray(period), 0.0)
    )
    flat = np.asarray(points).reshape(-1, 3)
    return tree.query(np.column_stack([flat, np.zeros(len(flat))]))[1].reshape(points.shape[:-1])


def random_grains(
    shape: tuple[int, int, int],
    diameter: float,
    rng: np.random.Generator,
    *,
    spread: float = 0.25,
    stretch: tuple[float, float, float] = (1.0, 1.0, 1.0),
) -> NDArray:
    """(slices, rows, columns) number of the grain of every voxel of a periodic volume, without gaps.

    Parameters
    ----------
    diameter : of a sphere with the mean volume, voxels
    spread : of the log of the radii
    stretch : of the grains along x, y, z; their volume stays

    Raises
    ------
    ParameterError : grains larger than the volume

    Examples
    --------
    >>> grains = random_grains((8, 8, 8), 4.0, np.random.default_rng(0))
    >>> grains.shape, np.array_equal(np.unique(grains), range(grains.max() + 1))
    ((8, 8, 8), True)
    """
    count = round(np.prod(shape) / (np.pi / 6 * diameter**3))
    if count < 2:
        raise ParameterError(f"grains of {diameter} voxels do not fit into a volume of {shape}")
    stretch = np.asarray(stretch) / np.prod(stretch) ** (1 / 3)
    period = np.array(shape[::-1]) / stretch
    points = centres(shape) / stretch
    radii = diameter / 2 * np.exp(spread * rng.standard_normal(count) - spread**2 / 2)
    seeds = rng.random((count, 3)) * period
    for _ in range(RELAXATIONS):
        seeds = _centroids(points, laguerre(points, seeds, radii, period), seeds, period)
    return renumbered(laguerre(points, seeds, radii, period))


def _centroids(points: NDArray, index: NDArray, seeds: NDArray, period: NDArray) -> NDArray:
    """Centres of the cells, which may reach across the faces of the volume; seeds without a cell stay."""
    number = index.ravel()
    apart = points.reshape(-1, 3) - seeds[number]
    apart -= period * np.round(apart / period)
    count = np.bincount(number, minlength=len(seeds))
    shift = np.stack([np.bincount(number, column, len(seeds)) for column in apart.T], axis=1)
    return seeds + shift / np.maximum(count, 1)[:, None]


def renumbered(index: NDArray) -> NDArray:
    """The same grains with the numbers 0, 1, 2 ...; voxels of none (-1) stay so."""
    known = np.unique(index[index >= 0])
    table = np.full(index.max(initial=-1) + 2, -1)
    table[known] = np.arange(len(known))
    return table[index]


def with_annealing_twins(
    index: NDArray,
    quaternions: NDArray,
    rng: np.random.Generator,
    *,
    share: float,
    thickness: float,
) -> tuple[NDArray, NDArray]:
    """Lamellae of the twin orientation, 60 deg about a <111>, through a share of the cubic grains.

    Parameters
    ----------
    quaternions : (G, 4) crystal_to_sample
    thickness : of a lamella, voxels

    Returns
    -------
    index, quaternions : the lamellae have numbers and crystals of their own
    """
    shape = np.array(index.shape[::-1])
    points, crystals, index = centres(index.shape), [quaternions], index.copy()
    number = len(quaternions)
    for grain in np.flatnonzero(rng.random(len(quaternions)) < share):
        axis = rng.choice([-1.0, 1.0], 3) / np.sqrt(3)
        inside = index == grain
        if not inside.any():
            continue
        place = points[inside]
        apart = place - place[rng.integers(len(place))]
        apart -= shape * np.round(apart / shape)
        near = np.abs(apart @ rotate(quaternions[grain], axis)) < thickness / 2
        if near.all():
            continue
        index[inside] = np.where(near, number, grain)
        crystals.append(
            quaternion_multiply(quaternions[grain], axis_angle_to_quaternion(axis, np.pi / 3))[None]
        )
        number += 1
    return index, np.concatenate(crystals)
