"""Line direction of every pixel from the structure tensor, and its families by the weighted histogram
of a region.

    J = G_window * (grad f grad f^T),   grad f by Gaussian derivatives

The line runs along the eigenvector of the smaller eigenvalue l2; coherence (l1 - l2)/(l1 + l2) is 1 for
stripes and 0 where no direction stands out. Local, so it sees curved lines and changes inside a grain, where
the score of cpml.microscopy.images.trace_detection sees long straight ones; two families that cross in the
window give one angle between them.

Only pixels of the mask count, which skimage.feature.structure_tensor cannot do: data bars and grain
boundaries would draw lines.

Reference: Bigun & Granlund 1987, Proc. ICCV London, 433.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy import ndimage, signal

from cpml.errors import ParameterError

LEAST_SHARE = 0.2
"""Smaller maxima, relative to the highest above the histogram's median, do not count."""
SMOOTH_DEG = 2.0
"""Width of the histogram's smoothing."""


@dataclass(frozen=True)
class StructureTensor:
    """On-screen angle of the lines (deg in [0, 180)), coherence (0 to 1) and energy l1 + l2,
    all (rows, columns).
    """

    angle_deg: NDArray
    coherence: NDArray
    energy: NDArray


def structure_tensor(
    values: ArrayLike, *, valid: ArrayLike | None = None, gradient_px: float = 1.0, window_px: float = 6.0
) -> StructureTensor:
    """Structure tensor of a picture.

    Parameters
    ----------
    valid : (rows, columns) bool; gradients that touch other pixels do not count
    gradient_px, window_px : widths of the derivative and of the window it is averaged over

    Raises
    ------
    ParameterError : not a picture, or widths that are not positive
    """
    values = np.asarray(values, float)
    valid = np.isfinite(values) if valid is None else np.asarray(valid, bool) & np.isfinite(values)
    if values.ndim != 2 or valid.shape != values.shape or not (gradient_px > 0 and window_px > 0):
        raise ParameterError(
            f"a picture and its mask of one size, and positive widths are needed (values {values.shape}, "
            f"valid {valid.shape}, gradient_px {gradient_px}, window_px {window_px})"
        )
    filled = np.where(valid, values, np.median(values[valid]) if valid.any() else 0.0)
    gx = ndimage.gaussian_filter(filled, gradient_px, order=(0, 1))
    gy = ndimage.gaussian_filter(filled, gradient_px, order=(1, 0))
    inner = ndimage.binary_erosion(valid, iterations=int(np.ceil(3 * gradient_px)), border_value=1)
    xx, xy, yy = (
        ndimage.gaussian_filter(np.where(inner, g, 0.0), window_px) for g in (gx * gx, gx * gy, gy * gy)
    )
    energy, difference = xx + yy, np.hypot(xx - yy, 2 * xy)
    across = 0.5 * np.arctan2(2 * xy, xx - yy)  # of the gradient, pixel frame
    angle = np.degrees(np.pi / 2 - across) % 180.0
    coherence = np.divide(difference, energy, out=np.zeros_like(energy), where=energy > 0)
    return StructureTensor(
        np.where(valid, angle, np.nan), np.where(valid, coherence, 0.0), np.where(valid, energy, 0.0)
    )


def tensor_families(tensor: StructureTensor, label: ArrayLike, *, min_pixels: int = 250) -> pd.DataFrame:
    """Families of line directions of every region, from the histogram weighted with coherence and energy.

    Parameters
    ----------
    label : (rows, columns) int, 0 = none
    min_pixels : smaller regions are not looked at

    Returns
    -------
    DataFrame grain_id, rank, angle_deg, sigma_deg (spread of the directions within 5 deg), score (share of
    the weight within 5 deg), n_pixels
    """
    label = np.asarray(label)
    rows = []
    for region in np.flatnonzero(np.bincount(label[label > 0].ravel(), minlength=1) >= min_pixels):
        inside = (label == region) & np.isfinite(tensor.angle_deg)
        angle, weight = tensor.angle_deg[inside], (tensor.coherence**2 * tensor.energy)[inside]
        if not weight.sum() > 0:
            rows.append((region, 0, np.nan, np.nan, np.nan, int(inside.sum())))
            continue
        histogram = np.bincount((angle * 2).astype(int) % 360, weight / weight.sum(), 360)
        smooth = ndimage.gaussian_filter1d(histogram, 2 * SMOOTH_DEG, mode="wrap")
        level = np.median(smooth)
        peaks, _ = signal.find_peaks(np.tile(smooth, 3), prominence=LEAST_SHARE * (smooth.max() - level))
        middle = (peaks >= 360) & (peaks < 720)
        peaks = peaks[middle][np.argsort(-smooth[peaks[middle] - 360])] - 360
        for rank, peak in enumerate(peaks, start=1):
            difference = (angle - peak / 2 + 90) % 180 - 90
            near = np.abs(difference) <= 5
            share = weight[near].sum()
            mean = np.sum(weight[near] * difference[near]) / share
            spread = np.sqrt(np.sum(weight[near] * (difference[near] - mean) ** 2) / share)
            rows.append(
                (
                    region,
                    rank,
                    float((peak / 2 + mean) % 180),
                    float(spread),
                    float(share / weight.sum()),
                    int(inside.sum()),
                )
            )
    return pd.DataFrame(rows, columns=["grain_id", "rank", "angle_deg", "sigma_deg", "score", "n_pixels"])
