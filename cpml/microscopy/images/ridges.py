"""Straight stripes in a set of pixels: how much a direction explains, refined angles and their errors.

    p = -x sin t + y cos t,   f(x, y) = g(p) + noise     (pixels, y down; on-screen angle -t mod 180)

Pixels are shared between the two nearest of the bins p = 0, 1, 2 ... in proportion (weights w), and

    R2(t) = sum over bins of (sum w f)^2 / sum w  /  sum f^2  -  chance
    chance = sum over bins of (sum w^2 / sum w) / N

is the share of the variance that stripes of direction t explain. With noise of variance s^2 its maximum t0
has the variance of a likelihood's,

    sigma_t^2 = 2 s^2 c / |d^2/dt^2 (R2 sum f^2)| + (0.05 px / length)^2,

c the sum of the autocorrelation of the residual over nearby pixels (1 for white noise).
"""

import math

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from cpml.compiled import compiled

SMALLEST_BIN = 8.0
FINE = 16
"""Positions of the bins against the pixels. Two bins share a pixel at most directions but none along the
axes, which would draw the maximum to or from there; the mean over equal steps treats all directions alike.
"""
SAMPLING = 0.05
"""Pixels by which lines without noise are missed at their ends, for they are seen in pixels."""

LAGS = 3
"""Pixels over which the noise of a picture is correlated (scan, interpolation)."""
PIECE = 40.0
"""Length, pixels, over which a line is taken for straight and even."""


@compiled
def _bins(x, y, f, t, sums, weights):
    """Fill sum w f and sum w of the bins of direction t (rad); returns the first p and the number of bins."""
    c, s = math.cos(t), math.sin(t)
    low, high = 1e30, -1e30
    for i in range(len(x)):
        p = y[i] * c - x[i] * s
        low, high = min(low, p), max(high, p)
    n = int(high - low) + 2
    sums[:n], weights[:n] = 0.0, 0.0
    for i in range(len(x)):
        q = y[i] * c - x[i] * s - low
        b = int(q)
        w = q - b
        sums[b] += (1 - w) * f[i]
        weights[b] += 1 - w
        sums[b + 1] += w * f[i]
        weights[b + 1] += w
    return low, n


@compiled
def _fine_sums(x, y, f, t, sums, counts):
    """Fill sum f and number of the pixels in parts of 1/FINE of direction t (rad); returns the
    number of parts.
    """
    c, s = math.cos(t), math.sin(t)
    low, high = 1e30, -1e30
    for i in range(len(x)):
        p = y[i] * c - x[i] * s
        low, high = min(low, p), max(high, p)
    n = int((high - low) * FINE + 0.5) + 1
    sums[:n], counts[:n] = 0.0, 0.0
    for i in range(len(x)):
        b = int((y[i] * c - x[i] * s - low) * FINE + 0.5)
        sums[b] += f[i]
        counts[b] += 1.0
    return n


@compiled
def _explained(sums, counts, n):
    """(sum over bins of (sum w f)^2 / sum w, sum over bins of sum w^2 / sum w), mean over the positions
    of the bins.

    w = 1 - |k - centre| / FINE is linear on either side of the centre: running sums of f, k f, 1,
    k, k^2 suffice.
    """
    s, c = np.zeros((2, n + 1)), np.zeros((3, n + 1))
    for k in range(n):
        s[0, k + 1], s[1, k + 1] = s[0, k] + sums[k], s[1, k] + k * sums[k]
        for power in range(3):
            c[power, k + 1] = c[power, k] + counts[k] * float(k) ** power
    explained, chance = 0.0, 0.0
    for centre in range(n + FINE - 1):
        first, middle, last = max(centre - FINE + 1, 0), min(centre + 1, n), min(centre + FINE, n)
        total, weight, square = 0.0, 0.0, 0.0
        for start, stop, sign in ((first, middle, 1.0), (middle, last, -1.0)):
            a, b = 1.0 - sign * centre / FINE, sign / FINE
            n0, n1, n2 = c[0, stop] - c[0, start], c[1, stop] - c[1, start], c[2, stop] - c[2, start]
            total += a * (s[0, stop] - s[0, start]) + b * (s[1, stop] - s[1, start])
            weight += a * n0 + b * n1
            square += a * a * n0 + 2 * a * b * n1 + b * b * n2
        if weight >= SMALLEST_BIN:
            explained += total * total / weight
            chance += square / weight
    return explained / FINE, chance / FINE


@compiled
def _scores(x, y, f, angles):
    """R2 of every angle (rad)."""
    most = (int(math.hypot(x.max() - x.min(), y.max() - y.min())) + 4) * FINE
    sums, counts = np.zeros(most), np.zeros(most)
    total = np.sum(f * f)
    out = np.zeros(len(angles))
    if total <= 0:
        return out
    for k in range(len(angles)):
        n = _fine_sums(x, y, f, angles[k], sums, counts)
        explained, chance = _explained(sums, counts, n)
        out[k] = explained / total - chance / len(x)
    return out


