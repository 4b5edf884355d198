"""HR-DIC displacement fields: reading, and the displacement gradient.

    H = R (grad u) R^T      (2x2, v positive down)

grad u is measured along the rows and columns of the image. R turns it into the frame of the EBSD map by
`turn_deg`, which a registration finds; before that it is 0, and H stays in the frame of the image. Strain
measures of H are in cpml.microscopy.dic.strain, file formats in cpml.microscopy.dic.vector_files.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray

from cpml.errors import MapFileError, ParameterError
from cpml.microscopy.dic.gaps import masked_zeros
from cpml.microscopy.dic.vector_files import read_vectors


@dataclass(frozen=True)
class DicField:
    """Displacement vectors on a grid: u to the right, v down, and x, y, all in pixels of the
    image, (rows, columns).

    Attributes
    ----------
    step : distance of vectors, pixels
    scale_um : size of an image pixel, None where nobody said
    turn_deg : how far lines of the image turn, counter-clockwise on screen, to be lines of the map; gradients
        and the directions of displacements are in the frame of the map
    note : what was done to the vectors on the way in
    """

    name: str
    x: NDArray
    y: NDArray
    u: NDArray
    v: NDArray
    step: float
    scale_um: float | None = None
    turn_deg: float = 0.0
    note: tuple[str, ...] = ()

    @property
    def shape(self) -> tuple[int, int]:
        """(rows, columns) of vectors."""
        return self.u.shape

    @property
    def displacement_gradient(self) -> NDArray:
        """H (rows, columns, 2, 2): H[..., 0, 1] = du/dy, without unit; central differences, one-sided on the
        rim.
        """
        gradient = [[np.gradient(c, self.step, axis=axis) for axis in (1, 0)] for c in (self.u, self.v)]
        h = np.stack([np.stack(row, axis=-1) for row in gradient], axis=-2)
        if self.turn_deg == 0:
            return h
        t = np.radians(self.turn_deg)
        turn = np.array([[np.cos(t), np.sin(t)], [-np.sin(t), np.cos(t)]])  # counter-clockwise, y down
        return turn @ h @ turn.T

    def turn_lines(self, angle_deg: ArrayLike) -> NDArray:
        """On-screen angles of lines of the image, deg, as lines of the map, deg in [0, 180)."""
        return (np.asarray(angle_deg, float) + self.turn_deg) % 180.0


def read_dic(
    path: str | Path,
    *,
    scale_um: float | None = None,
    y_axis: str = "auto",
    zeros: str = "auto",
) -> DicField:
    """A displacement field from DaVis text, OpenPIV text, a table with named columns, or an .npz with arrays
    x, y, u, v of one (rows, columns) shape.

    Parameters
    ----------
    scale_um : size of an image pixel, where known; without it that of the file
    y_axis : "up", "down" or "auto" (up where y falls through the file), which way y and v are counted
    zeros : "gaps" where a vector of exactly 0, 0 is a missing one, "values" where it is a displacement;
        "auto" looks at the surroundings (cpml.microscopy.dic.gaps)

    Raises
    ------
    MapFileError : the file is missing, of another format or unit, cut off, or its vectors are no grid
    """
    path = Path(path)
    if scale_um is not None and not scale_um > 0:
        raise ParameterError(f"{path}: scale_um {scale_um} must be positive")
    found = read_vectors(path, y_axis=y_axis, scale_um=scale_um)
    u, v, notes = found.u, found.v, list(found.note)
    masked = masked_zeros(u, v, zeros=zeros, by_convention=found.zeros_are_gaps)
    if masked.any():
        u, v = (np.where(masked, np.nan, component) for component in (u, v))
        notes.append(f"{masked.sum()} vectors of exactly 0, 0 are masked ones: missing")
    if not (np.isfinite(u) & np.isfinite(v)).any():
        raise MapFileError(f"{path}: no vector has a displacement; export the field again")
    return DicField(path.stem, found.x, found.y, u, v, found.step, found.scale_um, note=tuple(notes))
