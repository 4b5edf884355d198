"""Labels of slip systems from HR-DIC: the plane from the band's angle, the direction from how its sides move.

    p(s | band)  ~  p(theta | plane of s) p(psi | direction of s) w_s

theta: on-screen angle of the band, psi: that of the relative displacement
(cpml.microscopy.dic.displacement_ratio), w_s a weight, from Schmid factors or from the inversion of H
(cpml.microscopy.dic.activity), equal when not given.

A system of a grain is observed 1 if one band gives it 95 %, 0 if no band of an examined grain gives it 5 %
and in-plane DIC could have shown it, else missing; weight = the larger of its probability and its complement.
These labels come beside, never in place of, those of the planes (`cpml.microscopy.labels.planes`).
"""

from collections.abc import Mapping

import numpy as np
import pandas as pd

from cpml.crystallography.slip_systems import Systems
from cpml.crystallography.slip_traces import line_difference, slip_traces
from cpml.errors import ParameterError
from cpml.microscopy.dic.displacement_ratio import match_displacements
from cpml.microscopy.images.trace_likelihood import match_traces
from cpml.microscopy.labels.detection import visibility
from cpml.microscopy.labels.planes import lines_of
from cpml.microscopy.labels.rows import CERTAIN, Labels, label_rows, line_rows, normalised
from cpml.microscopy.labels.traces import DIC_SIGMA_DEG

TOLERANCE_DEG = 6.0
"""Systems whose plane is further than this from a band are no candidates for it."""
LEAST_WEIGHT = 1e-6
"""A system that the weights exclude stays possible: they are estimates themselves."""


def system_labels(
    bands: pd.DataFrame,
    grains: pd.DataFrame,
    systems: Systems | Mapping[int, Systems],
    *,
    weights: pd.Series | None = None,
    sigma_deg: float = DIC_SIGMA_DEG,
) -> Labels:
    """Labels of the slip systems of every grain, with the bands and their candidates.

    Parameters
    ----------
    bands : grain_id, angle_deg, and psi_deg, psi_sigma_deg of `band_displacements`; NaN angle:
        examined, no band
    grains : table with grain_id, phase, qw, qx, qy, qz
    systems : of all grains, or of each phase id; twins are left out
    weights : positive numbers indexed by (grain_id, system name), e.g. the posterior of SlipActivity.by_grain
    sigma_deg : error of the angle of a band

    Returns
    -------
    tables of `cpml.microscopy.labels.rows`

    Raises
    ------
    ParameterError : missing columns, or an error that is not positive
    """
    missing = [name for name in ("grain_id", "angle_deg", "psi_deg", "psi_sigma_deg") if name not in bands]
    if missing:
        raise ParameterError(f"bands have no column {', '.join(missing)} (see band_displacements)")
    if not sigma_deg > 0:
        raise ParameterError(f"sigma_deg {sigma_deg} must be positive")
    parts = []
    for phase, group in grains.groupby("phase"):
        of_phase = systems.get(phase) if isinstance(systems, Mapping) else systems
        if of_phase is not None:
            slip = of_phase.subset(of_phase.slip)
            parts.append(_of_phase(bands, group, slip, weights, sigma_deg))
    return Labels.joined(*parts)


def _of_phase(
    bands: pd.DataFrame,
    grains: pd.DataFrame,
    systems: Systems,
    weights: pd.Series | None,
    sigma_deg: float,
) -> Labels:
    names, ids = systems.names, grains["grain_id"].to_numpy()
    quaternions = grains[["qw", "qx", "qy", "qz"]].to_numpy()
    geometry = slip_traces(quaternions, systems)
    angle, inclination = (v[:, systems.plane_id] for v in (geometry.angle_deg, geometry.inclination_deg))

    g, lines = lines_of(grains, bands)
    observed = lines["angle_deg"].to_numpy() % 180
    likelihood = match_traces(observed, angle[g], inclination[g], sigma_deg=sigma_deg, floor=0.0)
    likelihood = likelihood * match_displacements(
        lines["psi_deg"], lines["psi_sigma_deg"], quaternions[g], systems
    )
    is_near = np.abs(line_difference(observed[:, None], angle[g])) <= TOLERANCE_DEG
    prior = 1.0
    if weights is not None:
        every = weights.reindex(pd.MultiIndex.from_product([ids, names])).fillna(1.0)
        prior = np.maximum(every.to_numpy(), LEAST_WEIGHT).reshape(len(ids), len(names))[g]
    probability = normalised(likelihood * is_near * prior)

    best = np.zeros((len(ids), len(names)))
    np.maximum.at(best, g, probability)
    is_examined = np.isin(ids, bands["grain_id"])[:, None]
    # a band that no plane explains may be any system's
    is_explained = ~np.isin(np.arange(len(ids)), g[probability.sum(axis=1) == 0])[:, None]
    visible = visibility(grains, systems)["visible_dic"].to_numpy().reshape(best.shape)
    is_absent = is_examined & is_explained & visible & (best <= 1 - CERTAIN)
    labels = label_rows(
        grains[["grain_id"]],
        names,
        level="system",
        observed=np.where(best >= CERTAIN, 1.0, np.where(is_absent, 0.0, np.nan)),
        weight=np.where(is_examined, np.maximum(best, 1 - best), 1.0),
        source="dic",
    )
    rows = line_rows(
        lines["grain_id"], observed, sigma_deg, names, probability, likelihood, level="system", source="dic"
    )
    return Labels(labels, *rows)
