"""SEM images with the lines found in them, and slip activity on the vectors of an HR-DIC field.

Lines are drawn at the middle of their grain or tile at the on-screen angle found there; families differ in
colour and line style by rank.
"""

import numpy as np
from matplotlib.collections import LineCollection
from matplotlib.colors import to_rgb
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.patheffects import withStroke

from cpml.errors import ParameterError
from cpml.plots.footprints import trace_segments
from cpml.plots.maps import boundary_lines, category_colours, map_axes, map_figure
from cpml.plots.raster import Raster
from cpml.plots.style import (
    NO_VALUE,
    ORANGE,
    SKY,
    YELLOW,
    figure,
    legend_beside,
    need_columns,
    stamp,
    width_mm,
)

RANK_LOOK = (
    {"color": YELLOW, "linestyle": "-"},
    {"color": SKY, "linestyle": (0, (3, 1.2))},
    {"color": ORANGE, "linestyle": (0, (1, 1))},
)
OUTLINE = withStroke(linewidth=2.4, foreground="black")
MOST_SYSTEMS = 8


def _view(shape, pixel_um):
    """Extent of a picture whose first pixel is centred at 0, 0."""
    rows, columns = shape
    half = pixel_um / 2
    return Raster(np.zeros((1, 1), int), (-half, columns * pixel_um - half, rows * pixel_um - half, -half))


def image_with_traces(
    image, traces, *, label=None, tiles=None, segments=None, max_rank=2, length_um=None, caption="", title="",
    width="text",
):  # fmt: skip
    """A grey image with the families of lines found in its grains or tiles.

    Parameters
    ----------
    image : SemImage; shown down to its data bar, other invalid pixels are white
    traces : table of `detect_traces` (grain_id, rank, angle_deg)
    label : (rows, columns) int, the regions of the table's grain_id
    tiles : edge of the tiles in pixels, when the regions are tiles, whose outlines are then drawn
    segments : grain boundaries in um from the first pixel's centre
    max_rank : families of a region that are drawn, at most 3
    length_um : length of the lines; 0.7 of the region's equivalent diameter when not given

    Returns
    -------
    Figure
    """
    need_columns(traces, ("grain_id", "rank", "angle_deg"), "trace table")
    if label is None or np.shape(label) != image.shape or not 1 <= max_rank <= len(RANK_LOOK):
        raise ParameterError(
            f"image_with_traces needs label of the image's shape {image.shape} and max_rank {max_rank} "
            f"from 1 to {len(RANK_LOOK)}"
        )
    pixel_um = image.pixel_um or 1.0
    fig, ax = _grey_picture(image, width, title=title, side_mm=34)
    if tiles:
        _tile_lines(ax, image.shape, tiles, pixel_um)
    if segments is not None:
        boundary_lines(ax, segments, linewidth=0.4).set_color("white")
    centre, diameter = _centres(label, pixel_um)
    drawn, handles = 0, []
    for rank, look in enumerate(RANK_LOOK[:max_rank], start=1):
        rows = traces[(traces["rank"] == rank) & traces["grain_id"].isin(centre.index)]
        place = centre.loc[rows["grain_id"]]
        length = 0.7 * diameter.loc[rows["grain_id"]].to_numpy() if length_um is None else length_um
        ends = trace_segments(place["x"], place["y"], rows["angle_deg"], length * np.ones(len(rows)))
        lines = LineCollection(ends, linewidths=1.3, path_effects=[OUTLINE], **look)
        ax.add_collection(lines, autolim=False)
        drawn += len(rows)
        handles.append(Line2D([], [], label=f"family {rank} ({len(rows)})", linewidth=1.3, **look))
    legend = legend_beside(ax, handles=handles, title="Lines found", alignment="left")
    for line in legend.get_lines():
        line.set_path_effects([OUTLINE])
    return stamp(fig, _with_scale_note(caption, image), n=drawn, unit="line families")


