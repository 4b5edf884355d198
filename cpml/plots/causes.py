"""The chain of causes behind a prediction: from the mean stress to the resolved shear of a grain's planes."""

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from cpml.plots.palette import BLUE, GREEN, GREY, ORANGE
from cpml.plots.style import captioned, figure, legend_beside, need_columns, note

TERMS = {
    "mean": (GREY, "", "mean stress"),
    "grain": (BLUE, "///", "grain in a mean medium"),
    "collective": (ORANGE, "...", "the map around it"),
    "neighbours": (GREEN, "xxx", "learned from neighbours"),
}
MOST_PLANES = 6


@captioned
def cause_chain(table: pd.DataFrame, *, title: str = "") -> Figure | None:
    """Contributions to the resolved shear of a grain's six most loaded planes and variants, stacked.

    Parameters
    ----------
    table : rows of one grain of `cpml.models.explain`

    Returns
    -------
    Figure, None where there is nothing to draw: no row
    """
    need_columns(table, ("target", *TERMS, "x", "scatter", "p_active"), "table of causes")
    if not len(table):
        return None
    rows = table.sort_values("x", ascending=False).head(MOST_PLANES).iloc[::-1].reset_index(drop=True)
    fig, ax = figure("double", aspect=0.16 + 0.055 * len(rows))
    place = np.arange(len(rows))
    low, high = np.zeros(len(rows)), np.zeros(len(rows))
    for name, (colour, hatch, label) in TERMS.items():
        part = rows[name].to_numpy()
        start = np.where(part >= 0, high, low)  # negative terms are stacked to the left of zero
        look = {"color": colour, "hatch": hatch, "edgecolor": "white", "linewidth": 0.4, "label": label}
        ax.barh(place, part, left=start, height=0.6, **look)
        high, low = high + np.maximum(part, 0), low + np.minimum(part, 0)
    look = {"fmt": "D", "color": "black", "markersize": 3.5, "capsize": 2, "label": "sum, with scatter"}
    ax.errorbar(rows["x"], place, xerr=rows["scatter"], **look)
    ax.axvline(1.0, color="black", linewidth=0.8, linestyle=(0, (4, 2)))
    ax.set_yticks(place, [f"{t}  p = {p:.2f}" for t, p in zip(rows["target"], rows["p_active"], strict=True)])
    ax.set_xlabel("resolved shear stress / strength (mean of the most loaded = 1)")
    ax.set_title(title)
    legend_beside(ax)
    return note(fig, n=len(table), unit="planes and variants")
