"""The answer of a model on a map: which mechanism each grain uses most, and how sure that is.

The colour is the mechanism, its strength the probability that the mechanism acts: full at 95 % and more,
white at 50 % and below, where nothing is said.
"""

from collections.abc import Mapping

import numpy as np
import pandas as pd
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from numpy.typing import ArrayLike

from cpml.errors import ParameterError
from cpml.plots.maps import colour_map, spread
from cpml.plots.palette import NO_VALUE, category_colours
from cpml.plots.style import captioned, note, same_length
from cpml.plots.views import MapView

OPEN, SURE = 0.5, 0.95
"""Probabilities at which a colour begins and is full."""


@captioned
def mechanism_map(
    view: MapView,
    grain_label: ArrayLike,
    mechanism: Mapping[int, str] | pd.Series,
    probability: Mapping[int, float] | pd.Series,
    *,
    names: Mapping[str, str],
) -> Figure | None:
    """The mechanism that each grain uses most; the paler its colour, the less sure that it acts.

    Parameters
    ----------
    grain_label : (N,) grain id of each point, 0 = none
    mechanism : grain id -> mechanism; grains without one are light grey
    probability : grain id -> probability that it acts
    names : mechanism -> its name in words, in the order of the legend

    Returns
    -------
    Figure, None where there is nothing to draw: no grain has a mechanism
    """
    grain_label, _ = same_length(grain_label=grain_label, points=view.ebsd_map.xy)
    if missing := sorted(set(dict(mechanism).values()) - set(names)):
        raise ParameterError(f"mechanism {missing[0]!r} has no name; there are {', '.join(names)}")
    if not len(mechanism):
        return None
    order = list(names)
    code = spread(grain_label, {grain: order.index(value) for grain, value in mechanism.items()})
    sure = spread(grain_label, probability)
    known = np.isfinite(code)
    full = np.clip((np.nan_to_num(sure[known]) - OPEN) / (SURE - OPEN), 0, 1)[:, None]
    colours = category_colours(len(order))
    rgb = np.ones((len(code), 3))
    rgb[view.ebsd_map.phase_id > 0] = to_rgb(NO_VALUE)
    rgb[known] = 1 - full * (1 - colours[code[known].astype(int)])
    count = pd.Series(dict(mechanism)).value_counts()
    handles = [
        Patch(facecolor=colour, label=f"{names[key]} ({count.get(key, 0)})")
        for key, colour in zip(order, colours, strict=True)
    ]
    pale = [(share, 1 - (share - OPEN) / (SURE - OPEN) * (1 - colours[0])) for share in (0.8, 0.65, 0.5)]
    handles += [
        Patch(
            facecolor=np.clip(colour, 0, 1), edgecolor="0.6", linewidth=0.3, label=f"{100 * share:.0f} % sure"
        )
        for share, colour in pale
    ]
    if np.any((view.ebsd_map.phase_id > 0) & ~known):
        handles.append(Patch(facecolor=NO_VALUE, edgecolor="0.6", linewidth=0.3, label="not asked"))
    fig, _ = colour_map(view, rgb, handles=handles, legend_title="Most used mechanism\n(grains)")
    return note(fig, "pale: unsure that it acts", n=len(mechanism), unit="grains")