def image_panels(images, *, caption="", width="text"):
    """Pictures side by side, dict title -> SemImage, each with its own scale of
    greys (0.5th to 99.5th percentile).
    """
    shown = [_picture(image) for image in images.values()]
    wide = width_mm(width)
    aspect = max(view.aspect for _, view in shown) / len(shown) * 0.95 + 18 / wide
    fig, axes = figure(wide, aspect=aspect, cols=len(shown), squeeze=False)
    for ax, title, (grey, view) in zip(axes[0], images, shown, strict=True):
        ax.imshow(grey, extent=view.extent, cmap="gray", vmin=0, vmax=1, interpolation="nearest")
        map_axes(ax, view, title=title)
    first = next(iter(images.values()))
    return stamp(fig, _with_scale_note(caption, first), n=int(first.valid.sum()), unit="pixels")


def _picture(image):
    """Greys from 0 to 1 down to the data bar, and their view."""
    rows = np.flatnonzero(image.valid.any(axis=1))[-1] + 1
    low, high = np.percentile(image.values[image.valid], [0.5, 99.5])
    grey = np.clip((image.masked[:rows] - low) / max(high - low, 1e-12), 0, 1)
    return grey, _view(grey.shape, image.pixel_um or 1.0)


def _grey_picture(image, width, *, title, side_mm):
    grey, view = _picture(image)
    fig, ax, _ = map_figure(view.aspect, width, side_mm=side_mm)
    ax.imshow(grey, extent=view.extent, cmap="gray", vmin=0, vmax=1, interpolation="nearest")
    map_axes(ax, view, title=title)
    return fig, ax


def _with_scale_note(caption, image):
    note = "" if image.pixel_um else "scale unknown: 1 µm stands for one pixel"
    return "; ".join(part for part in (caption, note) if part)


def line_map(field, pieces, *, label, step_um=1.0, segments=None, caption="", title="", width="text"):
    """Single lines followed through a field: straight ones, and those of several pieces with their corners.

    Parameters
    ----------
    field : (rows, columns) the picture that the lines were followed in
    pieces : table of `line_courses`; segments : boundary segments in the coordinates of the field

    Returns
    -------
    Figure
    """
    from cpml.plots.footprints import dic_map

    need_columns(pieces, ("line_id", "x0_px", "y0_px", "x1_px", "y1_px"), "table of pieces")
    fig = dic_map(field, label=label, step_um=step_um, cmap="gray", caption="", title=title, width=width)
    ax = fig.axes[0]
    if segments is not None:
        boundary_lines(ax, segments, linewidth=0.4).set_color("white")
    ends = step_um * pieces[["x0_px", "y0_px", "x1_px", "y1_px"]].to_numpy().reshape(-1, 2, 2)
    is_bent = (pieces.groupby("line_id")["line_id"].transform("size") > 1).to_numpy()
    handles = []
    for name, chosen, colour in (("straight", ~is_bent, SKY), ("several pieces", is_bent, ORANGE)):
        look = {"color": colour, "linewidth": 1.0}
        ax.add_collection(LineCollection(ends[chosen], **look), autolim=False)
        count = pieces.loc[chosen, "line_id"].nunique()
        handles.append(Line2D([], [], label=f"{name} ({count})", **look))
    ax.plot(*ends[is_bent].reshape(-1, 2).T, ".", color=ORANGE, markersize=2.5)
    fig.legend(handles=handles, loc="outside upper left", ncols=2, title="Lines", alignment="left")
    return stamp(fig, caption, n=pieces["line_id"].nunique(), unit="lines")


def _centres(label, pixel_um):
    """Tables by region: x, y of the centre of mass, and the equivalent diameter, um."""
    import pandas as pd

    label = np.asarray(label)
    y, x = np.nonzero(label > 0)
    n = np.bincount(label[y, x])
    known = np.flatnonzero(n)
    centre = {k: np.bincount(label[y, x], v)[known] / n[known] * pixel_um for k, v in (("x", x), ("y", y))}
    diameter = 2 * np.sqrt(n[known] / np.pi) * pixel_um
    return pd.DataFrame(centre, index=known), pd.Series(diameter, index=known)


