"""Maps of the specimen: orientations, point values, grain values, with boundaries on the pixel edges.

All maps have x to the right and y down, equal aspect, no interpolation, a scale bar and the sample axes
below the image. White means not indexed; light grey means that the quantity has no value there.
"""

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.collections import LineCollection
from matplotlib.colors import to_rgb
from matplotlib.patches import Patch
from matplotlib.transforms import offset_copy

from cpml.errors import ParameterError
from cpml.plots.colours import GROUP_OF_LATTICE, ipf_colours, ipf_key, sample_direction
from cpml.plots.raster import raster
from cpml.plots.style import (
    CATEGORY_COLOURS,
    MM,
    NO_VALUE,
    figure,
    legend_beside,
    same_length,
    stamp,
    width_mm,
)

SEGMENT_COLUMNS = ("x0_um", "y0_um", "x1_um", "y1_um")
MANY_SEGMENTS = 40_000
UNDER_MAP_MM = 9.0
TALLEST = 1.0


def nice_length(span):
    """The largest of 1, 2, 5 x 10^k that is at most a quarter of the span."""
    power = 10.0 ** np.floor(np.log10(span / 4))
    return float(power * max(m for m in (1, 2, 5) if m * power <= span / 4 * (1 + 1e-9)))


def scale_bar(ax, *, length_um=None):
    """Scale bar under the lower left corner of a map; returns its length in um (round when not given)."""
    left, right = sorted(ax.get_xlim())
    length = nice_length(right - left) if length_um is None else float(length_um)
    below = offset_copy(ax.get_xaxis_transform(), fig=ax.figure, y=-7, units="points")
    options = {
        "color": "black",
        "linewidth": 1.6,
        "solid_capstyle": "butt",
        "clip_on": False,
        "transform": below,
    }
    ax.plot([left, left + length], [0, 0], gid="scale bar", **options)
    text = f"{length:g} µm" if length >= 1 else f"{1000 * length:g} nm"
    beside = offset_copy(below, fig=ax.figure, x=3, units="points")
    ax.text(left + length, 0, text, transform=beside, va="center", fontsize=7, clip_on=False)
    return length


def sample_axes(ax):
    """Arrows of the sample axes under the lower right corner: x right, y down."""

    def corner(x, y):
        return offset_copy(ax.transAxes, fig=ax.figure, x=x, y=y, units="points")

    arrow = {
        "arrowstyle": "-|>,head_width=0.15,head_length=0.3",
        "linewidth": 0.6,
        "shrinkA": 0,
        "shrinkB": 0,
    }
    ends = {"xy": (1, 0), "xytext": (1, 0), "annotation_clip": False, "arrowprops": {"fc": "black", **arrow}}
    for name, tip, place in (("x", (-8, -5), (-6, -5)), ("y", (-23, -20), (-20, -17))):
        ax.annotate("", xycoords=corner(*tip), textcoords=corner(-23, -5), **ends)
        ax.text(1, 0, name, transform=corner(*place), va="center", fontsize=7)


def boundary_lines(ax, segments, *, high_angle=15.0, low_angle=0.0, linewidth=0.6):
    """Grain boundaries as one LineCollection on the pixel edges.

    Parameters
    ----------
    segments : table with x0_um, y0_um, x1_um, y1_um and, when known, angle_deg
    high_angle : black from this angle (degrees) on, and where the angle is unknown; thin grey below
    low_angle : segments below this angle are left out

    Returns
    -------
    LineCollection
    """
    missing = [name for name in SEGMENT_COLUMNS if name not in segments]
    if missing:
        raise ParameterError(f"boundary segments have no column {', '.join(missing)}")
    ends = np.stack([np.asarray(segments[name], dtype=float) for name in SEGMENT_COLUMNS], axis=-1)
    angle = (
        np.asarray(segments["angle_deg"], dtype=float)
        if "angle_deg" in segments
        else np.full(len(ends), np.nan)
    )
    shown = ~(angle < low_angle)
    ends, low = ends[shown].reshape(-1, 2, 2), angle[shown] < high_angle
    order = np.argsort(~low, kind="stable")
    lines = LineCollection(
        ends[order],
        colors=np.where(low[order, None], to_rgb("0.45"), to_rgb("black")),
        linewidths=np.where(low[order], 0.5 * linewidth, linewidth),
        capstyle="round",
        rasterized=len(ends) > MANY_SEGMENTS,
    )
    return ax.add_collection(lines, autolim=False)


def map_figure(aspect, width, *, side_mm, side=False):
    """Figure whose axes fit a map of this height / width: (fig, ax, gridspec cell beside it or None)."""
    wide = width_mm(width)
    around = UNDER_MAP_MM + 9
    map_height = np.clip((wide - side_mm) * aspect, 45 - around, TALLEST * wide)
    fig, ax = figure(wide, aspect=(map_height + around) / wide)
    cell = None
    if side:
        map_width = min(wide - side_mm, map_height / aspect)
        rest = max(wide - side_mm - map_width, 0.1)
        grid = fig.add_gridspec(1, 3, width_ratios=(map_width, side_mm, rest))
        ax.set_subplotspec(grid[0, 0])
        cell = grid[0, 1]
    return fig, ax, cell


