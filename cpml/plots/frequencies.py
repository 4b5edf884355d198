"""How often footprints occur in classes of a quantity, with both intervals over their counts."""

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from cpml.plots.palette import BLUE, GREY
from cpml.plots.style import captioned, error_bars, figure, need_columns, note

NEEDED = ("n", "share", "wilson_low", "wilson_high", "bootstrap_low", "bootstrap_high")


@captioned
def frequency(
    table: pd.DataFrame,
    *,
    label: str,
    what: str = "share observed",
    against: str | None = None,
    unit: str = "rows",
) -> Figure | None:
    """Shares of what was seen, with intervals: bootstrap over grains (thick) and Wilson (thin).

    Parameters
    ----------
    table : result of `cpml.microscopy.footprint_frequency`, of classes of a number or of names; classes
        without an observation are left out
    label : quantity with its unit
    what : the share, in words
    against : column of names; None: the classes have low, high and middle

    Returns
    -------
    Figure, None where there is nothing to draw: no class has an observation
    """
    need_columns(table, (*NEEDED, *((against,) if against else ("low", "high", "middle"))), "frequency table")
    table = table[table["n"] > 0]
    if not len(table):
        return None
    at = np.arange(len(table)) if against else table["middle"].to_numpy()
    wide = np.full(len(table), 0.8) if against else 0.9 * (table["high"] - table["low"]).to_numpy()
    fig, (ax, below) = figure("single", aspect=0.95, rows=2, sharex=True, height_ratios=(4, 1))
    thick = {"color": BLUE, "linewidth": 4, "alpha": 0.35, "label": "95 %, grains drawn anew"}
    ax.vlines(at, table["bootstrap_low"], table["bootstrap_high"], **thick)
    length = error_bars(table["share"], table["wilson_low"], table["wilson_high"])
    look = {"fmt": "o", "color": "black", "capsize": 2, "elinewidth": 0.8, "zorder": 5}
    ax.errorbar(at, table["share"], length, label="share, 95 % (Wilson)", **look)
    ax.set(ylabel=what, ylim=(0, None))
    below.bar(at, table["n"], width=wide, color=GREY)
    below.set(xlabel=label, ylabel="n")
    if against:
        below.set_xticks(at, [_two_lines(str(v)) for v in table[against]])
    fig.legend(loc="outside upper left", ncols=2)
    return note(fig, n=table["n"].sum(), unit=unit)


def _two_lines(name: str) -> str:
    return name.replace(" ", "\n") if len(name) > 6 else name
