"""HR-DIC displacement fields: reading, displacement gradient, registration to an EBSD map.

    H = grad u (2x2, pixel frame, v positive down)

Strain measures of H are in cpml.microscopy.dic.strain, file formats in cpml.microscopy.dic.vector_files.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cpml.errors import MapFileError
from cpml.microscopy.dic.vector_files import read_vectors


@dataclass(frozen=True)
class DicField:
    """Displacement vectors on a grid: u to the right, v down, and x, y, all in pixels of the
    image, (rows, columns).

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
    """A displacement field from DaVis text, OpenPIV text, or an .npz with arrays x, y, u, v of one
    (rows, columns) shape.

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
