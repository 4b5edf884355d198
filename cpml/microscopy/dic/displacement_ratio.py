"""Relative displacement ratio as an angle: which way the two sides of a slip band move past each other.

Displacements (u, v) sampled across a band, less their mean in every cross-section, scatter along the in-plane
part of the Burgers vector; psi is the direction of the main axis of their covariance (total least squares),
the same line whichever of u and v is small:

    C = sum over cross-sections of (d - mean d)(d - mean d)^T / n,   eigenvalues l1 >= l2, main axis e1
    psi = atan2(-e1_v, e1_u) mod 180 (on screen),   sigma_psi^2 = l1 l2 / (n (l1 - l2)^2),   quality = l1 / l2

Bands and psi are in the frame of the map: `DicField.turn_deg` leads there from the image. A direction b
(sample frame) shows atan2(-b_y, b_x) mod 180. psi separates directions within one plane; where two of them
project onto one line nothing can. The usual slope du/dv by ordinary regression is attenuated by noise and
diverges as b_y -> 0 (Chen & Daly 2017, Exp. Mech. 57:115).

| column | meaning |
|---|---|
| grain_id, rank, angle_deg | the band, as `band_angles` found it |
| psi_deg, psi_sigma_deg | on-screen direction of the relative displacement, and its standard error |
| quality | l1 / l2 |
| step_px | median jump |d| between the sides of a band, pixels of the image |
| n_sections | cross-sections used |
"""

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy import ndimage, signal

from cpml.crystallography.rotations import quaternion_to_matrix
from cpml.crystallography.slip_systems import Systems
from cpml.errors import ParameterError
from cpml.microscopy.dic.field import DicField
from cpml.microscopy.dic.strain import max_shear
from cpml.microscopy.images import ridges
from cpml.microscopy.images.trace_likelihood import match_traces

SIGMA_FLOOR_DEG = 3.0
"""Added in quadrature: elastic strain and neighbouring bands turn psi more than the scatter of
its samples says."""
HALF_WIDTH = 2
"""Vectors on each side of a band; the further, the more the strain between bands weighs."""
MOST_BANDS = 4
"""The strongest bands of a family that are used."""
FOREIGN = 0.05
"""Share of directions that no system of the list makes."""


def displacement_direction(samples: ArrayLike) -> tuple[float, float, float]:
    """(psi, sigma_psi, quality) of displacement samples (n, 2) or cross-sections (m, k, 2), u and
    v (positive down).

    Examples
    --------
    >>> psi, _, quality = displacement_direction([[0.0, 0.0], [1.0, 0.0], [2.0, 0.0]])
    >>> print(psi, quality > 1e6)
    0.0 True
    """
    d = np.asarray(samples, float)
    d = d[None] if d.ndim == 2 else d
    if d.ndim != 3 or d.shape[-1] != 2 or d.shape[0] * d.shape[1] < 3:
        raise ParameterError(
            f"displacements of shape {np.shape(samples)}: three or more [u, v], or "
            "cross-sections of them, are needed"
        )
    d = (d - d.mean(axis=1, keepdims=True)).reshape(-1, 2)
    n = len(d)
    values, axes = np.linalg.eigh(d.T @ d / n)
    low, high = max(values[0], 1e-12 * max(values[1], 1e-300)), values[1]
    psi = np.degrees(np.arctan2(-axes[1, 1], axes[0, 1])) % 180.0
    gap = max(high - low, 1e-9 * high)
    sigma = np.degrees(np.sqrt(high * low / n) / gap) if high > 0 else 90.0
    return float(psi if psi < 180 else 0.0), float(min(sigma, 90.0)), float(high / low) if high > 0 else 1.0


