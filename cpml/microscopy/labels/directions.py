"""Labels of slip systems from HR-DIC: the plane from the band's angle, the direction from how its sides move.

    p(s | band)  ~  p(theta | plane of s) p(psi | direction of s) w_s

theta: on-screen angle of the band, psi: that of the relative displacement
(cpml.microscopy.dic.displacement_ratio), w_s a weight, from Schmid factors or from the inversion of H
(cpml.microscopy.dic.activity), equal when not given.

Rows: "system_trace" (one band: candidates "system:probability;...", weight = how much of the posterior the
best has), and "system" (one system of a grain: observed 1 if one band gives it 95 %, 0 if no band of an
examined grain gives it 5 % and in-plane DIC could have shown it, else missing; weight = the larger of its
probability and its complement). They come beside, never in place of, the plane rows of `dic_labels`.
"""

from collections.abc import Mapping

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from cpml.crystallography.slip_systems import Systems
from cpml.crystallography.slip_traces import line_difference, slip_traces
from cpml.errors import ParameterError
from cpml.microscopy.dic.displacement_ratio import match_displacements
from cpml.microscopy.images.trace_likelihood import match_traces
from cpml.microscopy.labels.detection import visibility
from cpml.microscopy.labels.labels import CERTAIN, COLUMNS, DIC_SIGMA_DEG


def system_labels(
    bands: pd.DataFrame,
    grains: pd.DataFrame,
    systems: Systems | Mapping[int, Systems],
    *,
    weights: pd.Series | None = None,
    sigma_deg: float = DIC_SIGMA_DEG,
    tolerance_deg: float = 6.0,
    source: str = "dic",
) -> pd.DataFrame:
    """Band and system rows of every grain.

    Parameters
    ----------
    bands : grain_id, angle_deg, and psi_deg, psi_sigma_deg of
        `band_displacements`; NaN angle: examined, no band
    grains : table with grain_id, phase, qw, qx, qy, qz
    systems : of all grains, or of each phase id; twins are left out
    weights : positive numbers indexed by (grain_id, system name), e.g. the posterior of SlipActivity.by_grain
    tolerance_deg : planes further than this from the band are no candidates

    Returns
    -------
    label rows

    Raises
    ------
    ParameterError : missing columns, or an error that is not positive
    """
    missing = [name for name in ("grain_id", "angle_deg", "psi_deg", "psi_sigma_deg") if name not in bands]
    if missing or not (sigma_deg > 0 and tolerance_deg > 0):
        raise ParameterError(
            f"bands have no column {', '.join(missing)} (see band_displacements)"
            if missing
            else f"sigma_deg {sigma_deg} and tolerance_deg {tolerance_deg} must be positive"
        )
    of_grain = dict(iter(bands.groupby("grain_id")))
    rows: list[tuple] = []
    for phase, group in grains.groupby("phase"):
        of_phase = systems.get(phase) if isinstance(systems, Mapping) else systems
        if of_phase is None:
            continue
        slip = of_phase.subset(of_phase.slip)
        visible = visibility(group, slip)["visible_dic"].to_numpy().reshape(len(group), len(slip))
        for i, (grain, q) in enumerate(
            zip(group["grain_id"], group[["qw", "qx", "qy", "qz"]].to_numpy(), strict=True)
        ):
            seen = of_grain.get(grain)
            given = (
                None
                if weights is None
                else weights.reindex([(grain, name) for name in slip.names]).fillna(1.0).to_numpy()
            )
            posterior = (
                None if seen is None else band_posterior(seen, q, slip, given, sigma_deg, tolerance_deg)
            )
            rows += _rows(int(grain), seen, posterior, visible[i], slip.names, sigma_deg, source)
    return pd.DataFrame(rows, columns=COLUMNS).astype(
        {"grain_id": int, "observed": float, "weight": float, "angle_deg": float, "sigma_deg": float}
    )


def band_posterior(
    bands: pd.DataFrame,
    quaternion: ArrayLike,
    systems: Systems,
    weights,
    sigma_deg: float,
    tolerance_deg: float,
):
    """(J, S) probability of each system for the bands of one crystal (4,); rows of zeros where no plane fits."""
    bands = bands[bands["angle_deg"].notna()]
    if not len(bands):
        return np.zeros((0, len(systems)))
    geometry = slip_traces(quaternion, systems)
    angle, inclination = (
        geometry.angle_deg[0, systems.plane_id],
        geometry.inclination_deg[0, systems.plane_id],
    )
    observed = bands["angle_deg"].to_numpy()
    plane = match_traces(observed, angle, inclination, sigma_deg=sigma_deg, floor=0.0)
    plane = plane * (np.abs(line_difference(observed[:, None], angle)) <= tolerance_deg)
    crystals = np.broadcast_to(np.asarray(quaternion, float), (len(bands), 4))
    density = plane * match_displacements(bands["psi_deg"], bands["psi_sigma_deg"], crystals, systems)
    if weights is not None:
        density = density * np.maximum(weights, 1e-6)
    total = density.sum(axis=1, keepdims=True)
    return np.divide(density, total, out=np.zeros_like(density), where=total > 0)


def _rows(grain, seen, posterior, visible, names, sigma_deg, source) -> list[tuple]:
    if seen is None:
        return [(grain, "slip", name, np.nan, "", 1.0, source, np.nan, np.nan, "system") for name in names]
    rows = []
    for angle, p in zip(seen.loc[seen["angle_deg"].notna(), "angle_deg"], posterior, strict=True):
        order = [k for k in np.argsort(-p, kind="stable") if p[k] >= 0.005]
        text = ";".join(f"{names[k]}:{p[k]:.4f}" for k in order)
        rows.append(
            (
                grain,
                "slip",
                "",
                1.0,
                text,
                float(p.max()),
                source,
                float(angle) % 180,
                sigma_deg,
                "system_trace",
            )
        )
    best = posterior.max(axis=0, initial=0.0)
    # a band that no plane explains may be any system's
    unexplained = bool((posterior.sum(axis=1) == 0).any())
    for k, name in enumerate(names):
        is_negative = visible[k] and best[k] <= 1 - CERTAIN and not unexplained
        state = 1.0 if best[k] >= CERTAIN else 0.0 if is_negative else np.nan
        rows.append(
            (
                grain,
                "slip",
                name,
                state,
                "",
                float(max(best[k], 1 - best[k])),
                source,
                np.nan,
                np.nan,
                "system",
            )
        )
    return rows
