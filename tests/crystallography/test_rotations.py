"""Quaternion conversions: closed forms, round trips, and orix as the other implementation."""

import numpy as np
import pytest

from cpml.crystallography import (
    axis_angle_to_quaternion,
    euler_to_quaternion,
    matrix_to_quaternion,
    quaternion_conjugate,
    quaternion_multiply,
    quaternion_to_euler,
    quaternion_to_matrix,
    random_quaternions,
    rotate,
)


@pytest.fixture
def quaternions():
    """Random orientations, and every half turn about simple axes."""
    half_turns = [
        axis_angle_to_quaternion(a, np.pi)
        for a in ([1, 0, 0], [0, 1, 0], [0, 0, 1], [1, 1, 0], [1, 1, 1], [-1, 2, 3])
    ]
    return np.concatenate([random_quaternions(500, np.random.default_rng(0)), half_turns])


def same_rotation(p, q):
    """1 - |p.q| is 0 for equal rotations, whatever the signs."""
    return np.abs(np.abs(np.sum(p * q, -1)) - 1).max()


def test_product_of_matrices_is_matrix_of_product(quaternions):
    """R(pq) = R(p) R(q), to rounding."""
    p, q = quaternions, quaternions[::-1]
    product = quaternion_to_matrix(p) @ quaternion_to_matrix(q)
    assert np.abs(quaternion_to_matrix(quaternion_multiply(p, q)) - product).max() < 1e-14


def test_conjugate_is_the_inverse(quaternions):
    """q* q = 1."""
    assert (
        same_rotation(
            quaternion_multiply(quaternion_conjugate(quaternions), quaternions), np.array([1.0, 0, 0, 0])
        )
        < 1e-14
    )


def test_matrix_round_trip(quaternions):
    """Quaternion -> matrix -> quaternion, 180 degrees included (no small divisor: 1e-14)."""
    assert same_rotation(matrix_to_quaternion(quaternion_to_matrix(quaternions)), quaternions) < 1e-14


def test_euler_round_trip(quaternions):
    """Quaternion -> Bunge -> quaternion, with Phi = 0 and 180 degrees included."""
    flat = euler_to_quaternion([[0.3, 0.0, 0.4], [0.3, np.pi, 0.4], [0, 0, 0], [6.2, np.pi, 6.1]])
    every = np.concatenate([quaternions, flat])
    assert same_rotation(euler_to_quaternion(quaternion_to_euler(every)), every) < 1e-12


def test_bunge_by_hand():
    """phi1 = 90 deg turns crystal x onto sample y; Phi = 90 deg turns crystal y onto sample z."""
    assert rotate(euler_to_quaternion([np.pi / 2, 0, 0]), [1, 0, 0]) == pytest.approx([0, 1, 0])
    assert rotate(euler_to_quaternion([0, np.pi / 2, 0]), [0, 1, 0]) == pytest.approx([0, 0, 1])


def test_orix_is_the_conjugate(quaternions):
    """orix stores sample -> crystal: its quaternion of the same Euler angles is our conjugate."""
    from orix.quaternion import Rotation as rotation

    euler = quaternion_to_euler(quaternions)
    theirs = rotation.from_euler(euler)
    assert same_rotation(theirs.data, quaternion_conjugate(quaternions)) < 1e-12
    assert np.abs(theirs.to_matrix() - quaternion_to_matrix(quaternions).swapaxes(-1, -2)).max() < 1e-12


def test_random_orientations_are_uniform():
    """The mean rotation angle of uniform orientations is pi/2 + 2/pi = 126.48 deg
    (20,000 drawn: 4 sigma = 1.1 deg).
    """
    q = random_quaternions(20000, np.random.default_rng(1))
    angle = 2 * np.degrees(np.arccos(np.abs(q[:, 0])))
    assert angle.mean() == pytest.approx(np.degrees(np.pi / 2 + 2 / np.pi), abs=1.1)
