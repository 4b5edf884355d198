"""Affine maps between the pixel coordinates of two pictures, from homologous points; labels carried over.

Least squares of the distances. AffineTransform of skimage 0.26 minimises another sum, so that its map misses
the points by a little more (coefficients differ by 4e-5 on the four points of the nickel data set).
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from cpml.errors import ParameterError
from cpml.microscopy.maps.ebsd_map import EbsdMap


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

    def turn_lines(self, angle_deg: ArrayLike) -> NDArray:
        """On-screen angles of lines after the map, deg in [0, 180)."""
        angle = np.radians(np.asarray(angle_deg, float))
        direction = np.stack([np.cos(angle), -np.sin(angle)], axis=-1) @ self.matrix.T
        return np.degrees(np.arctan2(-direction[..., 1], direction[..., 0])) % 180.0


def fit_affine(points_from: ArrayLike, points_to: ArrayLike) -> Affine:
    """Least-squares affine map between homologous points (n, 2), at least three and not on one line.

    Raises
    ------
    ParameterError : fewer than three points, unequal numbers, or points on one line
    """
    p, q = np.asarray(points_from, float), np.asarray(points_to, float)
    if p.ndim != 2 or p.shape[1:] != (2,) or p.shape != q.shape or len(p) < 3:
        raise ParameterError(
            f"homologous points have shapes {p.shape} and {q.shape}: two equal lists of three or "
            "more [column, row] pairs are needed"
        )
    design = np.c_[p, np.ones(len(p))]
    solution, _, rank, _ = np.linalg.lstsq(design, q, rcond=None)
    if rank < 3:
        raise ParameterError("the homologous points lie on one line: choose one beside it")
    residual = np.sqrt(np.mean(np.sum((design @ solution - q) ** 2, axis=1)))
    return Affine(solution[:2].T, solution[2], float(residual))


def label_of_points(shape: tuple[int, int], to_map: Callable, ebsd_map: EbsdMap, label: NDArray) -> NDArray:
    """Label (rows, columns) of the points of a picture: that of the map pixel under each, 0 outside.

    Parameters
    ----------
    shape : rows, columns of the picture
    to_map : from its indices (column, row) to map pixels (column, row), e.g. an Affine
    label : (N,) of each map pixel
    """
    row, col = np.mgrid[: shape[0], : shape[1]]
    target = np.rint(to_map(np.stack([col, row], axis=-1))).astype(int)
    picture = np.nan_to_num(ebsd_map.image(label)).astype(int)
    inside = ((target >= 0) & (target < picture.shape[::-1])).all(axis=-1)
    out = np.zeros(shape, int)
    out[inside] = picture[target[inside][:, 1], target[inside][:, 0]]
    return out
