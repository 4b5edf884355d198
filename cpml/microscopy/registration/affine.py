"""Affine maps between the pixel coordinates of two pictures, from homologous points; labels carried over.

Pixels of a map are counted from its first point, whatever grid and step it has:

    column = (x - least x) / distance of points in a row,    row = (y - least y) / distance of rows

so that the second row of a hexagonal map has the columns 0.5, 1.5 ...; `map_frame` makes um of them. Angles
are angles in um: columns and rows of unequal distance (or of a hexagonal map) turn no line.

Least squares of the distances. AffineTransform of skimage 0.26 minimises another sum, so that its map misses
the points by a little more (coefficients differ by 4e-5 on the four points of the nickel data set).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from cpml.errors import ParameterError
from cpml.microscopy.maps.ebsd_map import EbsdMap

MIRRORED = (
    "the homologous points mirror the picture: no view of one surface is the mirror image of another. Are "
    "columns and rows exchanged, or counted from another corner, in one of the two?"
)


@dataclass(frozen=True)
class Affine:
    """p' = matrix p + offset in pixel coordinates (column, row); residual: rms distance of
    the points, pixels.
    """

    matrix: NDArray
    offset: NDArray
    residual: float

    def __call__(self, points: ArrayLike) -> NDArray:
        """Points (..., 2) mapped."""
        return np.asarray(points, float) @ self.matrix.T + self.offset

    def after(self, first: Affine) -> Affine:
        """The map that is `first` and then this one; the residual is that of `first` in its own unit."""
        return Affine(self.matrix @ first.matrix, self(first.offset), first.residual)

    @property
    def turn_deg(self) -> float:
        """R of matrix = V R (V symmetric: stretch and shear), deg, counter-clockwise on screen."""
        (a, b), (c, d) = self.matrix
        return float(np.degrees(np.arctan2(b - c, a + d)))

    def turn_lines(self, angle_deg: ArrayLike) -> NDArray:
        """On-screen angles of lines after the map, deg in [0, 180)."""
        angle = np.radians(np.asarray(angle_deg, float))
        direction = np.stack([np.cos(angle), -np.sin(angle)], axis=-1) @ self.matrix.T
        return np.degrees(np.arctan2(-direction[..., 1], direction[..., 0])) % 180.0


def map_frame(ebsd_map: EbsdMap) -> Affine:
    """From pixels (column, row) of a map to its positions x, y in um."""
    return Affine(np.diag(ebsd_map.pixel_um), ebsd_map.xy.min(axis=0), 0.0)


def map_pixels(xy: ArrayLike, ebsd_map: EbsdMap) -> NDArray:
    """Pixels (column, row) of a map at its positions xy (..., 2) in um."""
    return (np.asarray(xy, float) - ebsd_map.xy.min(axis=0)) / ebsd_map.pixel_um


def fit_affine(points_from: ArrayLike, points_to: ArrayLike) -> Affine:
    """Least-squares affine map between homologous points (n, 2), at least three and not on one line.

    Raises
    ------
    ParameterError : fewer than three points, unequal numbers, points on one line, or a mirror image
    """
    p, q = np.asarray(points_from, float), np.asarray(points_to, float)
    if p.ndim != 2 or p.shape[1:] != (2,) or p.shape != q.shape or len(p) < 3:
        raise ParameterError(
            f"homologous points have shapes {p.shape} and {q.shape}: two equal lists of three or "
            "more [column, row] pairs are needed"
        )
    found = least_squares_affine(p, q)
    if found is None:
        raise ParameterError("the homologous points lie on one line: choose one beside it")
    if np.linalg.det(found.matrix) < 0:
        raise ParameterError(MIRRORED)
    return found


def least_squares_affine(p: NDArray, q: NDArray) -> Affine | None:
    """The affine map between points (n, 2), a mirror image or not; None where either lie on one line."""
    if any(on_one_line(points) for points in (p, q)):
        return None
    design = np.c_[p, np.ones(len(p))]
    solution = np.linalg.lstsq(design, q, rcond=None)[0]
    residual = np.sqrt(np.mean(np.sum((design @ solution - q) ** 2, axis=1)))
    return Affine(solution[:2].T, solution[2], float(residual))


def on_one_line(points: NDArray) -> bool:
    """Whether points (n, 2) lie on a line to a millionth of their extent."""
    spread = np.linalg.svd(points - points.mean(axis=0), compute_uv=False)
    return bool(len(spread) < 2 or spread[1] <= 1e-6 * spread[0])


DECIMALS = 6
"""Of a map pixel: a point between two cells belongs to the same one on every machine."""


def label_of_points(shape: tuple[int, int], to_map: Callable, ebsd_map: EbsdMap, label: NDArray) -> NDArray:
    """Label (rows, columns) of the points of a picture: that of the map point nearest to each, 0 outside.

    Parameters
    ----------
    shape : rows, columns of the picture
    to_map : from its indices (column, row) to map pixels (column, row), e.g. an Affine
    label : (N,) of each map point
    """
    row, col = np.mgrid[: shape[0], : shape[1]]
    target = np.round(to_map(np.stack([col, row], axis=-1)), DECIMALS)
    if ebsd_map.grid == "square":
        point = _nearest_on_square(target, ebsd_map.shape)
    else:
        point = _nearest_point(target, ebsd_map)
    return np.where(point >= 0, np.asarray(label)[point], 0).astype(int)


def _nearest_on_square(target: NDArray, shape: tuple[int, int]) -> NDArray:
    """Map point in whose cell each target (..., 2) lies, -1 outside; points lie row after row."""
    inside = ((target > -0.5) & (target < np.array(shape[::-1]) - 0.5)).all(axis=-1)
    column, row = np.rint(np.where(inside[..., None], target, 0)).astype(int).transpose(2, 0, 1)
    return np.where(inside, row * shape[1] + column, -1)


def _nearest_point(target: NDArray, ebsd_map: EbsdMap) -> NDArray:
    """As `_nearest_on_square`, on any grid: the nearest point, no further than the corner of its cell."""
    from scipy.spatial import cKDTree

    xy = map_frame(ebsd_map)(target)
    reach = ebsd_map.step_um / np.sqrt(3)  # to the corner of a hexagon
    known = np.isfinite(xy).all(axis=-1)
    tree = cKDTree(ebsd_map.xy, balanced_tree=False, compact_nodes=False)
    distance, found = tree.query(np.where(known[..., None], xy, 0), distance_upper_bound=1.01 * reach)
    return np.where(known & np.isfinite(distance), found, -1)
