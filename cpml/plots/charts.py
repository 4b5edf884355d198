"""Distributions of what was seen: disorientations, grain sizes, traces, twins, systems by Schmid factor."""

import numpy as np

from cpml.errors import ParameterError
from cpml.intervals import wilson_interval
from cpml.plots.mackenzie import MAX_DISORIENTATION, random_disorientation
from cpml.plots.style import (
    BLUE,
    GREY,
    ORANGE,
    RED,
    figure,
    model_label,
    model_style,
    plain_log_axis,
    same_length,
    stamp,
)


def histogram_with_curve(
    values, *, bins=36, weights=None, curve=None, label, curve_label="", marks=None, ylabel="density",
    caption="",
    title="", unit="", colour=BLUE, width="single",
):  # fmt: skip
    """Histogram of area one with a reference curve.

    Parameters
    ----------
    values : (N,) NaN is left out
    bins : number of bins or edges; weights: (N,) e.g. boundary lengths
    curve : (x, y) density in the unit of the values; curve_label in words
    label : quantity with its unit
    marks : dict value -> text, dotted vertical lines

    Returns
    -------
    Figure
    """
    values = np.asarray(values, dtype=float)
    weights = np.ones(len(values)) if weights is None else np.asarray(weights, dtype=float)
    same_length(values=values, weights=weights)
    known = np.isfinite(values)
    fig, ax = figure(width)
    if known.any():
        ax.hist(
            values[known],
            bins=bins,
            weights=weights[known],
            density=True,
            color=colour,
            alpha=0.75,
            label="measured",
        )
    if curve is not None:
        ax.plot(*curve, color="black", linewidth=1.0, label=curve_label)
        fig.legend(loc="outside upper right", ncols=2)
    for value, text in (marks or {}).items():
        ax.axvline(value, color="0.3", linewidth=0.6, linestyle=":")
        ax.annotate(
            text, (value, 1), xycoords=("data", "axes fraction"), ha="center", va="bottom", fontsize=7
        )
    ax.set(xlabel=label, ylabel=ylabel)
    ax.set_title(title, pad=14 if marks else None)
    return stamp(fig, caption, n=int(known.sum()), unit=unit)


def disorientation_histogram(
    angle_deg, *, lattice, weights=None, marks=None, caption="", title="", unit="boundary segments",
    width="single",
):  # fmt: skip
    """Disorientation angles with the curve of random crystals (Mackenzie for cubic, computed for hcp)."""
    top = MAX_DISORIENTATION.get(lattice, 0)
    grid = np.linspace(0, top + 1, 400)
    curve = grid, random_disorientation(grid, lattice=lattice)
    return histogram_with_curve(
        angle_deg, bins=np.arange(0, top + 2, 2), weights=weights, curve=curve,
        label="disorientation angle / °",
        curve_label="random crystals", ylabel="density / (1/°)", marks=marks, caption=caption, title=title,
        unit=unit,
        width=width,
    )  # fmt: skip


def grain_size_histogram(
    diameter_um, *, area_um2=None, bins=None, caption="", title="", unit="grains", width="single",
):  # fmt: skip
    """Grain sizes on a log axis, counted and weighted by area, each with its log-normal fit (by moments).

    Parameters
    ----------
    diameter_um : (G,) equivalent diameters; area_um2: (G,) weights, pi d^2 / 4 when not given
    bins : number of bins, 2 G^(1/3) when not given
    """
    d = np.asarray(diameter_um, dtype=float)
    area = np.pi / 4 * d**2 if area_um2 is None else np.asarray(area_um2, dtype=float)
    same_length(diameter_um=d, area_um2=area)
    good = (d > 0) & np.isfinite(area)
    if good.sum() < 2:
        raise ParameterError("a grain size distribution needs at least two grains")
    log_d = np.log(d[good])
    bins = bins or max(round(2 * len(log_d) ** (1 / 3)), 6)
    fig, ax = figure(width, aspect=0.82)
    edges = np.linspace(log_d.min() - 1e-6, log_d.max() + 1e-6, bins + 1)
    grid = np.linspace(edges[0] - 0.3, edges[-1] + 0.3, 300)
    for weight, colour, name in ((np.ones(good.sum()), GREY, "by number"), (area[good], BLUE, "by area")):
        mean = np.average(log_d, weights=weight)
        spread = np.sqrt(np.average((log_d - mean) ** 2, weights=weight))
        density, _ = np.histogram(log_d, edges, weights=weight, density=True)
        ax.stairs(density, np.exp(edges), fill=True, color=colour, alpha=0.4, linewidth=0)
        if spread > 0:
            fit = np.exp(-0.5 * ((grid - mean) / spread) ** 2) / (spread * np.sqrt(2 * np.pi))
            text = f"{name}: median {np.exp(mean):.3g} µm, σ(ln d) {spread:.2f}"
            ax.plot(np.exp(grid), fit, color=colour, linewidth=1.0, label=text)
    ax.set(xlabel="equivalent diameter / µm", ylabel="density of ln d")
    plain_log_axis(ax)
    ax.set_title(title)
    fig.legend(loc="outside upper left", title="log-normal fits", alignment="left")
    return stamp(fig, caption, n=int(good.sum()), unit=unit)