def band_displacements(field: DicField, label: ArrayLike, bands: pd.DataFrame) -> pd.DataFrame:
    """Direction of the relative displacement of every band family.

    Parameters
    ----------
    label : (rows, columns) grain of every vector
    bands : table grain_id, rank, angle_deg of a `RegisteredDic` (for a field that is not turned also of
        `band_angles` or `detect_traces`); rows of rank 0 are left out

    Returns
    -------
    DataFrame, columns of the module; NaN for a family without a complete cross-section
    """
    label = np.asarray(label)
    if label.shape != field.shape:
        raise ParameterError(f"label {label.shape} must have the shape of the field, {field.shape}")
    shear = max_shear(field.displacement_gradient)
    rows = []
    for band in bands[bands["rank"] > 0].itertuples():
        sections = _sections(field, label == band.grain_id, shear, band.angle_deg - field.turn_deg)
        if len(sections) < 3:
            rows.append(
                (band.grain_id, band.rank, band.angle_deg, np.nan, np.nan, np.nan, np.nan, len(sections))
            )
            continue
        psi, sigma, quality = displacement_direction(sections)
        psi = float(field.turn_lines(psi))
        jump = np.median(np.linalg.norm(sections[:, -1] - sections[:, 0], axis=1))
        rows.append(
            (band.grain_id, band.rank, band.angle_deg, psi, sigma, quality, float(jump), len(sections))
        )
    return pd.DataFrame(
        rows,
        columns=[
            "grain_id",
            "rank",
            "angle_deg",
            "psi_deg",
            "psi_sigma_deg",
            "quality",
            "step_px",
            "n_sections",
        ],
    )


def _sections(field: DicField, inside: NDArray, shear: NDArray, angle_deg: float) -> NDArray:
    """(m, 2 HALF_WIDTH + 1, 2) displacements across the bands of one family, within the grain; angle and
    displacements as in the image.
    """
    good = inside & np.isfinite(shear) & np.isfinite(field.u) & np.isfinite(field.v)
    y, x = np.nonzero(good)
    if len(x) < 16:
        return np.zeros((0, 2 * HALF_WIDTH + 1, 2))
    t = -np.radians(angle_deg)
    f = np.minimum(shear[y, x], np.percentile(shear[y, x], 99))
    f = f - f.mean()
    low, profile, _ = ridges.profile(x, y, f, t)
    peaks, _ = signal.find_peaks(np.r_[0.0, profile, 0.0], height=np.std(profile))
    places = low + (peaks - 1)[np.argsort(-profile[peaks - 1])[:MOST_BANDS]]
    along, across = np.array([np.cos(t), np.sin(t)]), np.array([-np.sin(t), np.cos(t)])
    offsets = np.arange(-HALF_WIDTH, HALF_WIDTH + 1)
    q = np.arange(
        np.floor((x * along[0] + y * along[1]).min()), np.ceil((x * along[0] + y * along[1]).max()) + 1
    )
    out = [np.zeros((0, len(offsets), 2))]
    for place in places:
        points = (
            place * across + q[:, None, None] * along + offsets[:, None] * across
        )  # (q, offsets, 2) as x, y
        where = [points[..., 1], points[..., 0]]
        complete = (ndimage.map_coordinates(good.astype(float), where, order=1, cval=0.0) > 0.999).all(axis=1)
        d = [ndimage.map_coordinates(np.nan_to_num(c), where, order=1) for c in (field.u, field.v)]
        out.append(np.stack(d, axis=-1)[complete])
    return np.concatenate(out)


def direction_angles(quaternions: ArrayLike, systems: Systems) -> tuple[NDArray, NDArray]:
    """On-screen angle (G, S), deg, of every slip direction, and its inclination to the surface normal
    (G, S), deg.
    """
    b = np.einsum(
        "gij,sj->gsi", quaternion_to_matrix(np.atleast_2d(np.asarray(quaternions, float))), systems.direction
    )
    angle = np.degrees(np.arctan2(-b[..., 1], b[..., 0])) % 180.0
    return angle, np.degrees(np.arctan2(np.hypot(b[..., 0], b[..., 1]), np.abs(b[..., 2])))


def match_displacements(
    psi_deg: ArrayLike,
    sigma_deg: ArrayLike,
    quaternions: ArrayLike,
    systems: Systems,
) -> NDArray:
    """Likelihood p(psi | system), per degree, (J, S), of the directions psi (J,) in crystals (J, 4); NaN
    psi gives 1/180.
    """
    angle, inclination = direction_angles(quaternions, systems)
    psi = np.asarray(psi_deg, float)
    sigma = np.hypot(np.where(np.isfinite(psi), sigma_deg, 1.0), SIGMA_FLOOR_DEG)
    density = match_traces(np.nan_to_num(psi), angle, inclination, sigma_deg=sigma, floor=FOREIGN)
    return np.where(np.isfinite(psi)[:, None], density, 1 / 180)
