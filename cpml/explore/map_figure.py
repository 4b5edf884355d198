"""The map as a figure that is repainted, not drawn anew: points, boundaries, the grain that was chosen."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping

import numpy as np
import pandas as pd
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.cm import ScalarMappable
from matplotlib.collections import LineCollection
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.layout_engine import PlaceHolderLayoutEngine
from matplotlib.patches import Patch
from matplotlib.patheffects import withStroke
from numpy.typing import NDArray

from cpml.explore.colourings import Painting
from cpml.explore.survey import Survey
from cpml.plots.colours import GROUP_OF_LATTICE, ipf_key
from cpml.plots.maps import sample_axes, scale_bar
from cpml.plots.raster import aspect

WIDE_IN, SIDE_IN, UNDER_IN, OVER_IN = 4.9, 1.75, 0.42, 0.46
"""Inches of a map, beside it for the key, under it for the scale bar, over it for the title."""
TALLEST, SHORTEST = 1.25, 0.45
"""Height of the map over its width, at most and at least."""
DPI = 100
FONT = 9
FIXED = PlaceHolderLayoutEngine(adjust_compatible=True, colorbar_gridspec=True)
"""All axes are placed by hand; None would bring back the style's layout whenever the figure is saved."""


class MapFigure:
    """The figure of a survey.

    Attributes
    ----------
    figure, ax : of matplotlib; the axes of the map, x to the right and y down, um
    """

    def __init__(self, survey: Survey):
        self.survey, self._raster = survey, survey.view.raster
        left, right, bottom, top = self._raster.extent
        shape = aspect(self._raster.extent)
        high = WIDE_IN * float(np.clip(shape, SHORTEST, TALLEST))
        wide = min(WIDE_IN, high / shape)
        total = wide + SIDE_IN + 0.1, high + UNDER_IN + OVER_IN
        self.figure = Figure(figsize=total, dpi=DPI, facecolor="white", layout=FIXED)
        FigureCanvasAgg(self.figure)
        place = 0.05 / total[0], UNDER_IN / total[1], wide / total[0], high / total[1]
        self.ax: Axes = self.figure.add_axes(place)
        side = (wide + 0.2) / total[0], UNDER_IN / total[1], (SIDE_IN - 0.15) / total[0], high / total[1]
        self._side = side
        self._key: list[Artist] = []
        self._shown: tuple | None = None  # what the key says
        self.ax.set(xlim=(left, right), ylim=(bottom, top), aspect="equal", xticks=[], yticks=[], anchor="NW")
        for spine in self.ax.spines.values():
            spine.set(visible=True, linewidth=0.6)
        blank = np.ones((*self._raster.index.shape, 3))
        self._image = self.ax.imshow(blank, extent=self._raster.extent, interpolation="nearest")
        self._image.mouseover = False  # its colour values are nothing to read
        self._inner = self._collection(linewidths=0.35, colors="0.25")
        self._lines = self._collection(linewidths=0.8, colors="black")
        self._halo = self._collection(linewidths=4.2, colors="white", zorder=4)
        self._rim = self._collection(linewidths=2.0, colors="black", zorder=5)
        self._numbers: list = []
        scale_bar(self.ax)
        sample_axes(self.ax)
        for text in self.ax.texts:
            text.set_fontsize(FONT - 1)

    def _collection(self, **look) -> LineCollection:
        lines = LineCollection([], capstyle="round", **look)
        self.ax.add_collection(lines, autolim=False)
        return lines

    def paint(self, painting: Painting) -> None:
        """Show other colours, with their key."""
        self._image.set_data(self._raster.image(painting.rgb, missing=1.0))
        self.ax.set_title(painting.title, loc="left", fontsize=FONT + 1, pad=6)
        kind = (painting.triangle is not None, painting.bar, painting.note, *(n for n, _ in painting.names))
        if kind != self._shown:
            self._shown = kind
            self._draw_key(painting)

    def outline(self, grains: NDArray, fragments: NDArray) -> None:
        """Draw boundaries round the grains of a label (N,), and finer ones round the fragments in them."""
        shown = np.clip(self._raster.index, 0, None)
        self._cells, inner = (np.where(self._raster.index >= 0, x[shown], 0) for x in (grains, fragments))
        self._lines.set_segments(edges(self._cells, self._raster.extent))
        self._inner.set_segments(edges(inner, self._raster.extent, inside=self._cells))

    def choose(self, grain_id: int | None, numbers: Mapping[int, tuple[float, float]] | None = None) -> None:
        """Mark one grain of the label that was outlined, and write numbers at positions (um); None: none."""
        for text in self._numbers:
            text.remove()
        mask = np.zeros_like(self._cells) if grain_id is None else (self._cells == grain_id).astype(int)
        rim = edges(np.pad(mask, 1), _padded(self._raster.extent, mask.shape)) if mask.any() else []
        self._halo.set_segments(rim)
        self._rim.set_segments(rim)
        self._numbers = [
            self.ax.text(
                *place,
                str(number),
                fontsize=FONT - 0.5,
                fontweight="bold" if number == grain_id else "normal",
                ha="center",
                va="center",
                zorder=6,
                clip_on=True,
                path_effects=[withStroke(linewidth=2.2, foreground="white")],
            )
            for number, place in (numbers or {}).items()
        ]

    def point_at(self, x_um: float, y_um: float) -> int | None:
        """Number of the map point shown at a position; None outside the map."""
        left, right, bottom, top = self._raster.extent
        rows, columns = self._raster.index.shape
        column = int(np.floor((x_um - left) / (right - left) * columns))
        row = int(np.floor((y_um - top) / (bottom - top) * rows))
        if not (0 <= row < rows and 0 <= column < columns):
            return None
        point = int(self._raster.index[row, column])
        return point if point >= 0 else None

    def _draw_key(self, painting: Painting) -> None:
        for artist in self._key:
            artist.remove()
        self._key = []
        if painting.triangle is not None:
            self._draw_triangles()
        if painting.bar is not None:
            self._draw_bar(*painting.bar)
        if painting.names:
            self._draw_names(painting.names)
        if painting.note:
            words = "\n".join(textwrap.wrap(painting.note, 26))
            look = {"fontsize": FONT - 1, "color": "0.3", "va": "bottom"}
            self._key.append(self.figure.text(self._side[0], self._side[1], words, **look))

    def _draw_triangles(self) -> None:
        ebsd = self.survey.ebsd
        present = [p for k, p in ebsd.phases.items() if np.any(ebsd.phase_id == k)][:3]
        x, bottom, wide, high = self._side
        each = min(
            high / max(len(present), 1), 1.8 / self.figure.get_figheight()
        )  # a name over it, corners under it
        for k, phase in enumerate(present):
            axes = self.figure.add_axes((x, bottom + high - (k + 0.85) * each, wide, 0.66 * each))
            ipf_key(axes, GROUP_OF_LATTICE.get(phase.lattice or "", phase.group), title=phase.name)
            axes.title.set_fontsize(FONT)
            self._key.append(axes)

    def _draw_bar(self, cmap: str, limits: tuple[float, float], label: str) -> None:
        x, bottom, wide, high = self._side
        axes = self.figure.add_axes((x, bottom + 0.25 * high, 0.1 * wide, 0.75 * high))
        bar = self.figure.colorbar(ScalarMappable(Normalize(*limits), cmap), cax=axes)
        bar.set_label(label, fontsize=FONT)
        bar.ax.tick_params(labelsize=FONT)
        bar.outline.set_linewidth(0.5)
        self._key.append(axes)

    def _draw_names(self, names) -> None:
        x, bottom, _, high = self._side
        handles = [
            Patch(facecolor=colour, edgecolor="0.3", linewidth=0.4, label=name) for name, colour in names
        ]
        look = {
            "loc": "upper left",
            "fontsize": FONT,
            "frameon": False,
            "borderaxespad": 0,
            "handlelength": 1.2,
        }
        place = {"bbox_to_anchor": (x, bottom + high), "bbox_transform": self.figure.transFigure}
        legend = self.figure.legend(
            handles=handles, title="family (grains)", alignment="left", **look, **place
        )
        legend.get_title().set_fontsize(FONT)
        self._key.append(legend)


