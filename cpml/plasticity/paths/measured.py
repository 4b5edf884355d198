"""Modulus, plastic strain and yield stress of a measured stress-strain curve, by fits.

The elastic part is a straight line between what the grips do to the first points (slack, a preload) and the
knee. It is the steepest part that is straight: of all windows that take up SPAN of the stress up to the end
of the knee, the one with the largest lower bound of its slope,

    E - 2 s_E,      s_E = s / sqrt(sum (strain - mean)^2),      s^2 from the residuals, at least the noise

grown as long as further points lie on its line. Its zero is where the line meets zero stress, as in the toe
compensation of tensile standards, so that slack, preload and a gauge that was zeroed late shift nothing:

    plastic strain p = strain - zero - stress / E

The 0.2 % yield stress is the stress at p = 0.002: interpolated where the curve is smooth, else the value
there of a + b ln p + c p (b or c zero where the Bayesian information criterion prefers it), fitted to the
longest part around it whose value lies in the intervals of all shorter ones. Points of unloading (strain
below what was reached before) and what follows a fracture are left out.

| symbol | meaning | unit |
|---|---|---|
| strain, stress | true, of one axis, tension or compression | -, MPa |
| E | slope of the elastic part; with the strain of the crosshead it is that of specimen and machine | MPa |
| noise | of one stress: distance of a point to the chord of its neighbours, median | MPa |

References: ASTM E8/E8M (yield by offset, toe compensation); ASTM E111 and E3076 (slope of the linear part);
Graham & Adler 2011, J. Test. Eval. 39:561 (slope from all windows of a record); Goldenshluger &
Nemirovski 1997, Math. Methods Stat. 6:135 (length of the fit by intersection of intervals).
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cpml.errors import CpmlError

OFFSET = 0.002
"""Plastic strain at which the yield stress is taken."""
SPAN = 0.2
"""Least share of the stress at OFFSET that the elastic part takes up."""
BLOCKS = 100
"""Points that windows are tried on; longer records are averaged to so many."""
HIGHEST_START = 0.5
"""Share of the yield stress at which a curve may begin: above, most of its elastic part is missing."""
PLAUSIBLE_MPA = (3e3, 2e6)
"""Slopes of elastic parts: a lead rod in a soft machine, and beyond diamond."""
SMOOTH = 2e-3
"""Noise over stress up to which a curve is interpolated."""
REACHES = ((1.7, 2.0), (2.0, 3.0), (2.0, 4.0), (2.5, 6.0), (2.5, 10.0))
"""Part of the offset, and multiple of it, between which a noisy curve is fitted."""
INTERVAL = 1.5
"""Standard errors by which the fit of a longer part may leave those of shorter ones."""
FEWEST_FOR_FIT = 8
FARTHEST_BACK = 0.01
"""Strain that no unloading takes back while half of the stress is still there."""
RUN_BACK = 1e-3
"""Plastic strain that reverse loading or rows out of order, but no unloading, take back."""
FEWEST = 4
FEWEST_FOR_NOISE = 12


@dataclass(frozen=True)
class ElasticLine:
    """Elastic part of a curve.

    Attributes
    ----------
    modulus_mpa : its slope
    modulus_error_mpa : standard error of the slope, NaN for two points
    zero_strain : where it meets zero stress
    n_points : of the curve on it
    lowest_mpa, highest_mpa : stress between which it was fitted
    noise_mpa : of one stress
    """

    modulus_mpa: float
    modulus_error_mpa: float
    zero_strain: float
    n_points: int
    lowest_mpa: float
    highest_mpa: float
    noise_mpa: float

    def plastic_strain(self, strain: NDArray, stress: NDArray) -> NDArray:
        """Strain less the elastic strain and the zero of the line."""
        return strain - self.zero_strain - stress / self.modulus_mpa


def elastic_line(curve: pd.DataFrame) -> ElasticLine:
    """Elastic part of a stress-strain curve; strain and stress of compression count as positive.

    Parameters
    ----------
    curve : true_strain, true_stress_mpa, in the order of the test

    Raises
    ------
    CpmlError : fewer than four points, values that are no numbers, strain that runs back, no elastic part
    """
    strain, stress = loading(curve)
    return _line(strain, stress)


def loading(curve: pd.DataFrame) -> tuple[NDArray, NDArray]:
    """Strain and stress (positive) of a curve without unloading and without what follows a fracture."""
    strain, stress = (curve[name].to_numpy(float) for name in ("true_strain", "true_stress_mpa"))
    if len(strain) < FEWEST:
        raise CpmlError(
            f"stress-strain curve has {len(strain)} points: at least four are needed to find the yield stress"
        )
    bad = np.flatnonzero(~np.isfinite(strain) | ~np.isfinite(stress))
    if len(bad):
        raise CpmlError(f"stress-strain curve, point {bad[0] + 1}: not two numbers")
    strain, stress = (v * np.sign(v[np.argmax(np.abs(v))]) for v in (strain, stress))
    if not strain.max() > 0 or not stress.max() > 0:
        raise CpmlError("stress-strain curve: stress or strain are zero throughout")
    last = len(stress) - int(np.argmax(stress[::-1] > stress.max() / 2))
    strain, stress = strain[:last], stress[:last]
    back = np.maximum.accumulate(strain) - strain
    unloaded = np.maximum.accumulate(stress) / 2 > stress
    wrong = np.flatnonzero((back > FARTHEST_BACK) & ~unloaded)
    if len(wrong):
        raise CpmlError(
            f"stress-strain curve, point {wrong[0] + 1}: the strain runs back by {back[wrong[0]]:.4f} under "
            "load; "
            "give the first loading alone, in the order of the test"
        )
    kept = _envelope(strain)
    line = _line(strain[kept], stress[kept])
    plastic = line.plastic_strain(strain, stress)
    back = np.maximum.accumulate(plastic) - plastic
    allowed = RUN_BACK + 8 * line.noise_mpa / line.modulus_mpa
    if back.max() > allowed:
        k = int(np.argmax(back > allowed))
        raise CpmlError(
            f"stress-strain curve, point {k + 1}: the plastic strain runs back by {back[k]:.4f}; give the "
            "first loading alone, in the order of the test"
        )
    return strain[kept], stress[kept]


def offset_stress(curve: pd.DataFrame, offset: float = OFFSET) -> float:
    """Stress (MPa, positive) at a plastic strain of `offset`.

    Raises
    ------
    CpmlError : as `elastic_line`; the curve ends before the offset
    """
    strain, stress = loading(curve)
    line = _line(strain, stress)
    plastic = line.plastic_strain(strain, stress)
    passed = np.flatnonzero(plastic >= offset)
    if not len(passed):
        raise CpmlError(
            f"stress-strain curve ends at {strain[-1]:.4f}, before a plastic strain of {offset}: "
            "no yield stress"
        )
    i = max(passed[0], 1)
    t = (offset - plastic[i - 1]) / (plastic[i] - plastic[i - 1])
    crossing = float(stress[i - 1] + t * (stress[i] - stress[i - 1]))
    if line.noise_mpa <= SMOOTH * crossing:
        return crossing
    low, high, value = -np.inf, np.inf, crossing
    for below, beyond in REACHES:
        near = (plastic > offset / below) & (plastic < offset * beyond)
        if near.sum() < FEWEST_FOR_FIT:
            continue
        x, y = plastic[near] / offset, stress[near]
        fits = [_fitted(x, y, terms) for terms in ((np.log,), (np.log, _less_one), (_less_one,))]
        wider, share, _ = min(fits, key=lambda fit: fit[2])
        error = INTERVAL * share * line.noise_mpa
        low, high = max(low, wider - error), min(high, wider + error)
        if low > high:
            break
        value = wider
    return value


def _fitted(x: NDArray, y: NDArray, terms: tuple) -> tuple[float, float, float]:
    """Value at x = 1 of a fit of a constant and `terms`, its standard error over the noise of one point, and
    the Bayesian information criterion.
    """
    matrix = np.stack([np.ones(len(x)), *(term(x) for term in terms)], axis=1)
    inverse = np.linalg.pinv(matrix.T @ matrix)
    fit = inverse @ (matrix.T @ y)
    n, k = matrix.shape
    criterion = n * np.log(np.sum((matrix @ fit - y) ** 2) / n) + k * np.log(n)
    return float(fit[0]), float(np.sqrt(inverse[0, 0])), float(criterion)


def _less_one(x: NDArray) -> NDArray:
    return x - 1


def _envelope(strain: NDArray) -> NDArray:
    """(N,) bool, points whose strain is not below what was reached before, but for its noise."""
    return np.maximum.accumulate(strain) - strain <= 4 * _strain_noise(strain) + 1e-12


def _strain_noise(strain: NDArray) -> float:
    """Noise of one strain from the second differences of a record."""
    return float(1.4826 * np.median(np.abs(np.diff(strain, 2))) / np.sqrt(6))


def _noise(strain: NDArray, stress: NDArray) -> float:
    """Noise of one stress from its distance to the chord of its neighbours; 0 where most of few points lie on
    the knee.
    """
    if len(stress) < FEWEST_FOR_NOISE:
        return 0.0
    a, b, c = strain[:-2], strain[1:-1], strain[2:]
    t = np.clip(np.divide(b - a, c - a, out=np.full(len(a), 0.5), where=c != a), 0, 1)
    away = stress[1:-1] - (1 - t) * stress[:-2] - t * stress[2:]
    return float(1.4826 * np.median(np.abs(away) / np.sqrt(1 + t**2 + (1 - t) ** 2)))


def _windows(x: NDArray, y: NDArray, noise: tuple[float, float]) -> tuple[NDArray, NDArray, NDArray, NDArray]:
    """First and last point of every window, its slope and the standard error of that."""
    i, j = np.triu_indices(len(x), 1)
    sums = [np.r_[0.0, np.cumsum(v)] for v in (x, y, x * x, x * y, y * y)]
    sx, sy, sxx, sxy, syy = (s[j + 1] - s[i] for s in sums)
    n = j - i + 1
    vx, vxy, vy = sxx - sx**2 / n, sxy - sx * sy / n, syy - sy**2 / n
    with np.errstate(divide="ignore", invalid="ignore"):
        slope = vxy / vx
        residual = np.sqrt(np.maximum(vy - vxy * slope, 0) / np.maximum(n - 2, 1))
        return i, j, slope, np.maximum(residual, np.hypot(noise[1], slope * noise[0])) / np.sqrt(vx)


def _line(strain: NDArray, stress: NDArray) -> ElasticLine:
    """Elastic part of loading points."""
    noise = _noise(strain, stress)
    end = len(strain)
    while True:
        # a long record is coarse at first: where does its knee end?
        rough, last = _steepest(strain[:end], stress[:end], noise, fewest=2)
        beyond = last + np.flatnonzero(rough.plastic_strain(strain, stress)[last:] > 1.5 * OFFSET)
        nearer = max(int(beyond[0]) + 1, FEWEST) if len(beyond) else len(strain)
        if nearer >= 0.9 * end:
            break
        end = nearer
    line, _ = _steepest(strain[:end], stress[:end], noise, fewest=FEWEST)
    low, high = PLAUSIBLE_MPA
    if not low < line.modulus_mpa < high:
        raise CpmlError(
            f"stress-strain curve: its steepest part has {line.modulus_mpa / 1e3:.3g} GPa, the modulus of no "
            "metal; is the strain in percent, the stress in another unit, or the elastic part left out?"
        )
    reached = stress[:end].max()
    if stress[0] > HIGHEST_START * reached:
        raise CpmlError(
            f"stress-strain curve starts at {stress[0]:.0f} MPa, {stress[0] / reached:.0%} of its yield "
            "stress: without its elastic part there is no plastic strain; give the curve from the "
            "start of the test"
        )
    return line


def _steepest(strain: NDArray, stress: NDArray, noise: float, *, fewest: int) -> tuple[ElasticLine, int]:
    """The steepest straight part of a curve, of at least so many points where they are noisy; and its last
    point.
    """
    edges = np.linspace(0, len(strain), min(len(strain), BLOCKS) + 1).astype(int)
    x, y = (np.add.reduceat(values, edges[:-1]) / np.diff(edges) for values in (strain, stress))
    # numbers near one, so that sums of squares keep their digits
    scale = np.ptp(x) or 1.0, np.ptp(y) or 1.0
    is_noisy = noise > SMOOTH * scale[1]
    per_block = np.sqrt(max(len(stress) / len(y), 1.0))
    # steps of a smooth record differ for other reasons than noise
    of_block = (_strain_noise(strain) * is_noisy / scale[0] / per_block, noise / scale[1] / per_block)
    u, v = (x - x[0]) / scale[0], (y - y[0]) / scale[1]
    i, j, slope, error = _windows(u, v, of_block)
    usable = np.isfinite(slope) & (v[j] - v[i] >= SPAN) & (u[j] > u[i])
    enough = usable & (j - i + 1 >= fewest)
    usable = enough if is_noisy and enough.any() else usable
    bound = np.where(usable, slope - 2 * error, -np.inf)
    if not np.isfinite(bound).any():
        raise CpmlError("stress-strain curve: the stress does not rise with the strain; check the columns")
    first, last = int(i[bound.argmax()]), int(j[bound.argmax()])
    if fewest > 2:
        first, last = _grown(u, v, first, last, of_block)
    e, s = (values[edges[first] : edges[last + 1]] for values in (strain, stress))
    # both are noisy: the geometric mean of the regressions of one on the other
    modulus = float(np.std(s) / np.std(e))
    residual = s - s.mean() - modulus * (e - e.mean())
    n = len(e)
    sd = np.sqrt(np.sum(residual**2) / (n - 2)) / np.sqrt(np.sum((e - e.mean()) ** 2)) if n > 2 else np.nan
    zero = float(e.mean() - s.mean() / modulus)
    line = ElasticLine(modulus, float(sd), zero, n, float(s.min()), float(s.max()), noise)
    return line, int(edges[last + 1]) - 1


def _grown(u: NDArray, v: NDArray, first: int, last: int, noise: tuple[float, float]) -> tuple[int, int]:
    """First and last point of a window after further points on its line have joined it."""
    while True:
        a, b = u[first : last + 1], v[first : last + 1]
        slope = float(np.polyfit(a, b, 1)[0])
        level = b.mean() - slope * a.mean()
        spread = np.hypot(noise[1], slope * noise[0])
        room = np.sum((a - a.mean()) ** 2)
        grown = False
        for k in (first - 1, last + 1):
            if 0 <= k < len(u):
                error = spread * np.sqrt(1 + 1 / len(a) + (u[k] - a.mean()) ** 2 / room)
                if abs(v[k] - slope * u[k] - level) <= 2 * error + 1e-3:
                    first, last, grown = min(first, k), max(last, k), True
        if not grown:
            return first, last
