"""The chain of causes behind a prediction: from the mean stress to the resolved
shear of every plane of a grain.
"""

import numpy as np

from cpml.plots.style import BLUE, GREEN, GREY, ORANGE, figure, legend_beside, need_columns, stamp

TERMS = {
    "mean": (GREY, "", "mean stress"),
    "grain": (BLUE, "///", "grain in a mean medium"),
    "collective": (ORANGE, "...", "the map around it"),
    "neighbours": (GREEN, "xxx", "learned from neighbours"),
}


def cause_chain(table, *, most=6, caption="", title="", width="text"):
    """Contributions to the resolved shear of a grain's most loaded planes and variants, stacked to their sum.

    Parameters
    ----------
    table : rows of one grain of `cpml.models.explain`
    most : planes shown, the most loaded ones

    Returns
    -------
    Figure
    """
    need_columns(table, ("target", *TERMS, "x", "scatter", "p_active"), "table of causes")
    rows = table.sort_values("x", ascending=False).head(most).iloc[::-1].reset_index(drop=True)
    fig, ax = figure(width, aspect=0.16 + 0.055 * len(rows))
    place = np.arange(len(rows))
    low, high = np.zeros(len(rows)), np.zeros(len(rows))
    for name, (colour, hatch, label) in TERMS.items():
        part = rows[name].to_numpy()
        start = np.where(part >= 0, high, low)  # negative terms are stacked to the left of zero
        ax.barh(
            place,
            part,
            left=start,
            height=0.6,
            color=colour,
            hatch=hatch,
            edgecolor="white",
            linewidth=0.4,
            label=label,
        )
        high, low = high + np.maximum(part, 0), low + np.minimum(part, 0)
    ax.errorbar(
        rows["x"],
        place,
        xerr=rows["scatter"],
        fmt="D",
        color="black",
        markersize=3.5,
        capsize=2,
        label="sum, with scatter",
    )
    ax.axvline(1.0, color="black", linewidth=0.8, linestyle=(0, (4, 2)))
    ax.set_yticks(place, [f"{t}  p = {p:.2f}" for t, p in zip(rows["target"], rows["p_active"], strict=True)])
    ax.set_xlabel("resolved shear stress / strength (mean of the most loaded = 1)")
    ax.set_title(title)
    legend_beside(ax)
    return stamp(fig, caption, n=len(table), unit="planes and variants")
