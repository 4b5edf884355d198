"""What every grain did from state to state of one specimen."""

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from cpml.plots.palette import BLUE, ORANGE
from cpml.plots.style import captioned, figure, need_columns, note


@captioned
def grain_courses(
    table: pd.DataFrame,
    value: str,
    *,
    label: str,
    error: str | None = None,
    weight: str | None = None,
    applied: bool = False,
) -> Figure | None:
    """A value of each grain against the strain of the specimen, and the mean over the grains.

    Parameters
    ----------
    table : one row a grain and state: grain_id, strain (a fraction), `value` and, where given, `error`
    value, error, weight : columns; the error is a standard error in the unit of the value, of which the bar
        beside each state is the median; the mean is weighted where a weight is given
    label : quantity with its unit
    applied : draw the line on which the value in % equals the applied strain

    Returns
    -------
    Figure, None where there is nothing to draw: no state of known strain has a value

    Raises
    ------
    ParameterError : a column is missing
    """
    columns = ["grain_id", "strain", value, *(name for name in (error, weight) if name)]
    need_columns(table, columns, "table of grains and states")
    known = table[columns].dropna(subset=["strain", value])
    if known.empty:
        return None
    fig, ax = figure("single", aspect=0.8)
    wide = known.pivot_table(index="strain", columns="grain_id", values=value)
    strain = 100 * wide.index.to_numpy()
    ax.plot(strain, wide.to_numpy(), color="0.75", linewidth=0.5, marker="_", markersize=4, zorder=1)
    parts = known[weight] if weight else pd.Series(1.0, index=known.index)
    sums = (known[value] * parts).groupby(known["strain"]).sum() / parts.groupby(known["strain"]).sum()
    mean = sums.reindex(wide.index).to_numpy()
    ax.plot(strain, mean, color=BLUE, marker="o", markersize=4, linewidth=1.5, label="mean of the grains")
    if error is not None:
        typical = known.groupby("strain")[error].median().reindex(wide.index).to_numpy()
        look = {"fmt": "none", "color": ORANGE, "capsize": 2, "linewidth": 1.2, "zorder": 3}
        beside = strain + 0.02 * max(float(np.ptp(strain)), 0.1 * float(strain.max(initial=1.0)))
        ax.errorbar(beside, mean, typical, label="standard error of one grain", **look)
    if applied:
        end = float(strain.max())
        sign = -1.0 if mean[-1] < 0 else 1.0
        ax.plot(
            [0, end], [0, sign * end], color="black", linewidth=0.6, linestyle="--", label="applied strain"
        )
    ax.set(xlabel="strain of the specimen / %", ylabel=label)
    fig.legend(loc="outside upper center", ncols=2)
    return note(fig, n=wide.shape[1], unit="grains")
