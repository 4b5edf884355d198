"""The boundary network by type, and the axes of its disorientations in the standard triangle."""

import numpy as np
import pandas as pd
from matplotlib.collections import LineCollection
from matplotlib.lines import Line2D

from cpml.plots.colours import GROUP_OF_LATTICE, draw_triangle, stereographic, to_standard_triangle
from cpml.plots.maps import category_colours, empty_points, map_axes, map_figure
from cpml.plots.raster import raster
from cpml.plots.style import figure, legend_beside, need_columns, same_length, stamp

MOST_KINDS = 8


def boundary_map(
    ebsd_map, segments, boundaries, kinds, *, caption="", title="Boundaries by type", width="text"
):
    """Every boundary segment in the colour of its boundary's type, with the
    share of the length in the legend.

    Parameters
    ----------
    segments : table fragment_a, fragment_b, x0_um, y0_um, x1_um, y1_um
    boundaries : table fragment_a, fragment_b; kinds: name of each of its rows (see `boundary_type`); types beyond
        the eight longest are one class
    """
    need_columns(segments, ("fragment_a", "fragment_b", "x0_um", "y0_um", "x1_um", "y1_um"), "segment table")
    same_length(kinds=kinds, boundaries=boundaries)
    pair = [np.sort(t[["fragment_a", "fragment_b"]].to_numpy(), axis=1) for t in (boundaries, segments)]
    name = pd.Series(np.asarray(kinds, object), pd.MultiIndex.from_arrays(pair[0].T))
    kind = name.reindex(pd.MultiIndex.from_arrays(pair[1].T)).to_numpy()
    ends = segments[["x0_um", "y0_um", "x1_um", "y1_um"]].to_numpy().reshape(-1, 2, 2)
    length = pd.Series(np.linalg.norm(ends[:, 1] - ends[:, 0], axis=1)).groupby(kind).sum()
    order = length.sort_values(ascending=False).index.tolist()
    view = raster(ebsd_map)
    fig, ax, _ = map_figure(view.aspect, width, side_mm=38)
    empty_points(ax, ebsd_map, view)
    map_axes(ax, view, title=title)
    groups = [(k, [k]) for k in order[:MOST_KINDS]]
    if len(order) > MOST_KINDS:
        groups.append(("other", order[MOST_KINDS:]))
    handles = []
    for colour, (label, members) in zip(_colours([k for k, _ in groups]), groups, strict=True):
        ax.add_collection(
            LineCollection(ends[np.isin(kind, members)], colors=[colour], linewidths=0.9), autolim=False
        )
        share = 100 * length[members].sum() / length.sum()
        handles.append(Line2D([], [], color=colour, linewidth=1.5, label=f"{label} ({share:.0f} %)"))
    legend_beside(ax, handles=handles, title="Type (share of length)", alignment="left")
    return stamp(fig, caption, n=len(boundaries), unit="boundaries")


def _colours(names):
    """Black for random and grey for low-angle boundaries, the palette for the special ones."""
    palette = iter(category_colours(len(names)))
    fixed = {"random": "black", "low angle": "0.6", "between phases": "0.35"}
    return [fixed.get(name) or next(palette) for name in names]


def axis_triangle(
    axes, angle_deg, *, lattice, caption="", title="Disorientation axes", unit="boundaries", width="single"
):
    """Axes of disorientations (crystal frame) in the standard triangle, coloured by angle.

    Parameters
    ----------
    axes : (N, 3) crystal directions; NaN is left out
    angle_deg : (N,)
    """
    axes, angle_deg = same_length(axes=np.asarray(axes, float), angle_deg=np.asarray(angle_deg, float))
    group = GROUP_OF_LATTICE[lattice]
    known = np.isfinite(axes).all(axis=1) & np.isfinite(angle_deg)
    xy = stereographic(to_standard_triangle(axes[known], group=group))
    fig, ax = figure(width, aspect=0.78 if group == "432" else 0.6)
    draw_triangle(ax, group)
    look = {
        "s": 9,
        "linewidths": 0.2,
        "edgecolors": "0.3",
        "clip_on": False,
        "zorder": 4,
        "cmap": "viridis",
        "vmin": 0,
    }
    dots = ax.scatter(*xy.T, c=angle_deg[known], **look)
    bar = fig.colorbar(dots, ax=ax, label="disorientation angle / °", fraction=0.05, aspect=20, shrink=0.85)
    bar.outline.set_linewidth(0.5)
    ax.set_title(title)
    return stamp(fig, caption, n=int(known.sum()), unit=unit)
