"""SEM images, and the lines found in them.

Lines are drawn at the middle of their grain or tile at the on-screen angle found there; families differ in
colour and line style by rank.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patheffects import withStroke
from numpy.typing import ArrayLike, NDArray

from cpml.errors import ParameterError
from cpml.plots.footprints import trace_segments
from cpml.plots.maps import map_axes, map_figure
from cpml.plots.palette import SKY, YELLOW
from cpml.plots.raster import Extent, aspect, pixel_extent
from cpml.plots.style import captioned, figure, legend_beside, need_columns, note, width_mm

RANK_LOOK = (
    {"color": YELLOW, "linestyle": "-", "linewidth": 1.3},
    {"color": SKY, "linestyle": (0, (3, 1.2)), "linewidth": 1.3},
)
OUTLINE = withStroke(linewidth=2.4, foreground="black")


@captioned
def image_with_traces(
    image: Any, traces: pd.DataFrame, *, label: ArrayLike, tiles: int | None = None
) -> Figure:
    """A grey image with the two strongest families of lines found in each of its grains or tiles.

    Parameters
    ----------
    image : SemImage; shown down to its data bar, other invalid pixels are white
    traces : table of `detect_traces` (grain_id, rank, angle_deg)
    label : (rows, columns) int, the regions of the table's grain_id
    tiles : edge of the tiles in pixels, when the regions are tiles, whose outlines are then drawn
    """
    need_columns(traces, ("grain_id", "rank", "angle_deg"), "table of traces")
    label = np.asarray(label)
    if label.shape != image.shape:
        raise ParameterError(f"label has shape {label.shape}, the image {image.shape}: they must agree")
    pixel_um = image.pixel_um or 1.0
    grey, extent = _picture(image)
    centres = _centres(label, pixel_um)
    fig, ax, _ = map_figure(extent, "double", side_mm=30)
    _draw_grey(ax, grey, extent)
    if tiles:
        _tile_lines(ax, image.shape, tiles, pixel_um)
    drawn, handles = 0, []
    for rank, look in enumerate(RANK_LOOK, start=1):
        rows = traces[(traces["rank"] == rank) & traces["grain_id"].isin(centres.index)]
        place = centres.loc[rows["grain_id"]]
        ends = trace_segments(place["x"], place["y"], rows["angle_deg"], 0.7 * place["diameter"].to_numpy())
        ax.add_collection(LineCollection(ends, path_effects=[OUTLINE], **look), autolim=False)
        drawn += len(rows)
        handles.append(Line2D([], [], label=f"family {rank} ({len(rows)})", **look))
    legend = legend_beside(ax, handles=handles, title="Lines found", alignment="left")
    for line in legend.get_lines():
        line.set_path_effects([OUTLINE])
    return note(fig, _scale_note(image), n=drawn, unit="line families")


@captioned
def image_panels(images: Mapping[str, Any]) -> Figure:
    """Pictures side by side, each with its own greys (0.5th to 99.5th percentile)."""
    shown = [_picture(image) for image in images.values()]
    height = max(aspect(extent) for _, extent in shown) / len(shown) * 0.95 + 22 / width_mm("double")
    fig, axes = figure("double", aspect=height, cols=len(shown), squeeze=False)
    for ax, title, (grey, extent) in zip(axes[0], images, shown, strict=True):
        _draw_grey(ax, grey, extent, title=title)
    first = next(iter(images.values()))
    return note(fig, _scale_note(first), n=first.valid.sum(), unit="pixels")


def _picture(image: Any) -> tuple[NDArray, Extent]:
    """Greys from 0 to 1 down to the data bar, and their extent."""
    rows = np.flatnonzero(image.valid.any(axis=1))[-1] + 1
    low, high = np.percentile(image.values[image.valid], [0.5, 99.5])
    grey = np.clip((image.masked[:rows] - low) / max(high - low, 1e-12), 0, 1)
    return grey, pixel_extent(grey.shape, image.pixel_um or 1.0)


def _draw_grey(ax: Axes, grey: NDArray, extent: Extent, *, title: str = "") -> None:
    ax.imshow(grey, extent=extent, cmap="gray", vmin=0, vmax=1, interpolation="nearest")
    map_axes(ax, extent, title=title)


def _scale_note(image: Any) -> str:
    return "" if image.pixel_um else "scale unknown: 1 µm stands for one pixel"


def _centres(label: NDArray, pixel_um: float) -> pd.DataFrame:
    """Middle (x, y) and equivalent diameter of every region, um, by its number."""
    y, x = np.nonzero(label > 0)
    n = np.bincount(label[y, x])
    known = np.flatnonzero(n)
    table = {k: np.bincount(label[y, x], v)[known] / n[known] * pixel_um for k, v in (("x", x), ("y", y))}
    return pd.DataFrame(table | {"diameter": 2 * np.sqrt(n[known] / np.pi) * pixel_um}, index=known)


def _tile_lines(ax: Axes, shape: tuple[int, int], tile: int, pixel_um: float) -> None:
    look = {"color": "white", "linewidth": 0.3, "alpha": 0.5}
    for at in np.arange(tile, shape[0], tile):
        ax.axhline((at - 0.5) * pixel_um, **look)
    for at in np.arange(tile, shape[1], tile):
        ax.axvline((at - 0.5) * pixel_um, **look)
