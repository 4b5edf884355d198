"""Trace geometry and the likelihood of a line."""

import numpy as np
import pytest

from cpml.crystallography.rotations import axis_angle_to_quaternion, quaternion_multiply, random_quaternions
from cpml.crystallography.slip_systems import systems
from cpml.crystallography.slip_traces import line_difference, trace_angle_deg
from cpml.errors import ParameterError
from cpml.microscopy import match_traces, slip_traces
from support.phases import FCC, MG_RATIO


@pytest.mark.parametrize(
    "normal, expected",
    [((0, 1, 0), 0), ((1, 0, 0), 90), ((1, 1, 0), 45), ((-1, -1, 0), 45), ((1, -1, 0), 135)],
)
def test_trace_angle_on_screen(normal, expected):
    """A plane facing down the screen draws a horizontal line; (1,1,0) with y down rises to the right."""
    assert trace_angle_deg(normal) == pytest.approx(expected)


def test_trace_lies_in_plane_and_surface():
    """The direction (cos, -sin, 0) of the on-screen angle is square to the plane normal."""
    rng = np.random.default_rng(0)
    q = random_quaternions(50, rng)
    found = slip_traces(q, FCC)
    from cpml.crystallography.rotations import rotate

    normals = rotate(q[:, None], FCC.plane_normals)
    angle = np.radians(found.angle_deg)
    np.testing.assert_allclose(
        normals[..., 0] * np.cos(angle) - normals[..., 1] * np.sin(angle), 0, atol=1e-12
    )
    np.testing.assert_allclose(np.cos(np.radians(found.inclination_deg)), np.abs(normals[..., 2]), atol=1e-12)


@pytest.mark.parametrize(
    "lattice, families, chance",
    [
        ("fcc", ["octahedral"], 0.21),
        ("bcc", ["110", "112"], 0.72),
        ("hcp", ["basal", "prismatic"], 0.21),
        ("hcp", ["basal", "prismatic", "pyramidal1_a"], 0.47),
        ("hcp", ["basal", "prismatic", "pyramidal1_a", "pyramidal2_ca"], 0.65),
    ],
)
def test_chance_of_a_match(lattice, families, chance):
    """A random line is within 5 deg of some plane this often; 100,000 crystals: standard error 0.002."""
    rng = np.random.default_rng(1)
    planes = systems(lattice, families=families, c_over_a=MG_RATIO)
    angle = slip_traces(random_quaternions(100_000, rng), planes).angle_deg
    line = rng.uniform(0, 180, (100_000, 1))
    assert np.mean(np.abs(line_difference(line, angle)).min(axis=1) <= 5) == pytest.approx(chance, abs=0.01)


def test_likelihood_is_a_density():
    """It integrates to 1 over half a turn, for steep and for flat planes."""
    theta = np.arange(0, 180, 0.1)
    density = match_traces(theta, [10.0, 179.0, 90.0], [90.0, 5.0, 0.5], sigma_deg=2.0)
    np.testing.assert_allclose(density.sum(axis=0) * 0.1, 1, rtol=0.005)
    assert density.shape == (1800, 3)
    assert theta[density[:, 1].argmax()] == pytest.approx(179, abs=0.1)


def test_likelihood_of_a_steep_plane_is_normal():
    """At zero deviation the density is (1-e)/(sqrt(2 pi) sigma) + e/180 with sigma^2 = 2^2 + 0.5^2."""
    expected = 0.97 / (np.sqrt(2 * np.pi) * np.sqrt(4.25)) + 0.03 / 180
    assert match_traces(30.0, [30.0], [90.0])[0] == pytest.approx(expected)
    assert match_traces(179.5, [0.5], [90.0])[0] == pytest.approx(match_traces(31.0, [30.0], [90.0])[0])


def test_flat_planes_are_less_certain():
    """The orientation error turns the trace of a plane 6 deg from the surface by sigma_o / sin 6 deg."""
    spread = 0.3
    rng = np.random.default_rng(2)
    noise = rng.standard_normal((40_000, 3)) * np.radians(spread)
    turn = axis_angle_to_quaternion(noise, np.linalg.norm(noise, axis=1))
    for inclination in (6.0, 45.0):
        plane = systems("hcp", families=["basal"], c_over_a=1.6)
        q = axis_angle_to_quaternion([1, 0, 0], np.radians(inclination))
        angle = slip_traces(quaternion_multiply(turn, q), plane).angle_deg[:, 0]
        expected = spread / np.sin(np.radians(inclination))
        if inclination > 40:  # rotation about z turns every trace by itself, tilt by its part along the trace
            expected = np.hypot(spread, spread / np.tan(np.radians(inclination)))
        assert np.std(line_difference(angle, 0)) == pytest.approx(expected, rel=0.03)


def test_impossible_errors():
    """A line without error, or a floor above 1, is no measurement."""
    with pytest.raises(ParameterError):
        match_traces(0.0, [0.0], [90.0], sigma_deg=0.0)
    with pytest.raises(ParameterError):
        match_traces(0.0, [0.0], [90.0], floor=2.0)
