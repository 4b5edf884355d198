"""How often footprints occur in classes of a quantity, with both intervals; what
was seen by mechanism and source.
"""

import numpy as np

from cpml.errors import ParameterError
from cpml.plots.style import BLUE, GREY, figure, need_columns, stamp

NEEDED = ("n", "hits", "share", "wilson_low", "wilson_high", "bootstrap_low", "bootstrap_high")


def frequency(
    table, *, label, what="share observed", against=None, caption="", title="", unit="rows", width="single"
):
    """Shares of `footprint_frequency` with the bootstrap over grains (thick) and Wilson's interval (thin).

    Parameters
    ----------
    table : result of `cpml.microscopy.footprint_frequency`, of classes of a number or of names
    label : quantity with its unit
    against : column of names; None: the classes have low, high and middle

    Returns
    -------
    Figure; empty classes are left out
    """
    need_columns(table, (*NEEDED, *((against,) if against else ("low", "high", "middle"))), "frequency table")
    table = table[table["n"] > 0]
    if not len(table):
        raise ParameterError("no class has an observation: nothing to draw")
    fig, (ax, below) = figure(width, aspect=0.95, rows=2, sharex=True, height_ratios=(4, 1))
    at = np.arange(len(table)) if against else table["middle"].to_numpy()
    wide = np.full(len(table), 0.8) if against else 0.9 * (table["high"] - table["low"]).to_numpy()
    ax.vlines(at, table["bootstrap_low"], table["bootstrap_high"], color=BLUE, linewidth=4, alpha=0.35,
              label="95 %, grains drawn anew")  # fmt: skip
    bars = np.maximum([table["share"] - table["wilson_low"], table["wilson_high"] - table["share"]], 0)
    look = {"fmt": "o", "color": "black", "capsize": 2, "elinewidth": 0.8, "zorder": 5}
    ax.errorbar(at, table["share"], bars, label="share, 95 % (Wilson)", **look)
    ax.set(ylabel=what, ylim=(0, None))
    ax.set_title(title)
    below.bar(at, table["n"], width=wide, color=GREY)
    below.set(xlabel=label, ylabel="n")
    if against:
        below.set_xticks(at, [_two_lines(str(v)) for v in table[against]])
    fig.legend(loc="outside upper left", ncols=2)
    return stamp(fig, caption, n=int(table["n"].sum()), unit=unit)


def _two_lines(name):
    return name.replace(" ", "\n") if len(name) > 6 else name
