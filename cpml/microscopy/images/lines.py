"""The single lines of one family: how many, how far apart, and how straight.

The lines are the extrema of the profile g(p) of the family, `PROMINENCE` standard errors high. Along a line,
pieces of `PIECE` pixels are shifted against the mean shape g0 of the line until

    sum (f - g0(p - d))^2 = min over |d| <= REACH - 1,      var d = s^2 / sum g0'^2

and g0 is the mean of the pieces so shifted. A straight line makes d a straight function of the place along
it. The waviness is the rms of what a straight function leaves, less what the noise alone gives; a line is
wavy if chi^2 says so at 0.1 % and the waviness exceeds `LEAST_WAVE`.
"""

import numpy as np
from numpy.typing import NDArray
from scipy import signal
from scipy.special import chdtrc

from cpml.microscopy.images import ridges

PIECE = 8.0
REACH = 5.0
PROMINENCE = 5.0
MOST_LINES = 12
LEAST_WAVE = 0.4
"""Smaller deviations, pixels, are the image's (tapering lamellae, drift of the scan), not the slip's."""


def line_statistics(
    x: NDArray, y: NDArray, f: NDArray, residual: NDArray, t: float, *, lines: str = "either"
) -> tuple:
    """(n_lines, spacing_px, waviness_px, is_wavy) of the family of direction t (rad).

    Parameters
    ----------
    f : (N,) values less all other families, at pixels x, y (N,)
    residual : (N,) values less all families
    lines : sign of the lines that count, "bright", "dark" or "either"
    """
    places, heights = line_places(x, y, f, residual, t, lines=lines)
    spacing = float(np.median(np.diff(places))) if len(places) > 1 else np.nan
    chosen = places[np.argsort(-heights)[:MOST_LINES]]
    waviness, is_wavy = _waviness(x, y, f, residual, t, chosen)
    return len(places), spacing, waviness, is_wavy


def line_places(
    x: NDArray, y: NDArray, f: NDArray, residual: NDArray, t: float, *, lines: str = "either"
) -> tuple[NDArray, NDArray]:
    """p (L,) of the lines in growing order, and their heights above the profile's level, in
    standard errors (L,).
    """
    low, g, n = ridges.profile(x, y, f, t)
    error = np.sqrt(np.mean(residual**2) * ridges.correlation_volume(x, y, residual) / np.maximum(n, 1.0))
    known = n >= ridges.SMALLEST_BIN
    level = np.median(g[known]) if known.any() else 0.0
    height = np.where(known, (g - level) / error, 0.0)
    found = []
    for sign, name in ((1, "bright"), (-1, "dark")):
        if lines in ("either", name):
            peaks, _ = signal.find_peaks(
                np.r_[0.0, sign * height, 0.0], height=PROMINENCE, prominence=PROMINENCE
            )
            found += [(p - 1, sign * height[p - 1]) for p in peaks]
    if lines == "either":  # a step is a bright and a dark line side by side: one line
        found = _merged(found)
    found.sort()
    return low + np.array([p for p, _ in found], float), np.array([h for _, h in found], float)


def _merged(found: list[tuple]) -> list[tuple]:
    kept: list[tuple] = []
    for place, height in sorted(found, key=lambda item: -item[1]):
        if all(abs(place - other) > REACH / 2 for other, _ in kept):
            kept.append((place, height))
    return kept


def followed(
    x: NDArray, y: NDArray, f: NDArray, residual: NDArray, t: float, *, lines: str = "either"
) -> NDArray:
    """Values (N,) of the family's lines, each piece where it was found; 0 off the lines and where a
    line is missing.
    """
    places, heights = line_places(x, y, f, residual, t, lines=lines)
    p, q = y * np.cos(t) - x * np.sin(t), x * np.cos(t) + y * np.sin(t)
    out = np.zeros(len(f))
    for place in places[np.argsort(heights)]:  # the strongest last: it decides where two lines overlap
        near = np.flatnonzero(np.abs(p - place) <= REACH)
        if len(near) >= 4 * PIECE:
            out[near] = _shifts(p[near] - place, q[near], f[near], np.mean(residual**2))[3]
    return out


