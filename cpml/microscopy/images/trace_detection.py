"""Slip traces in an image: the families of parallel lines of every grain or tile, with
errors, spacing, waviness.

The values of a region are the sum of a few sets of straight stripes and noise,

    f(x, y) = sum_k g_k(p_k) + noise,     p_k = -x sin t_k + y cos t_k

(an additive model of ridge functions). Families are found one after the other: the direction of the greatest
R2 (cpml.microscopy.images.ridges) in what the earlier ones leave, refined to hundredths of a degree; then
every family is refined again on the image less all others, until nothing moves. What remains of a family is
taken out piece by piece along its lines, since lines end and drift; so two families may be as close as the
lines' width over their length allows, and no separation is prescribed.

A family counts when its R2 stands `significance` robust deviations above the median of all directions,
explains `min_score` of the region's variance, and LEAST_SHARE of what the strongest does.

| column | meaning |
|---|---|
| grain_id, rank | region; 1 = strongest, 0 = looked at and nothing found (NaN) |
| angle_deg, sigma_deg | on-screen angle of the lines and its standard error |
| score | R2, share of the variance of the region |
| n_lines, spacing_px | lines told apart, median distance of neighbours |
| waviness_px, is_wavy | rms deviation from straight lines beyond noise; whether it is certain |
| n_pixels | size of the region |

References: Breiman & Friedman 1985, JASA 80:580 (backfitting).
"""

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy import ndimage

from cpml.errors import ParameterError
from cpml.microscopy.images import ridges
from cpml.microscopy.images.lines import followed, line_statistics
from cpml.progress import progress

COLUMNS = [
    "grain_id",
    "rank",
    "angle_deg",
    "sigma_deg",
    "score",
    "n_lines",
    "spacing_px",
    "waviness_px",
    "is_wavy",
    "n_pixels",
]
SWEEPS = 4
BACKGROUND_PX = 12.0
"""Contrast slower than this is no line and is taken out, region by region."""
LEAST_SHARE = 0.1
"""Of a family's R2 in that of the strongest: weaker ones are its side maxima."""
MOST_FAMILIES = 6
SATELLITE = np.radians(30.0)
"""Waves whose slope reaches further look like other families at most this far away."""


def detect_traces(
    values: ArrayLike,
    label: ArrayLike | None = None,
    *,
    valid: ArrayLike | None = None,
    lines: str = "either",
    margin_px: int = 0,
    min_pixels: int = 250,
    min_score: float = 0.02,
    significance: float = 6.0,
) -> pd.DataFrame:
    """Families of parallel lines of every region.

    Parameters
    ----------
    values : (rows, columns) contrast or strain; NaN is left out
    label : (rows, columns) int, region of each pixel, 0 = none (see `tile_labels`); None: one region
    valid : (rows, columns) bool, False where nothing is to be looked at
    lines : "bright", "dark" or "either": the sign of lines that are counted; contrast is clipped at the 1st
        and 99th percentile, on the dark or bright side only at the median for the other two
    margin_px : pixels along the rim of every region that are left out (boundaries are lines, too)
    min_pixels : smaller regions are not looked at
    min_score, significance : what a family needs at least (above)

    Returns
    -------
    DataFrame, columns of the module

    Raises
    ------
    ParameterError : pictures of different shapes or an unknown option
    """
    values, label, valid = _pictures(values, label, valid, margin_px)
    if lines not in ("either", "bright", "dark"):
        raise ParameterError(f"lines {lines!r}: choose 'bright', 'dark' or 'either'")
    rows: list[tuple] = []
    boxes = ndimage.find_objects(label)
    for region, box in enumerate(progress(boxes, "line families", unit="region"), start=1):
        if box is None:
            continue
        inside = valid[box] & (label[box] == region)
        if inside.sum() < min_pixels:
            continue
        f = _contrast(values[box], inside, lines)
        y, x = np.nonzero(inside)
        found = find_families(x, y, f[inside], min_score=min_score, significance=significance)
        rows += _region_rows(region, x, y, f[inside], lines, found)
    return pd.DataFrame(rows, columns=COLUMNS)