def _overlaid(groups, bins, marks, label, caption, title, unit, width):
    """Two or more histograms on one axis, dict name -> (values, colour), the legend above."""
    fig, ax = figure(width, aspect=0.75)
    for i, (name, (values, colour)) in enumerate(groups.items()):
        text = f"{name} ({len(values)})"
        count, _ = np.histogram(values, bins)
        ax.stairs(
            count, bins, fill=i == 0, color=colour, alpha=0.75 if i == 0 else 1, linewidth=0.9, label=text
        )
    for value, text in marks.items():
        ax.axvline(value, color="black", linewidth=0.6, linestyle=":", label=text)
    ax.set(xlabel=label, ylabel="count", xlim=(bins[0], bins[-1]))
    ax.set_title(title)
    fig.legend(loc="outside upper left", ncols=1)
    return stamp(fig, caption, n=len(next(iter(groups.values()))[0]), unit=unit)


def _finite(values):
    values = np.asarray(values, dtype=float)
    return values[np.isfinite(values)]


def _between(values, low, high):
    values = _finite(values)
    return values[(values >= low) & (values <= high)]


def twin_deviation_histogram(
    angle_deg, wrong_angle_deg=None, *, expected_deg, tolerance_deg=5.0, labels=("X||a*, converted",
    "taken as X||a"),
    bin_deg=0.5, span_deg=15.0, caption="", title="", unit="boundary segments", width="single",
):  # fmt: skip
    """Disorientation angles near a twin relation, read in the right and in the wrong hexagonal frame.

    Parameters
    ----------
    angle_deg, wrong_angle_deg : (M,) disorientation angles of boundary segments, degrees; only those within
        span_deg of the expected angle are drawn and counted
    expected_deg : angle of the twin relation, dotted line; tolerance_deg: shaded on both sides
    """
    low, high = np.floor(expected_deg - span_deg), np.ceil(expected_deg + span_deg)
    bins = np.arange(low, high + bin_deg / 2, bin_deg)
    groups = {labels[0]: (_between(angle_deg, low, high), BLUE)}
    if wrong_angle_deg is not None:
        groups[labels[1]] = (_between(wrong_angle_deg, low, high), RED)
    marks = {expected_deg: f"expected {expected_deg:.2f}°"}
    fig = _overlaid(groups, bins, marks, "disorientation angle / °", caption, title, unit, width)
    fig.axes[0].axvspan(
        expected_deg - tolerance_deg, expected_deg + tolerance_deg, color="0.93", zorder=0, linewidth=0
    )
    return fig


def trace_deviation_histogram(
    deviation_deg, flipped_deg=None, *, labels=("frame as declared", "y axis flipped"), bin_deg=2.0,
    max_deg=None, label="deviation / °",
    caption="", title="", unit="traces", width="single",
):  # fmt: skip
    """Angles between observed traces and the nearest plane, in the declared and in a flipped frame."""
    groups = {labels[0]: (np.abs(_finite(deviation_deg)), BLUE)}
    if flipped_deg is not None:
        groups[labels[1]] = (np.abs(_finite(flipped_deg)), ORANGE)
    largest = max((values.max(initial=0.0) for values, _ in groups.values()), default=0.0)
    top = max_deg or max(np.ceil(largest / bin_deg) * bin_deg, 5 * bin_deg)
    named = {f"{k}, median {np.median(v[0]):.1f}°" if len(v[0]) else k: v for k, v in groups.items()}
    bins = np.arange(0, top + bin_deg / 2, bin_deg)
    return _overlaid(named, bins, {}, label, caption, title, unit, width)


