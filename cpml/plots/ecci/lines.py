"""Dislocation lines seen by ECCI: under which reflections, with which Burgers vectors, and in a picture."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.collections import LineCollection
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from numpy.typing import NDArray

from cpml.plots.maps import map_axes
from cpml.plots.palette import BLUE, NO_VALUE, ORANGE, SKY, YELLOW, category_colours
from cpml.plots.raster import aspect, pixel_extent
from cpml.plots.style import captioned, figure, label_rows, legend_beside, need_columns, note, width_mm

STATES = ("visible", "weak", "invisible")
SEEN = {"visible": YELLOW, "weak": SKY, "invisible": ORANGE}
GREYS = ("#1F2A44", "#8FA3C8", "#FFFFFF", NO_VALUE)  # visible, weak, invisible, not looked at
MOST_LINES = 40


@captioned
def seen_table(records: pd.DataFrame, lines: pd.DataFrame, *, grain_id: int | None = None) -> Figure | None:
    """What was recorded of each line of a grain under each reflection, lines sorted by their likeliest
    Burgers vector.

    Parameters
    ----------
    records : line, segment, grain_id, g, seen ("" where nobody looked); the first segment is drawn
    lines : line, burgers, p_burgers
    grain_id : None: the grain with most lines

    Returns
    -------
    Figure, None where there is nothing to draw: no line in the grain
    """
    need_columns(records, ("line", "segment", "grain_id", "g", "seen"), "table of records")
    need_columns(lines, ("line", "burgers", "p_burgers"), "table of lines")
    if not len(records):
        return None
    grain = records["grain_id"].value_counts().idxmax() if grain_id is None else grain_id
    own = records[(records["grain_id"] == grain) & (records["segment"] == 1)]
    order = lines[lines["line"].isin(own["line"])].sort_values(
        ["burgers", "p_burgers"], ascending=[True, False], kind="stable"
    )[:MOST_LINES]
    if not len(order):
        return None
    codes = {name: k for k, name in enumerate((*STATES, ""))}
    wide = own.assign(code=own["seen"].map(codes)).pivot_table(
        index="line", columns="g", values="code", aggfunc="min", sort=False
    )
    shown = wide.reindex(order["line"]).fillna(codes[""]).to_numpy()
    height = (18 + 3.6 * len(order)) / width_mm("middle")
    fig, ax = figure("middle", aspect=max(height, 0.35))
    ax.imshow(shown, cmap=ListedColormap(GREYS), vmin=0, vmax=3, aspect="auto", interpolation="nearest")
    ax.set_xticks(range(shown.shape[1]), [str(g) for g in wide.columns])
    ax.set_xticks(np.arange(shown.shape[1] - 1) + 0.5, minor=True)
    ax.set_yticks(np.arange(len(order) - 1) + 0.5, minor=True)
    ax.grid(which="minor", color="0.8", linewidth=0.5)
    ax.tick_params(which="minor", length=0)
    names = zip(order["line"], order["burgers"], order["p_burgers"], strict=True)
    label_rows(ax, [f"{line}:  {b}  {p:.2f}" for line, b, p in names])
    ax.set_xlabel("reflection g")
    ax.set_title(f"grain {grain}; line: likeliest Burgers vector, its probability")
    handles = [
        Patch(facecolor=colour, edgecolor="0.6", label=name)
        for colour, name in zip(GREYS, (*STATES, "not looked at"), strict=True)
    ]
    legend_beside(ax, handles=handles, title="Recorded", alignment="left")
    return note(fig, n=len(order), unit="lines")


@captioned
def burgers_of_grains(lines: pd.DataFrame, burgers: pd.DataFrame) -> Figure | None:
    """How the lines of each grain are shared among Burgers vectors: sums of the probabilities of the lines.

    Parameters
    ----------
    lines : line, grain_id
    burgers : line, burgers, kind, p

    Returns
    -------
    Figure, None where there is nothing to draw: no line
    """
    need_columns(lines, ("line", "grain_id"), "table of lines")
    need_columns(burgers, ("line", "burgers", "kind", "p"), "table of Burgers vectors")
    if not len(lines):
        return None
    rows = burgers.merge(lines[["line", "grain_id"]], on="line")
    names = rows.drop_duplicates("burgers")[["burgers", "kind"]]
    wide = rows.pivot_table(index="grain_id", columns="burgers", values="p", aggfunc="sum", sort=False)
    wide = wide.loc[wide.sum(axis=1).sort_values(ascending=False, kind="stable").index, names["burgers"]]
    colours = category_colours(len(names))
    fig, ax = figure("middle", aspect=(24 + 5.5 * len(wide)) / width_mm("middle"))
    left = np.zeros(len(wide))
    for colour, (name, kind) in zip(colours, names.itertuples(index=False), strict=True):
        width = wide[name].to_numpy()
        ax.barh(range(len(wide)), width, left=left, color=colour, label=f"{kind} {name}", height=0.7)
        left = left + width
    label_rows(ax, [f"grain {g}" for g in wide.index])
    ax.set_xlabel("expected number of lines")
    legend_beside(ax, title="Burgers vector", alignment="left", reverse=False)
    return note(fig, n=len(lines), unit="lines")


@captioned
def picture_segments(
    pictures: Mapping[str, Any],
    segments: pd.DataFrame,
    seen: Mapping[str, Sequence[str]],
    *,
    simulated: bool = False,
) -> Figure:
    """ECCI pictures of one place with the segments found in them, coloured by what each picture shows of
    them.

    Parameters
    ----------
    pictures : title -> SemImage of one shape
    segments : x0_px, y0_px, x1_px, y1_px
    seen : title -> (N,) visible, weak, invisible or unknown
    simulated : the pictures are none of the specimen, and the figure says so
    """
    need_columns(segments, ("x0_px", "y0_px", "x1_px", "y1_px"), "table of segments")
    first = next(iter(pictures.values()))
    extent = pixel_extent(first.shape, first.pixel_um or 1.0)
    height = 0.8 * aspect(extent) / len(pictures) + 16 / width_mm("double")
    fig, axes = figure("double", aspect=height, cols=len(pictures), squeeze=False)
    ends = _ends(segments, first.pixel_um or 1.0)
    for ax, (title, picture) in zip(axes[0], pictures.items(), strict=True):
        low, high = np.percentile(picture.values[picture.valid], [0.5, 99.5])
        ax.imshow(picture.values, extent=extent, cmap="gray", vmin=low, vmax=high, interpolation="nearest")
        colours = [SEEN.get(state, "0.6") for state in seen[title]]
        ax.add_collection(LineCollection(list(ends), colors=colours, linewidths=0.9), autolim=False)
        map_axes(ax, extent, title=title)
    handles = [Line2D([], [], color=colour, label=name) for name, colour in SEEN.items()]
    legend_beside(axes[0, -1], handles=handles, title="Read off", alignment="left")
    words = "these pictures are simulated, whatever the data are" if simulated else ""
    return note(fig, words, n=len(segments), unit="segments")


def _ends(segments: pd.DataFrame, pixel_um: float) -> NDArray:
    """(N, 2, 2) end points, um, of segments in pixels, drawn a little beside the line they mark."""
    ends = segments[["x0_px", "y0_px", "x1_px", "y1_px"]].to_numpy(float).reshape(-1, 2, 2) * pixel_um
    along = ends[:, 1] - ends[:, 0]
    beside = np.stack([-along[:, 1], along[:, 0]], axis=1)
    size = np.maximum(np.linalg.norm(beside, axis=1, keepdims=True), 1e-12)
    return ends + (3.0 * pixel_um * beside / size)[:, None]


@captioned
def characters(lines: pd.DataFrame) -> Figure | None:
    """Characters of the lines, 0° screws and 90° edges: means of the posteriors, and where climb or
    cross-slip was called.

    Parameters
    ----------
    lines : character_deg, climbed, cross_slipped

    Returns
    -------
    Figure, None where there is nothing to draw: no line
    """
    need_columns(lines, ("character_deg", "climbed", "cross_slipped"), "table of lines")
    if not len(lines):
        return None
    edges = np.arange(0, 91, 10)
    kinds = {
        "glides": ~lines["climbed"] & ~lines["cross_slipped"],
        "climbed": lines["climbed"],
        "cross-slipped": lines["cross_slipped"] & ~lines["climbed"],
    }
    fig, ax = figure("single")
    values = [lines.loc[mask, "character_deg"] for mask in kinds.values()]
    labels = [f"{name} ({len(v)})" for name, v in zip(kinds, values, strict=True)]
    ax.hist(values, bins=edges, stacked=True, color=["0.7", ORANGE, BLUE], label=labels)
    ax.set(xlim=(0, 90), xlabel="angle between line and Burgers vector / °", ylabel="lines")
    ax.set_xticks(range(0, 91, 30))
    legend_beside(ax)
    return note(fig, n=len(lines), unit="lines")
