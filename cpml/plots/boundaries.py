"""The boundary network: its types, the axes of its disorientations, the clusters of grains that it joins."""

from collections.abc import Iterable, Sequence

import numpy as np
import pandas as pd
from matplotlib.collections import LineCollection
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from numpy.typing import ArrayLike, NDArray

from cpml.plots.colours import GROUP_OF_LATTICE, draw_triangle, stereographic, to_standard_triangle
from cpml.plots.maps import empty_points, legend_mm, map_axes, map_figure, spread
from cpml.plots.palette import BLUE, CATEGORY_COLOURS, GREY, ORANGE, RED, SKY, category_colours
from cpml.plots.style import captioned, figure, legend_beside, need_columns, note, same_length
from cpml.plots.views import ENDS, MapView

MOST_KINDS = 8
FIXED_COLOURS = {"random": "black", "low angle": "0.6", "between phases": "0.35"}
FIXED_COLOURS |= {"passes": BLUE, "likely passes": SKY, "blocked": RED, "likely blocked": ORANGE}
FIXED_COLOURS |= {"nobody can tell": "0.75"}
CLUSTER_COLOURS = [to_rgb(c) for c in CATEGORY_COLOURS if c != GREY]


@captioned
def boundary_map(
    view: MapView,
    boundaries: pd.DataFrame,
    kinds: Sequence[str] | pd.Series,
    *,
    title: str = "Boundaries by type",
) -> Figure | None:
    """Every boundary segment in the colour of its boundary's type, the share of the length in the legend.

    Parameters
    ----------
    view : with segments that know their fragment_a, fragment_b and, where it is not that of the pixel edge,
        their length_um
    boundaries : table fragment_a, fragment_b
    kinds : type of each of its rows (see `boundary_type`); types beyond the eight longest are one class

    Returns
    -------
    Figure, None where there is nothing to draw: no segment has a type
    """
    same_length(kinds=kinds, boundaries=boundaries)
    segments = view.segments if view.segments is not None else pd.DataFrame()
    need_columns(segments, ("fragment_a", "fragment_b"), "table of boundary segments")
    of_boundary, of_segment = (
        pd.MultiIndex.from_arrays(np.sort(t[["fragment_a", "fragment_b"]].to_numpy(), axis=1).T)
        for t in (boundaries, segments)
    )
    kind = pd.Series(np.asarray(kinds, object), of_boundary).reindex(of_segment).to_numpy()
    ends = segments[list(ENDS)].to_numpy().reshape(-1, 2, 2)
    edges = np.linalg.norm(ends[:, 1] - ends[:, 0], axis=1)
    length = pd.Series(np.asarray(segments["length_um"]) if "length_um" in segments else edges)
    length = length.groupby(kind).sum()
    if not len(length):
        return None
    order = length.sort_values(ascending=False).index.tolist()
    groups = [(k, [k]) for k in order[:MOST_KINDS]]
    if len(order) > MOST_KINDS:
        groups.append(("other", order[MOST_KINDS:]))
    palette = iter(category_colours(len(groups)))
    collections, handles = [], []
    for label, members in groups:
        colour = FIXED_COLOURS.get(label) or next(palette)
        collections.append(LineCollection(ends[np.isin(kind, members)], colors=[colour], linewidths=0.9))
        share = 100 * length[members].sum() / length.sum()
        handles.append(Line2D([], [], color=colour, linewidth=1.5, label=f"{label} ({share:.0f} %)"))
    extent, legend_title = view.raster.extent, "Type (share of length)"
    texts = [legend_title, *(str(handle.get_label()) for handle in handles)]
    fig, ax, _ = map_figure(extent, "double", side_mm=legend_mm(texts))
    ax.imshow(empty_points(view), extent=extent, interpolation="nearest")
    map_axes(ax, extent, title=title)
    for lines in collections:
        ax.add_collection(lines, autolim=False)
    legend_beside(ax, handles=handles, title=legend_title, alignment="left")
    return note(fig, n=len(boundaries), unit="boundaries")


