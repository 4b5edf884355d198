"""Disorientation of crystals: the smallest of all symmetry-equivalent misorientations, in compiled loops.

The misorientation of two crystal_to_sample orientations, in the crystal frame, takes vectors of crystal 2 to
crystal 1:

    M = R1^T R2,   m = q1* q2,   equivalent: s1* m s2  for s1 in group 1, s2 in group 2

    theta = min 2 atan2(|v|, |w|)  over the equivalents (w, v) of m.

With one group s1 can be left out: it only turns the axis. The axis returned is the equivalent (under both
groups and under the exchange of the crystals, n -> -n) nearest to a fixed direction inside the standard
triangle, so that equal disorientations get equal axes. atan2 keeps full precision near zero, where arccos of
a cosine does not.

| symbol | meaning | shape |
|---|---|---|
| q1, q2 | crystal_to_sample quaternions, w first | (..., 4) |
| group | rotations of the proper group | (n, 4) |
| theta | disorientation, rad | (...) |

Reference: Morawiec, Orientations and Rotations, Springer 2004, chapter 2.
"""

import math
from typing import TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from cpml.compiled import compiled
from cpml.crystallography.rotations import quaternion_to_matrix

Quaternion: TypeAlias = tuple[float, float, float, float] | NDArray

_TRIANGLE = np.array([0.4, 0.2, 1.0]) / np.linalg.norm([0.4, 0.2, 1.0])
"""Inside the triangle 001-101-111 of 432 and the sector 0-30 deg of 622: no equivalent axis can tie there."""


@compiled
def _multiply(p: Quaternion, q: Quaternion) -> Quaternion:
    return (
        p[0] * q[0] - p[1] * q[1] - p[2] * q[2] - p[3] * q[3],
        p[0] * q[1] + p[1] * q[0] + p[2] * q[3] - p[3] * q[2],
        p[0] * q[2] + p[2] * q[0] + p[3] * q[1] - p[1] * q[3],
        p[0] * q[3] + p[3] * q[0] + p[1] * q[2] - p[2] * q[1],
    )


@compiled
def _best_right(m: Quaternion, group: NDArray) -> tuple[int, float]:
    """Index of the s with the largest |w| of m s."""
    best, largest = 0, -1.0
    for k in range(group.shape[0]):
        w = abs(m[0] * group[k, 0] - m[1] * group[k, 1] - m[2] * group[k, 2] - m[3] * group[k, 3])
        if w > largest:
            best, largest = k, w
    return best, largest


@compiled
def _reduce(q1: NDArray, q2: NDArray, left: NDArray, right: NDArray) -> Quaternion:
    """The equivalent s1* m s2 of m = q1* q2 with the smallest angle, w >= 0."""
    m = _multiply((q1[0], -q1[1], -q1[2], -q1[3]), q2)
    best, largest = m, -1.0
    for i in range(left.shape[0]):
        s = (left[i, 0], -left[i, 1], -left[i, 2], -left[i, 3])
        candidate = _multiply(s, m)
        k, w = _best_right(candidate, right)
        if w > largest + 1e-12:
            largest = w
            best = _multiply(candidate, (right[k, 0], right[k, 1], right[k, 2], right[k, 3]))
    if best[0] < 0:
        best = (-best[0], -best[1], -best[2], -best[3])
    return best


@compiled
def _angle(m: Quaternion) -> float:
    return 2.0 * math.atan2(math.sqrt(m[1] * m[1] + m[2] * m[2] + m[3] * m[3]), abs(m[0]))


@compiled
def _pair_angles(
    q1: NDArray,
    q2: NDArray,
    first: NDArray,
    second: NDArray,
    left: NDArray,
    right: NDArray,
    near: float,
    out: NDArray,
) -> None:
    """Angles; a pair of one phase whose |w| is `near` or more is reduced already (see `nearness`)."""
    for n in range(first.size):
        a, b = q1[first[n]], q2[second[n]]
        if math.isnan(a[0]) or math.isnan(b[0]):
            out[n] = math.nan
            continue
        if left.shape[0] == 1:
            m = _multiply((a[0], -a[1], -a[2], -a[3]), (b[0], b[1], b[2], b[3]))
            if abs(m[0]) >= near:
                out[n] = _angle(m)
                continue
        out[n] = _angle(_reduce(a, b, left, right))


