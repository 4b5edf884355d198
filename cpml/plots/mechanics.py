"""Mechanical answers: stress-strain curves, flow when it is hot, what a sheet does."""

from collections.abc import Mapping

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

from cpml.errors import ParameterError
from cpml.plots.palette import (
    CATEGORY_COLOURS,
    LINES,
    MARKERS,
    MODEL_COLOURS,
    model_label,
    model_style,
)
from cpml.plots.style import captioned, figure, legend_beside, need_columns, note

Curve = tuple[ArrayLike, ArrayLike] | tuple[ArrayLike, ArrayLike, ArrayLike, ArrayLike]


@captioned
def stress_strain(
    curves: Mapping[str, Curve],
    *,
    experiment: tuple[ArrayLike, ArrayLike] | None = None,
    strain_label: str = "strain / %",
) -> Figure | None:
    """Stress-strain curves with the experiment as points.

    Parameters
    ----------
    curves : name -> (strain, stress) or (strain, stress, low, high) with the ends of the 90 % interval;
        strain as a number (drawn in percent), stress in MPa
    experiment : (strain, stress) points

    Returns
    -------
    Figure, None where there is nothing to draw: no curve and no experiment
    """
    for name, curve in curves.items():
        if len(curve) not in (2, 4):
            raise ParameterError(f"curve {name!r}: give (strain, stress) or (strain, stress, low, high)")
    if not curves and experiment is None:
        return None
    fig, ax = figure("middle", aspect=0.55)
    taken = {MODEL_COLOURS.get(name) for name in curves}
    free = [colour for colour in CATEGORY_COLOURS if colour not in taken]
    for i, (name, curve) in enumerate(curves.items()):
        strain, stress, *band = (np.asarray(v, dtype=float) for v in curve)
        look = {"color": free[i % len(free)], "linestyle": LINES[i % len(LINES)]}
        if name in MODEL_COLOURS:
            look = model_style(name, marker=False)
        ax.plot(100 * strain, stress, linewidth=1.0, label=model_label(name), **look)
        if band:
            shade = {"color": look["color"], "alpha": 0.25, "linewidth": 0, "label": "90 % interval"}
            ax.fill_between(100 * strain, *band, **shade)
    n = None
    if experiment is not None:
        strain, stress = (np.asarray(v, dtype=float) for v in experiment)
        points = {"color": "black", "markersize": 3, "markerfacecolor": "none", "label": "experiment"}
        ax.plot(100 * strain, stress, "o", **points)
        n = len(strain)
    ax.set(xlabel=strain_label, ylabel="stress / MPa")
    ax.set_xlim(left=0)
    ax.set_ylim(bottom=0)
    legend_beside(ax)
    return note(fig, n=n, unit="experimental points")


@captioned
def regime_shares(table: pd.DataFrame, share: str = "climb") -> Figure | None:
    """Share of a thermal mechanism over temperature, one line for each strain rate.

    Parameters
    ----------
    table : rate_per_s, homologous (T over the melting point) and the share, as cpml.plasticity.regimes gives
        it
    share : "climb", of the strain, or "cross_slip", of the slip; rows without it are left out

    Returns
    -------
    Figure, None where there is nothing to draw: no row
    """
    known = table.dropna(subset=[share]) if share in table else table
    drawn = _over_temperature(known, "homologous", share)
    if drawn is None:
        return None
    fig, ax = drawn
    words = {"climb": "share of climb in the strain", "cross_slip": "share of slip that changes plane"}
    ax.set(xlabel="temperature / melting point", ylabel=words[share], ylim=(-0.02, 1.02))
    return note(fig, n=len(known), unit="solved states")


@captioned
def strengths_over_temperature(table: pd.DataFrame) -> Figure | None:
    """Strength of every family over temperature, dashes telling the strain rates apart.

    Parameters
    ----------
    table : rate_per_s, temperature_k, family, strength_mpa, as cpml.plasticity.strength_table gives it

    Returns
    -------
    Figure, None where there is nothing to draw: no row
    """
    need_columns(table, ("rate_per_s", "temperature_k", "family", "strength_mpa"), "table of strengths")
    if not len(table):
        return None
    fig, ax = figure("middle", aspect=0.6)
    named = table.assign(rate=table["rate_per_s"].map("{:.0e} /s".format))
    families, rates = (list(dict.fromkeys(named[key])) for key in ("family", "rate"))
    palette = [CATEGORY_COLOURS[i % len(CATEGORY_COLOURS)] for i in range(len(families))]
    several = {"style": "rate", "style_order": rates} if len(rates) > 1 else {}
    sns.lineplot(
        named,
        x="temperature_k",
        y="strength_mpa",
        hue="family",
        hue_order=families,
        palette=palette,
        estimator=None,
        sort=False,
        linewidth=1.0,
        ax=ax,
        **several,
    )
    ax.set(xlabel="temperature / K", ylabel="strength / MPa", yscale="log")
    legend_beside(ax)
    return note(fig, n=len(table), unit="strengths")


