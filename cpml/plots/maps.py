"""Maps of the specimen: orientations, point values, grain values, with boundaries on the pixel edges.

All maps have x to the right and y down, equal aspect, no interpolation, a scale bar and the sample axes
below the image. White means not indexed; light grey means that the quantity has no value there.
"""

import textwrap
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.transforms import offset_copy
from numpy.typing import ArrayLike, NDArray

from cpml.errors import ParameterError
from cpml.plots.colours import GROUP_OF_LATTICE, ipf_colours, ipf_key, sample_direction
from cpml.plots.palette import NO_VALUE, category_colours
from cpml.plots.raster import Extent, aspect
from cpml.plots.style import MM, captioned, figure, legend_beside, need_columns, note, same_length, width_mm
from cpml.plots.views import ENDS, MapView

HIGH_ANGLE_DEG = 15.0
MANY_SEGMENTS = 40_000
UNDER_MAP_MM = 9.0
TALLEST = 1.0
BAR_MM = 23.0
"""Room for a colour bar, its ticks and one line of its label."""
LABEL_MM, LETTER_MM = 1.5, 1.42
"""Width of a letter of 8 pt and of 7 pt."""


def nice_length(span: float) -> float:
    """The largest of 1, 2, 5 x 10^k that is at most a quarter of the span."""
    power = 10.0 ** np.floor(np.log10(span / 4))
    return float(power * max(m for m in (1, 2, 5) if m * power <= span / 4 * (1 + 1e-9)))


def scale_bar(ax: Axes) -> float:
    """Scale bar of a round length under the lower left corner of a map; returns its length in um."""
    left, right = sorted(ax.get_xlim())
    length = nice_length(right - left)
    below = offset_copy(ax.get_xaxis_transform(), fig=ax.figure, y=-7, units="points")
    look = {"color": "black", "linewidth": 1.6, "solid_capstyle": "butt", "clip_on": False}
    ax.plot([left, left + length], [0, 0], gid="scale bar", transform=below, **look)
    text = f"{length:g} µm" if length >= 1 else f"{1000 * length:g} nm"
    beside = offset_copy(below, fig=ax.figure, x=3, units="points")
    ax.text(left + length, 0, text, transform=beside, va="center", fontsize=7, clip_on=False)
    return length


def sample_axes(ax: Axes) -> None:
    """Arrows of the sample axes under the lower right corner: x right, y down."""

    def corner(x, y):
        return offset_copy(ax.transAxes, fig=ax.figure, x=x, y=y, units="points")

    style = "-|>,head_width=0.15,head_length=0.3"
    arrow = {"arrowstyle": style, "fc": "black", "linewidth": 0.6, "shrinkA": 0, "shrinkB": 0}
    ends = {"xy": (1, 0), "xytext": (1, 0), "annotation_clip": False, "arrowprops": arrow}
    for name, tip, place in (("x", (-8, -5), (-6, -5)), ("y", (-23, -20), (-20, -17))):
        ax.annotate("", xycoords=corner(*tip), textcoords=corner(-23, -5), **ends)
        ax.text(1, 0, name, transform=corner(*place), va="center", fontsize=7)


def boundary_lines(
    ax: Axes, segments: pd.DataFrame, *, linewidth: float = 0.6, colour: str | None = None
) -> LineCollection:
    """Grain boundaries as one LineCollection on the pixel edges.

    Parameters
    ----------
    segments : table with x0_um, y0_um, x1_um, y1_um and, when known, angle_deg
    colour : of all segments; None: black from 15 degrees on and where the angle is unknown, thin grey below
    """
    need_columns(segments, ENDS, "table of boundary segments")
    ends = segments[list(ENDS)].to_numpy(float).reshape(-1, 2, 2)
    low = np.zeros(len(ends), bool)
    if "angle_deg" in segments:
        low = segments["angle_deg"].to_numpy(float) < HIGH_ANGLE_DEG
    order = np.argsort(~low, kind="stable")
    lines = LineCollection(
        ends[order],
        colors=colour or np.where(low[order, None], to_rgb("0.45"), to_rgb("black")),
        linewidths=np.where(low[order], 0.5 * linewidth, linewidth),
        capstyle="round",
        rasterized=len(ends) > MANY_SEGMENTS,
    )
    ax.add_collection(lines, autolim=False)
    return lines