def map_axes(ax, view, *, title="", segments=None):
    """Frame, boundaries, scale bar and sample axes of a map drawn with the extent of its raster."""
    left, right, bottom, top = view.extent
    ax.set(xlim=(left, right), ylim=(bottom, top), aspect="equal", xticks=[], yticks=[], anchor="NW")
    for spine in ax.spines.values():
        spine.set_visible(True)
    if segments is not None:
        boundary_lines(ax, segments)
    scale_bar(ax)
    sample_axes(ax)
    ax.set_title(title)


def _group(phase):
    return GROUP_OF_LATTICE.get(phase.lattice, phase.group)


def map_colours(ebsd_map, direction, view):
    """(N, 3) IPF colours of the points that the raster shows, each phase with its own key; else white."""
    shown = np.zeros(len(ebsd_map.xy), dtype=bool)
    shown[view.index[view.index >= 0]] = True
    rgb = np.ones((len(ebsd_map.xy), 3))
    for number, phase in ebsd_map.phases.items():
        points = shown & (ebsd_map.phase_id == number)
        rgb[points] = ipf_colours(ebsd_map.quaternions[points], group=_group(phase), direction=direction)
    return rgb


def ipf_map(ebsd_map, *, direction="z", segments=None, caption="", title=None, width="text"):
    """Inverse-pole-figure map with its colour triangles.

    Parameters
    ----------
    ebsd_map : EbsdMap
    direction : sample direction "x", "y", "z" (into the specimen) or a 3-vector
    segments : boundary segments (Grains.segments), drawn on the pixel edges

    Returns
    -------
    Figure
    """
    _, name = sample_direction(direction)
    view, wide = raster(ebsd_map), width_mm(width)
    present = {k: p for k, p in ebsd_map.phases.items() if np.any(ebsd_map.phase_id == k)}
    fig, ax, cell = map_figure(view.aspect, width, side_mm=32 if wide > 100 else 25, side=True)
    ax.imshow(
        view.image(map_colours(ebsd_map, direction, view), missing=1.0),
        extent=view.extent,
        interpolation="nearest",
    )
    map_axes(ax, view, title=title or f"Orientation map, IPF-{name}", segments=segments)
    rows = max(len(present), 1)
    keys = cell.subgridspec(rows + 1, 1, height_ratios=[1] * rows + [0.6])
    for row, phase in enumerate(present.values()):
        ipf_key(fig.add_subplot(keys[row]), _group(phase), title=phase.name)
    return stamp(fig, caption, n=int(np.sum(ebsd_map.phase_id > 0)), unit="indexed points")


def colour_limits(values, *, vmin=None, vmax=None, centred=False):
    """Colour limits: 0 or the minimum to the 99th percentile; symmetric about zero when centred."""
    known = np.asarray(values, dtype=float)
    known = known[np.isfinite(known)]
    if not known.size:
        return (vmin or 0.0), (1.0 if vmax is None else vmax)
    if centred:
        bound = np.percentile(np.abs(known), 99) if vmax is None else vmax
        bound = bound if bound > 0 else 1.0
        return -bound, bound
    low = (
        (min(0.0, known.min()) if known.min() < 0.3 * known.max() else known.min()) if vmin is None else vmin
    )
    high = np.percentile(known, 99) if vmax is None else vmax
    return low, high if high > low else low + 1.0


def value_image(ax, image, extent, *, label, cmap, limits, beyond):
    """Image of magnitudes with its colour bar; pointed ends where values lie outside the limits."""
    drawn = ax.imshow(
        image, extent=extent, cmap=cmap, vmin=limits[0], vmax=limits[1], interpolation="nearest"
    )
    extend = {(0, 0): "neither", (1, 0): "min", (0, 1): "max", (1, 1): "both"}[tuple(int(b) for b in beyond)]
    place = ax.inset_axes([1.02, 0, 3.2 * MM / ax.figure.get_figwidth(), 1])
    bar = ax.figure.colorbar(drawn, cax=place, label=label, extend=extend, extendfrac=0.03)
    bar.outline.set_linewidth(0.5)
    return drawn


def _beyond(values, limits):
    known = values[np.isfinite(values)]
    margin = 1e-9 * (limits[1] - limits[0])
    return (known < limits[0] - margin).any(), (known > limits[1] + margin).any()


def scalar_map(
    ebsd_map, values, *, label, vmin=None, vmax=None, cmap=None, centred=False, segments=None, mask=None,
    caption="", title="", width="middle",
):  # fmt: skip
    """Map of a number per point (KAM, band contrast, Schmid factor, ...).

    Parameters
    ----------
    values : (N,) numbers; NaN is drawn light grey
    label : quantity with its unit, at the colour bar
    vmin, vmax : colour limits; without them 0 (or the minimum) to the 99th percentile
    centred : signed quantity: red-blue, symmetric about zero
    mask : (N,) bool, the points to show
    """
    values, _ = same_length(values=values, points=ebsd_map.xy)
    values = np.where(
        np.ones(len(values), bool) if mask is None else np.asarray(mask, bool), values.astype(float), np.nan
    )
    return _draw_values(ebsd_map, values, label, (vmin, vmax), cmap, centred, segments, caption, title, width)


