"""Disorientation: closed forms, published distributions, and agreement with orix."""

import numpy as np
import pytest

from cpml.crystallography.disorientation import disorientation_angle, disorientation_axis_angle, pair_angles
from cpml.crystallography.rotations import (
    axis_angle_to_quaternion,
    quaternion_conjugate,
    quaternion_multiply,
    random_quaternions,
)
from cpml.crystallography.symmetry import proper_group


def cubic_closed_form(q1, q2):
    """cos(theta/2) = max(a, (a+b)/sqrt 2, (a+b+c+d)/2) of the sorted |components| of q1* q2."""
    m = np.sort(np.abs(quaternion_multiply(quaternion_conjugate(q1), q2)))[:, ::-1]
    c = np.max([m[:, 0], (m[:, 0] + m[:, 1]) / np.sqrt(2), m.sum(1) / 2], axis=0)
    return 2 * np.arccos(np.minimum(c, 1))


def test_cubic_angle_is_the_closed_form():
    """The loop over 24 rotations equals the closed form; arccos limits the comparison to 1e-7 rad."""
    rng = np.random.default_rng(0)
    a, b = random_quaternions(5000, rng), random_quaternions(5000, rng)
    np.testing.assert_allclose(
        disorientation_angle(a, b, proper_group("432")), cubic_closed_form(a, b), atol=1e-7
    )


@pytest.mark.parametrize(
    "name, mean, largest",
    [
        ("432", 40.73, 62.80),
        ("622", 60.07, 93.84),
        ("422", 63.01, 98.42),
        ("32", 66.64, 104.48),
        ("222", 75.17, 120.0),
        ("23", 51.46, 90.0),
    ],
)
def test_random_pairs_have_mackenzie_mean_and_maximum(name, mean, largest):
    """Mean over 2,000,000 random pairs within 0.05 deg (standard error below
    0.02); none above the largest angle.

    Cubic: Mackenzie 1958, Biometrika 45:229 (mean 40.74 deg there); the other groups, the median of 42.3 deg
    and the shares below 15 deg (cubic 2.28 %, hexagonal 1.14 %) by random sampling with other code.
    """
    rng = np.random.default_rng(1)
    q = random_quaternions(2_000_000, rng)
    angle = np.degrees(disorientation_angle(q, [1, 0, 0, 0], proper_group(name)))
    assert angle.mean() == pytest.approx(mean, abs=0.05)
    assert angle.max() <= largest + 0.01
    assert angle.max() > largest - 1
    low = {"432": 0.0228, "622": 0.0114}.get(name)
    if low:
        assert np.mean(angle < 15) == pytest.approx(low, abs=4e-4)
    if name == "432":
        assert np.median(angle) == pytest.approx(42.3, abs=0.05)


@pytest.mark.parametrize("name", ["432", "622", "32", "222", "1"])
def test_angle_ignores_the_symmetry_copy(name):
    """q and q s are one orientation, for both crystals; angle and folded axis agree."""
    rng = np.random.default_rng(2)
    group = proper_group(name)
    a, b = random_quaternions(300, rng), random_quaternions(300, rng)
    other_a = quaternion_multiply(a, group[rng.integers(len(group), size=300)])
    other_b = quaternion_multiply(b, group[rng.integers(len(group), size=300)])
    axis, angle = disorientation_axis_angle(a, b, group)
    other_axis, other_angle = disorientation_axis_angle(other_b, other_a, group)
    np.testing.assert_allclose(angle, other_angle, atol=1e-12)
    np.testing.assert_allclose(axis, other_axis, atol=1e-7)


def test_two_phases_use_both_groups():
    """Copies of either crystal under its own group leave the angle; the group of the other phase does not
    serve.
    """
    rng = np.random.default_rng(3)
    cubic, hexagonal = proper_group("432"), proper_group("622")
    a, b = random_quaternions(300, rng), random_quaternions(300, rng)
    angle = disorientation_angle(a, b, cubic, hexagonal)
    copy_a = quaternion_multiply(a, cubic[rng.integers(24, size=300)])
    copy_b = quaternion_multiply(b, hexagonal[rng.integers(12, size=300)])
    np.testing.assert_allclose(disorientation_angle(copy_a, copy_b, cubic, hexagonal), angle, atol=1e-12)
    np.testing.assert_allclose(disorientation_angle(b, a, hexagonal, cubic), angle, atol=1e-12)


def test_sigma_three_axis_and_angle():
    """60 deg about any <111> is 60 deg about [111] of the standard triangle."""
    axis, angle = disorientation_axis_angle(
        [1, 0, 0, 0], axis_angle_to_quaternion([1, -1, 1], np.pi / 3), proper_group("432")
    )
    assert np.degrees(angle) == pytest.approx(60)
    np.testing.assert_allclose(axis, np.ones(3) / np.sqrt(3), atol=1e-12)


def test_small_angles_keep_their_precision():
    """1e-9 rad stays 1e-9 rad: atan2 where arccos would give 0."""
    small = axis_angle_to_quaternion([1, 2, 3], 1e-9)
    assert disorientation_angle([1, 0, 0, 0], small, proper_group("432")) == pytest.approx(1e-9, rel=1e-6)


def test_missing_orientation_gives_nan():
    """NaN in, NaN out: never an angle of zero."""
    q = np.array([[1.0, 0, 0, 0], [np.nan] * 4])
    assert np.isnan(pair_angles(q, np.array([[0, 1]]), proper_group("432")))[0]
    axis, angle = disorientation_axis_angle(q[0], q[1], proper_group("432"))
    assert np.isnan(axis).all() and np.isnan(angle)


@pytest.mark.parametrize("name", ["432", "622"])
def test_agrees_with_orix(name):
    """orix computes the same angles by another route (arccos: 1e-6 rad near zero)."""
    from orix.quaternion import Misorientation, symmetry

    point_group = {"432": symmetry.O, "622": symmetry.D6}[name]
    rng = np.random.default_rng(4)
    a, b = random_quaternions(200, rng), random_quaternions(200, rng)
    m = Misorientation(quaternion_multiply(quaternion_conjugate(a), b), symmetry=(point_group, point_group))
    np.testing.assert_allclose(disorientation_angle(a, b, proper_group(name)), m.reduce().angle, atol=1e-6)