def tile_labels(shape: tuple[int, int], tile: int, *, valid: ArrayLike | None = None) -> NDArray:
    """(rows, columns) int: square tiles of `tile` pixels numbered from 1 in reading order; 0
    where not `valid`.

    Examples
    --------
    >>> print(tile_labels((2, 4), 2).tolist())
    [[1, 1, 2, 2], [1, 1, 2, 2]]
    """
    if tile < 1:
        raise ParameterError(f"tile {tile}: a tile has at least one pixel")
    row, col = np.arange(shape[0]) // tile, np.arange(shape[1]) // tile
    label = row[:, None] * (col[-1] + 1) + col + 1
    return label if valid is None else np.where(np.asarray(valid, bool), label, 0)


def _pictures(
    values: ArrayLike, label: ArrayLike | None, valid: ArrayLike | None, margin_px: int
) -> tuple[NDArray, NDArray, NDArray]:
    values = np.asarray(values, float)
    label = np.ones(values.shape, int) if label is None else np.asarray(label)
    valid = np.ones(values.shape, bool) if valid is None else np.asarray(valid, bool)
    if values.ndim != 2 or label.shape != values.shape or valid.shape != values.shape:
        raise ParameterError(
            f"values {values.shape}, label {label.shape} and valid {valid.shape} must be pictures of one size"
        )
    valid = valid & np.isfinite(values) & (label > 0)
    if margin_px:
        inner = ndimage.maximum_filter(label, 2 * margin_px + 1) == ndimage.minimum_filter(
            label, 2 * margin_px + 1
        )
        valid = valid & inner & ndimage.binary_erosion(valid, np.ones((2 * margin_px + 1,) * 2))
    return values, label, valid


def _contrast(values: NDArray, inside: NDArray, lines: str) -> NDArray:
    """Values less their background, clipped, of zero mean inside; 0 outside."""
    f = np.where(inside, values, 0.0)
    weight = np.maximum(ndimage.gaussian_filter(inside.astype(float), BACKGROUND_PX), 1e-6)
    f = f - ndimage.gaussian_filter(f, BACKGROUND_PX) / weight
    low, middle, high = np.percentile(f[inside], [1, 50, 99])
    f = np.clip(f, middle if lines == "bright" else low, middle if lines == "dark" else high)
    return np.where(inside, f - f[inside].mean(), 0.0)


def _region_rows(
    region: int, x: NDArray, y: NDArray, f: NDArray, lines: str, found: list[tuple[float, float]]
) -> list[tuple]:
    found = _without_satellites(x, y, f, found, lines)
    if not found:
        return [(region, 0, np.nan, np.nan, np.nan, 0, np.nan, np.nan, False, len(x))]
    shapes = _joint_fit(x, y, f, [t for t, _ in found])
    residual = f - sum(shapes)
    rows = []
    for rank, (k, (t, score)) in enumerate(enumerate(found), start=1):
        own = residual + shapes[k]
        error = np.degrees(ridges.angle_error(x, y, own, residual, t))
        lines_of_family = line_statistics(x, y, own, residual, t, lines=lines)
        rows.append((region, rank, float(-np.degrees(t) % 180), error, score, *lines_of_family, len(x)))
    return rows


