"""Footprints of deformation on the map: slip traces, twins, HR-DIC strain.

A trace at the on-screen angle theta (degrees, counter-clockwise from +x) runs along
(cos theta, -sin theta) in the sample frame, whose y axis points down.
"""

import numpy as np
from matplotlib.collections import LineCollection
from matplotlib.colors import to_rgb
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from cpml.errors import ParameterError
from cpml.plots.maps import (
    boundary_lines,
    category_colours,
    colour_limits,
    map_axes,
    map_colours,
    map_figure,
    value_image,
)
from cpml.plots.raster import Raster, raster
from cpml.plots.style import RED, legend_beside, same_length, stamp

OBSERVED = {"color": "black", "linewidth": 1.5}
THEORETICAL = {"color": RED, "linewidth": 1.0, "linestyle": (0, (3, 1.5))}


def trace_segments(x_um, y_um, angle_deg, length_um):
    """(M, 2, 2) end points, sample frame, of lines centred at (x, y) with on-screen angles in degrees."""
    angle = np.radians(np.asarray(angle_deg, dtype=float))
    half = 0.5 * np.asarray(length_um)[..., None] * np.stack([np.cos(angle), -np.sin(angle)], axis=-1)
    centre = np.stack([np.asarray(x_um, dtype=float), np.asarray(y_um, dtype=float)], axis=-1)
    return np.stack([centre - half, centre + half], axis=-2)


def _long_form(traces):
    """(ids, angles) of a dict id -> angles, or of a table (grain_id, angle_deg|trace_deg)."""
    if traces is None:
        return np.zeros(0, int), np.zeros(0)
    if not hasattr(traces, "columns"):
        pairs = [(int(k), float(a)) for k, angles in traces.items() for a in np.atleast_1d(angles)]
        return np.array([k for k, _ in pairs], dtype=int), np.array([a for _, a in pairs], dtype=float)
    angle = next((c for c in ("angle_deg", "trace_deg", "theta_deg") if c in traces), None)
    if "grain_id" not in traces or angle is None:
        raise ParameterError("trace table needs a column grain_id and a column angle_deg or trace_deg")
    return traces["grain_id"].to_numpy(), traces[angle].to_numpy(dtype=float)


def _trace_lines(grains, traces, length_um, *, reach=1.0, **look):
    ids, angle = _long_form(traces)
    table = grains.set_index("grain_id") if "grain_id" in grains else grains
    known = np.isin(ids, table.index) & np.isfinite(angle)
    rows = table.loc[ids[known]]
    length = (
        0.6 * rows["equivalent_diameter_um"].to_numpy()
        if length_um is None
        else np.full(len(rows), length_um)
    )
    ends = trace_segments(rows["x_um"], rows["y_um"], angle[known], reach * length)
    return LineCollection(ends, capstyle="butt", **look)


def trace_map(
    ebsd_map, grains, *, observed, theoretical=None, segments=None, length_um=None, direction="z",
    caption="",
    title="Slip traces", width="text",
):  # fmt: skip
    """Traces at the grain centres: observed solid, matched planes dashed, over a pale IPF map.

    Parameters
    ----------
    grains : table with grain_id (or ids as index), x_um, y_um and equivalent_diameter_um
    observed, theoretical : dict id -> on-screen angles in degrees,
        or table (grain_id, angle_deg|trace_deg)
    length_um : length of the lines; 0.6 equivalent diameters when not given

    Returns
    -------
    Figure
    """
    if length_um is None and "equivalent_diameter_um" not in grains:
        raise ParameterError("trace_map needs length_um, or a column equivalent_diameter_um in grains")
    seen = _trace_lines(grains, observed, length_um, **OBSERVED)
    planes = _trace_lines(grains, theoretical, length_um, reach=1.5, **THEORETICAL)
    view = raster(ebsd_map)
    fig, ax, _ = map_figure(view.aspect, width, side_mm=36)
    pale = 1 - 0.35 * (1 - map_colours(ebsd_map, direction, view))
    ax.imshow(view.image(pale, missing=1.0), extent=view.extent, interpolation="nearest")
    map_axes(ax, view, title=title, segments=segments)
    ax.add_collection(seen, autolim=False)
    handles = [Line2D([], [], label="observed", **OBSERVED)]
    if theoretical is not None:
        ax.add_collection(planes, autolim=False)
        handles.append(Line2D([], [], label="matched plane", **THEORETICAL))
    legend_beside(ax, handles=handles, title="Traces", alignment="left")
    return stamp(fig, caption, n=len(seen.get_segments()), unit="observed traces")


