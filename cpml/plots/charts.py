"""Distributions of what was seen: disorientations, grain sizes, deviations of traces, ranks of systems."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.figure import Figure
from numpy.typing import ArrayLike, NDArray

from cpml.intervals import wilson_interval
from cpml.plots.palette import BLUE, GREY, ORANGE, RED
from cpml.plots.style import captioned, error_bars, figure, note, plain_log_axis, same_length
from cpml.plots.texture.mackenzie import MAX_DISORIENTATION, random_disorientation


@captioned
def histogram_with_curve(
    values: ArrayLike,
    *,
    label: str,
    bins: int | ArrayLike = 36,
    weights: ArrayLike | None = None,
    curve: tuple[ArrayLike, ArrayLike] | None = None,
    curve_label: str = "",
    marks: Mapping[float, str] | None = None,
    ylabel: str = "density",
    title: str = "",
    unit: str = "",
) -> Figure | None:
    """Histogram of area one with a reference curve.

    Parameters
    ----------
    values : (N,) NaN is left out
    label : quantity with its unit
    bins : number of bins or edges
    weights : (N,) e.g. boundary lengths
    curve : (x, y) density in the unit of the values; curve_label in words
    marks : value -> text, dotted vertical lines
    unit : what was counted

    Returns
    -------
    Figure, None where there is nothing to draw: no value is finite
    """
    values = np.asarray(values, dtype=float)
    weights = np.ones(len(values)) if weights is None else np.asarray(weights, dtype=float)
    same_length(values=values, weights=weights)
    known = np.isfinite(values)
    if not known.any():
        return None
    fig, ax = figure("single")
    look = {"stat": "density", "color": BLUE, "linewidth": 0, "label": "measured"}
    edges = bins if np.ndim(bins) == 0 else list(bins)  # beside weights seaborn takes no array
    sns.histplot(x=values[known], weights=weights[known], bins=edges, ax=ax, **look)
    if curve is not None:
        ax.plot(*curve, color="black", linewidth=1.0, label=curve_label)
        fig.legend(loc="outside upper right", ncols=2, reverse=True)
    for value, text in (marks or {}).items():
        ax.axvline(value, color="0.3", linewidth=0.6, linestyle=":")
        place = {"xycoords": ("data", "axes fraction"), "ha": "center", "va": "bottom", "fontsize": 7}
        ax.annotate(text, (value, 1), **place)
    ax.set(xlabel=label, ylabel=ylabel)
    ax.set_title(title, pad=14 if marks and title else None)
    return note(fig, n=known.sum(), unit=unit)


@captioned
def disorientation_histogram(
    angle_deg: ArrayLike,
    *,
    lattice: str | None,
    weights: ArrayLike | None = None,
    marks: Mapping[float, str] | None = None,
    title: str = "",
    unit: str = "boundary segments",
) -> Figure | None:
    """Disorientation angles with the curve of random crystals (Mackenzie for cubic, computed for hcp).

    Parameters
    ----------
    angle_deg : (N,) NaN is left out
    lattice : "fcc", "bcc" or "hcp"; None, any other: without a curve
    weights, marks, title, unit : as of `histogram_with_curve`

    Returns
    -------
    Figure, None where there is nothing to draw: no angle is finite
    """
    if lattice is None:
        angle = np.asarray(angle_deg, float)
        top = np.max(angle, where=np.isfinite(angle), initial=60.0)
        look = {"label": "disorientation angle / °", "ylabel": "density / (1/°)"}
        bins = np.arange(0, top + 2, 2)
        return histogram_with_curve(
            angle, bins=bins, weights=weights, marks=marks, title=title, unit=unit, **look
        )
    top = MAX_DISORIENTATION.get(lattice, 0)
    grid = np.linspace(0, top + 1, 400)
    return histogram_with_curve(
        angle_deg,
        label="disorientation angle / °",
        bins=np.arange(0, top + 2, 2),
        weights=weights,
        curve=(grid, random_disorientation(grid, lattice=lattice)),
        curve_label="random crystals",
        marks=marks,
        ylabel="density / (1/°)",
        title=title,
        unit=unit,
    )


@captioned
def grain_size_histogram(
    diameter_um: ArrayLike, *, area_um2: ArrayLike | None = None, title: str = ""
) -> Figure | None:
    """Grain sizes on a log axis, counted and weighted by area, each with its log-normal fit (by moments).

    Parameters
    ----------
    diameter_um : (G,) equivalent diameters
    area_um2 : (G,) weights, pi d^2 / 4 when not given

    Returns
    -------
    Figure, None where there is nothing to draw: fewer than two grains
    """
    d = np.asarray(diameter_um, dtype=float)
    area = np.pi / 4 * d**2 if area_um2 is None else np.asarray(area_um2, dtype=float)
    same_length(diameter_um=d, area_um2=area)
    good = (d > 0) & np.isfinite(area)
    d, area = d[good], area[good]
    if len(d) < 2:
        return None
    bins, log_d = max(round(2 * len(d) ** (1 / 3)), 6), np.log(d)
    grid = np.linspace(log_d.min() - 0.3, log_d.max() + 0.3, 300)
    fig, ax = figure("single", aspect=0.82)
    for weight, colour, name in ((np.ones(len(d)), GREY, "by number"), (area, BLUE, "by area")):
        # on a scale of base e seaborn's density is that of ln d
        look = {"stat": "density", "color": colour, "alpha": 0.4, "linewidth": 0}
        sns.histplot(x=d, weights=weight, bins=bins, log_scale=np.e, ax=ax, **look)
        mean = np.average(log_d, weights=weight)
        spread = np.sqrt(np.average((log_d - mean) ** 2, weights=weight))
        if spread > 1e-9:
            fit = np.exp(-0.5 * ((grid - mean) / spread) ** 2) / (spread * np.sqrt(2 * np.pi))
            text = f"{name}: median {np.exp(mean):.3g} µm, σ(ln d) {spread:.2f}"
            ax.plot(np.exp(grid), fit, color=colour, linewidth=1.0, label=text)
    plain_log_axis(ax)
    ax.set(xlabel="equivalent diameter / µm", ylabel="density of ln d")
    ax.set_title(title)
    if ax.get_legend_handles_labels()[0]:  # grains of one size have no width to fit
        fig.legend(loc="outside upper left", title="log-normal fits", alignment="left")
    return note(fig, n=len(d), unit="grains")


@captioned
def trace_deviation_histogram(
    deviation_deg: ArrayLike,
    flipped_deg: ArrayLike | None = None,
    *,
    labels: Sequence[str] = ("frame as read", "y axis flipped"),
    bin_deg: float = 2.0,
    max_deg: float | None = None,
    label: str = "deviation / °",
    title: str = "",
    unit: str = "traces",
) -> Figure | None:
    """Deviations of directions, as read and, beside them, in another frame or state.

    Parameters
    ----------
    deviation_deg : (N,) filled; NaN is left out
    flipped_deg : (M,) outline over it
    labels : what the two are, in the legend with their counts and medians
    max_deg : end of the axis; the largest deviation when not given
    label : the quantity with its unit

    Returns
    -------
    Figure, None where there is nothing to draw: no deviation is finite
    """
    given = (deviation_deg,) if flipped_deg is None else (deviation_deg, flipped_deg)
    groups = [np.abs(_finite(values)) for values in given]
    if not len(groups[0]):
        return None
    largest = max(values.max(initial=0.0) for values in groups)
    top = max_deg or max(np.ceil(largest / bin_deg) * bin_deg, 5 * bin_deg)
    bins = np.arange(0, top + bin_deg / 2, bin_deg)
    fig, ax = figure("single", aspect=0.75)
    filled = {"color": BLUE, "linewidth": 0}
    outline = {"color": ORANGE, "element": "step", "fill": False, "linewidth": 0.9}
    for values, name, look in zip(groups, labels, (filled, outline), strict=False):
        median = f", median {np.median(values):.1f}°" if len(values) else ""
        sns.histplot(x=values, bins=bins, ax=ax, label=f"{name}{median} ({len(values)})", **look)
    ax.set(xlabel=label, ylabel="count", xlim=(bins[0], bins[-1]))
    ax.set_title(title)
    fig.legend(loc="outside upper left", ncols=1, reverse=True)
    return note(fig, n=len(groups[0]), unit=unit)


def _finite(values: ArrayLike) -> NDArray:
    values = np.asarray(values, dtype=float)
    return values[np.isfinite(values)]


@captioned
def schmid_rank_bars(
    ranks: Mapping[str, ArrayLike], *, n_systems: int, max_rank: int = 6, unit: str = "observed systems"
) -> Figure | None:
    """How highly rules rank the systems that were observed: share by rank, and by chance.

    Parameters
    ----------
    ranks : rule -> (M,) rank of each observed system among its grain's candidates, 1 = highest
    n_systems : number of candidates; chance is 1 / n_systems
    max_rank : the last rank that is drawn; shares are of all ranks

    Returns
    -------
    Figure, None where there is nothing to draw: no rank
    """
    groups = {name: _finite(values).astype(int) for name, values in ranks.items()}
    groups = {name: values for name, values in groups.items() if len(values)}
    if not groups:
        return None
    place = np.arange(1, min(max_rank, n_systems) + 1)
    rows = []
    for name, values in groups.items():
        hits = np.array([(values == rank).sum() for rank in place])
        low, high = wilson_interval(hits, len(values), level=0.95)
        part = pd.DataFrame({"rank": place, "share": hits / len(values), "low": low, "high": high})
        rows.append(part.assign(rule=f"{name} ({len(values)})"))
    fig, ax = figure("single", aspect=0.75)
    palette = [BLUE, ORANGE, GREY, RED][: len(groups)]
    bars = {"x": "rank", "y": "share", "hue": "rule", "palette": palette, "saturation": 1, "legend": False}
    sns.barplot(pd.concat(rows), native_scale=True, errorbar=None, ax=ax, **bars)
    columns = list(ax.containers)
    for part, drawn in zip(rows, columns, strict=True):
        drawn.set_label(part["rule"].iloc[0])
        middle = [bar.get_x() + bar.get_width() / 2 for bar in drawn]
        length = error_bars(part["share"], part["low"], part["high"])
        ax.errorbar(middle, part["share"], length, fmt="none", ecolor="black", elinewidth=0.6, capsize=1.5)
    look = {"color": "black", "linewidth": 0.6, "linestyle": "--", "label": f"by chance, 1 of {n_systems}"}
    chance = ax.axhline(1 / n_systems, **look)
    rule = "Schmid factor" if len(groups) == 1 else "rule"
    ax.set(xlabel=f"rank by the {rule}, 1 = highest", ylabel="share of observed systems", xticks=place)
    fig.legend(handles=[*columns, chance], loc="outside upper left", ncols=2)
    return note(fig, n=max(map(len, groups.values())), unit=unit)