def find_families(
    x: NDArray, y: NDArray, f: NDArray, *, min_score: float = 0.02, significance: float = 6.0
) -> list[tuple[float, float]]:
    """(direction t in rad, R2) of the families, strongest first, of values f (N,) at pixels x, y (N,)."""
    total = np.sum(f**2)
    if total <= 0 or len(x) < 16:
        return []
    coarse = np.radians(np.arange(0.0, 180.0, 0.5))
    families: list[float] = []
    left = 1.0
    for _ in range(MOST_FAMILIES):
        rest = _without(x, y, f, families, local=True)
        curve = ridges.scores(x, y, rest, coarse)
        curve[_too_close(coarse, families, x, y)] = -np.inf
        known = np.isfinite(curve)
        if not known.any():
            break
        k = int(np.argmax(curve))
        spread = 1.4826 * np.median(np.abs(curve[known] - np.median(curve[known])))
        if curve[k] - np.median(curve[known]) < significance * spread:
            break
        # judged on the joint fit: the pieces taken out along earlier lines hold
        # some of a family close to them
        trial = _backfit(x, y, f, [*families, float(coarse[k])])
        shares = [_score(x, y, f, trial, j) for j in range(len(trial))]
        left_then = float(np.sum((f - sum(_joint_fit(x, y, f, trial))) ** 2) / total)
        # two families close to one another can share the lines of one: then both
        # together explain no more than it did
        if min(shares[-1], left - left_then) < max(min_score, LEAST_SHARE * max(shares)):
            break
        families, left = trial, left_then
    scored = [(t, _score(x, y, f, families, k)) for k, t in enumerate(families)]
    best = max((s for _, s in scored), default=0.0)
    kept = [(t, s) for t, s in scored if s >= max(min_score, LEAST_SHARE * best)]
    return sorted(kept, key=lambda item: -item[1])


def _joint_fit(x: NDArray, y: NDArray, f: NDArray, families: list[float]) -> list[NDArray]:
    """Stripes (N,) of every family, each on what the others leave."""
    shapes = [np.zeros(len(x)) for _ in families]
    for _ in range(SWEEPS):
        for k, t in enumerate(families):
            shapes[k] = ridges.stripes(x, y, f - sum(shapes) + shapes[k], t)
    return shapes


def _without_satellites(
    x: NDArray, y: NDArray, f: NDArray, found: list[tuple[float, float]], lines: str
) -> list[tuple[float, float]]:
    """The families less those near a stronger one that the same lines, followed in their
    waves, explain better.
    """
    kept = list(found)
    for t, score in found:
        near = [
            other
            for other in kept
            if other[1] < score and abs((other[0] - t + np.pi / 2) % np.pi - np.pi / 2) < SATELLITE
        ]
        if (t, score) not in kept or not near:
            continue
        rest = _without(x, y, f, [o for o, _ in kept if o != t and all(o != n for n, _ in near)])
        straight = _without(x, y, rest, [t, *(n for n, _ in near)])
        waves = rest - followed(x, y, rest, rest - ridges.stripes(x, y, rest, t), t, lines=lines)
        if np.sum(waves**2) < np.sum(straight**2):
            kept = [o for o in kept if o not in near]
    return kept


def _without(
    x: NDArray, y: NDArray, f: NDArray, families: list[float], *, leave_out: int = -1, local: bool = False
) -> NDArray:
    """f less the stripes of the families but one."""
    rest = f
    for k, t in enumerate(families):
        if k != leave_out:
            rest = rest - (ridges.local_stripes if local else ridges.stripes)(x, y, rest, t)
    return rest


def _score(x: NDArray, y: NDArray, f: NDArray, families: list[float], k: int) -> float:
    rest = _without(x, y, f, families, leave_out=k)
    return float(ridges.scores(x, y, rest, np.array([families[k]]))[0] * np.sum(rest**2) / np.sum(f**2))


def _backfit(x: NDArray, y: NDArray, f: NDArray, families: list[float]) -> list[float]:
    families = list(families)
    for sweep in range(SWEEPS):
        before = list(families)
        for k in range(len(families)):
            rest = _without(x, y, f, families, leave_out=k)
            families[k] = ridges.refine(x, y, rest, families[k], reach_deg=1.5 if sweep == 0 else 0.6)
        if np.max(np.abs(np.subtract(families, before))) < np.radians(0.02):
            break
    return families


def _too_close(angles: NDArray, families: list[float], x: NDArray, y: NDArray) -> NDArray:
    """(n,) bool: directions that turn a line of the region by less than three pixels away from
    a known family.
    """
    out = np.zeros(len(angles), bool)
    for t in families:
        along = x * np.cos(t) + y * np.sin(t)
        limit = max(3.0 / max(np.std(along) * np.sqrt(12), 3.0), np.radians(1.0))
        out |= np.abs((angles - t + np.pi / 2) % np.pi - np.pi / 2) < limit
    return out