@captioned
def transmission_curve(curve: pd.DataFrame, boundaries: pd.DataFrame) -> Figure | None:
    """Probability that slip passes against m', with its 90 % band, beside the rule of the literature.

    Each boundary is a mark at the probability that its own evidence gives at even odds, the larger the more
    it says; bars are means of classes of m'.

    Parameters
    ----------
    curve : m_prime, p, low, high, prior (`Transmission.curve`)
    boundaries : m_prime, p_passes, weight; those of weight 0 are not drawn

    Returns
    -------
    Figure, None where there is nothing to draw: an empty curve
    """
    need_columns(curve, ("m_prime", "p", "low", "high", "prior"), "curve of transmission")
    need_columns(boundaries, ("m_prime", "p_passes", "weight"), "table of boundaries")
    if not len(curve):
        return None
    told = boundaries[(boundaries["weight"] > 0) & boundaries["m_prime"].notna()]
    fig, ax = figure("single", aspect=0.85)
    x = curve["m_prime"]
    ax.fill_between(x, curve["low"], curve["high"], color=BLUE, alpha=0.25, linewidth=0, label="90 %")
    ax.plot(x, curve["p"], color=BLUE, label="learned")
    ax.plot(x, curve["prior"], color=GREY, linestyle="--", label="literature")
    look = {"facecolor": "white", "edgecolor": "black", "linewidth": 0.6, "clip_on": False, "zorder": 4}
    if len(told):
        ax.scatter(told["m_prime"], told["p_passes"], s=3 + 22 * told["weight"], label="a boundary", **look)
        classes = pd.cut(told["m_prime"], [0, 0.25, 0.5, 0.75, 1.0], include_lowest=True)
        means = told.groupby(classes, observed=True)["p_passes"].mean()
        ends = [(part.left, part.right) for part in means.index]
        bars = {"color": ORANGE, "linewidth": 1.5, "zorder": 3, "label": "mean of boundaries"}
        ax.hlines(means, [max(low, 0.0) for low, _ in ends], [high for _, high in ends], **bars)
    ax.set(xlabel="m' of the most stressed systems", ylabel="probability that slip passes")
    ax.set(xlim=(0, 1), ylim=(0, 1))
    fig.legend(loc="outside upper left", ncols=3)
    return note(fig, n=len(told), unit="boundaries with evidence")


@captioned
def axis_triangle(
    axes: ArrayLike, angle_deg: ArrayLike, *, lattice: str | None, title: str = ""
) -> Figure | None:
    """Axes of disorientations (crystal frame) in the standard triangle, coloured by angle.

    Parameters
    ----------
    axes : (N, 3) crystal directions; NaN is left out
    angle_deg : (N,)
    lattice : "fcc", "bcc" or "hcp"; None, any other: there is no triangle to draw in

    Returns
    -------
    Figure, None where there is nothing to draw: no axis is known
    """
    axes, angle_deg = same_length(axes=np.asarray(axes, float), angle_deg=np.asarray(angle_deg, float))
    if lattice is None:
        return None
    group = GROUP_OF_LATTICE[lattice]
    known = np.isfinite(axes).all(axis=-1) & np.isfinite(angle_deg)
    if not known.any():
        return None
    xy = stereographic(to_standard_triangle(axes[known], group=group))
    fig, ax = figure("single", aspect=0.78 if group == "432" else 0.6)
    draw_triangle(ax, group)
    look = {"s": 9, "linewidths": 0.2, "edgecolors": "0.3", "clip_on": False, "zorder": 4}
    dots = ax.scatter(*xy.T, c=angle_deg[known], cmap="viridis", vmin=0, **look)
    bar = fig.colorbar(dots, ax=ax, label="disorientation angle / °", fraction=0.05, aspect=20, shrink=0.85)
    bar.outline.set_linewidth(0.5)
    ax.set_title(title or "Disorientation axes")
    return note(fig, n=known.sum(), unit="boundaries")


@captioned
def cluster_map(view: MapView, grain_label: ArrayLike, clusters: pd.Series) -> Figure | None:
    """Clusters of grains, neighbours in different colours; grains alone in their cluster are light grey.

    A colour says which grains belong together, not which cluster it is: there are more clusters than colours.

    Parameters
    ----------
    grain_label : (N,) grain or fragment id of each point, 0 = none
    clusters : number of the cluster by grain id, e.g. of `transfer_clusters`

    Returns
    -------
    Figure, None where there is nothing to draw: no cluster of two grains
    """
    grain_label, _ = same_length(grain_label=grain_label, points=view.ebsd_map.xy)
    size = clusters.value_counts()
    joined = clusters[clusters.map(size) > 1]
    if not len(joined):
        return None
    points = spread(grain_label, joined)
    extent, image = view.raster.extent, view.raster.image(points)
    picture, known = empty_points(view), np.isfinite(image)
    colour = _apart(image, size[size > 1].index)
    picture[known] = [CLUSTER_COLOURS[colour[c]] for c in image[known].astype(int)]
    fig, ax, _ = map_figure(extent, "middle", side_mm=4)
    ax.imshow(picture, extent=extent, interpolation="nearest")
    map_axes(ax, extent, segments=view.segments)
    text = f"{joined.nunique()} clusters of two grains or more, the largest of {size.max()}; others grey"
    return note(fig, text, n=len(clusters), unit="grains")


def _apart(image: NDArray, clusters: Iterable[int]) -> dict[int, int]:
    """Number of a colour for every cluster: the least used one that no neighbour in the image has."""
    neighbours: dict[int, set[int]] = {cluster: set() for cluster in clusters}
    for first, second in ((image[:, :-1], image[:, 1:]), (image[:-1], image[1:])):
        meets = np.isfinite(first) & np.isfinite(second) & (first != second)
        for a, b in np.unique(np.stack([first[meets], second[meets]], axis=1).astype(int), axis=0):
            neighbours[a].add(b)
            neighbours[b].add(a)
    colour: dict[int, int] = {}
    used = [0] * len(CLUSTER_COLOURS)
    for cluster, around in neighbours.items():
        taken = {colour[other] for other in around if other in colour}
        free = [k for k in range(len(used)) if k not in taken] or range(len(used))
        colour[cluster] = min(free, key=used.__getitem__)
        used[colour[cluster]] += 1
    return colour
