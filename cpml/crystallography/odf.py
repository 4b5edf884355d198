"""Orientation distribution function (ODF) on the rotation group, as a sum of kernels over orientations.

    f(g) = sum_i w_i 1/|S| sum_s K(angle(g, g_i s)),    sum w_i = 1,    s in the proper group S of the crystal
    K(t) = C cos^(2 kappa)(t/2),    C = B(3/2, 1/2) / B(3/2, kappa + 1/2)        (de la Vallee Poussin)
    b:     K(b) = K(0)/2,           kappa = ln(1/2) / (2 ln cos(b/2))

K and f have mean 1 over all rotations: f counts in multiples of a random distribution. The half-width b is
the one under which every orientation is most probable given the others (leave-one-out likelihood):

    score(b) = sum_i w_i ln f_-i(g_i),     f_-i without the orientations of i's group

Points of one grain, and twins of one parent, are not independent and belong to one group. The texture index
is the mean of f^2,

    J = sum_ij w_i w_j 1/|S| sum_s (K*K)(angle(g_i, g_j s)),    K*K = sum_l a_l^2/(2 l + 1) chi_l,

1 for a random texture; random ones give J_0 = 1 + sum w_i^2 (sum_s (K*K)(angle(s))/|S| - 1).

| symbol | meaning | unit, shape |
|---|---|---|
| g_i | orientations, crystal_to_sample quaternions, w first | (N, 4) |
| w_i | weights, e.g. grain areas, sum 1 | (N,) |
| b | half-width | deg |
| kappa | exponent of the kernel | - |

References: Schaeben 1997, Phys. Stat. Sol. B 200:367 (kernel); Hall, Watson & Cabrera 1987, Biometrika 74:751
(likelihood of kernel estimates on spheres); Bunge 1982, Texture Analysis in Materials Science (J).
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import betainc, betaln

from cpml.compiled import compiled
from cpml.crystallography.rotations import euler_to_quaternion, quaternion_multiply
from cpml.crystallography.symmetry import proper_group
from cpml.errors import ParameterError

HALFWIDTHS_DEG = (2.0, 2.8, 4.0, 5.0, 6.3, 8.0, 10.0, 12.5, 16.0, 20.0, 25.0, 32.0, 40.0, 50.0, 64.0)
"""Half-widths that are tried."""
MOST_FOR_CHOICE = 2000
"""Orientations of which every pair is looked at; of more, as many are taken evenly and b is made narrower."""
MOST_FOR_VALUES = 10_000
"""Orientations that f is summed over; of more, as many are taken evenly."""
NEGLIGIBLE = 1e-7
"""Share of K(0) below which a kernel is taken for zero where f is evaluated."""
GATHERED = 1000
"""From so many orientations on, those within a sixth of the half-width are one where f is evaluated, which
widens the kernel by 0.2 %.
"""


def kernel_exponent(halfwidth_deg: float) -> float:
    """kappa of a half-width.

    Examples
    --------
    >>> round(kernel_exponent(10.0), 1)
    90.9
    """
    if not 0 < halfwidth_deg < 180:
        raise ParameterError(f"half-width {halfwidth_deg} deg: give one between 0 and 180")
    return float(np.log(0.5) / (2 * np.log(np.cos(np.radians(halfwidth_deg) / 2))))


def kernel(angle_deg: ArrayLike, halfwidth_deg: float) -> NDArray:
    """de la Vallee Poussin kernel (...), mean 1 over all rotations, of rotation angles (...)."""
    kappa = kernel_exponent(halfwidth_deg)
    return np.exp(_log_constant(kappa)) * np.cos(np.radians(angle_deg) / 2) ** (2 * kappa)


def kernel_share(angle_deg: ArrayLike, halfwidth_deg: float) -> NDArray:
    """Share (...) of a kernel within an angle (...) of its centre."""
    return betainc(1.5, kernel_exponent(halfwidth_deg) + 0.5, np.sin(np.radians(angle_deg) / 2) ** 2)


def _log_constant(kappa: float) -> float:
    return float(betaln(1.5, 0.5) - betaln(1.5, kappa + 0.5))


def _coefficients(kappa: float) -> NDArray:
    """a_l of K = sum a_l chi_l, chi_l(t) = sin((2 l + 1) t/2) / sin(t/2), up to where they vanish."""
    order = int(np.ceil(8 * np.sqrt(kappa))) + 8
    t, weight = np.polynomial.legendre.leggauss(6 * order + 40)
    t, weight = (t + 1) * np.pi / 2, weight * np.pi / 2
    value = np.exp(_log_constant(kappa) + 2 * kappa * np.log(np.cos(t / 2))) * np.sin(t / 2) * weight
    return np.array([2 / np.pi * np.sum(value * np.sin((2 * k + 1) * t / 2)) for k in range(order)])


@dataclass(frozen=True, eq=False)
class Odf:
    """A kernel estimate (module docstring); made by `estimate_odf`.

    Attributes
    ----------
    group : name of the proper point group
    quaternions, weights : (N, 4), (N,) with sum 1
    halfwidth_deg : half-width of the kernel
    scores : half-width -> score, of those that were compared; empty where it was given
    """

    group: str
    quaternions: NDArray
    weights: NDArray
    halfwidth_deg: float
    scores: dict[float, float]

    @cached_property
    def _copies(self) -> NDArray:
        """(|S|, N, 4) the orientations in all equivalent ways."""
        return np.stack([quaternion_multiply(self.quaternions, s) for s in proper_group(self.group)])

    def evaluate(self, quaternions: ArrayLike) -> NDArray:
        """f (...) at orientations (..., 4), in multiples of a random distribution."""
        q = np.asarray(quaternions, float)
        kappa, out = kernel_exponent(self.halfwidth_deg), np.zeros(q.size // 4)
        centres, weights = self._centres
        square = np.linspace(NEGLIGIBLE ** (1 / kappa), 1, 4097)
        _sum_kernels(np.ascontiguousarray(q.reshape(-1, 4)), centres, weights, square[0], square**kappa, out)
        return out.reshape(q.shape[:-1]) * np.exp(_log_constant(kappa)) / len(proper_group(self.group))

    @cached_property
    def _centres(self) -> tuple[NDArray, NDArray]:
        """Orientations (M, 4) in all equivalent ways, near ones gathered, and weights (M,)."""
        q, w = self.quaternions, self.weights
        if len(q) > GATHERED:
            q, w = _gather(self._copies, w, np.radians(self.halfwidth_deg) / 6)
            part = _evenly(len(q), MOST_FOR_VALUES)
            q, w = q[part], w[part] / w[part].sum()
        group = proper_group(self.group)
        every = np.concatenate([quaternion_multiply(q, s) for s in group])
        return np.ascontiguousarray(every), np.tile(w, len(group))

    @cached_property
    def texture_index(self) -> float:
        """J, the mean of f^2; of many orientations from those of MOST_FOR_CHOICE to all."""
        part = _evenly(len(self.weights), MOST_FOR_CHOICE)
        # linear in the sine of the half angle, which is fine near zero
        value = np.interp(2 * np.arcsin(np.linspace(0, 1, 4001)), *self._convolved)
        size = np.zeros(1)
        _pair_sum(self.quaternions[part], self.weights[part], self._copies, self.weights, value, size)
        return float(size[0] / len(self._copies) / self.weights[part].sum())

    @cached_property
    def chance_index(self) -> float:
        """J_0, what as many orientations with these weights give in a random texture."""
        turn = 2 * np.arccos(np.minimum(np.abs(proper_group(self.group)[:, 0]), 1))
        itself = np.mean(np.interp(turn, *self._convolved))
        return float(1 + np.sum(self.weights**2) * (itself - 1))

    @cached_property
    def _convolved(self) -> tuple[NDArray, NDArray]:
        """Angles, rad, ascending, and K*K there."""
        a = _coefficients(kernel_exponent(self.halfwidth_deg))
        angle = np.linspace(0, np.pi, 8001)
        half = np.maximum(angle / 2, 1e-9)
        value = sum(
            a[k] ** 2 / (2 * k + 1) * np.sin((2 * k + 1) * half) / np.sin(half) for k in range(len(a))
        )
        return angle, np.asarray(value)

    def grid(self, step_deg: float = 5.0) -> NDArray:
        """Bunge angles (n_phi1, n_Phi, n_phi2, 3), deg, of a regular grid over the part of the rotations that
        the axes of the crystal along z and across it leave distinct; phi1 is whole.

        Raises
        ------
        ParameterError : a step that does not divide 90, 120 and 180 deg
        """
        if not step_deg > 0 or any(round(a / step_deg, 9) % 1 for a in (60, 90)):
            raise ParameterError(f"step {step_deg} deg: give a divisor of 30 deg, such as 5 or 2.5")
        turns = proper_group(self.group)
        about_z = np.sum(np.hypot(turns[:, 1], turns[:, 2]) < 1e-9)
        is_two_sided = np.any(np.abs(turns[:, [0, 3]]).max(axis=1) < 1e-9)
        phi1 = np.arange(0, 360 - step_deg / 2, step_deg)
        phi = np.arange(0, (90 if is_two_sided else 180) + step_deg / 2, step_deg)
        phi2 = np.arange(0, 360 / about_z - step_deg / 2, step_deg)
        return np.stack(np.meshgrid(phi1, phi, phi2, indexing="ij"), axis=-1)

    def on_grid(self, step_deg: float = 5.0) -> tuple[NDArray, NDArray]:
        """Angles of `grid` and f (n_phi1, n_Phi, n_phi2) there."""
        angles = self.grid(step_deg)
        return angles, self.evaluate(euler_to_quaternion(np.radians(angles)))

    def volume_fraction(self, quaternion: ArrayLike, radius_deg: float, *, n: int = 4096) -> float:
        """Share of the volume within an angle of an orientation (4,) or of one equivalent to it.

        Parameters
        ----------
        n : even points of the ball at which f is looked at: an error of 1 % where f varies by 2

        Raises
        ------
        ParameterError : a radius outside 0 to 180 deg
        """
        if not 0 < radius_deg <= 180:
            raise ParameterError(f"radius {radius_deg} deg: give one between 0 and 180")
        radius, group = np.radians(radius_deg), proper_group(self.group)
        centre = np.asarray(quaternion, float) / np.linalg.norm(quaternion)
        points = quaternion_multiply(_ball(radius, n), centre)
        # where the balls of several equivalents overlap, each point is one of several
        equivalents = np.stack([quaternion_multiply(centre, s) for s in group])
        inside = np.sum(np.abs(points @ equivalents.T) >= np.cos(radius / 2) - 1e-12, axis=1)
        volume = len(group) * (radius - np.sin(radius)) / np.pi
        return float(volume * np.mean(self.evaluate(points) / np.maximum(inside, 1)))


def estimate_odf(
    quaternions: ArrayLike,
    *,
    group: str,
    weights: ArrayLike | None = None,
    groups: ArrayLike | None = None,
    halfwidth_deg: float | None = None,
) -> Odf:
    """ODF of orientations.

    Parameters
    ----------
    quaternions : (N, 4) crystal_to_sample, w first; rows with NaN are left out
    group : name of the proper point group, e.g. "432"
    weights : (N,) not negative, e.g. grain areas; None: all alike
    groups : (N,) orientations that are left out together where the half-width is chosen, e.g. the grain of
        every fragment; None: each by itself
    halfwidth_deg : half-width of the kernel; None: the best of HALFWIDTHS_DEG

    Raises
    ------
    ParameterError : no orientation with a positive weight, lengths that disagree, or fewer than two groups to
        choose a half-width from
    """
    q = np.asarray(quaternions, float).reshape(-1, 4)
    w = np.ones(len(q)) if weights is None else np.asarray(weights, float)
    member = np.arange(len(q)) if groups is None else np.unique(np.asarray(groups), return_inverse=True)[1]
    if not len(q) == len(w) == len(member):
        raise ParameterError(f"{len(q)} orientations, {len(w)} weights and {len(member)} groups")
    known = np.isfinite(q).all(axis=1) & (w > 0)
    if not known.any() or np.any(w < 0):
        raise ParameterError(
            "no orientation with a positive weight, or a negative one: there is no ODF of these"
        )
    q = q[known] / np.linalg.norm(q[known], axis=1, keepdims=True)
    w, member = w[known] / w[known].sum(), member[known]
    if halfwidth_deg is not None:
        kernel_exponent(halfwidth_deg)
        return Odf(group, q, w, float(halfwidth_deg), {})
    best, scores = _choose(q, w, member, group)
    return Odf(group, q, w, best, scores)


def _choose(q: NDArray, w: NDArray, member: NDArray, group: str) -> tuple[float, dict[float, float]]:
    """The half-width of the highest score, refined by a parabola, and the scores."""
    if len(np.unique(member)) < 2:
        raise ParameterError(
            "one grain tells no half-width: give halfwidth_deg, or orientations of several grains"
        )
    part = _evenly(len(q), MOST_FOR_CHOICE)
    kappa = np.array([kernel_exponent(b) for b in HALFWIDTHS_DEG])
    constant = np.exp([_log_constant(k) for k in kappa]) / len(proper_group(group))
    copies = np.stack([quaternion_multiply(q[part], s) for s in proper_group(group)])
    density = np.zeros((len(part), len(kappa)))
    rest = np.zeros(len(part))
    _leave_out(q[part], copies, w[part], member[part], kappa, density, rest)
    usable = rest > 0
    density = density[usable] * constant / rest[usable, None]
    score = w[part][usable] @ np.log(np.maximum(density, 1e-300)) / w[part][usable].sum()
    top = int(np.argmax(score))
    b = np.log(HALFWIDTHS_DEG)
    best = b[top]
    if 0 < top < len(b) - 1:
        c = np.polyfit(b[top - 1 : top + 2] - b[top], score[top - 1 : top + 2], 2)
        best += np.clip(-c[1] / (2 * c[0]), b[top - 1] - b[top], b[top + 1] - b[top]) if c[0] < 0 else 0.0
    # the best width of a kernel in three dimensions falls with the seventh root of their number
    best += np.log(len(part) / len(q)) / 7
    return float(np.exp(best)), dict(zip(HALFWIDTHS_DEG, score.tolist(), strict=True))


def _evenly(n: int, most: int) -> NDArray:
    """Numbers of at most `most` of n things, evenly."""
    return np.unique(np.linspace(0, n - 1, most).astype(int))


def _ball(radius: float, n: int) -> NDArray:
    """(n, 4) rotations evenly within an angle, rad: angles by their share of the volume, axes by a spiral."""
    grid = np.linspace(0, radius, 2000)
    share = (np.arange(n) + 0.5) / n
    angle = np.interp(share * (radius - np.sin(radius)), grid - np.sin(grid), grid)
    golden = (np.sqrt(5) - 1) / 2  # the second coordinate of an even net whose first is the angle's
    z = 2 * ((np.arange(n) * golden) % 1) - 1
    azimuth = 2 * np.pi * ((np.arange(n) * 0.7548776662466927) % 1)
    axis = np.stack([np.sqrt(1 - z**2) * np.cos(azimuth), np.sqrt(1 - z**2) * np.sin(azimuth), z], axis=1)
    return np.concatenate([np.cos(angle / 2)[:, None], np.sin(angle / 2)[:, None] * axis], axis=1)


def _gather(copies: NDArray, w: NDArray, size: float) -> tuple[NDArray, NDArray]:
    """Means (M, 4) and weights (M,) of orientations (|S|, N, 4) in one cell, rad, of the fundamental zone."""
    nearest = np.abs(copies[..., 0]).argmax(axis=0)
    q = np.take_along_axis(copies, nearest[None, :, None], axis=0)[0]
    q = np.where(q[:, :1] < 0, -q, q)
    cell = np.unique(np.round(2 * q[:, 1:] / size).astype(np.int64), axis=0, return_inverse=True)[1].ravel()
    total = np.bincount(cell, w)
    mean = np.stack([np.bincount(cell, w * c) for c in q.T], axis=1)
    return mean / np.linalg.norm(mean, axis=1, keepdims=True), total


@compiled
def _sum_kernels(points, centres, weights, least, table, out):
    """sum_i w_i K(t) at each point, K linearly from its table over cos^2(t/2) from `least` to 1."""
    steps = table.size - 1
    scale = steps / (1.0 - least)
    for i in range(points.shape[0]):
        total = 0.0
        p0, p1, p2, p3 = points[i, 0], points[i, 1], points[i, 2], points[i, 3]
        for j in range(centres.shape[0]):
            c = p0 * centres[j, 0] + p1 * centres[j, 1] + p2 * centres[j, 2] + p3 * centres[j, 3]
            c *= c
            if c > least:
                place = (c - least) * scale
                at = min(int(place), steps - 1)
                total += weights[j] * (table[at] + (place - at) * (table[at + 1] - table[at]))
        out[i] = total


@compiled
def _pair_sum(q, weights, copies, all_weights, value, size):
    """sum_ij w_i w_j sum_s value(sin(t/2)), linearly between values at equal steps of the sine."""
    steps = value.size - 1
    for i in range(q.shape[0]):
        total = 0.0
        for s in range(copies.shape[0]):
            for j in range(copies.shape[1]):
                c = 0.0
                for k in range(4):
                    c += q[i, k] * copies[s, j, k]
                place = np.sqrt(max(1.0 - c * c, 0.0)) * steps
                at = min(int(place), steps - 1)
                total += all_weights[j] * (value[at] + (place - at) * (value[at + 1] - value[at]))
        size[0] += weights[i] * total


@compiled
def _leave_out(q, copies, weights, member, kappa, density, rest):
    """Kernel sums (N, B) at every orientation over those of other groups, and the weights of these (N,)."""
    n, one = q.shape[0], np.empty(kappa.size)
    for i in range(n):
        for j in range(i + 1, n):
            if member[i] == member[j]:
                continue
            one[:] = 0.0
            for s in range(copies.shape[0]):
                c = 0.0
                for k in range(4):
                    c += q[i, k] * copies[s, j, k]
                if c * c > 1e-30:
                    log_c = np.log(min(c * c, 1.0))
                    for b in range(kappa.size - 1, -1, -1):  # wide kernels first: narrower ones are smaller
                        power = kappa[b] * log_c
                        if power < -200.0:
                            break
                        one[b] += np.exp(power)
            for b in range(kappa.size):
                density[i, b] += weights[j] * one[b]
                density[j, b] += weights[i] * one[b]
            rest[i] += weights[j]
            rest[j] += weights[i]