@compiled
def _axis_angles(
    q1: NDArray,
    q2: NDArray,
    left: NDArray,
    right: NDArray,
    turns: NDArray,
    targets: NDArray,
    axes: NDArray,
    angles: NDArray,
) -> None:
    """Angle, and the axis turned back by the s (turns[k]) whose image targets[k]
    of the target is nearest to it.
    """
    for n in range(q1.shape[0]):
        if math.isnan(q1[n, 0]) or math.isnan(q2[n, 0]):
            angles[n], axes[n] = math.nan, math.nan
            continue
        m = _reduce(q1[n], q2[n], left, right)
        angles[n] = _angle(m)
        size = math.sqrt(m[1] * m[1] + m[2] * m[2] + m[3] * m[3])
        if size < 1e-12:
            axes[n] = targets[0]
            continue
        x, y, z = m[1] / size, m[2] / size, m[3] / size
        best, nearest = 0, 0.0
        for k in range(targets.shape[0]):
            dot = x * targets[k, 0] + y * targets[k, 1] + z * targets[k, 2]
            if abs(dot) > abs(nearest):
                best, nearest = k, dot
        sign = 1.0 if nearest > 0 else -1.0
        for j in range(3):
            axes[n, j] = sign * (turns[best, 0, j] * x + turns[best, 1, j] * y + turns[best, 2, j] * z)


_IDENTITY = np.array([[1.0, 0.0, 0.0, 0.0]])


def nearness(group: NDArray) -> float:
    """|w| from which on a misorientation is the smallest of its equivalents: half
    the smallest angle in the group.

    An equivalent m s turns by at least angle(s) - angle(m), so below angle(s)/2 nothing is smaller.
    """
    w = np.abs(np.asarray(group, float)[:, 0])
    largest = w[w < 1 - 1e-9].max(initial=0.0)
    return float(np.cos(np.arccos(largest) / 2))


def _groups(group: NDArray, group2: NDArray | None) -> tuple[NDArray, NDArray]:
    """(left, right) arrays of the kernels: in one phase the left loop is the identity alone."""
    group = np.array(group, float, ndmin=2)
    return (_IDENTITY, group) if group2 is None else (group, np.array(group2, float, ndmin=2))


def _flat_pair(q1: ArrayLike, q2: ArrayLike) -> tuple[NDArray, NDArray, tuple[int, ...]]:
    """Both as (N, 4) after broadcasting, and their common leading shape."""
    a, b = np.broadcast_arrays(np.asarray(q1, float), np.asarray(q2, float))
    return np.array(a.reshape(-1, 4)), np.array(b.reshape(-1, 4)), a.shape[:-1]


def disorientation_angle(
    q1: ArrayLike, q2: ArrayLike, group: NDArray, group2: NDArray | None = None
) -> NDArray:
    """Disorientation of crystals, rad; NaN where an orientation is NaN.

    Parameters
    ----------
    q1, q2 : (..., 4) crystal_to_sample unit quaternions, w first; leading dimensions broadcast
    group : (n, 4) proper group of crystal 1, and of crystal 2 when `group2` is None
    group2 : (m, 4) proper group of crystal 2, another phase

    Returns
    -------
    (...) angle, rad, in [0, pi]

    Examples
    --------
    >>> from cpml.crystallography.symmetry import proper_group
    >>> turned = [np.cos(np.radians(40)), 0, 0, np.sin(np.radians(40))]  # 80 deg about z
    >>> print(f"{np.degrees(disorientation_angle([1, 0, 0, 0], turned, proper_group('432'))):.1f}")
    10.0
    """
    a, b, shape = _flat_pair(q1, q2)
    out, each = np.empty(len(a)), np.arange(len(a))
    left, right = _groups(group, group2)
    _pair_angles(a, b, each, each, left, right, nearness(right), out)
    return out.reshape(shape)