def frequency_vs_schmid(
    schmid, observed, *, predicted=None, bins=None, label="Schmid factor", mechanism="activity", caption="",
    title="",
    unit="grain-system pairs", width="single",
):  # fmt: skip
    """Share of observed systems against their Schmid factor, Wilson intervals and mean predictions.

    Parameters
    ----------
    schmid : (M,) Schmid factors; observed: (M,) 1, 0 or NaN where nobody could have seen it (left out)
    predicted : dict model -> (M,) probabilities
    bins : edges; ten bins from the least to the largest factor when not given
    mechanism : what was observed, in words

    Returns
    -------
    Figure
    """
    schmid, seen = same_length(schmid=np.asarray(schmid, float), observed=np.asarray(observed, float))
    known = np.isfinite(schmid) & np.isfinite(seen)
    if not known.any():
        raise ParameterError("no pair has both a Schmid factor and an observation")
    m, y = schmid[known], seen[known]
    edges = np.linspace(m.min(), m.max() + 1e-9, 11) if bins is None else np.asarray(bins, dtype=float)
    cell = np.clip(np.digitize(m, edges) - 1, 0, len(edges) - 2)
    trials, hits = np.bincount(cell, minlength=len(edges) - 1), np.bincount(cell, y, minlength=len(edges) - 1)
    centre = 0.5 * (edges[1:] + edges[:-1])
    fig, (ax, below) = figure(width, aspect=0.95, rows=2, sharex=True, height_ratios=(4, 1))
    some = trials > 0
    share = hits[some] / trials[some]
    low, high = wilson_interval(hits[some], trials[some], level=0.95)
    bars = np.maximum([share - low, high - share], 0)
    ax.errorbar(
        centre[some],
        share,
        bars,
        fmt="o",
        zorder=5,
        color="black",
        capsize=2,
        elinewidth=0.8,
        label="observed, 95 % interval",
    )
    for name, p in (predicted or {}).items():
        p = np.asarray(p, dtype=float)
        same_length(observed=seen, **{name: p})
        mean = np.bincount(cell, p[known], minlength=len(edges) - 1)[some] / trials[some]
        ax.plot(centre[some], mean, label=model_label(name), **model_style(name))
    ax.set(ylabel=f"share with {mechanism}", ylim=(0, None))
    ax.set_title(title)
    below.bar(centre, trials, width=np.diff(edges) * 0.9, color=GREY)
    below.set(xlabel=label, ylabel="pairs")
    fig.legend(loc="outside upper left", ncols=2)
    return stamp(fig, caption, n=int(known.sum()), unit=unit)


def schmid_rank_bars(
    ranks, *, n_systems, max_rank=None, caption="", title="", unit="observed systems", width="single",
):  # fmt: skip
    """How highly a rule ranks the systems that were observed: share by rank, and by chance.

    Parameters
    ----------
    ranks : (M,) rank of each observed system among its grain's candidates, 1 = highest Schmid factor;
        or dict name of the rule -> ranks, drawn side by side
    n_systems : number of candidates; chance is 1 / n_systems
    """
    groups = ranks if hasattr(ranks, "items") else {"observed": ranks}
    last = min(max_rank or n_systems, n_systems)
    fig, ax = figure(width, aspect=0.75)
    place = np.arange(1, last + 1)
    wide = 0.8 / len(groups)
    colours = (BLUE, ORANGE, GREY, RED)
    for i, (name, values) in enumerate(groups.items()):
        values = _finite(values).astype(int)
        hits = np.bincount(np.clip(values, 0, last + 1), minlength=last + 2)[1 : last + 1]
        low, high = wilson_interval(hits, len(values), level=0.95)
        share = hits / max(len(values), 1)
        at = place + (i - (len(groups) - 1) / 2) * wide
        bars = np.maximum([share - low, high - share], 0)
        look = {"color": colours[i % 4], "label": f"{name} ({len(values)})"}
        ax.bar(at, share, 0.95 * wide, yerr=bars, error_kw={"elinewidth": 0.6, "capsize": 1.5}, **look)
    ax.axhline(
        1 / n_systems, color="black", linewidth=0.6, linestyle="--", label=f"by chance, 1 of {n_systems}"
    )
    rule = "Schmid factor" if len(groups) == 1 else "rule"
    ax.set(xlabel=f"rank by the {rule}, 1 = highest", ylabel="share of observed systems", xticks=place)
    ax.set_title(title)
    fig.legend(loc="outside upper left", ncols=2)
    return stamp(fig, caption, n=max(len(_finite(v)) for v in groups.values()), unit=unit)
