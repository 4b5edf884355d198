"""A plane cut through a solved volume: the grains that a map would show, and what they do there.

The plane is a grid of pixels; its grains are the connected regions of one grain of the volume, its boundaries
the sides between pixels. The sum of the sides between two regions, as vectors, is the chord of their
boundary, whatever staircase the pixels make of it: its length and its normal in the plane.

Truth of a region is the mean over its own pixels, relative to the whole volume: stresses to the mean stress
along the load, rates to the von Mises rate of the load. Everything stays in the frame of the volume.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from skimage.measure import label

PLANES = {0: (2, 1), 1: (2, 0), 2: (1, 0)}
"""Axis of the normal (x, y, z = 0, 1, 2): the axes along the rows and columns of the cut."""


@dataclass(frozen=True)
class Response:
    """What every voxel does, sample frame (symbols in the module docstring)."""

    stress: NDArray  # (*grid, 5)
    rate: NDArray  # (*grid, 5)
    spin: NDArray  # (*grid, 3) axial, of the lattice
    log_shear: NDArray  # (*grid,) natural log of the total shear over its mean


@dataclass(frozen=True)
class Cut:
    """The grains in a plane: what a map shows of them, and the truth."""

    normal: NDArray  # (3,) of the plane
    grain: NDArray  # (G,) number in the volume
    area: NDArray  # (G,) pixels
    rim: NDArray  # (G,) share of its perimeter beyond which the map ends
    neighbours: NDArray  # (E, 2)
    length: NDArray  # (E,) of their boundary, pixels
    boundary: NDArray  # (E, 3) its normal in the plane
    stress: NDArray  # (G, 5)
    rate: NDArray  # (G, 5)
    spin: NDArray  # (G, 3)
    log_shear: NDArray  # (G,)


def cut(grain_index: NDArray, response: Response, axis: int, layer: int, *, repeats: bool) -> Cut:
    """The plane of voxels number ``layer`` along an axis (x, y, z = 0, 1, 2).

    Parameters
    ----------
    grain_index : (slices, rows, columns)
    repeats : the map continues at its edges as the volume does; else it ends there
    """
    place: list[slice | int] = [slice(None)] * 3
    place[2 - axis] = layer
    where = tuple(place)
    volume_grain = grain_index[where]
    # regions count from 0; where the map repeats, a convex grain of the volume is one region
    region = label(volume_grain, background=-1, connectivity=1) - 1 if not repeats else volume_grain
    number, region = np.unique(region, return_inverse=True)
    region = region.reshape(volume_grain.shape)
    flat, count = region.ravel(), np.bincount(region.ravel())
    grain = np.zeros(len(number), int)
    grain[flat] = volume_grain.ravel()
    neighbours, chord, rim = boundaries(region, repeats=repeats)
    rows, columns = PLANES[axis]
    in_plane = np.zeros((len(neighbours), 3))
    in_plane[:, columns], in_plane[:, rows] = chord.T
    length = np.linalg.norm(in_plane, axis=1)
    real = length > 1e-9  # a closed boundary around an island has no chord
    perimeter = np.bincount(neighbours.ravel(), np.repeat(length, 2), len(number)) + rim

    def mean(values: NDArray) -> NDArray:
        values = values[where].reshape(len(flat), -1)
        return np.stack([np.bincount(flat, column) for column in values.T], axis=1) / count[:, None]

    shear = mean(np.exp(response.log_shear))[:, 0]
    return Cut(
        normal=np.eye(3)[axis],
        grain=grain,
        area=count,
        rim=rim / np.maximum(perimeter, 1e-9),
        neighbours=neighbours[real],
        length=length[real],
        boundary=in_plane[real] / length[real, None],
        stress=mean(response.stress),
        rate=mean(response.rate),
        spin=mean(response.spin),
        log_shear=np.log(shear),
    )


def boundaries(region: NDArray, *, repeats: bool) -> tuple[NDArray, NDArray, NDArray]:
    """Pairs of regions (E, 2) that touch, the sum (E, 2) of the normals of the sides between them along
    columns and rows, from the first to the second, and the sides (G,) of every region at the rim of the map.

    Parameters
    ----------
    region : (rows, columns) int, negative where there is none

    Examples
    --------
    >>> boundaries(np.array([[0, 0], [1, 1]]), repeats=False)
    (array([[0, 1]]), array([[0., 2.]]), array([4., 4.]))
    """
    count = region.max() + 1
    rim = np.zeros(count)
    pairs, normals = [], []
    for axis, normal in ((1, (1.0, 0.0)), (0, (0.0, 1.0))):
        ahead = np.roll(region, -1, axis)
        here, there = region, ahead
        if not repeats:
            last = [slice(None)] * 2
            last[axis] = slice(0, -1)
            here, there = region[tuple(last)], ahead[tuple(last)]
            for end in (0, -1):
                rim += np.bincount(np.take(region, end, axis).clip(0), minlength=count)
        apart = (here != there) & (here >= 0) & (there >= 0)
        pairs.append(np.column_stack([here[apart], there[apart]]))
        normals.append(np.tile(normal, (apart.sum(), 1)))
    pair, side = np.concatenate(pairs), np.concatenate(normals)
    turned = pair[:, 0] > pair[:, 1]
    pair[turned] = pair[turned, ::-1]
    side[turned] *= -1
    found, which = np.unique(pair, axis=0, return_inverse=True)
    chord = np.stack([np.bincount(which.ravel(), column, len(found)) for column in side.T], axis=1)
    return found, chord.reshape(-1, 2), rim