def twin_map(
    ebsd_map, grain_label, twins, *, segments=None, caption="", title="Twins by variant", width="text"
):
    """Parents grey, twins coloured by variant.

    Parameters
    ----------
    grain_label : (N,) grain id of each point, 0 = none
    twins : table of fragments with fragment_id (or as index), is_twin and variant (number or name);
        twin_type is named in the legend when variants are numbers

    Returns
    -------
    Figure
    """
    grain_label, _ = same_length(grain_label=grain_label, points=ebsd_map.xy)
    missing = [c for c in ("is_twin", "variant") if c not in twins]
    if missing:
        raise ParameterError(f"twin table has no column {', '.join(missing)}")
    table = twins.set_index("fragment_id") if "fragment_id" in twins else twins
    table = table[table["is_twin"].astype(bool)]
    names = [_variant_name(row) for row in table.to_dict("records")]
    known = sorted(set(names))
    colours = category_colours(len(known))
    rgb = np.ones((int(max(grain_label.max(initial=0), table.index.max() if len(table) else 0)) + 1, 3))
    rgb[1:] = to_rgb("0.85")
    for grain, name in zip(table.index, names, strict=True):
        rgb[int(grain)] = colours[known.index(name)]
    view = raster(ebsd_map)
    fig, ax, _ = map_figure(view.aspect, width, side_mm=48)
    ax.imshow(
        view.image(rgb[np.clip(grain_label, 0, None)], missing=1.0),
        extent=view.extent,
        interpolation="nearest",
    )
    map_axes(ax, view, title=title, segments=segments)
    handles = [
        Patch(facecolor=c, label=f"{n} ({names.count(n)})") for c, n in zip(colours, known, strict=True)
    ]
    handles.append(Patch(facecolor="0.85", label="parent or untwinned"))
    legend_beside(ax, handles=handles, title="Twin variant (grains)", alignment="left")
    return stamp(fig, caption, n=len(table), unit="twinned grains")


def _variant_name(row):
    variant = row["variant"]
    if isinstance(variant, str):
        return variant or f"{row.get('twin_type') or 'other'}, no variant"
    if variant is None or not np.isfinite(variant):
        return f"{row.get('twin_type', 'twin')}, variant unknown"
    return f"{row.get('twin_type', 'twin')}, variant {int(variant)}"


def dic_map(
    field, *, label, step_um=1.0, origin_um=(0.0, 0.0), segments=None, vmin=None, vmax=None, cmap="cividis",
    centred=False, caption="", title="", width="middle",
):  # fmt: skip
    """HR-DIC field as an image, with registered grain outlines.

    Parameters
    ----------
    field : (rows, cols) strain measure, NaN where the correlation failed (white)
    step_um : pixel pitch in um; origin_um: centre of the first pixel
    segments : boundary segments in the coordinates of the field (x0_um ...)

    Returns
    -------
    Figure
    """
    field = np.asarray(field, dtype=float)
    if field.ndim != 2:
        raise ParameterError(f"dic_map draws one image (rows, cols), not an array of shape {field.shape}")
    rows, cols = field.shape
    left, top = origin_um[0] - step_um / 2, origin_um[1] - step_um / 2
    view = Raster(np.zeros((1, 1), int), (left, left + cols * step_um, top + rows * step_um, top))
    limits = colour_limits(field, vmin=vmin, vmax=vmax, centred=centred)
    fig, ax, _ = map_figure(view.aspect, width, side_mm=21)
    look = {"label": label, "cmap": "RdBu_r" if centred else cmap, "limits": limits}
    known = field[np.isfinite(field)]
    value_image(ax, field, view.extent, beyond=((known < limits[0]).any(), (known > limits[1]).any()), **look)
    map_axes(ax, view, title=title)
    if segments is not None:
        boundary_lines(ax, segments, linewidth=0.4).set_color("white" if not centred else "black")
    return stamp(fig, caption, n=known.size, unit="points")
