"""Labels of slip planes from the lines on the surface of each grain.

    p(plane | line)  ~  p(theta | plane)

over the planes that are steep enough and close enough to the line, with the density of
`cpml.microscopy.images.trace_likelihood`. A line near the trace of one plane alone names it; near several it
names none of them, and they are missing, not absent.
"""

from collections.abc import Mapping

import numpy as np
import pandas as pd

from cpml.crystallography.slip_systems import Systems
from cpml.crystallography.slip_traces import line_difference, slip_traces
from cpml.errors import ParameterError
from cpml.microscopy.images.trace_likelihood import match_traces
from cpml.microscopy.labels.rows import CERTAIN, Labels, label_rows, line_rows, normalised


def slip_labels(
    grains: pd.DataFrame,
    traces: pd.DataFrame,
    systems: Systems | Mapping[int, Systems],
    *,
    sigma_deg: float = 2.0,
    tolerance_deg: float = 6.0,
    min_inclination_deg: float = 12.0,
    source: str = "traces",
) -> Labels:
    """Labels of the slip planes of every grain, with the lines and their candidates.

    Parameters
    ----------
    grains : table with grain_id, phase, qw, qx, qy, qz
    traces : table with grain_id and angle_deg, and sigma_deg and source where known; NaN angle:
        imaged, no trace
    systems : of all grains, or of each phase id; phases without systems get no rows
    sigma_deg : error of a line whose own is not given
    tolerance_deg : planes further than this from a line are no candidates for it
    min_inclination_deg : flatter planes leave no visible trace
    source : of the labels, and of the lines where their own is not given

    Returns
    -------
    tables of `cpml.microscopy.labels.rows`. A plane is observed = 1 if it is the only candidate of a line of
    its grain or has 95 % of the probability (equal priors); NaN if it is one of several, is too flat, or the
    grain was not imaged; else 0

    Raises
    ------
    ParameterError : an error or tolerance that is not positive
    """
    if not (sigma_deg > 0 and tolerance_deg > 0 and 0 <= min_inclination_deg < 90):
        raise ParameterError(
            f"sigma_deg {sigma_deg}, tolerance_deg {tolerance_deg} and min_inclination_deg "
            f"{min_inclination_deg} must be positive, the last below 90"
        )
    error = traces["sigma_deg"].fillna(sigma_deg) if "sigma_deg" in traces else sigma_deg
    lines = traces.assign(sigma_deg=error, source=traces.get("source", source))
    parts = []
    for phase, group in grains.groupby("phase"):
        of_phase = systems.get(phase) if isinstance(systems, Mapping) else systems
        if of_phase is not None:
            parts.append(_of_phase(group, lines, of_phase, tolerance_deg, min_inclination_deg, source))
    return Labels.joined(*parts)


def _of_phase(
    grains: pd.DataFrame,
    traces: pd.DataFrame,
    systems: Systems,
    tolerance_deg: float,
    min_inclination_deg: float,
    source: str,
) -> Labels:
    planes = np.unique(systems.plane_id[systems.slip])
    names = [systems.plane_names[p] for p in planes]
    geometry = slip_traces(grains[["qw", "qx", "qy", "qz"]].to_numpy(), systems)
    angle, inclination = geometry.angle_deg[:, planes], geometry.inclination_deg[:, planes]
    is_visible = inclination >= min_inclination_deg
    is_imaged = grains["grain_id"].isin(traces["grain_id"]).to_numpy()

    g, lines = lines_of(grains, traces)
    observed = lines["angle_deg"].to_numpy() % 180
    likelihood = match_traces(
        observed, angle[g], inclination[g], sigma_deg=lines["sigma_deg"].to_numpy(), floor=0.0
    )
    is_near = is_visible[g] & (np.abs(line_difference(observed[:, None], angle[g])) <= tolerance_deg)
    probability = normalised(likelihood * is_near)
    is_certain = is_near & ((is_near.sum(axis=1, keepdims=True) == 1) | (probability > CERTAIN))

    state = np.where(is_visible & is_imaged[:, None], 0.0, np.nan)
    of_line, plane = np.nonzero(is_near)
    state[g[of_line], plane] = np.nan
    of_line, plane = np.nonzero(is_certain)
    state[g[of_line], plane] = 1.0

    labels = label_rows(grains[["grain_id"]], names, observed=state, source=source)
    return Labels(
        labels,
        *line_rows(
            lines["grain_id"],
            observed,
            lines["sigma_deg"],
            names,
            probability,
            likelihood,
            level="plane",
            source=lines["source"],
        ),
    )


def lines_of(grains: pd.DataFrame, lines: pd.DataFrame) -> tuple[np.ndarray, pd.DataFrame]:
    """The lines with an angle, grain by grain, and the row in `grains` of the grain of each."""
    place = pd.Index(grains["grain_id"]).get_indexer(lines["grain_id"])
    is_line = (place >= 0) & lines["angle_deg"].notna().to_numpy()
    order = np.flatnonzero(is_line)[np.argsort(place[is_line], kind="stable")]
    return place[order], lines.iloc[order]
