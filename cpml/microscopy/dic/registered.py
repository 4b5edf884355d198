"""An HR-DIC field laid over an EBSD map: which grain each vector belongs to, and the slip bands
of every grain.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cpml.errors import ParameterError
from cpml.microscopy.dic.bands import band_angles
from cpml.microscopy.dic.field import DicField, read_dic
from cpml.microscopy.dic.strain import max_shear
from cpml.microscopy.maps.ebsd_map import EbsdMap
from cpml.microscopy.registration.affine import Affine, fit_affine, label_of_points


@dataclass(frozen=True)
class RegisteredDic:
    """A displacement field on the grains of a map.

    Attributes
    ----------
    shear : (rows, cols) maximum in-plane shear strain
    label : (rows, cols) grain of every vector, 0 = none
    bands : table grain_id, rank, angle_deg (on screen), score, n_pixels
    step_um : distance of vectors on the map
    """

    field: DicField
    to_map: Affine
    shear: NDArray
    label: NDArray
    bands: pd.DataFrame
    step_um: float

    @property
    def dominant(self) -> pd.DataFrame:
        """The strongest band of every grain that has one."""
        return self.bands[self.bands["rank"] == 1]

    def on_field(self, segments: pd.DataFrame, map_step_um: float) -> pd.DataFrame:
        """Boundary segments of the map in the frame of the field: um from its first vector,
        `step_um` a vector.

        Parameters
        ----------
        segments : table with x0_um, y0_um, x1_um, y1_um on a map whose first point is at 0, 0
        """
        out = segments.copy()
        for end in "01":
            names = [f"x{end}_um", f"y{end}_um"]
            on_map = segments[names].to_numpy() / map_step_um - self.to_map.offset
            out[names] = self.step_um * np.linalg.solve(self.to_map.matrix, on_map.T).T
        return out


def register_dic(
    path: str | Path, points: Sequence[Sequence[float]], ebsd_map: EbsdMap, label: NDArray
) -> RegisteredDic:
    """Read a field, register it by homologous points and find the bands of every grain.

    Parameters
    ----------
    points : rows [DIC column, DIC row, map column, map row], three or more
    label : (N,) grain of every map pixel

    Raises
    ------
    ParameterError : points are missing; MapFileError : the field cannot be read
    """
    points = np.asarray(points, float)
    if points.ndim != 2 or points.shape[1:] != (4,):
        raise ParameterError(
            f"{path}: registration.dic_to_ebsd needs rows [DIC column, DIC row, map column, map row]"
        )
    field = read_dic(path)
    to_map = fit_affine(points[:, :2], points[:, 2:])
    vectors = label_of_points(field.shape, to_map, ebsd_map, label)
    shear = max_shear(field.displacement_gradient)
    # angles stay as seen in the DIC image: the shear in `to_map` is the distortion of the tilted map,
    # which its Euler angles do not share
    bands = band_angles(shear, vectors)
    step = float(np.sqrt(abs(np.linalg.det(to_map.matrix)))) * ebsd_map.step_um
    return RegisteredDic(field, to_map, shear, vectors, bands, step)