def _waviness(
    x: NDArray, y: NDArray, f: NDArray, residual: NDArray, t: float, places: NDArray
) -> tuple[float, bool]:
    """rms shift beyond noise, pixels, over all lines, and whether it is certain; NaN without a
    line long enough.
    """
    p, q = y * np.cos(t) - x * np.sin(t), x * np.cos(t) + y * np.sin(t)
    noise = np.mean(residual**2) * ridges.correlation_volume(x, y, residual)
    chi2, free, excess, n_pieces = 0.0, 0, 0.0, 0
    for place in places:
        near = np.abs(p - place) <= REACH
        if near.sum() < 4 * PIECE:
            continue
        shift, variance, at, _ = _shifts(p[near] - place, q[near], f[near], noise)
        if len(shift) < 4:
            continue
        design = np.stack([np.ones(len(at)), at], axis=1) / np.sqrt(variance)[:, None]
        fitted = np.linalg.lstsq(design, shift / np.sqrt(variance), rcond=None)[0]
        left = shift - fitted[0] - fitted[1] * at
        chi2 += np.sum(left**2 / variance)
        free += len(shift) - 2
        excess += np.sum(left**2 - variance)
        n_pieces += len(shift)
    if free < 2:
        return np.nan, False
    return float(np.sqrt(max(excess / n_pieces, 0.0))), bool(
        chdtrc(free, chi2) < 1e-3 and excess / n_pieces > LEAST_WAVE**2
    )


def _shifts(p: NDArray, q: NDArray, f: NDArray, noise: float) -> tuple[NDArray, NDArray, NDArray, NDArray]:
    """Of every piece of a line that shows it: shift (n,), its variance (n,), place along (n,); and
    the model (N,).
    """
    grid = np.arange(-REACH, REACH + 0.5, 0.5)
    trial = np.arange(-REACH + 1, REACH - 0.75, 0.25)
    piece = ((q - q.min()) // PIECE).astype(int)
    size = np.bincount(piece)
    shift = np.zeros(len(size))
    for _ in range(3):
        shape = _mean_shape(p - shift[piece], f, grid)
        cost = np.stack([np.bincount(piece, (f - np.interp(p - d, grid, shape)) ** 2) for d in trial])
        best = np.clip(cost.argmin(axis=0), 1, len(trial) - 2)
        rows = np.arange(len(size))
        left, middle, right = (cost[best + k, rows] for k in (-1, 0, 1))
        bend = np.maximum(left - 2 * middle + right, 1e-300)
        shift = trial[best] + np.clip(0.125 * (left - right) / bend, -0.125, 0.125)
    moved = p - shift[piece]
    model = np.interp(moved, grid, shape)
    information = np.bincount(piece, np.interp(moved, grid, np.gradient(shape, grid)) ** 2)
    strength = np.bincount(piece, f * model) / np.maximum(np.bincount(piece, model**2), 1e-300)
    # a piece at the rim of the region, or where the line has ended, tells nothing
    useful = (
        (size >= 0.8 * PIECE * 2 * REACH) & (information > 4 * noise) & (strength > 0.5) & (strength < 2.0)
    )
    at = np.bincount(piece, q)[useful] / size[useful]
    model = np.where(strength[piece] > 0.3, model, 0.0)
    return shift[useful], noise / information[useful], at - (at.mean() if len(at) else 0.0), model


def _mean_shape(p: NDArray, f: NDArray, grid: NDArray) -> NDArray:
    """Mean of f over p on the grid, by hats of half-width 0.75."""
    weight = np.maximum(0, 1 - np.abs(p[:, None] - grid) / 0.75)
    return (weight * f[:, None]).sum(axis=0) / np.maximum(weight.sum(axis=0), 1e-9)
