"""A solved map: its stress and slip side by side, where they are high, and what simpler answers say."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from numpy.typing import ArrayLike, NDArray

from cpml.errors import ParameterError
from cpml.plots.maps import UNDER_MAP_MM, boundary_lines, colour_limits, map_axes
from cpml.plots.palette import BLUE, MARKERS, NO_VALUE, ORANGE, category_colours, model_label, model_style
from cpml.plots.raster import Extent, aspect
from cpml.plots.style import (
    captioned,
    error_bars,
    figure,
    label_rows,
    need_columns,
    note,
    width_mm,
)
from cpml.plots.views import ENDS

PALE = 0.5
"""Shear over the mean below which the colour of its family is pale."""
LEAST_SHARE = 0.005
"""Of the cells, below which a family has no entry in the legend."""


@captioned
def stress_and_slip_maps(
    stress: ArrayLike,
    shear: ArrayLike,
    family: ArrayLike,
    *,
    grain: ArrayLike,
    families: Sequence[str],
    extent: Extent,
) -> Figure:
    """Stress, shear and the mechanism that shears most, in every cell of a solved map.

    Parameters
    ----------
    stress, shear : (rows, columns) over the means
    family : (rows, columns) number in ``families``; not drawn where one family shears everywhere
    grain : (rows, columns) grain of each cell; boundaries are drawn between different ones
    families : in words
    extent : of the cells, um
    """
    stress, shear, family = np.asarray(stress, float), np.asarray(shear, float), np.asarray(family)
    shapes = {np.shape(values) for values in (stress, shear, family, grain)}
    if len(shapes) > 1 or stress.ndim != 2:
        raise ParameterError(
            f"stress, shear, family and grain need one (rows, columns), not {sorted(shapes)}"
        )
    share = np.bincount(family.ravel(), minlength=len(families)) / family.size
    shown = [k for k in np.argsort(-share, kind="stable") if share[k] >= LEAST_SHARE]
    panels = 3 if len(shown) > 1 else 2
    wide = width_mm("double")
    above = 16 if panels == 2 else max(16, 3.4 * len(shown) + 6)
    tall = min(wide / panels - 5, 70) * min(aspect(extent), 2.0)
    fig, axes = figure("double", aspect=(tall + above + UNDER_MAP_MM + 8) / wide, cols=panels)
    for ax, image, cmap, label in (
        (axes[0], stress, "viridis", "von Mises stress / mean"),
        (axes[1], shear, "magma", "shear rate / mean"),
    ):
        _bar_above(ax, image, extent, cmap=cmap, label=label)
    if panels == 3:
        _family_panel(axes[2], family, shear, share, families=families, shown=shown, extent=extent)
    for ax in axes:
        map_axes(ax, extent)
        boundary_lines(ax, _outlines(np.asarray(grain), extent), linewidth=0.35)
    return note(fig, n=stress.size, unit="cells")


def _outlines(grain: NDArray, extent: Extent) -> pd.DataFrame:
    """Edges between cells of different grains, as a table of boundary segments."""
    left, right, bottom, top = extent
    rows, columns = grain.shape
    x, y = np.linspace(left, right, columns + 1), np.linspace(top, bottom, rows + 1)
    j, first, last = _runs((grain[:, 1:] != grain[:, :-1]).T)
    upright = np.stack([x[j + 1], y[first], x[j + 1], y[last]], axis=1)
    i, first, last = _runs(grain[1:] != grain[:-1])
    level = np.stack([x[first], y[i + 1], x[last], y[i + 1]], axis=1)
    return pd.DataFrame(np.concatenate([upright, level]), columns=list(ENDS))


def _runs(mask: NDArray) -> tuple[NDArray, NDArray, NDArray]:
    """Row, first and one past the last column of every unbroken run of True."""
    steps = np.diff(np.pad(mask.astype(int), ((0, 0), (1, 1))), axis=1)
    row, first = np.nonzero(steps == 1)
    return row, first, np.nonzero(steps == -1)[1]


def _bar_above(ax: Axes, image: NDArray, extent: Extent, *, cmap: str, label: str) -> None:
    low, high = colour_limits(image)
    drawn = ax.imshow(image, extent=extent, cmap=cmap, vmin=low, vmax=high, interpolation="nearest")
    height = 3.2 / 50
    bar = ax.figure.colorbar(
        drawn,
        cax=ax.inset_axes((0, 1.04, 1, height)),
        orientation="horizontal",
        ticklocation="top",
        extend="max" if (image > high).any() else "neither",
        extendfrac=0.03,
        label=label,
    )
    bar.outline.set_linewidth(0.5)


def _family_panel(
    ax: Axes,
    family: NDArray,
    shear: NDArray,
    share: NDArray,
    *,
    families: Sequence[str],
    shown: Sequence[int],
    extent: Extent,
) -> None:
    colours = np.tile(to_rgb(NO_VALUE), (len(families), 1))
    for colour, k in zip(category_colours(len(shown)), shown, strict=True):
        colours[k] = colour
    picture = colours[family]
    is_pale = shear < PALE
    picture[is_pale] = 1 - 0.4 * (1 - picture[is_pale])
    ax.imshow(picture, extent=extent, interpolation="nearest")
    handles = [Patch(facecolor=colours[k], label=f"{families[k]} ({100 * share[k]:.0f} %)") for k in shown]
    look = {"loc": "lower left", "bbox_to_anchor": (0, 1.0), "borderaxespad": 0.2, "alignment": "left"}
    ax.legend(handles=handles, title=f"shears most (pale: below {PALE:g} of the mean)", **look)


@captioned
def hot_spot_profiles(table: pd.DataFrame) -> Figure | None:
    """Stress and shear against the distance from grain boundaries and, along boundaries, from triple points,
    over the mean inside the same grains; bands are 90 % intervals, thin lines the inside of the grains.

    Parameters
    ----------
    table : quantity ("stress", "shear"), near ("boundary", "triple point", "inside"), distance_um, n_grains,
        mean and decile with _low and _high

    Returns
    -------
    Figure, None where there is nothing to draw: no class of distances
    """
    ends = [f"{name}{end}" for name in ("mean", "decile") for end in ("", "_low", "_high")]
    need_columns(table, ("quantity", "near", "distance_um", "n_grains", *ends), "table of hot spots")
    places = {
        "boundary": "distance from the boundary / µm",
        "triple point": "beside boundaries: distance from the triple point / µm",
    }
    if not table["near"].isin(places).any():
        return None
    quantities = list(dict.fromkeys(table["quantity"]))
    fig, axes = figure(
        "double",
        aspect=0.28 * len(quantities) + 0.06,
        rows=len(quantities),
        cols=2,
        sharey="row",
        squeeze=False,
    )
    for number, quantity in enumerate(quantities):
        row = axes[number]
        own = table[table["quantity"] == quantity]
        inside = own[own["near"] == "inside"]
        for ax, (place, label) in zip(row, places.items(), strict=True):
            _profile(ax, own[own["near"] == place], inside)
            if number == len(quantities) - 1:
                ax.set_xlabel(label)
        row[0].set_ylabel(f"{quantity} / inside the grain")
    handles, labels = axes[0, 0].get_legend_handles_labels()
    handles.append(Line2D([], [], color="black", linewidth=0.6, linestyle=":"))
    fig.legend(handles, [*labels, "inside the grains"], loc="outside upper left", ncols=3)
    return note(fig, n=table["n_grains"].max(), unit="grains")


def _profile(ax: Axes, own: pd.DataFrame, inside: pd.DataFrame) -> None:
    looks = {"mean": (BLUE, "o", "-", "mean"), "decile": (ORANGE, "s", "--", "upper decile")}
    for name, (colour, marker, line, label) in looks.items():
        x = own["distance_um"]
        ax.fill_between(x, own[f"{name}_low"], own[f"{name}_high"], color=colour, alpha=0.25, linewidth=0)
        ax.plot(x, own[name], color=colour, marker=marker, linestyle=line, label=label, markersize=3)
        for level in inside[name]:
            ax.axhline(level, color=colour, linewidth=0.6, linestyle=":")
    ax.set_xlim(left=0)


@captioned
def grain_stress_parity(table: pd.DataFrame) -> Figure | None:
    """Stress of every grain in the full field against the mean field; bars are the scatter inside the grain.

    Parameters
    ----------
    table : stress_mean, stress, scatter, and changes (bool): whether another mechanism shears most

    Returns
    -------
    Figure, None where there is nothing to draw: no row
    """
    need_columns(table, ("stress_mean", "stress", "scatter", "changes"), "table of grains")
    if not len(table):
        return None
    fig, ax = figure("single", aspect=0.92)
    for is_other, colour, marker, label in (
        (False, BLUE, MARKERS[0], "same mechanism first"),
        (True, ORANGE, MARKERS[1], "another one first"),
    ):
        own = table[table["changes"] == is_other]
        look = {"color": colour, "fmt": marker, "markersize": 2.5, "elinewidth": 0.4, "ecolor": colour}
        name = f"{label} ({len(own)})"
        ax.errorbar(own["stress_mean"], own["stress"], yerr=own["scatter"], label=name, alpha=0.75, **look)
    ends = [table["stress_mean"].min(), table["stress_mean"].max()]
    ax.plot(ends, ends, color="black", linewidth=0.6, linestyle="--")
    ax.set(xlabel="stress, self-consistent / mean", ylabel="stress, full field / mean")
    fig.legend(loc="outside upper left", ncols=2)
    return note(fig, n=len(table), unit="grains")


@captioned
def rank_correlations(table: pd.DataFrame) -> Figure | None:
    """How well expected strains or rotations rank the grains, component by component and state by state:
    rank correlation with its 90 % interval; right of zero is better than chance.

    Parameters
    ----------
    table : step, component, scheme, n_grains, rank_correlation, low, high

    Returns
    -------
    Figure, None where there is nothing to draw: no row
    """
    columns = ("step", "component", "scheme", "n_grains", "rank_correlation", "low", "high")
    need_columns(table, columns, "table of correlations")
    if not len(table):
        return None
    steps, names = list(dict.fromkeys(table["step"])), list(dict.fromkeys(table["component"]))
    schemes = list(dict.fromkeys(table["scheme"]))
    width = "double" if len(steps) > 2 else "single" if len(steps) == 1 else "middle"
    height = (8 * len(names) + 30) / width_mm(width)
    fig, axes = figure(width, aspect=height, cols=len(steps), squeeze=False, sharex=True, sharey=True)
    for ax, step in zip(axes[0], steps, strict=True):
        for k, scheme in enumerate(schemes):
            own = table[(table["step"] == step) & (table["scheme"] == scheme)]
            y = np.array([names.index(name) for name in own["component"]]) + 0.24 * (
                k - (len(schemes) - 1) / 2
            )
            model = f"cp_{scheme}"
            look = {"color": model_style(model)["color"], "fmt": model_style(model)["marker"]}
            length = error_bars(own["rank_correlation"], own["low"], own["high"])
            ax.errorbar(
                own["rank_correlation"],
                y,
                xerr=length,
                label=model_label(model),
                linewidth=0.9,
                capsize=2,
                **look,
            )
        ax.axvline(0, color="0.5", linewidth=0.6, linestyle="--", zorder=0.5)
        ax.set(xlabel="rank correlation", title=f"state {step}")
        label_rows(ax, [_words(name) for name in names])
    fig.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside upper left", ncols=2)
    return note(fig, n=table["n_grains"].max(), unit="grains")


def _words(component: str) -> str:
    if component == "turn":
        return "turn in the plane"
    name, _, axes = component.partition("_")
    if name == "rotation":
        return f"rotation about {axes}"
    return f"${name}_{{{axes}}}$"