def _tile_lines(ax, shape, tile, pixel_um):
    rows, columns = np.arange(tile, shape[0], tile), np.arange(tile, shape[1], tile)
    look = {"color": "white", "linewidth": 0.3, "alpha": 0.5}
    for at in rows:
        ax.axhline((at - 0.5) * pixel_um, **look)
    for at in columns:
        ax.axvline((at - 0.5) * pixel_um, **look)


def activity_map(
    activity,
    *,
    step_um=1.0,
    system=None,
    segments=None,
    min_posterior=0.5,
    caption="",
    title="",
    width="text",
):
    """Slip activity on the vectors of an HR-DIC field: the most probable system, or the posterior of one.

    Parameters
    ----------
    activity : SlipActivity of a field (rows, columns)
    step_um : distance of vectors
    system : name or number of a system: its posterior, 0 to 1; None: the most probable system of every
        vector in colour, paler where its posterior is below `min_posterior`; the systems beyond the
        eight most frequent are one class
    segments : boundary segments in the coordinates of the field

    Returns
    -------
    Figure
    """
    if len(activity.shape) != 2:
        raise ParameterError(
            f"activity_map draws a field (rows, columns), not pixels of shape {activity.shape}"
        )
    view = _view(activity.shape, step_um)
    count = int(activity.used.sum())
    if system is None:
        fig, ax = _winner_map(activity, view, min_posterior, width)
    else:
        fig, ax = _posterior_map(activity, view, system, width)
    map_axes(ax, view, title=title)
    if segments is not None:
        boundary_lines(ax, segments, linewidth=0.4)
    return stamp(fig, caption, n=count, unit="vectors with strain")


def _posterior_map(activity, view, system, width):
    from cpml.plots.maps import value_image

    names = activity.systems.names
    if system not in (*names, *range(len(names))):
        raise ParameterError(
            f"system {system!r}: choose a number below {len(names)} or one of {', '.join(names[:4])} ..."
        )
    number = names.index(system) if isinstance(system, str) else int(system)
    fig, ax, _ = map_figure(view.aspect, width, side_mm=21)
    ax.imshow(np.full((1, 1, 3), to_rgb(NO_VALUE)), extent=view.extent)
    picture = activity.picture(activity.posterior[:, number])
    look = {
        "label": f"p(active), {names[number]}",
        "cmap": "viridis",
        "limits": (0.0, 1.0),
        "beyond": (False, False),
    }
    value_image(ax, picture, view.extent, **look)
    return fig, ax


def _winner_map(activity, view, min_posterior, width):
    winner, names = activity.winner, activity.systems.names
    one_family = len(set(activity.systems.family)) == 1
    shown_name = [n.split(" ", 1)[-1] if one_family else n for n in names]
    number = np.bincount(winner[winner >= 0], minlength=len(names))
    shown = [s for s in np.argsort(-number, kind="stable")[:MOST_SYSTEMS] if number[s]]
    colours = category_colours(MOST_SYSTEMS)
    rgb = np.full((len(winner), 3), 1.0)
    rgb[activity.used] = to_rgb("0.45")
    rgb[~activity.used] = to_rgb(NO_VALUE)
    rgb[activity.used & (winner < 0)] = 1.0
    handles = []
    for colour, s in zip(colours, shown, strict=False):
        mine = winner == s
        sure = activity.posterior[:, s] >= min_posterior
        rgb[mine & sure] = colour
        rgb[mine & ~sure] = 1 - 0.35 * (1 - colour)
        share = 100 * number[s] / max(number.sum(), 1)
        handles.append(Patch(facecolor=colour, label=f"{shown_name[s]} ({share:.0f} %)"))
    others = number.sum() - sum(number[s] for s in shown)
    if others:
        handles.append(Patch(facecolor="0.45", label=f"other systems ({100 * others / number.sum():.0f} %)"))
    handles.append(Patch(facecolor=NO_VALUE, label="little strain"))
    fig, ax, _ = map_figure(view.aspect, width, side_mm=52)
    ax.imshow(activity.picture(rgb), extent=view.extent, interpolation="nearest")
    pale = f"pale: p < {min_posterior:g}" + (f"; {activity.systems.family_names[0]}" if one_family else "")
    legend_beside(ax, handles=handles, title=f"Most probable system\n({pale})", alignment="left")
    return fig, ax
