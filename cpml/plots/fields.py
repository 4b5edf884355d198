"""Maps of HR-DIC fields: strain, lines followed through it, and the slip systems that explain it."""

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from numpy.typing import ArrayLike, NDArray

from cpml.errors import ParameterError
from cpml.plots.maps import (
    boundary_lines,
    colour_limits,
    legend_mm,
    map_axes,
    map_figure,
    value_figure,
)
from cpml.plots.palette import NO_VALUE, ORANGE, SKY, YELLOW, category_colours
from cpml.plots.raster import pixel_extent
from cpml.plots.style import captioned, legend_beside, need_columns, note
from cpml.plots.views import ENDS, FieldView

MOST_SYSTEMS = 8
SURE = 0.5
"""Posterior from which on the most probable system has its full colour."""


@captioned
def dic_map(
    view: FieldView,
    field: ArrayLike,
    *,
    label: str,
    vmin: float | None = None,
    vmax: float | None = None,
    cmap: str = "cividis",
) -> Figure | None:
    """HR-DIC field with the grain boundaries over it.

    Parameters
    ----------
    field : (rows, columns) strain measure, NaN where the correlation failed (white)
    label : quantity with its unit
    vmin, vmax : colour limits; without them 0 (or the minimum) to the 99th percentile

    Returns
    -------
    Figure, None where there is nothing to draw: no value is known
    """
    field = np.asarray(field, dtype=float)
    if field.ndim != 2:
        raise ParameterError(f"dic_map draws one image (rows, columns), not an array of shape {field.shape}")
    n = np.isfinite(field).sum()
    if not n:
        return None
    limits = colour_limits(field, vmin=vmin, vmax=vmax)
    extent = pixel_extent(field.shape, view.step_um)
    fig, ax = value_figure(field, extent, label=label, cmap=cmap, limits=limits, width="middle")
    map_axes(ax, extent)
    _outlines(ax, view, "white")
    return note(fig, n=n, unit="points")


def _outlines(ax: Axes, view: FieldView, colour: str) -> None:
    if view.segments is not None:
        boundary_lines(ax, view.segments, linewidth=0.4, colour=colour)


@captioned
def line_map(view: FieldView, field: ArrayLike, pieces: pd.DataFrame, *, label: str) -> Figure | None:
    """Single lines followed through a field: straight ones, and those of several pieces with their corners.

    Parameters
    ----------
    field : (rows, columns) the picture that the lines were followed in
    pieces : table of `line_courses`: line_id, x0_px, y0_px, x1_px, y1_px
    label : quantity of the field with its unit

    Returns
    -------
    Figure, None where there is nothing to draw: the field has no value
    """
    need_columns(pieces, ("line_id", "x0_px", "y0_px", "x1_px", "y1_px"), "table of pieces")
    fig = dic_map(view, field, label=label, cmap="gray")
    if fig is None:
        return None
    ax = fig.axes[0]
    ends = view.step_um * pieces[["x0_px", "y0_px", "x1_px", "y1_px"]].to_numpy().reshape(-1, 2, 2)
    is_bent = (pieces.groupby("line_id")["line_id"].transform("size") > 1).to_numpy()
    handles = []
    for name, chosen, colour in (("straight", ~is_bent, SKY), ("several pieces", is_bent, ORANGE)):
        look = {"color": colour, "linewidth": 1.0}
        ax.add_collection(LineCollection(ends[chosen], **look), autolim=False)
        count = pieces.loc[chosen, "line_id"].nunique()
        handles.append(Line2D([], [], label=f"{name} ({count})", **look))
    ax.plot(*ends[is_bent].reshape(-1, 2).T, ".", color=ORANGE, markersize=2.5)
    fig.legend(handles=handles, loc="outside upper left", ncols=2, title="Lines", alignment="left")
    return note(fig, n=pieces["line_id"].nunique(), unit="lines")


@captioned
def choice_map(view: FieldView, field: ArrayLike, choices: pd.DataFrame, *, label: str) -> Figure | None:
    """The plane that a model holds most likely in each grain, as its trace, over the measured field.

    Parameters
    ----------
    field : (rows, columns) measured field
    choices : x0_um, y0_um, x1_um, y1_um (ends of the trace, in the frame of the field), state: "seen", "not
        seen" or, where nothing was there to tell, another word
    label : quantity of the field with its unit

    Returns
    -------
    Figure, None where there is nothing to draw: no choice, or the field has no value
    """
    need_columns(choices, (*ENDS, "state"), "table of choices")
    fig = dic_map(view, field, label=label, cmap="gray") if len(choices) else None
    if fig is None:
        return None
    looks = {"seen": (SKY, "-"), "not seen": (ORANGE, (0, (2.5, 1.2)))}
    handles = []
    for state, part in choices.groupby("state", sort=False):
        colour, line = looks.get(str(state), (YELLOW, (0, (1, 1))))
        look: dict[str, Any] = {"color": colour, "linestyle": line, "linewidth": 1.5}
        ends = part[list(ENDS)].to_numpy().reshape(-1, 2, 2)
        fig.axes[0].add_collection(LineCollection(list(ends), **look), autolim=False)
        handles.append(Line2D([], [], label=f"{state} ({len(part)})", **look))
    title = "Most likely plane, by a model that has not seen the grain"
    fig.legend(handles=handles, loc="outside upper left", ncols=3, title=title, alignment="left")
    return note(fig, n=len(choices), unit="grains")


