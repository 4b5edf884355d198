"""Labels of slip planes from the lines on the surface of each grain.

    p(plane | line)  ~  p(theta | plane)

over the planes that are steep enough and close enough to the line, with the density of
`cpml.microscopy.images.trace_likelihood`. A line near the trace of one plane alone names it; near several it
names none of them, and they are missing, not absent.

So a plane whose trace runs beside that of another is labelled when it left no line, and missing when it did:
its labels are nearly all 0, however active it is. With q the probability of its line and c that of such a
line to name it,

    P(1 | labelled) = q c / (q c + 1 - q)

which is q for c = 1 alone. Whoever counts labels, learns from them row by row or scores probabilities on them
asks only planes whose own line would name them (:func:`scored_labels`).
"""

from collections.abc import Mapping

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy.stats import norm

from cpml.crystallography.slip_systems import Systems
from cpml.crystallography.slip_traces import line_difference, slip_traces
from cpml.errors import ParameterError
from cpml.microscopy.images.trace_likelihood import match_traces
from cpml.microscopy.labels.detection import MIN_INCLINATION_DEG
from cpml.microscopy.labels.rows import CERTAIN, Labels, label_rows, line_rows, normalised
from cpml.microscopy.maps.phase_parts import by_phase

SIGMA_DEG = 2.0
"""Error of a line whose own is not given."""
TOLERANCE_DEG = 6.0
"""Planes further from a line are no candidates for it."""
NAMED = 0.9
"""c from which labels of a plane are scored. On simulated maps of seven materials shares of such labels
agreed with the probability of a line within a hundredth of it; from 0.5 on within a tenth
(`scored_labels`)."""
LINES = 41
"""Errors of equal probability for which a line is tried: a probability is right to 1 / 41 and better."""


def slip_labels(
    grains: pd.DataFrame,
    traces: pd.DataFrame,
    systems: Systems | Mapping[int, Systems],
    *,
    sigma_deg: float = SIGMA_DEG,
    tolerance_deg: float = TOLERANCE_DEG,
    min_inclination_deg: float = MIN_INCLINATION_DEG,
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
    is_certain = _named(is_near, probability)

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


def naming_probability(
    quaternions: ArrayLike,
    systems: Systems,
    *,
    sigma_deg: float = SIGMA_DEG,
    tolerance_deg: float = TOLERANCE_DEG,
    min_inclination_deg: float = MIN_INCLINATION_DEG,
) -> NDArray:
    """(G, P) probability that a line of a slip plane names it by the rule of :func:`slip_labels`, over the
    normal error of its angle; 0 for planes that are too flat.

    Parameters
    ----------
    quaternions : (G, 4) crystal_to_sample
    """
    planes = np.unique(systems.plane_id[systems.slip])
    geometry = slip_traces(quaternions, systems)
    angle, inclination = geometry.angle_deg[:, planes], geometry.inclination_deg[:, planes]
    is_visible = inclination >= min_inclination_deg
    error = sigma_deg * norm.ppf((np.arange(LINES) + 0.5) / LINES)
    found = np.zeros(angle.shape)
    for plane in range(angle.shape[1]):
        observed = (angle[:, plane, None] + error) % 180  # (G, Q)
        is_near = is_visible[:, None] & (
            np.abs(line_difference(observed[..., None], angle[:, None])) <= tolerance_deg
        )
        likelihood = match_traces(
            observed, angle[:, None], inclination[:, None], sigma_deg=sigma_deg, floor=0
        )
        found[:, plane] = _named(is_near, normalised(likelihood * is_near))[..., plane].mean(1)
    return found


def scored_labels(
    labels: pd.DataFrame,
    traces: pd.DataFrame,
    grains: pd.DataFrame,
    systems: Systems | Mapping[int, Systems],
    *,
    tolerance_deg: float = TOLERANCE_DEG,
) -> pd.DataFrame:
    """The labels, those of slip planes missing whose own line would name them with less than NAMED.

    Parameters
    ----------
    labels, traces : of :func:`slip_labels`, with whatever rows of other levels and mechanisms; without traces
        labels do not come from lines, and all stay
    grains, systems, tolerance_deg : as there
    """
    is_silent = np.zeros(len(labels), bool)
    parts = by_phase(grains, systems) if isinstance(systems, Mapping) else [(grains, systems)]
    for some, own in parts:
        is_mine = traces["grain_id"].isin(some["grain_id"])
        if is_mine.any():
            quaternions = some[["qw", "qx", "qy", "qz"]].to_numpy()
            sigma = typical_sigma(traces[is_mine])
            chance = naming_probability(quaternions, own, sigma_deg=sigma, tolerance_deg=tolerance_deg)
            is_silent |= of_planes(labels, some["grain_id"].to_numpy(), own, chance < NAMED)
    return labels.assign(observed=labels["observed"].mask(is_silent))


def typical_sigma(traces: pd.DataFrame) -> float:
    """Median error of lines, deg."""
    return float(traces["sigma_deg"].fillna(SIGMA_DEG).median())


def of_planes(labels: pd.DataFrame, grain_ids: NDArray, systems: Systems, chosen: NDArray) -> NDArray:
    """(R,) bool, which label rows are of slip planes (G, P) that are chosen."""
    names = [systems.plane_names[p] for p in np.unique(systems.plane_id[systems.slip])]
    grain = pd.Index(grain_ids).get_indexer(labels["grain_id"])
    plane = pd.Index(names).get_indexer(labels["target"])
    is_plane = (labels["mechanism"] == "slip") & (labels["level"] == "plane") & (grain >= 0) & (plane >= 0)
    return is_plane.to_numpy() & chosen[grain, plane]


def _named(is_near: NDArray, probability: NDArray) -> NDArray:
    """(..., P) bool, which plane lines (...) name: the only one near, or one with CERTAIN of the
    probability.
    """
    return is_near & ((is_near.sum(axis=-1, keepdims=True) == 1) | (probability > CERTAIN))


def lines_of(grains: pd.DataFrame, lines: pd.DataFrame) -> tuple[np.ndarray, pd.DataFrame]:
    """The lines with an angle, grain by grain, and the row in `grains` of the grain of each."""
    place = pd.Index(grains["grain_id"]).get_indexer(lines["grain_id"])
    is_line = (place >= 0) & lines["angle_deg"].notna().to_numpy()
    order = np.flatnonzero(is_line)[np.argsort(place[is_line], kind="stable")]
    return place[order], lines.iloc[order]