def edges(
    cells: NDArray, extent: tuple[float, float, float, float], *, inside: NDArray | None = None
) -> NDArray:
    """(E, 2, 2) lines, um, between cells of a picture (H, W) that differ; those in a row are one line.

    Parameters
    ----------
    inside : (H, W); only lines between cells that are equal in it

    Examples
    --------
    >>> edges(np.array([[1, 2], [1, 2]]), (0.0, 2.0, 2.0, 0.0)).tolist()
    [[[1.0, 0.0], [1.0, 2.0]]]
    """
    left, right, bottom, top = extent
    rows, columns = cells.shape
    dx, dy = (right - left) / columns, (bottom - top) / rows
    beside, below = cells[:, 1:] != cells[:, :-1], cells[1:] != cells[:-1]
    if inside is not None:
        beside, below = beside & (inside[:, 1:] == inside[:, :-1]), below & (inside[1:] == inside[:-1])
    column, start, end = _runs(beside)
    x = left + (column + 1) * dx
    upright = np.stack([np.stack([x, top + start * dy], 1), np.stack([x, top + end * dy], 1)], axis=1)
    row, start, end = _runs(below.T)
    y = top + (row + 1) * dy
    level = np.stack([np.stack([left + start * dx, y], 1), np.stack([left + end * dx, y], 1)], axis=1)
    return np.concatenate([upright, level])


def _runs(differs: NDArray) -> tuple[NDArray, NDArray, NDArray]:
    """Column, first row and row after the last of every run of True down the columns of a picture."""
    padded = np.pad(differs.T.astype(np.int8), ((0, 0), (1, 1)))
    step = np.diff(padded, axis=1)
    column, start = np.nonzero(step == 1)
    return column, start, np.nonzero(step == -1)[1]


def _padded(
    extent: tuple[float, float, float, float], shape: tuple[int, ...]
) -> tuple[float, float, float, float]:
    """The extent of a picture with one more cell on all sides."""
    left, right, bottom, top = extent
    dx, dy = (right - left) / shape[1], (bottom - top) / shape[0]
    return left - dx, right + dx, bottom + dy, top - dy


def centres(grains: pd.DataFrame, ids: list[int]) -> dict[int, tuple[float, float]]:
    """Positions of grains, um, by their number."""
    rows = grains.loc[ids, ["x_um", "y_um"]]
    return {int(i): (float(x), float(y)) for i, (x, y) in zip(rows.index, rows.to_numpy(), strict=True)}