def map_figure(extent: Extent, width: str, *, side_mm: float, side: bool = False) -> tuple[Figure, Axes, Any]:
    """Figure whose axes fit a map of this extent: (fig, ax, gridspec cell beside it or None)."""
    wide, shape = width_mm(width), aspect(extent)
    around = UNDER_MAP_MM + 9
    map_height = np.clip((wide - side_mm) * shape, 45 - around, TALLEST * wide)
    fig, ax = figure(wide, aspect=(map_height + around) / wide)
    cell = None
    if side:
        map_width = min(wide - side_mm, map_height / shape)
        rest = max(wide - side_mm - map_width, 0.1)
        grid = fig.add_gridspec(1, 3, width_ratios=(map_width, side_mm, rest))
        ax.set_subplotspec(grid[0, 0])
        cell = grid[0, 1]
    return fig, ax, cell


def map_axes(ax: Axes, extent: Extent, *, title: str = "", segments: pd.DataFrame | None = None) -> None:
    """Frame, boundaries, scale bar and sample axes of a map."""
    left, right, bottom, top = extent
    ax.set(xlim=(left, right), ylim=(bottom, top), aspect="equal", xticks=[], yticks=[], anchor="NW")
    for spine in ax.spines.values():
        spine.set_visible(True)
    if segments is not None:
        boundary_lines(ax, segments)
    scale_bar(ax)
    sample_axes(ax)
    ax.set_title(title)


def map_colours(view: MapView, direction: str | ArrayLike) -> NDArray:
    """(N, 3) IPF colours of the points that the raster shows, each phase with its own key; else white."""
    ebsd_map, index = view.ebsd_map, view.raster.index
    shown = np.zeros(len(ebsd_map.xy), dtype=bool)
    shown[index[index >= 0]] = True
    rgb = np.ones((len(ebsd_map.xy), 3))
    for number, phase in ebsd_map.phases.items():
        points = shown & (ebsd_map.phase_id == number)
        rgb[points] = ipf_colours(ebsd_map.quaternions[points], group=_group(phase), direction=direction)
    return rgb


def _group(phase: Any) -> str:
    return GROUP_OF_LATTICE.get(phase.lattice, phase.group)


@captioned
def ipf_map(view: MapView, *, direction: str | ArrayLike = "z") -> Figure:
    """Inverse-pole-figure map with its colour triangles.

    Parameters
    ----------
    direction : sample direction "x", "y", "z" (into the specimen) or a 3-vector
    """
    _, name = sample_direction(direction)
    ebsd_map, raster = view.ebsd_map, view.raster
    picture = raster.image(map_colours(view, direction), missing=1.0)
    present = [p for k, p in ebsd_map.phases.items() if np.any(ebsd_map.phase_id == k)]
    fig, ax, cell = map_figure(raster.extent, "double", side_mm=32, side=True)
    ax.imshow(picture, extent=raster.extent, interpolation="nearest")
    map_axes(ax, raster.extent, title=f"Orientation map, IPF-{name}", segments=view.segments)
    rows = max(len(present), 1)
    keys = cell.subgridspec(rows + 1, 1, height_ratios=[1] * rows + [0.6])
    for row, phase in enumerate(present):
        ipf_key(fig.add_subplot(keys[row]), _group(phase), title=phase.name)
    return note(fig, n=np.sum(ebsd_map.phase_id > 0), unit="indexed points")


@captioned
def phase_map(view: MapView) -> Figure:
    """Phases of a map, each in its colour, with names and shares of the points; points without a solution
    are white.
    """
    ebsd_map = view.ebsd_map
    n, present = len(ebsd_map.phase_id), np.unique(ebsd_map.phase_id[ebsd_map.phase_id > 0])
    rgb = np.ones((n, 3))
    handles = []
    for number, colour in zip(present, category_colours(len(present)), strict=True):
        here = ebsd_map.phase_id == number
        rgb[here] = colour
        name = textwrap.fill(ebsd_map.phases[number].name, 28)
        handles.append(Patch(facecolor=colour, label=f"{name} ({_percent(here.mean())})"))
    without = float(np.mean(ebsd_map.phase_id <= 0))
    if without:
        label = f"no solution ({_percent(without)})"
        handles.append(Patch(facecolor="white", edgecolor="0.6", linewidth=0.3, label=label))
    fig, _ = colour_map(view, rgb, handles=handles, legend_title="Phase (share of the points)")
    return note(fig, n=n, unit="points")