@compiled
def _profile(x, y, f, t):
    """(first p, g (n,), pixels (n,)) of direction t."""
    most = int(math.hypot(x.max() - x.min(), y.max() - y.min())) + 4
    sums, weights = np.zeros(most), np.zeros(most)
    low, n = _bins(x, y, f, t, sums, weights)
    return low, sums[:n] / np.maximum(weights[:n], 1e-9) * (weights[:n] >= SMALLEST_BIN), weights[:n]


@compiled
def _values(x, y, low, g, t):
    """g at the pixels, interpolated."""
    c, s = math.cos(t), math.sin(t)
    out = np.zeros(len(x))
    for i in range(len(x)):
        q = min(max(y[i] * c - x[i] * s - low, 0.0), len(g) - 1.001)
        b = int(q)
        out[i] = g[b] * (b + 1 - q) + g[b + 1] * (q - b)
    return out


@compiled
def _local_means(x, y, f, t, length):
    """Mean of f in cells one pixel wide across and `length` long along direction t, at the pixels."""
    c, s = math.cos(t), math.sin(t)
    p, q = y * c - x * s, x * c + y * s
    p, q = p - p.min(), q - q.min()
    n = int(p.max()) + 2
    m = int(q.max() / length) + 2
    sums, counts = np.zeros((n, m)), np.zeros((n, m))
    for i in range(len(x)):
        sums[int(p[i] + 0.5), int(q[i] / length)] += f[i]
        counts[int(p[i] + 0.5), int(q[i] / length)] += 1
    out = np.zeros(len(x))
    for i in range(len(x)):
        a, b = int(p[i] + 0.5), int(q[i] / length)
        out[i] = sums[a, b] / counts[a, b]
    return out


def scores(x: NDArray, y: NDArray, f: NDArray, angles: NDArray) -> NDArray:
    """R2 (n,) of directions t (n,), rad, for values f (N,) of zero mean at pixels x, y (N,)."""
    return _scores(x.astype(float), y.astype(float), f.astype(float), np.asarray(angles, float))


def refine(x: NDArray, y: NDArray, f: NDArray, start: float, *, reach_deg: float = 1.5) -> float:
    """Direction t, rad, of the greatest R2 within `reach_deg` of `start`, to about a hundredth
    of a degree.
    """
    best = start
    for reach, n in ((np.radians(reach_deg), 25), (np.radians(reach_deg) / 8, 13)):
        near = best + np.linspace(-reach, reach, n)
        best = float(near[np.argmax(scores(x, y, f, near))])
    step = np.radians(reach_deg) / 48
    left, middle, right = scores(x, y, f, np.array([best - step, best, best + step]))
    bend = left - 2 * middle + right
    return best + (0.5 * step * (left - right) / bend if bend < 0 else 0.0)


def angle_error(x: NDArray, y: NDArray, f: NDArray, residual: NDArray, t: float) -> float:
    """Standard error of a refined direction, rad, from the curvature of R2 and the noise left
    over, with SAMPLING.
    """
    along = x * np.cos(t) + y * np.sin(t)
    length = max(np.std(along) * np.sqrt(12), 1.0)
    step = 0.5 / length
    offsets = step * np.arange(-2, 3)
    curve = np.polynomial.polynomial.polyfit(offsets, scores(x, y, f, t + offsets) * np.sum(f**2), 2)
    bend = -2 * curve[2]
    variance = np.mean(residual**2) * correlation_volume(x, y, residual)
    return float(np.hypot(np.sqrt(2 * variance / bend), SAMPLING / length)) if bend > 0 else np.pi / 2


def correlation_volume(x: NDArray, y: NDArray, residual: NDArray) -> float:
    """Sum of the autocorrelation of the residual over lags up to LAGS pixels, at least 1."""
    picture = np.zeros((int(np.ptp(y)) + 1, int(np.ptp(x)) + 1))
    there = np.zeros_like(picture)
    place = (y - y.min()).astype(int), (x - x.min()).astype(int)
    picture[place], there[place] = residual, 1.0
    kernel = np.ones((2 * LAGS + 1, 2 * LAGS + 1))
    near = ndimage.convolve(picture, kernel, mode="constant")
    return float(max(np.sum(picture * near) / max(np.sum(picture**2), 1e-300), 1.0))


def profile(x: NDArray, y: NDArray, f: NDArray, t: float) -> tuple[float, NDArray, NDArray]:
    """(p of the first bin, mean of f in each bin of width 1 (n,), pixels in each bin (n,)) of
    direction t, rad.
    """
    return _profile(x.astype(float), y.astype(float), f.astype(float), float(t))


def stripes(x: NDArray, y: NDArray, f: NDArray, t: float) -> NDArray:
    """g(p) (N,) of f at the pixels."""
    x, y = x.astype(float), y.astype(float)
    low, g, _ = _profile(x, y, f.astype(float), float(t))
    return _values(x, y, low, g, float(t))


def local_stripes(x: NDArray, y: NDArray, f: NDArray, t: float) -> NDArray:
    """As `stripes`, but lines may end, fade or drift: means over pieces of PIECE pixels."""
    return _local_means(x.astype(float), y.astype(float), f.astype(float), float(t), PIECE)