@captioned
def regime_map(table: pd.DataFrame) -> Figure | None:
    """Shear stress over modulus against temperature over melting point, one colour for each strain rate: the
    law (line, with dots where climb carries more than half) and power-law creep as published (dashed).

    Parameters
    ----------
    table : rate_per_s, homologous, shear_over_modulus, published_over_modulus, climb, as
        cpml.plasticity.regimes gives it

    Returns
    -------
    Figure, None where there is nothing to draw: no row
    """
    law, published = "shear_over_modulus", "published_over_modulus"
    need_columns(table, ("rate_per_s", "homologous", law, published, "climb"), "table of regimes")
    if not len(table):
        return None
    fig, ax = figure("middle", aspect=0.65)
    for k, (rate, own) in enumerate(table.groupby("rate_per_s", sort=False)):
        colour, climbs = CATEGORY_COLOURS[k % len(CATEGORY_COLOURS)], own[own["climb"] > 0.5]
        ax.plot(own["homologous"], own[law], color=colour, linewidth=1.0, label=f"law, {rate:.0e} /s")
        ax.plot(climbs["homologous"], climbs[law], ".", color=colour, markersize=4)
        if own[published].notna().any():
            ax.plot(own["homologous"], own[published], "--", color=colour, linewidth=0.8)
    if table[published].notna().any():
        ax.plot([], [], "--", color="0.4", linewidth=0.8, label="published creep")
    if (table["climb"] > 0.5).any():
        ax.plot([], [], ".", color="0.4", markersize=4, label="climb over half")
    top = 3 * float(table[law].max())
    ax.set(xlabel="temperature / melting point", ylabel="shear stress / shear modulus", yscale="log")
    ax.set_ylim(max(float(table[law].min()) / 2, top * 1e-4), top)
    legend_beside(ax)
    return note(fig, n=len(table), unit="solved states")


def _over_temperature(table: pd.DataFrame, x: str, y: str) -> tuple[Figure, Axes] | None:
    need_columns(table, ("rate_per_s", x, y), "table of temperatures")
    if not len(table):
        return None
    fig, ax = figure("middle", aspect=0.5)
    rates = table["rate_per_s"].map("{:.0e} /s".format)
    _lines_of(table.assign(rate=rates), ax, x=x, y=y, group="rate")
    legend_beside(ax, title="strain rate")
    return fig, ax


def _lines_of(table: pd.DataFrame, ax: Axes, *, x: str, y: str, group: str, markers: bool = False) -> None:
    """One line for each value of a column, in the order of the table, differing in colour and dashes."""
    names = list(dict.fromkeys(table[group]))
    palette = [CATEGORY_COLOURS[i % len(CATEGORY_COLOURS)] for i in range(len(names))]
    groups = {"hue": group, "hue_order": names, "style": group, "style_order": names, "palette": palette}
    if markers:
        groups["markers"] = [MARKERS[i % len(MARKERS)] for i in range(len(names))]
    look = {"linewidth": 1.0, "markersize": 4, "markeredgewidth": 0}
    sns.lineplot(table, x=x, y=y, estimator=None, sort=False, ax=ax, **groups, **look)


@captioned
def lankford_profile(table: pd.DataFrame) -> Figure | None:
    """Lankford coefficient over the angle to the rolling direction, one line for each texture.

    Parameters
    ----------
    table : texture (name), angle_deg, r_value; an isotropic sheet has r = 1, drawn dotted

    Returns
    -------
    Figure, None where there is nothing to draw: no row
    """
    need_columns(table, ("texture", "angle_deg", "r_value"), "table of r-values")
    if not len(table):
        return None
    fig, ax = figure("middle", aspect=0.5)
    ax.axhline(1, color="0.5", linewidth=0.6, linestyle=":", label="isotropic")
    _lines_of(table, ax, x="angle_deg", y="r_value", group="texture", markers=True)
    ax.set(xlabel="angle to the rolling direction / °", ylabel="Lankford coefficient r")
    ax.set_xticks(np.arange(0, table["angle_deg"].max() + 1, 15))
    ax.set_ylim(bottom=0)
    legend_beside(ax)
    return note(fig, n=len(table), unit="solved angles")


@captioned
def yield_section(table: pd.DataFrame) -> Figure | None:
    """Sections of yield surfaces in plane stress, one closed curve for each texture, and von Mises' ellipse.

    The ellipse sx^2 - sx sy + sy^2 = s0^2 goes through the first texture's mean of s0.

    Parameters
    ----------
    table : texture (name), sigma_x, sigma_y / MPa, in order around each curve

    Returns
    -------
    Figure, None where there is nothing to draw: no row
    """
    need_columns(table, ("texture", "sigma_x", "sigma_y"), "table of yield stresses")
    if not len(table):
        return None
    first = table[table["texture"] == table["texture"].iloc[0]]
    product = first["sigma_x"] * first["sigma_y"]
    yield_stress = np.sqrt(first["sigma_x"] ** 2 - product + first["sigma_y"] ** 2).mean()
    turn = np.linspace(0, 2 * np.pi, 200)
    ellipse = np.sqrt(2) * np.cos(turn), np.sqrt(2 / 3) * np.sin(turn)  # along sx = sy and across it
    closed = pd.concat(pd.concat([part, part.head(1)]) for _, part in table.groupby("texture", sort=False))
    fig, ax = figure("middle", aspect=0.62)
    for draw in (ax.axhline, ax.axvline):
        draw(0, color="0.7", linewidth=0.5, zorder=0)
    x, y = ((ellipse[0] + sign * ellipse[1]) / np.sqrt(2) * yield_stress for sign in (1, -1))
    ax.plot(x, y, color="0.5", linewidth=0.6, linestyle=":", label="von Mises")
    _lines_of(closed.reset_index(drop=True), ax, x="sigma_x", y="sigma_y", group="texture")
    ax.set(xlabel=r"$\sigma_x$ / MPa", ylabel=r"$\sigma_y$ / MPa", aspect="equal", anchor="W")
    legend_beside(ax)
    return note(fig, n=len(table), unit="solved points")
