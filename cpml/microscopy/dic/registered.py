"""An HR-DIC field laid over an EBSD map: which grain each vector belongs to, and the slip bands
of every grain.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cpml.errors import ParameterError
from cpml.microscopy.dic.bands import band_angles
from cpml.microscopy.dic.field import DicField, read_dic
from cpml.microscopy.dic.strain import max_shear
from cpml.microscopy.maps.ebsd_map import EbsdMap
from cpml.microscopy.registration.affine import DECIMALS, Affine, fit_affine, label_of_points, map_frame


@dataclass(frozen=True)
class RegisteredDic:
    """A displacement field on the grains of a map. Angles and gradients are in the frame of the map, pictures
    (rows, columns) are those of the field.

    Attributes
    ----------
    field : the vectors; their `turn_deg` is the turn of the registration
    to_map, to_um : from vectors (column, row) to map pixels (column, row), and to map positions in um
    shear : (rows, columns) maximum in-plane shear strain
    label : (rows, columns) grain of every vector, 0 = none
    bands : table grain_id, rank, angle_deg (on screen, on the map), score, n_pixels
    """

    field: DicField
    to_map: Affine
    to_um: Affine
    shear: NDArray
    label: NDArray
    bands: pd.DataFrame

    @property
    def step_um(self) -> float:
        """Distance of vectors on the map, um."""
        return float(np.sqrt(abs(np.linalg.det(self.to_um.matrix))))

    @property
    def dominant(self) -> pd.DataFrame:
        """The strongest band of every grain that has one."""
        return self.bands[self.bands["rank"] == 1]

    def on_field(self, segments: pd.DataFrame) -> pd.DataFrame:
        """Boundary segments of the map in the frame of the field: um from its first vector,
        `step_um` a vector.

        Parameters
        ----------
        segments : table with x0_um, y0_um, x1_um, y1_um, positions on the map
        """
        out = segments.copy()
        for end in "01":
            names = [f"x{end}_um", f"y{end}_um"]
            from_first = segments[names].to_numpy() - self.to_um.offset
            out[names] = self.step_um * np.linalg.solve(self.to_um.matrix, from_first.T).T
        return out

    def summary(self) -> pd.DataFrame:
        """How the field lies on the map and what it lacks, as a table of two columns to look at."""
        known = np.isfinite(self.field.u) & np.isfinite(self.field.v)
        rows, columns = self.field.shape
        stretch = np.linalg.svd(self.to_um.matrix, compute_uv=False)
        facts = {
            "vectors": f"{columns} columns x {rows} rows, {self.step_um:.3g} um apart",
            "turned onto the map by": f"{self.field.turn_deg:.2f} deg (counter-clockwise)",
            "stretch, largest over least": f"{stretch[0] / stretch[1]:.3f}",
            "residual of the points": f"{round(self.to_map.residual, DECIMALS):.2g} map pixels",
            "missing": f"{int((~known).sum())} vectors",
            "outside all grains": f"{100 * np.mean(self.label == 0):.1f} % of the vectors",
            "note": "; ".join(self.field.note) or "-",
        }
        return pd.DataFrame({"value": facts}).rename_axis(self.field.name)


def register_dic(
    path: str | Path,
    points: Sequence[Sequence[float]],
    ebsd_map: EbsdMap,
    label: NDArray,
    *,
    y_axis: str = "auto",
    zeros: str = "auto",
) -> RegisteredDic:
    """Read a field, register it by homologous points and find the bands of every grain.

    The rotation of the field against the map is the rotation in the polar decomposition of the registration,
    taken in um; what else it holds (scale, shear) is the distortion of the map, which its Euler angles do
    not share.

    Parameters
    ----------
    points : rows [DIC column, DIC row, map column, map row], three or more; columns and rows of the field
        count vectors, those of the map as cpml.microscopy.registration.affine has them
    label : (N,) grain of every map point
    y_axis, zeros : as of `read_dic`

    Raises
    ------
    ParameterError : points are missing, on one line, or mirror the field; MapFileError : the field cannot be
        read
    """
    points = np.asarray(points, float)
    if points.ndim != 2 or points.shape[1:] != (4,) or not np.isfinite(points).all():
        raise ParameterError(
            f"{path}: registration.dic_to_ebsd needs rows [DIC column, DIC row, map column, map row]"
        )
    try:
        to_map = fit_affine(points[:, :2], points[:, 2:])
    except ParameterError as error:
        raise ParameterError(f"{path}: {error}") from None
    to_um = map_frame(ebsd_map).after(to_map)
    field = replace(read_dic(path, y_axis=y_axis, zeros=zeros), turn_deg=to_um.turn_deg)
    vectors = label_of_points(field.shape, to_map, ebsd_map, label)
    if not vectors.any():
        raise ParameterError(
            f"{path}: no vector lies on a grain of the map: the points of registration.dic_to_ebsd are "
            "[DIC column, DIC row, map column, map row], counted in vectors and in map points from 0"
        )
    shear = max_shear(field.displacement_gradient)
    bands = band_angles(shear, vectors)
    bands = bands.assign(angle_deg=field.turn_lines(bands["angle_deg"]))
    return RegisteredDic(field, to_map, to_um, shear, vectors, bands)
