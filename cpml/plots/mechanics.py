"""Mechanical answers: stress-strain curves, strengths learned from footprints, what a material can reach."""

import numpy as np

from cpml.errors import ParameterError
from cpml.plots.style import (
    BLUE,
    CATEGORY_COLOURS,
    GREY,
    MODEL_COLOURS,
    RED,
    figure,
    legend_beside,
    model_label,
    model_style,
    need_columns,
    plain_log_axis,
    stamp,
)


def stress_strain(
    curves, *, experiment=None, strain_label="strain / %", stress_label="stress / MPa", percent=True,
    band_label="90 % interval", caption="", title="", width="middle",
):  # fmt: skip
    """Stress-strain curves with the experiment as points.

    Parameters
    ----------
    curves : dict name -> (strain, stress) or (strain, stress, low, high); strain as a number, stress in MPa
    experiment : (strain, stress) points
    percent : strains are drawn in percent
    band_label : what low and high of a curve are, for the legend

    Returns
    -------
    Figure
    """
    scale = 100.0 if percent else 1.0
    fig, ax = figure(width, aspect=0.55)
    free = [
        colour for colour in CATEGORY_COLOURS if colour not in {MODEL_COLOURS.get(name) for name in curves}
    ]
    for i, (name, curve) in enumerate(curves.items()):
        if len(curve) not in (2, 4):
            raise ParameterError(f"curve {name!r}: give (strain, stress) or (strain, stress, low, high)")
        strain, stress, *band = (np.asarray(v, dtype=float) for v in curve)
        other = {"color": free[i % len(free)], "linestyle": ("-", "--", "-.", ":")[i % 4]}
        look = model_style(name, marker=False) if name in MODEL_COLOURS else other
        ax.plot(scale * strain, stress, linewidth=1.0, label=model_label(name), **look)
        if band:
            shade = {"color": look["color"], "alpha": 0.25, "linewidth": 0, "label": band_label}
            ax.fill_between(scale * strain, *band, **shade)
    if experiment is not None:
        strain, stress = (np.asarray(v, dtype=float) for v in experiment)
        points = {"color": "black", "markersize": 3, "markerfacecolor": "none", "label": "experiment"}
        ax.plot(scale * strain, stress, "o", **points)
    ax.set(xlabel=strain_label, ylabel=stress_label)
    ax.set_xlim(left=0)
    ax.set_ylim(bottom=0)
    ax.set_title(title)
    legend_beside(ax)
    n = None if experiment is None else len(experiment[0])
    return stamp(fig, caption, n=n, unit="experimental points")


def regime_shares(
    table, *, column="climb", label="share of climb in the slip", caption="", title="", width="middle"
):
    """Share of a mechanism over temperature, one line for each strain rate.

    Parameters
    ----------
    table : rate_per_s, homologous (T over the melting point) and `column`, as
        cpml.plasticity.paths.regimes gives it

    Returns
    -------
    Figure
    """
    need_columns(table, ["rate_per_s", "homologous", column], "table of regimes")
    fig, ax = figure(width, aspect=0.5)
    for i, (rate, part) in enumerate(table.groupby("rate_per_s", sort=False)):
        look = {
            "color": CATEGORY_COLOURS[i % len(CATEGORY_COLOURS)],
            "linestyle": ("-", "--", "-.", ":")[i % 4],
        }
        ax.plot(part["homologous"], part[column], linewidth=1.0, label=f"{rate:.0e} /s", **look)
    ax.set(xlabel="temperature / melting point", ylabel=label, ylim=(-0.02, 1.02))
    ax.set_title(title)
    legend_beside(ax, title="strain rate")
    return stamp(fig, caption, n=len(table), unit="solved states")


def strengths_plot(
    table,
    *,
    label="critical resolved shear stress / MPa",
    caption="",
    n=None,
    title="",
    unit="grains",
    width="single",
):
    """Strength of each slip and twin family: prior interval grey, posterior interval blue, truth when known.

    Parameters
    ----------
    table : family (column or index), prior_low, prior, prior_high, posterior_low, posterior, posterior_high;
        optional truth; NaN where there is none
    label : the quantity with its unit; ratios are as welcome as MPa

    Returns
    -------
    Figure
    """
    table = table if "family" in table else table.rename_axis("family").reset_index()
    need_columns(
        table,
        ["prior_low", "prior", "prior_high", "posterior_low", "posterior", "posterior_high"],
        "strength table",
    )
    row = np.arange(len(table))
    fig, ax = figure(width, aspect=0.3 + 0.11 * len(table))
    for kind, shift, colour, marker in (("prior", -0.16, GREY, "s"), ("posterior", 0.16, BLUE, "o")):
        low, middle, high = (table[f"{kind}{end}"].to_numpy(float) for end in ("_low", "", "_high"))
        ax.hlines(row + shift, low, high, color=colour, linewidth=2.0)
        ax.plot(middle, row + shift, marker, color=colour, label=kind)
    if "truth" in table:
        ax.plot(
            table["truth"].to_numpy(float),
            row,
            "|",
            color=RED,
            markersize=11,
            markeredgewidth=1.2,
            label="truth",
        )
    ax.set(xlabel=label, ylim=(len(table) - 0.5, -0.5))
    plain_log_axis(ax)
    ax.set_yticks(row, [str(f).replace("_", " ") for f in table["family"]])
    ax.tick_params(axis="y", length=0)
    ax.set_title(title)
    fig.legend(loc="outside upper right", ncols=3)
    return stamp(fig, caption, n=n, unit=unit)


def reachable_region(
    table, *, x="r", low="yield_min", high="yield_max", target=None, suggestion=None, current=None,
    x_label="Lankford coefficient r", y_label="yield stress / MPa", caption="", title="", width="middle",
):  # fmt: skip
    """Which yield stresses textures can give for each r value, with the target and the suggestion.

    Parameters
    ----------
    table : columns x, low, high; NaN where nothing is reachable
    target, suggestion, current : (x, yield) points

    Returns
    -------
    Figure
    """
    need_columns(table, [x, low, high], "table of the reachable region")
    table = table.sort_values(x)
    at, bottom, top = (table[c].to_numpy(dtype=float) for c in (x, low, high))
    fig, ax = figure(width, aspect=0.55)
    ax.fill_between(at, bottom, top, color=BLUE, alpha=0.18, linewidth=0, label="reachable by texture")
    ax.plot(at, bottom, color=BLUE, linewidth=0.8)
    ax.plot(at, top, color=BLUE, linewidth=0.8)
    points = {
        "target": (target, "*", RED, 9),
        "suggestion": (suggestion, "o", "black", 5),
        "measured": (current, "s", GREY, 5),
    }
    for name, (point, marker, colour, size) in points.items():
        if point is not None:
            look = {
                "markersize": size,
                "markeredgecolor": "white",
                "markeredgewidth": 0.5,
                "linestyle": "none",
            }
            ax.plot(
                *point,
                marker,
                color=colour,
                label=f"{name} ({point[0]:.3g}, {point[1]:.4g})",
                zorder=5,
                **look,
            )
    ax.set(xlabel=x_label, ylabel=y_label)
    ax.set_title(title)
    legend_beside(ax)
    return stamp(fig, caption)