def _percent(share: float) -> str:
    return f"{100 * share:.2g} %" if share < 0.0995 else f"{100 * share:.0f} %"


def colour_limits(
    values: ArrayLike, *, vmin: float | None = None, vmax: float | None = None, centred: bool = False
) -> tuple[float, float]:
    """Colour limits: 0 or the minimum to the 99th percentile; symmetric about zero when centred.

    Values of exactly 0 do not count for the percentile: points that a vendor filled in have no KAM.
    """
    known = np.asarray(values, dtype=float)
    known = known[np.isfinite(known)]
    if centred:
        bound = np.percentile(np.abs(known), 99) if vmax is None else vmax
        bound = bound if bound > 0 else 1.0
        return -bound, bound
    measured = known[known != 0]
    low, high = known.min(), np.percentile(measured if len(measured) else known, 99)
    low = min(0.0, low) if low < 0.3 * known.max() else low
    low, high = low if vmin is None else vmin, high if vmax is None else vmax
    return low, high if high > low else low + 1.0


def value_figure(
    image: NDArray,
    extent: Extent,
    *,
    label: str,
    cmap: str,
    limits: tuple[float, float],
    width: str,
    background: NDArray | None = None,
) -> tuple[Figure, Axes]:
    """Image of magnitudes with its colour bar, whose ends are pointed where values lie outside the limits.

    Parameters
    ----------
    label : at the colour bar, on two lines where it is longer than the bar
    background : (H, W, 3) colours where the image has no value
    """
    bar_mm = (width_mm(width) - BAR_MM) * aspect(extent)
    lines = textwrap.wrap(label, max(int(bar_mm / LABEL_MM), 20))
    fig, ax, _ = map_figure(extent, width, side_mm=BAR_MM + 4 * (len(lines) - 1))
    if background is not None:
        ax.imshow(background, extent=extent, interpolation="nearest")
    low, high = limits
    drawn = ax.imshow(image, extent=extent, cmap=cmap, vmin=low, vmax=high, interpolation="nearest")
    known = image[np.isfinite(image)]
    margin = 1e-9 * (high - low)
    beyond = bool((known < low - margin).any()), bool((known > high + margin).any())
    extend = {(0, 0): "neither", (1, 0): "min", (0, 1): "max", (1, 1): "both"}[beyond]
    place = ax.inset_axes((1.02, 0, 3.2 * MM / fig.get_figwidth(), 1))
    bar = fig.colorbar(drawn, cax=place, label="\n".join(lines), extend=extend, extendfrac=0.03)
    bar.outline.set_linewidth(0.5)
    return fig, ax


def legend_mm(texts: Iterable[str]) -> float:
    """Room beside a map for a legend of these entries, mm."""
    return 12 + LETTER_MM * max(len(line) for text in texts for line in text.split("\n"))


def empty_points(view: MapView) -> NDArray:
    """(H, W, 3) background of a map: light grey where indexed, white where not."""
    rgb = np.where((view.ebsd_map.phase_id > 0)[:, None], to_rgb(NO_VALUE), 1.0)
    return view.raster.image(rgb, missing=1.0)


@captioned
def scalar_map(
    view: MapView,
    values: ArrayLike,
    *,
    label: str,
    vmin: float | None = None,
    vmax: float | None = None,
    cmap: str | None = None,
    centred: bool = False,
) -> Figure | None:
    """Map of one number per point.

    Parameters
    ----------
    values : (N,) numbers; NaN is drawn light grey
    label : quantity with its unit, at the colour bar
    vmin, vmax : colour limits; without them 0 (or the minimum) to the 99th percentile
    cmap : name of a colour map; viridis when not given
    centred : signed quantity: red-blue, symmetric about zero

    Returns
    -------
    Figure, None where there is nothing to draw: no point has a value
    """
    values, _ = same_length(values=np.asarray(values, dtype=float), points=view.ebsd_map.xy)
    known = np.isfinite(values)
    if not known.any():
        return None
    limits = colour_limits(values, vmin=vmin, vmax=vmax, centred=centred)
    extent = view.raster.extent
    fig, ax = value_figure(
        view.raster.image(values),
        extent,
        label=label,
        cmap=cmap or ("RdBu_r" if centred else "viridis"),
        limits=limits,
        width="middle",
        background=empty_points(view),
    )
    map_axes(ax, extent, segments=view.segments)
    return note(fig, n=known.sum(), unit="points")