def pair_angles(
    quaternions: NDArray, pairs: NDArray, group: NDArray, *, other: NDArray | None = None
) -> NDArray:
    """Disorientation (P,), rad, of rows pairs[:, 0] of `quaternions` (N, 4) to rows pairs[:, 1] of it or of
    `other`.
    """
    q = np.ascontiguousarray(quaternions, float)
    r = q if other is None else np.ascontiguousarray(other, float)
    first, second = np.ascontiguousarray(pairs[:, 0]), np.ascontiguousarray(pairs[:, 1])
    out = np.empty(len(first))
    left, right = _groups(group, None)
    _pair_angles(q, r, first, second, left, right, nearness(right), out)
    return out


def disorientation_axis_angle(
    q1: ArrayLike, q2: ArrayLike, group: NDArray, group2: NDArray | None = None
) -> tuple[NDArray, NDArray]:
    """Axis (..., 3), unit, crystal frame, folded into the standard triangle, and angle (...), rad.

    Arguments as in `disorientation_angle`. Between two phases the axis is folded by the group of crystal 2
    only. A zero rotation has no axis: the fixed direction inside the triangle is returned.
    """
    a, b, shape = _flat_pair(q1, q2)
    axes, angles = np.empty((len(a), 3)), np.empty(len(a))
    left, right = _groups(group, group2)
    turns = np.ascontiguousarray(quaternion_to_matrix(right))  # the identity comes first
    _axis_angles(a, b, left, right, turns, np.ascontiguousarray(turns @ _TRIANGLE), axes, angles)
    return axes.reshape(*shape, 3), angles.reshape(shape)


@compiled
def _rotation_vectors(q: NDArray, first: NDArray, second: NDArray, group: NDArray, out: NDArray) -> None:
    """Rotation vectors (sample frame, rad) that take q[first] to the nearest symmetry copy of q[second]."""
    for n in range(first.size):
        a, b = q[first[n]], q[second[n]]
        best, w, x, y, z = -1.0, 1.0, 0.0, 0.0, 0.0
        for k in range(group.shape[0]):
            s = group[k]
            c0 = b[0] * s[0] - b[1] * s[1] - b[2] * s[2] - b[3] * s[3]
            c1 = b[0] * s[1] + b[1] * s[0] + b[2] * s[3] - b[3] * s[2]
            c2 = b[0] * s[2] + b[2] * s[0] + b[3] * s[1] - b[1] * s[3]
            c3 = b[0] * s[3] + b[3] * s[0] + b[1] * s[2] - b[2] * s[1]
            dot = c0 * a[0] + c1 * a[1] + c2 * a[2] + c3 * a[3]
            if abs(dot) > best:
                best = abs(dot)
                sign = 1.0 if dot >= 0 else -1.0
                w = best
                x = sign * (-c0 * a[1] + c1 * a[0] - c2 * a[3] + c3 * a[2])
                y = sign * (-c0 * a[2] + c2 * a[0] - c3 * a[1] + c1 * a[3])
                z = sign * (-c0 * a[3] + c3 * a[0] - c1 * a[2] + c2 * a[1])
        size = np.sqrt(x * x + y * y + z * z)
        scale = 2.0 if size < 1e-12 else 2.0 * np.arctan2(size, w) / size
        out[n, 0], out[n, 1], out[n, 2] = scale * x, scale * y, scale * z


def rotation_vectors(quaternions: ArrayLike, first: ArrayLike, second: ArrayLike, group: NDArray) -> NDArray:
    """(P, 3) rotation vectors, rad, sample frame, of the smallest rotations from
    crystals `first` to `second`.

    Parameters
    ----------
    quaternions : (N, 4) crystal_to_sample
    first, second : (P,) rows of it
    group : (n, 4) proper group
    """
    start, end = (np.ascontiguousarray(i, np.int64) for i in (first, second))
    out = np.empty((len(start), 3))
    q = np.ascontiguousarray(quaternions, float)
    _rotation_vectors(q, start, end, np.array(group, float), out)
    return out
