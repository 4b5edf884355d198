"""HR-DIC displacement fields: reading, displacement gradient, registration to an EBSD map.

    H = grad u (2x2, pixel frame, v positive down)

Strain measures of H are in cpml.microscopy.strain, file formats in cpml.microscopy.dic_files.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray

from cpml.errors import MapFileError, ParameterError
from cpml.microscopy.dic_files import read_vectors
from cpml.microscopy.ebsd_map import EbsdMap
from cpml.microscopy.strain import effective_strain, max_shear  # noqa: F401  their home before strain.py


@dataclass(frozen=True)
class DicField:
    """Displacement vectors on a grid: u to the right, v down, and x, y, all in pixels of the image, (rows,
    columns).

    step is the distance of vectors in pixels; scale_um the size of an image pixel, None where nobody said.
    """

    name: str
    x: NDArray
    y: NDArray
    u: NDArray
    v: NDArray
    step: float
    scale_um: float | None = None

    @property
    def shape(self) -> tuple[int, int]:
        """(rows, columns) of vectors."""
        return self.u.shape

    @property
    def displacement_gradient(self) -> NDArray:
        """H (rows, columns, 2, 2): H[..., 0, 1] = du/dy; central differences, one-sided on the rim."""
        gradient = [[np.gradient(c, self.step, axis=axis) for axis in (1, 0)] for c in (self.u, self.v)]
        return np.stack([np.stack(row, axis=-1) for row in gradient], axis=-2)


def read_dic(path: str | Path, *, scale_um: float | None = None, y_axis: str = "auto") -> DicField:
    """A displacement field from DaVis text, OpenPIV text, or an .npz with arrays x, y, u, v of one (rows,
    columns) shape.

    Parameters
    ----------
    scale_um : size of an image pixel, where known
    y_axis : "up", "down" or "auto", which way an OpenPIV file counts y and v

    Raises
    ------
    MapFileError : the file is missing, of another format, cut off, or its vectors are no grid
    """
    path = Path(path)
    x, y, u, v = read_vectors(path, y_axis=y_axis)
    step = float(x[0, 1] - x[0, 0]) if x.shape[1] > 1 else 0.0
    regular = (
        step > 0
        and np.allclose(np.diff(x, axis=1), step, rtol=1e-3)
        and np.allclose(np.diff(y, axis=0), step, rtol=1e-3)
    )
    if not regular:
        raise MapFileError(
            f"{path}: the vectors are no square grid in rows, x then y growing; export them unrotated"
        )
    return DicField(path.stem, x, y, u, v, step, scale_um)


@dataclass(frozen=True)
class Affine:
    """p' = matrix p + offset in pixel coordinates (column, row); residual: rms distance of the points,
    pixels.
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


def label_of_vectors(field: DicField, dic_to_ebsd: Affine, ebsd_map: EbsdMap, label: NDArray) -> NDArray:
    """Label (rows, columns) of each vector: that of the map pixel it falls on, 0 outside.

    Parameters
    ----------
    dic_to_ebsd : from vector indices (column, row) to map pixels (column, row)
    label : (N,) grain or parent of each map pixel
    """
    row, col = np.mgrid[: field.shape[0], : field.shape[1]]
    target = np.rint(dic_to_ebsd(np.stack([col, row], axis=-1))).astype(int)
    picture = np.nan_to_num(ebsd_map.image(label)).astype(int)
    inside = ((target >= 0) & (target < picture.shape[::-1])).all(axis=-1)
    out = np.zeros(field.shape, int)
    out[inside] = picture[target[inside][:, 1], target[inside][:, 0]]
    return out