def spread(grain_label: ArrayLike, values: Mapping[int, float] | pd.Series) -> NDArray:
    """(N,) value of each point's grain, NaN where there is none; values by grain id."""
    if not hasattr(values, "items"):
        raise ParameterError("grain values must be a dict or a pandas Series indexed by grain id")
    grain_label = np.asarray(grain_label)
    table = np.full(max([int(grain_label.max(initial=0)), *[int(k) for k, _ in values.items()]]) + 1, np.nan)
    for grain, value in values.items():
        table[int(grain)] = value
    table[0] = np.nan
    return table[np.clip(grain_label, 0, None)]


@captioned
def grain_map(
    view: MapView,
    grain_label: ArrayLike,
    values: Mapping[int, Any] | pd.Series,
    *,
    label: str,
    categories: Sequence | Mapping[Any, str] | None = None,
    vmin: float | None = None,
    vmax: float | None = None,
    cmap: str | None = None,
    centred: bool = False,
) -> Figure | None:
    """Map of the grains, each in the colour of its value.

    Parameters
    ----------
    grain_label : (N,) grain id of each point, 0 = none
    values : grain id -> number (or category); grains without a value are light grey
    label : quantity with its unit
    categories : in the order of the legend, or category -> name in words
    vmin, vmax, cmap, centred : as of `scalar_map`; without vmax the colours reach the largest value

    Returns
    -------
    Figure, None where there is nothing to draw: no grain has a value
    """
    grain_label, _ = same_length(grain_label=grain_label, points=view.ebsd_map.xy)
    if categories is not None:
        names = dict(categories) if isinstance(categories, Mapping) else {c: str(c) for c in categories}
        return _category_map(view, grain_label, values, names, label)
    points = spread(grain_label, values)
    n = np.isfinite(np.array([v for _, v in values.items()], dtype=float)).sum()
    if not n:
        return None
    if vmax is None and not centred:
        vmax = np.nanmax(points, initial=0.0)
    fig = scalar_map(view, points, label=label, vmin=vmin, vmax=vmax, cmap=cmap, centred=centred)
    return None if fig is None else note(fig, n=n, unit="grains")


def _category_map(view, grain_label, values, names, label) -> Figure | None:
    rank = {category: i for i, category in enumerate(names)}
    codes = {grain: rank[value] for grain, value in values.items() if value in rank}
    if not codes:
        return None
    colours = category_colours(len(names))
    points, is_indexed = spread(grain_label, codes), view.ebsd_map.phase_id > 0
    known = np.isfinite(points)
    rgb = np.ones((len(points), 3))
    rgb[is_indexed] = to_rgb(NO_VALUE)
    rgb[known] = colours[points[known].astype(int)]
    count = np.bincount(list(codes.values()), minlength=len(names))
    handles = [
        Patch(facecolor=c, label=f"{n} ({k})") for c, n, k in zip(colours, names.values(), count, strict=True)
    ]
    if np.any(is_indexed & ~known):
        handles.append(Patch(facecolor=NO_VALUE, edgecolor="0.6", linewidth=0.3, label="no value"))
    fig, _ = colour_map(view, rgb, handles=handles, legend_title=textwrap.fill(label, 24))
    return note(fig, n=len(codes), unit="grains")


def colour_map(
    view: MapView,
    rgb: NDArray,
    *,
    handles: Sequence[Artist],
    legend_title: str,
    width: str = "middle",
    title: str = "",
) -> tuple[Figure, Axes]:
    """Map of a colour per point (N, 3), with the legend beside it."""
    raster = view.raster
    texts = [legend_title, *(str(handle.get_label()) for handle in handles)]
    fig, ax, _ = map_figure(raster.extent, width, side_mm=legend_mm(texts))
    ax.imshow(raster.image(rgb, missing=1.0), extent=raster.extent, interpolation="nearest")
    map_axes(ax, raster.extent, title=title, segments=view.segments)
    legend_beside(ax, handles=handles, title=legend_title, alignment="left")
    return fig, ax
