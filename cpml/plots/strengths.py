"""What was learned about a material: the strength of each family, and which parameters go together."""

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.figure import Figure

from cpml.errors import ParameterError
from cpml.plots.palette import BLUE, GREY, RED
from cpml.plots.style import captioned, figure, label_rows, need_columns, note, plain_log_axis

MOST_WRITTEN = 8


@captioned
def strengths_plot(
    table: pd.DataFrame, *, label: str = "critical resolved shear stress / MPa", n: int | None = None
) -> Figure | None:
    """Strength of each slip and twin family: literature grey, after the footprints blue, truth where known.

    Parameters
    ----------
    table : family, prior_low, prior, prior_high, posterior_low, posterior, posterior_high; optional truth;
        NaN where there is none
    label : the quantity with its unit; ratios are as welcome as MPa
    n : number of grains that the posterior was learned from

    Returns
    -------
    Figure, None where there is nothing to draw: no family
    """
    ends = [f"{kind}{end}" for kind in ("prior", "posterior") for end in ("_low", "", "_high")]
    need_columns(table, ("family", *ends), "strength table")
    if not len(table):
        return None
    row = np.arange(len(table))
    fig, ax = figure("single", aspect=0.3 + 0.11 * len(table))
    for kind, shift, look in (
        ("prior", -0.16, {"color": GREY, "marker": "s", "label": "literature"}),
        ("posterior", 0.16, {"color": BLUE, "marker": "o", "label": "after the footprints"}),
    ):
        low, high = table[f"{kind}_low"], table[f"{kind}_high"]
        ax.hlines(row + shift, low, high, color=look["color"], linewidth=2.0)
        ax.plot(table[kind], row + shift, linestyle="none", **look)
    if "truth" in table:
        tick = {"color": RED, "markersize": 11, "markeredgewidth": 1.2, "label": "truth"}
        ax.plot(table["truth"].astype(float), row, "|", **tick)
    ax.set_xlabel(label)
    plain_log_axis(ax)
    label_rows(ax, [str(f).replace("_", " ") for f in table["family"]])
    fig.legend(loc="outside upper right", ncols=3)
    return note(fig, n=n, unit="grains")


@captioned
def correlation_heatmap(table: pd.DataFrame) -> Figure | None:
    """Correlations of parameters, -1 blue to 1 red, written as numbers where there are at most eight.

    Parameters
    ----------
    table : square, the same names as rows and columns

    Returns
    -------
    Figure, None where there is nothing to draw: fewer than two parameters
    """
    if list(table.index) != list(table.columns):
        raise ParameterError("a table of correlations has the same names as rows and as columns")
    if len(table) < 2:
        return None
    names = [str(name).replace("_", " ") for name in table.columns]
    fig, ax = figure("single" if len(table) <= 5 else "middle", aspect=0.85)
    sns.heatmap(
        table,
        vmin=-1,
        vmax=1,
        cmap="RdBu_r",
        annot=len(table) <= MOST_WRITTEN,
        fmt=".2f",
        annot_kws={"fontsize": 7},
        square=True,
        linewidths=0.5,
        linecolor="white",
        xticklabels=names,
        yticklabels=names,
        cbar_kws={"label": "correlation", "shrink": 0.8},
        ax=ax,
    )
    ax.set(xlabel="", ylabel="")
    ax.tick_params(length=0)
    ax.tick_params(axis="x", rotation=90)
    ax.tick_params(axis="y", rotation=0)
    return note(fig, n=len(table), unit="parameters")
