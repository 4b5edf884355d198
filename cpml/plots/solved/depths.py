"""What a map does not show: volumes under it, its grains under many of them, and what that leaves open."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from numpy.typing import ArrayLike

from cpml.errors import ParameterError
from cpml.plots.palette import BLUE, GREY, MARKERS, ORANGE, model_label, model_style
from cpml.plots.style import (
    captioned,
    error_bars,
    figure,
    label_rows,
    legend_beside,
    need_columns,
    note,
    width_mm,
)

PALE = 0.35
"""Of the colour of a grain that nobody has measured."""
ONE_DEPTH = "one depth"
PLACES = {"inside": (BLUE, MARKERS[0]), "rim": (ORANGE, MARKERS[1])}


@captioned
def depth_sections(
    plane: ArrayLike,
    sections: Sequence[tuple[ArrayLike, ArrayLike]],
    colours: ArrayLike,
    *,
    row: int,
    cell_um: float,
) -> Figure:
    """A measured plane, and vertical sections through volumes that all show it, along one of its rows; grains
    below that the plane does not show are pale.

    Parameters
    ----------
    plane : (rows, columns) grain of every cell
    sections : of each volume (slices, columns): grain of every cell, and the grain whose crystal it has;
        the first slice is the plane, and depth goes down
    colours : (G, 3) of the grains of the plane
    row : of the plane, along which the sections run
    cell_um : edge of a cell

    Raises
    ------
    ParameterError : no section, or one that is not as wide as the plane
    """
    plane, colours = np.asarray(plane), np.asarray(colours, float)
    pairs = [(np.asarray(grain), np.asarray(crystal)) for grain, crystal in sections]
    wrong = [g.shape for g, _ in pairs if g.ndim != 2 or g.shape[1] != plane.shape[1]]
    if not pairs or wrong:
        raise ParameterError(f"sections need (slices, {plane.shape[1]}) cells, not {wrong or 'none'}")
    wide, tall = width_mm("double"), 60.0
    fig, grid = figure("double", aspect=(tall + 24) / wide, cols=2, width_ratios=(1, 1.6))
    left = grid[0]
    size = np.array(plane.shape) * cell_um
    left.imshow(colours[plane], extent=(0, size[1], size[0], 0), interpolation="nearest")
    left.axhline((row + 0.5) * cell_um, color="black", linewidth=1.2, linestyle="--")
    left.set(xlabel="x / µm", ylabel="y / µm", title="measured plane")
    spec = grid[1].get_subplotspec()
    grid[1].remove()
    inner = spec.subgridspec(len(pairs), 1)
    for number, (grain, crystal) in enumerate(pairs):
        ax = fig.add_subplot(inner[number])
        picture = colours[crystal]
        unseen = grain >= len(colours)
        picture[unseen] = 1 - PALE * (1 - picture[unseen])
        deep = len(grain) * cell_um
        ax.imshow(picture, extent=(0, size[1], deep, 0), interpolation="nearest")
        ax.contour(
            (np.arange(grain.shape[1]) + 0.5) * cell_um,
            (np.arange(len(grain)) + 0.5) * cell_um,
            unseen.astype(float),
            levels=[0.5],
            colors="black",
            linewidths=0.5,
        )
        ax.set(ylabel="z / µm")
        if number == 0:
            ax.set_title("sections below the dashed line, one for each volume")
        if number < len(pairs) - 1:
            ax.tick_params(labelbottom=False)
        else:
            ax.set_xlabel("x / µm")
    handles = [
        Patch(facecolor="0.45", label="grain of the map"),
        Patch(facecolor=str(1 - PALE * 0.55), edgecolor="black", label="grain that nobody has seen"),
    ]
    fig.legend(handles=handles, loc="outside lower right", ncols=2)
    return note(fig, n=len(pairs), unit="volumes")


@captioned
def stresses_under_depths(table: pd.DataFrame) -> Figure | None:
    """Stress along the load of some grains: grey, one dot for each depth; beside them every scheme with the
    90 % interval that it gives itself.

    Parameters
    ----------
    table : grain_id, place, area (share of the map), source ("one depth" or a scheme), value, low, high, as
        `cpml.models.OpenDepth.stresses_along_load` gives it

    Returns
    -------
    Figure, None where there is nothing to draw: no row
    """
    need_columns(table, ("grain_id", "place", "area", "source", "value", "low", "high"), "table of stresses")
    if not len(table):
        return None
    grains = list(dict.fromkeys(table["grain_id"]))
    schemes = [s for s in dict.fromkeys(table["source"]) if s != ONE_DEPTH]
    fig, ax = figure("double", aspect=0.42)
    number = table["grain_id"].map(grains.index)
    dots = table["source"] == ONE_DEPTH
    shift = 0.06 * np.sin(np.arange(dots.sum()) * 2.4)  # apart from each other
    ax.plot(number[dots] - 0.3 + shift, table["value"][dots], "o", color=GREY, markersize=3, label=ONE_DEPTH)
    for k, scheme in enumerate(schemes):
        own = table[table["source"] == scheme]
        model = model_style(f"cp_{scheme}")
        known = np.isfinite(own["low"].to_numpy(float))
        x, y = number[own.index].to_numpy() - 0.1 + 0.15 * k, own["value"].to_numpy(float)
        look = {"color": model["color"], "markersize": 5, "markeredgewidth": 1.0}
        ax.plot(x, y, linestyle="none", marker=model["marker"], label=model_label(f"cp_{scheme}"), **look)
        length = error_bars(y[known], own["low"][known], own["high"][known])
        ax.errorbar(
            x[known], y[known], yerr=length, fmt="none", ecolor=model["color"], linewidth=0.9, capsize=2
        )
    first = table.drop_duplicates("grain_id").set_index("grain_id").loc[grains]
    names = [
        f"grain {g}\n{p}, {100 * a:.2g} % of the map"
        for g, p, a in zip(grains, first["place"], first["area"], strict=True)
    ]
    ax.set_xticks(range(len(grains)), names)
    ax.tick_params(axis="x", length=0)
    for edge in range(1, len(grains)):
        ax.axvline(edge - 0.5, color="0.85", linewidth=0.6)
    ax.set(ylabel="stress along the load / mean", xlim=(-0.5, len(grains) - 0.5))
    legend_beside(ax)
    return note(fig, n=int(dots.sum() / len(grains)), unit="depths")


@captioned
def open_parity(table: pd.DataFrame) -> Figure | None:
    """What the network says that a map leaves open of every grain's stress, against what depths leave open.

    Parameters
    ----------
    table : place ("inside" or "rim"), open_depth, open_learned (standard deviations over the mean stress)

    Returns
    -------
    Figure, None where there is nothing to draw: no row
    """
    need_columns(table, ("place", "open_depth", "open_learned"), "table of grains")
    if not len(table):
        return None
    fig, ax = figure("single", aspect=0.92)
    for place, (colour, marker) in PLACES.items():
        own = table[table["place"] == place]
        look = {"color": colour, "marker": marker, "markersize": 3, "linestyle": "none", "alpha": 0.75}
        ax.plot(own["open_depth"], own["open_learned"], label=f"{place} ({len(own)})", **look)
    both = table[["open_depth", "open_learned"]].to_numpy(float)
    ends = [both.min(), both.max()]
    ax.plot(ends, ends, color="black", linewidth=0.6, linestyle="--")
    ax.set(xlabel="left open by the depths / mean stress", ylabel="said by the network / mean stress")
    fig.legend(loc="outside upper left", ncols=2)
    return note(fig, n=len(table), unit="grains")


@captioned
def explained_shares(table: pd.DataFrame) -> Figure | None:
    """Share of the variance of the grains' true stresses that each scheme explains, with 90 % intervals: 1
    is the truth, 0 one stress for all.

    Parameters
    ----------
    table : scheme, n_grains, explained, low, high

    Returns
    -------
    Figure, None where there is nothing to draw: no row
    """
    need_columns(table, ("scheme", "n_grains", "explained", "low", "high"), "table of schemes")
    if not len(table):
        return None
    fig, ax = figure("single", aspect=0.18 + 0.09 * len(table))
    for row, own in enumerate(table.itertuples()):
        model = model_style(f"cp_{own.scheme}")
        length = error_bars([own.explained], [own.low], [own.high])
        look = {"color": model["color"], "fmt": model["marker"], "linewidth": 0.9, "capsize": 2}
        ax.errorbar([own.explained], [row], xerr=length, **look)
    ax.axvline(0, color="0.5", linewidth=0.6, linestyle="--", zorder=0.5)
    ax.set(xlabel="explained share of the variance")
    label_rows(ax, [model_label(f"cp_{scheme}") for scheme in table["scheme"]])
    return note(fig, n=table["n_grains"].max(), unit="grains")


@captioned
def learning_curve(table: pd.DataFrame) -> Figure | None:
    """What the network explains of volumes kept apart, over the number of volumes that it learned from.

    Parameters
    ----------
    table : volumes, explained; optional affine, the share that the mean field explains by itself

    Returns
    -------
    Figure, None where there is nothing to draw: no row
    """
    need_columns(table, ("volumes", "explained"), "learning curve")
    if not len(table):
        return None
    table = table.sort_values("volumes")
    fig, ax = figure("single", aspect=0.62)
    look = model_style("cp_learned")
    ax.plot(
        table["volumes"], table["explained"], color=look["color"], marker="o", markersize=3, label="learned"
    )
    if "affine" in table:
        style = {"color": model_style("cp_affine")["color"], "linestyle": "--", "linewidth": 1.0}
        ax.plot(table["volumes"], table["affine"], label="self-consistent", **style)
    ax.set_xscale("log")
    ax.set_xticks(table["volumes"], [f"{count:.0f}" for count in table["volumes"]])
    ax.minorticks_off()
    ax.set(xlabel="volumes learned from", ylabel="variance explained")
    fig.legend(loc="outside upper left", ncols=2)
    return note(fig, n=len(table), unit="trainings")