@captioned
def activity_map(view: FieldView, activity: Any, *, system: str | int | None = None) -> Figure | None:
    """Slip activity on the vectors of an HR-DIC field: the most probable system, or the posterior of one.

    Parameters
    ----------
    activity : SlipActivity of a field (rows, columns)
    system : name or number of a system: its posterior, 0 to 1; None: the most probable system of every
        vector in colour, paler where its posterior is below 0.5; the systems beyond the eight most frequent
        are one class

    Returns
    -------
    Figure, None where there is nothing to draw: no vector is strained
    """
    if len(activity.shape) != 2:
        raise ParameterError(
            f"activity_map draws a field (rows, columns), not pixels of shape {activity.shape}"
        )
    names = activity.systems.names
    if system is not None and system not in (*names, *range(len(names))):
        raise ParameterError(
            f"system {system!r}: choose a number below {len(names)} or one of {', '.join(names[:4])} ..."
        )
    if not activity.used.any():
        return None
    if system is None:
        fig, ax = _winner_map(view, activity)
    else:
        fig, ax = _posterior_map(view, activity, names.index(system) if isinstance(system, str) else system)
    _outlines(ax, view, "black")
    return note(fig, n=activity.used.sum(), unit="vectors with strain")


def _posterior_map(view: FieldView, activity: Any, number: int) -> tuple[Figure, Axes]:
    extent = pixel_extent(activity.shape, view.step_um)
    fig, ax = value_figure(
        activity.picture(activity.posterior[:, number]),
        extent,
        label=f"p(active), {activity.systems.names[number]}",
        cmap="viridis",
        limits=(0.0, 1.0),
        width="double",
        background=np.full((1, 1, 3), to_rgb(NO_VALUE)),
    )
    map_axes(ax, extent)
    return fig, ax


def _winner_map(view: FieldView, activity: Any) -> tuple[Figure, Axes]:
    winner, names, families = activity.winner, activity.systems.names, activity.systems.family_names
    is_one_family = len(set(activity.systems.family)) == 1
    count = np.bincount(winner[winner >= 0], minlength=len(names))
    shown = [s for s in np.argsort(-count, kind="stable")[:MOST_SYSTEMS] if count[s]]
    colours = category_colours(len(shown))
    handles = []
    for colour, s in zip(colours, shown, strict=True):
        name = names[s].split(" ", 1)[-1] if is_one_family else names[s]
        handles.append(Patch(facecolor=colour, label=f"{name} ({100 * count[s] / count.sum():.0f} %)"))
    others = count.sum() - count[shown].sum()
    if others:
        handles.append(Patch(facecolor="0.45", label=f"other systems ({100 * others / count.sum():.0f} %)"))
    handles.append(Patch(facecolor=NO_VALUE, label="little strain"))
    pale = f"pale: p < {SURE:g}" + (f"; {families[0]}" if is_one_family else "")
    title = f"Most probable system\n({pale})"
    extent = pixel_extent(activity.shape, view.step_um)
    texts = [title, *(str(handle.get_label()) for handle in handles)]
    fig, ax, _ = map_figure(extent, "double", side_mm=legend_mm(texts))
    picture = activity.picture(_winner_colours(activity, shown, colours))
    ax.imshow(picture, extent=extent, interpolation="nearest")
    map_axes(ax, extent)
    legend_beside(ax, handles=handles, title=title, alignment="left")
    return fig, ax


def _winner_colours(activity: Any, shown: list[int], colours: NDArray) -> NDArray:
    """(N, 3) RGB of the vectors: white where no slip is more probable, grey where little strain."""
    winner = activity.winner
    rgb = np.ones((len(winner), 3))
    rgb[winner >= 0] = to_rgb("0.45")
    rgb[~activity.used] = to_rgb(NO_VALUE)
    for colour, s in zip(colours, shown, strict=True):
        is_sure = activity.posterior[:, s] >= SURE
        rgb[(winner == s) & is_sure] = colour
        rgb[(winner == s) & ~is_sure] = 1 - 0.35 * (1 - colour)
    return rgb
