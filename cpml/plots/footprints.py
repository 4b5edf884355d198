"""Footprints of deformation on the map: slip traces and twins.

A trace at the on-screen angle theta (degrees, counter-clockwise from +x) runs along
(cos theta, -sin theta) in the sample frame, whose y axis points down.
"""

import numpy as np
import pandas as pd
from matplotlib.collections import LineCollection
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from numpy.typing import ArrayLike, NDArray

from cpml.plots.maps import colour_map, map_colours
from cpml.plots.palette import RED, category_colours
from cpml.plots.style import captioned, need_columns, note, same_length
from cpml.plots.views import MapView

OBSERVED = {"color": "black", "linewidth": 1.5}
THEORETICAL = {"color": RED, "linewidth": 1.0, "linestyle": (0, (3, 1.5))}
PARENT = "0.85"


def trace_segments(x_um: ArrayLike, y_um: ArrayLike, angle_deg: ArrayLike, length_um: ArrayLike) -> NDArray:
    """(M, 2, 2) end points, sample frame, of lines centred at (x, y) with on-screen angles in degrees."""
    angle = np.radians(np.asarray(angle_deg, dtype=float))
    half = 0.5 * np.asarray(length_um)[..., None] * np.stack([np.cos(angle), -np.sin(angle)], axis=-1)
    centre = np.stack([np.asarray(x_um, dtype=float), np.asarray(y_um, dtype=float)], axis=-1)
    return np.stack([centre - half, centre + half], axis=-2)


def _trace_ends(grains: pd.DataFrame, traces: pd.DataFrame, reach: float) -> NDArray:
    """(M, 2, 2) ends of the traces of known grains, `reach` equivalent diameters long."""
    need_columns(traces, ("grain_id", "angle_deg"), "table of traces")
    known = traces[traces["grain_id"].isin(grains["grain_id"]) & traces["angle_deg"].notna()]
    rows = grains.set_index("grain_id").loc[known["grain_id"]]
    length = reach * rows["equivalent_diameter_um"].to_numpy(float)
    return trace_segments(rows["x_um"], rows["y_um"], known["angle_deg"], length)


@captioned
def trace_map(
    view: MapView, grains: pd.DataFrame, *, observed: pd.DataFrame, theoretical: pd.DataFrame | None = None
) -> Figure | None:
    """Traces at the grain centres: observed solid, matched planes dashed, over a pale IPF-Z map.

    Parameters
    ----------
    grains : table grain_id, x_um, y_um, equivalent_diameter_um
    observed, theoretical : tables grain_id, angle_deg (on screen, degrees); unknown grains are left out

    Returns
    -------
    Figure, None where there is nothing to draw: no trace was observed in a known grain
    """
    need_columns(grains, ("grain_id", "x_um", "y_um", "equivalent_diameter_um"), "table of grains")
    seen = _trace_ends(grains, observed, 0.6)
    planes = None if theoretical is None else _trace_ends(grains, theoretical, 0.9)
    if not len(seen):
        return None
    pale = 1 - 0.35 * (1 - map_colours(view, "z"))
    drawn = [("observed", seen, OBSERVED)]
    if planes is not None:
        drawn.append(("matched plane", planes, THEORETICAL))
    handles = [Line2D([], [], label=name, **look) for name, _, look in drawn]
    words = {"legend_title": "Traces", "title": "Slip traces", "width": "double"}
    fig, ax = colour_map(view, pale, handles=handles, **words)
    for _, ends, look in drawn:
        ax.add_collection(LineCollection(ends, capstyle="butt", **look), autolim=False)
    return note(fig, n=len(seen), unit="observed traces")


@captioned
def twin_map(view: MapView, fragment_label: ArrayLike, twins: pd.DataFrame) -> Figure | None:
    """Parents grey, twins coloured by variant.

    Parameters
    ----------
    fragment_label : (N,) fragment id of each point, 0 = none
    twins : table of fragments with fragment_id, is_twin and variant (number or name); twin_type is named in
        the legend when variants are numbers

    Returns
    -------
    Figure, None where there is nothing to draw: no twin
    """
    fragment_label, _ = same_length(fragment_label=fragment_label, points=view.ebsd_map.xy)
    need_columns(twins, ("fragment_id", "is_twin", "variant"), "table of twins")
    twinned = twins[twins["is_twin"].astype(bool)]
    if not len(twinned):
        return None
    names = pd.Series([_variant_name(row) for row in twinned.to_dict("records")], twinned["fragment_id"])
    count = names.value_counts().sort_index()
    colours = category_colours(len(count))
    largest = max(int(fragment_label.max(initial=0)), int(twinned["fragment_id"].max()))
    rgb = np.ones((largest + 1, 3))
    rgb[1:] = to_rgb(PARENT)
    rgb[names.index] = colours[count.index.get_indexer(names)]
    handles = [
        Patch(facecolor=c, label=f"{n} ({k})") for c, (n, k) in zip(colours, count.items(), strict=True)
    ]
    handles.append(Patch(facecolor=PARENT, label="parent or untwinned"))
    points = rgb[np.clip(fragment_label, 0, None)]
    words = {"legend_title": "Twin variant (fragments)", "title": "Twins by variant", "width": "double"}
    fig, _ = colour_map(view, points, handles=handles, **words)
    return note(fig, n=len(twinned), unit="twinned fragments")


def _variant_name(row: dict) -> str:
    variant, kind = row["variant"], row.get("twin_type") or "twin"
    if isinstance(variant, str):
        return variant or f"{row.get('twin_type') or 'other'}, no variant"
    if variant is None or not np.isfinite(variant):
        return f"{kind}, variant unknown"
    return f"{kind}, variant {int(variant)}"
