"""Unit quaternions (w first) and their conversions, numpy.

A quaternion q here is a `crystal_to_sample` rotation: v_sample = R(q) v_crystal, with

    R(q) v = q v q*,   q = (cos(t/2), sin(t/2) axis).

Bunge angles (phi1, Phi, phi2) give R = Rz(phi1) Rx(Phi) Rz(phi2) (active), the transpose of the sample ->
crystal matrix g of texture books; orix stores g, so its quaternion is the conjugate of ours.

| symbol | meaning | shape |
|---|---|---|
| q, p | unit quaternions, w first | (..., 4) |
| R | crystal_to_sample matrix | (..., 3, 3) |
| euler | phi1, Phi, phi2, rad | (..., 3) |

Reference: Rowenhorst et al. 2015, Modelling Simul. Mater. Sci. Eng. 23:083501.
"""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray


def quaternion_multiply(p: ArrayLike, q: ArrayLike) -> NDArray:
    """Product p q, (..., 4): the rotation q first, then p."""
    p, q = np.asarray(p, float), np.asarray(q, float)
    a, b, c, d = np.moveaxis(p, -1, 0)
    w, x, y, z = np.moveaxis(q, -1, 0)
    return np.stack(
        [
            a * w - b * x - c * y - d * z,
            a * x + b * w + c * z - d * y,
            a * y - b * z + c * w + d * x,
            a * z + b * y - c * x + d * w,
        ],
        axis=-1,
    )


def quaternion_conjugate(q: ArrayLike) -> NDArray:
    """Inverse rotation of a unit quaternion, (..., 4)."""
    return np.asarray(q, float) * np.array([1.0, -1.0, -1.0, -1.0])


def matrix_entries(w: Any, x: Any, y: Any, z: Any) -> list[Any]:
    """The nine entries, row by row, of the rotation matrix of a unit quaternion; arrays and tensors alike."""
    return [
        1 - 2 * (y * y + z * z),
        2 * (x * y - w * z),
        2 * (x * z + w * y),
        2 * (x * y + w * z),
        1 - 2 * (x * x + z * z),
        2 * (y * z - w * x),
        2 * (x * z - w * y),
        2 * (y * z + w * x),
        1 - 2 * (x * x + y * y),
    ]


def quaternion_to_matrix(q: ArrayLike) -> NDArray:
    """Rotation matrix (..., 3, 3) of unit quaternions (..., 4); R(pq) = R(p) R(q)."""
    rows = matrix_entries(*np.moveaxis(np.asarray(q, float), -1, 0))
    matrix = np.stack(rows, axis=-1)
    return matrix.reshape((*matrix.shape[:-1], 3, 3))


def matrix_to_quaternion(matrix: ArrayLike) -> NDArray:
    """Unit quaternion (..., 4), w >= 0, of rotation matrices (..., 3, 3); exact at 180 degrees too.

    The row of 4 q q^T with the largest diagonal is normalised, so no division by a small number occurs.
    """
    m = np.asarray(matrix, float)
    m00, m11, m22 = m[..., 0, 0], m[..., 1, 1], m[..., 2, 2]
    wx, wy, wz = m[..., 2, 1] - m[..., 1, 2], m[..., 0, 2] - m[..., 2, 0], m[..., 1, 0] - m[..., 0, 1]
    xy, xz, yz = m[..., 0, 1] + m[..., 1, 0], m[..., 0, 2] + m[..., 2, 0], m[..., 1, 2] + m[..., 2, 1]
    outer = np.stack(
        [
            1 + m00 + m11 + m22,
            wx,
            wy,
            wz,
            wx,
            1 + m00 - m11 - m22,
            xy,
            xz,
            wy,
            xy,
            1 - m00 + m11 - m22,
            yz,
            wz,
            xz,
            yz,
            1 - m00 - m11 + m22,
        ],
        axis=-1,
    )
    outer = outer.reshape((*outer.shape[:-1], 4, 4))
    best = np.argmax(np.diagonal(outer, axis1=-2, axis2=-1), axis=-1)
    row = np.take_along_axis(outer, best[..., None, None], axis=-2)[..., 0, :]
    q = row / np.linalg.norm(row, axis=-1, keepdims=True)
    return np.where(q[..., :1] < 0, -q, q)


def euler_to_quaternion(euler: ArrayLike) -> NDArray:
    """crystal_to_sample quaternion (..., 4), w >= 0, of Bunge angles (..., 3) in rad."""
    phi1, phi, phi2 = np.moveaxis(np.asarray(euler, float), -1, 0)
    plus, minus, c, s = (phi1 + phi2) / 2, (phi1 - phi2) / 2, np.cos(phi / 2), np.sin(phi / 2)
    q = np.stack([c * np.cos(plus), s * np.cos(minus), s * np.sin(minus), c * np.sin(plus)], axis=-1)
    return np.where(q[..., :1] < 0, -q, q)


def quaternion_to_euler(q: ArrayLike) -> NDArray:
    """Bunge angles (..., 3), rad, phi1 and phi2 in [0, 2 pi), Phi in [0, pi].

    At Phi = 0 or pi only phi1 + phi2 or phi1 - phi2 is defined; phi2 = 0 is chosen there.
    """
    w, x, y, z = np.moveaxis(np.asarray(q, float), -1, 0)
    c, s = np.hypot(w, z), np.hypot(x, y)
    is_flat, is_flipped = s < 1e-12, c < 1e-12
    plus, minus = np.arctan2(z, w), np.arctan2(y, x)
    phi1 = np.where(is_flat, 2 * plus, np.where(is_flipped, 2 * minus, plus + minus))
    phi2 = np.where(is_flat | is_flipped, 0.0, plus - minus)
    turn = 2 * np.pi
    # a tiny negative angle wraps to 2 pi itself in floating point
    wrapped = [np.where(a % turn >= turn, 0.0, a % turn) for a in (phi1, phi2)]
    return np.stack([wrapped[0], 2 * np.arctan2(s, c), wrapped[1]], axis=-1)


def axis_angle_to_quaternion(axis: ArrayLike, angle: ArrayLike) -> NDArray:
    """Quaternion (..., 4) of a rotation by angle (...), rad, about axis (..., 3), any length but zero."""
    axis, half = np.asarray(axis, float), np.asarray(angle, float)[..., None] / 2
    unit = axis / np.linalg.norm(axis, axis=-1, keepdims=True)
    vector = np.sin(half) * unit
    return np.concatenate([np.broadcast_to(np.cos(half), (*vector.shape[:-1], 1)), vector], axis=-1)


def rotate(q: ArrayLike, v: ArrayLike) -> NDArray:
    """R(q) v, (..., 3): crystal vectors v (..., 3) in the sample frame; leading dimensions broadcast."""
    return np.einsum("...ij,...j->...i", quaternion_to_matrix(q), np.asarray(v, float))


def random_quaternions(n: int, rng: np.random.Generator) -> NDArray:
    """(n, 4) orientations, uniform on the rotation group, w >= 0."""
    q = rng.standard_normal((n, 4))
    q /= np.linalg.norm(q, axis=-1, keepdims=True)
    return np.where(q[:, :1] < 0, -q, q)
