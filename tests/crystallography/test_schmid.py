"""Schmid factors: closed forms at symmetric orientations, random means, norms, signs."""

import numpy as np
import pytest

from cpml.crystallography import random_quaternions, schmid_factors, systems
from cpml.crystallography.schmid import stress_norm
from cpml.errors import ParameterError
from support.phases import FCC, MG_RATIO, magnesium

# 100,000 axes: the standard error of a mean of maxima is below 3e-4, so 1e-3 is more than 3 sigma
Q = random_quaternions(100_000, np.random.default_rng(0))
STRESS = np.diag([1.0, 0, 0])


def mean_max(s, stress=STRESS, **options):
    """Mean over random orientations of the largest |Schmid factor|."""
    return np.abs(schmid_factors(s, Q, stress, **options)).max(axis=1).mean()


@pytest.mark.parametrize(
    "lattice, families, value",
    [
        ("fcc", ["octahedral"], 0.4523),
        ("bcc", ["110", "112"], 0.4698),
        ("bcc", ["110", "112", "123"], 0.4729),
        ("hcp", ["basal"], 1 / np.pi),
        ("hcp", ["prismatic"], 1 / np.pi),
        ("hcp", ["pyramidal1_a"], 0.3920),
        ("hcp", ["pyramidal1_ca"], 0.4442),
        ("hcp", ["pyramidal2_ca"], 0.3995),
    ],
)
def test_random_mean_of_the_largest(lattice, families, value):
    """Mean largest Schmid factor of a random texture under uniaxial stress.

    One plane or one direction alone: 1/pi exactly; the others by random sampling with other code, the cubic
    ones also by quadrature (tests/plasticity/test_taylor.py).
    """
    assert mean_max(systems(lattice, families=families, c_over_a=MG_RATIO)) == pytest.approx(value, abs=1e-3)


def test_random_sachs_factor():
    """<1/m> = 2.2325 for fcc (quadrature; Sachs 1928: 2.238); the smallest maximum is 2/sqrt(54) at <111>."""
    largest = np.abs(schmid_factors(FCC, Q, STRESS)).max(axis=1)
    assert np.mean(1 / largest) == pytest.approx(2.2325, abs=5e-3)
    # the nearest of 100,000 axes misses <111> by about 0.2 deg, and the factor grows linearly from there
    assert 2 / np.sqrt(54) - 1e-12 <= largest.min() < 2 / np.sqrt(54) + 3e-3


def test_magnesium_twins_are_polar():
    """{10-12} in Mg: mean largest 0.3427 unsigned, 0.143 in tension, 0.157 in compression (other code)."""
    m = schmid_factors(magnesium("twin_1012"), Q, STRESS)
    assert np.abs(m).max(axis=1).mean() == pytest.approx(0.3427, abs=2e-3)
    assert m.max(axis=1).mean() == pytest.approx(0.143, abs=2e-3)
    assert (-m).max(axis=1).mean() == pytest.approx(0.157, abs=2e-3)


@pytest.mark.parametrize(
    "axis, value, count",
    [
        ((1, 0, 0), 1 / np.sqrt(6), 8),
        ((1, 1, 0), 1 / np.sqrt(6), 4),
        ((1, 1, 1), 2 / np.sqrt(54), 6),
        ((1, 2, 3), 0.4666, 1),
        ((1, 1, 2), 0.4082, 2),
        ((0, 1, 2), 0.4899, 2),
    ],
)
def test_fcc_points(axis, value, count):
    """Largest Schmid factor and the number of systems that share it, by tension axis."""
    unit = np.array(axis) / np.linalg.norm(axis)
    m = np.abs(schmid_factors(FCC, [1, 0, 0, 0], np.outer(unit, unit)))
    assert m.max() == pytest.approx(value, abs=1e-4)
    assert np.sum(np.isclose(m, m.max())) == count


SHEAR = np.array([[0, 1.0, 0], [1, 0, 0], [0, 0, 0]])


@pytest.mark.parametrize(
    "stress, values",
    [
        (np.diag([1.0, 1, 0]), (0.4523, 0.4523, 0.3198)),
        (SHEAR, (0.4000, 0.4619, 0.5657)),
        (np.diag([1.0, 0.5, 0]), (0.3999, 0.4618, 0.3577)),
    ],
)
def test_norms(stress, values):
    """Mean largest fcc factor of three stress states in three norms (random sampling with other code)."""
    found = [mean_max(FCC, stress, norm=n) for n in ("principal", "von_mises", "frobenius")]
    assert found == pytest.approx(values, abs=1e-3)


def test_size_and_pressure_do_not_matter():
    """300 MPa and 1 MPa give the same factors; in the s1-s3 norm so does pressure; never above 1/2."""
    m = schmid_factors(FCC, Q[:100], STRESS)
    assert schmid_factors(FCC, Q[:100], 300 * STRESS + 50 * np.eye(3)) == pytest.approx(m, abs=1e-12)
    assert np.abs(m).max() <= 0.5


def test_one_stress_per_grain():
    """(G, 3, 3) stresses go with (G, 4) orientations."""
    stresses = np.stack([STRESS, SHEAR])
    both = schmid_factors(FCC, Q[:2], stresses)
    assert both[1] == pytest.approx(schmid_factors(FCC, Q[1], SHEAR))


def test_no_direction_no_factor():
    """Hydrostatic stress and unknown norms are refused."""
    with pytest.raises(ParameterError, match="zero"):
        schmid_factors(FCC, Q[:1], np.eye(3))
    with pytest.raises(ParameterError, match="mises"):
        stress_norm(STRESS, "mises")