def _draw_values(
    ebsd_map, values, label, asked, cmap, centred, segments, caption, title, width, n=None, unit="points"
):
    view = raster(ebsd_map)
    limits = colour_limits(values, vmin=asked[0], vmax=asked[1], centred=centred)
    fig, ax, _ = map_figure(view.aspect, width, side_mm=21)
    empty_points(ax, ebsd_map, view)
    cmap = cmap or ("RdBu_r" if centred else "viridis")
    value_image(
        ax,
        view.image(values),
        view.extent,
        label=label,
        cmap=cmap,
        limits=limits,
        beyond=_beyond(values, limits),
    )
    map_axes(ax, view, title=title, segments=segments)
    return stamp(fig, caption, n=int(np.isfinite(values).sum()) if n is None else n, unit=unit)


def empty_points(ax, ebsd_map, view):
    """Background of a map: light grey where indexed, white where not."""
    rgb = np.where((ebsd_map.phase_id > 0)[:, None], to_rgb(NO_VALUE), 1.0)
    ax.imshow(view.image(rgb, missing=1.0), extent=view.extent, interpolation="nearest")


def spread(grain_label, values):
    """(N,) value of each point's grain, NaN where there is none; values: Series or dict by grain id."""
    items = dict(values.items()) if hasattr(values, "items") else None
    if items is None:
        raise ParameterError("grain values must be a dict or a pandas Series indexed by grain id")
    grain_label = np.asarray(grain_label)
    table = np.full(max([int(grain_label.max(initial=0)), *[int(k) for k in items]]) + 1, np.nan)
    for grain, value in items.items():
        table[int(grain)] = value
    table[0] = np.nan
    return table[np.clip(grain_label, 0, None)]


def grain_map(
    ebsd_map, grain_label, values, *, label, cmap=None, vmin=None, vmax=None, centred=False, categories=None,
    segments=None, caption="", title="", width="middle",
):  # fmt: skip
    """Map of one value per grain, by colour bar or, for categories, by legend.

    Parameters
    ----------
    grain_label : (N,) grain id of each point, 0 = none
    values : dict or Series, grain id -> number (or category); grains without a value are light grey
    label : quantity with its unit
    categories : sequence of categories in legend order, or dict category -> name in words

    Returns
    -------
    Figure
    """
    grain_label, _ = same_length(grain_label=grain_label, points=ebsd_map.xy)
    if categories is None:
        spread_values = spread(grain_label, values)
        n = int(np.sum(np.isfinite(np.array(list(dict(values.items()).values()), dtype=float))))
        if vmax is None and not centred and n:
            vmax = np.nanmax(spread_values, initial=0.0)
        look = (label, (vmin, vmax), cmap, centred, segments, caption, title, width, n, "grains")
        return _draw_values(ebsd_map, spread_values, *look)
    names = dict(categories) if hasattr(categories, "items") else {c: str(c) for c in categories}
    return _draw_categories(
        ebsd_map, grain_label, dict(values.items()), names, label, segments, caption, title, width
    )


def _draw_categories(ebsd_map, grain_label, values, names, label, segments, caption, title, width):
    rank = {category: i for i, category in enumerate(names)}
    codes = {grain: rank[value] for grain, value in values.items() if value in rank}
    colours = category_colours(len(names))
    points = spread(grain_label, codes)
    rgb = np.ones((len(points), 3))
    rgb[ebsd_map.phase_id > 0] = to_rgb(NO_VALUE)
    known = np.isfinite(points)
    rgb[known] = colours[points[known].astype(int)]
    view = raster(ebsd_map)
    fig, ax, _ = map_figure(view.aspect, width, side_mm=34)
    ax.imshow(view.image(rgb, missing=1.0), extent=view.extent, interpolation="nearest")
    map_axes(ax, view, title=title, segments=segments)
    count = np.bincount(list(codes.values()), minlength=len(names))
    handles = [
        Patch(facecolor=c, label=f"{n} ({k})") for c, n, k in zip(colours, names.values(), count, strict=True)
    ]
    if np.any((ebsd_map.phase_id > 0) & ~known):
        handles.append(Patch(facecolor=NO_VALUE, edgecolor="0.6", linewidth=0.3, label="no value"))
    legend_beside(ax, handles=handles, title=label, alignment="left")
    return stamp(fig, caption, n=len(codes), unit="grains")


def category_colours(n):
    """(n, 3) RGB: seaborn colorblind for up to 10 categories, evenly spaced cividis beyond."""
    if n <= len(CATEGORY_COLOURS):
        return np.array([to_rgb(c) for c in CATEGORY_COLOURS[:n]]).reshape(n, 3)
    return plt.get_cmap("cividis")(np.linspace(0, 1, n))[:, :3]
