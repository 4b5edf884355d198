"""What is drawn on, passed as one thing: a map or the grid of an HR-DIC field, with the outlines over it."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import pandas as pd

from cpml.plots.raster import Raster, raster
from cpml.plots.style import need_columns

ENDS = ("x0_um", "y0_um", "x1_um", "y1_um")
"""Columns of a table of boundary segments: their two ends."""


@dataclass(frozen=True, eq=False)
class MapView:
    """A map to draw on, and the boundaries drawn over it.

    Parameters
    ----------
    ebsd_map : EbsdMap
    segments : boundary segments on the pixel edges (x0_um, y0_um, x1_um, y1_um and, where known, angle_deg),
        as `Grains.segments`; None: no boundaries

    Raises
    ------
    ParameterError : segments without their ends
    """

    ebsd_map: Any
    segments: pd.DataFrame | None = None

    def __post_init__(self) -> None:
        _check(self.segments)

    @cached_property
    def raster(self) -> Raster:
        """The map as an image."""
        return raster(self.ebsd_map)


@dataclass(frozen=True, eq=False)
class FieldView:
    """The grid of an HR-DIC field, whose first vector is centred at 0, 0, and the boundaries drawn over it.

    Parameters
    ----------
    step_um : distance of vectors, um
    segments : boundary segments in the coordinates of the field, as of `MapView`; None: no boundaries

    Raises
    ------
    ParameterError : segments without their ends
    """

    step_um: float = 1.0
    segments: pd.DataFrame | None = None

    def __post_init__(self) -> None:
        _check(self.segments)


def _check(segments: pd.DataFrame | None) -> None:
    if segments is not None:
        need_columns(segments, ENDS, "table of boundary segments")
